"""Files that are known by their first bytes or lines and are no table of events: refused by what they are."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from core.errors import UserFacingError
from core.intake.record.columns.names import FIELDS, plain_name
from core.intake.record.tables.delimiters import DELIMITERS, NAMED_DELIMITER

_STARTS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document"),
    (0, b"MSH|", "an HL7 version 2 message"),
    (0, b"FHS|", "a batch of HL7 version 2 messages"),
    (0, b"BHS|", "a batch of HL7 version 2 messages"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (4, b"Standard Jet DB", "an Access database"),
    (4, b"Standard ACE DB", "an Access database"),
    (12, b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00", "a SAS table"),
    (0, b"HEADER RECORD*******LIB", "a SAS transport file"),
    (0, b"$FL2", "an SPSS table"),
    (0, b"$FL3", "an SPSS table"),
    (0, b"<stata_dta>", "a Stata table"),
    (0, b"RDX", "an R file"),
    (0, b"X\n\0\0\0", "an R file"),
    (0, b"ARROW1", "an Arrow or Feather file"),
    (0, b"ORC", "an ORC file"),
    (0, b"Obj\x01", "an Avro file"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (0, b"{\\rtf", "a text document (RTF)"),
    (128, b"DICM", "a DICOM file, as of a scan"),
)
"""Where a file says what it is, how, and what that is called."""
_BINARY_ONLY = frozenset(("an ORC file", "an R file"))
"""Whose first letters a table of text may have too; the others hold NUL bytes soon after."""
_LINES_BEFORE_HEADER = 30


def refuse_foreign(data: bytes) -> None:
    """Raises UserFacingError for a file of a kind that is known and is not read."""
    for start, mark, kind in _STARTS:
        if data[start : start + len(mark)] == mark and (kind not in _BINARY_ONLY or b"\0" in data[:64]):
            raise UserFacingError(
                f"The file is {kind}.",
                "a FHIR bundle as JSON, or a table of events as CSV, JSON lines or parquet",
                "Export the events in one of these forms.",
            )


def refuse_title(start: str) -> None:
    """Raises UserFacingError where a line below the first is the header, by the names of a time and a code in it.

    start: the first lines of a delimited text.

    >>> refuse_title("sep=,\\ntime,code,value\\n2020-01-01,A,1\\n")
    """
    lines = [line for line in start.splitlines() if line.strip() and not NAMED_DELIMITER.fullmatch(line)]
    lines = lines[:_LINES_BEFORE_HEADER] or [""]
    if any(map(_is_header, lines[1:])) and not _is_header(lines[0]):
        raise UserFacingError(
            "The header is not the first line: a title or other lines stand above it.",
            "the names of the columns in the first line",
            "Remove the lines above the names.",
        )


def _is_header(line: str) -> bool:
    return any(_names_columns(cells) for sign in DELIMITERS for cells in csv.reader([line], delimiter=sign))


def _names_columns(cells: Sequence[str]) -> bool:
    names = {plain_name(cell) for cell in cells}
    return len(names) > 2 and not names.isdisjoint(FIELDS["time"]) and not names.isdisjoint(FIELDS["code"])
