"""Which files of a source hold events, what describes their codes, and how several files become one patient's."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import pandas as pd
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.events.ancestors import standard_parents
from core.intake.files.byte_source import Entry, file_entry
from core.intake.files.sources import Source
from core.intake.files.which_file import place_of, told_of
from core.intake.record.bystanders import holds_no_events
from core.intake.record.columns.demographics import beside_events, is_of_people, with_people
from core.intake.record.columns.fields import recognised
from core.intake.record.columns.roles import Answers, all_ways, encoding_of
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.file_list import RECORDS, SourceFiles, of_one_kind, same_names_note, source_files, unread_note
from core.intake.record.omop.concepts import concept_words
from core.intake.record.omop.events import omop_events
from core.intake.record.omop.tables import OmopFiles, omop_tables
from core.intake.record.tables.encodings import Look, looks, utf8_entries
from core.intake.record.tables.meds import doubt_columns, is_plain_meds
from core.intake.record.tables.parquet import event_fields, is_parquet, parquet_file, parquet_text, translated
from core.intake.record.tables.row_numbers import file_of, in_file
from core.intake.record.tables.text_tables import TextFile, fhir_table, read_text_file, spreadsheet
from core.progress import Progress, watched
from core.wording import count_of

_CODES, _DATASET, _CONCEPTS = "codes.parquet", "dataset.json", ("concept.csv", "concept.parquet")

_OF_EVENTS = {"subject_id", "patient_id", "person_id", "time", "timestamp", "numeric_value", "value"}
_PLACES_NAMED = 3

Part = Entry | pd.DataFrame
"""A parquet file of events, or a table of text whose columns are named by field."""


@dataclass(frozen=True, eq=False)
class EventFiles:
    """Files that hold events, code descriptions found beside them, and whether the data set says it is simulated.

    notes: what of the source is not read. parents: standard code -> its parents, where a file names them.
    """

    entries: list[Part]
    words: dict[str, str]
    virtual: bool
    notes: list[str] = field(default_factory=list)
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def event_files(source: Source, answers: Answers | None = None) -> EventFiles:
    """The files of events in a source; OMOP tables are joined to one table of text.

    A MEDS or cohort folder, zipped or not, contributes data/**/*.parquet; its metadata folder describes codes and
    origin, for a single shard inside it too. A CONCEPT table beside the events describes codes as well.
    answers: of which the encoding of text that is not UTF-8 counts here, and for OMOP how dates and numbers are
    written. Raises UserFacingError where there is none.
    """
    path = Path(source) if isinstance(source, (str, Path)) else None
    files, omop = _files_and_omop(source)
    notes = same_names_note([*files.tables, *files.beside])
    encoding = encoding_of(answers)
    described = [*files.tables, *files.beside, *_metadata_folder(path)]
    words = _words(
        described if omop is None else [entry for entry in described if _name(entry) not in _CONCEPTS], notes
    )
    virtual, parents = _says_virtual(described), _parents(described)
    if omop is not None:
        notes += unread_note([*files.unread, *omop.unread])
        read = {name: utf8_entries(parts, encoding, notes) for name, parts in omop.tables.items()}
        events = omop_events(replace(omop, tables=read), all_ways(answers), notes)
        words |= _words_in(events)
        return EventFiles([events], words, virtual, notes, parents)
    tables = utf8_entries([entry for entry in files.tables if not _describes(entry)], encoding, notes)
    if not tables:
        raise spreadsheet() if any(_is_of_spreadsheet(entry) for entry in files.unread) else no_events()
    virtual |= is_parquet(tables[0]) and _file_says_virtual(tables[0])
    notes += unread_note(entry for entry in files.unread if entry.absent or not _describes(entry))
    return EventFiles([*tables], words, virtual, notes, parents)


def text_looks(source: Source) -> tuple[Look, ...]:
    """How the tables of a source that are not UTF-8 read in each encoding that fits; none where nothing is to be asked.

    Raises UserFacingError as `source_files`, and for damaged UTF-8.
    """
    files, omop = _files_and_omop(source)
    if omop is not None:
        return looks([part for parts in omop.tables.values() for part in parts])
    return looks([entry for entry in files.tables if not _describes(entry)])


def _files_and_omop(source: Source) -> tuple[SourceFiles, OmopFiles | None]:
    files = _without_bystanders(source_files(source))
    omop = omop_tables(files.tables)
    return (of_one_kind(files) if omop is None else files), omop


def _without_bystanders(files: SourceFiles) -> SourceFiles:
    """What holds no events counts as unread, where anything else is there."""
    passed = [entry for entry in files.tables if not _describes(entry) and holds_no_events(entry)]
    kept = [entry for entry in files.tables if entry not in passed]
    if all(map(_describes, kept)):
        return files
    return replace(files, tables=kept, unread=[*files.unread, *passed])


def _describes(entry: Entry) -> bool:
    return _name(entry) in (_CODES, _DATASET, *_CONCEPTS) or _is_code_table(entry)


def _is_of_spreadsheet(entry: Entry) -> bool:
    """Whether an entry is a spreadsheet, or a part of one, which is an archive itself."""
    path = entry.name.lower().replace("\\", "/")
    return path.endswith((".xlsx", ".xls", ".xlsm", ".ods", "xl/workbook.xml", "content.xml"))


def _name(entry: Entry) -> str:
    return PurePath(entry.name).name.lower()


def no_events() -> UserFacingError:
    """The refusal for a source without events."""
    return UserFacingError("The source holds no table of events.", RECORDS, "Choose another file.")


def none_left(tables: Sequence[pd.DataFrame]) -> UserFacingError:
    """The refusal for a source whose events are all left out, with the reasons; `no_events` where there are none."""
    reasons = Counter(reason for table in tables if "left_out" in table for reason in plain_texts(table["left_out"]))
    why = "; ".join(f"{reason}: {count_of(count, 'event')}" for reason, count in reasons.items() if reason)
    if not why:
        return no_events()
    return UserFacingError(
        f"All that the source holds is left out, {why}.", "events that happened to the patient", "Choose another file."
    )


def no_such_patient() -> UserFacingError:
    """The refusal for a patient of whom the source holds no event."""
    return UserFacingError(
        "The source holds no events of the chosen patient.", "a patient of the source", "Choose one from the list."
    )


def event_parts(
    entries: Sequence[Part], mapping: Answers | None, notes: list[str], progress: Progress | None = None
) -> list[Part]:
    """Parquet files as they are, or all text tables joined to one, so that a patient keeps one number in all of them.

    progress: told before each table of text; it may end the reading by raising.

    A parquet file that is no plain MEDS (`is_plain_meds`) counts as a text table, and so do its neighbours. Raises
    UserFacingError where the two are mixed, or where one of several text tables names no patient.
    """
    parquet = [part for part in entries if is_parquet(part)]
    plain = [part for part in parquet if is_plain_meds(part, mapping)]
    if len(plain) == len(entries):
        for part in plain:
            with told_of(part, plain):
                doubt_columns(part, mapping, notes)
        named = ["subject_id" in event_fields(parquet_file(part), mapping) for part in plain]
        _refuse_nameless(named, [place_of(part, plain) for part in plain])
        return [*plain]
    if plain and len(parquet) < len(entries):
        raise UserFacingError(
            "The source mixes parquet files and text tables.", "tables of one kind", "Choose the files of one data set."
        )
    tables, people = _text_tables(entries, mapping, notes, progress)
    if not tables:
        raise no_events()
    _refuse_nameless(["subject_id" in table.columns for table in tables], [file_of(table) for table in tables])
    return [with_people(beside_events(pd.concat(tables, ignore_index=True), people, notes), notes)]


def _refuse_nameless(named: Sequence[bool], files: Sequence[int]) -> None:
    """Raises UserFacingError where one of several tables does not say whose its events are.

    files: which files they are, in the order of names; 0 where that is not known.
    """
    if len(named) > 1 and not all(named):
        lacking = sorted(str(file) for file, is_named in zip(files, named, strict=True) if file and not is_named)
        which = f", file {' and '.join(lacking)} by name" if 0 < len(lacking) <= _PLACES_NAMED else ""
        raise UserFacingError(
            f"Naming no patient: {named.count(False)} of {len(named)} tables{which}.",
            "a patient column, such as subject_id, in every table",
            "Choose a single table, or add that column to each.",
        )


def _text_tables(
    entries: Sequence[Part], mapping: Answers | None, notes: list[str], progress: Progress | None
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """(tables named by field that hold rows, tables of patients as they are).

    OMOP and FHIR tables are named by field already.
    """
    opened = [part for part in entries if isinstance(part, Entry)]
    files: list[TextFile] = []
    for part in watched(opened, progress, "Reading the tables"):
        with told_of(part, opened):
            files.append(_content(part, alone=len(entries) == 1))
    read = zip(opened, files, strict=True)
    filled = [(part, file) for part, file in read if isinstance(file, pd.DataFrame) and len(file)]
    if filled and (empty := sum(isinstance(file, pd.DataFrame) for file in files) - len(filled)):
        notes.append(f"Without rows: {count_of(empty, 'table')}.")
    people = [file for _, file in filled if is_of_people(file)]
    people = people if len(people) < len(filled) else []
    others = [(part, file) for part, file in filled if not any(file is told for told in people)]
    flat: list[pd.DataFrame] = []
    for part, file in watched(others, progress, "Looking at the columns"):
        with told_of(part, opened):
            named = recognised(file, mapping, notes)
        flat.append(in_file(named, place_of(part, opened)) if len(opened) > 1 else named)
    resources = [file for file in files if isinstance(file, list)]
    named_already = [part for part in entries if isinstance(part, pd.DataFrame)]
    joined = [*flat, *named_already, *([fhir_table(resources, notes)] if resources else [])]
    return [table for table in joined if len(table)], people


def _content(entry: Entry, *, alone: bool = False) -> TextFile:
    """The table of a file, whose lines or rows can be told. alone: whether it is the only one, which must hold rows."""
    return (
        parquet_text(entry, places=True) if is_parquet(entry) else read_text_file(entry, places=True, empty=not alone)
    )


def flat_table(part: Part, *, alone: bool = False) -> pd.DataFrame | None:
    """Any part but FHIR as a table of text with the columns of its file; None for FHIR. alone: as the only one."""
    content = part if isinstance(part, pd.DataFrame) else _content(part, alone=alone)
    return content if isinstance(content, pd.DataFrame) else None


def fhir_events(parts: Sequence[Part]) -> pd.DataFrame:
    """The events of those parts that are FHIR files, as one table."""
    contents = (_content(part) for part in parts if isinstance(part, Entry))
    return fhir_table([content for content in contents if isinstance(content, list)], [])


def _words(entries: Sequence[Entry], notes: list[str]) -> dict[str, str]:
    """Code -> words, of all files that describe codes, the last of several."""
    pairs = [pair for entry in entries if _is_code_table(entry) for pair in _code_words(entry)]
    words = dict(pairs)
    if several := sum(count > 1 for count in Counter(code for code, _ in set(pairs)).values()):
        notes.append(f"With more than one description in {_CODES}: {count_of(several, 'code')}; the last one is shown.")
    for entry in entries:
        if _name(entry) in _CONCEPTS:
            words |= concept_words(entry)
    return words


def _parents(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Standard code -> its parents, of all files that describe codes."""
    return standard_parents(pair for entry in entries if _is_code_table(entry) for pair in _code_parents(entry))


def _code_parents(entry: Entry) -> list[tuple[str, list[str]]]:
    """MEDS code metadata: pairs of code and parent codes."""
    opened: pq.ParquetFile = parquet_file(entry)
    if "parent_codes" not in opened.schema_arrow.names:
        return []
    with translated():
        table = opened.read(columns=["code", "parent_codes"])
    pairs = zip(table["code"].to_pylist(), table["parent_codes"].to_pylist())
    return [(str(code), [str(one) for one in parents if one]) for code, parents in pairs if code and parents]


def _is_code_table(entry: Entry) -> bool:
    """Whether a file is MEDS code metadata: by its name, or by columns that tell of codes and of no event."""
    if not is_parquet(entry):
        return False
    try:
        names = set(parquet_file(entry).schema_arrow.names)
    except UserFacingError:  # a damaged table is refused where it is read
        return False
    return {"code", "description"} <= names and (_name(entry) == _CODES or not names & _OF_EVENTS)


def _words_in(events: pd.DataFrame) -> dict[str, str]:
    """Code -> words of events of OMOP, whose words are all of its vocabulary."""
    described = events.loc[events["description"] != "", ["code", "description"]].drop_duplicates()
    return dict(zip(described["code"], described["description"]))


def _metadata_folder(path: Path | None) -> list[Entry]:
    """The description files of the MEDS data set that a shard up to three levels inside it belongs to."""
    for folder in list(path.parents)[:3] if path and os.path.isfile(path) else []:
        beside = [folder / "metadata" / name for name in (_DATASET, _CODES)]
        if any(file.is_file() for file in beside):
            return [file_entry(file) for file in beside if file.is_file()]
    return []


def _says_virtual(entries: Sequence[Entry]) -> bool:
    return any(_dataset_says_virtual(entry) for entry in entries if _name(entry) == _DATASET)


def _dataset_says_virtual(entry: Entry) -> bool:
    try:
        content = json.loads(bytes(entry.read(0, None)))
    except (UserFacingError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and bool(content.get("virtual"))


def _file_says_virtual(entry: Entry) -> bool:
    return (parquet_file(entry).schema_arrow.metadata or {}).get(b"origin") == b"virtual"


def _code_words(entry: Entry) -> list[tuple[str, str]]:
    """MEDS code metadata: pairs of code and description."""
    opened: pq.ParquetFile = parquet_file(entry)
    with translated():
        table = opened.read(columns=["code", "description"])
    pairs = zip(table["code"].to_pylist(), table["description"].to_pylist())
    return [(str(code), str(words)) for code, words in pairs if code and words]
