"""Texts of hostile length: what is searched in them takes time in proportion to their length."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hang_support import no_hang

from core.intake.scan.dicom.values import to_float
from core.intake.terms.identifier_patterns import identifying
from core.intake.terms.safe_description import describe_series
from core.timeline import load_timeline

LENGTH = 100_000
"""A search whose time grows with the square of the length takes minutes for it."""
PIECES = ("_", "a", "A", "Ab-", "1", "12.", "1-", "1 of ", "Dr ", "a@", ".", "Ш-")


def table(text: str) -> None:
    """A record with the text in each place that takes one."""
    row = f'7,2021-01-01,"{text[:900]}","{text}","{text}"\n'
    load_timeline([("events.csv", f"patient_id,time,code,value,unit\n{row}".encode())])


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("search", [identifying, describe_series, to_float, table], ids=lambda search: search.__name__)
def test_a_long_text_is_read_in_a_moment(search: Callable[[str], object], piece: str) -> None:
    with no_hang():
        search(piece * (LENGTH // len(piece)) + "!x")
