"""How much a frozen encoder knows: linear probes on few labels against the same network untrained, and from scratch.

Every arm is scored on the held-out patients. frozen: the encoder as it is; random: the same network, untrained; both
with a linear probe on features standardised over the training patients. scratch: the same network trained on those
labels alone. A draw is a choice of labelled training patients; smaller ones are parts of larger ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from core.benchmark.from_scratch import ScratchOptions, train_from_scratch
from core.benchmark.linear_probes import breslow_survival, cox_probe, logistic_probe
from core.benchmark.probe_inputs import ProbeInputs, features, read_inputs
from core.cohort.folder import CohortFolder
from core.compute.device import resolve_device
from core.encode import build_encoder
from core.errors import UserFacingError
from core.progress import Progress
from core.records import Float64Array
from core.records.interfaces import Encoder
from core.survive import concordance
from core.survive.metrics.brier import cumulative_dynamic_auc, integrated_brier_score
from core.survive.metrics.concordance import Estimator

Rows: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
LEAST_EVENTS = 3
"""Events that a draw of labels needs; a draw with fewer is drawn again."""
_TRIES = 200


@dataclass(frozen=True)
class ProbeOptions:
    """labels: training patients with a label, ascending. draws: choices of them. arms: of `ARMS`."""

    labels: tuple[int, ...] = (50, 150, 500)
    arms: tuple[str, ...] = ("frozen", "random", "scratch")
    draws: int = 3
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """rows: arm, labels, draw, concordance (Harrell), concordance_incident_dynamic, auroc, integrated_brier,
    horizon_days, n_test, events_test. scores: (arm, labels, draw) -> risk of each held-out patient. outcomes: days and
    event of these."""

    rows: tuple[dict[str, Any], ...]
    scores: dict[tuple[str, int, int], Float64Array]
    outcomes: tuple[Float64Array, Flags]


@dataclass(frozen=True, eq=False)
class Split:
    inputs: ProbeInputs
    days: Float64Array
    events: Flags


@dataclass(frozen=True, eq=False)
class Case:
    """What an arm is given: the encoder, training and held-out patients, the horizon of its yes or no."""

    encoder: Encoder
    modality: str
    train: Split
    test: Split
    horizon: float
    seed: int
    device: str


@dataclass(frozen=True, eq=False)
class Scores:
    """train (labels,), test (n,): log hazards; probability (n,): a score for the event by the horizon."""

    train: Float64Array
    test: Float64Array
    probability: Float64Array


Arm = Callable[[Rows, int], Scores]
"""(rows of the labelled training patients, seed) -> scores."""


def probe(
    folder: CohortFolder,
    task: str,
    encoder: Encoder,
    modality: str,
    options: ProbeOptions,
    progress: Progress | None = None,
) -> ProbeResult:
    """Score the arms on the task's held-out patients. Raises UserFacingError for an unusable cohort or encoder."""
    say = progress or (lambda share, words: None)
    where, _ = resolve_device(options.device)
    labels = folder.labels(task, "train")
    _check(labels, options)
    draws = [_draw(labels, options, number) for number in range(options.draws)]
    used = np.unique(np.concatenate(draws))
    train = _split(folder, labels.iloc[used].reset_index(drop=True), encoder, say)
    test = _split(folder, folder.labels(task, "held_out"), encoder, say)
    horizon = _horizon(folder.task(task).horizons_days, test)
    case = Case(encoder, modality, train, test, horizon, options.seed, where.type)
    rows: list[dict[str, Any]] = []
    risks = {}
    steps = len(options.arms) * options.draws * len(options.labels)
    for arm in options.arms:
        score = ARMS[arm](case)
        for number, chosen in enumerate(draws):
            for count in options.labels:
                say(len(rows) / steps, f"{arm}, {count} labels, draw {number + 1} of {options.draws}")
                own = np.searchsorted(used, chosen[:count])
                found = score(own, 1000 * options.seed + number)
                rows.append({"arm": arm, "labels": count, "draw": number, **_scored(case, found, own)})
                risks[arm, count, number] = found.test
    return ProbeResult(tuple(rows), risks, (test.days, test.events))


def _check(labels: pd.DataFrame, options: ProbeOptions) -> None:
    if unknown := [arm for arm in options.arms if arm not in ARMS]:
        raise UserFacingError(f"There is no arm {unknown[0]}.", " or ".join(ARMS), "Choose among these.")
    most, events = max(options.labels), int(labels["event"].sum())
    if most > len(labels) or events < LEAST_EVENTS:
        raise UserFacingError(
            f"The training split has {len(labels):,} labelled patients and {events:,} events.",
            f"at least {most:,} patients and {LEAST_EVENTS} events",
            "Ask for fewer labels, or bring more patients.",
        )


def _draw(labels: pd.DataFrame, options: ProbeOptions, number: int) -> Rows:
    """Rows of the labelled patients of a draw, the smallest choice first."""
    draw, events = np.random.default_rng([options.seed, number]), labels["event"].to_numpy(bool)
    for _ in range(_TRIES):
        order = draw.permutation(len(labels))[: max(options.labels)]
        if events[order[: min(options.labels)]].sum() >= LEAST_EVENTS:
            return order
    found = f"Hardly any choice of {min(options.labels)} patients holds {LEAST_EVENTS} events."
    raise UserFacingError(found, "a commoner event or more labels", "Ask for more labels.")


def _split(folder: CohortFolder, labels: pd.DataFrame, encoder: Encoder, say: Progress) -> Split:
    if labels.empty:
        raise UserFacingError("The held-out split has no labelled patient.", "at least one", "Check the splits.")
    inputs = read_inputs(folder, labels, encoder, say)
    return Split(inputs, labels["time_to_event_days"].to_numpy(np.float64), labels["event"].to_numpy(bool))


def _horizon(horizons_days: Sequence[int], test: Split) -> float:
    """The longest horizon with events before and patients beyond it; else the median time of events."""
    for days in sorted(horizons_days, reverse=True):
        seen, beyond = _known(test.days, test.events, days)
        if seen.any() and beyond.any():
            return float(days)
    return float(np.median(test.days[test.events])) if test.events.any() else float(np.median(test.days))


def _known(days: Float64Array, events: Flags, horizon: float) -> tuple[Flags, Flags]:
    """Who had the event by the horizon, and who was followed to it without one."""
    seen = events & (days <= horizon)
    return seen, ~seen & (days >= horizon)


def _scored(case: Case, scores: Scores, own: Rows) -> dict[str, Any]:
    test, horizon = case.test, case.horizon
    _, beyond = _known(test.days, test.events, horizon)
    # Followed to the horizon itself without an event counts as event-free there.
    later = np.where(beyond, np.maximum(test.days, np.nextafter(horizon, np.inf)), test.days)
    times = np.linspace(0, horizon, 21)[1:]
    curves = breslow_survival(case.train.days[own], case.train.events[own], scores.train, scores.test, times)
    return {
        "concordance": _value(test, scores.test, "harrell"),
        "concordance_incident_dynamic": _value(test, scores.test, "incident_dynamic"),
        "auroc": _finite(float(cumulative_dynamic_auc(later, test.events, scores.probability, horizon)[0])),
        "integrated_brier": _finite(integrated_brier_score(later, test.events, curves, times)),
        "horizon_days": horizon,
        "n_test": len(test.days),
        "events_test": int(test.events.sum()),
    }


def _value(test: Split, risk: Float64Array, estimator: Estimator) -> float | None:
    try:
        return float(concordance(test.days, test.events, risk, estimator=estimator))
    except UserFacingError:
        return None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _frozen(case: Case) -> Arm:
    return _linear(case, case.encoder)


def _random(case: Case) -> Arm:
    return _linear(case, untrained(case.modality, case.encoder, case.seed))


def _linear(case: Case, encoder: Encoder) -> Arm:
    """Linear probes on features standardised over all training patients that were drawn."""
    train, test = (features(encoder, part.inputs, case.device) for part in (case.train, case.test))
    centre, spread = train.mean(0), train.std(0)
    spread = np.where(spread > 1e-6, spread, np.inf)
    train, test = (train - centre) / spread, (test - centre) / spread

    def score(own: Rows, seed: int) -> Scores:
        days, events = case.train.days[own], case.train.events[own]
        cox = cox_probe(train[own], days, events, seed)
        seen, beyond = _known(days, events, case.horizon)
        known = np.flatnonzero(seen | beyond)
        told = logistic_probe(train[own][known], seen[known], seed)
        return Scores(cox.score(train[own]), cox.score(test), told.score(test))

    return score


def _scratch(case: Case) -> Arm:
    def score(own: Rows, seed: int) -> Scores:
        chosen = [case.train.inputs.inputs[row] for row in own]
        fresh = untrained(case.modality, case.encoder, seed)
        outcomes = (case.train.days[own], case.train.events[own])
        trained = train_from_scratch(fresh, chosen, outcomes, ScratchOptions(seed=seed, device=case.device))
        test = trained(case.test.inputs.inputs)
        return Scores(trained(chosen), test, test)

    return score


def untrained(modality: str, encoder: Encoder, seed: int) -> Encoder:
    """The same network with weights as they are before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoder(modality, encoder.config)


ARMS: dict[str, Callable[[Case], Arm]] = {"frozen": _frozen, "random": _random, "scratch": _scratch}
