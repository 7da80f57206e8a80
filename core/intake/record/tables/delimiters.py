"""How a delimited text begins: blank lines, the line by which Excel names its delimiter, and the header."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

from core.intake.files.limits import MIB
from core.intake.record.columns.dates import LIKE_DATE

DELIMITERS = ",;\t|"
RARE_DELIMITERS = "^~\x01\x1f\xa6\xa7"
"""Those of HL7, Hive and ASCII, a broken bar and a section sign: of a header that has none of the others."""
MAX_TEXT_BYTES = 256 * MIB
"""Of a delimited or JSON file."""
csv.field_size_limit(MAX_TEXT_BYTES)  # a letter or a report in one field is longer than the reader's usual 128 KiB
NAMED_DELIMITER = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)


def delimiter_of(lines: TextIO) -> str:
    """The delimiter of a table, whose stream then stands at its header or at blank lines before it.

    That is the one that a line "sep=;" above the header names, else the one of comma, semicolon, tab and bar that the
    header has most of, else one that is seldom used.

    >>> from io import StringIO
    >>> stream = StringIO("sep=|\\ntime|code\\n")
    >>> delimiter_of(stream), stream.readline()
    ('|', 'time|code\\n')
    >>> delimiter_of(StringIO("time^code\\n")), delimiter_of(StringIO("time\\n"))
    ('^', ',')
    """
    header = next((line for line in iter(lines.readline, "") if line.strip()), "")
    if named := NAMED_DELIMITER.fullmatch(header):
        return named[1]
    lines.seek(0)
    signs: Iterable[str] = (*DELIMITERS, *RARE_DELIMITERS)
    return max(signs, key=_preference(re.sub(r'"[^"]*"', "", header)))


def _preference(header: str) -> Callable[[str], tuple[int, int]]:
    """Usual before rare delimiters, of each kind the one that the header has most of; a comma where it has none."""
    usual = any(map(header.count, DELIMITERS)) or not any(map(header.count, RARE_DELIMITERS))
    return lambda sign: (usual == (sign in DELIMITERS), header.count(sign))


def unmarked_utf_16(data: bytes) -> str:
    """The encoding of UTF-16 without its mark, whose first letters are Latin: every second byte is zero; "" for others.

    >>> unmarked_utf_16("a,b".encode("utf-16-be")), unmarked_utf_16(b"a,b,c"), unmarked_utf_16("a,b".encode("utf-16"))
    ('utf-16-be', '', '')
    """
    head = data[:64]
    if len(head) >= 4 and not any(head[::2]) and all(head[1::2]):
        return "utf-16-be"
    return "utf-16-le" if len(head) >= 4 and all(head[::2]) and not any(head[1::2]) else ""


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


def holds_rows(row: Sequence[str], delimiter: str) -> bool:
    """Whether a row holds further rows of its table in a text of several lines, as between two stray quotes.

    A later line then has as many cells as the row, and a date where the row has one.

    >>> holds_rows(["1", "2020-01-01", "clot\\n1,2020-01-02,none"], ",")
    True
    >>> holds_rows(["1", "2020-01-01", "clot\\nb, c"], ","), holds_rows(["1", "2020-01-01", "clot\\n2020-01-02"], ",")
    (False, False)
    """
    cells = [text if "\n" in text else text.replace(delimiter, " ") for text in row]
    first, *later = [line.split(delimiter) for line in delimiter.join(cells).splitlines()]
    pairs = [pair for line in later if len(line) == len(row) for pair in zip(first, line)]
    return any(all(LIKE_DATE.match(cell.strip()) for cell in pair) for pair in pairs)


def filled_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows of a delimited text without those whose fields are all blank, as spreadsheets write below a table.

    >>> list(filled_rows(iter([["a", "b"], [], [" "], ["", ""], ["", "c"]])))
    [['a', 'b'], ['', 'c']]
    """
    return (row for row in rows if any(map(str.strip, row)))
