"""Columns that are not read though they set rows apart: specimens, relatives, persons, words that take a row back.

Nothing is left out for them, as they may mean something else; each is said.
"""

from __future__ import annotations

import pandas as pd

from core.events.yes_no import NO, NULLS
from core.intake.record.checks.row_status import is_void
from core.intake.record.columns.names import (
    may_leave_out,
    names_persons,
    names_relatives,
    names_specimens,
    says_current,
    unknown_names,
)
from core.intake.record.columns.text_cells import plain_texts
from core.wording import count_of

_SELF = NO | {"self", "patient", "own", "index", "selbst", "eigen", "patientin", "proband"}
_RELATIVES = frozenset(
    """mother father parent sister brother sibling son daughter child baby newborn fetus foetus twin donor spouse
    partner husband wife grandmother grandfather aunt uncle cousin relative mutter vater schwester bruder sohn
    tochter kind neugeborenes fötus spender spenderin ehefrau ehemann mère père sœur frère fils fille enfant madre
    padre hermana hermano hijo hija donante""".split()  # noqa: SIM905
)


def note_contexts(table: pd.DataFrame, kept: pd.DataFrame, notes: list[str]) -> None:
    """Says what columns of `table` that are not read tell of its rows, whose fields `kept` holds."""
    specimens, relatives, taken_back = 0, 0, pd.Series(False, index=table.index)
    for name in unknown_names(table):
        if not sets_apart(name, pd.Series(table[name].unique(), dtype=object)):
            continue
        texts = plain_texts(table[name]).str.lower()
        specimens += _more_than_one(kept["code"], texts) if names_specimens(name) else 0
        relatives += int((~texts.isin(_SELF | NULLS)).sum()) if _tells_relatives(name, texts) else 0
        if "subject_id" in kept and names_persons(name) and (several := _more_than_one(kept["subject_id"], texts)):
            notes.append(
                "With more than one name or number of a person in a column that is not read, so that events may be of "
                f"several: {count_of(several, 'patient')}."
            )
        if not may_leave_out(name):
            taken_back |= is_void(texts) | (texts.isin(NO) if says_current(name) else False)
    if specimens:
        notes.append(f"Of more than one specimen or body site, which is not read: {count_of(specimens, 'code')}.")
    if relatives:
        notes.append(f"Of a relative, as a column says that is not read: {count_of(relatives, 'event')}.")
    if taken_back.any():
        count = count_of(int(taken_back.sum()), "event")
        notes.append(f"Kept, though a column that is not read says “ruled out”, “cancelled” or the like: {count}.")


def sets_apart(name: str, values: pd.Series[str]) -> bool:
    """Whether a column with these distinct values may set rows apart, so that a note must be made of it.

    >>> sets_apart("specimen_type", pd.Series(["blood", "urine"])), sets_apart("specimen_type", pd.Series(["blood"]))
    (True, False)
    >>> sets_apart("dx_type", pd.Series(["Final", "Ruled out"])), sets_apart("dx_type", pd.Series(["Final"]))
    (True, False)
    """
    texts = plain_texts(values).str.lower()
    several = texts[texts != ""].nunique() > 1 and (names_specimens(name) or names_persons(name))
    relatives = _tells_relatives(name, texts) and bool((~texts.isin(_SELF | NULLS)).any())
    past = says_current(name) and bool(texts.isin(NO).any())
    return several or relatives or past or bool(is_void(texts).any())


def _tells_relatives(name: str, texts: pd.Series[str]) -> bool:
    """Whether a column tells of whom in a family an event is, by its name or by all of its words (lower case)."""
    return names_relatives(name) or set(texts.unique()) <= _RELATIVES | _SELF | NULLS


def _more_than_one(keys: pd.Series[str], texts: pd.Series[str]) -> int:
    """How many keys stand beside more than one text."""
    pairs = pd.DataFrame({"key": plain_texts(keys), "text": texts})
    pairs = pairs[~pairs["text"].isin(NULLS)].drop_duplicates()
    return int((pairs["key"].value_counts() > 1).sum())
