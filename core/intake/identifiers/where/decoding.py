"""Text files as text, whatever encoding the table reader accepts: a search must see what a loader would show."""

from __future__ import annotations

import base64
import binascii
import codecs

from core.intake.record.tables.delimiters import unmarked_utf_16

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(data: bytes) -> str:
    """The encoding that a byte-order mark declares, else UTF-16 where every other byte is zero, else UTF-8.

    >>> encoding_of("a,b".encode("utf-16")), encoding_of("a,b".encode("utf-16-be")), encoding_of(b"a,b")
    ('utf-16', 'utf-16-be', 'utf-8')
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    return unmarked_utf_16(data) or "utf-8"


def head_of(data: bytes) -> str:
    """The start of a file as text, without a mark; characters that cannot be decoded are replaced."""
    return data.decode(encoding_of(data), "replace").lstrip("\ufeff")


def text_in_base64(value: str) -> str:
    """The text that an attachment carries in base64; the value itself where it is none.

    >>> text_in_base64("bm8gZWZmdXNpb24="), text_in_base64("no effusion")
    ('no effusion', 'no effusion')
    """
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
        return data.decode(encoding_of(data))
    except (binascii.Error, ValueError):
        return value
