"""A CT volume, and what its file says of how it was taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.records.arrays import Origin, digest_volume, freeze


@dataclass(frozen=True)
class AcquisitionFacts:
    """What the file says of how and when the scan was taken, and of whom; None or "" where it says nothing.

    tube_voltage_kv: peak kilovoltage. kernel: reconstruction kernel, a known name only. contrast_agent: whether the
    file names one; False only where it says that there was none. thickness_mm: nominal slice thickness. slice_axis: the
    axis (0, 1, 2 of the volume) along which slices follow each other in the file.
    taken: date and time of the acquisition, shown only as days from day 0 of a record. dates_shifted: by the file, its
    dates were changed when it was de-identified. sex, age_years (at most 90): of the patient, at the acquisition.
    """

    tube_voltage_kv: float | None = None
    kernel: str = ""
    contrast_agent: bool | None = None
    thickness_mm: float | None = None
    slice_axis: int = 2
    taken: datetime | None = field(default=None, repr=False)
    dates_shifted: bool = False
    sex: Literal["F", "M"] | None = field(default=None, repr=False)
    age_years: float | None = field(default=None, repr=False)


REPAIRED = "Repaired: "
"""How a note begins that tells of a repair."""


@dataclass(frozen=True, eq=False)
class CtStudy:
    """One CT volume.

    voxels_hu: int16 (i, j, k) Hounsfield units, closest-canonical RAS+ axes; i is fastest in memory, as in a scanner's
               slices, so that every axial plane voxels_hu[:, :, k] is one block.
    affine_mm: float64 (4, 4), voxel index -> RAS+ world, mm.
    notes:     plain sentences, one for each repair or doubt.
    facts:     how the scan was taken, as far as the file says.
    """

    voxels_hu: npt.NDArray[np.int16]
    affine_mm: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()
    description: str = "CT study"
    origin: Origin = "unknown"
    facts: AcquisitionFacts = AcquisitionFacts()

    def __post_init__(self) -> None:
        given = np.asarray(self.voxels_hu)
        voxels = freeze(given, np.int16, "F")
        if given.dtype != np.int16 and not np.array_equal(voxels, given):
            raise ValueError("voxels_hu must be whole numbers that int16 holds")
        affine = freeze(self.affine_mm, np.float64)
        if voxels.ndim != 3 or min(voxels.shape) < 1:
            raise ValueError(f"voxels_hu must be 3-D, got shape {voxels.shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("affine_mm must be a finite, invertible 4 x 4 matrix")
        if (np.diag(affine)[:3] <= 0).any():
            raise ValueError("the axes of voxels_hu must be the closest to right, anterior and superior")
        object.__setattr__(self, "voxels_hu", voxels)
        object.__setattr__(self, "affine_mm", affine)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of voxels and affine, the key of every cache; computed when first asked for."""
        return digest_volume(self.voxels_hu, self.affine_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.voxels_hu.shape
        return i, j, k

    @property
    def repairs(self) -> tuple[str, ...]:
        """Those notes that tell of repairs: what was done, in words that go on from "The scan was repaired:"."""
        return tuple(note.removeprefix(REPAIRED) for note in self.notes if note.startswith(REPAIRED))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k in mm."""
        x, y, z = np.linalg.norm(self.affine_mm[:3, :3], axis=0)
        return float(x), float(y), float(z)
