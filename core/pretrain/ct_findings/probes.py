"""Linear probes: what can be read from frozen slice tokens, finding by finding.

A concordance can be high although an encoder misses a finding and reads only its company; a probe for each finding
shows it. Probes are fitted on training patients' tokens, pooled over slices by mean and maximum, and scored on
held-out ones; the penalty comes from cross-validation on training patients alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

AUC_FLOORS = {"clot": 0.85, "coronary_calcium": 0.85, "emphysema": 0.85, "nodule": 0.85, "effusion": 0.95}
PENALTIES = (3e-4, 3e-3, 3e-2, 3e-1)
_FOLDS = 4
R2_FLOORS = {"pulmonary_trunk_diameter": 0.8, "heart_scale": 0.8}


@dataclass(frozen=True)
class Probe:
    """Result of one probe. measure: "auc" or "r2"; 95% interval by bootstrap over patients; floor asked for, if any."""

    finding: str
    measure: str
    value: float
    lower: float
    upper: float
    floor: float | None
    positives: int
    patients: int


def pooled_tokens(tokens: Iterable[npt.NDArray[np.float32]]) -> Floats:
    """(patients, 2 D) mean and maximum over slices of every patient's tokens, each (slices, D)."""
    return np.stack([np.concatenate([part.mean(axis=0), part.max(axis=0)]) for part in tokens]).astype(np.float64)


def presence_targets(patients: pd.DataFrame) -> dict[str, npt.NDArray[np.bool_]]:
    """Finding -> present or not, for findings probed by AUC."""
    effusion = patients["effusion_left_ml"] + patients["effusion_right_ml"]
    columns = {
        "clot": patients["clot_burden"],
        "coronary_calcium": patients["coronary_calcium"],
        "emphysema": patients["emphysema_fraction"],
        "nodule": patients["nodule_diameter_mm"],
        "effusion": effusion,
    }
    return {name: (values > 0).to_numpy() for name, values in columns.items()}


def amount_targets(patients: pd.DataFrame) -> dict[str, Floats]:
    """Measurement -> value, for measurements probed by R2."""
    effusion = patients["effusion_left_ml"] + patients["effusion_right_ml"]
    zones = patients[[f"interstitial_{zone}" for zone in range(4)]]
    columns = {
        "pulmonary_trunk_diameter": patients["pulmonary_trunk_diameter_mm"],
        "heart_scale": patients["heart_scale"],
        "clot_burden": patients["clot_burden"] ** 0.7,
        "coronary_calcium_log10": patients["coronary_calcium"],
        "effusion_log_ml": np.log1p(effusion / 150.0),
        "emphysema_fraction": patients["emphysema_fraction"],
        "nodule_diameter": patients["nodule_diameter_mm"],
        "interstitial_mean": zones.mean(axis=1),
    }
    return {name: values.to_numpy(np.float64) for name, values in columns.items()}


def area_under_curve(score: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties half (Mann-Whitney)."""
    ranks = pd.Series(score).rank().to_numpy()
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if n_pos == 0 or n_neg == 0:
        return float("nan")
    return float((ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def r_squared(predicted: Floats, observed: Floats) -> float:
    """1 - residual / total sum of squares."""
    return float(1 - ((observed - predicted) ** 2).sum() / ((observed - observed.mean()) ** 2).sum())


def _standardise(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    mean, spread = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    return (train - mean) / spread, np.clip((test - mean) / spread, -8, 8)


def ridge_scores(train: Floats, target: Floats, test: Floats, penalty: float = 1e-2) -> Floats:
    """Ridge regression with `penalty` x n on standardised features."""
    x, x_test = _standardise(train, test)
    gram = x.T @ x + penalty * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (target - target.mean()))
    return np.asarray(x_test @ weights + target.mean())


def logistic_scores(train: Floats, target: Floats, test: Floats, penalty: float = 1e-2) -> Floats:
    """Log odds of a ridge-penalised logistic regression (Newton steps with halving) on standardised features."""
    x, x_test = _standardise(train, test)
    x, x_test = (np.hstack([np.ones((len(part), 1)), part]) for part in (x, x_test))
    y, ridge = np.asarray(target, np.float64), penalty * np.r_[0.0, np.ones(x.shape[1] - 1)]

    def loss(weights: Floats) -> float:
        logits = x @ weights
        return float(np.mean(np.logaddexp(0, logits) - y * logits) + (ridge * weights**2).sum() / 2)

    weights, value = np.zeros(x.shape[1]), np.log(2.0)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (chance - y) / len(y) + ridge * weights
        curvature = (x.T * (chance * (1 - chance))) @ x / len(y) + np.diag(ridge + 1e-9)
        step, size = np.linalg.solve(curvature, gradient), 1.0
        while loss(weights - size * step) > value and size > 1e-4:
            size /= 2
        weights = weights - size * step
        before, value = value, loss(weights)
        if before - value < 1e-9:
            break
    return np.asarray(x_test @ weights)


def _cross_validated(fit: Callable[[Floats, Floats, Floats, float], Floats], features: Floats, target: Floats) -> float:
    """The penalty whose held-out scores correlate best with the target, by cross-validation on training patients."""
    fold = np.arange(len(features)) % _FOLDS
    merits = []
    for penalty in PENALTIES:
        score = np.empty(len(features))
        for part in range(_FOLDS):
            inside = fold != part
            score[~inside] = fit(features[inside], target[inside], features[~inside], penalty)
        ranks, truth = pd.Series(score).rank().to_numpy(), pd.Series(target).rank().to_numpy()
        merits.append(float(np.corrcoef(ranks, truth)[0, 1]))
    return PENALTIES[int(np.argmax(merits))]


def _interval(
    measure: Callable[[npt.NDArray[np.int64]], float], n: int, resamples: int, seed: int
) -> tuple[float, float]:
    """95% percentile bootstrap interval over patients."""
    rng = np.random.default_rng(seed)
    values = [measure(rng.integers(0, n, n)) for _ in range(resamples)]
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def run_probes(
    train: Floats,
    train_patients: pd.DataFrame,
    test: Floats,
    test_patients: pd.DataFrame,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> list[Probe]:
    """Probe every finding that varies in both parts. `train`, `test`: pooled tokens (patients, 2 D)."""
    probes, n = [], len(test)
    test_present = presence_targets(test_patients)
    for name, present in presence_targets(train_patients).items():
        truth = test_present[name]
        if min(present.sum(), (~present).sum(), truth.sum(), (~truth).sum()) < 5:
            continue
        penalty = _cross_validated(logistic_scores, train, present.astype(np.float64))
        score = logistic_scores(train, present.astype(np.float64), test, penalty)
        low, high = _interval(lambda rows, s=score, t=truth: area_under_curve(s[rows], t[rows]), n, resamples, seed)  # type: ignore[misc]
        value = area_under_curve(score, truth)
        probes.append(Probe(name, "auc", value, low, high, AUC_FLOORS.get(name), int(truth.sum()), n))
    test_amounts = amount_targets(test_patients)
    for name, amount in amount_targets(train_patients).items():
        if amount.std() < 1e-6 or test_amounts[name].std() < 1e-6:
            continue
        penalty = _cross_validated(ridge_scores, train, amount)
        score, observed = ridge_scores(train, amount, test, penalty), test_amounts[name]
        low, high = _interval(lambda rows, s=score, o=observed: r_squared(s[rows], o[rows]), n, resamples, seed)  # type: ignore[misc]
        value = r_squared(score, observed)
        probes.append(Probe(name, "r2", value, low, high, R2_FLOORS.get(name), int((observed != 0).sum()), n))
    return probes


def probe_table(probes: Sequence[Probe]) -> pd.DataFrame:
    """One row a probe, with whether its floor is met (None where none is asked)."""
    table = pd.DataFrame([asdict(probe) for probe in probes])
    met = [None if probe.floor is None else probe.value >= probe.floor for probe in probes]
    return table.assign(met=pd.array(met, dtype="boolean"))
