"""How much a map amounts to, in numbers: its colours are scaled to the map itself, so they cannot tell."""

from __future__ import annotations

from core.records import Attribution

_SMALLEST_SHOWN = 0.0001
RELATIVE = "Own scale: a weak map looks as strong as a strong one"


def value_ends(saliency: Attribution) -> tuple[float, float]:
    """(smallest, largest) value of the map; either may lie beyond the ends of its colour scale."""
    return float(saliency.values.min()) + 0.0, float(saliency.values.max()) + 0.0  # never -0


def beyond_scale(saliency: Attribution) -> tuple[bool, bool]:
    """Does the map reach below, and above, the ends of its colour scale?"""
    low, high = value_ends(saliency)
    return saliency.signed and low < -saliency.scale_limit, high > saliency.scale_limit


def amount_words(saliency: Attribution) -> str:
    """What all of the map comes to, where its method gives an amount of risk; else that its scale is its own."""
    if saliency.risk_change is not None:
        return f"Summed over slices: {points(saliency.risk_change)} of risk"
    if saliency.method == "occlusion":
        return f"One square hidden: at most {points(max(map(abs, value_ends(saliency))))}"
    return RELATIVE


def points(share: float) -> str:
    """A change of risk.

    >>> points(0.0123), points(0.00004), points(0)
    ('1.2 percentage points', 'less than 0.01 percentage points', '0 percentage points')
    """
    if 0 < share < _SMALLEST_SHOWN:
        return f"less than {100 * _SMALLEST_SHOWN:g} percentage points"
    return f"{float(f'{100 * share:.2g}'):g} percentage points"
