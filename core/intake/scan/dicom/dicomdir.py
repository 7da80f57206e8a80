"""What the DICOMDIR of a disc lists, so that slices lost from an end of a series are missed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from pydicom.filereader import dcmread
from pydicom.multival import MultiValue

from core.intake.files.byte_source import Entry
from core.intake.files.limits import MIB
from core.wording import count_of

NAME = "DICOMDIR"
_LARGEST = 2 * MIB


def missing_notes(entries: Sequence[Entry]) -> list[str]:
    """A note where a DICOMDIR lists more images of a CT series than are there; none of series wholly absent."""
    directories = [entry for entry in entries if NAME in entry.name.upper() and entry.size <= _LARGEST]
    here = {_plain(entry.name) for entry in entries if not entry.absent} if directories else set()
    missing = 0
    for entry in directories:
        *folders, last = _plain(entry.name)
        for series in _listed(entry) if last == NAME else ():
            found = sum((*folders, *path) in here for path in series)
            missing += len(series) - found if found else 0
    return [f"Listed in the DICOMDIR but not here: {count_of(missing, 'image')} of a CT series."] if missing else []


def _plain(name: str) -> tuple[str, ...]:
    """The parts of a path as discs compare them: capitals, without version numbers and final dots."""
    return tuple(part.split(";")[0].rstrip(".") for part in name.replace("\\", "/").upper().split("/"))


def _listed(entry: Entry) -> list[set[tuple[str, ...]]]:
    """Paths below the DICOMDIR of each CT series in it; none where it cannot be read."""
    try:
        listed = dcmread(io.BytesIO(entry.read(0, None))).get("DirectoryRecordSequence") or []
        fields = ("DirectoryRecordType", "Modality", "ReferencedFileID")
        return _by_series(tuple(record.get(field) for field in fields) for record in listed)
    except Exception:  # whatever a damaged list does to the parser, the images themselves are still there
        return []


def _by_series(records: Iterable[tuple[object, ...]]) -> list[set[tuple[str, ...]]]:
    """Records (type, modality, path) lie in order: each series before its images."""
    found: list[set[tuple[str, ...]]] = []
    in_ct = False
    for kind, modality, path in records:
        if kind == "SERIES":
            in_ct = modality == "CT"
            found += [set()] if in_ct else []
        elif kind == "IMAGE" and in_ct and path:
            found[-1].add(_plain("/".join(path) if isinstance(path, MultiValue) else str(path)))
    return found
