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


def filled_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows of a delimited text without those whose fields are all blank, as spreadsheets write below a table.

    >>> list(filled_rows(iter([["a", "b"], [], [" "], ["", ""], ["", "c"]])))
    [['a', 'b'], ['', 'c']]
    """
    return (row for row in rows if any(map(str.strip, row)))
