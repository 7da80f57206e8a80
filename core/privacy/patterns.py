"""Parts of names, printable text in bytes, and numbers that say more than a count."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_LEAST_ID_DIGITS = 5
"""Shorter ids are found among exposures and sizes by chance."""
_MOST_COUNT_DIGITS = 6
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


def is_measured(keyword: str, text: str, tokens: Collection[str]) -> bool:
    """Whether a decimal string is a number, with no more digits than a count has where it is one, and not the patient's
    id. tokens: case-folded words of the patient's name and id.

    >>> is_measured("ExposureTime", "1000", ("84417",)), is_measured("ExposureTime", "84417", ("84417",))
    (True, False)
    """
    own = len(text.strip()) >= _LEAST_ID_DIGITS and text.strip() in tokens
    long = keyword.endswith("Number") and sum(letter.isdigit() for letter in text) > _MOST_COUNT_DIGITS
    return bool(NUMBER.fullmatch(text)) and not long and not own


def is_ramp(run: bytes) -> bool:
    """Whether printable bytes are numbers of a look-up table: each second byte goes on at an even step.

    >>> is_ramp(bytes(range(32, 90))), is_ramp(b"Doe John")
    (True, False)
    """
    bends = [abs(run[index] - 2 * run[index - 2] + run[index - 4]) for index in range(4, len(run))]
    return sum(bend <= 2 for bend in bends) >= 0.8 * len(bends)


def values_of(element: Any) -> list[Any]:
    """The values of an element as a list, however many there are."""
    value = element.value
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
