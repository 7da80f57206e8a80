"""One report for a case: scan, record, and where the case lies among the training patients."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.bundle import Bundle
from core.quality.embedding import embedding_factor, input_factors
from core.quality.pair import pair_factors
from core.quality.record import RecordRead, record_factors
from core.quality.report import Factor, QualityReport
from core.quality.scan import ScanMeasures, measure_scan, scan_factors
from core.records import OUTSIDE_POPULATION, CtStudy, FloatArray, Notice, Timeline


def assess(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle | None = None,
    *,
    measured: ScanMeasures | None = None,
    read: RecordRead | None = None,
    embedding: FloatArray | None = None,
    means: Mapping[str, FloatArray] | None = None,
) -> QualityReport:
    """Verdict on every factor that applies; blocks nothing, runs no encoder.

    study, timeline: either may be None. bundle: the model asked; None leaves out what only a model decides.
    measured: from `measure_scan` of the same study, measured anew where it is missing or of another study.
    read: what the model takes of the record. embedding: float32 (d,), the case on the axes of `bundle.reference`.
    means: by input that the model reads ("image", "ehr") its mean token. The last three come from a
    review's encodings; without them their factors are left out.
    """
    factors: list[Factor] = []
    if embedding is not None and bundle is not None:
        factors.append(embedding_factor(embedding, bundle.reference, _missing(study, timeline, bundle)))
        factors += input_factors(means or {}, bundle.reference)
    if study is not None and timeline is not None:
        factors += pair_factors(study, timeline)
    if study is not None:
        if measured is None or measured.digest != study.digest:
            measured = measure_scan(study)
        factors += [*_origin(study, bundle), *scan_factors(study, measured, bundle.task.name if bundle else None)]
    if timeline is not None:
        virtual = bundle is not None and bundle.virtual
        factors += record_factors(timeline, virtual_model=virtual, read=read)
    return QualityReport(tuple(factors))


def _missing(study: CtStudy | None, timeline: Timeline | None, bundle: Bundle) -> tuple[str, ...]:
    """Inputs that the model reads and this case lacks, in words."""
    given = {"image": study, "ehr": timeline}
    words = {"image": "CT", "ehr": "record"}
    return tuple(words[name] for name in given if name in bundle.model.reads and given[name] is None)


def _origin(study: CtStudy, bundle: Bundle | None) -> tuple[Factor, ...]:
    if bundle is None or not bundle.virtual:
        return ()
    if study.origin == "virtual":
        return (Factor("training population", "in", "a virtual patient's scan", "the model learned from such scans"),)
    reason = "the model has only seen virtual patients, and this scan is not marked as one of them"
    return (Factor("training population", "outside", "not a virtual patient's scan", reason),)


def population_notice(report: QualityReport, reads: Collection[str]) -> Notice | None:
    """What marks a prediction: the outside factors, else those at the edge, of the inputs that the model reads, each
    with its reason, the number that was found and what it was compared with.

    reads: "image", "ehr" or both. None where every such factor is in or unknown.
    """
    counted = QualityReport(tuple(f for f in report.factors if f.about == "fused" or f.about in reads))
    for verdict, words, level in (("outside", "Outside", "warning"), ("edge", "At the edge of", "caution")):
        found = counted.of(verdict)  # type: ignore[arg-type]
        if found:
            reasons = "; ".join(f"{factor.name}: {factor.told}" for factor in found)
            return Notice(OUTSIDE_POPULATION, level, f"{words} the training population: {reasons}.")  # type: ignore[arg-type]
    return None
