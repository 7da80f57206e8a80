"""What a reader must know with a result: one plain sentence each, most general first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.bundle import Bundle
from core.events.death import says_died
from core.explain.saliency import NOT_CONVERGED
from core.quality import QualityReport, RecordRead, population_notice
from core.records import (
    DIED_BEFORE,
    EHR,
    IMAGE,
    MODALITIES,
    NOTHING_READ,
    VIRTUAL_WEIGHTS,
    Attribution,
    CtStudy,
    Notice,
    Timeline,
    Tokens,
)
from core.wording import duration, true_minus


def case_notices(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle,
    tokens: Mapping[str, Tokens],
    report: QualityReport,
    saliency: Attribution | None,
    explain: str | None,
    horizon_days: float,
) -> tuple[Notice, ...]:
    """Every notice on one result, at one horizon.

    tokens: what the bundle's encoders made of the inputs, by modality. report: the verdicts on the
    case. explain: the method asked for, None for none.
    """
    marked = population_notice(report, bundle.model.reads)
    return (
        *_model_notices(bundle),
        *_calibration_notices(bundle, horizon_days),
        *_case_notices(study, timeline),
        *_unread_notices(timeline, bundle, tokens),
        *(() if marked is None else (marked,)),
        *_saliency_notices(bundle, saliency, explain),
    )


def _model_notices(bundle: Bundle) -> Iterator[Notice]:
    if bundle.virtual:
        text = "This model was trained on virtual patients. Its numbers do not apply to real people."
        yield Notice(VIRTUAL_WEIGHTS, "warning", text)


def _calibration_notices(bundle: Bundle, horizon_days: float) -> Iterator[Notice]:
    """Where risks predicted for held-out patients were too high or too low on average, beyond chance."""
    evaluation: dict[str, Any] = next(iter(bundle.metrics.get("models", {}).values()), {})
    calibration = evaluation.get("horizons", {}).get(f"{horizon_days:g}", {}).get("calibration") or {}
    found = calibration.get("observed_expected") or {}
    if None in (found.get("lower"), found.get("upper")) or found["lower"] <= 1.0 <= found["upper"]:
        return
    too = "low" if found["ratio"] > 1.0 else "high"
    who = "held-out virtual patients" if bundle.virtual else "held-out patients"
    text = (
        f"Predicted risks by {duration(horizon_days)} are too {too} on average: among {who}, the event was predicted "
        f"for {found['expected']:.1%} and observed in {found['observed']:.1%} ({found['ratio']:.2f} times as many, 95% "
        f"interval {found['lower']:.2f} to {found['upper']:.2f})."
    )
    yield Notice("miscalibrated", "caution", text)


def _case_notices(study: CtStudy | None, timeline: Timeline | None) -> Iterator[Notice]:
    if timeline is not None and says_died(timeline.events).any():
        text = "The record says that the patient had died by day 0: no curve from then on is about this patient."
        yield Notice(DIED_BEFORE, "warning", text)
    for repair in () if study is None else study.repairs:
        yield Notice("repaired_scan", "caution", f"The scan was repaired: {repair}")


def _unread_notices(timeline: Timeline | None, bundle: Bundle, tokens: Mapping[str, Tokens]) -> Iterator[Notice]:
    """What the model reads of no patient or not of this one."""
    reads = bundle.model.reads
    if not any(name in tokens for name in reads):
        text = "The model read nothing of this patient: its curve is that of somebody of whom nothing is known."
        yield Notice(NOTHING_READ, "warning", text)
    for name in reads:
        if name not in tokens and name != EHR:
            text = f"There is no {MODALITIES[name].word}; the model was trained to answer without one too."
            yield Notice("missing_ct" if name == IMAGE else f"missing_{name}", "caution", text)
    if EHR not in reads:
        return
    if EHR not in tokens and timeline is not None:
        text = "The model knows no code of this record and answers as if there were none, as it was trained to."
        yield Notice("no_known_code", "warning", text)
    elif timeline is None:
        text = "There is no record; the model was trained to answer without one too."
        yield Notice("missing_timeline", "caution", text)
    elif left_out := RecordRead.of(tokens.get(EHR), timeline).words(len(timeline.events)):
        yield Notice("record_cut", "caution", f"Not all of the record was read: {left_out}.")


def _saliency_notices(bundle: Bundle, saliency: Attribution | None, explain: str | None) -> Iterator[Notice]:
    if explain is not None and IMAGE not in bundle.model.reads:
        text = "No saliency: this model reads the record only, so nothing on the scan changes its answer."
        yield Notice("no_saliency", "info", text)
    if saliency is not None and (saliency.convergence_delta or 0.0) > NOT_CONVERGED:
        share, change = saliency.convergence_delta or 0.0, saliency.risk_change or 0.0
        text = (
            f"The saliency has not converged: its sums miss the change of risk by {100 * share:.0f}%. "
            f"The change to be explained is {true_minus(f'{100 * change:.2g}')} percentage points in all."
        )
        yield Notice("not_converged", "caution", text)
