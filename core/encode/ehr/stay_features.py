"""A record as admissions and stays in numbers: hourly series, sets of codes, a note, and what is said of the person.

What is a series, a set or a note is read off the training records: codes that repeat within a stay are series, texts of
some length are notes, all else is a set; no code's name matters. Series are binary and sparse, an hour and a feature (a
code, or a code with the quarter of its values), as in MedHMP (arXiv 2310.07871).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encode.ehr.features import EventColumns
from core.events.stays import Admission, Stay, admissions_of, is_stay_code
from core.records import BIRTH, FloatArray

HOURS = 48
MOST_STAYS = 3
NOTE_WIDTH = 256
"""Buckets that words are hashed to."""
LEAST_NOTE = 30
"""Characters of a text that is a note."""
_REPEATS = 1.2
"""Events of a code in a stay that has any, on average, from which on it is a series; chosen: sets hold a code once."""
_MOST_SERIES, _MOST_ITEMS, _MOST_GROUPS, _MOST_STATIC = 150, 400, 5, 40
_LEAST_PATIENTS, _LEAST_VALUES = 5, 20
_WORD = re.compile(r"[a-z]{3,}")
OTHER = "other"


@dataclass(frozen=True)
class StayVocabulary:
    """What training records taught about codes. JSON-able.

    series: code -> edges of its values' quarters, () where it has none. groups: name of a set -> its items: a code, or
    (code, quarter) where the code has values. edges: of set codes with values. static: code -> (mean, spread) of its
    number, (0, 0) where it has none. age: mean and spread of years. hours: of a stay that are read.
    """

    series: Mapping[str, tuple[float, ...]]
    groups: Mapping[str, tuple[str, ...]]
    edges: Mapping[str, tuple[float, ...]]
    static: Mapping[str, tuple[float, float]]
    age: tuple[float, float]
    hours: int

    def to_json(self) -> dict[str, Any]:
        """Plain dict for a configuration."""
        return {**asdict(self), **{name: {k: list(v) for k, v in getattr(self, name).items()} for name in _MAPPINGS}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StayVocabulary:
        """Inverse of `to_json`."""
        parts: dict[str, Any] = {name: {k: tuple(v) for k, v in data[name].items()} for name in _MAPPINGS}
        return cls(**parts, age=(float(data["age"][0]), float(data["age"][1])), hours=int(data["hours"]))

    @property
    def series_width(self) -> int:
        """Features an hour."""
        return max(1, sum(len(edges) + 1 for edges in self.series.values()))

    @property
    def static_width(self) -> int:
        """Numbers that describe the person: of each static code whether it is there, and its value; age likewise."""
        return 2 * len(self.static) + 2


_MAPPINGS = ("series", "groups", "edges", "static")


@dataclass(frozen=True, eq=False)
class StayNumbers:
    """hours, features int64 (n,): where a one stands. length: hours that were watched, at least 1."""

    hours: npt.NDArray[np.int64]
    features: npt.NDArray[np.int64]
    length: int


@dataclass(frozen=True, eq=False)
class AdmissionNumbers:
    """stays: the last `MOST_STAYS` (intensive ones, else the admission itself). sets: by group, places of its items.
    note float32 (NOTE_WIDTH,) or None. static float32. start_days, end_days; inside: False for what lies between
    admissions."""

    stays: tuple[StayNumbers, ...]
    sets: tuple[npt.NDArray[np.int64], ...]
    note: FloatArray | None
    static: FloatArray
    start_days: float
    end_days: float
    inside: bool


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of a record that lie in one admission, or between two."""

    rows: npt.NDArray[np.int64]
    stays: tuple[Stay, ...]
    start_days: float
    end_days: float
    inside: bool


def read_admissions(table: EventColumns, vocabulary: StayVocabulary) -> list[AdmissionNumbers]:
    """Admissions of a record and what lies between them, in order of time; at least one of an empty record."""
    codes = [str(code) for code in table.codes]
    static = _static(table, codes, vocabulary)
    return [_numbers(part, table, codes, static, vocabulary) for part in _parts(table, codes)]


def known_share(table: EventColumns, vocabulary: StayVocabulary) -> float:
    """Share of a record's events whose code is read, or marks a stay, or is a note."""
    items = {item for group in vocabulary.groups.values() for item in group}
    known = [
        code in vocabulary.series or code in items or code in vocabulary.static or code == BIRTH or is_stay_code(code)
        or _is_note(text)
        for code, text in zip(map(str, table.codes), table.texts)
    ]  # fmt: skip
    return sum(known) / len(known) if known else 0.0


def fit_stay_vocabulary(tables: Sequence[EventColumns], hours: int = HOURS) -> StayVocabulary:
    """What training records tell of series, sets and the person."""
    stays_with: Counter[str] = Counter()
    events_in: Counter[str] = Counter()
    patients: Counter[str] = Counter()
    values: dict[str, list[float]] = {}
    static_values: dict[str, list[float]] = {}
    ages: list[float] = []
    for table in tables:
        codes = np.array([str(code) for code in table.codes], object)
        dated = np.isfinite(table.days) & (codes != BIRTH)
        own = set(codes[dated].tolist())
        patients.update(code for code in own if not is_stay_code(code))
        for code, value in zip(codes[dated].tolist(), table.values[dated].tolist()):
            if np.isfinite(value):
                values.setdefault(code, []).append(value)
        for code, value in zip(codes[~dated].tolist(), table.values[~dated].tolist()):
            if code == BIRTH:
                ages.append(value)
            else:
                static_values.setdefault(code, []).append(value)
        for part in _parts(table, codes.tolist()):
            for stay in part.stays:
                inside = part.rows[
                    (table.days[part.rows] >= stay.start_days) & (table.days[part.rows] <= stay.end_days)
                ]
                counts = Counter(codes[inside].tolist())
                stays_with.update(counts.keys())
                events_in.update(counts)
    enough = {code for code, count in patients.items() if count >= min(_LEAST_PATIENTS, len(tables))}
    repeated = [code for code in enough if stays_with[code] and events_in[code] / stays_with[code] >= _REPEATS]
    series = sorted(repeated, key=lambda code: (-stays_with[code], code))[:_MOST_SERIES]
    sets = sorted(enough.difference(series), key=lambda code: (-patients[code], code))
    quarters = {code: _quarters(values.get(code, ())) for code in (*series, *sets)}
    static = [code for code, _ in Counter({c: len(v) for c, v in static_values.items()}).most_common(_MOST_STATIC)]
    return StayVocabulary(
        series={code: quarters[code] for code in series},
        groups=_groups(sets, quarters, patients),
        edges={code: quarters[code] for code in sets if quarters[code]},
        static={code: _scale(static_values[code]) for code in sorted(static)},
        age=_scale(ages) if ages else (60.0, 15.0),
        hours=hours,
    )


def hashed_words(text: str) -> FloatArray:
    """Words of a note as counts in `NOTE_WIDTH` buckets, dampened, of length 1: a frozen encoder that needs no file."""
    found = np.zeros(NOTE_WIDTH, np.float32)
    for word, count in Counter(_WORD.findall(text.lower())).items():
        hashed = zlib.crc32(word.encode())
        found[hashed % NOTE_WIDTH] += (1 if hashed & 0x10000 else -1) * (1 + np.log(count))
    length = float(np.linalg.norm(found))
    return found / length if length else found


def _parts(table: EventColumns, codes: Sequence[str]) -> list[_Part]:
    """The record cut at its admissions; the dated rows outside them by the gap in which they lie."""
    admissions = admissions_of(codes, table.days)
    telling = np.array([code != BIRTH and not is_stay_code(code) for code in codes], bool)
    dated = np.flatnonzero(np.isfinite(table.days) & telling) if len(codes) else np.zeros(0, np.int64)
    days = table.days[dated]
    owner = np.full(len(dated), -1)
    for number, admission in enumerate(admissions):
        owner[(days >= admission.stay.start_days) & (days <= admission.stay.end_days) & (owner < 0)] = number
    gap = np.searchsorted([admission.stay.start_days for admission in admissions], days, side="right")
    parts: list[_Part] = []
    for number in range(len(admissions) + 1):
        between = dated[(owner < 0) & (gap == number)]
        if len(between) or not (admissions or parts):
            own = table.days[between]
            span = (float(own.min()), float(own.max())) if len(own) else (0.0, 0.0)
            parts.append(_Part(between, (), *span, inside=False))
        if number < len(admissions):
            stay = admissions[number].stay
            parts.append(
                _Part(dated[owner == number], _stays(admissions[number]), stay.start_days, stay.end_days, inside=True)
            )
    return parts


def _stays(admission: Admission) -> tuple[Stay, ...]:
    return (admission.intensive or (admission.stay,))[-MOST_STAYS:]


def _numbers(
    part: _Part, table: EventColumns, codes: Sequence[str], static: FloatArray, vocabulary: StayVocabulary
) -> AdmissionNumbers:
    first = dict(zip(vocabulary.series, np.cumsum([0, *(len(e) + 1 for e in vocabulary.series.values())]).tolist()))
    place = {item: number for items in vocabulary.groups.values() for number, item in enumerate(items)}
    stays = tuple(_series(stay, part.rows, table, codes, vocabulary, first) for stay in part.stays)
    sets: list[npt.NDArray[np.int64]] = []
    items = {_item(codes[row], table.values[row], vocabulary) for row in part.rows.tolist()}
    for group in vocabulary.groups.values():
        sets.append(np.array(sorted(place[item] for item in items.intersection(group)), np.int64))
    texts = [str(table.texts[row]) for row in part.rows.tolist() if _is_note(table.texts[row])]
    note = hashed_words(" ".join(texts)) if texts else None
    return AdmissionNumbers(stays, tuple(sets), note, static, part.start_days, part.end_days, part.inside)


def _series(
    stay: Stay,
    rows: npt.NDArray[np.int64],
    table: EventColumns,
    codes: Sequence[str],
    vocabulary: StayVocabulary,
    first: Mapping[str, int],
) -> StayNumbers:
    hours, features = [], []
    for row in rows.tolist():
        code, day = codes[row], table.days[row]
        hour = int(np.floor((day - stay.start_days) * 24 + 1e-6))
        if code in first and stay.start_days <= day <= stay.end_days and hour < vocabulary.hours:
            edges, value = vocabulary.series[code], table.values[row]
            quarter = int(np.searchsorted(edges, value, side="right")) if np.isfinite(value) and edges else 0
            hours.append(hour)
            features.append(first[code] + quarter)
    length = int(np.clip(np.ceil(stay.length_days * 24), 1, vocabulary.hours))
    longest = max([length, *(hour + 1 for hour in hours)])
    return StayNumbers(np.array(hours, np.int64), np.array(features, np.int64), longest)


def _item(code: str, value: float, vocabulary: StayVocabulary) -> str:
    """The item of a set that an event is."""
    edges = vocabulary.edges.get(code)
    if not edges or not np.isfinite(value):
        return code
    return f"{code}#{int(np.searchsorted(edges, value, side='right'))}"


def _static(table: EventColumns, codes: Sequence[str], vocabulary: StayVocabulary) -> FloatArray:
    found = np.zeros(vocabulary.static_width, np.float32)
    place = {code: 2 + 2 * number for number, code in enumerate(vocabulary.static)}
    for row in np.flatnonzero(~np.isfinite(table.days) | np.array([code == BIRTH for code in codes], bool)).tolist():
        code, value = codes[row], table.values[row]
        if code == BIRTH and np.isfinite(value):
            found[:2] = 1.0, np.clip((value - vocabulary.age[0]) / vocabulary.age[1], -4, 4)
        elif code in place:
            mean, spread = vocabulary.static[code]
            known = np.isfinite(value) and spread > 0
            found[place[code]] = 1.0
            found[place[code] + 1] = np.clip((value - mean) / spread, -4, 4) if known else 0.0
    return found


def _groups(
    sets: Sequence[str], quarters: Mapping[str, tuple[float, ...]], patients: Counter[str]
) -> dict[str, tuple[str, ...]]:
    """Sets by the first part of their codes, the largest few apart; each item in one."""
    names: Counter[str] = Counter()
    for code in sets:
        names[_first_part(code)] += patients[code]
    apart = [name for name, _ in names.most_common(_MOST_GROUPS)]
    found: dict[str, list[str]] = {}
    for code in sets:
        name = _first_part(code) if _first_part(code) in apart else OTHER
        items = [code, *(f"{code}#{number}" for number in range(len(quarters[code]) + 1) if quarters[code])]
        room = _MOST_ITEMS - len(found.setdefault(name, []))
        found[name] += items if len(items) <= room else []
    return {name: tuple(items) for name, items in sorted(found.items()) if items}


def _first_part(code: str) -> str:
    return code.partition("//")[0] if "//" in code else OTHER


def _is_note(text: object) -> bool:
    return isinstance(text, str) and len(text) >= LEAST_NOTE


def _quarters(values: Iterable[float]) -> tuple[float, ...]:
    """Edges between the quarters of values, those that part them; none of too few."""
    known = np.fromiter(values, np.float64)
    if len(known) < _LEAST_VALUES:
        return ()
    return tuple(float(edge) for edge in np.unique(np.quantile(known, (0.25, 0.5, 0.75))) if edge > known.min())


def _scale(values: Sequence[float]) -> tuple[float, float]:
    known = np.array([value for value in values if np.isfinite(value)], np.float64)
    return (float(known.mean()), float(max(known.std(), 1e-3))) if len(known) >= 2 else (0.0, 0.0)
