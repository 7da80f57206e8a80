"""The time between events as tokens: 19 lengths from five minutes to half a year, the last one repeated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DAY_US = 86_400_000_000
_MINUTE, _HOUR = 1 / 1440, 1 / 24
_BOUNDS: dict[str, float] = {
    "5m-15m": 5 * _MINUTE, "15m-45m": 15 * _MINUTE, "45m-1h15m": 45 * _MINUTE, "1h15m-2h": 75 * _MINUTE,
    "2h-3h": 2 * _HOUR, "3h-5h": 3 * _HOUR, "5h-8h": 5 * _HOUR, "8h-12h": 8 * _HOUR, "12h-18h": 12 * _HOUR,
    "18h-1d": 18 * _HOUR, "1d-2d": 1, "2d-4d": 2, "4d-7d": 4, "7d-12d": 7, "12d-20d": 12, "20d-30d": 20,
    "30d-2mt": 30, "2mt-6mt": 60, "6mt": 180,
}  # fmt: skip
"""Name -> shortest gap in days. Source: ETHOS-ARES, github ipolharvard/ethos-ares 2d54383; a month is 30 days."""
GAP_NAMES = tuple(_BOUNDS)
BOUNDS_US: npt.NDArray[np.int64] = np.array([round(days * DAY_US) for days in _BOUNDS.values()], np.int64)
HALF_YEAR_US = int(BOUNDS_US[-1])
REPEATED = len(GAP_NAMES) - 1
"""The number of the gap that is repeated: once for every half year, rounded (half up)."""
REPEATED_DAYS = (135.0, 270.0)
"""What one half-year token may stand for: a gap of 1.5 half years is two tokens of 135 days each."""
GAP_POINTS = 101
"""Training gaps that are kept of each token."""

Int64s = npt.NDArray[np.int64]


def gap_numbers(gaps_us: Int64s) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    """Gaps (n,) in microseconds -> number of the gap token (-1 below five minutes) and how often it stands.

    A gap that is a token's lower bound belongs to that token.

    >>> number, times = gap_numbers(np.array([4, 5, 1440, 180 * 1440, 450 * 1440]) * 60_000_000)
    >>> number.tolist(), times.tolist()
    ([-1, 0, 10, 18, 18], [0, 1, 1, 1, 3])
    """
    number = (np.searchsorted(BOUNDS_US, gaps_us, side="right") - 1).astype(np.int8)
    times = (number >= 0).astype(np.int32)
    long = np.flatnonzero(number == REPEATED)
    times[long] = (gaps_us[long] + HALF_YEAR_US // 2) // HALF_YEAR_US
    return number, times


def gap_points(gaps_us: Int64s) -> npt.NDArray[np.float64]:
    """Of each gap token the training gaps it stands for, (gaps, 101) quantiles in days; each is a gap that was seen.

    A token that training never saw gets gaps spread evenly, on a logarithmic scale, between its bounds.
    """
    number, times = gap_numbers(gaps_us)
    days = gaps_us / np.maximum(times, 1) / DAY_US
    levels = np.linspace(0.0, 1.0, GAP_POINTS)
    points = np.empty((len(GAP_NAMES), GAP_POINTS))
    for token in range(len(GAP_NAMES)):
        own = days[number == token]
        low, high = bounds_days(token)
        points[token] = np.quantile(own, levels, method="inverted_cdf") if len(own) else low * (high / low) ** levels
    return points


def bounds_days(token: int) -> tuple[float, float]:
    """Shortest and longest time that one gap token stands for.

    >>> bounds_days(10), bounds_days(18)
    ((1.0, 2.0), (135.0, 270.0))
    """
    if token == REPEATED:
        return REPEATED_DAYS
    return float(BOUNDS_US[token] / DAY_US), float(BOUNDS_US[token + 1] / DAY_US)
