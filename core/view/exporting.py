"""The files that a reader can take away, made in memory when asked for, each once for what is on screen."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

from core.export.bundle_view import BundleView
from core.export.case_file import CASE, RECORD, SCAN, case_record, record_parquet, scan_nifti
from core.export.comparison import ModelRow, comparison_record
from core.export.figure import FORMATS, FigureInputs, Format, figure_bytes, figure_inputs
from core.export.files import saliency_nifti
from core.export.label import file_stem
from core.export.provenance import curve_record, provenance, to_json
from core.progress import Progress
from core.quality import QualityReport
from core.records import CaseReview, CtStudy, Timeline

ZIP_WORDS = "All in one zip"
NUMBERS = count(1)
SAME_IN_EVERY_VIEW = ("saliency.nii.gz", "curve.json", "models.json", SCAN, RECORD)


def check_same_scan(review: CaseReview, study: CtStudy | None) -> None:
    """Raise ValueError where the review is one of another scan: it is never shown or exported with this one."""
    if review.study_digest != (None if study is None else study.digest):
        raise ValueError("the review is one of another study")


@dataclass(frozen=True, eq=False)
class Exports:
    """Makes export files when asked, in any thread.

    view: what the viewer last reported (voxel, window_hu, threshold, opacity, inverted, volume), a mapping that follows
    it as it moves; or empty. report, searched: for the sidecars, as `provenance` takes them. all_models: every model of
    the task on this case, asked for when models.json is made; without it there is no such file. label: what the reader
    calls the case. model_key: what the app offers the model by; with it the zip holds the case, too, so that Load opens
    it again. fabricated: as of the case. number: tells these files from those of every other answer.
    """

    study: CtStudy | None
    timeline: Timeline | None
    review: CaseReview
    bundle: BundleView
    view: Mapping[str, Any]
    report: QualityReport | None = None
    searched: str = ""
    all_models: Callable[[], Sequence[ModelRow]] | None = None
    label: str = ""
    model_key: str = ""
    fabricated: bool = False
    number: int = field(default_factory=lambda: next(NUMBERS), init=False)
    _made: dict[str, tuple[object, bytes]] = field(default_factory=dict, init=False)
    """What was made last of each name, with the look it was made of."""
    _making: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        check_same_scan(self.review, self.study)

    @property
    def names(self) -> tuple[str, ...]:
        """Files that can be made."""
        pictures = tuple(f"figure.{kind}" for kind in FORMATS)
        maps = ("saliency.nii.gz",) if self.study is not None and self.review.saliency is not None else ()
        beside = ("models.json",) if self.all_models is not None else ()
        return (*pictures, *maps, "curve.json", *beside, "provenance.json", *self._case_files)

    @property
    def _case_files(self) -> tuple[str, ...]:
        """What Load opens the case from; none where it is not known by which model."""
        if not self.model_key:
            return ()
        return (*([SCAN] if self.study else []), *([RECORD] if self.timeline else []), CASE)

    def called(self, name: str) -> str:
        """What one of `names` is called where it is saved, so that the files of two answers are told apart."""
        return f"{file_stem(self.label, self.review)}_{name}"

    def inputs(self) -> FigureInputs:
        """The figure's inputs as the viewer shows the scan now: voxel, window, grey scale and look of the overlay."""
        study, view = self.study, dict(self.view)
        if study is None or not str(view.get("volume", "")).startswith(study.digest[:24]):
            return replace(figure_inputs(study, self.timeline, self.review, self.bundle), label=self.label)
        window, (i, j, k) = (float(view["window_hu"][0]), float(view["window_hu"][1])), map(int, view["voxel"])
        made = figure_inputs(study, self.timeline, self.review, self.bundle, window=window, slice_k=k)
        return replace(
            made,
            label=self.label,
            slice_ijk=(_inside(i, study.shape[0]), _inside(j, study.shape[1]), k),
            threshold=float(view.get("threshold", made.threshold)),
            opacity=float(view.get("opacity", made.opacity)),
            inverted=bool(view.get("inverted", made.inverted)),
            own_scale=bool(view.get("own_scale", made.own_scale)),
        )

    def file(self, name: str) -> bytes:
        """One of `names`, in memory."""
        return self._once(name, self.inputs())

    def archive(self, inputs: FigureInputs, tell: Progress) -> bytes:
        """All of `names` as one zip in memory, of one view; every picture and map with its sidecar.

        tell: called with (share done, words) before each file.
        """
        record, buffer = self._sidecar(inputs), io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for done, name in enumerate(self.names):
                tell(done / len(self.names), f"{ZIP_WORDS}: file {done + 1} of {len(self.names)}, {name}")
                archive.writestr(self.called(name), self._once(name, inputs))
                if not name.endswith(".json") and name not in self._case_files:
                    told = to_json({**record, "file": self.called(name)})
                    archive.writestr(f"{self.called(name)}.json", told)
        return buffer.getvalue()

    def _once(self, name: str, inputs: FigureInputs) -> bytes:
        """A file of this look; made only where it was not the last made of its name, one at a time."""
        look = None if name in SAME_IN_EVERY_VIEW else _look(inputs)
        with self._making:
            before = self._made.get(name)
            if before is None or before[0] != look:
                before = self._made[name] = (look, self._file(name, inputs))
            return before[1]

    def _file(self, name: str, inputs: FigureInputs) -> bytes:
        if name == "saliency.nii.gz" and self.study is not None and self.review.saliency is not None:
            return saliency_nifti(self.study, self.review.saliency)
        if name == "curve.json":
            return to_json(curve_record(self.review)).encode()
        if name == "models.json" and self.all_models is not None:
            return to_json(comparison_record(self.all_models(), self.review.horizon_days)).encode()
        if name == "provenance.json":
            return to_json(self._sidecar(inputs)).encode()
        if name == SCAN and self.study is not None:
            return scan_nifti(self.study)
        if name == RECORD and self.timeline is not None:
            return record_parquet(self.timeline)
        if name == CASE:
            return to_json(self._case_record(inputs)).encode()
        return figure_bytes(inputs, cast("Format", name.rsplit(".", 1)[-1]))

    def _case_record(self, inputs: FigureInputs) -> dict[str, Any]:
        """With the scan and the record as they were last made: they are the same in every view."""
        kinds = {SCAN: "scan", RECORD: "record"}
        made = {name: self._made[name][1] for name in kinds if name in self._made}
        files = {name: made.get(name) or self._file(name, inputs) for name in self._case_files if name in kinds}
        return case_record(
            inputs,
            {kinds[name]: (self.called(name), data) for name, data in files.items()},
            model_key=self.model_key,
            fabricated=self.fabricated,
            searched=self.searched,
        )

    def _sidecar(self, inputs: FigureInputs) -> dict[str, Any]:
        return provenance(inputs, report=self.report, searched=self.searched)


def _look(inputs: FigureInputs) -> object:
    """All of the inputs that the viewer can change."""
    return inputs.window_hu, inputs.slice_ijk, inputs.threshold, inputs.opacity, inputs.inverted, inputs.own_scale


def _inside(index: int, count: int) -> int:
    return min(max(index, 0), count - 1)
