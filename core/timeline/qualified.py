"""Columns that change what a row says, whatever their names: bounds beside numbers, and states of withdrawn rows."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.load.words import count_of
from core.timeline.columns import plain_texts
from core.timeline.unread import VALUES, unknown_names

WITHDRAWN = "as entered in error, cancelled, refuted or not done"
_BOUNDS = frozenset(("<", ">", "<=", ">=", "≤", "≥"))
_SIGNS = _BOUNDS | {"=", "==", ""}
_STATE = re.compile(r"(?:^|_)(?:status|state|verification|certainty|validity|diagnosesicherheit)(?:_|$)")
_FLAG = re.compile(
    r"(?:is_|was_|flag_)?(?:deleted|cancell?ed|voided|withdrawn|retracted|negated|negation|refuted|ruled_out"
    r"|entered_in_error|in_error|not_done|storniert|storno|geloescht|gelöscht)(?:_flag)?"
)
_VOID = frozenset(
    (
        "entered-in-error", "entered in error", "in error", "cancelled", "canceled", "not-done", "not done",
        "not given", "not administered", "not-taken", "refuted", "ruled out", "ruled-out", "excluded",
        "deleted", "voided", "void", "invalid", "withdrawn", "retracted", "refused", "storniert", "storno",
        "gelöscht", "ungültig", "ausgeschlossen", "nicht gegeben", "annulé", "anulado", "cancelado",
    )
)  # fmt: skip
_TRUE = frozenset(("1", "1.0", "true", "t", "yes", "y", "x", "ja", "j", "oui", "si", "sí"))


def settle_qualified(table: pd.DataFrame, kept: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """`kept`, columns of `table` named by field, with the bounds and withdrawn rows that its other columns tell.

    A number beside a sign such as < becomes the text "<5"; a withdrawn row says so in the column `left_out`.
    """
    for name in unknown_names(table):
        texts = plain_texts(table[name])
        if are_bounds(texts):
            kept = _bounded(kept, texts, notes)
        elif (gone := withdrawn(name, texts)).any():
            before = kept["left_out"] if "left_out" in kept else pd.Series("", index=kept.index, dtype=object)
            kept = kept.assign(left_out=before.where(~gone, WITHDRAWN))
    return kept


def is_event(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows of a text table are events; the others say why their event was left out."""
    if "left_out" not in table:
        return np.ones(len(table), bool)
    return (table["left_out"].fillna("") == "").to_numpy(bool)


def are_bounds(values: pd.Series[str]) -> bool:
    """Whether a column holds signs of comparison alone, and some that make a number a bound.

    >>> are_bounds(pd.Series(["<", "", "="])), are_bounds(pd.Series(["=", ""])), are_bounds(pd.Series(["<", "H"]))
    (True, False, False)
    """
    found = set(values.unique())
    return found <= _SIGNS and not _BOUNDS.isdisjoint(found)


def withdrawn(name: str, values: pd.Series[str]) -> pd.Series[bool]:
    """Which rows a column of states, or one of a flag such as "deleted", withdraws.

    >>> withdrawn("Order Status", pd.Series(["final", "Cancelled"])).tolist()
    [False, True]
    >>> withdrawn("deleted", pd.Series(["0", "1"])).tolist()
    [False, True]
    """
    plain = re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_")
    folded = values.str.lower()
    if _FLAG.fullmatch(plain):
        return folded.isin(_TRUE)
    is_german = plain == "diagnosesicherheit"
    return folded.isin(_VOID | {"a"} if is_german else _VOID) & bool(_STATE.search(plain))


def _bounded(kept: pd.DataFrame, signs: pd.Series[str], notes: list[str]) -> pd.DataFrame:
    is_bound, changed = signs.isin(_BOUNDS), {}
    for field in VALUES:
        if field in kept:
            texts = plain_texts(kept[field])
            changed[field] = texts.where(~is_bound | (texts == ""), signs + texts)
    count = int((pd.DataFrame(changed)[is_bound] != "").any(axis=1).sum()) if changed else 0
    if count:
        notes.append(f"Kept as text, as a column beside it holds a sign such as <: {count_of(count, 'value')}.")
    return kept.assign(**changed)
