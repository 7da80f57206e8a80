"""One patient, one model, one result: curve, risks, saliency, attention, event contributions, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from core.bundle import Bundle
from core.compute.device import resolve_device
from core.compute.model_lock import MODEL_LOCK
from core.encode.ct.compact_slices import encode_sampled
from core.encode.ct.slice_grid import SliceGrid, sample_slices, slice_grid
from core.encode.ehr.encoders import encode_timeline
from core.errors import UserFacingError
from core.explain.attention import case_attention
from core.explain.event_ablation import event_attribution
from core.explain.frozen import explaining
from core.explain.methods import METHODS
from core.explain.risk import RiskReadout
from core.explain.saliency import study_saliency
from core.fuse.batch import TokenBatch
from core.notices import case_notices
from core.progress import Share
from core.quality import QualityReport, RecordRead, ScanMeasures, assess, measure_scan, pair_notices
from core.records import (
    Attribution,
    CaseReview,
    CtStudy,
    FloatArray,
    Notice,
    SurvivalCurve,
    Timeline,
    Tokens,
    digest_arrays,
    is_supported,
)
from core.survive.curves import curve_from_output, horizon_risks
from core.survive.model import ModelOutput


@dataclass(frozen=True, eq=False)
class CaseEncoding:
    """What the encoders of a bundle make of one case; every question about the case starts here.

    ct, ehr: tokens, None where the input is missing or not read. slices_hu int16 (S, H, W) and grid stand behind `ct`.
    ct_key, ehr_key: digests of input and encoder together; equal keys mean equal tokens. measured: the scan's quality.
    """

    ct: Tokens | None
    ehr: Tokens | None
    slices_hu: npt.NDArray[np.int16] | None
    grid: SliceGrid | None
    ct_key: str | None
    ehr_key: str | None
    measured: ScanMeasures | None = None

    def batch(self) -> TokenBatch:
        """The case as a batch of one."""
        return TokenBatch.from_tokens([self.ct], [self.ehr])


def encode_case(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle,
    device: str = "auto",
    *,
    reuse: CaseEncoding | None = None,
) -> CaseEncoding:
    """Tokens of a case for a bundle's encoders; parts of `reuse` with the same key are taken over."""
    where, _ = resolve_device(device)
    ct_key = _key(None if study is None else study.digest, bundle.ct_encoder)
    ehr_key = _key(None if timeline is None else timeline.digest, bundle.ehr_encoder)
    encoding = CaseEncoding(None, None, None, None, ct_key, ehr_key, _measured(study, reuse))
    if study is not None and ct_key is not None:
        encoding = _with_ct(encoding, study, bundle, where, reuse)
    if timeline is not None and ehr_key is not None:
        same = reuse is not None and reuse.ehr_key == ehr_key
        encoding = replace(encoding, ehr=reuse.ehr if same and reuse else _encode_timeline(timeline, bundle))
    return encoding if reuse is None else _with_unread(encoding, reuse, study, timeline)


def review_case(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle,
    *,
    horizon_days: float | None = None,
    explain: str | None = "gradcam",
    explain_events: bool = True,
    device: str = "auto",
    encoding: CaseEncoding | None = None,
    report: QualityReport | None = None,
    put_together: bool = False,
    seed: int = 0,
    progress: Share | None = None,
) -> CaseReview:
    """Everything one model says of one patient; same inputs, same result, bit for bit on the CPU.

    study, timeline: either may be None (the model's learned "none" token is read, and a notice says so), not both.
    horizon_days: default the task's middle horizon; beyond the training follow-up it is refused.
    explain: a name of `core.explain.methods.METHODS`, or None for no saliency. explain_events: False leaves out what
    each event contributes, for a curve at once.
    encoding: from `encode_case`; parts that do not belong to this case and bundle are computed anew.
    report: from `assess_case` of this case and bundle, which marks the result; assessed here where there is none.
    put_together: CT and record come from two sources and need not be of one person; a notice says so.
    progress: told the share of the saliency that is done; may raise to cancel.
    Raises UserFacingError in plain words.
    """
    _check(study, timeline, explain)
    horizon = choose_horizon(bundle, horizon_days)
    where, sentences = resolve_device(device)
    notices = [Notice("device_fallback", "caution", text) for text in sentences]
    notices += pair_notices(study, timeline, put_together)
    job = _Job(study, timeline, bundle, horizon, explain, explain_events, report, seed, progress)
    try:
        return job.run(where, encoding, notices)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        text = "The graphics card has too little free memory for this study; the CPU computed this result."
        return job.run(torch.device("cpu"), encoding, [*notices, Notice("device_fallback", "caution", text)])


def compare_curves(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundles: Mapping[str, Bundle],
) -> dict[str, SurvivalCurve]:
    """The same case through several models, name -> curve; models that read nothing of the case are left out."""
    curves: dict[str, SurvivalCurve] = {}
    encoding: CaseEncoding | None = None
    for name, bundle in bundles.items():
        encoding = encode_case(study, timeline, bundle, reuse=encoding)
        given = {"image": encoding.ct is not None, "ehr": encoding.ehr is not None}
        if any(given[modality] for modality in bundle.model.reads):
            curves[name] = curve_from_output(_score(bundle, encoding, torch.device("cpu")))
    return curves


def choose_horizon(bundle: Bundle, horizon_days: float | None) -> float:
    """The horizon asked for, or the task's middle one; refuses what training follow-up does not support."""
    last = bundle.model.last_supported_days
    if horizon_days is None:
        supported = [days for days in bundle.task.horizons_days if is_supported(days, last)]
        return float(supported[len(supported) // 2]) if supported else float(last)
    if not np.isfinite(horizon_days) or horizon_days <= 0:
        raise UserFacingError("The horizon is not a time ahead.", "a number of days above 0", "Choose another horizon.")
    if not is_supported(horizon_days, last):
        raise UserFacingError(
            f"The horizon of {horizon_days:g} days lies beyond the follow-up the model was trained with.",
            f"at most {last:.0f} days",
            "Choose an earlier horizon.",
        )
    return float(horizon_days)


@dataclass(frozen=True, eq=False)
class _Job:
    """One review, ready to run on a device and, where that fails for memory, on another."""

    study: CtStudy | None
    timeline: Timeline | None
    bundle: Bundle
    horizon: float
    explain: str | None
    explain_events: bool
    report: QualityReport | None
    seed: int
    progress: Share | None

    def run(self, where: torch.device, encoding: CaseEncoding | None, notices: list[Notice]) -> CaseReview:
        """Encode (or reuse), score, explain, and gather the notices."""
        bundle = self.bundle
        encoding = encode_case(self.study, self.timeline, bundle, where.type, reuse=encoding)
        with MODEL_LOCK, explaining(bundle.model, device=where):
            batch = encoding.batch().to(where)
            with torch.no_grad():
                output = bundle.model(batch)
            curve = _finite_curve(output)
            events = None
            if self.explain_events and "ehr" in bundle.model.reads and encoding.ehr is not None:
                events = event_attribution(bundle.model, batch, encoding.ehr, self.horizon)
        saliency = self._saliency(encoding, where)
        report = self.report or _report(self.study, self.timeline, bundle, encoding, output)
        read = (encoding.ct, encoding.ehr)
        found = case_notices(self.study, self.timeline, bundle, *read, report, saliency, self.explain, self.horizon)
        return CaseReview(
            curve=curve,
            saliency=saliency,
            attention=case_attention(output, encoding.ct, encoding.ehr),
            event_attribution=events,
            notices=(*notices, *found),
            task=bundle.task,
            fusion=bundle.fusion,
            horizon_days=self.horizon,
            device=where.type,
            study_digest=None if self.study is None else self.study.digest,
            timeline_digest=None if self.timeline is None else self.timeline.digest,
            bundle_digest=bundle.digest,
            horizon_risks=horizon_risks(output, bundle.task.horizons_days),
        )

    def _saliency(self, encoding: CaseEncoding, where: torch.device) -> Attribution | None:
        if self.explain is None or "image" not in self.bundle.model.reads:
            return None
        if self.study is None or encoding.grid is None:
            return None
        readout = _readout(self.bundle, encoding, self.horizon, where)
        return study_saliency(self.study, encoding.grid, readout, self.explain, seed=self.seed, progress=self.progress)


def assess_case(
    study: CtStudy | None, timeline: Timeline | None, bundle: Bundle, encoding: CaseEncoding
) -> QualityReport:
    """Verdicts on a case for a bundle, from encodings at hand: what marks the review, with everything that does not.

    Raises UserFacingError where there is nothing to judge, or the model gives a result that is not a number.
    """
    _check(study, timeline, None)
    output = _score(bundle, encoding, torch.device("cpu"))
    _finite_curve(output)
    return _report(study, timeline, bundle, encoding, output)


def _report(
    study: CtStudy | None, timeline: Timeline | None, bundle: Bundle, encoding: CaseEncoding, output: ModelOutput
) -> QualityReport:
    tokens = {"image": encoding.ct, "ehr": encoding.ehr}
    means = {name: given.values.mean(axis=0) for name in bundle.model.reads if (given := tokens[name]) is not None}
    return assess(
        study,
        timeline,
        bundle,
        measured=encoding.measured,
        read=RecordRead.of(encoding.ehr, timeline) if "ehr" in bundle.model.reads and timeline is not None else None,
        embedding=case_embedding(output),
        means=means,
    )


def _check(study: CtStudy | None, timeline: Timeline | None, explain: str | None) -> None:
    if study is None and timeline is None:
        raise UserFacingError("There is neither a CT nor a record.", "at least one of them", "Open a CT or a record.")
    if explain is not None and explain not in METHODS:
        found = f"There is no explanation method called {explain!r}."
        raise UserFacingError(found, "one of " + ", ".join(METHODS), "Choose one of these.")


def _finite_curve(output: ModelOutput) -> SurvivalCurve:
    if not bool(torch.isfinite(output.log_hazards).all()):
        raise UserFacingError(
            "The model gave a result that is not a number.", "finite risks", "Check the inputs, or use another model."
        )
    return curve_from_output(output)


def _score(bundle: Bundle, encoding: CaseEncoding, where: torch.device) -> ModelOutput:
    with MODEL_LOCK, explaining(bundle.model, device=where), torch.no_grad():
        output: ModelOutput = bundle.model(encoding.batch().to(where))
    return output


def case_embedding(output: ModelOutput) -> FloatArray:
    """The fused features on the training principal axes, float32 (d,), as the bundle's reference table holds them."""
    return np.asarray(output.embedding[0].detach().float().cpu().numpy(), dtype=np.float32)


def _readout(bundle: Bundle, encoding: CaseEncoding, horizon: float, where: torch.device) -> RiskReadout:
    assert encoding.slices_hu is not None
    assert bundle.ct_encoder is not None
    return RiskReadout(bundle.model, bundle.ct_encoder, encoding.batch(), encoding.slices_hu, horizon, where)


def _measured(study: CtStudy | None, reuse: CaseEncoding | None) -> ScanMeasures | None:
    if study is None:
        return None
    before = reuse.measured if reuse else None
    return before if before is not None and before.digest == study.digest else measure_scan(study)


def _with_ct(
    encoding: CaseEncoding, study: CtStudy, bundle: Bundle, where: torch.device, reuse: CaseEncoding | None
) -> CaseEncoding:
    assert bundle.ct_encoder is not None, "there is a key of it"
    if reuse is not None and reuse.ct_key == encoding.ct_key:
        return replace(encoding, ct=reuse.ct, slices_hu=reuse.slices_hu, grid=reuse.grid)
    grid = slice_grid(study)
    slices = sample_slices(study, grid)
    with MODEL_LOCK, explaining(bundle.ct_encoder, device=where):
        tokens = encode_sampled(study, grid, slices, bundle.ct_encoder, where.type)
    return replace(encoding, ct=tokens, slices_hu=slices, grid=grid)


def _with_unread(
    encoding: CaseEncoding, reuse: CaseEncoding, study: CtStudy | None, timeline: Timeline | None
) -> CaseEncoding:
    """Keep what this bundle has no encoder for but the next one may ask again; the model does not read it."""
    same_ct = study is not None and reuse.ct is not None and reuse.ct.source_digest == study.digest
    if encoding.ct_key is None and same_ct:
        encoding = replace(encoding, ct=reuse.ct, slices_hu=reuse.slices_hu, grid=reuse.grid, ct_key=reuse.ct_key)
    same_ehr = timeline is not None and reuse.ehr is not None and reuse.ehr.source_digest == timeline.digest
    if encoding.ehr_key is None and same_ehr:
        encoding = replace(encoding, ehr=reuse.ehr, ehr_key=reuse.ehr_key)
    return encoding


def _encode_timeline(timeline: Timeline, bundle: Bundle) -> Tokens | None:
    assert bundle.ehr_encoder is not None, "there is a key of it"
    with MODEL_LOCK:
        tokens = encode_timeline(timeline, bundle.ehr_encoder)
    return tokens if len(tokens.values) else None


def _key(source_digest: str | None, encoder: torch.nn.Module | None) -> str | None:
    """Digest of input and encoder weights together; None where either is missing."""
    if source_digest is None or encoder is None:
        return None
    arrays = [value.detach().cpu().numpy() for _, value in sorted(encoder.state_dict().items())]
    return digest_arrays(np.frombuffer(f"{source_digest}{getattr(encoder, 'config', '')}".encode(), np.uint8), *arrays)
