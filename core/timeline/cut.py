"""The one cut at the prediction time: nothing after it, and nothing that was not yet known at it, reaches a feature."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.records import Timeline
from core.timeline.texts import MISSING, NO, YES

KNOWN_FROM = "known_from"
"""The column of a table of events that says from when on an event is known: when it was recorded, mostly."""

_DEATHS = frozenset(
    ("meds death", "death", "dead", "died", "deceased", "date of death", "death date", "time of death", "deathtime",
     "cause of death", "deceased date", "patient died", "verstorben", "exitus", "exitus letalis", "419099009",
     "419620001", "397709008", "371828006", "31211-6", "69453-9", "80616-6", "81956-5")
)  # fmt: skip
"""Parts of codes that say that the patient died, SNOMED and LOINC among them, unless their value denies it."""
_FLAGS = frozenset(
    ("mortality", "hospital mortality", "in hospital mortality", "hospital expire flag", "deceased boolean", "expired",
     "death flag", "died flag", "mortality flag", "mortality 30d", "mortality 30 days", "30 day mortality",
     "mortality 90d", "mortality 1y")
)  # fmt: skip
"""Parts of codes that say so where their value is yes."""
_DISCHARGES = frozenset(
    ("discharge disposition", "discharge status", "discharge location", "discharge destination", "entlassungsgrund",
     "entlassungsart")
)  # fmt: skip
_OUTCOMES = _DEATHS | _FLAGS | _DISCHARGES | frozenset(
    ("alive", "vital status", "vitalstatus", "survival status", "death datetime", "dod", "67162-8", "hospital outcome",
     "days to death", "time to death", "time to death days", "time to death months", "survival time", "survival days",
     "survival months", "overall survival", "overall survival days", "overall survival months", "overall survival time",
     "overall survival status",
     "os days", "os months", "os time", "os status", "os event")
)  # fmt: skip
"""Parts of codes that tell whether a patient died or lives."""
_ASKED = _OUTCOMES | {"disposition", "outcome", "patient status", "living status", "status of patient"}
"""Parts of codes whose value may say so."""
_SAYS_DEAD = re.compile(
    r"(?:the )?(?:patient |hospital )?(?:is |has |had )?(?:dead|deceased|died|expired|death|exitus|tot|tod"
    r"|verstorben|gestorben|décédée?|fallecid[oa]|muert[oa])\b(?! of\b).*|exp"
)
_NOT_DEAD = (
    NO | MISSING - {""} | {"alive", "living", "lebt", "unknown", "negative", "absent", "not applicable", "unbekannt"}
)
EXPIRED_ON_BILLS = frozenset(("20", "40", "41", "42"))
"""Discharge status on American bills (UB-04): expired, in hospital or elsewhere."""


def says_died(events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which events say that the patient died, by their code or by their value.

    >>> codes = ["MEDS_DEATH", "Vital status", "Vital status", "alive", "died", "Discharge disposition"]
    >>> texts = [None, "Deceased", "alive", "no", "no", "Expired (in hospital)"]
    >>> says_died(pd.DataFrame({"code": codes, "text_value": texts, "numeric_value": np.nan})).tolist()
    [True, True, False, True, False, True]
    """
    named = events["code"].unique()
    died = events["code"].isin([code for code in named if not _ASKED.isdisjoint(_parts(code))]).to_numpy(bool)
    asked = events[died]
    died[died] = [_died(code, answer) for code, answer in zip(asked["code"], _answers(asked))]
    return died


def last_time_before_death(timeline: Timeline) -> pd.Timestamp | None:
    """When the last event before a recorded death was; None where the record tells of no death, or begins with it."""
    events = timeline.events
    deaths = events.loc[says_died(events), "time"].dropna()
    before = events.loc[events["time"] < deaths.min(), "time"] if len(deaths) else deaths[:0]
    return None if before.empty else pd.Timestamp(before.max())


def _answers(events: pd.DataFrame) -> Iterator[str]:
    """The value of each event in lower case, "" without one."""
    for text, number in zip(events["text_value"], events["numeric_value"]):
        yield f"{number:g}" if number == number else str(text or "").strip().lower()


def _died(code: str | None, answer: str) -> bool:
    parts = _parts(code)
    if parts & _DEATHS:
        return answer not in _NOT_DEAD
    if parts & _FLAGS:
        return answer in YES or any(part.startswith("discharge") for part in parts)
    if "alive" in parts:
        return answer in NO
    is_billed = answer in EXPIRED_ON_BILLS and not parts.isdisjoint(_DISCHARGES | {"disposition"})
    return is_billed or bool(parts & _ASKED and _SAYS_DEAD.fullmatch(answer))


def outcomes(codes: Iterable[str | None]) -> npt.NDArray[np.bool_]:
    """Which codes tell whether the patient died: without a time, nobody knows from when on that was known.

    >>> outcomes(["MEDS_DEATH", "Vital status//deceased", "SNOMED//419099009", "LAB//dead space", None]).tolist()
    [True, True, True, False, False]
    """
    return np.array([not _OUTCOMES.isdisjoint(_parts(code)) for code in codes], bool)


def may_tell_of_death(codes: Iterable[str | None]) -> npt.NDArray[np.bool_]:
    """Which codes' values may say that the patient died, such as a disposition."""
    return np.array([not _ASKED.isdisjoint(_parts(code)) for code in codes], bool)


def _parts(code: str | None) -> set[str]:
    """What a code names, such as "discharge status" in "Discharge_Status code"."""
    return {_plain(part).removesuffix(" code") for part in str(code or "").split("//")}


def _plain(part: str) -> str:
    return part if re.fullmatch(r"[\d-]+", part) else re.sub(r"[\s_()-]+", " ", part).strip().lower()


def known_times(events: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """From when on each event is known: its time, or a later `known_from`; NaT for static facts."""
    times, known = events["time"], events.get(KNOWN_FROM)
    return times if known is None else known.where(~(known <= times), times).fillna(times)


def undated_outcomes(events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which events tell whether the patient died, but neither when nor from when on it was known."""
    return _telling(events, known_times(events).isna().to_numpy(bool))


def _telling(events: pd.DataFrame, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Those `among` the events that tell whether the patient died."""
    if "code" not in events or not among.any():
        return np.zeros(len(events), bool)
    told = outcomes(events.loc[among, "code"])
    if "text_value" in events and "numeric_value" in events:
        told |= says_died(events[among])
    found = among.copy()
    found[among] = told
    return found


def cut_at(events: pd.DataFrame, prediction_time: pd.Timestamp) -> tuple[pd.DataFrame, int]:
    """Events that had happened and were known at `prediction_time`, and how many were not or may not have been.

    A death or vital status without any time is never known: it would tell what is to be predicted; neither is a death
    at midnight of the prediction time's own day, as deaths dated by their day are.

    events: any table with a `time` column (NaT for static facts) and perhaps a `known_from` column.
    Returns (kept, later_count): kept is sorted by time (stable, static facts first) with a fresh 0..n-1 index, so the
    row number can serve as the event id, and without `known_from`. The input is not changed.

    >>> table = pd.DataFrame({"time": pd.to_datetime(["2020-01-03", None, "2020-01-01"]), "code": ["c", "s", "a"]})
    >>> kept, later = cut_at(table, pd.Timestamp("2020-01-02"))
    >>> list(kept["code"]), later
    (['s', 'a'], 1)
    >>> recorded_later = table.assign(known_from=pd.to_datetime([None, None, "2020-01-05"]))
    >>> list(cut_at(recorded_later, pd.Timestamp("2020-01-04"))[0]["code"])
    ['s', 'c']
    """
    later = (known_times(events) > prediction_time).to_numpy() | undated_outcomes(events)
    later |= deaths_of_the_day(events, prediction_time)
    kept = events[~later].sort_values("time", kind="stable", na_position="first", ignore_index=True)
    return kept.drop(columns=KNOWN_FROM, errors="ignore"), int(later.sum())


def deaths_of_the_day(events: pd.DataFrame, prediction_times: pd.Timestamp | pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
    """Deaths known from 00:00 of the prediction time's day, which is later: their time of day was hardly recorded.

    prediction_times: one for all events, or one for each.
    """
    day = prediction_times.normalize()
    of_the_day = (known_times(events) == day).to_numpy(bool) & np.asarray(day < prediction_times)
    return _telling(events, of_the_day)
