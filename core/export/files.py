"""The exported folder: figure.png, .svg, .pdf, saliency.nii.gz, each with a sidecar; curve.json, provenance.json."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from core.export.bundle_view import BundleView
from core.export.figure import FORMATS, figure_bytes, figure_inputs
from core.export.provenance import curve_record, provenance, to_json
from core.quality import QualityReport
from core.records import Attribution, CaseReview, CtStudy, Timeline


def export_review(
    study: CtStudy | None,
    timeline: Timeline | None,
    review: CaseReview,
    bundle: BundleView,
    out: Path,
    *,
    window: tuple[float, float] | None = None,
    slice_k: int | None = None,
    report: QualityReport | None = None,
    searched: str = "",
) -> list[Path]:
    """Write every export of a review into the folder `out` (made where missing) and return the paths.

    window: (low, high) HU to draw the CT in, default the one to read the task by (`window_of`). slice_k: axial slice,
    default where saliency is largest.
    report, searched: for the sidecars, as `provenance` takes them. saliency.nii.gz only where there is a saliency.
    Every figure and the NIfTI have a sidecar NAME.json equal to provenance.json but for `file`.
    """
    out.mkdir(parents=True, exist_ok=True)
    inputs = figure_inputs(study, timeline, review, bundle, window=window, slice_k=slice_k)
    record = provenance(inputs, report=report, searched=searched)
    contents: dict[str, bytes] = {f"figure.{kind}": figure_bytes(inputs, kind) for kind in FORMATS}
    if review.saliency is not None and study is not None:
        contents["saliency.nii.gz"] = saliency_nifti(study, review.saliency)
    sidecars = {f"{name}.json": to_json({**record, "file": name}).encode() for name in contents}
    contents |= sidecars | {
        "curve.json": to_json(curve_record(review)).encode(),
        "provenance.json": to_json(record).encode(),
    }
    for name, content in contents.items():
        (out / name).write_bytes(content)
    return [out / name for name in contents]


def saliency_nifti(study: CtStudy, saliency: Attribution) -> bytes:
    """Gzipped NIfTI-1, float32 on the study's grid and affine; same review, same bytes."""
    image = nib.Nifti1Image(  # type: ignore[no-untyped-call]
        np.asarray(saliency.values), study.affine_mm
    )
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    image.set_qform(study.affine_mm, code=1)  # type: ignore[no-untyped-call]
    image.set_sform(study.affine_mm, code=1)  # type: ignore[no-untyped-call]
    image.header["descrip"] = f"{saliency.method} {saliency.horizon_days:g}d. Research use only."[:79].encode()
    image.header["intent_name"] = b"saliency"
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)


__all__ = ["export_review", "saliency_nifti"]
