"""Words in a column of values where other rows have numbers: kept as text, and said, as a number may be missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.events.kinds import kind_of
from core.events.yes_no import MISSING
from core.timeline.numbers import FloatColumn, has_own_note
from core.timeline.text_beside_numbers import is_bound

_FEW = 0.1
"""Chosen: up to this share of words a column that may hold either is one of numbers, as `core.timeline.mapping` asks.
Above it, a word counts only where most values of its own code are numbers: results such as "negative" are usual."""


def words_among_numbers(
    numbers: FloatColumn, texts: Sequence[str | None], codes: Sequence[str | None], *, numeric: bool
) -> str | None:
    """The note on words in a column of values, row by row read as a number or kept as a text; None where there is none.

    codes: of the rows; facts such as the sex are words in any table. numeric: whether the column is for numbers alone.

    >>> numbers = np.array([4.1, np.nan, 3.9], np.float32)
    >>> words_among_numbers(numbers, [None, "high", None], ["K", "K", "K"], numeric=True)
    'Words where other rows have numbers: 1 of 3 values; kept as text.'
    """
    is_number = ~np.isnan(numbers)
    told = {text: text is not None and _is_word(text) for text in set(texts)}
    is_word = np.array([told[text] for text in texts], bool) & ~is_number
    if not is_word.any() or 2 * is_word.sum() >= is_word.sum() + is_number.sum():
        return None
    coded = pd.Series(list(codes), dtype=object)
    by_code = pd.DataFrame({"number": is_number, "word": is_word}).groupby(pd.factorize(coded)[0])
    if not numeric and is_word.sum() > _FEW * (is_word.sum() + is_number.sum()):
        is_word &= by_code["number"].transform("sum").to_numpy() > by_code["word"].transform("sum").to_numpy()
    static = {code for code in set(codes) if code and kind_of(code) == "demographics"}
    is_word &= ~coded.isin(list(static)).to_numpy(bool)
    given = int(is_number.sum()) + sum(text is not None for text in texts)
    words = int(is_word.sum())
    return f"Words where other rows have numbers: {words:,} of {given:,} values; kept as text." if words else None


def _is_word(text: str) -> bool:
    """Whether a text that is no number has letters, stands for a value, and is not said in another way.

    >>> [_is_word(text) for text in ("high", "see note 5", "<5", "less than 5", "n/a", "-", "~5", "5 mg")]
    [True, True, False, False, False, False, False, False]
    """
    worded = any(map(str.isalpha, text)) and text.lower() not in MISSING
    return worded and not is_bound(text) and not has_own_note(text)
