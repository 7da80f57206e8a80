"""A slice that is nearly its neighbour: copied, and changed by less than the noise of a scan."""

from __future__ import annotations

import numpy as np

from core.errors import UserFacingError
from core.load.foreign_slices import Distances, Slices, shows_body
from core.words import count_of

_AROUND, _DOUBT, _REFUSE = 3, 0.5, 0.3
"""In nine real series and eleven variants of each (thinned, halves, sharp, smooth, noisy, cropped, thick and more) a
step is at least .73 times the smallest of the three before and after it; to a copy under 1 HU of noise it is .02 to
.07, under 3 HU .05 to .20 and under 6 HU .10 to .41."""


def doubts_of_near_copies(stack: Slices, step: Distances, *, measured: bool) -> list[str]:
    """A doubt for slices that differ from the next one far less than those around do; raises where that is clear.

    stack: samples of the slices (slices, rows, columns), HU. step: from each slice to the next. measured: whether a
    scanner reconstructed each slice. A step of 0 HU is told elsewhere, and what shows no body has little to differ by.
    """
    beside = np.lib.stride_tricks.sliding_window_view(np.pad(step, _AROUND, constant_values=np.inf), 2 * _AROUND + 1)
    floor = np.minimum(beside[:, :_AROUND].min(axis=1), beside[:, _AROUND + 1 :].min(axis=1))
    smaller = np.flatnonzero((step > 0) & (step < _DOUBT * floor)).tolist()
    near = [k for k in smaller if shows_body(stack[k]) and shows_body(stack[k + 1])]
    if not near:
        return []
    least = float((step[near] / floor[near]).min())
    found = (
        f"Nearly identical to the next one, from which it differs by {100 * least:.0f}% of what slices around do: "
        f"{count_of(len(near), 'slice')}."
    )
    if measured and least < _REFUSE:
        raise UserFacingError(
            found,
            "slices that were each measured, with noise of their own",
            "Export the series again; a slice was probably written in place of another.",
        )
    return [found]
