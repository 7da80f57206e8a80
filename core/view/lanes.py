"""A timeline as rows a chart can draw: lane, day, words, value, attribution and attention of each event."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.records import CaseReview, Timeline
from core.timeline import describe, kind_of

LANES = ("encounters", "diagnoses", "labs", "vitals", "medications", "procedures", "imaging", "demographics", "other")


UNIT_WORDS = {
    "mm[Hg]": "mmHg",
    "10*3/uL": "\u00d710\u00b3/\u00b5L",
    "Cel": "\u00b0C",
    "/min": "per min",
    "kg/m2": "kg/m\u00b2",
}
"""Everyday spelling of UCUM units that read oddly."""


def unit_words(unit: str) -> str:
    """A unit as clinicians write it.

    >>> unit_words("mm[Hg]"), unit_words("mg/dL")
    ('mmHg', 'mg/dL')
    """
    return UNIT_WORDS.get(unit, unit)


def value_words(value: float, text: object, unit: object) -> str:
    """Number with unit, or text, or nothing.

    >>> value_words(2310.0, None, "pg/mL"), value_words(float("nan"), "Ever smoker", None)
    ('2,310 pg/mL', 'Ever smoker')
    """
    suffix = f" {unit_words(unit)}" if isinstance(unit, str) and unit else ""
    if np.isfinite(value):
        digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"
        return digits + suffix
    return text if isinstance(text, str) else ""


def event_rows(timeline: Timeline, review: CaseReview | None) -> pd.DataFrame:
    """One row an event with a time: event_id, day, lane, code, words, value, number, unit, attribution, attention.

    attribution: log cumulative hazard at the horizon, NaN where the model gives none; attention: share, NaN likewise.
    """
    events = timeline.events
    lanes = {code: kind_of(code, timeline.code_kinds) for code in events["code"].unique()}
    words = {code: describe(code, timeline.code_descriptions) for code in lanes}
    rows = pd.DataFrame(
        {
            "event_id": np.arange(len(events)),
            "day": timeline.days_from_prediction,
            "lane": events["code"].map(lanes).to_numpy(),
            "code": events["code"].to_numpy(),
            "words": events["code"].map(words).to_numpy(),
            "number": events["numeric_value"].to_numpy(np.float64),
            "unit": events["unit"].to_numpy(),
            "value": [
                value_words(number, text, unit)
                for number, text, unit in zip(
                    events["numeric_value"], events["text_value"], events["unit"], strict=True
                )
            ],
        }
    )
    rows["attribution"], rows["attention"] = _weights(len(events), review)
    static = rows["day"].isna() | (rows["code"] == "MEDS_BIRTH")
    return rows[~static].reset_index(drop=True)


def _weights(count: int, review: CaseReview | None) -> tuple[np.ndarray, np.ndarray]:
    attribution, attention = np.full(count, np.nan), np.full(count, np.nan)
    if review is None:
        return attribution, attention
    given = review.event_attribution
    if given is not None:
        known = given.event_ids >= 0
        attribution[given.event_ids[known]] = given.values[known]
    weights = review.attention
    if weights is not None and weights.ehr_weights is not None and weights.ehr_event_ids is not None:
        known = weights.ehr_event_ids >= 0
        attention[weights.ehr_event_ids[known]] = 0.0
        np.add.at(attention, weights.ehr_event_ids[known], weights.ehr_weights[known])
    return attribution, attention


def strongest(rows: pd.DataFrame, measure: str = "attribution", count: int = 8) -> pd.DataFrame:
    """The `count` events with the largest |measure|, one a code (its strongest), largest first."""
    known = rows[rows[measure].notna() & (rows[measure] != 0)]
    order = known[measure].abs().sort_values(ascending=False, kind="stable").index
    return known.loc[order].drop_duplicates("code").head(count)


def found(rows: pd.DataFrame, query: str) -> pd.DataFrame:
    """Rows whose words, code or value hold every word of the query, whatever the case."""
    kept = rows
    for word in query.lower().split():
        text = kept["words"].str.lower() + " " + kept["code"].str.lower() + " " + kept["value"].str.lower()
        kept = kept[text.str.contains(word, regex=False)]
    return kept


def day_words(day: float) -> str:
    """Time before the prediction in words.

    >>> day_words(0.0), day_words(-0.2), day_words(-1), day_words(-400)
    ('day 0', 'day 0', 'day \u22121', 'day \u2212400')
    """
    whole = round(day)
    return "day 0" if whole == 0 else f"day \u2212{-whole:,}"
