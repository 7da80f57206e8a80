"""A pretended second device, for machines without a GPU: real numbers, refused wherever two devices meet.

Tensors "on" it say that their device is `PRETENDED` and hold a CPU tensor; every operation is done by the CPU. As on
CUDA, an operation on tensors of both devices raises, except where the other one is a number (no dimensions), an index,
or copied on purpose; and such a tensor must be brought to the CPU before NumPy may read it. What differs from CUDA:
precision (mixed precision is left out), speed, memory, and kernels that CUDA lacks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map, tree_map_only

PRETENDED = torch.device("meta")
_CROSSING = ("_to_copy", "copy_", "_copy_from")
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put")


class OnDevice(torch.Tensor):
    """A CPU tensor that says it is on the pretended device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=PRETENDED
        )
        made.held = held
        return made

    def __getitem__(self, key: Any) -> torch.Tensor:
        return super().__getitem__(_without_lists(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_without_lists(key), value)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def _without_lists(key: Any) -> Any:
    """An index whose lists are tensors: the binding would put them on the device without any operation."""
    parts = key if isinstance(key, tuple) else (key,)
    return tuple(torch.as_tensor(part) if isinstance(part, (list, np.ndarray)) else part for part in parts)


class DevicesMixed(Exception):
    """An operation met tensors of two devices."""


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation by the CPU; its results on the device of its inputs or on the one it names."""
    tensors: list[torch.Tensor] = []
    tree_map_only(torch.Tensor, tensors.append, (args, kwargs))
    pretended = any(isinstance(tensor, OnDevice) for tensor in tensors)
    name = func._schema.name.removeprefix("aten::")
    plain = [tensor for tensor in tensors if not isinstance(tensor, OnDevice)]
    values = plain if name not in _INDEXING else [tensor for tensor in plain if tensor is args[0]]
    if pretended and name not in _CROSSING and any(tensor.ndim for tensor in values):
        raise DevicesMixed(f"{name}: tensors of two devices")
    if any(tensor.device == PRETENDED for tensor in plain):
        raise NotImplementedError(f"{name}: numbers were handed to the pretended device past every operation")
    asked = kwargs.get("device")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
        pretended = torch.device(asked) == PRETENDED
    elif name == "copy_":
        pretended = isinstance(args[0], OnDevice)
    inner_args, inner_kwargs = tree_map_only(OnDevice, lambda tensor: tensor.held, (args, kwargs))
    result = func(*inner_args, **inner_kwargs)
    if func._schema.is_mutable and result is (inner_args[0] if inner_args else None):
        return args[0]
    return tree_map(lambda part: OnDevice(part) if pretended and isinstance(part, torch.Tensor) else part, result)


class _Factories(TorchDispatchMode):
    """Makes torch.zeros(..., device=PRETENDED) and tensor.to(PRETENDED) give tensors on the pretended device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def _from_data(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch.tensor or torch.as_tensor, which hand numbers to the device without an operation that a mode could see."""

    def made(data: Any, *, dtype: torch.dtype | None = None, device: Any = None, **options: Any) -> torch.Tensor:
        if isinstance(data, OnDevice):
            return data.to(device=data.device if device is None else device, dtype=dtype or data.dtype)
        tensor = make(data, dtype=dtype, **options)
        return tensor if device is None else tensor.to(device)

    return made


@contextlib.contextmanager
def pretended_device() -> Iterator[torch.device]:
    """Inside, the pretended device can be used; mixed precision does nothing."""
    makers = [mock.patch(f"torch.{name}", _from_data(getattr(torch, name))) for name in ("tensor", "as_tensor")]
    plain = mock.patch("torch.autocast", return_value=contextlib.nullcontext())
    with makers[0], makers[1], plain, _Factories():
        yield PRETENDED
