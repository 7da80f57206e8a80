"""Which files of a source may hold events, and which are left out: counted in a note, never passed over."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.limits import LIMITS, too_many_bytes, too_many_entries
from core.intake.files.sources import SECOND_NAME, Source, absent_words, expand_entry, folder_entries, open_entries
from core.intake.scan.dicom.elements import looks_like_dicom
from core.intake.scan.nifti.header import looks_like_nifti
from core.wording import count_of

_TABLES = (".parquet", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
_ROWS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
"""Suffixes of tables wherever they lie; JSON and text beside parquet describe it."""
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".tar", ".tgz")
_NO_TABLES = (
    ".dcm", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".svg", ".md", ".rst", ".html", ".yaml", ".yml", ".toml",
    ".cfg", ".ini", ".py", ".r", ".sql", ".sh", ".log", ".lock", ".md5", ".sha256", ".npy", ".npz", ".safetensors",
)  # fmt: skip
"""Suffixes of pictures, programs and documentation, which need no word."""
_SHOWN = (
    ".dat", ".xls", ".xlsx", ".ods", ".pdf", ".doc", ".docx", ".rtf", ".xml", ".hl7", ".sas7bdat", ".sav", ".dta",
    ".rds", ".feather", ".arrow", ".orc", ".avro", ".db", ".sqlite", ".7z", ".rar", ".edf", ".hea", ".bin",
)  # fmt: skip
"""Endings that a note may show, besides those of tables."""
RECORDS = "MEDS parquet, OMOP tables, FHIR bundles, CSV or JSON lines of coded events"
"""What refusals ask for."""
_HEAD_BYTES = 512
"""By so many bytes a file is known; the header of NIfTI-1 has 348."""
_BESIDE_EVENTS = frozenset(("images", "labels", "metadata", "masks"))
_ABOUT = re.compile(r"(readme|licen[cs]e|changelog|copying|notice)([._-]\w+)*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class SourceFiles:
    """The files of a source. tables: may hold events. beside: may describe them. unread: neither, or absent."""

    tables: list[Entry]
    beside: list[Entry]
    unread: list[Entry]


def source_files(source: Source) -> SourceFiles:
    """The files of a source, archives and packed files opened.

    Raises UserFacingError beyond the limits, and where there are images of a scan and nothing that may hold events.
    """
    found: list[Entry] = []
    others: list[Any] = []
    for part in source if isinstance(source, list) else [source]:
        if isinstance(part, (str, Path)) and os.path.isdir(part):
            found += _folder_files(Path(part))
        else:
            others.append(part)
    if others:
        found += open_entries(others, expected=RECORDS)
    entries = [entry for entry in found if not entry.absent]
    missed = [entry for entry in found if entry.absent and _needs_word(PurePath(entry.name))]
    if missed and not entries:
        raise _no_file(missed)
    files = SourceFiles([], [], missed)
    if len(entries) == 1 and not _kind_of_scan(entries[0]):
        files.tables.extend(entries)
        return files
    for entry in entries:
        place = _place(entry, files)
        if place is not None:
            place.append(entry)
    if not files.tables and (kinds := [kind for kind in map(_kind_of_scan, entries) if kind]):
        what = f"a {kinds[0]} file" if len(kinds) == 1 else count_of(len(kinds), "DICOM or NIfTI file")
        raise UserFacingError(
            f"The source holds no table of events, but images of a scan: {what}.",
            RECORDS,
            "Give these images as the CT, and choose the record here.",
        )
    return files


def _kind_of_scan(entry: Entry) -> str:
    """What kind of scan a file is of, by its first bytes; "" where it is of none."""
    head = entry.read(0, _HEAD_BYTES)
    return "DICOM" if looks_like_dicom(head) else "NIfTI" if looks_like_nifti(head) else ""


def _no_file(missed: list[Entry]) -> UserFacingError:
    return UserFacingError(
        f"The folder holds no file of a timeline, but {absent_words(missed)}.",
        "a folder with the files themselves",
        "Choose the folder that holds the files, or a copy with the files in place of the links.",
    )


def _folder_files(root: Path) -> Iterator[Entry]:
    """Files of a folder, named by their path inside it, packed ones opened; links and special files as absent."""
    limits, found = LIMITS, []
    for number, entry in enumerate(folder_entries(root)):
        if number > 4 * LIMITS.entries:
            raise too_many_entries(LIMITS)
        if _needs_word(PurePath(entry.name)):
            found.append(entry)
    read = _read_where_they_lie(found, Path(os.path.realpath(root)))
    for entry in sorted(read, key=lambda entry: PurePath(entry.name)):
        if entry.absent or not entry.name.lower().endswith(_PACKED):
            yield entry
            continue
        for opened in expand_entry(entry, limits):
            limits = limits.after(taken=opened.size)
            if limits.taken > limits.bytes_total:
                raise too_many_bytes(limits)
            yield opened


def _read_where_they_lie(entries: list[Entry], root: Path) -> Iterator[Entry]:
    """Entries without second names of files that are read as they are; links to what is hidden, and not read, stay.

    Raises UserFacingError where such links seem to be tables.
    """
    tables = 0
    for entry in entries:
        hidden = entry.absent == SECOND_NAME and entry.path and _is_hidden(entry.path.relative_to(root))
        tables += bool(hidden) and entry.name.lower().endswith((*_TABLES, *_PACKED))
        if hidden or entry.absent != SECOND_NAME:
            yield replace(entry, absent="link") if hidden else entry
    if tables:
        raise UserFacingError(
            f"The folder holds {count_of(tables, 'link')} to files in a hidden folder, as git-annex keeps them.",
            "a folder with the files themselves",
            "Run git annex unlock, or copy the folder with its links followed (cp -rL), and choose that folder.",
        )


def _needs_word(path: PurePath) -> bool:
    """Whether a file is more than a picture, documentation, or what an operating system leaves beside."""
    about = _ABOUT.fullmatch(path.stem) and path.suffix.lower() in ("", ".txt")
    system = path.name.lower() in ("thumbs.db", "desktop.ini") or path.name.startswith("~$")
    return not (_is_hidden(path) or about or system or path.name.lower().endswith(_NO_TABLES))


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _place(entry: Entry, files: SourceFiles) -> list[Entry] | None:
    """The list that a file belongs to; None where it needs no word."""
    path = PurePath(entry.name.replace("\\", "/"))
    if not _needs_word(path):
        return None
    suffix, head = path.suffix.lower(), bytes(entry.read(0, _HEAD_BYTES))
    is_table = suffix in _TABLES or head[:4] == b"PAR1" or (not suffix and b"\0" not in head)
    if path.name == "mimetype":
        return files.unread  # the first entry of an office document
    if not head.strip() or (suffix == ".json" and b'"transactionTime"' in head):
        return files.unread  # empty files and a list of files are usual in what servers export in bulk
    if _BESIDE_EVENTS & {part.lower() for part in path.parts[:-1]}:
        return files.unread if suffix in _ROWS[1:] else files.beside
    return files.tables if is_table else files.unread


def of_one_kind(files: SourceFiles) -> SourceFiles:
    """Where parquet lies in a folder named data, as in MEDS, or beside JSON and text, the rest only describes it."""
    if not any(entry.name.lower().endswith(".parquet") for entry in files.tables):
        return files
    rows = [entry for entry in files.tables if entry.name.lower().endswith(_ROWS)]
    kept = [entry for entry in rows if "data" in PurePath(entry.name).parts[:-1]] or rows
    others = [entry for entry in files.tables if entry not in kept]
    return SourceFiles(kept, [*files.beside, *others], [*files.unread, *others])


def same_names_note(entries: Iterable[Entry]) -> list[str]:
    """What is said of files of one name, as an archive may hold them, of which one may replace the other."""
    again = sum(count for count in Counter(entry.name for entry in entries).values() if count > 1)
    return [f"Under a name that several files have, all of which count: {count_of(again, 'file')}."] if again else []


def unread_note(entries: Iterable[Entry]) -> list[str]:
    """What is not read, by the endings of the names, and what was never opened; none where everything is read."""
    found = list(entries)
    kinds = Counter(_safe_suffix(entry.name) for entry in found if not entry.absent)
    named = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
    left = [f"Not read, as not among the tables of events: {count_of(kinds.total(), 'file')} ({named})."]
    never = absent_words(found)
    return [*(left if kinds else []), *([f"Never followed or opened: {never}."] if never else [])]


def _safe_suffix(name: str) -> str:
    """The ending where it is a usual one: what else stands behind a point may be anybody's name."""
    suffix = PurePath(name).suffix.lower()
    return suffix if suffix in (*_TABLES, *_SHOWN) else "of other kinds"
