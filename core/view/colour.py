"""Screen colours: the export's palette, the saliency maps as tables, and CSS helpers."""

from __future__ import annotations

from functools import lru_cache

import matplotlib
import numpy as np

from core.export.style import MAGNITUDE_MAP, SIGNED_MAP


def translucent(colour: str, alpha: float) -> str:
    """CSS rgba() of a #rrggbb colour.

    >>> translucent("#0072B2", 0.5)
    'rgba(0,114,178,0.5)'
    """
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


@lru_cache(maxsize=2)
def saliency_colours(signed: bool) -> tuple[tuple[int, int, int], ...]:
    """256 RGB colours, 0 to 255, of the map that exported figures use too."""
    table = matplotlib.colormaps[SIGNED_MAP if signed else MAGNITUDE_MAP](np.linspace(0.0, 1.0, 256))[:, :3]
    return tuple((int(r), int(g), int(b)) for r, g, b in np.round(table * 255))
