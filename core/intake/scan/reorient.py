"""Planes written back to front, as the axes of a scanner lie against those of a volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_CODES = {(True, True): -1, (True, False): 0, (False, True): 1}
"""OpenCV's names for the turned axes of a plane (rows, columns)."""


def _opencv_flip() -> Callable[..., Any] | None:
    try:
        import cv2
    except ImportError:  # where libGL is missing
        return None
    return cv2.flip


FLIP = _opencv_flip()
"""Turns a plane in a third of the time that numpy needs; None where OpenCV cannot be loaded."""


def write_turned(values: npt.NDArray[np.generic], out: npt.NDArray[np.int16]) -> None:
    """Write whole numbers into `out`, a part of a volume of the same shape whose strides may be negative."""
    back = tuple(stride < 0 for stride in out.strides)
    plain = out[tuple(slice(None, None, -1 if turned else 1) for turned in back)]
    if FLIP is not None and back in _CODES and values.dtype == np.int16 and plain.flags.c_contiguous:
        FLIP(values, _CODES[back], dst=plain)
    else:
        np.copyto(out, values, casting="unsafe")
