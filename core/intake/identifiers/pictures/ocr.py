"""Reading text in one grey picture (PP-OCRv4 detection and recognition through ONNX Runtime, models in the package)."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError

Picture = npt.NDArray[np.uint8]
SHORT_SIDE = 512
"""Pictures are enlarged to this many pixels along the shorter side before detection."""
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Reading:
    """One line of text: half-open pixel box, confidence of the reading in [0, 1], and the text (never shown)."""

    top: int
    left: int
    bottom: int
    right: int
    confidence: float
    text: str


class NoTextReader(UserFacingError):
    """The text reader does not start; no picture can be searched, so that none may be taken for damaged."""


def read_text(picture: Picture, *, least_confidence: float = 0.5) -> list[Reading]:
    """Lines of text in a grey picture (rows, columns); upside-down lines are read too.

    One lock guards the engine, which keeps state between its steps; it holds no picture afterwards. Raises NoTextReader
    where the reader is not installed.
    """
    colour = np.repeat(np.ascontiguousarray(picture)[:, :, None], 3, axis=2)
    with _LOCK:
        found, _ = _engine()(colour, text_score=least_confidence)
    readings = []
    for corners, text, confidence in found or ():
        x, y = np.asarray(corners, float).T
        box = (int(y.min()), int(x.min()), int(np.ceil(y.max())) + 1, int(np.ceil(x.max())) + 1)
        readings.append(Reading(*box, float(confidence), str(text)))
    return readings


@lru_cache(maxsize=1)
def _engine() -> Any:
    """The recogniser; its own log handlers are taken off, because the app's logs hold nothing about a picture.

    ONNX Runtime is told to send no usage data: versions after the pinned one keep a device id and send events.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as missing:
        raise NoTextReader(
            "The pictures could not be searched for text: the text reader does not start on this machine.",
            "Its packages and the system libraries libGL and glib.",
            "Install them (on Debian: libgl1 and libglib2.0-0) and start again; until then, look for names yourself.",
        ) from missing

    engine = RapidOCR(
        det_limit_side_len=SHORT_SIDE, det_limit_type="min", intra_op_num_threads=1, inter_op_num_threads=1
    )
    for name in ("RapidOCR", "OrtInferSession"):
        logger = logging.getLogger(name)
        logger.propagate, logger.handlers = False, [logging.NullHandler()]
    return engine
