"""Words and signs that every stage writes alike."""

from __future__ import annotations


def true_minus(number: str) -> str:
    """A formatted number with the minus sign that is as wide as its digits.

    >>> true_minus("-1.1e-04")
    '−1.1e−04'
    """
    return number.replace("-", "\u2212")
