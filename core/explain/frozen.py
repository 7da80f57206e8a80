"""Temporary changes to a model, and every one of them undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def explaining(*modules: nn.Module, device: torch.device | str = "cpu") -> Iterator[None]:
    """Modules in evaluation mode, weights without gradient, on `device`; all put back on exit, exceptions included.

    Hooks left behind by a library that raised midway are removed. The caller holds the model lock.
    """
    undo = [_snapshot(module) for module in modules]
    try:
        for module in modules:
            _move(module.eval().requires_grad_(False), device)
        yield
    finally:
        for module, snapshot in zip(modules, undo, strict=True):
            _restore(module, *snapshot)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's and NumPy's global generators seeded inside, and as before outside (Captum draws from both)."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002


Snapshot = tuple[torch.device, list[bool], list[bool], list[dict[str, list[int]]]]


def _device(module: nn.Module) -> torch.device:
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _move(module: nn.Module, device: torch.device | str) -> None:
    """The module to a device, where it is not there: visiting every weight costs as much as a slice's gradient."""
    if _device(module) != torch.device(device):
        module.to(device)


def _snapshot(module: nn.Module) -> Snapshot:
    hooks = [{name: list(getattr(part, name)) for name in _HOOKS} for part in module.modules()]
    training = [part.training for part in module.modules()]
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    return _device(module), training, wanted, hooks


def _restore(
    module: nn.Module,
    device: torch.device,
    training: list[bool],
    wanted: list[bool],
    hooks: list[dict[str, list[int]]],
) -> None:
    _move(module, device)
    for part, flag, before in zip(module.modules(), training, hooks, strict=True):
        part.training = flag
        for name in _HOOKS:
            present = getattr(part, name)
            for key in [key for key in present if key not in before[name]]:
                del present[key]
    for parameter, flag in zip(module.parameters(), wanted, strict=True):
        parameter.requires_grad_(flag)
