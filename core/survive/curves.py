"""From an ensemble's log-hazards to the patient's survival curve, and how far its members are apart."""

from __future__ import annotations

import numpy as np
import torch

from core.records import SurvivalCurve, is_supported
from core.survive.likelihood import survival
from core.survive.model import ModelOutput

GRID_POINTS = 121


def curve_from_output(output: ModelOutput, row: int = 0) -> SurvivalCurve:
    """The curve of patient `row`: mean of the members' S(t).

    The grid holds `GRID_POINTS` equal steps from 0 to the last supported time and every edge of the hazard. Computed in
    float64; sums of rounding errors are removed so that the curve never rises.
    """
    edges = output.edges.detach().cpu().double().numpy()
    times = np.union1d(np.linspace(0.0, edges[-1], GRID_POINTS), edges)
    hazards = output.log_hazards[:, row].detach().cpu().double().clamp(-30.0, 10.0).exp().numpy()
    spent = np.clip(np.minimum(times[:, None], edges[1:]) - edges[:-1], 0.0, None)
    mean = np.minimum.accumulate(np.clip(np.exp(-(hazards @ spent.T)).mean(0), 0.0, 1.0))
    mean[0] = 1.0
    return SurvivalCurve(times, mean)


def member_risks(output: ModelOutput, horizon_days: float, row: int = 0) -> tuple[float, float]:
    """(lowest, highest) risk by the horizon that a single member of the ensemble gives patient `row`."""
    horizon = torch.tensor([horizon_days], dtype=output.edges.dtype, device=output.edges.device)
    with torch.no_grad():
        each = 1.0 - survival(output.log_hazards, output.edges, horizon)[:, row, 0]
    return float(each.min()), float(each.max())


def horizon_risks(output: ModelOutput, horizons_days: tuple[int, ...]) -> dict[int, float]:
    """Risk of the first patient at each horizon that training follow-up supports (others are left out)."""
    supported = [days for days in horizons_days if is_supported(days, float(output.edges[-1]))]
    with torch.no_grad():
        return {days: float(output.risk(float(days))[0]) for days in supported}
