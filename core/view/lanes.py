"""A timeline as rows a chart can draw: lane, day, words, value, attribution and attention of each event."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.kinds import kind_of
from core.export.events import (
    TOP_EVENTS,
    ToldEntry,
    before_words,
    entries_name,
    hazard_factor,
    is_undated,
    strongest_entries,
    strongest_places,
    value_words,
    words_of,
)
from core.records import CaseReview, Timeline


def event_rows(timeline: Timeline, review: CaseReview | None) -> pd.DataFrame:
    """One row an event with a day: event_id, day, lane, code, words, value, number, unit, attribution, attention.

    attribution: log cumulative hazard at the horizon, NaN where the model gives none; attention: share, NaN likewise.
    """
    return _rows(timeline, review, ~is_undated(timeline))


def undated_rows(timeline: Timeline, review: CaseReview | None) -> pd.DataFrame:
    """The same rows of what stands for the person and not for a day: age, sex, and whatever has no time. day: NaN."""
    return _rows(timeline, review, is_undated(timeline)).assign(day=np.nan)


def _rows(timeline: Timeline, review: CaseReview | None, kept: npt.NDArray[np.bool_]) -> pd.DataFrame:
    events = timeline.events[kept]
    lanes = {code: kind_of(code, timeline.code_kinds) for code in events["code"].unique()}
    words = {code: words_of(timeline, code) for code in lanes}
    numbers = events["numeric_value"].to_numpy(np.float64)
    attribution, attention = _weights(len(timeline.events), review)
    return pd.DataFrame(
        {
            "event_id": np.flatnonzero(kept),
            "day": np.asarray(timeline.days_from_prediction)[kept],
            "lane": events["code"].map(lanes).to_numpy(),
            "code": events["code"].to_numpy(),
            "words": events["code"].map(words).to_numpy(),
            "number": numbers,
            "unit": events["unit"].to_numpy(),
            "value": [
                value_words(number, text, unit)
                for number, text, unit in zip(numbers, events["text_value"], events["unit"], strict=True)
            ],
            "attribution": attribution[kept],
            "attention": attention[kept],
        }
    )


def _weights(count: int, review: CaseReview | None) -> tuple[np.ndarray, np.ndarray]:
    attribution, attention = np.full(count, np.nan), np.full(count, np.nan)
    if review is None:
        return attribution, attention
    given = review.event_attribution
    if given is not None:
        attribution[given.event_ids] = given.values
    weights = review.attention
    if weights is not None and weights.ehr_weights is not None and weights.ehr_event_ids is not None:
        known = weights.ehr_event_ids >= 0
        attention[weights.ehr_event_ids[known]] = 0.0
        np.add.at(attention, weights.ehr_event_ids[known], weights.ehr_weights[known])
    return attribution, attention


def strongest(rows: pd.DataFrame) -> pd.DataFrame:
    """The `TOP_EVENTS` events that got most attention, one a code (its heaviest), heaviest first."""
    return rows.iloc[strongest_places(rows["attention"].to_numpy(), rows["code"].tolist(), TOP_EVENTS)]


def short_name(row: Mapping[Hashable, Any]) -> str:
    """An event of `event_rows` on one line.

    >>> short_name({"words": "Sodium", "value": "139 mmol/L", "day": -3.0})
    'Sodium 139 mmol/L, −3 d'
    """
    when = "" if np.isnan(row["day"]) else f", {before_words(float(row['day']))}"
    return f"{row['words']} {row['value']}".strip() + when


def entry_line(entry: ToldEntry, name: str) -> str:
    """Which way an entry moves the risk and by what factor, then its name, so that no narrow place cuts them.

    >>> entry_line(ToldEntry((3, 4), 4, -0.357), "Sodium, 2 entries")
    '↓ × 0.70 Sodium, 2 entries'
    """
    arrow = "\u2191" if entry.change > 0 else "\u2193"
    return f"{arrow} {hazard_factor(entry.change)} {name}"


def told_entries(rows: pd.DataFrame, review: CaseReview, timeline: Timeline) -> dict[ToldEntry, str]:
    """What changed the risk most, as the figure of an export lists it: each with its line. rows: every event."""
    if review.event_attribution is None:
        return {}
    by_event = {row["event_id"]: row for row in rows.to_dict("records")}
    return {
        entry: entry_line(
            entry,
            short_name(by_event[entry.event]) if len(entry.event_ids) == 1 else entries_name(timeline, entry),
        )
        for entry in strongest_entries(review.event_attribution)
    }


def read_words(timeline: Timeline, review: CaseReview | None, known: str) -> str:
    """How much of the record the model read, as it stands at the chart; "" where it reads none.

    known: how many codes it knows, as the quality of the record says it ("11% of events"), or "".
    """
    given = None if review is None else review.event_attribution
    if given is None:
        return ""
    count, every = len(given.event_ids), len(timeline.events)
    words = f"Read {count:,} of {every:,} events"
    words += f", {known.split(' ')[0]} of codes known" if known else ""
    days = np.asarray(timeline.days_from_prediction)[given.event_ids][~is_undated(timeline)[given.event_ids]]
    first = f"day \u2212{round(-float(days.min())):,}" if len(days) and days.min() < -0.5 else "day 0"
    return words + (f", from {first} on" if len(days) else "")


def together_of(event_ids: Collection[int], review: CaseReview | None) -> float | None:
    """What these events contribute together, where they are all that the record holds of one concept."""
    given = None if review is None else review.event_attribution
    groups = () if given is None else given.groups
    asked = set(event_ids)
    return next((group.contribution for group in groups if set(group.event_ids.tolist()) == asked), None)


def found(rows: pd.DataFrame, query: str) -> pd.DataFrame:
    """Rows whose words, code or value hold every word of the query, whatever the case."""
    kept = rows
    for word in query.lower().split():
        text = kept["words"].str.lower() + " " + kept["code"].str.lower() + " " + kept["value"].str.lower()
        kept = kept[text.str.contains(word, regex=False)]
    return kept
