"""Factors of a record: how long, how full, how fresh, and how much of it the model knows and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.events.kinds import kind_of
from core.quality.limits import ANY_RECORD, LIMITS, VIRTUAL_RECORD
from core.quality.report import Factor
from core.records import BIRTH, Timeline, Tokens
from core.wording import count_of, days_from_zero_words, span_words

_TOLD_SHARE = 0.005


@dataclass(frozen=True)
class RecordRead:
    """What a model takes of a record.

    known_share: events whose code its vocabulary holds, 0 to 1. read_share: those of all events that it reads, fewer
    where it has room for so many only. from_day: day of the earliest one that is read (<= 0), birth apart; NaN where
    there is none. known_by: the known share apart, exactly, by a group, by no more than its chapter; empty where the
    model does not tell these apart.
    """

    known_share: float
    read_share: float
    from_day: float
    known_by: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, tokens: Tokens | None, timeline: Timeline) -> RecordRead:
        """What the tokens of a record say; None: the model knows none of its events."""
        if tokens is None or not len(tokens.values):
            return cls(0.0, 0.0, float("nan"))
        events = np.zeros(0, np.int64) if tokens.event_ids is None else tokens.event_ids[tokens.event_ids >= 0]
        days = timeline.days_from_prediction[events]
        days = days[np.isfinite(days) & (timeline.events["code"].to_numpy()[events] != BIRTH)]
        first = float(days.min()) if len(days) else float("nan")
        first = first if tokens.first_day is None else tokens.first_day
        return cls(tokens.known_share, tokens.coverage, first, tokens.known_by)

    @property
    def known_words(self) -> str:
        """How much is known, and how closely where that differs.

        >>> RecordRead(0.9, 0.9, -1.0).known_words
        '90% of events'
        >>> RecordRead(0.9, 0.9, -1.0, {"exact": 0.41, "category": 0.38, "chapter": 0.11}).known_words
        '90% of events: 41% exactly, 38% by category, 11% by chapter'
        """
        whole = f"{100 * self.known_share:.0f}% of events"
        if not any(share >= _TOLD_SHARE for level, share in self.known_by.items() if level != "exact"):
            return whole
        words = {"exact": "exactly", "category": "by category", "chapter": "by chapter"}
        told = [f"{100 * share:.0f}% {words[level]}" for level, share in self.known_by.items() if share >= _TOLD_SHARE]
        return f"{whole}: {', '.join(told)}"

    @property
    def is_cut(self) -> bool:
        """Are events left out whose code the model knows?"""
        return self.read_share < self.known_share

    def words(self, count: int) -> str:
        """What is left out, of a record of `count` events; "" where nothing is.

        >>> RecordRead(0.9, 0.25, -412.0).words(1000)
        'the model has room for 250 events: birth, what has no day, and the latest known, from 1.1 years before day 0'
        """
        if not self.is_cut:
            return ""
        room = f"the model has room for {count_of(round(self.read_share * count), 'event')}"
        if np.isnan(self.from_day):
            return f"{room} and read those that it knows, the latest first"
        earliest = days_from_zero_words(round(self.from_day))
        return f"{room}: birth, what has no day, and the latest known, from {earliest}"


def record_factors(timeline: Timeline, *, virtual_model: bool, read: RecordRead | None) -> tuple[Factor, ...]:
    """Every factor of a record.

    virtual_model: compare with the virtual training records. read: what the model takes of it; None where no model that
    reads records was chosen: then what the codes say of their vocabulary.
    """
    limits = VIRTUAL_RECORD if virtual_model else ANY_RECORD
    days = timeline.days_from_prediction[timeline.events["code"].to_numpy() != BIRTH]
    days = days[np.isfinite(days)]
    length, last = (float(-days.min()), float(-days.max())) if len(days) else (float("nan"), float("nan"))
    count = len(timeline.events)
    verdict = limits["events"].judge(count)
    like = "like the training records" if virtual_model else "enough to speak of a history"
    reason = like if verdict == "in" else _apart(count, virtual_model)
    events = Factor("events", verdict, count_of(count, "event"), reason, "ehr", limits["events"].words("events"))
    return (events, _length(length, virtual_model), _last(last, virtual_model), *_known(read, timeline))


def is_thin(timeline: Timeline, *, virtual_model: bool) -> bool:
    """Has the record dated events, but far fewer, or over a far shorter time, than the training records?"""
    limits = VIRTUAL_RECORD if virtual_model else ANY_RECORD
    days = timeline.days_from_prediction[timeline.events["code"].to_numpy() != BIRTH]
    days = days[np.isfinite(days)]
    if not len(days):
        return False
    found = {"events": float(len(timeline.events)), "length_days": float(-days.min())}
    return any(
        value < limits[name].usual[0] and limits[name].judge(value) == "outside" for name, value in found.items()
    )


def _apart(count: int, virtual_model: bool) -> str:
    if not virtual_model:
        return "too few to speak of a history"
    fewer = count < VIRTUAL_RECORD["events"].usual[0]
    return f"{'fewer' if fewer else 'more'} than in any training record"


def _length(length: float, virtual_model: bool) -> Factor:
    limit = (VIRTUAL_RECORD if virtual_model else ANY_RECORD)["length_days"]
    verdict = limit.judge(length)
    if verdict == "unknown" and virtual_model:
        reason = "every training record is dated, and this one holds no time"
        return Factor("record length", "outside", "no dated event", reason, "ehr")
    if verdict == "unknown":
        return Factor("record length", verdict, "no dated event", "the record holds no time", "ehr")
    found, (low, high) = span_words(length), limit.usual
    reason = "long enough" if verdict == "in" else f"nearly all training records run over {low:,} to {high:,} days"
    if not virtual_model and verdict != "in":
        reason = "a short history shows no chronic disease" if length < low else "longer than a life: dates are wrong"
    return Factor("record length", verdict, found, reason, "ehr", limit.words("days"))


def _last(last: float, virtual_model: bool) -> Factor:
    limit = (VIRTUAL_RECORD if virtual_model else ANY_RECORD)["last_event_days"]
    verdict = limit.judge(last)
    if verdict == "unknown":
        return Factor("last event", verdict, "no dated event", "the record holds no time", "ehr")
    found = "on day 0" if last < 1 else f"{count_of(round(last), 'day')} before day 0"
    reason = "fresh" if verdict == "in" else "the record is silent before day 0: what changed since is not in it"
    return Factor("last event", verdict, found, reason, "ehr", limit.words("days"))


def _vocabularies(timeline: Timeline) -> Factor:
    """How many events have a code that names a vocabulary, or come from a table that says their kind."""
    codes = timeline.events["code"]
    known = {code for code in codes.unique() if code in timeline.code_kinds or kind_of(code) != "other"}
    if codes.empty:
        return Factor("vocabularies", "unknown", "no event", "there is no code to look up", "ehr")
    share = float(codes.isin(known).mean())
    found = f"{100 * share:.0f}% of events"
    if share >= LIMITS["known_codes"].usual[0]:
        told = "nearly all codes name their vocabulary, or a table names their kind"
        return Factor("vocabularies", "in", found, told, "ehr")
    told = "the other codes name no vocabulary, as ICD10CM//I26.99 or LOINC//718-7 do; no model will know them"
    return Factor("vocabularies", LIMITS["known_codes"].judge(share), found, told, "ehr")


def _known(read: RecordRead | None, timeline: Timeline) -> tuple[Factor, ...]:
    count = len(timeline.events)
    if read is None:
        return (_vocabularies(timeline),)
    if not count:
        return (Factor("known codes", "unknown", "no event", "there is no code to look up", "ehr"),)
    share = read.known_share
    verdict = LIMITS["known_codes"].judge(share)
    usual, edge = (f"{100 * ends[0]:.0f}%" for ends in (LIMITS["known_codes"].usual, LIMITS["known_codes"].edge))
    reason = "the model's vocabulary holds them" if verdict == "in" else _known_words(share)
    compared = f"usual at least {usual}, edge at least {edge}"
    known = Factor("known codes", verdict, read.known_words, reason, "ehr", compared)
    if not read.is_cut:
        return (known,)
    found = f"{round(read.read_share * count):,} of {count:,}"
    return (known, Factor("events read", "edge", found, read.words(count), "unread"))


def _known_words(share: float) -> str:
    """How many of a record's events a model knows, where these are few.

    >>> _known_words(0.0), _known_words(0.38)[:27]
    ("the model knows none of this record's events", 'the model knows only 38% of')
    """
    if share == 0:
        return "the model knows none of this record's events"
    known = "fewer than 1%" if share < 0.005 else f"only {100 * share:.0f}%"
    return f"the model knows {known} of this record's events; it ignores the others"
