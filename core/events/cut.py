"""The one cut at the prediction time: nothing after it, and nothing that was not yet known at it, reaches a feature."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.death import outcomes, says_died

KNOWN_FROM = "known_from"
"""The column of a table of events that says from when on an event is known: when it was recorded, mostly."""


def known_times(events: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """From when on each event is known: its time, or a later `known_from`; NaT for static facts."""
    times, known = events["time"], events.get(KNOWN_FROM)
    return times if known is None else known.where(~(known <= times), times).fillna(times)


def undated_outcomes(events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which events tell whether the patient died, but neither when nor from when on it was known."""
    return _telling(events, known_times(events).isna().to_numpy(bool))


def _telling(events: pd.DataFrame, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Those `among` the events that tell whether the patient died."""
    if "code" not in events or not among.any():
        return np.zeros(len(events), bool)
    told = outcomes(events.loc[among, "code"])
    if "text_value" in events and "numeric_value" in events:
        told |= says_died(events[among])
    found = among.copy()
    found[among] = told
    return found


def cut_at(events: pd.DataFrame, prediction_time: pd.Timestamp) -> tuple[pd.DataFrame, int]:
    """Events that had happened and were known at `prediction_time`, and how many were not or may not have been.

    A death or vital status without any time is never known: it would tell what is to be predicted; neither is a death
    at midnight of the prediction time's own day, as deaths dated by their day are.

    events: any table with a `time` column (NaT for static facts) and perhaps a `known_from` column.
    Returns (kept, later_count): kept is sorted by time (stable, static facts first) with a fresh 0..n-1 index, so the
    row number can serve as the event id, and without `known_from`. The input is not changed.

    >>> table = pd.DataFrame({"time": pd.to_datetime(["2020-01-03", None, "2020-01-01"]), "code": ["c", "s", "a"]})
    >>> kept, later = cut_at(table, pd.Timestamp("2020-01-02"))
    >>> list(kept["code"]), later
    (['s', 'a'], 1)
    >>> recorded_later = table.assign(known_from=pd.to_datetime([None, None, "2020-01-05"]))
    >>> list(cut_at(recorded_later, pd.Timestamp("2020-01-04"))[0]["code"])
    ['s', 'c']
    """
    later = (known_times(events) > prediction_time).to_numpy() | undated_outcomes(events)
    later |= deaths_of_the_day(events, prediction_time)
    kept = events[~later].sort_values("time", kind="stable", na_position="first", ignore_index=True)
    return kept.drop(columns=KNOWN_FROM, errors="ignore"), int(later.sum())


def deaths_of_the_day(events: pd.DataFrame, prediction_times: pd.Timestamp | pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
    """Deaths known from 00:00 of the prediction time's day, which is later: their time of day was hardly recorded.

    prediction_times: one for all events, or one for each.
    """
    day = prediction_times.normalize()
    of_the_day = (known_times(events) == day).to_numpy(bool) & np.asarray(day < prediction_times)
    return _telling(events, of_the_day)
