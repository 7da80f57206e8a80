"""Numbers as laboratories and programs write them, turned into values without guessing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserFacingError
from core.events.yes_no import MISSING
from core.intake.record.columns.text_cells import by_distinct, matching, plain_texts
from core.intake.record.columns.units import is_unit
from core.intake.record.tables.row_numbers import Places, at
from core.wording import count_of

FloatColumn = npt.NDArray[np.float32]
LIKE_NUMBER = r"[<>]?=?\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"
"""What looks like a number, limits and commas included; what is read as one is narrower."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_COMMA_NUMBER = re.compile(r"[+-]?(\d+([., ]\d{3})*)?,\d+(\.\d+)?([eE][+-]?\d+)?")
_MINUS = re.compile(r"^\u2212(?=[\d.,])")
_NO_BREAK = "\u00a0\u2009\u202f"
_GROUPED = {
    None: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:[{_NO_BREAK}]\d{{3}})+(?:\.\d+)?"),
    "comma": re.compile(
        rf"[+-]?(?:[1-9]\d{{0,2}}(?:[. '\u2019{_NO_BREAK}]\d{{3}})+(?:,\d+)?|\d*(?:,\d+)?(?<=\d)(?:[eE][+-]?\d+)?)"
    ),
    "point": re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:[, '\u2019{_NO_BREAK}]\d{{3}})+(?:\.\d+)?"),
}
"""Numbers that are read under a decimal sign (None: not answered), besides plain ones."""
_BETWEEN = {None: rf"[{_NO_BREAK}]", "comma": rf"[. '\u2019{_NO_BREAK}]", "point": rf"[, '\u2019{_NO_BREAK}]"}
_PARTED_NUMBER = re.compile(r"[+-]?\d{1,3}(?:(?:[ '\u2019]\d{3})+|(?:\.\d{3}){2,}|(?:_\d{3})+)(?:[.,]\d+)?")
_WITH_UNIT = re.compile(r"[+-]?\d+(?:[.,]\d+)?\s*([^\d\s.,:/+-].*)")
_FLAGGED = re.compile(
    r"(?:[~≈*]|ca\.?|circa|approx\.?|about|[HL])\s*\d+(?:[.,]\d+)?|\d+(?:[.,]\d+)?\s*[*!↑↓]+|\d+(?:[.,]\d+|\s)\s*[+-]+",
    re.IGNORECASE,
)
"""A number beside a mark of what is abnormal or inexact ("5.5*", "4.1 +", "~5"); a grade is none ("2+")."""
_SHEET_ERROR = re.compile(r"#(?:DIV/0!|VALUE!|WERT!|REF!|BEZUG!|NAME\?|NUM!|ZAHL!|NULL!|NV)|#{3,}", re.IGNORECASE)
_LIKE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_JOINED = "the unit stands in the cell of the number"
_KEPT_AS = {
    "a space or another sign parts the digits": _PARTED_NUMBER,
    "a mark stands beside the number": _FLAGGED,
    "a formula of a spreadsheet stands in place of the value": re.compile(r"=.*\d.*"),
    "a spreadsheet's error (#VALUE!, ####) stands in place of the value": _SHEET_ERROR,
}
"""Why a text that seems to be a number stays text -> how it is written."""
_INFINITE = ("inf", "-inf", "+inf", "infinity", "-infinity")
_NO_RESULT = MISSING - {"none"}
"""What stands for an absent value. "None" is a result where it means that nothing was found (bacteria: None)."""


def parse_values(
    texts: pd.Series[str], *, numeric: bool = False, notes: list[str] | None = None, places: Places | None = None
) -> tuple[FloatColumn, list[str | None]]:
    """(numeric values, text values): a clean number becomes numeric, anything else stays text, never both.

    numeric: the column is for numbers alone, so that "None" in it means an absent one. notes: what seems to be a number
    and stays text is said. places: where the rows stand, for refusals.
    Raises UserFacingError for decimal signs in doubt, for infinities, and for numbers that would become 0.
    """
    given = plain_texts(texts)
    plain = plain_numbers(given)
    refuse_commas(plain)
    if (endless := by_distinct(plain, lambda some: some.str.lower().isin(_INFINITE))).any():
        raise infinite(at(places, endless))
    clean = matching(plain, _NUMBER)
    numbers = np.full(len(plain), np.nan, np.float64)
    numbers[clean.to_numpy(bool)] = plain[clean].astype(float)
    small = _as_float32(numbers)
    if np.isinf(small).any():
        raise infinite(at(places, pd.Series(np.isinf(small), index=plain.index, dtype=bool)))
    gone = plain[small == 0].str.contains(r"^[^eE]*[1-9]")
    if gone.any():
        raise too_small(int(gone.sum()), at(places, gone))
    if notes is not None:
        notes += _on_notation(plain[~clean], plain[clean])
    missing = by_distinct(plain, lambda some: some.str.lower().isin(MISSING if numeric else _NO_RESULT))
    return small, [None if skip else text for skip, text in zip(clean | missing, given)]


def _on_notation(kept: pd.Series[str], read: pd.Series[str]) -> list[str]:
    """What is said of texts that seem to be numbers, and of numbers that may be others."""
    counts = {why: int(matching(kept, pattern).sum()) for why, pattern in _KEPT_AS.items()}
    counts[_JOINED] = int(kept.isin(_with_units(kept)).sum())
    said = [f"Kept as text, as {why}: {count_of(count, 'value')}." for why, count in counts.items() if count]
    pointed = read[read.str.contains(".", regex=False)]
    if pointed.str.fullmatch(_LIKE_THOUSANDS).all() and pointed.str.contains(r"^\D?\d\d").any():
        said.append(
            "With three digits behind every point, as in 250.000; read as decimals, which is wrong if the point parts "
            f"thousands: {count_of(len(pointed), 'value')}."
        )
    return said


def has_own_note(text: str) -> bool:
    """Whether a text that is no number seems to be one, so that `parse_values` says why it is kept.

    >>> has_own_note("5 mg"), has_own_note("5.5*"), has_own_note("high")
    (True, True, False)
    """
    return any(pattern.fullmatch(text) for pattern in _KEPT_AS.values()) or _is_with_unit(text)


def _is_with_unit(text: str) -> bool:
    """Whether a text is a number and its unit ("5 mg")."""
    match = _WITH_UNIT.fullmatch(text)
    return match is not None and is_unit(match[1])


def _with_units(texts: pd.Series[str]) -> list[str]:
    return [text for text in texts.unique() if _is_with_unit(text)]


def plain_numbers(texts: pd.Series[str], decimals: str | None = None) -> pd.Series[str]:
    """Texts with numbers written plainly: - for a minus sign, a decimal point, nothing between thousands.

    Only what can mean one number is changed; decimals says which sign parts the decimals. Raises UserFacingError where
    that is the comma and a point parts them too.
    """
    distinct = pd.Series(texts.unique(), dtype=object).astype(str)
    signed = distinct.str.replace(_MINUS, "-", regex=True)
    grouped = signed.str.fullmatch(_GROUPED[decimals])
    pointed = signed.str.fullmatch(_NUMBER) & signed.str.contains(".", regex=False) & ~grouped
    if decimals == "comma" and pointed.any():
        count = int(texts.isin(distinct[pointed]).sum())
        raise UserFacingError(
            f"With a decimal point, though the decimal sign is the comma: {count_of(count, 'value')}.",
            "one decimal sign in the whole table",
            "Choose the other sign, or export the numbers alike.",
        )
    bare = signed.str.replace(_BETWEEN[decimals], "", regex=True).str.replace(",", ".", regex=False)
    return texts.map(dict(zip(distinct, bare.where(grouped, signed)))).astype(texts.dtype)


def refuse_commas(texts: pd.Series[str]) -> None:
    """Raises UserFacingError where numbers are written with commas."""
    if commas := int(matching(texts, _COMMA_NUMBER).sum()):
        raise decimal_comma(commas)


def decimal_comma(count: int) -> UserFacingError:
    """The refusal for numbers with a comma, which may stand for the decimal point or for thousands."""
    return UserFacingError(
        f"Written with a decimal comma or with commas between thousands: {count_of(count, 'value')}.",
        "numbers with a decimal point and nothing between thousands",
        "Say where the Load page asks which sign parts the decimals, or export with points.",
    )


_NO_UNIT = re.compile(
    r"[+-]?\d+[.,]\d+|[+-]?\d+(?:[.,]\d+)?\s*[-\u2013]\s*\d+(?:[.,]\d+)?|\d{4}-\d{2}-\d{2}.*|\d{1,2}[./]\d{1,2}[./]\d{4}.*"
)


def refuse_numbers_as_units(
    units: pd.Series[str], values: pd.Series[str], notes: list[str], places: Places | None = None
) -> None:
    """Raises where a unit is a bare number: the rest of a value whose decimal comma was taken for a separator; or a
    number, date, clock or range, so that the columns of value and unit were probably exchanged or shifted.

    The UCUM unit 1, of plain numbers, is none where it is the only such number; without a decimal point beside it, it
    is said.
    """
    given = plain_texts(units)
    if odd := int((is_odd := matching(given, _NO_UNIT)).sum()):
        raise UserFacingError(
            f"With a number, a range or a date in place of the unit: {count_of(odd, 'value')}{at(places, is_odd)}.",
            "units such as mg/dL in the column of units",
            "Check whether columns were exchanged or shifted, or say where the Load page asks which column is which.",
        )
    bare, unity = matching(given, r"\d+"), given == "1"
    whole = unity & ~plain_texts(values).str.contains(".", regex=False)
    if not (bare & ~unity).any():
        if whole.any():
            notes.append(f"With the unit 1, read as that of plain numbers: {count_of(int(whole.sum()), 'value')}.")
        return
    is_wrong = bare & (whole | ~unity)
    if wrong := int(is_wrong.sum()):
        raise UserFacingError(
            f"With a number in place of the unit, perhaps after a decimal comma that split it: "
            f"{count_of(wrong, 'value')}{at(places, is_wrong)}.",
            "units such as mg/dL",
            "Export with decimal points, or correct these rows.",
        )


def _as_float32(numbers: npt.NDArray[Any]) -> FloatColumn:
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32, copy=False)


def finite32(numbers: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Values as float32; raises UserFacingError where one is infinite, too large, or would become 0."""
    small = _as_float32(numbers)
    if np.isinf(small).any():
        raise infinite()
    if small is not numbers and (vanished := int(((small == 0) & (numbers != 0)).sum())):
        raise too_small(vanished)
    return small


def too_small(count: int, where: str = "") -> UserFacingError:
    """The refusal for numbers that are none in the precision of a timeline, single floats. where: as `at` says it."""
    return UserFacingError(
        f"Too small to be told from 0: {count_of(count, 'value')}{where}.", "measured numbers", "Correct them."
    )


def infinite(where: str = "") -> UserFacingError:
    """The refusal for infinite values. where: as `at` says it."""
    return UserFacingError(f"Some numeric values are infinite{where}.", "finite numbers", "Leave unknown values empty.")
