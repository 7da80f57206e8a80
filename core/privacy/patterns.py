"""Parts of names, printable text in bytes, and numbers that say more than a count."""

from __future__ import annotations

import re

_NOBODY = frozenset(("anonymous", "anonymized", "none", "unknown"))


def name_parts(text: str, shortest: int) -> frozenset[str]:
    """Case-folded parts of a name or an id, to look for in other places."""
    parts = re.split(r"[\s^=,._-]+", text.casefold())
    return frozenset(part for part in parts if len(part) >= shortest and part not in _NOBODY)


def printable_runs(data: bytes | memoryview, shortest: int = 4) -> list[bytes]:
    """Runs of printable ASCII in binary data, one byte or two (UTF-16) a letter.

    >>> printable_runs(b"\\0\\1Ada L\\0" + "Doe J".encode("utf-16-be") + "Roe J".encode("utf-16-le"))
    [b'Ada L', b'Doe J', b'Roe J']
    """
    least = b"{%d,}" % shortest
    # The pattern is slow where nothing can match: it is tried on what is left without zeros in a row and other bytes.
    joined = re.sub(rb"\0{2,}", b"\0\0", bytes(data))
    candidates = re.findall(rb"[\0\x20-\x7e][\0\x20-\x7e]{%d,}" % (shortest - 1), joined)
    pattern = rb"(?:\0[\x20-\x7e])%s(?!\0)|(?:[\x20-\x7e]\0)%s|[\x20-\x7e]%s" % (least, least, least)
    return [run.replace(b"\0", b"") for part in candidates for run in re.findall(pattern, part)]


def is_long_number(keyword: str, text: str) -> bool:
    """Whether an attribute that counts something (AcquisitionNumber) holds more digits than a count has."""
    return keyword.endswith("Number") and sum(letter.isdigit() for letter in text) > 6


def is_ramp(run: bytes) -> bool:
    """Whether printable bytes are numbers of a look-up table: each second byte goes on at an even step.

    >>> is_ramp(bytes(range(32, 90))), is_ramp(b"Doe John")
    (True, False)
    """
    bends = [abs(run[index] - 2 * run[index - 2] + run[index - 4]) for index in range(4, len(run))]
    return sum(bend <= 2 for bend in bends) >= 0.8 * len(bends)
