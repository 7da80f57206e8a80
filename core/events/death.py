"""Which entries of a record say that the patient died, and when that was known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.yes_no import MISSING, NO, YES
from core.records import Timeline

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
