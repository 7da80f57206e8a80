"""Numbers that the text in the same row says are none: bounds such as "<0.01", and fillers such as 9999999."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.kinds import kind_of
from core.events.yes_no import MISSING
from core.intake.record.columns.numbers import FloatColumn, has_own_note
from core.wording import count_of

_NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,2})?"
COMPARISONS = {
    "lt": "<", "less than": "<", "kleiner als": "<", "gt": ">", "greater than": ">", "more than": ">",
    "größer als": ">", "le": "<=", "lte": "<=", "at most": "<=", "höchstens": "<=", "ge": ">=", "gte": ">=",
    "at least": ">=", "mindestens": ">=", "eq": "=", "equal": "=", "equals": "=", "equal to": "=", "gleich": "=",
}  # fmt: skip
"""Words for the signs that compare a value with a number."""
COMPARISONS_BY_PLACE = {
    "below": "<", "under": "<", "unter": "<", "kleiner": "<", "above": ">", "over": ">", "über": ">", "größer": ">",
}  # fmt: skip
"""Only before a number, or in a column that is called so: elsewhere they tell of values below or above the normal."""
_WORDS = "|".join(word for word, sign in (COMPARISONS | COMPARISONS_BY_PLACE).items() if sign != "=" and len(word) > 3)
_BOUND = re.compile(rf"(?:<=?|>=?|≤|≥|&lt;|&gt;|(?:{_WORDS})\b)\s*{_NUMBER}\s*(?:[^\d\s].*)?", re.IGNORECASE)
_PLAIN = re.compile(_NUMBER)
Flags = npt.NDArray[np.bool_]
_FILLERS = np.array(
    [*(10**digits - 1 for digits in (5, 6, 7)), *(-(10**digits) + 1 for digits in (3, 4, 5, 6, 7))], np.float32
)
"""Numbers of nines alone that hardly anything measures: 99999 to 9999999, -999 to -9999999."""
_SUSPECTS = np.array(
    [*(sign * number for sign in (1, -1) for number in (99, 99.9, 99.99, 999, 999.9, 999.99, 9999, 9999.9)),
     32767, -32768, 65535, 2147483647, -2147483648], np.float32,
)  # fmt: skip
"""Numbers that systems write where there is none, but that may be measured: what lies far from all others is none."""
_FAR = 2.0
"""Chosen: so many times as large as any other value of the code; 99.9 beside 98 is a saturation."""
TAKEN_BACK = "Kept as text, as the text beside the number says that it is a bound, or is there in place of one"
"""The note on numbers of a cohort that are taken out."""
_FEW = 0.1
"""Chosen: up to this share of words a column that may hold either is one of numbers, as
`core.intake.record.column_questions` asks.
Above it, a word counts only where most values of its own code are numbers: results such as "negative" are usual."""


def settled_by_text(numbers: FloatColumn, texts: Sequence[str | None], notes: list[str]) -> FloatColumn:
    """The numbers without those that the text in their row says are a bound of the value, or no number at all.

    A text that names another number is said, and both are kept.
    """
    ids, distinct = pd.factorize(pd.Series(list(texts), dtype=object))
    bounds, fillers, others = _judged(numbers, ids, [str(text) for text in distinct])
    said = {
        "Kept as text, as the text beside the number says that it is a bound": bounds,
        "Kept as text, as the number beside the text is of nines alone, which stands for none": fillers,
        "With another number in the text beside it; both are shown, and models read the number": others,
    }
    notes += [f"{words}: {count_of(int(found.sum()), 'value')}." for words, found in said.items() if found.any()]
    return np.where(bounds | fillers, np.float32(np.nan), numbers)


def taken_back(numbers: FloatColumn, ids: npt.NDArray[np.int32], texts: Sequence[str]) -> Flags:
    """Which numbers `settled_by_text` takes out, of many rows whose texts are numbered: ids (n,), -1 for none."""
    bounds, fillers, _ = _judged(numbers, ids, texts)
    return bounds | fillers


def _judged(numbers: FloatColumn, ids: npt.NDArray[Any], texts: Sequence[str]) -> tuple[Flags, Flags, Flags]:
    """Which numbers are bounds, which fillers, and which differ from the number in their text."""
    plain = [bool(_PLAIN.fullmatch(text)) for text in texts]
    bounds = np.array([*map(is_bound, texts), False], bool)[ids]
    worded = np.array([*(not is_plain for is_plain in plain), False], bool)[ids]
    given, others = ~np.isnan(numbers), ~worded & (ids >= 0)
    for sign in (".", ""):
        named = [float(text.replace(",", sign)) if is_plain else np.nan for text, is_plain in zip(texts, plain)]
        others &= ~np.isclose(np.array([*named, np.nan])[ids], numbers, rtol=0.01, atol=0)
    fillers = is_filler(numbers) & ~bounds & (worded | others)
    return given & bounds, fillers, given & others & ~fillers


def names_another(numbers: FloatColumn, texts: pd.Series[str]) -> Flags:
    """Which texts beside numbers name another number, by more than 1 %."""
    ids, distinct = pd.factorize(texts)
    return _judged(numbers, ids, [str(text) for text in distinct])[2]


def is_bound(text: str) -> bool:
    """Whether a text is a number with a sign or word of comparison before it.

    >>> is_bound("<0.01"), is_bound("less than 5 mg/L"), is_bound("low")
    (True, True, False)
    """
    return bool(_BOUND.fullmatch(text))


def is_filler(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which numbers are of nines alone, as systems write where there is no number.

    >>> is_filler(np.array([9999999, -999, 999, 9999, 98.6, np.nan], np.float32)).tolist()
    [True, True, False, False, False, False]
    """
    return np.isin(numbers, _FILLERS)


def may_be_suspect(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which numbers are of nines or the ends of a computer's whole numbers, near others or not."""
    return np.isin(numbers, _SUSPECTS)


def is_far_suspect(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which numbers of one code are of nines or the ends of a computer's whole numbers, and far from all others.

    >>> is_far_suspect(np.array([71, 9999, 68], np.float32)).tolist()
    [False, True, False]
    >>> is_far_suspect(np.array([97, 99.9, 99], np.float32)).tolist()
    [False, False, False]
    """
    suspect = may_be_suspect(numbers)
    others = numbers[~suspect & ~is_filler(numbers) & ~np.isnan(numbers)]
    if not len(others):
        return np.isin(numbers, _SUSPECTS[-2:])
    below_zero = (numbers < 0) & (others.min() >= 0)
    is_far: Flags = (np.abs(numbers) >= _FAR * np.abs(others).max()) | below_zero
    return suspect & is_far


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
