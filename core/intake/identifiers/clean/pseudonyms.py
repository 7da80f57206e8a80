"""Keyed replacements: the same input gives the same output under one key, and nothing leads back without it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from core.errors import UserFacingError
from core.intake.identifiers.text.patterns import folded

_DAYS = 3650
_MOST_DIGITS = re.compile(r"(\d{4})(\d{2})?(\d{2})?(.*)", re.DOTALL)
LEAST_KEY_BYTES = 16


@dataclass(frozen=True)
class Pseudonyms:
    """Replacements for unique identifiers, patients and dates (HMAC-SHA-256 under a secret key)."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def uid(self, old: str) -> str:
        """A UID under 2.25 (PS3.5, B.2) that stands for `old` wherever it occurs."""
        return f"2.25.{int.from_bytes(self._digest('uid', old.strip())[:16], 'big')}"

    def patient(self, identity: str) -> str:
        """A patient's new id, e.g. "P1f0c9a33e2d4"."""
        return f"P{self._digest('patient', folded(identity)).hex()[:12]}"

    def shift_days(self, identity: str) -> int:
        """By how many days (-3650 to -1) this patient's dates move."""
        return -1 - int.from_bytes(self._digest("days", folded(identity))[:8], "big") % _DAYS

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{text}".encode(), hashlib.sha256).digest()


def read_key(path: Path | None) -> Pseudonyms:
    """Pseudonyms under the secret in a file, or under one made for this run.

    Raises UserFacingError where the file cannot be read or holds fewer than 16 bytes.
    """
    if path is None:
        return Pseudonyms()
    try:
        with open(path, "rb") as handle:
            key = handle.read(1 << 16).strip()
    except OSError as error:
        raise UserFacingError(
            "The key file cannot be read.", "a file with a secret of at least 16 bytes", "Check the path."
        ) from error
    if len(key) < LEAST_KEY_BYTES:
        raise UserFacingError(
            "The key file is too short.", f"a secret of at least {LEAST_KEY_BYTES} bytes", "Write a longer one."
        )
    return Pseudonyms(key)


def shifted(text: str, days: int) -> str | None:
    """A DICOM date or date-time (DA, DT) moved by whole days; None where it is not one with year, month and day.

    >>> shifted("20200301", -1), shifted("20200301081500.5+0100", -1), shifted("2020", -1)
    ('20200229', '20200229081500.5+0100', None)
    """
    found = _MOST_DIGITS.fullmatch(text.strip().replace(".", "", 2) if _is_dotted(text) else text.strip())
    if not found or not found[3] or not re.fullmatch(r"(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?", found[4]):
        return None
    try:
        moved = date(int(found[1]), int(found[2]), int(found[3])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}{found[4]}"


def _is_dotted(text: str) -> bool:
    """Whether it is the old notation of a date, YYYY.MM.DD."""
    return bool(re.fullmatch(r"\d{4}\.\d{2}\.\d{2}", text.strip()))
