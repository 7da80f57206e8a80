"""Files of events as tables of text or MEDS columns: parquet, CSV and JSON lines, refused in words when malformed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.load.entries import Entry, Source, file_entry, open_entries
from core.load.limits import LIMITS
from core.load.words import count_of
from core.timeline.columns import recognise, refuse_same_names
from core.timeline.fhir import fhir_rows, is_fhir
from core.timeline.omop import omop_events, omop_tables

_SUFFIXES = (".parquet", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
_NOT_EVENTS = frozenset(("images", "labels", "metadata", "masks"))
MAX_TEXT_ROWS = 5_000_000


@dataclass(frozen=True, eq=False)
class EventFiles:
    """Files that hold events, code descriptions found beside them, and whether the data set says it is simulated."""

    entries: list[Entry | pd.DataFrame]
    words: dict[str, str]
    virtual: bool


def event_files(source: Source) -> EventFiles:
    """The files of events in a source; OMOP tables are joined to one table of text.

    A MEDS or cohort folder contributes data/**/*.parquet; its metadata folder describes codes and origin, for a single
    shard inside it too. Raises UserFacingError where there is none.
    """
    path = Path(source) if isinstance(source, (str, Path)) else None
    files = _folder_entries(path) if path and path.is_dir() else [e for e in open_entries(source) if _is_table(e)]
    if not files:
        raise no_events()
    omop = omop_tables(files)
    entries: list[Entry | pd.DataFrame] = [omop_events(omop)] if omop else [*files]
    metadata = _metadata_folder(path)
    virtual = _says_virtual(metadata) or any(
        is_parquet(entry) and _file_says_virtual(entry) for entry in files[:1] if not omop
    )
    return EventFiles(entries, _code_words(metadata / "codes.parquet") if metadata else {}, virtual)


def no_events() -> UserFacingError:
    """The refusal for a source without events."""
    return UserFacingError(
        "The source holds no table of events.",
        "MEDS parquet, CSV or JSON lines of coded events",
        "Choose another file.",
    )


def _folder_entries(root: Path) -> list[Entry]:
    files = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()]
    events = [path for path in files if not _NOT_EVENTS & set(path.relative_to(root).parts[:-1])]
    parquet = [path for path in events if path.suffix.lower() == ".parquet"]
    return [file_entry(path) for path in parquet or events]


def _metadata_folder(path: Path | None) -> Path | None:
    """The MEDS metadata folder that belongs to a data set folder or to a shard up to three levels inside it."""
    for folder in [path, *list(path.parents)[:3]] if path else []:
        if (folder / "metadata" / "dataset.json").is_file() or (folder / "metadata" / "codes.parquet").is_file():
            return folder / "metadata"
    return None


def _says_virtual(metadata: Path | None) -> bool:
    try:
        content = json.loads((metadata / "dataset.json").read_text("utf-8")) if metadata else {}
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and bool(content.get("virtual"))


def _file_says_virtual(entry: Entry) -> bool:
    return (parquet_file(entry).schema_arrow.metadata or {}).get(b"origin") == b"virtual"


def _is_table(entry: Entry) -> bool:
    return bytes(entry.read(0, 4)) == b"PAR1" or Path(entry.name).suffix.lower() in (*_SUFFIXES, "")


def _code_words(path: Path) -> dict[str, str]:
    """MEDS code metadata: code -> description."""
    if not path.is_file():
        return {}
    table = pq.read_table(path)
    if not {"code", "description"} <= set(table.column_names):
        return {}
    pairs = zip(table["code"].to_pylist(), table["description"].to_pylist())
    return {str(code): str(words) for code, words in pairs if code and words}


def is_parquet(entry: Entry | pd.DataFrame) -> TypeGuard[Entry]:
    """Whether a part is a parquet file, by its first bytes."""
    return isinstance(entry, Entry) and bytes(entry.read(0, 4)) == b"PAR1"


def parquet_file(entry: Entry) -> pq.ParquetFile:
    """The opened parquet file. Raises UserFacingError where it is damaged."""
    with translated():
        return pq.ParquetFile(entry.path if entry.path else pa.BufferReader(entry.read(0, None)))


@contextmanager
def translated() -> Iterator[None]:
    """Turns any failure of the parquet reader into the refusal of a damaged table."""
    try:
        yield
    except UserFacingError:
        raise
    except Exception as error:
        raise damaged_table() from error


def damaged_table() -> UserFacingError:
    """The refusal for a table that cannot be read."""
    return UserFacingError("The table is damaged and cannot be read.", "an intact file", "Copy or export it again.")


def read_parquet(
    entry: Entry, subject_id: int | None, mapping: Mapping[str, str] | None
) -> tuple[pa.Table, dict[str, str]]:
    """(rows of the subject, field -> column). Row groups without the subject are skipped by their statistics."""
    opened = parquet_file(entry)
    fields = recognise(opened.schema_arrow.names, mapping)
    columns = sorted(set(fields.values()))
    column = fields.get("subject_id")
    source: Any = entry.path if entry.path else pa.BufferReader(entry.read(0, None))
    wanted = [(column, "==", subject_id)] if column is not None and subject_id is not None else None
    with translated():
        return pq.read_table(source, columns=columns, filters=wanted, read_dictionary=[fields["code"]]), fields


def count_subjects(entry: Entry, mapping: Mapping[str, str] | None) -> pd.DataFrame:
    """subject_id, events, first, last of a parquet file."""
    opened = parquet_file(entry)
    fields = recognise(opened.schema_arrow.names, mapping)
    if "subject_id" not in fields:
        return pd.DataFrame(
            {"subject_id": [1], "events": [opened.metadata.num_rows], "first": [pd.NaT], "last": [pd.NaT]}
        )
    table = opened.read(columns=[fields["subject_id"], fields["time"]])
    table = table.rename_columns(
        ["subject_id", "time"] if table.column_names[0] == fields["subject_id"] else ["time", "subject_id"]
    )
    if not pa.types.is_integer(table.schema.field("subject_id").type):
        raise UserFacingError(
            "The subject column of the parquet file is not made of whole numbers.",
            "MEDS subject_id (int64)",
            "Convert it.",
        )
    grouped = table.group_by("subject_id").aggregate(
        [("time", "count"), ("subject_id", "count"), ("time", "min"), ("time", "max")]
    )
    named = grouped.select(["subject_id", "subject_id_count", "time_min", "time_max"])
    counted: pd.DataFrame = named.rename_columns(["subject_id", "events", "first", "last"]).to_pandas()
    return counted


def read_text_table(entry: Entry | pd.DataFrame) -> pd.DataFrame:
    """A CSV, TSV, JSON lines, JSON array or FHIR file as a table of text; a table is returned as it is.

    Raises UserFacingError for empty files, wrong encodings, NUL bytes, ragged rows, duplicate keys and nested values.
    """
    if isinstance(entry, pd.DataFrame):
        return entry
    if entry.size > LIMITS.bytes_total // 4:
        raise UserFacingError(
            "The table is larger than 512 MiB.", "one patient's events", "Export a single patient, or use parquet."
        )
    text = _decode(bytes(entry.read(0, None)))
    rows = _json_rows(text) if text.lstrip()[:1] in "{[" else _csv_rows(text)
    if not rows:
        raise UserFacingError("The table holds no event.", "at least one row below the header", "Choose another file.")
    if len(rows) > MAX_TEXT_ROWS:
        raise UserFacingError(
            f"The table holds more than {MAX_TEXT_ROWS:,} rows.", "one patient's events", "Use parquet."
        )
    return pd.DataFrame(rows, dtype=object)


def _decode(data: bytes) -> str:
    if not data.strip():
        raise UserFacingError("The file is empty.", "a table of events", "Choose another file.")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserFacingError(
            "The file is not encoded as UTF-8.", "a UTF-8 text file or parquet", "Save it again with UTF-8 encoding."
        ) from error
    if "\0" in text:
        raise UserFacingError("The file holds NUL bytes.", "plain text", "Export the table again.")
    return text


def _csv_rows(text: str) -> list[dict[str, str]]:
    """Rows of a delimited table; the delimiter is the one of comma, semicolon and tab that the header has most of."""
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise UserFacingError(
            "The table's quotes are not closed.", "a well-formed CSV file", "Export it again."
        ) from error
    names, body = rows[0], rows[1:]
    if ragged := sum(len(row) != len(names) for row in body):
        raise UserFacingError(
            f"With another number of fields than the header: {count_of(ragged, 'row')}.",
            "the same fields in every row",
            "Correct them.",
        )
    refuse_same_names(names)
    return [dict(zip(names, row)) for row in body]


def _json_rows(text: str) -> list[dict[str, str]]:
    """Rows of FHIR resources, of JSON lines, or of one JSON array of flat objects."""
    try:
        items = _json_items(text)
    except (ValueError, RecursionError) as error:
        raise UserFacingError(
            "The file is not well-formed JSON lines.", "one JSON object on each line", "Export it again."
        ) from error
    if not all(isinstance(item, dict) for item in items):
        raise UserFacingError("A line is not a JSON object.", "one object of fields for each event", "Export it again.")
    if items and is_fhir(items[0]):
        with translated():
            return fhir_rows(item for item in items if is_fhir(item))
    return [{str(key): _flat(value) for key, value in item.items()} for item in items]


def _json_items(text: str) -> list[Any]:
    """One item a line where the first line is complete, else the items of the single value."""
    first = next(line for line in text.splitlines() if line.strip())
    try:
        json.loads(first)
        whole = first.lstrip()[0] == "["
    except ValueError:
        whole = True
    if not whole:
        return [_parsed(line) for line in text.splitlines() if line.strip()]
    value = _parsed(text)
    return value if isinstance(value, list) else [value]


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


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
    return "" if value is None else str(value)
