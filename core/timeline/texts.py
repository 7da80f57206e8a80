"""Cells of a table as texts: stripped, and which of them stand for nothing, for yes and for no."""

from __future__ import annotations

import pandas as pd

NULLS = frozenset(("", "null", "(null)", "[null]", "<null>", "\\n", "nan", "<na>", "#n/a"))
"""What databases, programs and spreadsheets write where a cell is empty, whatever the column."""
NULL_CODES = NULLS - {"nan"}
"""In a column of codes; there, "NAN" may be one, as "NA" is that of sodium."""
MISSING = NULLS | frozenset(("na", "n/a", "nat", "none", "unk"))
"""What stands for an absent time, value or unit."""
YES = frozenset(("1", "1.0", "yes", "y", "true", "t", "x", "ja", "j", "oui", "si", "sí"))
NO = frozenset(("0", "0.0", "no", "n", "false", "f", "nein", "non", "nicht"))


def plain_texts(column: pd.Series[str]) -> pd.Series[str]:
    """A column as stripped texts, "" where empty."""
    return column.fillna("").astype(str).str.strip()


def clean_texts(texts: pd.Series[str], missing: frozenset[str] = frozenset()) -> list[str | None]:
    """Stripped texts; None where empty, or one of those that stand for nothing, written in lower case.

    >>> clean_texts(pd.Series([" mg ", "", "NULL"]), NULLS), clean_texts(pd.Series(["NULL"]))
    (['mg', None, None], ['NULL'])
    """
    cleaned = {text: _cleaned(text, missing) for text in texts.dropna().unique()}
    return [cleaned.get(text) for text in texts]


def _cleaned(text: object, missing: frozenset[str]) -> str | None:
    plain = str(text).strip()
    return None if not plain or plain.lower() in missing else plain


def first_filled(*columns: pd.Series[str]) -> pd.Series[str]:
    """Row by row, the first text of several columns that is not empty."""
    found = columns[0]
    for other in columns[1:]:
        found = found.where(found != "", other)
    return found
