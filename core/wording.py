"""Words and signs that every stage writes alike."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

_SLICES_NAMED = 3

OLDEST_YEARS = 90.0
"""Whoever is older than 89 counts as 90: an age above that may identify a person (45 CFR 164.514(b)(2)(i)(C))."""


def count_of(number: int, noun: str) -> str:
    """A count with its noun.

    >>> count_of(1, "file"), count_of(1200, "slice"), count_of(2, "series")
    ('1 file', '1,200 slices', '2 series')
    """
    return f"{number:,} {noun}" if number == 1 or noun.endswith("series") else f"{number:,} {noun}s"


def slices_named(places: Iterable[int], first: str) -> str:
    """A count of slices with the numbers of the first of them, counted from the `first` ("lowest") one as 1.

    >>> slices_named([7], "lowest"), slices_named([3, 1, 8, 9], "leftmost")
    ('1 slice (number 8, counted from the lowest)', '4 slices (numbers 2, 4, 9 and so on, counted from the leftmost)')
    """
    numbers = sorted(place + 1 for place in places)
    shown = ", ".join(f"{number:,}" for number in numbers[:_SLICES_NAMED])
    more = " and so on" if len(numbers) > _SLICES_NAMED else ""
    word = "number" if len(numbers) == 1 else "numbers"
    return f"{count_of(len(numbers), 'slice')} ({word} {shown}{more}, counted from the {first})"


def true_minus(number: str) -> str:
    """A formatted number with the minus sign that is as wide as its digits.

    >>> true_minus("-1.1e-04")
    '−1.1e−04'
    """
    return number.replace("-", "\u2212")


def span_words(days: float) -> str:
    """A length of time, as years where it is more than one, as hours where it is less than a day.

    >>> span_words(0), span_words(0.01), span_words(0.6), span_words(12), span_words(900)
    ('0 days', 'less than an hour', '14 hours', '12 days', '2.5 years')
    """
    if 0 < days < 1:
        hours = round(24 * days)
        return count_of(hours, "hour") if hours else "less than an hour"
    if days > 365:
        return f"{days / 365.25:.1f} years"
    return "1 day" if round(days) == 1 else f"{round(days)} days"


def seconds_words(seconds: float) -> str:
    """How long something takes, no more precisely than such an estimate can be.

    >>> seconds_words(0.3), seconds_words(4.2), seconds_words(34), seconds_words(200)
    ('1 s', '5 s', '40 s', '3 min')
    """
    if seconds <= 10:
        return f"{max(1, ceil(seconds))} s"
    return f"{10 * ceil(seconds / 10)} s" if seconds <= 50 else f"{max(1, round(seconds / 60))} min"


def left_words(seconds: float) -> str:
    """How long something will yet take, no more precisely than such an estimate can be.

    >>> left_words(4), left_words(34), left_words(70), left_words(200)
    ('a few seconds left', 'about 40 s left', 'about 1 min left', 'about 3 min left')
    """
    if seconds <= 10:
        return "a few seconds left"
    return f"about {seconds_words(seconds)} left"


def days_from_zero_words(days: int) -> str:
    """On which side of day 0, and how far from it.

    >>> days_from_zero_words(0), days_from_zero_words(-1), days_from_zero_words(800)
    ('on day 0', '1 day before day 0', '2.2 years after day 0')
    """
    return "on day 0" if days == 0 else f"{span_words(abs(days))} {'before' if days < 0 else 'after'} day 0"


def duration(days: float) -> str:
    """Days in words, as years where they make whole years.

    >>> duration(90), duration(365), duration(1826), duration(1)
    ('90 days', '1 year', '5 years', '1 day')
    """
    years = days / 365.25
    if days >= 365 and abs(years - round(years)) < 0.01:
        return f"{round(years)} year" + ("s" if round(years) > 1 else "")
    return "1 day" if days == 1 else f"{days:g} days"


def tick_label(day: float) -> str:
    """Axis label of a day: days up to a year, then years.

    >>> tick_label(0), tick_label(90), tick_label(365), tick_label(1826)
    ('day 0', '90 d', '1 y', '5 y')
    """
    if day == 0:
        return "day 0"
    return f"{day / 365.25:.0f} y" if day >= 365 else f"{day:.0f} d"


def time_ticks(end_days: float) -> list[float]:
    """Days to name on an axis that ends at `end_days`: whole years, thinned beyond ten, or days within two years.

    >>> time_ticks(1525.0), time_ticks(200.0)
    ([0.0, 365.25, 730.5, 1095.75, 1461.0], [0.0, 30.0, 90.0, 180.0])
    """
    years = end_days / 365.25
    if years < 2:
        return [float(day) for day in (0, 30, 90, 180, 365) if day <= end_days]
    step = -(-int(years) // 10)
    return [365.25 * year for year in range(0, int(years) + 1, step)]
