"""Numbers that the text in the same row says are none: bounds such as "<0.01", and fillers such as 9999999."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.timeline.numbers import FloatColumn
from core.words import count_of

_NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,2})?"
_BOUND = re.compile(rf"(?:<=?|>=?|≤|≥|&lt;|&gt;)\s*{_NUMBER}\s*(?:[^\d\s].*)?")
_PLAIN = re.compile(_NUMBER)
_FILLERS = np.array(
    [*(10**digits - 1 for digits in (5, 6, 7)), *(-(10**digits) + 1 for digits in (3, 4, 5, 6, 7))], np.float32
)
"""Numbers of nines alone that hardly anything measures: 99999 to 9999999, -999 to -9999999."""


def settled_by_text(numbers: FloatColumn, texts: Sequence[str | None], notes: list[str]) -> FloatColumn:
    """The numbers without those that the text in their row says are a bound of the value, or no number at all.

    A text that names another number is said, and both are kept.
    """
    given = pd.Series(list(texts), dtype=object)
    rows = np.flatnonzero(~np.isnan(numbers) & given.notna().to_numpy(bool))
    if not len(rows):
        return numbers
    beside = given.iloc[rows]
    distinct = pd.Series(beside.unique(), dtype=object)
    bounds = beside.isin(distinct[distinct.str.fullmatch(_BOUND)]).to_numpy(bool)
    others = _other_numbers(beside, distinct, numbers[rows])
    fillers = is_filler(numbers[rows]) & ~bounds & (others | ~beside.isin(distinct[distinct.str.fullmatch(_PLAIN)]))
    said = {
        "Kept as text, as the text beside the number says that it is a bound": bounds,
        "Kept as text, as the number beside the text is of nines alone, which stands for none": fillers,
        "With another number in the text beside it; both are shown, and models read the number": others & ~fillers,
    }
    notes += [f"{words}: {count_of(int(found.sum()), 'value')}." for words, found in said.items() if found.any()]
    settled = numbers.copy()
    settled[rows[bounds | fillers]] = np.nan
    return settled


def is_filler(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which numbers are of nines alone, as systems write where there is no number.

    >>> is_filler(np.array([9999999, -999, 999, 9999, 98.6, np.nan], np.float32)).tolist()
    [True, True, False, False, False, False]
    """
    return np.isin(numbers, _FILLERS)


def _other_numbers(beside: pd.Series[str], distinct: pd.Series[str], numbers: FloatColumn) -> npt.NDArray[np.bool_]:
    """Which texts are a plain number that differs from the one beside it by more than rounding."""
    plain = distinct[distinct.str.fullmatch(_PLAIN)]
    readings = [{text: float(text.replace(",", sign)) for text in plain} for sign in (".", "")]
    named = [beside.map(reading).to_numpy(np.float64) for reading in readings]
    same = [np.isclose(reading, numbers, rtol=0.01, atol=0) for reading in named]
    found: npt.NDArray[np.bool_] = ~np.isnan(named[0]) & ~same[0] & ~same[1]
    return found
