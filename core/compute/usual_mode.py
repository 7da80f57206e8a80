"""Torch as it is when nobody has changed it: what a caller has turned on changes no result, and ends none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_KINDS = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def usual_mode() -> Iterator[None]:
    """Gradients can be taken, numbers have 32 bits and are not rounded to fewer, whatever the caller is in: inference
    mode, `no_grad`, autocast or another default type, all of which are as before on exit.

    The default type is one for the whole process, so it is touched only where it is another.
    """
    before = torch.get_default_dtype()
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in _KINDS:
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if before != torch.float32:
            modes.callback(torch.set_default_dtype, before)
            torch.set_default_dtype(torch.float32)
        yield
