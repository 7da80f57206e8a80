"""Words and signs that every stage writes alike."""

from __future__ import annotations


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
