"""Simulated futures of models whose future is known exactly: chains of tokens with given chances."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from core.errors import UserFacingError
from core.foresee.code_parts import Part
from core.foresee.events import PatientEvents
from core.foresee.fit_vocabulary import fit_vocabulary
from core.foresee.futures import Estimator, Foresight, foresee
from core.foresee.model import EventModel, Futures, ModelConfig
from core.foresee.model import History as ReadHistory
from core.foresee.queries import Query, outcome_of
from core.foresee.simulate import DEATH, HORIZON, LIMIT, History, simulate
from core.foresee.tokens import decode, tokenise
from core.foresee.train import TrainedEventModel
from core.foresee.vocabulary import FIRST_BIN, Vocabulary
from core.records import Timeline

DAILY = {"gap": 1.0}
LAB = "LOINC//2160-0"


def vocabulary() -> Vocabulary:
    """Codes a day apart each; LAB has the values 0 to 99, so that a tenth spans ten of them."""
    codes = ["X", "TARGET", "MEDS_DEATH", "ICD10CM//I26.99", "ICD10CM//I26.02", "ICD10CM//I10", "ATC//C10AA05"]
    rows = [(1, code, np.nan) for code in [*codes, "ATC//C10AB01"]] + [(1, LAB, float(value)) for value in range(100)]
    subjects, names, values = zip(*rows, strict=True)
    times = np.datetime64("2020-01-01", "us") + np.arange(len(rows)) * np.timedelta64(1, "D")
    table = pa.table({"subject_id": subjects, "time": times, "code": names, "numeric_value": np.float32(values)})
    return fit_vocabulary(PatientEvents.from_table(table), 1)


WORDS = vocabulary()
NAMES = {
    part.text: number for number, part in enumerate(WORDS.parts) if part.kind not in ("sex", "age tens", "age units")
}
NAMES["gap"] = NAMES["1d-2d"]


class Chain(EventModel):
    """Of each token what comes next, by name; of those not named a gap of a day."""

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__(ModelConfig(len(WORDS), 8, 1, 2, 1, context=2048))
        chances = torch.full((len(WORDS), len(WORDS)), 1e-30)
        chances[:, NAMES["gap"]] = 1.0
        for name, following in table.items():
            chances[NAMES[name]] = 1e-30
            for other, chance in following.items():
                chances[NAMES[name], NAMES[other]] = chance
        self.table = chances.log()
        self.table[self.table < -60] = -torch.inf

    def read(self, tokens: torch.Tensor) -> ReadHistory:
        return ReadHistory(super().read(tokens).layers, self.table[tokens[-1]])

    def step(self, tokens: torch.Tensor, history: ReadHistory, futures: Futures) -> torch.Tensor:
        super().step(tokens, history, futures)
        return self.table[tokens]


def ask(
    table: Mapping[str, Mapping[str, float]],
    query: str | Query,
    horizon: int,
    n: int = 2000,
    estimator: Estimator = "hits",
    **options: object,
) -> Foresight:
    history = History(np.array([1, NAMES["X"]]))
    asked = Query.of(query) if isinstance(query, str) else query
    trained = TrainedEventModel(Chain(table), WORDS)
    return foresee(history, trained, [asked], horizon, n, estimator=estimator, **options)  # type: ignore[arg-type]


def within(found: Foresight, truth: float, width: float = 4.0) -> bool:
    return abs(found.risks[0].risk - truth) <= width * found.risks[0].standard_error + 1e-9


TARGET_TABLE = {"gap": {"TARGET": 0.03, "MEDS_DEATH": 0.02, "X": 0.95}}


@pytest.mark.parametrize("estimator", ["hits", "reach"])
def test_the_risk_is_the_cumulative_incidence_before_death(estimator: Estimator) -> None:
    found = ask(TARGET_TABLE, "TARGET", 20, estimator=estimator)
    truth = [0.6 * (1 - 0.95**day) for day in range(21)]
    assert within(found, truth[20])
    assert found.risks[0].incidence == pytest.approx(truth, abs=0.03)
    alone = 1 - 0.97**20  # what one minus Kaplan-Meier, death being censoring, would say
    assert not within(found, alone)


def test_chances_vary_less_than_hits_and_have_their_mean() -> None:
    found = {name: ask(TARGET_TABLE, "TARGET", 20, estimator=name).risks[0] for name in ("hits", "reach")}  # type: ignore[arg-type]
    assert found["reach"].standard_error < 0.6 * found["hits"].standard_error
    assert found["reach"].risk == pytest.approx(found["hits"].risk, abs=0.04)
    assert found["hits"].standard_error == pytest.approx(np.sqrt(found["hits"].risk * (1 - found["hits"].risk) / 2000))


def test_chances_stop_at_the_first_event_though_it_comes_again() -> None:
    table = {"gap": {"TARGET": 0.2, "X": 0.8}}
    found = ask(table, "TARGET", 15, estimator="reach")
    assert within(found, 1 - 0.8**15)
    assert found.risks[0].expected_count == pytest.approx(3.0, abs=0.15)


def test_an_event_on_the_horizons_own_day_counts() -> None:
    table = {"gap": {"TARGET": 1.0}, "TARGET": {"MEDS_DEATH": 1.0}, "X": {"7d-12d": 1.0}, "7d-12d": {"TARGET": 1.0}}
    days = WORDS.gap_days[NAMES["7d-12d"] - NAMES["5m-15m"]]
    for estimator in ("hits", "reach"):
        curve = ask(table, "TARGET", 12, 400, estimator).risks[0].incidence  # type: ignore[arg-type]
        expected = [np.mean(np.floor(days) <= day) for day in range(13)]
        assert curve == pytest.approx(expected, abs=0.08)
    for horizon, risk in [(1, 1.0), (2, 1.0)]:
        assert ask({"gap": {"TARGET": 1.0}}, "TARGET", horizon, 5).risks[0].risk == risk
    assert ask({"gap": {"TARGET": 1.0}}, "TARGET", 2, 5).risks[0].incidence.tolist() == [0.0, 1.0, 1.0]


def test_death_ends_a_future_and_the_horizon_another() -> None:
    futures = ask(TARGET_TABLE, "MEDS_DEATH", 30, 300).futures
    assert set(futures.ends.tolist()) == {HORIZON, DEATH}
    for row in range(len(futures)):
        own = futures.tokens[row][futures.tokens[row] >= 0]
        assert (own[-1] == NAMES["MEDS_DEATH"]) == (futures.ends[row] == DEATH)
        assert np.count_nonzero(own == NAMES["MEDS_DEATH"]) <= 1
        assert futures.end_days[row] == (31 if futures.ends[row] == HORIZON else futures.end_days[row])


@pytest.mark.parametrize("estimator", ["hits", "reach"])
def test_a_future_stopped_by_the_limit_is_undetermined_and_no_survivor(estimator: Estimator) -> None:
    """X takes many tokens in some futures; those with a hit before the limit count as they are."""
    found = ask({"gap": {"TARGET": 0.05, "X": 0.95}}, "TARGET", 30, 3000, estimator, max_tokens=20)
    risk = found.risks[0]
    assert set(found.futures.ends.tolist()) == {LIMIT}
    assert risk.undetermined == pytest.approx(0.95**10, abs=0.03)  # 20 tokens are 10 days
    assert risk.incidence[10] == pytest.approx(1 - 0.95**10, abs=0.03)
    assert ask({"gap": {"TARGET": 0.05, "X": 0.95}}, "TARGET", 30, 50).risks[0].undetermined == 0.0


@pytest.mark.parametrize("estimator", ["hits", "reach"])
def test_futures_that_stop_early_do_not_bend_the_risk(estimator: Estimator) -> None:
    """Half of the futures write five more tokens a day; the limit ends them early, and the truth stays the same."""
    many = {"gap": {"TARGET": 0.04, "X": 0.96}, "X": {"gap": 0.55, "X": 0.45}}
    assert within(ask(many, "TARGET", 30, 1000, estimator, max_tokens=400), 1 - 0.96**30)
    short = ask(many, "TARGET", 30, 1500, estimator, max_tokens=85)
    assert 0.1 < short.risks[0].undetermined < 0.6
    assert short.risks[0].risk == pytest.approx(1 - 0.96**30, abs=0.05)


def test_a_future_is_the_same_alone_and_among_others() -> None:
    model = EventModel(ModelConfig.of_size("0.1m", len(WORDS), context=256)).eval().requires_grad_(False)
    trained = TrainedEventModel(model, WORDS)
    history = History(np.array([1, NAMES["X"], NAMES["gap"], NAMES["TARGET"]]), stream=(7,))
    outcomes = [outcome_of(Query.of("TARGET"), WORDS)]
    settings = {"horizon_days": 2000, "max_tokens": 60, "seed": 3}
    many = simulate(trained, history, outcomes, n_futures=40, **settings)  # type: ignore[arg-type]
    assert len(np.unique(many.ends)) > 1  # some were dropped from the batch on the way
    for count in (1, 7):
        few = simulate(trained, history, outcomes, n_futures=count, **settings)  # type: ignore[arg-type]
        width = few.tokens.shape[1]
        assert np.array_equal(few.tokens, many.tokens[:count, :width])
        assert np.allclose(few.days, many.days[:count, :width])
        assert np.allclose(few.chances, many.chances[:, :count, :width], atol=1e-5)
    other = simulate(trained, History(history.tokens, stream=(8,)), outcomes, n_futures=40, **settings)  # type: ignore[arg-type]
    assert not np.array_equal(other.tokens[:, :20], many.tokens[:, :20])


CODES = {"gap": {"I26": 0.04, "X": 0.96}, "I26": {"99": 0.5, "02": 0.2, "gap": 0.3}, "I10": DAILY}


@pytest.mark.parametrize(
    ("query", "daily"),
    [("ICD10CM//I26", 0.04), ("ICD10CM//I26.99", 0.02), ("I26.9", 0.02), ("ICD10CM//I26.0", 0.008),
     ("ICD10CM//chapter 9", 0.04), ("ICD10CM//I26-I28", 0.04), ("ICD10CM//I26.02 | ICD10CM//I26.99", 0.028),
     ("ICD10CM//I26 | ICD10CM//I26.99 | I26.9", 0.04)],
)  # fmt: skip
@pytest.mark.parametrize("estimator", ["hits", "reach"])
def test_codes_of_several_tokens_and_what_stands_above_them(query: str, daily: float, estimator: Estimator) -> None:
    assert within(ask(CODES, query, 20, 1500, estimator), 1 - (1 - daily) ** 20)


def test_drugs_by_their_groups() -> None:
    table = {"gap": {"C10": 0.1, "X": 0.9}, "C10": {"A": 1.0}, "A": {"A05": 0.5, "B01": 0.3, "gap": 0.2}}
    daily = {"ATC//C": 0.1, "ATC//C10": 0.1, "ATC//C10A": 0.1, "ATC//C10AA": 0.05, "ATC//C10AA05": 0.05}
    for query, chance in daily.items():
        assert within(ask(table, query, 10, 1000, "reach"), 1 - (1 - chance) ** 10), query


@pytest.mark.parametrize(("limit", "share"), [("> 49.5", 0.5), ("> 94.5", 0.05), ("< 10", 0.1), ("> 99", 0.0)])
@pytest.mark.parametrize("estimator", ["hits", "reach"])
def test_a_number_beyond_a_limit(limit: str, share: float, estimator: Estimator) -> None:
    """A tenth that the limit parts counts with the share of its training values beyond."""
    tenths = {f"Q{number}": 0.1 for number in range(1, 11)}
    table = {"gap": {LAB: 0.2, "X": 0.8}, LAB: tenths}
    found = ask(table, f"{LAB} {limit}", 10, 3000, estimator)
    assert found.risks[0].risk == pytest.approx(
        1 - (1 - 0.2 * share) ** 10, abs=4 * found.risks[0].standard_error + 0.01
    )
    if estimator == "hits":
        told = decode_all(found)
        numbers = told.loc[told["code"] == LAB, "numeric_value"]
        beyond = numbers > float(limit[2:]) if limit[0] == ">" else numbers < float(limit[2:])
        hits = found.futures.hits[0].sum()
        assert abs(int(beyond.sum()) - int(hits)) <= 1


def decode_all(found: Foresight) -> pd.DataFrame:
    own = found.futures.tokens >= 0
    return decode(found.futures.tokens[own], WORDS, found.futures.days[own], found.futures.levels[own])


def test_a_tenth_never_follows_what_has_no_number() -> None:
    found = ask({"gap": {"X": 0.5, "Q3": 0.25, "99": 0.25}, "X": {"Q1": 0.5, "99": 0.4, "gap": 0.1}}, "X", 10, 200)
    assert set(found.futures.tokens[found.futures.tokens >= 0].tolist()) == {NAMES["gap"], NAMES["X"]}


@pytest.mark.parametrize("waited", [0.0, 1.5, 8.0, 400.0])
def test_the_time_since_the_last_event_is_known_to_have_passed(waited: float) -> None:
    """After X comes a gap of a day, of 7 to 12, or of half years; only those that are longer than the wait remain."""
    choices = {"1d-2d": 0.5, "7d-12d": 0.25, "6mt": 0.25}
    trained = TrainedEventModel(Chain({"X": choices | {"TARGET": 0.3}, "6mt": {"6mt": 0.4, "TARGET": 0.6}}), WORDS)
    history = History(np.array([1, NAMES["X"]]), waited_days=waited)
    futures = simulate(trained, history, n_futures=400, horizon_days=2000, max_tokens=40)
    assert (futures.days[futures.tokens == NAMES["TARGET"]] > 0).all()
    first = futures.tokens[:, 0]
    assert NAMES["TARGET"] not in first  # what stood at the last event's time is known
    longer = {name: float((WORDS.gap_days[NAMES[name] - NAMES["5m-15m"]] > waited).mean()) for name in choices}
    weights = {name: choices[name] * (longer[name] if name != "6mt" else 1.0) for name in choices}
    for name, weight in weights.items():
        expected = weight / sum(weights.values())
        assert np.mean(first == NAMES[name]) == pytest.approx(expected, abs=0.09), name


def test_a_timeline_is_read_up_to_its_prediction_time() -> None:
    events = pd.DataFrame(
        {
            "subject_id": 5,
            "time": pd.to_datetime([None, "1950-01-01", "2020-01-01", "2020-01-04"]),
            "code": ["GENDER//F", "MEDS_BIRTH", "X", "ICD10CM//I10"],
            "numeric_value": np.float32([np.nan] * 4),
            "text_value": None,
            "unit": None,
        }
    )
    timeline = Timeline(events, 5, pd.Timestamp("2020-01-14"))
    trained = TrainedEventModel(Chain({"I10": DAILY | {"7d-12d": 0.1, "12d-20d": 0.2}}), WORDS)
    found = foresee(timeline, trained, [Query.of("X")], 3, 50)
    assert set(found.futures.tokens[:, 0].tolist()) <= {NAMES["7d-12d"], NAMES["12d-20d"]}  # ten days passed already
    dead = pd.concat([events, events.tail(1).assign(code="MEDS_DEATH")], ignore_index=True)
    with pytest.raises(UserFacingError, match="died"):
        foresee(Timeline(dead, 5, timeline.prediction_time), trained, [Query.of("X")], 3, 5)


@pytest.mark.parametrize("query", ["ICD10CM//Z99", "ICD10CM//I26.55", "nothing", "TARGET > 2", "ATC//C10BA"])
def test_what_training_never_saw_is_refused(query: str) -> None:
    with pytest.raises(UserFacingError, match="event model"):
        outcome_of(Query.of(query), WORDS)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UserFacingError, match="impossible"):
        ask(TARGET_TABLE, "TARGET", 0, 5)
    with pytest.raises(UserFacingError, match="Two limits"):
        ask(TARGET_TABLE, Query((LAB,), 1.0, 2.0), 5, 5)


def test_the_chain_is_what_it_says() -> None:
    """The oracle itself: its tokens, and the record they came from."""
    assert WORDS.parts[NAMES["I26"]] == Part("icd", "I26")
    assert set(WORDS.gap_days[NAMES["gap"] - NAMES["5m-15m"]].tolist()) == {1.0}
    assert WORDS.values[NAMES[LAB]].edges.tolist() == [10.0 * tenth for tenth in range(1, 10)]
    assert NAMES["Q1"] == FIRST_BIN
    assert tokenise(PatientEvents.from_table(pa.table({
        "subject_id": [1], "time": pa.array([0], pa.timestamp("us")), "code": ["X"],
        "numeric_value": pa.array([None], pa.float32()),
    })), WORDS).tokens.tolist() == [NAMES["X"]]  # fmt: skip
