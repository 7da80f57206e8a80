"""Deaths on the day of a prediction, taken out of records that lie one after the other in a cohort."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.cut import deaths_of_the_day
from core.intake.record.cohort_columns import Cohort, Labels

DAY_US = 86_400_000_000.0


def without_deaths_of_the_day(
    cohort: Cohort, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], cuts: npt.NDArray[np.int64]
) -> tuple[Cohort, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The cohort, starts and ends of records as `cut_at` leaves them: those with deaths of the prediction day are
    copied without these, behind all other rows."""
    records, rows = _of_the_day(cohort, starts, ends, cuts)
    if len(rows):
        told = deaths_of_the_day(_table(cohort, rows), pd.DatetimeIndex(cuts[records].view("datetime64[us]")))
        records, rows = records[told], rows[told]
    if not len(rows):
        return cohort, starts, ends
    touched, first = np.unique(records, return_index=True)
    deaths = zip(touched.tolist(), np.split(rows, first[1:]))
    kept = [np.setdiff1d(np.arange(starts[record], ends[record]), dead) for record, dead in deaths]
    stops = len(cohort.times_us) + np.cumsum([len(part) for part in kept])
    starts, ends = starts.copy(), ends.copy()
    starts[touched], ends[touched] = np.append(len(cohort.times_us), stops[:-1]), stops
    return _with_copies(cohort, np.concatenate(kept)), starts, ends


def _of_the_day(
    cohort: Cohort, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], cuts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(record, row) of what may tell of a death at midnight of the record's prediction day, in order."""
    code, times = cohort.labels["code"], cohort.times_us
    asked, midnights = np.append(cohort.telling, False), cuts - cuts % int(DAY_US)
    first, behind = ends.copy(), np.flatnonzero((ends > starts) & (midnights < cuts) & asked.any())
    while len(behind := behind[times[first[behind] - 1] >= midnights[behind]]):
        first[behind] -= 1
        behind = behind[first[behind] > starts[behind]]
    lengths = ends - first
    records = np.repeat(np.arange(len(starts)), lengths)
    rows = np.arange(len(records)) + np.repeat(ends - np.cumsum(lengths), lengths)
    told = (times[rows] == midnights[records]) & asked[code.ids[rows]]
    return records[told], rows[told]


def _table(cohort: Cohort, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Time, code and values of some rows."""
    texts = {name: cohort.labels[name] for name in ("code", "text_value") if name in cohort.labels}
    told = {name: or_none(column.texts)[column.ids[rows]] for name, column in texts.items()}
    times = cohort.times_us[rows].view("datetime64[us]")
    return pd.DataFrame({"time": times, "numeric_value": cohort.values[rows], "text_value": None} | told)


def _with_copies(cohort: Cohort, rows: npt.NDArray[np.int64]) -> Cohort:
    """The cohort with copies of some rows behind all others."""
    times = np.append(cohort.times_us, cohort.times_us[rows])
    values = np.append(cohort.values, cohort.values[rows])
    labels = {
        name: Labels(column.texts, np.append(column.ids, column.ids[rows])) for name, column in cohort.labels.items()
    }
    return replace(cohort, times_us=times, values=values, labels=labels)


def or_none(texts: Iterable[str | None]) -> npt.NDArray[np.object_]:
    """Texts as an array in which None stands last, where the number -1 finds it."""
    return np.array([*texts, None], object)
