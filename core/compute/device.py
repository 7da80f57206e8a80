"""The device that long work runs on, with a sentence where it is not the one asked for."""

from __future__ import annotations

import torch

from core.errors import UserFacingError


def resolve_device(device: str) -> tuple[torch.device, tuple[str, ...]]:
    """ "auto", "cpu" or "cuda" -> a device that exists, with a plain sentence where that is not what was asked for.

    Raises UserFacingError for any other word.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserFacingError(f"The device {device} is not known", "auto, cpu or cuda", "Choose one of these")
    if device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda"), ()
    asked = ("No CUDA device is available; the CPU is used instead.",) if device == "cuda" else ()
    return torch.device("cpu"), asked
