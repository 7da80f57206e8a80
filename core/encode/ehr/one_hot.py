"""Curated one-hot features of a timeline, a token for each active feature (the one-hot arm of arXiv 2606.15038)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.features import EventColumns, NumericScale, count_patients, feature_keys, fit_scales, relative_days
from core.records import BIRTH, Tokens
from core.records.interfaces import RecordEncoder

AGE_EDGES = (40.0, 50.0, 60.0, 70.0, 80.0)
SEXES = ("GENDER//F", "GENDER//M")
LOW_HIGH = (0.2, 0.8)
SAME_MEASUREMENT_DAYS = 2.0
_NUMERIC_COLUMNS = 5
_MOST_FEATURES, _MOST_NUMERIC = 192, 20
"""Of each numeric code: below, within and above its training quantiles, z score, never measured."""


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
        rows, days, ids, known = self._active(table)
        values = np.zeros((len(rows), self.width), np.float32)
        for number, row in enumerate(rows):
            for column, amount in row:
                values[number, column] = amount
        day_values = np.asarray(days, np.float64)
        return Tokens(
            values=values,
            positions=day_values.astype(np.float32),
            relative_positions=relative_days(day_values).astype(np.float32),
            encoder="one_hot",
            source_digest=digest,
            event_ids=np.asarray(ids, np.int64),
            coverage=known / max(len(table), 1),
            known_share=known / max(len(table), 1),
        )

    def _active(self, table: EventColumns) -> tuple[list[list[tuple[int, float]]], list[float], list[int], int]:
        """Column entries, day and event id of each active feature, and how many events were known."""
        found: dict[str, tuple[list[tuple[int, float]], float, int]] = {}
        known = 0
        for event in range(len(table) - 1, -1, -1):
            entries = self._read(table, event)
            known += bool(entries)
            for key, row in entries.items():
                if key not in found:
                    day = 0.0 if key == BIRTH or np.isnan(table.days[event]) else float(table.days[event])
                    found[key] = row, day, event
        if not known:
            return [], [], [], 0
        for scale in self.scales:
            if scale.code not in found:
                found[scale.code] = [(self._first_column(scale.code) + 4, 1.0)], 0.0, -1
        ordered = sorted(found.values(), key=lambda item: item[0][0][0])
        return [item[0] for item in ordered], [item[1] for item in ordered], [item[2] for item in ordered], known

    def _read(self, table: EventColumns, event: int) -> dict[str, list[tuple[int, float]]]:
        """Feature key -> column entries of one event; empty for an unknown code."""
        code, value = table.codes[event], float(table.values[event])
        if code == BIRTH:
            band = int(np.searchsorted(AGE_EDGES, value, side="right"))
            return {BIRTH: [(band, 1.0), (len(AGE_EDGES) + 1, self.age.standard(value))]} if np.isfinite(value) else {}
        if code in SEXES:
            return {"sex": [(len(AGE_EDGES) + 2 + SEXES.index(code), 1.0)]}
        if code in self._numeric:
            scale = self.scales[self._numeric[code]]
            if not np.isfinite(value) or not scale.accepts(table.units[event]):
                return {}
            return {code: self._numeric_entries(scale, _recent_mean(table, event, scale))}
        keys = feature_keys(code, table.texts[event])
        return {key: [(self._coded[key], 1.0)] for key in keys if key in self._coded}

    def _numeric_entries(self, scale: NumericScale, value: float) -> list[tuple[int, float]]:
        first = self._first_column(scale.code)
        number = 0 if value < scale.edges[0] else 2 if value >= scale.edges[-1] else 1
        return [(first + number, 1.0), (first + 3, scale.standard(value))]

    def _first_column(self, code: str) -> int:
        return len(AGE_EDGES) + 2 + len(SEXES) + _NUMERIC_COLUMNS * self._numeric[code]


def _recent_mean(table: EventColumns, event: int, scale: NumericScale) -> float:
    """Mean of the code's values from the two days up to this event: repeated measurements of one encounter."""
    if np.isnan(table.days[event]):
        return float(table.values[event])
    near = table.days[: event + 1] >= table.days[event] - SAME_MEASUREMENT_DAYS
    same = near & (table.codes[: event + 1] == scale.code) & np.isfinite(table.values[: event + 1])
    return float(table.values[: event + 1][same].mean())


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
