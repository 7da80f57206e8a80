"""The one DICOM file in the answer to a retrieve request: a multipart message (RFC 2046, RFC 2387) or that file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message

import requests

from core.intake.pacs.failures import LostConnection, not_dicomweb, other_than_one

MULTIPART, ALONE = "multipart/related", "application/dicom"
_PIECE_BYTES = 1 << 16
_LINE_END = re.compile(rb"(--)?[ \t]*(\r\n|\Z)")


def one_file(answer: requests.Response) -> bytes:
    """The file, read whole and byte for byte.

    A preamble, an epilogue and a missing last boundary are passed over: whether the file itself is whole, its own
    structure tells better. Raises UserFacingError for several files and for what is no multipart message,
    LostConnection where nothing came.
    """
    body = bytearray()
    with answer:
        for piece in answer.iter_content(_PIECE_BYTES):
            body += piece
    if not body:
        raise LostConnection
    header = Message()
    header["Content-Type"] = answer.headers["Content-Type"]
    mark = header.get_boundary()
    if header.get_content_type() == ALONE or mark is None:
        return bytes(body)
    found = list(_parts(body, mark.encode("latin-1", "replace")))
    if not found:
        raise not_dicomweb()
    if len(found) > 1:
        raise other_than_one(len(found))
    return bytes(memoryview(body)[found[0]])


def _parts(body: bytearray, mark: bytes) -> Iterator[slice]:
    """Where the content of each part lies, without its header lines."""
    lines = list(_boundaries(body, mark))
    for number, (_, start, last) in enumerate(lines):
        if last:
            return
        stop = lines[number + 1][0] if number + 1 < len(lines) else len(body)
        head = start - 2 if body.startswith(b"\r\n", start) else start  # without headers an empty line follows at once
        content = body.find(b"\r\n\r\n", head, stop)
        if content < 0:
            raise LostConnection
        yield slice(content + 4, stop)


def _boundaries(body: bytearray, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether it is the last) of every boundary line; the line break before it belongs to it."""
    sign = b"--" + mark
    start, after = (0, len(sign)) if body.startswith(sign) else (body.find(b"\r\n" + sign), 0)
    while start >= 0:
        after = after or start + 2 + len(sign)
        if line := _LINE_END.match(body, after):
            yield start, line.end(), line[1] is not None or line.end() == len(body)
        start, after = body.find(b"\r\n" + sign, after), 0
