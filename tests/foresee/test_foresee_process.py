"""The acceptance process of ../shared/methods/comet.md: a model trained on visits foretells what they lead to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from foresee_support import (
    BENIGN,
    GAP_CHANCES,
    SEVERITIES,
    TARGET,
    TRUE_RISKS,
    as_events,
    cut_at_severity,
    simulate_process,
    simulate_visits,
)

from core.foresee.futures import ESTIMATORS, Risk, estimate
from core.foresee.packing import as_documents
from core.foresee.queries import Query, outcome_of
from core.foresee.simulate import History, SimulatedFutures, simulate
from core.foresee.tokens import tokenise
from core.foresee.train import EventTraining, TrainedEventModel, load_event_model, train_event_model

PATIENTS, TUNING, ASKED, HORIZON_DAYS, FUTURES, TOKENS = 6000, 1000, 120, 180, 100, 40
SETTINGS = EventTraining(
    size="0.1m", context=96, batch_tokens=4096, epochs=12, learning_rate=3e-3, dropout=0.0, check_steps=50, device="cpu"
)
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Answers:
    """risks: query and estimator -> of each patient; levels: severity of each at the cut."""

    trained: TrainedEventModel
    risks: dict[tuple[str, str], list[Risk]]
    futures: list[SimulatedFutures]
    levels: npt.NDArray[np.int64]

    def of(self, query: str, estimator: str) -> npt.NDArray[np.float64]:
        return np.array([found.risk for found in self.risks[query, estimator]])


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("model")
    records = simulate_process(PATIENTS + TUNING, seed=1)
    splits = {"train": range(PATIENTS), "tuning": range(PATIENTS, PATIENTS + TUNING)}
    report = train_event_model(as_events(records), splits, SETTINGS, folder)
    print(f"\ntuning loss {report.best.tuning_loss:.3f} nats a token at step {report.best.step}, {report.stopped}")
    trained = load_event_model(folder)
    cut, levels = cut_at_severity(simulate_process(1000, seed=2), ASKED, seed=3)
    documents = as_documents(tokenise(as_events(cut), trained.vocabulary), SETTINGS.context - TOKENS, last_only=True)
    queries = [Query.of(TARGET), Query.of(BENIGN[0])]
    outcomes = [outcome_of(query, trained.vocabulary) for query in queries]
    risks: dict[tuple[str, str], list[Risk]] = {(query.name, way): [] for query in queries for way in ESTIMATORS}
    simulated = []
    for patient in range(ASKED):
        own = documents.tokens[documents.offsets[patient] : documents.offsets[patient + 1]].astype(np.int64)
        history = History(own, waited_days=0.0, stream=(patient,))
        simulated.append(
            simulate(
                trained, history, outcomes, horizon_days=HORIZON_DAYS, n_futures=FUTURES, max_tokens=TOKENS, seed=0
            )
        )
        for number, query in enumerate(queries):
            for way in ESTIMATORS:
                risks[query.name, way].append(estimate(simulated[-1], number, query, way))
    return Answers(trained, risks, simulated, levels)


def auroc(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    """Mean over 200 draws of labels from the true risks."""
    rng = np.random.default_rng(4)
    higher = (scores[:, None] > scores).astype(float) + 0.5 * (scores[:, None] == scores)
    found = []
    for _ in range(200):
        labels = rng.random(len(truth)) < truth
        found.append(higher[np.ix_(labels, ~labels)].mean())
    return float(np.mean(found))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_foresee_process(answers: Answers, estimator: str) -> None:
    truth = np.array(TRUE_RISKS)[answers.levels]
    found = answers.of(TARGET, estimator)
    error, oracle, own = np.abs(found - truth).mean(), auroc(truth, truth), auroc(found, truth)
    undetermined = np.mean([risk.undetermined for risk in answers.risks[TARGET, estimator]])
    print(
        f"\n{estimator}: mean {found.mean():.3f} (true {truth.mean():.3f}), mean absolute error {error:.3f}, "
        f"AUROC {own:.3f} (oracle {oracle:.3f}), undetermined {undetermined:.4f}"
    )
    assert abs(found.mean() - truth.mean()) <= 0.02
    assert own >= oracle - 0.02
    assert error <= 0.04
    assert undetermined < 0.02


def test_foresee_process_chances_vary_less_than_hits(answers: Answers) -> None:
    variance = {way: np.mean([risk.standard_error**2 for risk in answers.risks[TARGET, way]]) for way in ESTIMATORS}
    means = {way: answers.of(TARGET, way).mean() for way in ESTIMATORS}
    print(f"\nvariance of a risk by {FUTURES} futures: {variance}")
    assert variance["reach"] < 0.5 * variance["hits"]
    assert abs(means["reach"] - means["hits"]) < 4 * np.sqrt((variance["reach"] + variance["hits"]) / ASKED)


def test_foresee_process_answers_what_was_never_a_task(answers: Answers) -> None:
    rng = np.random.default_rng(5)
    truth = [
        np.mean([BENIGN[0] in simulate_visits(rng, level, 500, HORIZON_DAYS).codes for _ in range(1500)])
        for level in range(5)
    ]
    expected = np.array(truth)[answers.levels]
    found = answers.of(BENIGN[0], "reach")
    print(f"\n{BENIGN[0]}: mean {found.mean():.3f} (true {expected.mean():.3f})")
    assert abs(found.mean() - expected.mean()) <= 0.03


def test_foresee_process_marginals_of_gaps_and_codes(answers: Answers) -> None:
    words = answers.trained.vocabulary
    tokens = np.concatenate([found.tokens.ravel() for found in answers.futures])
    kinds = np.array([part.kind for part in words.parts])[tokens[tokens >= 0]]
    drawn = tokens[tokens >= 0]
    gaps = np.bincount(drawn[kinds == "gap"], minlength=len(words))
    seen = np.flatnonzero(gaps)
    assert len(seen) == 5
    gap_distance = 0.5 * np.abs(gaps[seen] / gaps.sum() - GAP_CHANCES).sum()
    after = _codes_after_a_cut(answers)
    severities = np.array([after[code] for code in (*SEVERITIES, *BENIGN)], float)
    data = _true_codes_after_a_cut(answers)
    true = np.array([data[code] for code in (*SEVERITIES, *BENIGN)], float)
    code_distance = 0.5 * np.abs(severities / severities.sum() - true / true.sum()).sum()
    print(f"\ntotal variation: gaps {gap_distance:.3f}, severities and benign codes {code_distance:.3f}")
    assert gap_distance <= 0.05
    assert code_distance <= 0.05


def _codes_after_a_cut(answers: Answers) -> dict[str, int]:
    counts = dict.fromkeys((*SEVERITIES, *BENIGN, TARGET, "MEDS_DEATH"), 0)
    for found in answers.futures:
        inside = (found.tokens >= 0) & (found.days <= HORIZON_DAYS)
        for token, count in zip(*np.unique(found.tokens[inside], return_counts=True), strict=True):
            text = answers.trained.vocabulary.parts[token].text
            if text in counts:
                counts[text] += int(count)
    return counts


def _true_codes_after_a_cut(answers: Answers) -> dict[str, int]:
    rng = np.random.default_rng(6)
    counts = dict.fromkeys((*SEVERITIES, *BENIGN, TARGET, "MEDS_DEATH"), 0)
    for level in np.repeat(answers.levels, 40).tolist():
        for code in simulate_visits(rng, level, 500, HORIZON_DAYS).codes:
            counts[code] += 1
    return counts
