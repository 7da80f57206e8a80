"""One patient, one model, one result: curve, risks, saliency, attention, event contributions, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from core.bundle import Bundle
from core.compute.device import resolve_device
from core.compute.model_lock import MODEL_LOCK
from core.compute.usual_mode import usual_mode
from core.encode.ct.encoders import encode_sampled
from core.encode.ehr.encoders import encode_timeline
from core.errors import UserFacingError
from core.explain.attention import case_attention
from core.explain.event_ablation import RecordReadout, event_attribution
from core.explain.frozen import explaining
from core.explain.methods import METHODS
from core.explain.risk import RiskReadout
from core.explain.saliency import study_saliency
from core.fuse.batch import TokenBatch
from core.notices import band_withheld, case_notices, disagreement_notice, misjudged_notice
from core.progress import Share
from core.quality import QualityReport, RecordRead, ScanMeasures, assess, measure_scan, pair_notices
from core.records import (
    EHR,
    IMAGE,
    MODALITIES,
    SIGNALS,
    Attribution,
    CaseReview,
    CtStudy,
    EventAttribution,
    FloatArray,
    GivenRisk,
    Notice,
    SurvivalCurve,
    Timeline,
    Tokens,
    digest_arrays,
    is_supported,
)
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder, SampledScan
from core.survive.curves import curve_from_output, horizon_risks, member_risks
from core.survive.given_risk import with_bands
from core.survive.model import ModelOutput


@dataclass(frozen=True, eq=False)
class CaseEncoding:
    """What the encoders of a bundle make of one case; every question about the case starts here.

    tokens: by modality; one that is missing, or that the bundle does not read, is not there. sampled: what the CT
    encoder read, behind the tokens of the scan. keys: by modality the digest of input and encoder together; equal keys
    mean equal tokens. measured: the scan's quality.
    """

    tokens: Mapping[str, Tokens]
    keys: Mapping[str, str]
    sampled: SampledScan | None = None
    measured: ScanMeasures | None = None

    def batch(self) -> TokenBatch:
        """The case as a batch of one."""
        return TokenBatch.from_tokens({name: [self.tokens.get(name)] for name in {**MODALITIES, **self.tokens}})


@usual_mode()
def encode_case(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle,
    device: str = "auto",
    *,
    signals: Sequence[Any] = (),
    reuse: CaseEncoding | None = None,
) -> CaseEncoding:
    """Tokens of a case for a bundle's encoders; parts of `reuse` with the same key are taken over.

    signals: recordings, each with a digest, for an encoder of the modality "signals".
    """
    where, _ = resolve_device(device)
    inputs = _inputs(study, timeline, signals)
    keys = {name: _key(digest, bundle.encoders[name]) for name, digest in inputs.items() if name in bundle.encoders}
    encoding = CaseEncoding({}, keys, None, _measured(study, reuse))
    for name in keys:
        if reuse is not None and reuse.keys.get(name) == keys[name]:
            encoding = _taken_over(encoding, reuse, name)
        elif study is not None and name == IMAGE:
            encoding = _with_ct(encoding, study, bundle.encoders[IMAGE], where)
        else:
            encoding = _with(encoding, name, _encode(name, timeline, signals, bundle))
    for name in () if reuse is None else reuse.tokens:
        # Kept though this bundle has no encoder for it: the next one may ask again, and this one does not read it.
        if reuse is not None and name not in keys and reuse.tokens[name].source_digest == inputs.get(name):
            encoding = _taken_over(replace(encoding, keys={**encoding.keys, name: reuse.keys[name]}), reuse, name)
    return encoding


def _inputs(study: CtStudy | None, timeline: Timeline | None, signals: Sequence[Any]) -> dict[str, str]:
    """Digest of each input that there is, by modality."""
    digests = {IMAGE: study and study.digest, EHR: timeline and timeline.digest}
    digests[SIGNALS] = "".join(signal.digest for signal in signals)
    return {name: digest for name, digest in digests.items() if digest}


@usual_mode()
def review_case(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle,
    *,
    signals: Sequence[Any] = (),
    horizon_days: float | None = None,
    explain: str | None = "gradcam",
    explain_events: bool = True,
    device: str = "auto",
    encoding: CaseEncoding | None = None,
    report: QualityReport | None = None,
    put_together: bool = False,
    seed: int = 0,
    progress: Share | None = None,
    slice_mm: float | None = None,
) -> CaseReview:
    """Everything one model says of one patient; same inputs, same result, bit for bit on the CPU, whatever mode torch
    is in.

    study, timeline: either may be None (the model's learned "none" token is read, and a notice says so), not both.
    signals: recordings of the patient, for models that read them.
    horizon_days: default the task's middle horizon; beyond the training follow-up it is refused.
    explain: a name of `core.explain.methods.METHODS`, or None for no saliency. explain_events: False leaves out what
    each event contributes, for a curve at once.
    encoding: from `encode_case`; parts that do not belong to this case and bundle are computed anew.
    report: from `assess_case` of this case and bundle, which marks the result; assessed here where there is none.
    put_together: CT and record come from two sources and need not be of one person; a notice says so.
    progress: told the share of the saliency that is done; may raise to cancel. slice_mm: world z of the only slice that
    is explained, where a whole CT would take minutes.
    Raises UserFacingError in plain words.
    """
    _check(study, timeline, explain)
    horizon = choose_horizon(bundle, horizon_days)
    where, sentences = resolve_device(device)
    notices = [Notice("device_fallback", "caution", text) for text in sentences]
    notices += pair_notices(study, timeline, put_together)
    job = _Job(
        study, timeline, tuple(signals), bundle, horizon, explain, explain_events, report, seed, progress, slice_mm
    )
    try:
        return job.run(where, encoding, notices)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        text = "The graphics card has too little free memory for this study; the CPU computed this result."
        return job.run(torch.device("cpu"), encoding, [*notices, Notice("device_fallback", "caution", text)])


@dataclass(frozen=True, eq=False)
class FusionPredictor:
    """A bundle as a `Predictor`. reuse: encodings of the case at hand."""

    bundle: Bundle
    reuse: CaseEncoding | None = None

    @usual_mode()
    def curve(
        self, study: CtStudy | None, timeline: Timeline | None, signals: Sequence[Any] = ()
    ) -> SurvivalCurve | None:
        """The curve on the CPU; None where the model reads nothing of the case."""
        encoding = encode_case(study, timeline, self.bundle, signals=signals, reuse=self.reuse)
        if not any(name in encoding.tokens for name in self.bundle.model.reads):
            return None
        return curve_from_output(_score(self.bundle, encoding, torch.device("cpu")))


@usual_mode()
def compare_curves(
    study: CtStudy | None, timeline: Timeline | None, bundles: Mapping[str, Bundle], signals: Sequence[Any] = ()
) -> dict[str, SurvivalCurve]:
    """The same case through several models, name -> curve; models that read nothing of the case are left out."""
    curves: dict[str, SurvivalCurve] = {}
    encoding: CaseEncoding | None = None
    for name, bundle in bundles.items():
        encoding = encode_case(study, timeline, bundle, signals=signals, reuse=encoding)
        curve = FusionPredictor(bundle, encoding).curve(study, timeline, signals)
        if curve is not None:
            curves[name] = curve
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
    signals: tuple[Any, ...]
    bundle: Bundle
    horizon: float
    explain: str | None
    explain_events: bool
    report: QualityReport | None
    seed: int
    progress: Share | None
    slice_mm: float | None

    def run(self, where: torch.device, encoding: CaseEncoding | None, notices: list[Notice]) -> CaseReview:
        """Encode (or reuse), score, explain, and gather the notices."""
        bundle = self.bundle
        encoding = encode_case(self.study, self.timeline, bundle, where.type, signals=self.signals, reuse=encoding)
        with MODEL_LOCK, explaining(bundle.model, device=where):
            batch = encoding.batch().to(where)
            with torch.no_grad():
                output = bundle.model(batch)
            curve = _finite_curve(output)
            members = member_risks(output, self.horizon)
        events = self._events(encoding, where) if self.explain_events else None
        saliency = self._saliency(encoding, where)
        report = self.report or _report(self.study, self.timeline, bundle, encoding, output)
        found = case_notices(self.study, self.timeline, bundle, encoding.tokens, report, saliency, self.explain)
        notices += [*found, *disagreement_notice(members, self.horizon)]
        curve, given = self._with_bands(curve, notices)
        notices += misjudged_notice(curve, given.get(self.horizon), self.bundle)
        return CaseReview(
            curve=curve,
            saliency=saliency,
            attention=case_attention(output, encoding.tokens),
            event_attribution=events,
            notices=tuple(notices),
            task=bundle.task,
            fusion=bundle.fusion,
            horizon_days=self.horizon,
            device=where.type,
            study_digest=None if self.study is None else self.study.digest,
            timeline_digest=None if self.timeline is None else self.timeline.digest,
            bundle_digest=bundle.digest,
            horizon_risks=horizon_risks(output, bundle.task.horizons_days),
            given=given,
        )

    def _with_bands(
        self, curve: SurvivalCurve, notices: Sequence[Notice]
    ) -> tuple[SurvivalCurve, dict[float, GivenRisk]]:
        """The curve with the bands of those given about its risk by the horizon; and what happened to those given about
        its risk by each horizon of the task."""
        withheld = band_withheld(notices)
        banded, asked = with_bands(curve, self.bundle.outcomes, self.horizon, withheld)
        found = {} if asked is None else {self.horizon: asked}
        for days in map(float, self.bundle.task.horizons_days):
            if days not in found and is_supported(days, curve.times_days[-1]):
                other = with_bands(curve, self.bundle.outcomes, days, withheld)[1]
                found |= {} if other is None else {days: other}
        return banded, found

    def _events(self, encoding: CaseEncoding, where: torch.device) -> EventAttribution | None:
        if self.timeline is None or EHR not in self.bundle.model.reads or EHR not in encoding.tokens:
            return None
        encoder, tokens = self.bundle.encoders[EHR], encoding.tokens[EHR]
        assert isinstance(encoder, RecordEncoder)
        asked = self.bundle.model, encoder, self.timeline, tokens, encoding.batch(), self.horizon, where
        return event_attribution(RecordReadout(*asked))

    def _saliency(self, encoding: CaseEncoding, where: torch.device) -> Attribution | None:
        if self.explain is None or IMAGE not in self.bundle.model.reads:
            return None
        if self.study is None or encoding.sampled is None:
            return None
        readout = ct_readout(self.bundle, encoding, self.horizon, where)
        asked = {"seed": self.seed, "progress": self.progress, "trust": self.bundle.maps, "slice_mm": self.slice_mm}
        return study_saliency(self.study, readout, self.explain, **asked)  # type: ignore[arg-type]


def ct_readout(bundle: Bundle, encoding: CaseEncoding, horizon_days: float, where: torch.device) -> RiskReadout:
    """What saliency asks of a bundle that reads a CT, for an encoding that holds one."""
    encoder = bundle.encoders[IMAGE]
    assert isinstance(encoder, CtEncoder)
    assert encoding.sampled is not None
    return RiskReadout(bundle.model, encoder, encoding.batch(), encoding.sampled, horizon_days, where)


@usual_mode()
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
    tokens = encoding.tokens
    means = {name: tokens[name].values.mean(axis=0) for name in bundle.model.reads if name in tokens}
    return assess(
        study,
        timeline,
        bundle,
        measured=encoding.measured,
        read=RecordRead.of(tokens.get(EHR), timeline) if EHR in bundle.model.reads and timeline is not None else None,
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


def _measured(study: CtStudy | None, reuse: CaseEncoding | None) -> ScanMeasures | None:
    if study is None:
        return None
    before = reuse.measured if reuse else None
    return before if before is not None and before.digest == study.digest else measure_scan(study)


def _with(encoding: CaseEncoding, name: str, tokens: Tokens | None) -> CaseEncoding:
    return encoding if tokens is None else replace(encoding, tokens={**encoding.tokens, name: tokens})


def _taken_over(encoding: CaseEncoding, reuse: CaseEncoding, name: str) -> CaseEncoding:
    if name == IMAGE:
        encoding = replace(encoding, sampled=reuse.sampled)
    return _with(encoding, name, reuse.tokens.get(name))


def _with_ct(encoding: CaseEncoding, study: CtStudy, encoder: Encoder, where: torch.device) -> CaseEncoding:
    assert isinstance(encoder, CtEncoder)
    sampled = encoder.sample(study)
    with MODEL_LOCK, explaining(encoder, device=where):
        tokens = encode_sampled(sampled, encoder, where.type)
    return replace(_with(encoding, IMAGE, tokens), sampled=sampled)


def _encode(name: str, timeline: Timeline | None, signals: Sequence[Any], bundle: Bundle) -> Tokens | None:
    """Tokens of what is no scan; None where the encoder makes none of it."""
    encoder = bundle.encoders[name]
    assert isinstance(encoder, RecordEncoder)
    with MODEL_LOCK:
        if name == EHR and timeline is not None:
            tokens = encode_timeline(timeline, encoder)
        else:
            (tokens,) = encoder.encode([tuple(signals)])
    return tokens if len(tokens.values) else None


def _key(source_digest: str, encoder: torch.nn.Module) -> str:
    """Digest of input and encoder weights together."""
    arrays = [value.detach().cpu().numpy() for _, value in sorted(encoder.state_dict().items())]
    return digest_arrays(np.frombuffer(f"{source_digest}{getattr(encoder, 'config', '')}".encode(), np.uint8), *arrays)
