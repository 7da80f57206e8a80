"""The text reader, asked about each picture once a process: many tests of pages load the same scan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from core.intake.identifiers.pictures import ocr

_ANSWERS: dict[tuple[bytes, tuple[int, ...], float], Any] = {}


@contextmanager
def remembered_reader() -> Iterator[None]:
    """While it lasts, a picture that was read before is not read again; the engine answers alike each time."""
    engine = ocr._engine

    def answer(colour: npt.NDArray[np.uint8], *, text_score: float) -> Any:
        key = sha256(colour.tobytes()).digest(), colour.shape, text_score
        if key not in _ANSWERS:
            _ANSWERS[key] = engine()(colour, text_score=text_score)
        return _ANSWERS[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ocr, "_engine", lambda: answer)
        yield
