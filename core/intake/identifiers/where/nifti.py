"""Residual identifiers in a NIfTI file: text fields, extensions, gaps and bytes behind the voxels."""

from __future__ import annotations

import math
from collections.abc import Collection

import nibabel as nib
import numpy as np

from core.intake.files.byte_source import Entry
from core.intake.files.limits import MIB
from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.patterns import letters_in, printable_runs, without_measures
from core.intake.scan.nifti.fields import RawHeader, parse
from core.intake.terms.identifier_patterns import identifying

_NIFTI1_TEXTS = (
    ("data_type", 4, 14),
    ("db_name", 14, 32),
    ("descrip", 148, 228),
    ("aux_file", 228, 252),
    ("intent_name", 328, 344),
)
_NIFTI2_TEXTS = (("descrip", 240, 320), ("aux_file", 320, 344), ("intent_name", 508, 524), ("unused", 525, 540))
_KNOWN_TEXTS = frozenset((b"", b"virtual patient", b"FSL5.0", b"FSL6.0", b"NiBabel", b"TE=0"))
_HEADER_2 = 544
"""Bytes of a NIfTI-2 header with the mark of its extensions."""
_MOST_EXTENSIONS = 16 * MIB
_FEWEST_LETTERS = 4
"""In a row; the numbers of a header are few, so that they hardly ever spell that many by chance."""


def search_nifti(entry: Entry, tokens: Collection[str]) -> list[Finding]:
    """Findings of one NIfTI file, as `looks_like_nifti` tells it; its voxels are searched elsewhere."""
    head = bytes(entry.read(0, _HEADER_2)).ljust(_HEADER_2, b"\0")
    header, order = parse(memoryview(head))
    second = header.magic[2:3] == b"2"
    found: list[Finding] = []
    for name, start, stop in _NIFTI2_TEXTS if second else _NIFTI1_TEXTS:
        field = head[start:stop].rstrip(b"\0")
        text, _, hidden = field.partition(b"\0")
        if text.strip() not in _KNOWN_TEXTS or (hidden and printable_runs(field)):
            category = identifying(text.strip().decode("latin-1"), tokens) or "free text"
            found.append(Finding(category, f"NIfTI field {name}", mask(field)))
    found += _numbers(head, order, second)
    first = 540 if second else 348
    voxels = _voxels_start(header.vox_offset, second)
    between = bytes(entry.read(first, voxels)).strip(b"\0")
    if between:
        found.append(Finding("extension", "NIfTI header extension", mask(between)))
    return found + _behind(entry, voxels + _voxel_bytes(header))


def _numbers(head: bytes, order: str, second: bool) -> list[Finding]:
    """Letters in the bytes of the header's numbers. head: at least as long as the header; order: "<" or ">"."""
    kind = (nib.Nifti2Header if second else nib.Nifti1Header).template_dtype.newbyteorder(">" if order == ">" else "<")
    header = np.frombuffer(head, kind, 1)[0]
    numbers = (np.atleast_1d(header[name]) for name in kind.names or () if header[name].dtype.kind in "if")
    runs = letters_in(b"".join(without_measures(values).tobytes() for values in numbers), _FEWEST_LETTERS)
    return [Finding("free text", "numbers of the NIfTI header", mask(b"".join(runs)))] if runs else []


def _behind(entry: Entry, end: int) -> list[Finding]:
    """Whatever lies behind the last voxel; zeros are padding."""
    if end >= entry.size:
        return []
    used = int(np.count_nonzero(np.frombuffer(entry.read(end, None), np.uint8)))
    return [Finding("trailing bytes", "behind the voxels", f"{used} bytes, not zero")] if used else []


def _voxel_bytes(header: RawHeader) -> int:
    """Bytes that the declared grid takes."""
    edges = header.dims[1 : min(max(header.dims[0], 0), 7) + 1]
    return math.prod(max(edge, 1) for edge in edges) * max(header.bitpix, 0) // 8


def _voxels_start(declared: float, second: bool) -> int:
    """Where extensions end; at most 16 MiB are searched."""
    offset = int(min(max(declared, 0), _MOST_EXTENSIONS)) if math.isfinite(declared) else 0
    return offset or (_HEADER_2 if second else 352)
