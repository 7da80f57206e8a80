"""Which files of a source hold events, what describes their codes, and how several files become one patient's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pandas as pd
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.load.entries import Source, open_entries
from core.load.entry import Entry, file_entry
from core.load.limits import LIMITS, too_many_entries
from core.timeline.columns import alike, joined_clock, recognise
from core.timeline.concepts import concept_words
from core.timeline.omop import omop_events, omop_tables
from core.timeline.parquet import has_whole_subjects, is_parquet, parquet_file, parquet_text, translated
from core.timeline.text_tables import read_text_table

_SUFFIXES = (".parquet", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
_NOT_EVENTS = frozenset(("images", "labels", "metadata", "masks", "__macosx"))
_ABOUT = re.compile(r"(readme|licen[cs]e|changelog|copying|notice).*", re.IGNORECASE)
_CODES, _DATASET, _CONCEPTS = "codes.parquet", "dataset.json", ("concept.csv", "concept.parquet")

Part = Entry | pd.DataFrame
"""A parquet file of events, or a table of text whose columns are named by field."""


@dataclass(frozen=True, eq=False)
class EventFiles:
    """Files that hold events, code descriptions found beside them, and whether the data set says it is simulated."""

    entries: list[Part]
    words: dict[str, str]
    virtual: bool


def event_files(source: Source) -> EventFiles:
    """The files of events in a source; OMOP tables are joined to one table of text.

    A MEDS or cohort folder, zipped or not, contributes data/**/*.parquet; its metadata folder describes codes and
    origin, for a single shard inside it too. A CONCEPT table beside the events describes codes as well.
    Raises UserFacingError where there is none.
    """
    path = Path(source) if isinstance(source, (str, Path)) else None
    found = _folder_entries(path) if path and path.is_dir() else open_entries(source)
    files = [entry for entry in found if _is_table(entry)]
    if not files:
        raise no_events()
    words, virtual = _metadata(path, found, files)
    omop = omop_tables(files)
    events: list[Part] = [omop_events(omop)] if omop else [*files]
    return EventFiles(events, words, virtual)


def no_events() -> UserFacingError:
    """The refusal for a source without events."""
    return UserFacingError(
        "The source holds no table of events.",
        "MEDS parquet, OMOP tables, FHIR bundles, CSV or JSON lines of coded events",
        "Choose another file.",
    )


def event_parts(entries: Sequence[Part], mapping: Mapping[str, str] | None, notes: list[str]) -> list[Part]:
    """Parquet files as they are, or all text tables joined to one, so that a patient keeps one number in all of them.

    A parquet file whose subjects are no whole numbers counts as a text table. Raises UserFacingError where the two are
    mixed, or where one of several text tables names no patient.
    """
    parquet = [part for part in entries if is_parquet(part) and has_whole_subjects(part, mapping)]
    if len(parquet) == len(entries):
        return [*parquet]
    if parquet:
        raise UserFacingError(
            "The source mixes parquet files and text tables.", "tables of one kind", "Choose the files of one data set."
        )
    read = [text_table(part) for part in entries]
    tables = [recognised(table, mapping, notes) for table in read if len(table)]
    if not tables:
        raise no_events()
    if len(tables) > 1 and not all("subject_id" in table.columns for table in tables):
        raise UserFacingError(
            "One of several tables names no patient.", "a patient column in every table", "Choose a single table."
        )
    return [pd.concat(tables, ignore_index=True)]


def text_table(part: Part) -> pd.DataFrame:
    """Any part as a table of text with the columns of its file."""
    if isinstance(part, pd.DataFrame):
        return part
    return parquet_text(part) if is_parquet(part) else read_text_table(part)


def recognised(table: pd.DataFrame, mapping: Mapping[str, str] | None, notes: list[str]) -> pd.DataFrame:
    """The recognised columns of a text table, under the names of their fields; a date and a clock become one time.

    Raises UserFacingError where two columns name the patient and disagree.
    """
    names = [str(name) for name in table.columns]
    fields = recognise(names, mapping)
    kept = pd.DataFrame({field: table[name] for field, name in fields.items()})
    chosen = mapping or {}
    for field in ("subject_id", "time", "code"):
        others = [name for name in alike(names, field) if name != fields.get(field)]
        if field in chosen or not others:
            continue
        if field == "time" and (clock := joined_clock(kept["time"], table[others[0]])) is not None:
            kept["time"] = clock
        elif field == "subject_id" and any(_disagree(kept["subject_id"], table[name]) for name in others):
            raise UserFacingError(
                "Two columns name the patient and disagree.", "one patient column", "Map the columns on the Load page."
            )
        elif field != "subject_id":
            notes.append(f"More than one column may hold the {field}; the one with the usual name was read.")
    if "date" in chosen and (clock := joined_clock(kept["time"], table[chosen["date"]])) is not None:
        kept["time"] = clock
    return kept


def _disagree(one: pd.Series[str], other: pd.Series[str]) -> bool:
    """Whether two columns part the rows differently."""
    pairs = pd.DataFrame({"one": one.fillna(""), "other": other.fillna("")}).drop_duplicates()
    return not (pairs["one"].is_unique and pairs["other"].is_unique)


def _folder_entries(root: Path) -> list[Entry]:
    """Tables of a folder, named by their path inside it; where there is parquet, the rest only describes it."""
    found: list[Entry] = []
    for number, path in enumerate(sorted(root.rglob("*"))):
        if number > 4 * LIMITS.entries:
            raise too_many_entries(LIMITS)
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            entry = file_entry(path)
            found.append(Entry(path.relative_to(root).as_posix(), entry.size, entry.read, path))
    parquet = [entry for entry in found if _is_table(entry) and entry.name.lower().endswith(".parquet")]
    omop = omop_tables([entry for entry in found if _is_table(entry)])
    return found if omop or not parquet else [*parquet, *(entry for entry in found if not _is_table(entry))]


def _is_table(entry: Entry) -> bool:
    """Whether a file may hold events: not a description, not what an operating system or a project leaves beside."""
    path = PurePath(entry.name)
    folders = {part.lower() for part in path.parts[:-1]}
    if _NOT_EVENTS & folders or path.name.startswith("._") or _ABOUT.fullmatch(path.name):
        return False
    if path.name.lower() in (_CODES, _DATASET) and entry.path is None and "metadata" in folders:
        return False
    known = path.suffix.lower() in (*_SUFFIXES, "")
    return known or bytes(entry.read(0, 4)) == b"PAR1"


def _metadata(path: Path | None, found: Sequence[Entry], files: list[Entry]) -> tuple[dict[str, str], bool]:
    """(code -> words, whether the data are simulated). Description files are taken out of `files`."""
    words: dict[str, str] = {}
    beside = [*found, *_metadata_folder(path)]
    virtual = False
    omop = bool(omop_tables(files))
    for entry in beside:
        name = PurePath(entry.name).name.lower()
        if name == _CODES:
            words |= _code_words(entry)
        elif name == _DATASET:
            virtual |= _says_virtual(entry)
        elif name in _CONCEPTS and not omop:
            words |= concept_words(entry)
    described = (_CODES, _DATASET) if omop else (_CODES, _DATASET, *_CONCEPTS)
    files[:] = [entry for entry in files if PurePath(entry.name).name.lower() not in described]
    if not files:
        raise no_events()
    return words, virtual or (is_parquet(files[0]) and _file_says_virtual(files[0]))


def _metadata_folder(path: Path | None) -> list[Entry]:
    """The description files of the MEDS data set that a shard up to three levels inside it belongs to."""
    for folder in list(path.parents)[:3] if path and path.is_file() else []:
        beside = [folder / "metadata" / name for name in (_DATASET, _CODES)]
        if any(file.is_file() for file in beside):
            return [file_entry(file) for file in beside if file.is_file()]
    return []


def _says_virtual(entry: Entry) -> bool:
    try:
        content = json.loads(bytes(entry.read(0, None)))
    except (UserFacingError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and bool(content.get("virtual"))


def _file_says_virtual(entry: Entry) -> bool:
    return (parquet_file(entry).schema_arrow.metadata or {}).get(b"origin") == b"virtual"


def _code_words(entry: Entry) -> dict[str, str]:
    """MEDS code metadata: code -> description."""
    if not is_parquet(entry):
        return {}
    opened: pq.ParquetFile = parquet_file(entry)
    if not {"code", "description"} <= set(opened.schema_arrow.names):
        return {}
    with translated():
        table = opened.read(columns=["code", "description"])
    pairs = zip(table["code"].to_pylist(), table["description"].to_pylist())
    return {str(code): str(words) for code, words in pairs if code and words}
