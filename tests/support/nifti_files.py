"""NIfTI files in every layout, and ones that must be refused."""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np
from ct_factory import Grid, nifti_file, rotated

GRID = Grid()
RAS = Grid(rotation=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
GOOD = {
    "LPS order": nifti_file(GRID),
    "RAS order": nifti_file(RAS),
    "axes permuted": nifti_file(Grid(rotation=((0, 0, 1), (-1, 0, 0), (0, 1, 0)))),
    "left-handed": nifti_file(Grid(rotation=((-1, 0, 0), (0, 1, 0), (0, 0, 1)))),
    "oblique": nifti_file(Grid(rotation=rotated((9.0, 14.0, -21.0)))),
    "NIfTI-2": nifti_file(GRID, version=2),
    "big endian": nifti_file(GRID, dtype=">i2"),
    "float32": nifti_file(GRID, dtype="<f4"),
    "float64": nifti_file(GRID, dtype="<f8"),
    "int32": nifti_file(GRID, dtype="<i4"),
    "qform only": nifti_file(GRID, sform=0),
    "sform only": nifti_file(GRID, qform=0),
    "no unit": nifti_file(GRID, units="unknown"),
    "unsigned with offset": nifti_file(
        GRID, dtype="<u2", data=GRID.hu() + 1024, patch=[(112, "f", 1.0), (116, "f", -1024.0)]
    ),
    "slope zero means unscaled": nifti_file(GRID, patch=[(112, "f", 0.0), (116, "f", 0.0)]),
    "one extra empty axis": nifti_file(GRID, patch=[(40, "h", 4)]),
}


def shifted_sform() -> bytes:
    """qform and sform that disagree about left and right."""
    affine = GRID.affine_ras.copy()
    affine[0] *= -1
    return nifti_file(GRID, patch=[(280, "12f", tuple(affine[:3].ravel()))])


def with_nan() -> bytes:
    data = GRID.hu().copy()
    data[3, 4, 5] = math.nan
    return nifti_file(GRID, dtype="<f4", data=data)


def four_d() -> bytes:
    image = nib.Nifti1Image(np.stack([GRID.hu()] * 2, -1).astype(np.int16), GRID.affine_ras)
    return bytes(image.to_bytes())


def coloured() -> bytes:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return bytes(nib.Nifti1Image(np.zeros(GRID.shape, kind), GRID.affine_ras).to_bytes())


HU = GRID.hu()
PLAIN = nifti_file(GRID)
BAD = {
    "conflicting forms": (shifted_sform, "contradict"),
    "no orientation": (lambda: nifti_file(GRID, qform=0, sform=0), "left and right"),
    "metres": (lambda: nifti_file(GRID, units="meter"), "metres"),
    "micrometres": (lambda: nifti_file(GRID, units="micron"), "micrometres"),
    "singular": (
        lambda: nifti_file(GRID, qform=0, patch=[(280, "12f", (1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0))]), "singular"),
    "zero affine": (lambda: nifti_file(GRID, qform=0, patch=[(280, "12f", (0,) * 12)]), "singular"),
    "NaN affine": (lambda: nifti_file(GRID, qform=0, patch=[(280, "f", math.nan)]), "not numbers"),
    "NaN quaternion": (lambda: nifti_file(GRID, sform=0, patch=[(256, "f", math.nan)]), "rotation"),
    "zero spacing": (lambda: nifti_file(GRID, sform=0, patch=[(80, "f", 0.0)]), "singular"),
    "spacing contradicts": (lambda: nifti_file(GRID, qform=0, patch=[(80, "f", 9.0)]), "voxel size"),
    "skewed": (lambda: nifti_file(GRID, qform=0, patch=[(284, "f", 0.6)]), "right angles|voxel size"),
    "absurd spacing": (lambda: nifti_file(Grid(spacing_mm=(900, 900, 900)), sform=0), "voxel size"),
    "slope NaN": (lambda: nifti_file(GRID, patch=[(112, "f", math.nan)]), "rescale"),
    "slope infinite": (lambda: nifti_file(GRID, patch=[(112, "f", math.inf)]), "rescale"),
    "offset infinite": (lambda: nifti_file(GRID, patch=[(116, "f", math.inf)]), "rescale"),
    "NaN voxels": (with_nan, "not numbers"),
    "4-D": (four_d, "not one volume"),
    "colour": (coloured, "colour"),
    "complex": (lambda: nifti_file(GRID, patch=[(70, "h", 32), (72, "h", 64)]), "complex"),
    "unknown numbers": (lambda: nifti_file(GRID, patch=[(70, "h", 77)]), "unknown kind"),
    "wrong bits": (lambda: nifti_file(GRID, patch=[(72, "h", 32)]), "contradicts"),
    "truncated": (lambda: PLAIN[:-500], "ends before"),
    "header only": (lambda: PLAIN[:348], "ends before"),
    "excess": (lambda: PLAIN + b"\0" * 64, "more data"),
    "lying size": (lambda: nifti_file(GRID, patch=[(42, "h", 30000)]), "voxels|ends before"),
    "huge size": (lambda: nifti_file(GRID, patch=[(42, "3h", (32000, 32000, 32000))]), "declares a volume"),
    "negative size": (lambda: nifti_file(GRID, patch=[(42, "h", -3)]), "impossible size"),
    "nine axes": (lambda: nifti_file(GRID, patch=[(40, "h", 9)]), "impossible size"),
    "bad offset": (lambda: nifti_file(GRID, patch=[(108, "f", 3.5)]), "voxels begin"),
    "infinite offset": (lambda: nifti_file(GRID, patch=[(108, "f", math.inf)]), "voxels begin"),
    "pair": (lambda: nifti_file(GRID, patch=[(344, "3s", b"ni1")]), "pair"),
    "mask": (lambda: nifti_file(GRID, dtype="<u1", data=(HU > 0).astype(np.uint8)), "mask"),
    "wide mask": (lambda: nifti_file(GRID, data=(HU > 0).astype(np.int16)), "mask"),
    "normalised": (lambda: nifti_file(GRID, dtype="<f4", data=(HU + 1000) / 2500), "normalised"),
    "z-scores": (lambda: nifti_file(GRID, dtype="<f4", data=(HU - HU.mean()) / HU.std()), "normalised"),
    "constant": (lambda: nifti_file(GRID, data=HU * 0), "one value"),
    "too large for a CT": (lambda: nifti_file(GRID, dtype="<f4", data=HU * 100), "range"),
    "single slice": (lambda: nifti_file(Grid(shape=(24, 20, 1))), "single slice"),
}  # fmt: skip
