"""Curated one-hot features of a timeline, a token for each active feature (the one-hot arm of arXiv 2606.15038)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.features import (
    EventColumns,
    NumericScale,
    count_patients,
    event_columns,
    feature_keys,
    fit_scales,
    relative_days,
)
from core.encode.ehr.rereading import Reread
from core.records import BIRTH, Timeline, Tokens
from core.records.interfaces import RecordEncoder

AGE_EDGES = (40.0, 50.0, 60.0, 70.0, 80.0)
SEXES = ("GENDER//F", "GENDER//M")
LOW_HIGH = (0.2, 0.8)
SAME_MEASUREMENT_DAYS = 2.0
_NUMERIC_COLUMNS = 5
_MOST_FEATURES, _MOST_NUMERIC = 192, 20
"""Of each numeric code: below, within and above its training quantiles, z score, never measured."""


class _Feature(NamedTuple):
    """Column entries, day and event id of an active feature."""

    row: list[tuple[int, float]]
    day: float
    event: int

    def reads_as(self, other: _Feature) -> bool:
        """Whether its token is that of the other, whichever event gave it."""
        return (self.row, self.day) == (other.row, other.day)


class OneHotEncoder(RecordEncoder):
    """Timeline -> one token for each active feature; nothing is learned beyond the feature list and its scales.

    Features: age band and age, sex, each numeric code (latest value: quantile bin and z score, or "missing"), each
    coded feature present before the prediction time (diagnosis category and subcategory, drug class, procedure,
    visit kind). A token's row is the identity row of its feature plus, for numbers, the z score in the code's own
    column; its position is the day of the latest event behind it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        self.scales = [NumericScale.from_json(item) for item in config["numeric"]]
        self.age = NumericScale.from_json(config["age"])
        self._numeric = {scale.code: number for number, scale in enumerate(self.scales)}
        first_coded = len(AGE_EDGES) + 2 + len(SEXES) + _NUMERIC_COLUMNS * len(self.scales)
        self._coded = {key: first_coded + number for number, key in enumerate(config["coded"])}
        self.width = first_coded + len(self._coded)

    def encode(self, records: Records) -> list[Tokens]:
        """Tokens of each record, in order."""
        return [self._encode(table, digest) for table, digest in zip(records.columns(), records.digests(), strict=True)]

    def _encode(self, table: EventColumns, digest: str) -> Tokens:
        """Tokens (active features, width) of one patient; no known event, no token. digest: of the source."""
        sources, known = self._sources(table)
        return self._tokens(self._features(table, sources), known / max(len(table), 1), digest)

    def rereading(self, timeline: Timeline) -> Reread:
        """The timeline, ready to be read anew without some of its events: only their own features can change."""
        table = event_columns(timeline)
        sources, known = self._sources(table)
        given: dict[int, list[str]] = {}
        for key, events in sources.items():
            for event in events:
                given.setdefault(event, []).append(key)
        whole = self._features(table, sources)

        def reread(left_out: frozenset[int]) -> Tokens | None:
            touched = {key for event in left_out for key in given.get(event, ())}
            rest = {key: [event for event in sources[key] if event not in left_out] for key in touched}
            changed = self._features(table, rest)
            if all(key in changed and changed[key].reads_as(whole[key]) for key in touched):
                return None
            known_now = known - sum(event in given for event in left_out)
            kept = {key: feature for key, feature in whole.items() if key not in touched} | changed
            return self._tokens(kept, known_now / max(len(table) - len(left_out), 1), timeline.digest)

        return lambda sets: [reread(left_out) for left_out in sets]

    def _tokens(self, features: Mapping[str, _Feature], known_share: float, digest: str) -> Tokens:
        found = list(features.values())
        if found:
            measured = set(features)
            found += [self._missing(scale.code) for scale in self.scales if scale.code not in measured]
        found.sort(key=lambda feature: feature.row[0][0])
        values = np.zeros((len(found), self.width), np.float32)
        for number, feature in enumerate(found):
            for column, amount in feature.row:
                values[number, column] = amount
        days = np.array([feature.day for feature in found], np.float64)
        return Tokens(
            values=values,
            positions=days.astype(np.float32),
            relative_positions=relative_days(days).astype(np.float32),
            encoder="one_hot",
            source_digest=digest,
            event_ids=np.array([feature.event for feature in found], np.int64),
            coverage=known_share,
            known_share=known_share,
        )

    def _sources(self, table: EventColumns) -> tuple[dict[str, list[int]], int]:
        """Feature key -> the events that give it, in order; and how many events give any."""
        sources: dict[str, list[int]] = {}
        known = 0
        for event in range(len(table)):
            keys = self._keys(table, event)
            known += bool(keys)
            for key in keys:
                sources.setdefault(key, []).append(event)
        return sources, known

    def _keys(self, table: EventColumns, event: int) -> Sequence[str]:
        """The features that an event gives; none for an unknown code, or a number that cannot be read."""
        code, value = table.codes[event], float(table.values[event])
        if code == BIRTH:
            return (BIRTH,) if np.isfinite(value) else ()
        if code in SEXES:
            return ("sex",)
        if code in self._numeric:
            scale = self.scales[self._numeric[code]]
            return (code,) if np.isfinite(value) and scale.accepts(table.units[event]) else ()
        return [key for key in feature_keys(code, table.texts[event]) if key in self._coded]

    def _features(self, table: EventColumns, sources: Mapping[str, list[int]]) -> dict[str, _Feature]:
        """The features that there are, each by its latest event."""
        found = {}
        for key, events in sources.items():
            if events:
                day = table.days[events[-1]]
                day = 0.0 if key == BIRTH or np.isnan(day) else float(day)
                found[key] = _Feature(self._row(table, key, events), day, events[-1])
        return found

    def _row(self, table: EventColumns, key: str, events: list[int]) -> list[tuple[int, float]]:
        """Column entries of a feature given by these events."""
        if key == BIRTH:
            age = float(table.values[events[-1]])
            band = int(np.searchsorted(AGE_EDGES, age, side="right"))
            return [(band, 1.0), (len(AGE_EDGES) + 1, self.age.standard(age))]
        if key == "sex":
            return [(len(AGE_EDGES) + 2 + SEXES.index(table.codes[events[-1]]), 1.0)]
        if key in self._numeric:
            return self._numeric_entries(self.scales[self._numeric[key]], _recent_mean(table, events))
        return [(self._coded[key], 1.0)]

    def _missing(self, code: str) -> _Feature:
        """A numeric code that was never measured."""
        return _Feature([(self._first_column(code) + 4, 1.0)], 0.0, -1)

    def _numeric_entries(self, scale: NumericScale, value: float) -> list[tuple[int, float]]:
        first = self._first_column(scale.code)
        number = 0 if value < scale.edges[0] else 2 if value >= scale.edges[-1] else 1
        return [(first + number, 1.0), (first + 3, scale.standard(value))]

    def _first_column(self, code: str) -> int:
        return len(AGE_EDGES) + 2 + len(SEXES) + _NUMERIC_COLUMNS * self._numeric[code]


def _recent_mean(table: EventColumns, events: list[int]) -> float:
    """Mean of a code's values from the two days up to its latest event: repeated measurements of one encounter."""
    last = events[-1]
    if np.isnan(table.days[last]):
        return float(table.values[last])
    near = [event for event in events if table.days[event] >= table.days[last] - SAME_MEASUREMENT_DAYS]
    return float(table.values[near].mean())


def fit_one_hot(records: Records) -> OneHotEncoder:
    """Choose features and scales on training records.

    Numeric codes of at least 20% of the patients, then coded features of at least 1% and at most 99%, commonest
    first, until `_MOST_FEATURES` columns are used. A subcategory is kept beside its category only where the category
    splits, because it would repeat it otherwise.
    """
    columns = records.columns()
    scales = fit_scales(columns, LOW_HIGH, least_share=0.2, most=_MOST_NUMERIC + 1)
    ages = [scale for scale in scales if scale.code == BIRTH]
    age = ages[0] if ages else NumericScale(BIRTH, False, 62.0, 15.0, (50.0, 75.0))
    numeric = [scale for scale in scales if scale.code != BIRTH][:_MOST_NUMERIC]
    room = _MOST_FEATURES - len(AGE_EDGES) - 2 - len(SEXES) - _NUMERIC_COLUMNS * len(numeric)
    coded = _choose_coded(columns, {scale.code for scale in numeric}, max(room, 0))
    return OneHotEncoder(
        {"name": "one_hot", "age": age.to_json(), "numeric": [scale.to_json() for scale in numeric], "coded": coded}
    )


def _choose_coded(columns: Sequence[EventColumns], numeric: set[str], room: int) -> list[str]:
    counts = count_patients(_patient_keys(table, numeric) for table in columns)
    least, most = max(2.0, 0.01 * len(columns)), 0.99 * len(columns)
    common = [key for key, count in counts.most_common() if least <= count <= most]
    children: dict[str, list[str]] = {}
    for key in common:
        if key.startswith("ICD10CM//") and "." in key:
            children.setdefault(key.split(".")[0], []).append(key)
    single = {group[0] for group in children.values() if len(group) < 2}
    return sorted([key for key in common if key not in single][:room])


def _patient_keys(table: EventColumns, numeric: set[str]) -> set[str]:
    skipped = numeric | set(SEXES) | {BIRTH}
    pairs: npt.NDArray[np.int64] = np.flatnonzero([code not in skipped for code in table.codes])
    return {key for row in pairs for key in feature_keys(table.codes[row], table.texts[row])}
