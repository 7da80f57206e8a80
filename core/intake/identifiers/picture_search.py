"""Burned-in text over all images of a source, read in stacks of one picture size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from core.intake.files.byte_source import Entry
from core.intake.files.limits import Limits
from core.intake.identifiers.clean.nifti import as_readable, canonical_voxels, open_nifti
from core.intake.identifiers.finding import Finding
from core.intake.identifiers.pictures.burned_in import find_burned_in_text, find_moving_text, find_text
from core.intake.identifiers.pictures.line_extent import PlaneBox, Planes
from core.intake.identifiers.pictures.ocr import NoTextReader
from core.intake.identifiers.pictures.planes import decode
from core.intake.identifiers.pictures.series import STACK, stackable
from core.intake.identifiers.where.dicom_reading import read_bounded


class PixelSearch:
    """Collects images, reads them stack by stack, and says where text stands."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[tuple[Any, ...], list[Planes]] = defaultdict(list)
        self._found: dict[tuple[str, str], Finding] = {}

    def add_dicom(self, entry: Entry) -> None:
        """Take the images of one DICOM file. Raises NoTextReader."""
        try:
            frames = decode(read_bounded(entry.read(0, None), limits=self._limits), limits=self._limits)
        except Exception:  # decoders may raise anything on damaged pixels
            self._unreadable()
            return
        for key, planes in stackable(frames):
            self._waiting[key].append(planes)
            if sum(map(len, self._waiting[key])) >= STACK:
                self._read(self._waiting.pop(key))

    def add_nifti(self, entry: Entry) -> None:
        """Read one NIfTI volume. Raises NoTextReader."""
        try:
            header, voxels = open_nifti(entry.read(0, None), limits=self._limits)
            for view, axes in canonical_voxels(voxels, header):
                boxes = find_burned_in_text(as_readable(view), axes=axes)
                for box in boxes:
                    self._keep("a volume", box.masked)
        except NoTextReader:
            raise
        except Exception:  # headers may declare anything
            self._unreadable()

    def finish(self) -> tuple[Finding, ...]:
        """Read what is left; all findings. Raises NoTextReader."""
        for stack in self._waiting.values():
            self._read(stack)
        self._waiting.clear()
        return tuple(self._found.values())

    def _read(self, stack: list[Planes]) -> None:
        planes: Planes = np.concatenate(stack)  # type: ignore[assignment]
        rows, columns = planes.shape[1:]
        for box in (*find_text(planes), *find_moving_text(planes)):
            self._keep(" ".join(_region(box, rows, columns)), box.masked)

    def _keep(self, where: str, masked: str) -> None:
        self._found.setdefault(("burned-in text", where), Finding("burned-in text", f"pixels, {where}", masked))

    def _unreadable(self) -> None:
        self._found.setdefault(("unreadable", ""), Finding("unreadable", "pixels of an image", "not searched"))


def _region(box: PlaneBox, rows: int, columns: int) -> Iterator[str]:
    """In which ninth of the picture the box lies."""
    yield ("top", "middle", "bottom")[min(3 * (box.top + box.bottom) // (2 * rows), 2)]
    yield ("left", "centre", "right")[min(3 * (box.left + box.right) // (2 * columns), 2)]
