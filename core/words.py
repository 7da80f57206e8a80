"""Words and signs that every stage writes alike."""

from __future__ import annotations

OLDEST_YEARS = 90.0
"""Whoever is older than 89 counts as 90: an age above that may identify a person (45 CFR 164.514(b)(2)(i)(C))."""


def true_minus(number: str) -> str:
    """A formatted number with the minus sign that is as wide as its digits.

    >>> true_minus("-1.1e-04")
    '−1.1e−04'
    """
    return number.replace("-", "\u2212")


def span_words(days: float) -> str:
    """A length of time, as years where it is more than one.

    >>> span_words(0.6), span_words(12), span_words(900)
    ('1 day', '12 days', '2.5 years')
    """
    if days > 365:
        return f"{days / 365.25:.1f} years"
    return "1 day" if round(days) == 1 else f"{round(days)} days"


def days_from_zero_words(days: int) -> str:
    """On which side of day 0, and how far from it.

    >>> days_from_zero_words(0), days_from_zero_words(-1), days_from_zero_words(800)
    ('on day 0', '1 day before day 0', '2.2 years after day 0')
    """
    return "on day 0" if days == 0 else f"{span_words(abs(days))} {'before' if days < 0 else 'after'} day 0"
