"""Columns that change what a row says, whatever their names: bounds beside numbers, and states of withdrawn rows."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserFacingError
from core.events.yes_no import MISSING, NO, YES
from core.intake.record.checks.mixed_values import COMPARISONS, COMPARISONS_BY_PLACE
from core.intake.record.columns.names import (
    compares,
    is_of_events,
    is_of_limits,
    is_of_states,
    logs_changes,
    may_leave_out,
    says_done,
    says_undone,
    unknown_names,
    words_of_name,
)
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.columns.unknown import VALUES
from core.wording import count_of

PLANNED = "as planned or proposed only"
AWAITED = "as registered only, without a result yet"
WITHDRAWN = "as entered in error, cancelled, refuted or not done"
_ODD_STATES = "Kept, though a column of states that are hardly the events' own says “refused” or the like"
_BOUNDS = frozenset(("<", ">", "<=", ">=", "≤", "≥"))
_SIGNS = _BOUNDS | {"=", "==", ""}
_NO_SIGN = MISSING | {"tx", "ni", "un", "ot"}
"""What stands among signs of comparison where there is none: in PCORnet a text, no information, unknown, other."""
_VOID = frozenset(
    (
        "entered in error", "in error", "error", "erroneous", "wrong patient", "cancelled", "canceled", "cancel",
        "not done", "not given", "not administered", "not taken", "not performed", "not carried out", "not tested",
        "no show", "noshow", "missed", "omitted", "held", "withheld", "declined", "rejected", "refuted", "ruled out",
        "excluded", "deleted", "voided", "void", "invalid", "withdrawn", "retracted", "refused", "aborted", "abandoned",
        "superseded", "duplicate", "absent", "not present", "negated", "denied", "storniert", "storno", "gelöscht",
        "ungültig", "ausgeschlossen", "nicht gegeben", "nicht durchgeführt", "abgesagt", "annulé", "anulado",
        "cancelado",
    )
)  # fmt: skip
_OF_OTHER_THINGS = frozenset(
    """error held missed omitted excluded declined refused rejected duplicate invalid void cancel absent
    denied""".split()  # noqa: SIM905
)
"""Words that take a row back in a column of states, but in any other may be said of something else."""
_PLANNED = frozenset(
    """planned draft preparation intended proposal proposed plan option scheduled booked geplant entwurf prévu
    programado""".split()  # noqa: SIM905
)
_AWAITED = frozenset(
    ("registered", "pending", "result pending", "awaiting result", "awaited", "ausstehend", "en attente", "pendiente")
)
_USUAL = frozenset(
    (
        "final", "completed", "complete", "done", "active", "inactive", "resolved", "preliminary", "amended",
        "corrected", "resulted", "verified", "validated", "signed", "given", "administered", "in progress", "finished",
        "arrived", "confirmed", "unconfirmed", "provisional", "differential", "suspected", "ordered", "requested",
        "on hold", "stopped", "new", "open", "closed", "valid", "ok", "performed", "dispensed", "issued", "unknown",
        "abgeschlossen", "bestätigt", "gesichert", "vorläufig", "verdacht", "freigegeben", "gegeben", "durchgeführt",
        "g", "v", "z", "a",
    )
)  # fmt: skip
_UNDONE = frozenset(("d", "delete", "deleted", "update_preimage", "before", "-d", "-u"))
_CHANGES = _UNDONE | frozenset(
    "i u r c insert inserted update updated update_postimage after create read +i +u".split()  # noqa: SIM905
)
_RESULT_STATES, _RESULT_VOID = frozenset("abcdfinoprsuvwx"), frozenset("dwx")
"""Letters of HL7 version 2 for the status of a result (table 0085): deleted, of a wrong patient, not obtainable."""
_OF_WHAT = re.compile(
    r"(?:specimen|sample|test|order|exam|procedure|result|dose|medication|visit|appointment) "
    r"(?:was |is |has been )?(?=\w)"
)


def settle_qualified(table: pd.DataFrame, kept: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """`kept`, columns of `table` named by field, with the bounds and withdrawn rows that its other columns tell.

    A number beside a sign such as < becomes the text "<5"; a withdrawn row says so in the column `left_out`.
    """
    for name in unknown_names(table):
        texts = plain_texts(table[name])
        if _is_log(name, texts):
            raise log_of_changes()
        if are_bounds(name, texts):
            kept = _bounded(kept, _as_signs(name, texts), notes)
        if not may_leave_out(name):
            continue
        reasons = why_left_out(name, texts, _is_bare(kept))
        if (reasons != "").any():
            before = kept["left_out"] if "left_out" in kept else pd.Series("", index=kept.index, dtype=object)
            kept = kept.assign(left_out=before.where(reasons == "", reasons))
        elif is_of_states(name) and (odd := int(_states(texts).isin(_VOID).sum())):
            notes.append(f"{_ODD_STATES}: {count_of(odd, 'event')}.")
    return kept


def _is_bare(kept: pd.DataFrame) -> pd.Series[bool]:
    """Which rows have neither a number nor a text."""
    bare = pd.Series(True, index=kept.index)
    for field in (*VALUES, "text_value"):
        if field in kept:
            bare &= plain_texts(kept[field]) == ""
    return bare


def is_event(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows of a text table are events; the others say why their event was left out."""
    if "left_out" not in table:
        return np.ones(len(table), bool)
    return (table["left_out"].fillna("") == "").to_numpy(bool)


def are_bounds(name: str, values: pd.Series[str]) -> bool:
    """Whether a column holds signs or words of comparison, and some that make a number a bound; nothing else but words
    for none, unless its name says that it compares.

    >>> [are_bounds("x", pd.Series(signs)) for signs in (["<", "", "="], ["=", ""], ["<", "H"], ["lt"], ["under"])]
    [True, False, False, True, False]
    >>> are_bounds("comparator", pd.Series(["under"])), are_bounds("RESULT_MODIFIER", pd.Series(["EQ", "LT", "xyz"]))
    (True, True)
    >>> are_bounds("x", pd.Series(["EQ", "LT", "TX"])), are_bounds("NORM_MODIFIER_HIGH", pd.Series(["LE", "GE"]))
    (True, False)
    """
    if is_of_limits(name):
        return False
    found = set(_as_signs(name, pd.Series(values.unique(), dtype=object)))
    others = {text.lower() for text in found - _SIGNS}
    return not _BOUNDS.isdisjoint(found) and (compares(name) or others <= _NO_SIGN)


def _as_signs(name: str, values: pd.Series[str]) -> pd.Series[str]:
    """Words of comparison as signs; other texts as they are."""
    known = COMPARISONS | COMPARISONS_BY_PLACE if compares(name) else COMPARISONS
    signs = {text: known.get(text.lower(), text) for text in values.unique()}
    return values.map(signs)


def _is_log(name: str, values: pd.Series[str]) -> bool:
    """Whether a column says what was done to its rows, and of some that they were deleted or replaced."""
    done = set(values.str.lower().unique()) - {""} if logs_changes(name) else set()
    return done <= _CHANGES and not done.isdisjoint(_UNDONE)


def log_of_changes() -> UserFacingError:
    """The refusal for a log of changes: what it deletes or replaces would count beside what is left."""
    return UserFacingError(
        "The table is a log of changes: its rows were inserted, replaced or deleted.",
        "the rows as they are now",
        "Export the table itself and not its changes.",
    )


def why_left_out(name: str, values: pd.Series[str], bare: pd.Series[bool]) -> pd.Series[str]:
    """Why a column of states, or one of a flag such as "deleted", leaves each row out; "" where it does not.

    bare: rows without a value, which are left out while their result is awaited.

    >>> bare = pd.Series([True, False])
    >>> (why_left_out("Order Status", pd.Series(["final", "Cancelled - duplicate"]), bare) != "").tolist()
    [False, True]
    >>> (why_left_out("deleted", pd.Series(["0", "1"]), bare) != "").tolist()
    [False, True]
    >>> (why_left_out("smoking_status", pd.Series(["never", "refused"]), bare) != "").tolist()
    [False, False]
    """
    none = pd.Series("", index=values.index, dtype=object)
    if not may_leave_out(name):
        return none
    states = _states(values)
    if says_done(name) or says_undone(name):
        if says_done(name) and not set(states.unique()) <= YES | NO | {""}:
            return none
        return none.mask(states.isin(YES if says_undone(name) else NO), WITHDRAWN)
    if not _are_states(name, states):
        return none
    reasons = none.mask(states.isin(_AWAITED) & bare, AWAITED).mask(states.isin(_PLANNED), PLANNED)
    return reasons.mask(states.isin(_void(words_of_name(name), states)), WITHDRAWN)


def speaks_of_states(name: str, values: pd.Series[str]) -> bool:
    """Whether a column leaves rows out, or seems to (`settle_qualified` says so), or makes the table no record."""
    if _is_log(name, values):
        return True
    reasons = why_left_out(name, values, pd.Series(True, index=values.index))
    return bool((reasons != "").any() or (is_of_states(name) and _states(values).isin(_VOID).any()))


def is_void(values: pd.Series[str]) -> pd.Series[bool]:
    """Which cells are no more than a word that takes a row back, and no number or single letter.

    >>> is_void(pd.Series(["Ruled out", "cancelled - duplicate", "PE was ruled out", "error", "a", ""])).tolist()
    [True, True, False, False, False, False]
    """
    return _states(values).isin(_VOID - _OF_OTHER_THINGS)


def withdraws(text: str) -> bool:
    """Whether a state of an event takes it back.

    >>> withdraws("Wrong patient"), withdraws("cancelled - duplicate"), withdraws("final")
    (True, True, False)
    """
    return _state(text) in _VOID


def is_usual_state(text: str) -> bool:
    """Whether a state is one that events that happened are known to have.

    >>> is_usual_state("Resulted"), is_usual_state("deleted"), is_usual_state("xyz")
    (True, False, False)
    """
    return _state(text) in _USUAL


def _states(values: pd.Series[str]) -> pd.Series[str]:
    """States in lower case, without the reason that follows ("Cancelled - duplicate", "refused by patient")."""
    known = {text: _state(text) for text in values.unique()}
    return values.map(known)


def _state(text: str) -> str:
    words = _OF_WHAT.sub("", re.sub(r"(?<=\w)[-_](?=\w)", " ", text.strip().lower()))
    return re.split(r"(?<=\S)\s*[-–:;,(/]|\s+(?:by|due|per|because)\b", words)[0].strip()


def _are_states(name: str, states: pd.Series[str]) -> bool:
    """Whether a column holds states of the events themselves, by its name and at least half of its words."""
    found = {text for text in states.unique() if text}
    usual = found & (_VOID | _PLANNED | _AWAITED | _USUAL)
    lettered = found <= _RESULT_STATES
    return is_of_events(name) and bool(found) and (lettered or 2 * len(usual) >= len(found))


def _void(plain: str, states: pd.Series[str]) -> frozenset[str]:
    """The words of a column that withdraw a row: in diagnoses in German "A", of results the letters of HL7."""
    if plain == "diagnosesicherheit":
        return _VOID | {"a"}
    found = {text for text in states.unique() if text}
    return _VOID | _RESULT_VOID if found <= _RESULT_STATES and found & {"f", "c", "p"} else _VOID


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
