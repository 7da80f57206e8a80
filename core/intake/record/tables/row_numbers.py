"""Where in their file rows stand: lines of a text, as an editor counts them, or rows of a parquet file.

Of several files each place names its file too, by its number in the order of names: a name may be somebody's.
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
_FILE = 10**9
"""What the number of a file counts in a place: no file has so many lines."""


def numbered(table: pd.DataFrame, noun: str, numbers: Sequence[int]) -> pd.DataFrame:
    """A table whose index says where each row stands."""
    return table.set_axis(pd.Index(np.asarray(numbers, np.int32), name=noun), axis=0)


def in_file(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """A table, columns named by field, whose places name the file that they are in."""
    return table.assign(
        **{noun: table[noun].astype(np.int64) + number * _FILE for noun in (LINE, ROW) if noun in table}
    )


def file_of(table: pd.DataFrame) -> int:
    """The file that the places of a table name; 0 where they name none."""
    numbers = next((table[noun] for noun in (LINE, ROW) if noun in table), None)
    return int(numbers.iloc[0]) // _FILE if numbers is not None and len(numbers) else 0


def places_of(table: pd.DataFrame) -> Places | None:
    """Where the rows of a table stand, by its index or its column; None where that is not known."""
    if table.index.name in (LINE, ROW):
        return pd.Series(table.index.to_numpy(), name=table.index.name)
    return next((table[noun].fillna("") for noun in (LINE, ROW) if noun in table), None)


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
    """As `at`, of the numbers themselves.

    >>> at_numbers("line", [2, 3, 5, 8]), at_numbers("line", [2 * 10**9 + 7, 1 * 10**9 + 3, 2 * 10**9 + 5])
    (', first in lines 2, 3 and 5', ', in line 3 of file 1 and in lines 5 and 7 of file 2, by name')
    """
    found = sorted(numbers)
    if not found:
        return ""
    files: dict[int, list[str]] = {}
    for number in found[:FIRST]:
        files.setdefault(number // _FILE, []).append(str(number % _FILE))
    parts = [f"in {_listed(noun, lines)}{f' of file {file}' if file else ''}" for file, lines in files.items()]
    named = ", by name" if any(files) else ""
    return f", {'first ' if len(found) > FIRST else ''}{' and '.join(parts)}{named}"


def _listed(noun: str, numbers: Sequence[str]) -> str:
    *others, last = numbers
    return f"{noun}s {', '.join(others)} and {last}" if others else f"{noun} {last}"
