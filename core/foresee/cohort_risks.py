"""Risks of many patients, each at a time of its own, read off simulated futures; and futures as dated events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.encode.ehr.cohort import CohortRecords
from core.errors import UserFacingError
from core.foresee.events import PatientEvents
from core.foresee.futures import Estimator, Foresight, foresee
from core.foresee.gaps import DAY_US
from core.foresee.packing import as_documents
from core.foresee.queries import Query, outcome_of
from core.foresee.simulate import DEATH, HORIZON, LIMIT, History, SimulatedFutures
from core.foresee.tokens import decode, tokenise
from core.foresee.train import TrainedEventModel
from core.foresee.vocabulary import DEATH_TOKEN, Vocabulary
from core.progress import Progress
from core.records import Timeline

COLUMNS = ("subject_id", "prediction_time", "code", "horizon_days", "risk", "standard_error", "undetermined")
END_CODES = {HORIZON: "FUTURE_END//horizon", DEATH: "FUTURE_END//death", LIMIT: "FUTURE_END//token_limit"}
"""What the last row of each future in `futures_table` says: why it ends."""


def histories(records: CohortRecords, trained: TrainedEventModel, max_tokens: int = 256) -> list[History]:
    """The end of each record that leaves the model's context room for so many tokens (or half of it).

    Raises UserFacingError where a record tells that the patient died before the prediction time.
    """
    tokenised = tokenise(_events_of(records), trained.vocabulary)
    dead = np.flatnonzero(tokenised.tokens == DEATH_TOKEN)
    if len(dead):
        found = f"{len(np.unique(np.searchsorted(tokenised.offsets, dead, side='right'))):,} records tell of a death"
        raise UserFacingError(f"{found} before the prediction time", "records of living patients", "Correct the labels")
    context = trained.model.config.context
    documents = as_documents(tokenised, context - min(max_tokens, context // 2), last_only=True)
    last = np.searchsorted(tokenised.starts, tokenised.offsets[1:]) - 1
    found_histories = []
    for number, (subject, cut) in enumerate(zip(records.subject_ids.tolist(), records.cuts.tolist(), strict=True)):
        own = documents.tokens[documents.offsets[number] : documents.offsets[number + 1]].astype(np.int64)
        dated = last[number] >= 0 and tokenised.starts[last[number]] >= tokenised.offsets[number]
        waited = (cut - int(tokenised.times_us[last[number]])) / DAY_US if dated else None
        found_histories.append(History(own, waited, (subject % 2**64, cut % 2**64)))
    return found_histories


def cohort_risks(
    records: CohortRecords,
    trained: TrainedEventModel,
    queries: Sequence[Query],
    horizon_days: int,
    n_futures: int = 20,
    seed: int = 0,
    estimator: Estimator = "reach",
    max_tokens: int = 256,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """One row a record and query: subject_id, prediction_time, code, horizon_days, risk, standard_error, undetermined.

    risk: cumulative incidence, death without the event before being none. standard_error: Monte-Carlo's alone.
    undetermined: share of futures that reached the limit of tokens before the horizon. Raises as `foresee`.
    """
    for query in queries:  # before any record is read
        outcome_of(query, trained.vocabulary)
    asked = histories(records, trained, max_tokens)
    parts = []
    times = pd.DatetimeIndex(np.asarray(records.cuts).view("datetime64[us]"))
    for number, history in enumerate(asked):
        found = foresee(history, trained, queries, horizon_days, n_futures, seed, estimator, max_tokens)
        parts.append(_rows(int(records.subject_ids[number]), times[number], found))
        if progress:
            progress((number + 1) / len(asked), f"patient {number + 1:,} of {len(asked):,}")
    return pd.concat(parts, ignore_index=True)


def timeline_risks(timeline: Timeline, found: Foresight) -> pd.DataFrame:
    """The same table of one patient."""
    return _rows(timeline.subject_id, timeline.prediction_time, found)


def _rows(subject_id: int, prediction_time: pd.Timestamp, found: Foresight) -> pd.DataFrame:
    rows = [
        (subject_id, prediction_time, one.query.name, one.horizon_days, one.risk, one.standard_error, one.undetermined)
        for one in found.risks
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"prediction_time": "datetime64[us]"})


def futures_table(futures: SimulatedFutures, vocabulary: Vocabulary) -> pd.DataFrame:
    """Simulated events: future (from 1), days since the prediction, code, numeric_value (NaN where none).

    The last row of each future is one of `END_CODES`: why it ends, and when.
    """
    parts = []
    for number in range(len(futures)):
        drawn = futures.tokens[number] >= 0
        own = decode(
            futures.tokens[number][drawn], vocabulary, futures.days[number][drawn], futures.levels[number][drawn]
        )
        own = own[own["days"] <= futures.horizon_days + 1]
        end = {"days": futures.end_days[number], "code": END_CODES[int(futures.ends[number])], "numeric_value": np.nan}
        parts.append(pd.concat([own, pd.DataFrame([end])]).assign(future=number + 1))
    table = pd.concat(parts, ignore_index=True)
    return table[["future", "days", "code", "numeric_value"]]


def _events_of(records: CohortRecords) -> PatientEvents:
    """The events of each record alone, patients numbered in the order of the records."""
    cohort, lengths = records.cohort, records.ends - records.starts
    offsets = np.append(0, np.cumsum(lengths))
    rows = np.repeat(records.starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    whole = PatientEvents.from_cohort(cohort)

    return PatientEvents(
        np.arange(len(records), dtype=np.int64),
        offsets.astype(np.int64),
        whole.times_us[rows],
        whole.code_ids[rows],
        whole.codes,
        whole.values[rows],
        whole.unit_ids[rows],
        whole.units,
    )
