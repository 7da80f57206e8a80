"""Simulated outcomes with a known hazard, and slow restatements of the estimators, shared by the survival tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

SCALE_DAYS = 300.0


def cohort(rng, n, *, censor_days=600.0, whole_days=False):
    """(time_days, event, log_hazard): exponential times of rate exp(log_hazard) / 300, uniform censoring."""
    log_hazard = rng.normal(size=n)
    happened = rng.exponential(SCALE_DAYS * np.exp(-log_hazard))
    left = rng.uniform(0, censor_days, n) if np.isfinite(censor_days) else np.full(n, np.inf)
    time, event = np.minimum(happened, left), happened <= left
    return (np.ceil(time / 20) if whole_days else time), event, log_hazard


def survival_curves(log_hazard, times_days):
    """True S(t) of `cohort`, (n, t)."""
    return np.exp(-np.outer(np.exp(log_hazard) / SCALE_DAYS, times_days))


def pairs(time, event, *, tmax=np.inf, strict=False):
    """Every comparable pair (i, j), by the definition."""
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (not strict and time[j] == time[i] and not event[j])
            if event[i] and time[i] < tmax and i != j and later:
                yield i, j


def won(risk, i, j):
    """1 where i is ranked higher, one half for a tie."""
    return float(risk[i] > risk[j]) + 0.5 * float(risk[i] == risk[j])


def slow_kaplan_meier(time, event, day, *, inclusive=True):
    """Product-limit estimate at a day by a loop over times."""
    product = 1.0
    for t in sorted(set(time)):
        if t < day or (inclusive and t == day):
            product *= 1 - np.sum((time == t) & event) / np.sum(time >= t)
    return product


def slow_censoring(time, event, day):
    """G(day): as `slow_kaplan_meier` of censoring, where events of the same time have already left."""
    product = 1.0
    for t in sorted(set(time)):
        if t <= day:
            left, still = np.sum((time == t) & ~event), np.sum(time >= t) - np.sum((time == t) & event)
            product *= 1 - left / still if still else 1.0
    return product


@st.composite
def outcomes(draw, smallest=2, largest=25):
    """Small cohorts full of ties in time and score, with at least one event."""
    n = draw(st.integers(smallest, largest))
    time = np.array(draw(st.lists(st.integers(0, 8), min_size=n, max_size=n)), float)
    event = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    risk = np.array(draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)), float)
    event[draw(st.integers(0, n - 1))] = True
    return time, event, risk


def prediction_table(time, event, risk, survival, horizons):
    """A prediction file's content as the predict command writes it."""
    columns = {f"survival_{days}d": survival[:, k] for k, days in enumerate(horizons)}
    return pd.DataFrame(
        {
            "subject_id": 1000 + np.arange(len(time)),
            "prediction_time": pd.Timestamp("2020-01-01"),
            "time_to_event_days": time,
            "event": np.asarray(event).astype(int),
            "risk": risk,
            **columns,
        }
    )
