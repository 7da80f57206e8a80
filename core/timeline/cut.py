"""The one cut at the prediction time: nothing after it reaches a feature."""

from __future__ import annotations

import pandas as pd


def cut_at(events: pd.DataFrame, prediction_time: pd.Timestamp) -> tuple[pd.DataFrame, int]:
    """Events up to and including `prediction_time`, and how many came later.

    events: any table with a `time` column (NaT for static facts).
    Returns (kept, later_count): kept is sorted by time (stable, static facts first) with a fresh 0..n-1 index, so the
    row number can serve as the event id. The input is not changed.

    >>> table = pd.DataFrame({"time": pd.to_datetime(["2020-01-03", None, "2020-01-01"]), "code": ["c", "s", "a"]})
    >>> kept, later = cut_at(table, pd.Timestamp("2020-01-02"))
    >>> list(kept["code"]), later
    (['s', 'a'], 1)
    """
    later = (events["time"] > prediction_time).to_numpy()
    kept = events[~later].sort_values("time", kind="stable", na_position="first", ignore_index=True)
    return kept, int(later.sum())
