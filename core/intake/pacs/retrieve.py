"""Images retrieved from a DICOMweb server (PS3.18, 10.4), each whole and the very one that was asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial

from core.errors import UserFacingError
from core.intake.files.limits import Limits
from core.intake.pacs.failures import LostConnection
from core.intake.pacs.server import DicomWebServer
from core.intake.pacs.transport import Exchange, Patience
from core.intake.scan.dicom.elements import Malformed, Scan, scan, skip_undefined

_IDENTITY = (0x0020000D, 0x0020000E, 0x00080018)
_SUBSTANCE = (*_IDENTITY, 0x00100020, 0x00200032, 0x00200037, 0x00280030, 0x00281052, 0x00281053)
"""UIDs; patient number, position, orientation, spacing, intercept and slope of the values."""


def fetch_images(
    server: DicomWebServer,
    place: str,
    uids: tuple[str, str],
    images: Sequence[str],
    progress: Callable[[float], None] | None,
    cancelled: Callable[[], bool] | None,
    limits: Limits,
    patience: Patience,
) -> list[bytes]:
    """The files of these images. place: address of the images of the series. uids: of the study and the series."""
    exchange = Exchange(server, limits.bytes_total, patience)

    def tick(done: int) -> None:
        if progress is not None:
            progress(done / len(images))

    tasks = [partial(_fetch_image, exchange, f"{place}/{uid}", (*uids, uid), limits) for uid in images]
    return exchange.run(tasks, cancelled=cancelled, tick=tick)


def content_of(part: bytes, limits: Limits) -> tuple[dict[int, bytes], memoryview]:
    """What makes an image what it is: whose it is, where it lies, and its pixels."""
    found = scan(memoryview(part), _SUBSTANCE, complete=True, limits=limits)
    return found.values, memoryview(part if found.data is None else found.data)[found.pixel_start :]


def _scanned(part: bytes, limits: Limits) -> Scan | None:
    """The UIDs and the extent of an image, None where it is none."""
    try:
        return scan(memoryview(part), _IDENTITY, complete=True, limits=limits)
    except Malformed:
        return None


def _fetch_image(exchange: Exchange, url: str, uids: tuple[str, str, str], limits: Limits) -> bytes:
    """One image, byte for byte as sent. uids: study, series and image that it must be."""
    part = exchange.image(url)
    found = _scanned(part, limits)
    if found is None:
        raise _foreign("something other than a DICOM image.")
    if found.data is None and not _is_whole(part, found):
        raise LostConnection
    sent = tuple(found.values.get(tag, b"").decode("ascii", "replace").strip("\0 ") for tag in _IDENTITY)
    if sent != uids:
        raise _foreign("another image than the one asked for.")
    return part


def _is_whole(part: bytes, found: Scan) -> bool:
    """Whether the pixel data end within the file: by their length, or by the delimiter of encapsulated ones."""
    if found.pixel_length is not None:
        return found.pixel_start + found.pixel_length <= len(part)
    try:
        return skip_undefined(memoryview(part), found.pixel_start, True, False) <= len(part)
    except struct.error:
        return False


def _foreign(what: str) -> UserFacingError:
    return UserFacingError(
        f"The server sent {what}",
        "the images of the chosen series",
        "Ask the people who run the server; nothing was kept.",
    )
