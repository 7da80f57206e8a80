"""The risk of each training and tuning patient from models that were not fitted on that patient.

The reference patients are cut into folds; each fold is predicted by an ensemble trained, stopped and calibrated on the
others. Encoders stay as they are: where they were fitted on outcomes, what is predicted is a little too sharp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from core.errors import UserFacingError
from core.fuse import TokenSet, batch_rows
from core.progress import Progress
from core.records import Float64Array, Task, is_supported
from core.survive.given_risk import ReferenceOutcomes
from core.survive.model import SurvivalModel
from core.train.members import FittedModel, Uncalibrated, fitted_calibration, standardised

FOLDS = 5
GRID_STEPS = 10
Fit = Callable[[TokenSet, TokenSet, int], FittedModel]
"""(training, tuning, seed) -> model."""


class CrossFit(NamedTuple):
    """Patients with the survival that models fitted without them gave; offset and slope (2,) that fit these best."""

    outcomes: ReferenceOutcomes
    calibration: torch.Tensor

    def calibrate(self, fitted: FittedModel) -> None:
        """Give the model the calibration in place of that of its tuning patients, of whom there are fewer."""
        fitted.model.calibration.copy_(self.calibration)


def cross_fit(
    train: TokenSet,
    tuning: TokenSet,
    task: Task,
    fit: Fit,
    *,
    seed: int = 0,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> CrossFit | None:
    """Outcomes and out-of-fold survival of the patients of both, training first; None where a fold cannot be trained.

    fit: how the model itself was trained. All folds share one calibration, fitted on the out-of-fold predictions of all
    patients; it is the model's own too (`CrossFit.calibrate`). The days run from a thousandth of the follow-up on, with
    the horizons.
    """
    whole = train.joined(tuning)
    share = len(tuning) / len(whole)
    fold_of = spread_evenly(whole.events.numpy(), folds, seed)
    models: list[tuple[npt.NDArray[np.int64], SurvivalModel]] = []
    for fold in range(folds):
        if progress is not None:
            progress(fold / folds, f"cross-fitting, fold {fold + 1} of {folds}")
        rest, rows = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        parts = spread_evenly(whole.events.numpy()[rest], max(2, round(1 / share)), seed + 1 + fold)
        try:
            fitted = fit(whole.subset(rest[parts > 0]), whole.subset(rest[parts == 0]), seed + 1 + fold)
        except UserFacingError:
            return None
        models.append((rows, fitted.model))
    calibration = fitted_calibration(
        [Uncalibrated.of(model, standardised(model, whole.subset(rows))) for rows, model in models]
    )
    for _, model in models:
        model.calibration.copy_(calibration)
    days = grid_days(min(model.last_supported_days for _, model in models), task)
    given = np.empty((len(whole), len(days)))
    for rows, model in models:
        given[rows] = _survival(model, whole.subset(rows), days)
    seen = whole.events.numpy().astype(bool)
    return CrossFit(ReferenceOutcomes(whole.times.double().numpy(), seen, days, given), calibration)


def grid_days(last_days: float, task: Task) -> Float64Array:
    """Days at which curves are kept: even steps of log time up to the end of follow-up, and the task's horizons."""
    horizons = [float(days) for days in task.horizons_days if is_supported(days, last_days)]
    steps = np.geomspace(last_days / 1000, last_days, GRID_STEPS)
    apart = [step for step in steps if all(abs(np.log(step / days)) > 0.1 for days in horizons)]
    return np.unique(np.round([*apart, *horizons], 3))


def spread_evenly(events: npt.ArrayLike, parts: int, seed: int) -> npt.NDArray[np.int64]:
    """A part, 0 to parts - 1, for each patient: at random, with even shares of those with and without the event."""
    seen = np.asarray(events) > 0
    draw, found = np.random.default_rng(seed), np.zeros(len(seen), np.int64)
    for group in (seen, ~seen):
        found[group] = draw.permutation(np.arange(group.sum()) % parts)
    return found


def _survival(model: SurvivalModel, data: TokenSet, days: Float64Array) -> Float64Array:
    grid = torch.as_tensor(days, dtype=torch.float32)
    with torch.no_grad():
        parts = [model(data.batch(rows)).survival(grid) for rows in batch_rows(len(data))]
    return np.asarray(torch.cat(parts).double().numpy())
