"""Pictures whose rows or columns lie elsewhere than they were measured: torn slices, and pictures that wrap round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.scan.checks.mixed_slices import Slices

Cells = npt.NDArray[np.float32]
_RANGE_HU = (-1000, 400)
"""Air to contrast: metal and its streaks would outweigh the body."""
_TOGETHER = 16
"""Slices that are worked on at once, few enough for the processor's cache."""
_SUSPECT, _LEAST_HU = 2.5, 6.0
"""How far a part of a slice leaves its neighbours over the same two slices away: in nine real series up to 5 % of thin
slices and a quarter of thick ones do so. Torn by 20 pixels it is 4 to 90 where the tear crosses the body."""
_BAND_SHARE, _BAND_LEAST, _ROWS_A_BAND = 32, 8, 2
_MOVED, _MOVED_RATIO, _MOVED_HU, _MOVED_BANDS, _STILL_BANDS = 3, 0.5, 30.0, 3, 2
"""Pixels that a band of rows must be moved by to fit its neighbours twice as well as it lies. In no intact slice of
these series, thick and noisy ones included, do two bands agree on that; torn by 5 pixels or more, 3 to 16 do, but for
some slices 8 mm apart."""
_EVERY, _DENSE_HU, _SEAM_FEWEST = 32, -500, 300
_SEAM_RATIO, _SEAM_ALIKE, _SEAM_INNER, _SEAM_DENSE = 1.5, 0.65, 0.5, 0.9
"""Opposite edges of real series that both show the body differ 2.6 times as much as two lines beside each other or
more, and correlate by at most .60, cropped in the middle of the chest or not; rolled by 30 or 50 % of their width, the
same series come to .84 to 1.36 and .69 to .98. A rod that lies along the rows is the same everywhere in them, and where
air itself is dense, the values are no HU."""
_FEW, _MIRRORED = 8, 1.3
"""These series and their variants differ from their mirror image 1.9 times as much or more, under 60 HU of noise."""


def refuse_torn_slices(whole: Slices, cells: Cells, first: str) -> None:
    """Raise where a part of a slice fits those beside it once it is moved sideways, while another part fits as it lies.

    whole: int16 (slices, rows, columns) HU. cells: its means (slices, rows / n, columns / n). first: "lowest" or
    "leftmost", from where slices are counted.
    """
    for planes, off in zip((whole, whole.transpose(0, 2, 1)), _off_in_lines(cells), strict=True):
        for k in _suspects(off):
            if moved := _moved(planes[k - 1], planes[k], planes[k + 1]):
                raise UserFacingError(
                    f"A part of slice {k + 1}, counted from the {first}, lies {moved} pixels beside where the slices "
                    "around it show it.",
                    "slices whose rows and columns continue each other",
                    "Export the series again; the data of this slice are probably damaged.",
                )


def _off_in_lines(cells: Cells) -> tuple[Cells, Cells]:
    """How far rows, and columns, of the cells of each inner slice leave the mean of its neighbours, HU: (slices - 2,
    rows) and (slices - 2, columns)."""
    count, rows, columns = cells.shape
    by_row, by_column = np.empty((count - 2, rows), np.float32), np.empty((count - 2, columns), np.float32)
    for first in range(0, count - 2, _TOGETHER):
        some = np.clip(cells[first : first + _TOGETHER + 2], *_RANGE_HU)
        off = some[:-2] + some[2:]
        off /= -2
        off += some[1:-1]
        np.abs(off, out=off)
        part = slice(first, first + len(off))
        by_row[part], by_column[part] = off.mean(axis=2), off.mean(axis=1)
    return by_row, by_column


def _suspects(off: Cells) -> list[int]:
    """Slices of which two lines of cells (slices - 2, lines), one beside the other, leave those around most clearly."""
    two = np.pad((off[:, :-1] + off[:, 1:]) / 2, ((2, 2), (0, 0)), mode="reflect")
    far, near = np.maximum(two[:-4], two[4:]), np.maximum(two[1:-3], two[3:-1])
    own = two[2:-2]
    odd = (own > _SUSPECT * np.maximum(far, _LEAST_HU)) & (own > near)
    return (1 + np.flatnonzero(odd.any(axis=1))).tolist()


def _moved(before: Slices, own: Slices, after: Slices) -> int:
    """Pixels by which several bands of rows (rows, columns) lie sideways while others do not; 0 where none do."""
    band = max(_BAND_LEAST, len(own) // _BAND_SHARE)
    rows = np.arange(0, len(own) - band + 1, band)[:, None] + np.arange(0, band, max(1, band // _ROWS_A_BAND))
    around = (before[rows].astype(np.float32) + after[rows]) / 2
    mine, theirs = (np.clip(lines, *_RANGE_HU) for lines in (own[rows].astype(np.float32), around))
    mine = mine - mine.mean(axis=(1, 2), keepdims=True)
    theirs = theirs - theirs.mean(axis=(1, 2), keepdims=True)
    size = own.shape[1]
    shared = np.fft.irfft((np.fft.rfft(mine) * np.conj(np.fft.rfft(theirs))).sum(axis=1), n=size)
    energy = (mine**2).sum(axis=(1, 2)) + (theirs**2).sum(axis=(1, 2))
    left = np.maximum(energy[:, None] - 2 * shared, 0)
    shift = (left.argmin(axis=1) + size // 2) % size - size // 2
    apart = np.sqrt(left[:, 0] / mine[0].size)
    moved = (np.abs(shift) >= _MOVED) & (left.min(axis=1) < _MOVED_RATIO * left[:, 0]) & (apart > _MOVED_HU)
    still = (
        (np.abs(shift) < _MOVED - 1) & (left[:, 0] < _MOVED_RATIO * energy) & (energy > 2 * mine[0].size * _MOVED_HU**2)
    )
    shifts, counts = np.unique(shift[moved], return_counts=True)
    if counts.max(initial=0) < _MOVED_BANDS or still.sum() < _STILL_BANDS:
        return 0
    return abs(int(shifts[counts.argmax()]))


def refuse_wrapped_pictures(whole: Slices) -> list[str]:
    """Raise where the body leaves all pictures at one edge and goes on at the opposite one; a doubt where the pictures
    are their own mirror image, as opposite edges of a test object that is cut off are then the same too.

    whole: int16 (slices, rows, columns) HU.
    """
    some = whole[:: max(1, len(whole) // _EVERY)]
    for planes, edges in ((some, "left and right"), (some.transpose(0, 2, 1), "upper and lower")):
        if planes.shape[2] >= _BAND_LEAST and _goes_on(planes) and (some > _DENSE_HU).mean() < _SEAM_DENSE:
            found = f"The body goes on from edge to edge: the {edges} edges of the pictures continue each other."
            if _is_symmetric(planes):
                return [found]
            raise UserFacingError(
                found,
                "pictures that show the body in one piece",
                "Export the series again; its pixels were probably shifted by a part of a picture.",
            )
    return []


def _is_symmetric(planes: Slices) -> bool:
    """Whether planes (slices, rows, columns) differ from their mirror image no more than columns beside each other."""
    some = np.clip(planes[:: max(1, len(planes) // _FEW)], *_RANGE_HU)
    apart, beside = np.abs(some - some[:, :, ::-1]).mean(), np.abs(some[:, :, 1:] - some[:, :, :-1]).mean()
    return bool(apart < _MIRRORED * beside)


def _goes_on(planes: Slices) -> bool:
    """Whether the first column of planes (slices, rows, columns) continues the last one, in its row or the one above.

    A shift of all pixels in the order they are stored moves what wraps round by one row.
    """
    edges = planes[:, :, 0] > _DENSE_HU
    edges &= planes[:, :, -1] > _DENSE_HU
    if np.count_nonzero(edges) < _SEAM_FEWEST:
        return False
    inside = np.linspace(0, planes.shape[2], 5).astype(int)[1:4].tolist()
    first, last, second, *inner = (
        np.clip(planes[:, :, place], *_RANGE_HU).astype(np.float32) for place in (0, -1, 1, *inside)
    )
    whole, below, above = slice(None), slice(1, None), slice(None, -1)
    return any(
        _continues(first[:, own], last[:, other], second[:, own], [line[:, own] for line in inner])
        for own, other in ((whole, whole), (below, above))
    )


def _continues(first: Cells, last: Cells, second: Cells, inner: Sequence[Cells]) -> bool:
    """Whether a line is as near to the last one as to the second, where either shows the body, and to no inner one."""
    dense, other = first > _DENSE_HU, last > _DENSE_HU
    both, either = dense & other, dense | other
    if np.count_nonzero(both) < _SEAM_FEWEST:
        return False
    apart, beside, *far = (float(np.abs(first - line)[either].mean()) for line in (last, second, *inner))
    if apart >= min(_SEAM_RATIO * beside, _SEAM_INNER * min(far)):
        return False
    one, two = (line[both] - line[both].mean() for line in (first, last))
    return bool((one @ two) > _SEAM_ALIKE * np.sqrt((one @ one) * (two @ two)))
