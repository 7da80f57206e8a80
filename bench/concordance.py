"""Concordance and its interval: time against argsort (the limit) and lifelines, alternating in one run.

    python -m bench.concordance [--patients 1000 10000 100000] [--repeats 5]

Prints one line a size: seconds, and ratios. The interval of lifelines is one call times 1,000, which is marked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from lifelines.utils import concordance_index

from core.survive.metrics.concordance import bootstrap_concordance, concordance

RESAMPLES = 1000
LARGEST_INTERVAL = 20_000
PEER_LIMIT = 200_000


def cohort(patients: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exponential times, uniform censoring, a noisy score."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=patients)
    happened, left = rng.exponential(300 * np.exp(-truth)), rng.uniform(0, 600, patients)
    return np.minimum(happened, left), happened <= left, truth + rng.normal(size=patients)


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alternate(actions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each action, taken in turns so that all meet the same load."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            taken[name].append(seconds(action))
    return {name: float(np.median(values)) for name, values in taken.items()}


def point(patients: int, repeats: int) -> None:
    """One concordance."""
    days, event, risk = cohort(patients)
    actions: dict[str, Callable[[], object]] = {
        "argsort": lambda: np.argsort(risk),
        "own": lambda: concordance(days, event, risk),
    }
    if patients <= PEER_LIMIT:
        actions["lifelines"] = lambda: concordance_index(days, -risk, event)
        assert abs(concordance(days, event, risk) - concordance_index(days, -risk, event)) < 1e-12
    took = alternate(actions, repeats)
    peer = f"lifelines {took['lifelines'] / took['own']:5.1f} x own" if "lifelines" in took else "lifelines not run"
    print(
        f"concordance n={patients:>8,}: own {took['own']:.4f} s, {took['own'] / took['argsort']:5.1f} x argsort, {peer}"
    )


def interval(patients: int, repeats: int) -> None:
    """One interval of 1,000 resamples."""
    days, event, risk = cohort(patients)
    took = alternate(
        {
            "own": lambda: bootstrap_concordance(days, event, risk, resamples=RESAMPLES),
            "lifelines": lambda: concordance_index(days, -risk, event),
        },
        repeats,
    )
    ratio = RESAMPLES * took["lifelines"] / took["own"]
    print(f"interval    n={patients:>8,}: own {took['own']:.4f} s, lifelines x 1,000 (extrapolated) {ratio:5.0f} x own")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--patients", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for patients in options.patients:
        point(patients, options.repeats)
    for patients in options.patients:
        if patients <= LARGEST_INTERVAL:
            interval(patients, options.repeats)


if __name__ == "__main__":
    main()
