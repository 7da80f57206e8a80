"""The case itself, for the zip: scan, record and question, so that Load opens it again as it was on screen."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.events.descriptions import labels
from core.export.figure import FigureInputs
from core.export.style import NOTICE
from core.records import BIRTH, TIMELINE_COLUMNS, CtStudy, Timeline
from core.wording import OLDEST_YEARS

FORM, VERSION = "CT and record, exported case", 1
CASE, SCAN, RECORD = "case.json", "scan.nii.gz", "record.parquet"
DAY_ZERO = pd.Timestamp("2000-01-01")
"""The day that every exported record has for day 0: its dates are moved by whole days, times of day stay."""
OLDER = "Age over 89 was told as 90 when the case was exported; a model that reads the age may answer otherwise."
_GZIP_LEVEL = 3


def scan_nifti(study: CtStudy) -> bytes:
    """Gzipped NIfTI-1: int16 HU on the study's grid; no word of the file it was read from. Same study, same bytes."""
    image = nib.Nifti1Image(np.asarray(study.voxels_hu), study.affine_mm)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    image.set_sform(study.affine_mm, code=1)  # type: ignore[no-untyped-call]
    image.set_qform(None, code=0)  # type: ignore[no-untyped-call]
    image.header["descrip"] = b"virtual patient" if study.origin == "virtual" else b""
    return gzip.compress(image.to_bytes(), compresslevel=_GZIP_LEVEL, mtime=0)


def record_parquet(timeline: Timeline) -> bytes:
    """MEDS events up to day 0, their number as event id kept: patient 1, dates moved to `DAY_ZERO`, births at most 90
    years before it; words of codes only where they are not our own."""
    events, own = timeline.events[list(TIMELINE_COLUMNS)].copy(), labels()
    times = events["time"] + _moved_by(timeline)
    oldest = day_zero(timeline) - pd.Timedelta(days=365.25 * OLDEST_YEARS)
    events["time"] = times.mask((events["code"] == BIRTH) & (times < oldest), oldest).astype("datetime64[us]")
    events["subject_id"] = np.int64(1)
    words = {code: text for code, text in timeline.code_descriptions.items() if own.get(code) != text}
    if words:
        events["description"] = events["code"].map(words)
    table = pa.Table.from_pandas(events, preserve_index=False)
    table = table.replace_schema_metadata({b"origin": b"virtual"} if timeline.origin == "virtual" else None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def day_zero(timeline: Timeline) -> pd.Timestamp:
    """Day 0 of the record as it is exported."""
    return timeline.prediction_time + _moved_by(timeline)


def case_record(
    inputs: FigureInputs, parts: Mapping[str, tuple[str, bytes]], *, model_key: str, fabricated: bool, searched: str
) -> dict[str, Any]:
    """What Load needs beside the files, JSON-able, sealed by a hash of its own.

    parts: "scan" and "record" -> name in the zip and bytes, where the case has them. model_key: as the app offers the
    model. fabricated, searched: as of the case. No identifier and no date of the patient is in it.
    """
    review, study, timeline = inputs.review, inputs.study, inputs.timeline
    told = {kind: {"file": name, "sha256": hashlib.sha256(data).hexdigest()} for kind, (name, data) in parts.items()}
    if study is not None:
        told["scan"] |= _scan(study, timeline)
    if timeline is not None:
        told["record"] |= _record(timeline)
    return sealed(
        {
            "form": FORM,
            "version": VERSION,
            "notice": NOTICE,
            "label": inputs.label,
            "identifiers": searched,
            "put_together": fabricated,
            "question": {
                "task": review.task.name,
                "model": model_key,
                "model_sha256": review.bundle_digest,
                "horizon_days": review.horizon_days,
                "method": None if review.saliency is None else review.saliency.method,
                "risk": review.curve.risk_at(review.horizon_days),
            },
            "view": None if study is None else _view(inputs),
            **{kind: told.get(kind) for kind in ("scan", "record")},
        }
    )


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the SHA-256 of all else in it, by which a change is seen."""
    plain = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {**plain, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _moved_by(timeline: Timeline) -> pd.Timedelta:
    return DAY_ZERO - timeline.prediction_time.normalize()


def _scan(study: CtStudy, timeline: Timeline | None) -> dict[str, Any]:
    """What a NIfTI file cannot say of the scan; its day only as days from day 0."""
    facts = asdict(study.facts)
    taken = facts.pop("taken")
    known = taken is not None and timeline is not None
    day = (pd.Timestamp(taken).normalize() - timeline.prediction_time.normalize()).days if known and timeline else None
    return {"description": study.description, "notes": list(study.notes), "facts": {**facts, "taken_on_day": day}}


def _record(timeline: Timeline) -> dict[str, Any]:
    older = timeline.age_years is not None and timeline.age_years > OLDEST_YEARS
    return {
        "day_zero": day_zero(timeline).isoformat(),
        "notes": [*timeline.notes, *([OLDER] if older else [])],
        "kinds": dict(timeline.code_kinds),
        "later_events": timeline.later_event_count,
    }


def _view(inputs: FigureInputs) -> dict[str, Any]:
    return {
        "slice_ijk": list(inputs.slice_ijk),
        "window_hu": list(inputs.window_hu),
        "inverted": inputs.inverted,
        "threshold": inputs.threshold,
        "opacity": inputs.opacity,
        "own_scale": inputs.own_scale,
    }
