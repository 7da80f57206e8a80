"""The interval of every resampled number of a report."""

from __future__ import annotations

import numpy as np

from core.records import Float64Array
from core.survive.metrics.concordance import percentile_interval

LEVEL = 0.95


def interval(drawn: Float64Array) -> dict[str, float]:
    """lower, upper and level of the percentile interval of resampled values (b,), those without a value left out."""
    lower, upper = percentile_interval(drawn[~np.isnan(drawn)], LEVEL)
    return {"lower": lower, "upper": upper, "level": LEVEL}
