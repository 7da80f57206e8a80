"""Scan and record held against each other: taken on day 0, and of one person, as far as both say."""

from __future__ import annotations

import math

import pandas as pd

from core.quality.limits import LIMITS
from core.quality.report import Factor, Verdict, worst
from core.records import OTHER_PERSON, AcquisitionFacts, CtStudy, Notice, Timeline
from core.wording import OLDEST_YEARS, days_from_zero_words

DAY, PERSON = "scan day", "patient match"
_MOST_YEARS = 130.0
"""Nobody has lived longer: the oldest person on record reached 122 years."""
_SEX = {"F": "woman", "M": "man", None: "person"}


def pair_factors(study: CtStudy, timeline: Timeline) -> tuple[Factor, ...]:
    """Whether the scan was taken on day 0, and whether sex and age, where both state them, are of one person.

    Virtual patients lived on no day, and are not judged.
    """
    if "virtual" in (study.origin, timeline.origin):
        return ()
    days = _days(study.facts, timeline)
    return (_day(days, study.facts.dates_shifted), *_person(study.facts, timeline, days))


def pair_notices(study: CtStudy | None, timeline: Timeline | None, put_together: bool) -> list[Notice]:
    """Doubt that scan and record are of one patient, in one sentence, what is known before what may be; and of one day.

    put_together: they come from two sources.
    """
    if study is None or timeline is None:
        return []
    factors = {factor.name: factor for factor in pair_factors(study, timeline)}
    person, day = factors.get(PERSON), factors.get(DAY)
    return [*_person_notices(study, timeline, put_together, person), *_day_notices(day, study.facts)]


def other_person(study: CtStudy, timeline: Timeline) -> str:
    """Who the scan is of and who the record, where sex or age differ; "" where they do not, or are not both known."""
    person = next((factor for factor in pair_factors(study, timeline) if factor.name == PERSON), None)
    return person.found if person is not None and person.verdict in ("edge", "outside") else ""


def scan_day(study: CtStudy | None, timeline: Timeline | None) -> int | None:
    """Calendar days from day 0 to that of the scan; None where not both are known by dates that nobody shifted."""
    if study is None or timeline is None or study.facts.dates_shifted or "virtual" in (study.origin, timeline.origin):
        return None
    return _days(study.facts, timeline)


def _days(facts: AcquisitionFacts, timeline: Timeline) -> int | None:
    """Days from day 0 to the scan as the dates are written, shifted or not."""
    if facts.taken is None:
        return None
    return int((pd.Timestamp(facts.taken).normalize() - timeline.prediction_time.normalize()).days)


def _day(days: int | None, shifted: bool) -> Factor:
    limit = LIMITS["scan_day"]
    if days is None:
        return Factor(DAY, "unknown", "not stated", "the file says no date", "pair")
    verdict = limit.judge(days)
    if verdict != "in" and shifted:
        reason = "the scan's dates were changed when it was de-identified, perhaps not as the record's"
        return Factor(DAY, "unknown", days_from_zero_words(days), reason, "pair")
    reason = "the models read scans of day 0"
    if days > limit.usual[1]:
        reason += ", and this one shows what was not known then"
    elif verdict != "in":
        reason += "; this one cannot show what happened since it was taken"
    return Factor(DAY, verdict, days_from_zero_words(days), reason, "pair", limit.words("days"))


def _person(facts: AcquisitionFacts, timeline: Timeline, days: int | None) -> tuple[Factor, ...]:
    days = 0 if days is None or facts.dates_shifted else days
    years = _years_then(timeline, days)
    sex, age = _sex_verdict(facts, timeline), LIMITS["years_apart"].judge(_years_apart(facts.age_years, years))
    verdict = worst((sex, age))
    if verdict == "unknown":
        return ()
    if verdict == "in":
        same = " and ".join(word for word, found in (("sex", sex), ("age", age)) if found == "in")
        return (Factor(PERSON, "in", f"same {same}", "the file and the record agree", "pair"),)
    found = f"a {_who(facts.sex, facts.age_years)} on the scan, a {_who(timeline.sex, years)} in the record"
    if years is not None and LIMITS["scan_day"].judge(days) != "in":
        found += " at that time"
    return (Factor(PERSON, verdict, found, "what the file and the record say of the patient differs", "pair"),)


def _sex_verdict(facts: AcquisitionFacts, timeline: Timeline) -> Verdict:
    if facts.sex is None or timeline.sex is None:
        return "unknown"
    return "in" if facts.sex == timeline.sex else "outside"


def _years_then(timeline: Timeline, days: int) -> float | None:
    """Age by the record so many days from day 0; None where it is not known, or where nobody can have lived then: one
    of the two calendars was shifted without a word, as where records are moved a century ahead."""
    years = math.nan if timeline.age_years is None else timeline.age_years + days / 365.25
    return max(years, 0.0) if -1 < years < _MOST_YEARS else None


def _years_apart(scanned: float | None, recorded: float | None) -> float:
    """How far two ages of one day lie apart; NaN where either is not known."""
    if scanned is None or recorded is None:
        return math.nan
    return abs(min(scanned, OLDEST_YEARS) - min(recorded, OLDEST_YEARS))


def _who(sex: str | None, years: float | None) -> str:
    if years is None:
        return _SEX[sex]
    if years >= OLDEST_YEARS:
        return f"{_SEX[sex]} over 89"
    return f"{_SEX[sex]} {f'of {int(years)}' if years >= 1 else 'under 1 year'}"


def _person_notices(study: CtStudy, timeline: Timeline, put_together: bool, person: Factor | None) -> list[Notice]:
    if (study.origin == "virtual") != (timeline.origin == "virtual"):
        text = f"This pair is not one patient: the scan is {_origin(study)} and the record is {_origin(timeline)}."
    elif person is not None and person.verdict in ("edge", "outside"):
        text = f"This may not be one patient: {person.found}, as the scan's file and the record say."
        return [Notice(OTHER_PERSON, "warning", text)]
    elif put_together:
        text = "CT and record were put together here. Unless they are of one person, this is a fabricated patient."
    else:
        return []
    return [Notice("fabricated_pair", "warning", text)]


def _day_notices(day: Factor | None, facts: AcquisitionFacts) -> list[Notice]:
    if day is None or day.verdict == "in":
        return []
    if day.verdict == "unknown":
        why = f"by its date it was taken {day.found}, but {day.reason}" if facts.taken else day.reason
        text = f"Nothing shows that the scan was taken on day 0, as the models take it to be: {why}."
        return [Notice("scan_day_unknown", "warning" if facts.taken else "caution", text)]
    text = f"By its date the scan was taken {day.found}: {day.reason}."
    return [Notice("other_day", "warning" if day.verdict == "outside" else "caution", text)]


def _origin(part: CtStudy | Timeline) -> str:
    return {"real": "of a real patient", "virtual": "of a virtual patient", "unknown": "of unknown origin"}[part.origin]
