"""The files that a reader can take away, made in memory on the click."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from core.export.bundle_view import BundleView
from core.export.figure import FORMATS, FigureInputs, Format, figure_bytes, figure_inputs
from core.export.files import saliency_nifti
from core.export.provenance import curve_record, provenance, to_json
from core.records import CaseReview, CtStudy, Timeline


@dataclass(frozen=True, eq=False)
class Exports:
    """Makes export files when asked, in any thread.

    view: what the viewer last reported (voxel, window_hu, threshold, opacity, inverted, volume), a mapping that follows
    it as it moves; or empty.
    """

    study: CtStudy | None
    timeline: Timeline | None
    review: CaseReview
    bundle: BundleView
    view: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Files that can be made."""
        pictures = tuple(f"figure.{kind}" for kind in FORMATS)
        maps = ("saliency.nii.gz",) if self.study is not None and self.review.saliency is not None else ()
        return (*pictures, *maps, "curve.json", "provenance.json")

    def inputs(self) -> FigureInputs:
        """The figure's inputs as the viewer shows the scan now: voxel, window, grey scale and look of the overlay."""
        study, view = self.study, dict(self.view)
        if study is None or not str(view.get("volume", "")).startswith(study.digest[:24]):
            return figure_inputs(study, self.timeline, self.review, self.bundle)
        window, (i, j, k) = (float(view["window_hu"][0]), float(view["window_hu"][1])), map(int, view["voxel"])
        made = figure_inputs(study, self.timeline, self.review, self.bundle, window=window, slice_k=k)
        return replace(
            made,
            slice_ijk=(_inside(i, study.shape[0]), _inside(j, study.shape[1]), k),
            threshold=float(view.get("threshold", made.threshold)),
            opacity=float(view.get("opacity", made.opacity)),
            inverted=bool(view.get("inverted", made.inverted)),
        )

    def file(self, name: str) -> bytes:
        """One of `names`, in memory."""
        return self._file(name, self.inputs())

    def archive(self) -> bytes:
        """All of `names` as one zip in memory, of one view; every picture and map with its sidecar."""
        inputs, buffer = self.inputs(), io.BytesIO()
        record = provenance(inputs)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in self.names:
                archive.writestr(name, self._file(name, inputs))
                if not name.endswith(".json"):
                    archive.writestr(f"{name}.json", to_json({**record, "file": name}))
        return buffer.getvalue()

    def _file(self, name: str, inputs: FigureInputs) -> bytes:
        if name == "saliency.nii.gz" and self.study is not None and self.review.saliency is not None:
            return saliency_nifti(self.study, self.review.saliency)
        if name == "curve.json":
            return to_json(curve_record(self.review)).encode()
        if name == "provenance.json":
            return to_json(provenance(inputs)).encode()
        return figure_bytes(inputs, cast("Format", name.rsplit(".", 1)[-1]))


def _inside(index: int, count: int) -> int:
    return min(max(index, 0), count - 1)
