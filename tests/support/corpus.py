"""Odd, hostile and damaged studies with an oracle each; the corpus that the loader and its peers are judged by.

A case is made of files in memory. What it must come to is the right volume (every voxel holds the HU of its world
position, nothing is missing), a refusal, a choice between series, or either of right and refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from ct_factory import FLIP, Edit, Grid, NamedBytes, dicom_files, dicom_slices, named, positions, put_pixels, world_hu
from pydicom.dataset import Dataset

Files = list[NamedBytes]
Expect = Literal["right", "refuse", "choose", "either"]
Field = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]

GRID = Grid()
SIGNED = {"PixelRepresentation": 1, "RescaleIntercept": 0, "BitsStored": 16, "HighBit": 15}


@dataclass(frozen=True)
class Case:
    """One source and what must come of it.

    name: group/words. make: the files. expect: see the module. words: pattern that a refusal's sentence must match.
    grids: the volumes that are there (several where there is a choice). field: HU by RAS position.
    tolerance: HU that storage may cost. padding: voxels outside the field of view, which must read -1024.
    blemish: voxels that may be wrong because nothing in the format could tell (no checksum, an error within the noise).
    """

    name: str
    make: Callable[[], Files]
    expect: Expect
    words: str = ""
    grids: tuple[Grid, ...] = (GRID,)
    field: Field = world_hu
    tolerance: float = 1.01
    padding: int = 0
    blemish: int = 0


def cases(group: str, table: dict[str, tuple[object, ...]], **common: object) -> list[Case]:
    """Cases of a table {words: (make, expect, [changes of fields])}."""
    made = []
    for words, (make, expect, *rest) in table.items():
        changes = {**common, **(rest[0] if rest else {})}  # type: ignore[dict-item]
        made.append(Case(f"{group}/{words}", make, expect, **changes))  # type: ignore[arg-type]
    return made


def what_is_wrong(case: Case, voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]) -> str:
    """What is wrong with a volume (i, j, k) with its affine to RAS mm; "" where it is one of the case's volumes."""
    reasons = [_difference(case, grid, voxels, affine) for grid in case.grids]
    return "" if "" in reasons else reasons[0]


def _difference(case: Case, grid: Grid, voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]) -> str:
    if sorted(voxels.shape) != sorted(grid.shape):
        return f"shape {voxels.shape}"
    middle = affine[:3, :3] @ ((np.array(voxels.shape) - 1) / 2) + affine[:3, 3]
    wanted = (FLIP[:3, :3] @ np.array(grid.centre_mm, float)).ravel()
    if not np.abs(middle - wanted).max() < 0.1:
        return f"centre {np.abs(middle - wanted).max():.3g} mm off"
    wrong = ~(np.abs(case.field(positions(affine, voxels.shape)) - voxels) <= case.tolerance)
    if wrong.sum() <= case.blemish or (wrong.sum() == case.padding and (np.asarray(voxels)[wrong] == -1024).all()):
        return ""
    return f"{100 * wrong.mean():.1f}% of voxels wrong"


def series(edit: Edit | None = None, *, grid: Grid = GRID, seed: int = 0, syntax: str | None = None) -> Files:
    """An edited series as files."""
    return dicom_files(grid, edit=edit, seed=seed, **({"syntax": syntax} if syntax else {}))  # type: ignore[arg-type]


def filled(values: Field | npt.NDArray[np.float64], grid: Grid = GRID, **header: object) -> list[Dataset]:
    """Slices with other contents (a field, or HU (columns, rows, slices)) in signed 16-bit storage."""
    hu = values if isinstance(values, np.ndarray) else values(positions(grid.affine_ras, grid.shape))

    def edit(index: int, dataset: Dataset) -> None:
        for keyword, value in {**SIGNED, **header}.items():
            setattr(dataset, keyword, value)

    slices = dicom_slices(grid, edit=edit)
    for index, dataset in enumerate(slices):
        put_pixels(dataset, hu[:, :, index].T)
    return slices


def changed(change: Callable[[list[Dataset]], object], grid: Grid = GRID, edit: Edit | None = None) -> Files:
    """A series after `change(slices)`; a returned list replaces the slices."""
    slices = dicom_slices(grid, edit=edit)
    replaced = change(slices)
    return named(replaced if isinstance(replaced, list) else slices)


def at_places(place: Callable[[int, npt.NDArray[np.float64]], Iterable[float]], *, contents: bool = True) -> Files:
    """Slices moved to `place(index, position)`; with `contents`, they hold what lies there."""
    slices = dicom_slices(GRID)
    for index, dataset in enumerate(slices):
        affine = GRID.affine_lps
        affine[:3, 3] = list(place(index, np.array(dataset.ImagePositionPatient, float)))
        if contents:
            put_pixels(dataset, world_hu(positions(FLIP @ affine, (*GRID.shape[:2], 1)))[:, :, 0].T)
        dataset.ImagePositionPatient = [round(float(value), 6) for value in affine[:3, 3]]
    return named(slices)


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One explicit little-endian element."""
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"OD"):
        return head + b"\0\0" + len(value).to_bytes(4, "little") + value
    return head + len(value).to_bytes(2, "little") + value


def find_element(data: bytes, tag: int) -> int:
    """Where the element begins in an explicit little-endian file."""
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    at = data.index(head)
    while not data[at + 4 : at + 6].isalpha():
        at = data.index(head, at + 1)
    return at


def with_raw(files: Files, tag: int, value: bytes, *, only: int | None = None) -> Files:
    """The files with the raw value of one short element replaced (in one file only, or in all)."""
    value += b" " * (len(value) % 2)
    out = []
    for number, (name, data) in enumerate(files):
        if only in (None, number):
            at = find_element(data, tag)
            size = int.from_bytes(data[at + 6 : at + 8], "little")
            data = data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + size :]
        out.append((name, data))
    return out


def with_one(files: Files, change: Callable[[bytes], bytes], number: int = 5) -> Files:
    """The files with the bytes of one changed."""
    return [(name, change(data) if index == number else data) for index, (name, data) in enumerate(files)]
