"""How much a map amounts to, where it is strongest, and whether it may be believed: its colours cannot tell."""

from __future__ import annotations

from core.records import Attribution

_SMALLEST_SHOWN = 0.0001
RELATIVE = "Own scale: a weak map looks as strong as a strong one"
CHECK_WORDS = {
    True: "",
    False: "Failed the check with random weights",
    None: "Not checked with random weights",
}
"""The verdict of the weight-randomisation check, as it stands beside a map."""


def value_ends(saliency: Attribution) -> tuple[float, float]:
    """(smallest, largest) value of the map; either may lie beyond the ends of its colour scale."""
    return float(saliency.values.min()) + 0.0, float(saliency.values.max()) + 0.0  # never -0


def is_of_one_slice(saliency: Attribution) -> bool:
    """Was only one slice of the CT explained?"""
    return any(name.endswith("_explained") for name in saliency.parameters)


def beyond_scale(saliency: Attribution, limit: float | None = None) -> tuple[bool, bool]:
    """Does the map reach below, and above, the ends of a colour scale, by default the one it is shown on?"""
    low, high = value_ends(saliency)
    end = saliency.scale_limit if limit is None else limit
    return saliency.signed and low < -end, high > end


def amount_words(saliency: Attribution) -> str:
    """How strong the map is: beside those of training patients, else as an amount of risk; else that its scale is its
    own."""
    if saliency.strength is not None:
        return f"Stronger than {_of_a_hundred(saliency.strength.share)} of 100 training patients' maps"
    if saliency.risk_change is not None:
        where = "in this slice" if is_of_one_slice(saliency) else "over slices"
        return f"Summed {where}: {points(saliency.risk_change)} of risk"
    if saliency.method == "occlusion":
        return f"One square hidden: at most {points(max(map(abs, value_ends(saliency))))}"
    return RELATIVE


def place_words(saliency: Attribution) -> str:
    """What the encoder reads where the map is strongest; "" where it reads no findings.

    >>> import numpy as np
    >>> values = np.zeros((2, 2, 2), np.float32)
    >>> place_words(Attribution(values, "gradcam", 90, True, "unit", strongest=("pulmonary artery", "clot")))
    'Strongest where the encoder reads pulmonary artery, clot'
    >>> place_words(Attribution(values, "gradcam", 90, True, "unit", strongest=()))
    'Strongest where the encoder reads none of its findings'
    """
    if saliency.strongest is None:
        return ""
    return f"Strongest where the encoder reads {', '.join(saliency.strongest) or 'none of its findings'}"


def _of_a_hundred(share: float) -> int:
    """Never all of them: there may be stronger ones."""
    return min(99, int(100 * share))


def points(share: float) -> str:
    """A change of risk.

    >>> points(0.0123), points(0.00004), points(0)
    ('1.2 percentage points', 'less than 0.01 percentage points', '0 percentage points')
    """
    if 0 < share < _SMALLEST_SHOWN:
        return f"less than {100 * _SMALLEST_SHOWN:g} percentage points"
    return f"{float(f'{100 * share:.2g}'):g} percentage points"
