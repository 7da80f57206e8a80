"""CSV, JSON and FHIR files as tables of text, refused in words when malformed; nothing is repaired or guessed.

FHIR files are given as resources, since those of one file may refer to another's; `fhir_table` joins them.
"""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.limits import MIB
from core.intake.record.columns.dates import LIKE_DATE
from core.intake.record.columns.numbers import too_small
from core.intake.record.columns.roles import refuse_changing_names, refuse_same_names, refuse_wide
from core.intake.record.fhir.bundles import is_fhir, is_outcome
from core.intake.record.fhir.datatypes import Resource
from core.intake.record.fhir.resources import FHIR_FIELDS, fhir_rows
from core.intake.record.file_types import refuse_foreign, refuse_title
from core.intake.record.tables.delimiters import MAX_TEXT_BYTES, delimiter_of, holds_rows, lines_before, unmarked_utf_16
from core.intake.record.tables.encodings import wrong_encoding
from core.intake.record.tables.row_numbers import FIRST, LINE, at, at_numbers, numbered, places_of
from core.wording import count_of

MAX_TEXT_ROWS = 2_000_000
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How old office files begin."""
_HEAD_BYTES = 4096
_NO_WIDTH = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_UTF_32_BOMS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_DATE = re.compile(rf"(?:{LIKE_DATE.pattern})(?:[T ]\d{{1,2}}:\d{{2}}.*)?", re.IGNORECASE)
_NOT_ZERO = re.compile(r"[^eE]*[1-9]")
TextFile = pd.DataFrame | list[Resource]


def read_text_file(entry: Entry, *, empty: bool = False, places: bool = False) -> TextFile:
    """A CSV, TSV, JSON lines or JSON array file as a table of text, columns named as in the file; FHIR as resources.

    empty: whether a header without rows will do. places: whether the lines of the file are told, by the index of the
    table (`core.intake.record.tables.row_numbers`) and in refusals: where no other file could be meant.
    Raises UserFacingError for empty and oversized files, wrong encodings, NUL bytes, ragged rows, doubled columns or
    keys, and nested values.
    """
    if entry.size > MAX_TEXT_BYTES:
        raise UserFacingError(
            f"The table is larger than {MAX_TEXT_BYTES // MIB} MiB.",
            "one patient's events",
            "Export a single patient, or use parquet.",
        )
    data = bytes(entry.read(0, None))
    if data.startswith(_OLE):
        raise spreadsheet()
    refuse_foreign(data)
    encoding = _encoding(data)
    head = data[:_HEAD_BYTES].decode(encoding, errors="ignore")
    start = head.lstrip()[:1]
    if start == "<":
        raise _markup()
    if start not in ("{", "["):
        refuse_title(head)
    is_json = start in ("{", "[")
    table = _json_file(_decoded(data, encoding), places) if is_json else _csv_table(data, encoding, places)
    if isinstance(table, pd.DataFrame) and table.empty and not empty:
        raise UserFacingError("The table holds no event.", "at least one row below the header", "Choose another file.")
    return table


def fhir_table(files: Iterable[list[Resource]], notes: list[str]) -> pd.DataFrame:
    """The events of all FHIR files of a source, columns named by field; no rows where none is coded.

    notes: what the files say is not in them is added. Raises UserFacingError where they hold nothing but error
    messages; a bulk export holds them beside the record.
    """
    items = [item for resources in files for item in resources]
    if all(map(is_outcome, items)):
        raise UserFacingError(
            "The file is an error message of a FHIR server (OperationOutcome), not a record.",
            "a bundle of the patient's resources",
            "Ask the server again; it may have refused the request or found nothing.",
        )
    rows = fhir_rows(items, notes)
    _refuse_unwritable(text for row in rows for text in row.values())
    return pd.DataFrame(rows, columns=list(FHIR_FIELDS), dtype=object)


def spreadsheet() -> UserFacingError:
    """The refusal for spreadsheets."""
    return UserFacingError(
        "The file is a spreadsheet, or another office document.",
        "a table of events as CSV, JSON lines or parquet",
        'Save the sheet as "CSV UTF-8" and choose that file.',
    )


def too_many_rows() -> UserFacingError:
    """The refusal for a text table with more rows than allowed."""
    return UserFacingError(f"The table holds more than {MAX_TEXT_ROWS:,} rows.", "one patient's events", "Use parquet.")


def _encoding(data: bytes) -> str:
    if not data.strip(b" \t\r\n\xef\xbb\xbf\xff\xfe\0"):
        raise UserFacingError("The file is empty.", "a table of events", "Choose another file.")
    if data[:4] in _UTF_32_BOMS:
        raise UserFacingError(
            "The file is encoded as UTF-32, not as UTF-8.", "a UTF-8 text file or parquet", "Save it again as UTF-8."
        )
    if data[:2] in _WIDE_BOMS:
        return "utf-16"
    if unmarked := unmarked_utf_16(data):
        return unmarked
    if b"\0" in data:
        raise _nul()
    return "utf-8-sig"


def _nul() -> UserFacingError:
    return UserFacingError("The file holds NUL bytes.", "plain text", "Export the table again.")


def _markup() -> UserFacingError:
    return UserFacingError(
        "The file is XML or HTML.",
        "a FHIR bundle as JSON, or a table of events as CSV, JSON lines or parquet",
        "Export it again in one of these forms.",
    )


def _undecodable(data: bytes, encoding: str) -> UserFacingError:
    if not encoding.startswith("utf-16"):
        return wrong_encoding(data)
    return UserFacingError(
        "The file is UTF-16, but is damaged or was cut off.", "the whole file", "Copy or export it again."
    )


def _decoded(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(data, encoding) from error
    if "\0" in text:
        raise _nul()
    return text


def _csv_table(data: bytes, encoding: str, places: bool) -> pd.DataFrame:
    """Columns of a delimited table (`delimiter_of`). Rows are read one by one, so that limits hold while reading."""
    try:
        lines = io.TextIOWrapper(io.BytesIO(data), encoding, newline="")
        delimiter = delimiter_of(lines)
        before = lines_before(lines)
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        return _columns(_with_lines(rows, before), delimiter, places)
    except UnicodeDecodeError as error:
        raise _undecodable(data, encoding) from error
    except csv.Error as error:
        raise UserFacingError(
            "The table's quotes are not closed.", "a well-formed CSV file", "Export it again."
        ) from error


def _with_lines(rows: Any, before: int) -> Iterator[tuple[int, list[str]]]:
    """(line in which a row begins, its cells) of what a csv.reader reads, so many lines after the text's first; rows
    whose cells are all blank, as spreadsheets write below a table, are left out."""
    line = before + 1
    for row in rows:
        if any(map(str.strip, row)):
            yield line, row
        line = before + rows.line_num + 1


def _columns(rows: Iterator[tuple[int, list[str]]], delimiter: str, places: bool) -> pd.DataFrame:
    """Column by column, equal texts kept once. The reader skips a byte-order mark, so `rows` starts with the names."""
    names = [_plain_cell(name) for name in next(rows, (1, []))[1]]
    _refuse_data_as_names(names)
    refuse_same_names([name for name in names if name.strip()])
    columns: list[list[str]] = [[] for _ in names]
    known: dict[str, str] = {}
    lines, odd_lines = array("i"), []
    ragged = size = swallowed = 0
    for line, row in rows:
        size += 1
        swallowed += any("\n" in text for text in row) and holds_rows(row, delimiter)
        if size > MAX_TEXT_ROWS:
            raise too_many_rows()
        if len(row) != len(names):
            ragged += 1
            if ragged <= FIRST + 1:
                odd_lines.append(line)
            continue
        lines.append(line)
        for column, text in zip(columns, row):
            column.append(known[text] if text in known else known.setdefault(text, _plain_cell(text)))
    if ragged:
        raise UserFacingError(
            f"With another number of fields than the header: {count_of(ragged, 'row')}"
            f"{at_numbers(LINE, odd_lines if places else ())}.",
            "the same fields in every row",
            "Correct them." if ragged < size else "Remove what stands above the header, or correct the rows.",
        )
    if swallowed:
        raise UserFacingError(
            f"With further rows within a text, as between two stray quotes: {count_of(swallowed, 'row')}.",
            "quotes that enclose one cell each",
            "Correct the quotes, or double those within a text.",
        )
    if any("\0" in text for text in known):
        raise _nul()
    named = [(name, column) for name, column in zip(names, columns) if name.strip() or any(map(str.strip, column))]
    refuse_same_names([name for name, _ in named])
    table = pd.DataFrame(dict(named), dtype=object)
    if places and len(table) == len(lines):  # not where the header names no column
        table = numbered(table, LINE, lines)
    _refuse_repeated_header(table)
    return table


def _refuse_data_as_names(names: Sequence[str]) -> None:
    """Raises where the first row holds a date among other cells: it is an event, and what follows has no header."""
    if len(names) > 1 and any(_DATE.fullmatch(name.strip()) for name in names):
        raise UserFacingError(
            "The first row of the table holds a date where the names of the columns are expected.",
            "a header, such as subject_id, time, code, value, unit",
            "Add a row with the names of the columns above all others.",
        )


def _plain_cell(text: str) -> str:
    """A cell without the formula by which spreadsheets are made to keep its zeros, and without signs of no width.

    >>> _plain_cell('="00409"'), _plain_cell("\u200b4.1"), _plain_cell("=4.1")
    ('00409', '4.1', '=4.1')
    """
    if not text.isascii():
        text = text.strip(_NO_WIDTH)
    return text[2:-1] if text.startswith('="') and text.endswith('"') and len(text) > 2 else text


def _refuse_repeated_header(table: pd.DataFrame) -> None:
    if not len(table.columns):
        return
    plain = table.reset_index(drop=True)
    alike = plain[plain.iloc[:, 0] == table.columns[0]]
    repeated = (alike == table.columns).all(axis=1)
    if headers := int(repeated.sum()):
        raise UserFacingError(
            f"The header stands among the rows again: {count_of(headers, 'time')}{at(places_of(table), repeated)}.",
            "one header, above all rows",
            "Remove the others, or give the tables that were joined as files of their own.",
        )


def _json_file(text: str, places: bool) -> TextFile:
    """FHIR resources, or rows of JSON lines or of one JSON array of flat objects."""
    try:
        items, lines = _json_items(text)
    except RecursionError as error:
        raise UserFacingError("The JSON file is nested too deeply.", "flat JSON lines", "Export it again.") from error
    except ValueError as error:
        raise UserFacingError(
            "The file is not well-formed JSON; it may have been cut off.",
            "one JSON object, such as a FHIR bundle, or one on each line",
            "Copy or export it again.",
        ) from error
    if len(items) > MAX_TEXT_ROWS:
        raise too_many_rows()
    if not all(isinstance(item, dict) for item in items):
        raise UserFacingError("A line is not a JSON object.", "one object of fields for each event", "Export it again.")
    if any(is_fhir(item) for item in items):
        return _resources(items)
    layouts = {tuple(item) for item in items}
    for names in layouts:
        refuse_same_names(names)
    refuse_wide(len(set().union(*layouts)))
    refuse_changing_names(layouts)
    rows = [{key: _flat(value) for key, value in item.items()} for item in items]
    _refuse_unwritable(text for row in rows for pair in row.items() for text in pair)
    table = pd.DataFrame(rows, dtype=object)
    return numbered(table, LINE, lines) if places and lines and len(table) == len(lines) else table


def _resources(items: list[Resource]) -> list[Resource]:
    if others := sum(not is_fhir(item) for item in items):
        raise UserFacingError(
            f"Among FHIR resources stand other rows: {others:,}.", "FHIR resources alone", "Split the file in two."
        )
    return items


def _refuse_unwritable(texts: Iterable[str]) -> None:
    """JSON can escape what a text file cannot hold: NUL and halves of characters."""
    for text in set(texts):
        if "\0" in text:
            raise _nul()
        if not text.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise UserFacingError("The file holds half a character.", "whole Unicode text", "Export the file again.")


def _json_items(text: str) -> tuple[list[Any], list[int]]:
    """One item a line where the first line is complete, with the lines; else the items of the single value."""
    lines = {number: line for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    first = next(iter(lines.values()))
    try:
        json.loads(first)
        whole = first.lstrip()[0] == "["
    except ValueError:
        whole = True
    if not whole:
        return [_parsed(line) for line in lines.values()], list(lines)
    value = _parsed(text)
    return value if isinstance(value, list) else [value], []


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_measured)


class _Written(float):
    """A number that remembers how it was written: 250.00 may be a code."""

    text = ""


def _measured(text: str) -> float:
    number = _Written(text)
    if not number and _NOT_ZERO.match(text):
        raise too_small(1)
    number.text = text
    return number


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise UserFacingError("A JSON object names a field twice.", "each field once", "Export the file again.")
    return row


def _no_constant(name: str) -> None:
    raise UserFacingError("A value is infinite or not a number.", "finite numbers", "Leave unknown values empty.")


def _flat(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise UserFacingError(
            "The JSON file is nested.", "one flat object of fields for each event", "Export events as flat rows."
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value.text if isinstance(value, _Written) else str(value)
