"""Cells of a table as texts: stripped, and which of them stand for nothing, for yes and for no."""

from __future__ import annotations

import pandas as pd

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "unk", "nat", "<na>"))
"""What stands for an absent time or value."""
YES = frozenset(("1", "1.0", "yes", "y", "true", "t", "x", "ja", "j", "oui", "si", "sí"))
NO = frozenset(("0", "0.0", "no", "n", "false", "f", "nein", "non", "nicht"))


def plain_texts(column: pd.Series[str]) -> pd.Series[str]:
    """A column as stripped texts, "" where empty."""
    return column.fillna("").astype(str).str.strip()


def clean_texts(texts: pd.Series[str]) -> list[str | None]:
    """Stripped texts; None where empty."""
    return [str(value).strip() or None if pd.notna(value) else None for value in texts]


def first_filled(*columns: pd.Series[str]) -> pd.Series[str]:
    """Row by row, the first text of several columns that is not empty."""
    found = columns[0]
    for other in columns[1:]:
        found = found.where(found != "", other)
    return found
