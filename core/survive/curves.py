"""From an ensemble's log-hazards to the patient's survival curve with its band."""

from __future__ import annotations

import numpy as np
import torch

from core.records import SurvivalCurve, is_supported
from core.survive.model import ModelOutput

GRID_POINTS = 121


def band_words(members: int) -> str:
    """What the band is, in words."""
    if members == 1:
        return "no band: the model has a single member"
    return f"smallest and largest of {members} separately trained members; not a confidence interval"


def curve_from_output(output: ModelOutput, row: int = 0) -> SurvivalCurve:
    """The curve of patient `row`: mean of the members' S(t), band from the smallest to the largest member.

    The grid holds `GRID_POINTS` equal steps from 0 to the last supported time and every edge of the hazard. Computed in
    float64; sums of rounding errors are removed so that the curve never rises and lies inside its band.
    """
    edges = output.edges.detach().cpu().double().numpy()
    times = np.union1d(np.linspace(0.0, edges[-1], GRID_POINTS), edges)
    hazards = output.log_hazards[:, row].detach().cpu().double().clamp(-30.0, 10.0).exp().numpy()
    spent = np.clip(np.minimum(times[:, None], edges[1:]) - edges[:-1], 0.0, None)
    members = np.minimum.accumulate(np.exp(-(hazards @ spent.T)), axis=1)
    lower, upper = members.min(0), members.max(0)
    mean = np.minimum.accumulate(np.clip(members.mean(0), lower, upper))
    mean[0] = 1.0
    return SurvivalCurve(times, mean, np.minimum(lower, mean), np.maximum(upper, mean), band_words(len(members)))


def horizon_risks(output: ModelOutput, horizons_days: tuple[int, ...]) -> dict[int, float]:
    """Risk of the first patient at each horizon that training follow-up supports (others are left out)."""
    supported = [days for days in horizons_days if is_supported(days, float(output.edges[-1]))]
    with torch.no_grad():
        return {days: float(output.risk(float(days))[0]) for days in supported}
