"""How much a source may ask for. Enforced while reading, stated in the message."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

from core.errors import UserFacingError

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one source, and what is left of them once some of its files are open (`after`).

    entries:       files in a folder or archive.
    bytes_total:   bytes after decompression, all entries together.
    taken:         bytes of these that what was opened before has taken.
    ratio:         decompressed over compressed bytes, checked beyond `ratio_free_bytes`.
    voxels:        voxels of the volume built (int16, so twice as many bytes; with what else is needed, within 1 GiB).
    held:          bytes of files that may (still) be held unpacked, all together.
    edge:          voxels along one axis.
    """

    entries: int = 20_000
    bytes_total: int = 2048 * MIB
    taken: int = 0
    ratio: int = 100
    ratio_free_bytes: int = 64 * MIB
    voxels: int = 480_000_000
    held: int = 2048 * MIB
    edge: int = 8192

    def after(self, *, taken: int = 0, held: int = 0) -> Limits:
        """The bounds for the next file, where others unpacked to `taken` bytes and `held` of them stay in memory."""
        return replace(self, taken=self.taken + taken, held=self.held - held)


LIMITS = Limits()


def workers() -> int:
    """Threads worth starting."""
    return min(8, os.cpu_count() or 1)


def too_many_entries(limits: Limits) -> UserFacingError:
    """The refusal for a source with more files than allowed."""
    return UserFacingError(
        f"The source holds more than {limits.entries:,} files.",
        f"one study with at most {limits.entries:,} files",
        "Choose the folder or archive of a single study.",
    )


def too_many_bytes(limits: Limits) -> UserFacingError:
    """The refusal for a source that unpacks to more bytes than allowed."""
    return UserFacingError(
        f"The source unpacks to more than {limits.bytes_total // MIB:,} MiB; reading was stopped there.",
        f"at most {limits.bytes_total // MIB:,} MiB after decompression",
        "Choose a single CT series.",
    )


def too_compressed(limits: Limits) -> UserFacingError:
    """The refusal for compressed data that expands beyond any CT's ratio."""
    return UserFacingError(
        f"The compressed data expand more than {limits.ratio}-fold; reading was stopped.",
        f"data of a scan or record, which expand less than {limits.ratio}-fold",
        "Check where the file comes from and export the study again.",
    )


def check_held(held: int, limits: Limits) -> None:
    """Raise when files held unpacked take more memory than allowed."""
    if held > limits.held:
        raise UserFacingError(
            f"The files must be held unpacked, which takes more memory than is allowed for a scan "
            f"({2 * limits.voxels // 1_000_000:,} MB together with its volume).",
            "files that can be read where they lie",
            "Unpack the archive first and choose the folder or file.",
        )


def check_file_held(size: int, limits: Limits) -> None:
    """Raise when one file that must be held whole takes more memory than a scan may."""
    check_held(size, replace(limits, held=min(limits.held, 2 * limits.voxels)))


def check_volume_beside(held: int, shape: tuple[int, ...], limits: Limits) -> None:
    """Raise when the volume of this shape does not fit into memory beside `held` bytes of unpacked files."""
    if held:
        check_held(held + 2 * math.prod(shape), replace(limits, held=2 * limits.voxels))


def check_ratio(produced: int, consumed: int, limits: Limits) -> None:
    """Raise when `produced` bytes from `consumed` compressed bytes break a limit."""
    if limits.taken + produced > limits.bytes_total:
        raise too_many_bytes(limits)
    if produced > limits.ratio_free_bytes and produced > limits.ratio * max(consumed, 1):
        raise too_compressed(limits)


def check_grid(shape: tuple[int, ...], limits: Limits) -> None:
    """Raise when a declared grid is too large to be built, before any memory is asked for."""
    voxels = 1
    for edge in shape:
        voxels *= edge
    if max(shape) > limits.edge or voxels > limits.voxels:
        raise UserFacingError(
            f"The header declares a volume of {' x '.join(f'{edge:,}' for edge in shape)} voxels.",
            f"at most {limits.edge:,} voxels along an axis and {limits.voxels // 1_000_000:,} million in all",
            "Check the file; if the size is right, resample the volume first.",
        )
