"""What an exported picture must carry to be traced and made again."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from core.export.events import is_undated
from core.export.figure import FigureInputs, world_mm
from core.export.style import NOTICE, WATERMARK, curve_marks
from core.quality import QualityReport, scan_day
from core.records import VIRTUAL_WEIGHTS, CaseReview, CtStudy, Float64Array

PACKAGES = ("torch", "captum", "numpy", "scipy", "matplotlib", "nibabel", "safetensors")
_SESSION_KEY = secrets.token_bytes(32)


def keyed_digest(digest: str | None, key: bytes | None = None) -> str | None:
    """HMAC-SHA256 (hex) of an input's digest; None where there was no such input.

    A plain hash can be looked up by whoever holds the same file, so it never leaves the process. `key`: a
    secret to digest by; without one, a random key of this process is used, and exports match only within the process.
    """
    if digest is None:
        return None
    return hmac.new(key or _SESSION_KEY, digest.encode(), hashlib.sha256).hexdigest()


def provenance(
    inputs: FigureInputs,
    *,
    key: bytes | None = None,
    created: datetime | None = None,
    report: QualityReport | None = None,
    searched: str = "",
) -> dict[str, Any]:
    """The sidecar of figures and saliency, JSON-able; holds no identifier, date of the patient or plain input hash.

    key: of the digests, default a new one. created: default now.
    report: the verdicts on the case, where they are known. searched: what became of identifiers in its files.
    """
    review = inputs.review
    return {
        "notice": NOTICE,
        "label": inputs.label or None,
        "watermark": WATERMARK if inputs.bundle.virtual else None,
        "marks": curve_marks(review.notices, bool(inputs.bundle.virtual)),
        "created_utc": (created or datetime.now(UTC)).isoformat(timespec="seconds"),
        "model": {
            "task": review.task.name,
            "fusion": review.fusion,
            "weights_sha256": review.bundle_digest,
            "trained_on_virtual_patients": bool(inputs.bundle.virtual),
        },
        "inputs": {
            "ct_hmac_sha256": keyed_digest(review.study_digest, key),
            "timeline_hmac_sha256": keyed_digest(review.timeline_digest, key),
            "ct_origin": None if inputs.study is None else inputs.study.origin,
            "timeline_origin": None if inputs.timeline is None else inputs.timeline.origin,
        },
        "ct": _ct(inputs.study),
        "record": _record(inputs),
        "day_zero": _day_zero(inputs),
        "identifiers": searched or None,
        "quality": None if report is None else [asdict(factor) for factor in report.worst_first],
        "horizon_days": review.horizon_days,
        "risk_at_horizon": review.curve.risk_at(review.horizon_days),
        "explanation": _explanation(review),
        "view": _view(inputs),
        "device": review.device,
        "notices": [{"key": n.key, "level": n.level, "text": n.text} for n in review.notices],
        "versions": _versions(),
    }


def curve_record(review: CaseReview) -> dict[str, Any]:
    """The curve in numbers, JSON-able: times, survival, band, risks at the horizons, median, restricted mean; with the
    marks that stand across the drawn curve, so that no number goes without them."""
    curve = review.curve
    virtual = any(notice.key == VIRTUAL_WEIGHTS for notice in review.notices)
    rmst = curve.rmst_days(review.horizon_days)
    return {
        "notice": NOTICE,
        "marks": curve_marks(review.notices, virtual),
        "doubts": [notice.text for notice in review.notices if notice.level != "info"],
        "task": review.task.name,
        "fusion": review.fusion,
        "horizon_days": review.horizon_days,
        "times_days": curve.times_days.tolist(),
        "survival": curve.survival.tolist(),
        "lower": _listed(curve.lower),
        "upper": _listed(curve.upper),
        "band": {"meaning": curve.band, "coverage": None if curve.lower is None else 0.95},
        "outer_lower": _listed(curve.outer_lower),
        "outer_upper": _listed(curve.outer_upper),
        "outer_band": {"meaning": curve.outer_band, "coverage": None if curve.outer_lower is None else 0.9},
        "given_about_this_risk": {f"{days:g}": asdict(given) for days, given in review.given.items()},
        "does_not_apply": list(review.doubts),
        "risk": {str(days): risk for days, risk in review.horizon_risks.items()},
        "risk_interval_at_horizon": _interval(review),
        "median_days": curve.median_days,
        "rmst_days_at_horizon": None if rmst != rmst else rmst,
    }


def _listed(values: Float64Array | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def _interval(review: CaseReview) -> list[float] | None:
    """Observed risk by the horizon of those given about this risk, or None."""
    given = review.given.get(review.horizon_days)
    return None if given is None else list(given.interval)


def to_json(record: dict[str, Any]) -> str:
    """Indented, sorted, strict JSON."""
    return json.dumps(record, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _ct(study: CtStudy | None) -> dict[str, Any] | None:
    if study is None:
        return None
    return {"shape": list(study.shape), "spacing_mm": list(study.spacing_mm), "notes": list(study.notes)}


def _record(inputs: FigureInputs) -> dict[str, Any] | None:
    """How much of the record there is and how much of it was weighed, in counts and days."""
    timeline, weighed = inputs.timeline, inputs.review.event_attribution
    if timeline is None:
        return None
    days = timeline.days_from_prediction[~is_undated(timeline)]
    return {
        "events": len(timeline.events),
        "events_weighed": 0 if weighed is None else len(weighed.event_ids),
        "events_after_day_0_left_out": timeline.later_event_count,
        "first_day": float(days.min()) if len(days) else None,
        "last_day": float(days.max()) if len(days) else None,
        "notes": list(timeline.notes),
    }


def _day_zero(inputs: FigureInputs) -> dict[str, Any] | None:
    """What is known of the day of the scan; how day 0 was chosen stands in the notes of the record."""
    study = inputs.study
    if study is None or inputs.timeline is None:
        return None
    return {"ct_taken_on_day": scan_day(study, inputs.timeline), "ct_dates_shifted": study.facts.dates_shifted}


def _explanation(review: CaseReview) -> dict[str, Any] | None:
    saliency = review.saliency
    if saliency is None:
        return None
    return {
        "method": saliency.method,
        "horizon_days": saliency.horizon_days,
        "signed": saliency.signed,
        "unit": saliency.unit,
        "parameters": dict(saliency.parameters),
        "convergence_delta": saliency.convergence_delta,
        "risk_change": saliency.risk_change,
        "strength": None if saliency.strength is None else asdict(saliency.strength),
        "encoder_reads_at_strongest_place": None if saliency.strongest is None else list(saliency.strongest),
        "weight_randomisation_passed": saliency.depends,
    }


def _view(inputs: FigureInputs) -> dict[str, Any] | None:
    if inputs.study is None:
        return None
    low, high = inputs.window_hu
    x, y, z = world_mm(inputs.study, inputs.slice_ijk)
    return {
        "window_hu": {"low": low, "high": high, "width": high - low, "level": (low + high) / 2},
        "grey_scale_inverted": inputs.inverted,
        "slice_ijk": list(inputs.slice_ijk),
        "slice_mm": {"axial_z": z, "coronal_y": y, "sagittal_x": x},
        "orientation": "RAS+ millimetres; patient's right on the left of axial and coronal planes",
        "overlay": _overlay(inputs),
    }


def _overlay(inputs: FigureInputs) -> dict[str, Any] | None:
    """How the saliency is drawn; opacity 0 where the reader hid it."""
    if inputs.review.saliency is None:
        return None
    saliency = inputs.review.saliency
    limit = saliency.own_limit if inputs.own_scale else saliency.scale_limit
    return {"threshold": inputs.threshold, "opacity": inputs.opacity, "threshold_is_share_of": limit}


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}
