"""Where in their file rows stand: lines of a text, as an editor counts them, or rows of a parquet file.

Known where a source is one file only; else nothing is said rather than something that could be meant of another file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

LINE, ROW = "line", "row"
"""How a place is called; the name of the index of a table as its file has it, then of a column beside its fields."""
Places = pd.Series
"""The number of each row, called `LINE` or `ROW`; "" for what no row says."""
FIRST = 3
"""So many places are named."""


def numbered(table: pd.DataFrame, noun: str, numbers: Sequence[int]) -> pd.DataFrame:
    """A table whose index says where each row stands."""
    return table.set_axis(pd.Index(np.asarray(numbers, np.int32), name=noun), axis=0)


def places_of(table: pd.DataFrame) -> Places | None:
    """Where the rows of a table stand, by its index or its column; None where that is not known."""
    if table.index.name in (LINE, ROW):
        return pd.Series(table.index.to_numpy(), name=table.index.name)
    return next((table[noun] for noun in (LINE, ROW) if noun in table), None)


def at(places: Places | None, odd: pd.Series[bool]) -> str:
    """What is added to a sentence on rows: where the first of them stand; "" where it is not known.

    >>> places = pd.Series([2, 3, 5, 8, 9], name="line")
    >>> at(places, places == 5), at(places, places > 3), at(places, places > 2), at(None, places > 2)
    (', in line 5', ', in lines 5, 8 and 9', ', first in lines 3, 5 and 8', '')
    """
    if places is None:
        return ""
    found = places.loc[odd.index[odd.astype(bool)]]
    return at_numbers(str(places.name), [int(number) for number in found if number != ""])


def at_numbers(noun: str, numbers: Iterable[int]) -> str:
    """As `at`, of the numbers themselves."""
    found = sorted(numbers)
    if not found:
        return ""
    *others, last = map(str, found[:FIRST])
    words = f"{noun}s {', '.join(others)} and {last}" if others else f"{noun} {last}"
    return f", {'first ' if len(found) > FIRST else ''}in {words}"
