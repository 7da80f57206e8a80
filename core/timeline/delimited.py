"""How a delimited text begins: blank lines, the line by which Excel names its delimiter, and the header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import TextIO

from core.load.limits import MIB

DELIMITERS = ",;\t|"
MAX_TEXT_BYTES = 256 * MIB
"""Of a delimited or JSON file."""
csv.field_size_limit(MAX_TEXT_BYTES)  # a letter or a report in one field is longer than the reader's usual 128 KiB
NAMED_DELIMITER = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)


def delimiter_of(lines: TextIO) -> str:
    """The delimiter of a table, whose stream then stands at its header or at blank lines before it.

    That is the one that a line "sep=;" above the header names, else the one of comma, semicolon, tab and bar that the
    header has most of.

    >>> from io import StringIO
    >>> stream = StringIO("sep=|\\ntime|code\\n")
    >>> delimiter_of(stream), stream.readline()
    ('|', 'time|code\\n')
    """
    header = next((line for line in iter(lines.readline, "") if line.strip()), "")
    if named := NAMED_DELIMITER.fullmatch(header):
        return named[1]
    lines.seek(0)
    return max(DELIMITERS, key=re.sub(r'"[^"]*"', "", header).count)


def lines_before(lines: TextIO) -> int:
    """How many lines of a text stand before the place to which it was read (`delimiter_of`).

    >>> from io import StringIO
    >>> stream = StringIO("\\nsep=|\\ntime|code\\n")
    >>> delimiter_of(stream), lines_before(stream), stream.readline()
    ('|', 2, 'time|code\\n')
    """
    place, count = lines.tell(), 0
    lines.seek(0)
    while lines.tell() != place and lines.readline():
        count += 1
    return count


def filled_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows of a delimited text without those whose fields are all blank, as spreadsheets write below a table.

    >>> list(filled_rows(iter([["a", "b"], [], [" "], ["", ""], ["", "c"]])))
    [['a', 'b'], ['', 'c']]
    """
    return (row for row in rows if any(map(str.strip, row)))
