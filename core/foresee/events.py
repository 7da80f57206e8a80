"""Events of many patients as arrays, the input of the tokeniser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import UserFacingError
from core.events.death import outcomes, says_died
from core.events.standard_codes import standard_code
from core.intake.record.cohort_columns import NO_TIME, Cohort
from core.intake.record.meds_columns import units_in_codes
from core.records import BIRTH, Timeline

SEXES = ("F", "M", "unknown")
UNKNOWN_SEX = len(SEXES) - 1
DEATH = "MEDS_DEATH"


@dataclass(frozen=True, eq=False)
class PatientEvents:
    """Events of p patients, n in all, sorted by patient and time, static facts first.

    subject_ids int64 (p,), increasing. offsets int64 (p + 1,): rows of patient i are offsets[i] to offsets[i + 1].
    times_us int64 (n,): microseconds since 1970, `NO_TIME` for static facts. code_ids int32 (n,): which of `codes`.
    values float32 (n,), NaN where none. unit_ids int32 (n,): which of `units`, -1 where none is told.
    Raises UserFacingError where an event has no code.
    """

    subject_ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    times_us: npt.NDArray[np.int64]
    code_ids: npt.NDArray[np.int32]
    codes: tuple[str, ...]
    values: npt.NDArray[np.float32]
    unit_ids: npt.NDArray[np.int32]
    units: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.code_ids) and self.code_ids.min() < 0:
            raise UserFacingError("Some events have no code.", "a code for every event", "Correct these rows.")

    def __len__(self) -> int:
        return len(self.subject_ids)

    @classmethod
    def from_cohort(cls, cohort: Cohort) -> PatientEvents:
        """All events of an opened cohort."""
        codes, units = cohort.labels["code"], cohort.labels.get("unit")
        told = (units.ids, units.texts) if units else _units_of_codes(codes.ids, codes.texts)
        ids, offsets = cohort.subject_ids, cohort.offsets
        return cls(ids, offsets, cohort.times_us, codes.ids, codes.texts, cohort.values, *told)

    @classmethod
    def from_table(cls, table: pa.Table) -> PatientEvents:
        """MEDS columns subject_id, time, code, numeric_value and, where there is one, unit; in any order of rows."""
        subjects = table["subject_id"].to_numpy().astype(np.int64, copy=False)
        times = np.asarray(table["time"].to_numpy(), "datetime64[us]").view(np.int64)
        values = np.asarray(table["numeric_value"].to_numpy(), np.float32)
        code_ids, codes = _dictionary(table["code"])
        unit_ids, units = (
            _dictionary(table["unit"]) if "unit" in table.column_names else _units_of_codes(code_ids, codes)
        )
        after = subjects[1:] == subjects[:-1]
        if not (np.all(subjects[1:] >= subjects[:-1]) and np.all((times[1:] >= times[:-1]) | ~after)):
            order = np.lexsort((times, subjects))
            subjects, times, values = subjects[order], times[order], values[order]
            code_ids, unit_ids = code_ids[order], unit_ids[order]
        starts = np.flatnonzero(np.append(True, subjects[1:] != subjects[:-1])) if len(subjects) else np.empty(0, int)
        offsets = np.append(starts, len(subjects)).astype(np.int64)
        return cls(subjects[starts], offsets, times, code_ids, codes, values, unit_ids, units)

    @classmethod
    def from_timeline(cls, timeline: Timeline) -> PatientEvents:
        """The one patient of a timeline."""
        columns = ["subject_id", "time", "code", "numeric_value", "unit"]
        return cls.from_table(pa.Table.from_pandas(timeline.events[columns].astype({"unit": "string"})))

    def of(self, subject_ids: Iterable[int]) -> PatientEvents:
        """The events of these subjects alone; a subject without events is left out."""
        chosen = np.isin(self.subject_ids, np.fromiter(subject_ids, np.int64))
        lengths = np.diff(self.offsets)
        rows = np.repeat(chosen, lengths)
        return PatientEvents(
            self.subject_ids[chosen],
            np.append(0, np.cumsum(lengths[chosen])),
            self.times_us[rows],
            self.code_ids[rows],
            self.codes,
            self.values[rows],
            self.unit_ids[rows],
            self.units,
        )

    @property
    def is_static(self) -> npt.NDArray[np.bool_]:
        """Which events have no time."""
        return np.asarray(self.times_us == NO_TIME)


def _dictionary(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """A column of texts as (which text, the texts), -1 where empty."""
    coded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column.cast(pa.string()))
    if coded.num_chunks != 1:
        empty = pa.array([], pa.dictionary(pa.int32(), pa.string()))
        coded = coded.unify_dictionaries().combine_chunks() if coded.num_chunks else empty
    whole = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    ids = whole.indices.fill_null(-1) if whole.null_count else whole.indices
    return ids.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), tuple(whole.dictionary.to_pylist())


def _units_of_codes(
    code_ids: npt.NDArray[np.int32], codes: tuple[str, ...]
) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Units that the codes themselves carry, where no column tells them."""
    carried = units_in_codes([*codes])
    units = tuple(dict.fromkeys(unit for unit in carried if unit))
    by_code = np.array([units.index(unit) if unit else -1 for unit in carried] + [-1], np.int32)
    return by_code[code_ids], units


@dataclass(frozen=True, eq=False)
class SpelledCodes:
    """By number of a code (c,): its standard spelling, the place in `SEXES` of the sex it tells (-1 none), whether it
    is the birth."""

    codes: list[str]
    sexes: npt.NDArray[np.int8]
    births: npt.NDArray[np.bool_]


def spelled_codes(codes: tuple[str, ...]) -> SpelledCodes:
    """Codes in standard spelling; those that say by their name alone that the patient died are all one.

    >>> spelled_codes(("DIAGNOSIS//ICD//10//I2699", "Date of death", "GENDER//M")).codes
    ['ICD10CM//I26.99', 'MEDS_DEATH', 'GENDER//M']
    """
    spelled = [standard_code(code) for code in codes]
    bare = pd.DataFrame({"code": spelled, "text_value": None, "numeric_value": np.nan})
    for place in np.flatnonzero(outcomes(spelled) & says_died(bare) if spelled else []).tolist():
        spelled[place] = DEATH
    sex_of = {f"GENDER//{sex}": number for number, sex in enumerate(SEXES[:UNKNOWN_SEX])}
    sexes = np.array([sex_of.get(code, -1) for code in spelled], np.int8)
    return SpelledCodes(spelled, sexes, np.array([code == BIRTH for code in spelled], bool))


def event_gaps(
    times_us: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the chosen events and the time since the one before in the same patient, 0 for a patient's first.

    times_us, chosen (n,): of the events of patients whose rows are offsets[i] to offsets[i + 1].
    """
    rows = np.flatnonzero(chosen)
    own = times_us[rows]
    gaps = np.diff(own, prepend=own[:1])
    first = np.searchsorted(rows, offsets[:-1])
    gaps[first[first < len(rows)]] = 0
    return rows, gaps
