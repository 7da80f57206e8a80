"""Does every slice fit between its neighbours? Catches damaged streams without checksum and a slice's wrong rescale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.load.words import count_of

_STRIDE = 4
_REFUSE_HU, _REFUSE_TYPICAL, _REFUSE_APART = 60.0, 2.5, 1.6
"""Real series reach 1.6 times the typical step and 0.83 times the distance of the two neighbours."""


def refuse_outlier_slices(voxels: npt.NDArray[np.int16], slice_axis: int) -> list[str]:
    """Raise where a slice differs from both neighbours far more than they differ from each other; return doubts.

    voxels: int16 (i, j, k) HU. slice_axis: the axis along which slices were stacked.
    The measure is the mean absolute difference (HU) of slices, on every fourth row and column.
    """
    stack = np.moveaxis(voxels, slice_axis, 0)[:, ::_STRIDE, ::_STRIDE]
    if len(stack) < 4:
        return []
    step = np.array([_distance(stack[k], stack[k + 1]) for k in range(len(stack) - 1)])
    apart = np.array([_distance(stack[k - 1], stack[k + 1]) for k in range(1, len(stack) - 1)])
    nearer = np.minimum(step[:-1], step[1:])
    typical = float(np.median(step))
    odd = (nearer > _REFUSE_HU) & (nearer > _REFUSE_TYPICAL * typical) & (nearer > _REFUSE_APART * apart)
    if odd.any():
        raise UserFacingError(
            f"Unlike both neighbours by more than {_REFUSE_HU:.0f} HU on average: {count_of(int(odd.sum()), 'slice')}.",
            "slices that continue each other",
            "Export the series again; the data of these slices or their rescale are probably damaged.",
        )
    same = int((step == 0).sum())
    return [f"Identical to the next one: {count_of(same, 'slice')}."] if same else []


def _distance(one: npt.NDArray[np.int16], other: npt.NDArray[np.int16]) -> float:
    return float(np.abs(np.subtract(one, other, dtype=np.int32)).mean())
