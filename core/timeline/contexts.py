"""Columns that are not read though they set rows apart: specimens, relatives, persons, words that take a row back.

Nothing is left out for them, as they may mean something else; each is said.
"""

from __future__ import annotations

import re

import pandas as pd

from core.timeline.columns import words_of_name
from core.timeline.qualified import is_void, may_leave_out
from core.timeline.texts import NO, NULLS, plain_texts
from core.timeline.unread import unknown_names
from core.words import count_of

_SPECIMEN = re.compile(
    r"(?:specimen|sample|fluid|body_site|matrix|material|probe|probenart|probenmaterial|untersuchungsmaterial)"
    r"(?:_(?:type|source|site|name|text|desc|description|material|art))?"
)
_RELATIVE = re.compile(r"(?:relation|relationship|relative|family_member|verwandtschaft|angehöriger?)(?:_\w+)?")
_FAMILY = re.compile(r"(?:is_)?(?:family_history|familienanamnese|fhx)(?:_flag)?")
_SELF = NO | {"self", "patient", "own", "index", "selbst", "eigen", "patientin", "proband"}
_PERSON = re.compile(
    r"(?:(?:pat|patient|patienten|person|subject)s?_)?(?:mrn|name|nachname|last_name|family_name|surname|familienname"
    r"|ssn|social_security_number|nhs_number|empi|usubjid|medical_record_number)"
)
_NO_PERSON = frozenset(("name",))
"""Alone, the name of a test rather than of a person."""


def note_contexts(table: pd.DataFrame, kept: pd.DataFrame, notes: list[str]) -> None:
    """Says what columns of `table` that are not read tell of its rows, whose fields `kept` holds."""
    specimens, relatives, taken_back = 0, 0, pd.Series(False, index=table.index)
    for name in unknown_names(table):
        if not sets_apart(name, pd.Series(table[name].unique(), dtype=object)):
            continue
        texts = plain_texts(table[name]).str.lower()
        specimens += _more_than_one(kept["code"], texts) if _is_specimen(name) else 0
        relatives += int((~texts.isin(_SELF | NULLS)).sum()) if _is_of_relatives(name) else 0
        if "subject_id" in kept and _is_of_persons(name) and (several := _more_than_one(kept["subject_id"], texts)):
            notes.append(
                "With more than one name or number of a person in a column that is not read, so that events may be of "
                f"several: {count_of(several, 'patient')}."
            )
        if not may_leave_out(name):
            taken_back |= is_void(texts)
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
    several = texts[texts != ""].nunique() > 1 and (_is_specimen(name) or _is_of_persons(name))
    relatives = _is_of_relatives(name) and bool((~texts.isin(_SELF | NULLS)).any())
    return several or relatives or bool(is_void(texts).any())


def _is_specimen(name: str) -> bool:
    return bool(_SPECIMEN.fullmatch(words_of_name(name)))


def _is_of_relatives(name: str) -> bool:
    plain = words_of_name(name)
    return bool(_RELATIVE.fullmatch(plain) or _FAMILY.fullmatch(plain))


def _is_of_persons(name: str) -> bool:
    plain = words_of_name(name)
    return bool(_PERSON.fullmatch(plain)) and plain not in _NO_PERSON


def _more_than_one(keys: pd.Series[str], texts: pd.Series[str]) -> int:
    """How many keys stand beside more than one text."""
    pairs = pd.DataFrame({"key": plain_texts(keys), "text": texts})
    pairs = pairs[~pairs["text"].isin(NULLS)].drop_duplicates()
    return int((pairs["key"].value_counts() > 1).sum())
