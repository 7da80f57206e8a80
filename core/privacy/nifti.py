"""Residual identifiers in a NIfTI file: text fields, extensions, gaps and bytes behind the voxels."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from typing import Any

import nibabel as nib
import numpy as np

from core.load.entry import Entry
from core.load.identifying import identifying
from core.load.nifti_fields import layout
from core.privacy.finding import Finding, mask
from core.privacy.patterns import letters_in, printable_runs, without_measures

_NIFTI1_TEXTS = (
    ("data_type", 4, 14),
    ("db_name", 14, 32),
    ("descrip", 148, 228),
    ("aux_file", 228, 252),
    ("intent_name", 328, 344),
)
_NIFTI2_TEXTS = (("descrip", 240, 320), ("aux_file", 320, 344), ("intent_name", 508, 524), ("unused", 525, 540))
_KNOWN_TEXTS = frozenset((b"", b"virtual patient", b"FSL5.0", b"FSL6.0", b"NiBabel", b"TE=0"))
_FEWEST_LETTERS = 4
"""In a row; the numbers of a header are few, so that they hardly ever spell that many by chance."""


def search_nifti(entry: Entry, tokens: Collection[str]) -> list[Finding]:
    """Findings of one NIfTI file; its voxels are searched elsewhere."""
    head = bytes(entry.read(0, 544))
    order, second = layout(head) or ("<", False)
    found = []
    for name, start, stop in _NIFTI2_TEXTS if second else _NIFTI1_TEXTS:
        text = head[start:stop].split(b"\0", 1)[0].strip()
        hidden = head[start:stop].rstrip(b"\0")
        if text not in _KNOWN_TEXTS or (hidden != head[start:stop].split(b"\0", 1)[0] and printable_runs(hidden)):
            category = identifying(text.decode("latin-1"), tokens) or "free text"
            found.append(Finding(category, f"NIfTI field {name}", mask(hidden)))
    found += _numbers(head, order, second)
    first = 540 if second else 348
    voxels = _voxels_start(head, order, second)
    between = bytes(entry.read(first, voxels)).strip(b"\0")
    if between:
        found.append(Finding("extension", "NIfTI header extension", mask(between)))
    return found + _behind(entry, voxels + _voxel_bytes(head, order, second))


def _numbers(head: bytes, order: str, second: bool) -> list[Finding]:
    """Letters in the bytes of the header's numbers."""
    kind = (nib.Nifti2Header if second else nib.Nifti1Header).template_dtype.newbyteorder(">" if order == ">" else "<")
    if len(head) < kind.itemsize:
        return []
    header = np.frombuffer(head[: kind.itemsize], kind)[0]
    numbers = (np.atleast_1d(header[name]) for name in kind.names or () if header[name].dtype.kind in "if")
    runs = letters_in(b"".join(without_measures(values).tobytes() for values in numbers), _FEWEST_LETTERS)
    return [Finding("free text", "numbers of the NIfTI header", mask(b"".join(runs)))] if runs else []


def _behind(entry: Entry, end: int) -> list[Finding]:
    """Whatever lies behind the last voxel; zeros are padding."""
    if end >= entry.size:
        return []
    used = int(np.count_nonzero(np.frombuffer(entry.read(end, None), np.uint8)))
    return [Finding("trailing bytes", "behind the voxels", f"{used} bytes, not zero")] if used else []


def _voxel_bytes(head: bytes, order: str, second: bool) -> int:
    """Bytes that the declared grid takes."""

    def at(code: str, start: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + code, head, start)

    dims, bits = (at("8q", 16), at("h", 14)[0]) if second else (at("8h", 40), at("h", 72)[0])
    edges = dims[1 : min(max(int(dims[0]), 0), 7) + 1]
    return math.prod(max(int(edge), 1) for edge in edges) * max(int(bits), 0) // 8


def _voxels_start(head: bytes, order: str, second: bool) -> int:
    """Where extensions end; at most 16 MiB are searched."""
    if second:
        offset = struct.unpack_from(order + "q", head, 168)[0]
    else:
        declared = struct.unpack_from(order + "f", head, 108)[0]
        offset = int(min(max(declared, 0), 1 << 24)) if math.isfinite(declared) else 0
    return min(int(offset), 1 << 24) if offset > 0 else (544 if second else 352)
