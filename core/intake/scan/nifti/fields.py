"""The fields of NIfTI-1 and NIfTI-2 headers as written (nifti1.h, nifti2.h), unchecked."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any


def layout(head: memoryview | bytes) -> tuple[str, bool] | None:
    """(byte order, is NIfTI-2) of a header, or None where it is not NIfTI."""
    if len(head) < 348:
        return None
    for order in "<>":
        size = struct.unpack_from(order + "i", head)[0]
        if size == 348 and bytes(head[344:347]) in (b"n+1", b"ni1"):
            return order, False
        if size == 540 and bytes(head[4:7]) in (b"n+2", b"ni2"):
            return order, True
    return None


@dataclass(frozen=True)
class RawHeader:
    """Fields of either header version, as written."""

    magic: bytes
    dims: tuple[int, ...]
    pixdim: tuple[float, ...]
    datatype: int
    bitpix: int
    vox_offset: float
    slope: float
    intercept: float
    units: int
    qform: int
    sform: int
    quaternion: tuple[float, ...]
    q_offset: tuple[float, ...]
    s_rows: tuple[float, ...]
    intent: int
    description: bytes


def parse(head: memoryview) -> tuple[RawHeader, str]:
    """The fields of a header that `layout` knows, and its byte order; raises struct.error where it ends too early."""
    found = layout(head)
    assert found is not None
    order, second = found

    def at(code: str, start: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + code, head, start)

    if second:
        raw = RawHeader(
            bytes(head[4:8]), at("8q", 16), at("8d", 104), at("h", 12)[0], at("h", 14)[0], at("q", 168)[0],
            at("d", 176)[0], at("d", 184)[0], at("i", 500)[0], at("i", 344)[0], at("i", 348)[0], at("3d", 352),
            at("3d", 376), at("12d", 400), at("i", 504)[0], bytes(head[240:320]),
        )  # fmt: skip
    else:
        raw = RawHeader(
            bytes(head[344:348]), at("8h", 40), at("8f", 76), at("h", 70)[0], at("h", 72)[0], at("f", 108)[0],
            at("f", 112)[0], at("f", 116)[0], head[123], at("h", 252)[0], at("h", 254)[0], at("3f", 256),
            at("3f", 268), at("12f", 280), at("h", 68)[0], bytes(head[148:228]),
        )  # fmt: skip
    return raw, order
