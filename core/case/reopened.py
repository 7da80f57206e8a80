"""An exported case given to Load: its scan and record as files for the ordinary readers, its question and view beside
them."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from core.errors import UserFacingError
from core.events.kinds import KINDS
from core.export.case_file import CASE, DAY_ZERO, FORM, RECORD, SCAN, VERSION, sealed
from core.export.label import clean_label, label_refusal
from core.intake.files.byte_source import Entry, file_entry, memory_entry
from core.intake.files.limits import LIMITS, MIB
from core.intake.files.sources import NamedBytes, Source
from core.intake.files.zip import open_zip, zip_entries
from core.intake.identifiers.text.vocabulary import plain_text
from core.intake.terms.identifier_patterns import identifying
from core.intake.terms.safe_description import safe_kernel
from core.records import AcquisitionFacts, CtStudy, Timeline
from core.wording import OLDEST_YEARS

T = TypeVar("T")
_LARGEST = 4 * MIB
_MOST_NOTES, _LONGEST_NOTE, _FARTHEST_DAYS = 200, 1000, 60_000
_WHOLE = "the zip that \u201cAll in one zip\u201d saves, unchanged"
_NEXT = "Save the zip again; or unpack it, and give its scan and its record one by one."
MOVED = "Its dates were moved when the case was exported; days from day 0 are as they were."
LEFT_OUT = "A note of the first reading was left out, as it may identify a person."


@dataclass(frozen=True, eq=False)
class Asked:
    """What was on screen when the case was exported. model_sha256: of the model's bundle; risk: what it answered.

    horizon_days, method: of the saliency; method None where there was none. view: as the viewer reports it, or empty.
    """

    task: str
    model: str
    model_sha256: str
    horizon_days: float
    method: str | None
    risk: float
    label: str
    view: Mapping[str, Any]
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Tells this opening from every other one, as the viewer goes to its slice once."""

    def view_of(self, study: CtStudy | None) -> dict[str, Any]:
        """The view on this scan, as the viewer would report it; empty where there was none."""
        if study is None or not self.view:
            return {}
        voxel = [min(index, edge - 1) for index, edge in zip(self.view["voxel"], study.shape, strict=True)]
        return {**self.view, "voxel": voxel, "volume": study.digest[:24]}


@dataclass(frozen=True, eq=False)
class ExportedCase:
    """A zip of an exported case, checked to be as it was saved.

    scan, record: its files, None where it has none. day_zero: of the record. put_together: as `Case.fabricated`.
    """

    asked: Asked
    scan: NamedBytes | None = field(default=None, repr=False)
    record: NamedBytes | None = field(default=None, repr=False)
    put_together: bool = False
    day_zero: pd.Timestamp | None = None
    description: str = "CT study"
    facts: AcquisitionFacts = field(default_factory=AcquisitionFacts)
    scan_notes: tuple[str, ...] = ()
    record_notes: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    later_events: int = 0

    def on_scan(self, study: CtStudy) -> CtStudy:
        """The scan as its file was read, with what its first file said of it."""
        notes = tuple(dict.fromkeys((*self.scan_notes, *study.notes)))
        return replace(study, notes=notes, description=self.description, facts=self.facts)

    def on_record(self, timeline: Timeline) -> Timeline:
        """The record as its file was read, with the notes of its first reading."""
        notes = tuple(dict.fromkeys((*self.record_notes, *timeline.notes, MOVED)))
        later = timeline.later_event_count + self.later_events
        kinds = {code: kind for code, kind in self.kinds.items() if (timeline.events["code"] == code).any()}
        return replace(timeline, notes=notes, later_event_count=later, code_kinds={**timeline.code_kinds, **kinds})


def exported_case(*sources: Source | None) -> ExportedCase | None:
    """The exported case among what was handed over, or None where there is none and all is to be read as ever.

    Raises UserFacingError for one that was altered, is of another version, or comes with other files.
    """
    entries = [entry for source in sources if source is not None for entry in _single_files(source)]
    found = [entry for entry in entries if _is_exported(entry)]
    if not found:
        return None
    if len(entries) > 1 or sum(source is not None for source in sources) > 1:
        raise UserFacingError(
            "An exported case was given together with other files.", "the zip alone", "Take the other files away."
        )
    parts = {part.name: part for part in zip_entries(found[0], LIMITS) if not part.absent}
    return _read(_case_file(parts), parts)


def _single_files(source: Source) -> list[Entry]:
    """The files of a source that were named one by one; a folder's are not looked at."""
    if isinstance(source, str | Path):
        return [file_entry(Path(source))] if Path(source).is_file() else []
    if isinstance(source, tuple):
        return [memory_entry(str(source[0]), cast("bytes", source[1]))]
    return [entry for part in source for entry in _single_files(part)]


def _is_exported(entry: Entry) -> bool:
    """Is it a zip with a case file of ours? Any other zip is left to the ordinary readers, damaged ones too."""
    if bytes(entry.read(0, 4)) != b"PK\x03\x04":
        return False
    try:
        with open_zip(entry, LIMITS) as archive:
            infos = archive.infolist()
            if any(_called(info.filename, "provenance.json") for info in infos):
                return any(_called(info.filename, CASE) for info in infos)
            small = [info for info in infos if _called(info.filename, CASE) and info.file_size < _LARGEST]
            return any(FORM.encode() in archive.read(info) for info in small)
    except UserFacingError:
        return False


def _called(name: str, ending: str) -> bool:
    """Is a file of the zip the one that is called so? Its label and question stand before."""
    last = name.rpartition("/")[2]
    return last == ending or last.endswith(f"_{ending}")


def _altered(what: str) -> UserFacingError:
    return UserFacingError(f"The exported case was altered after it was saved: {what}.", _WHOLE, _NEXT)


def _case_file(parts: Mapping[str, Entry]) -> dict[str, Any]:
    """The case file, whole and as it was sealed."""
    files = [part for name, part in parts.items() if _called(name, CASE)]
    if len(files) != 1 or files[0].size > _LARGEST:
        raise _altered("it holds no case.json, or several")
    try:
        record = json.loads(bytes(files[0].read(0, None)))
    except (ValueError, RecursionError) as error:
        raise _altered("its case.json cannot be read") from error
    if not isinstance(record, dict) or record.get("form") != FORM:
        raise _altered("its case.json is none")
    if record.get("version") != VERSION:
        raise UserFacingError(
            "The exported case is of another version of this app.",
            f"version {VERSION} of its case.json",
            "Open it in the version that saved it; or unpack it, and give its scan and its record one by one.",
        )
    if sealed(record) != record:
        raise _altered("its case.json is another one")
    return record


def _read(record: dict[str, Any], parts: Mapping[str, Entry]) -> ExportedCase:
    try:
        told_scan, told_record = _part(record, "scan"), _part(record, "record")
        scan = None if told_scan is None else (SCAN, _file(told_scan, parts, "scan"))
        events = None if told_record is None else (RECORD, _file(told_record, parts, "record"))
        if scan is None and events is None:
            raise ValueError
        made = ExportedCase(_asked(record), scan, events, _of(record, "put_together", bool))
        if told_scan is not None:
            text = plain_text(_of(told_scan, "description", str))
            made = replace(made, description=text or "CT study", scan_notes=_notes(told_scan))
            made = replace(made, facts=_facts(_table(told_scan, "facts")))
        if told_record is not None:
            kinds = {str(code): kind for code, kind in _table(told_record, "kinds").items() if kind in KINDS}
            zero = pd.Timestamp(_of(told_record, "day_zero", str))
            if zero.normalize() != DAY_ZERO:
                raise ValueError
            later = int(_number(told_record["later_events"], 0, 1e9))
            made = replace(made, day_zero=zero, record_notes=_notes(told_record), kinds=kinds, later_events=later)
        return made
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _altered("its case.json lacks something, or says what cannot be") from error


def _part(record: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    return None if record[name] is None else _table(record, name)


def _of(record: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """A value of this type. Raises KeyError or TypeError."""
    value = record[key]
    if not isinstance(value, kind):
        raise TypeError(key)
    return value


def _table(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    return _of(record, key, dict)


def _items(record: Mapping[str, Any], key: str) -> list[Any]:
    return _of(record, key, list)


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError
    return float(value)


def _file(told: Mapping[str, Any], parts: Mapping[str, Entry], what: str) -> bytes:
    """A part of the case. Raises where it is missing, or another one."""
    entry = parts.get(_of(told, "file", str))
    if entry is None:
        raise _altered(f"its {what} is missing")
    data = bytes(entry.read(0, None))
    if hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise _altered(f"its {what} is another one")
    return data


def _notes(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes of the first reading; one that may identify somebody is told without its words."""
    notes = _items(told, "notes")
    if len(notes) > _MOST_NOTES or not all(isinstance(note, str) and len(note) <= _LONGEST_NOTE for note in notes):
        raise ValueError
    return tuple(dict.fromkeys(LEFT_OUT if identifying(note) else note for note in notes))


def _facts(told: Mapping[str, Any]) -> AcquisitionFacts:
    def number(key: str, low: float, high: float) -> float | None:
        return None if told[key] is None else _number(told[key], low, high)

    day, sex, contrast = number("taken_on_day", -_FARTHEST_DAYS, _FARTHEST_DAYS), told["sex"], told["contrast_agent"]
    if sex not in ("F", "M", None) or contrast not in (True, False, None):
        raise ValueError
    return AcquisitionFacts(
        tube_voltage_kv=number("tube_voltage_kv", 0, 1000),
        kernel=safe_kernel(_of(told, "kernel", str)),
        contrast_agent=contrast,
        thickness_mm=number("thickness_mm", 0, 1000),
        slice_axis=int(_number(told["slice_axis"], 0, 2)),
        taken=None if day is None else datetime(DAY_ZERO.year, 1, 1) + timedelta(days=day),
        dates_shifted=_of(told, "dates_shifted", bool),
        sex=cast("Any", sex),
        age_years=number("age_years", 0, OLDEST_YEARS),
    )


def _asked(record: Mapping[str, Any]) -> Asked:
    question = _table(record, "question")
    method = question["method"]
    label = _of(record, "label", str)
    if method is not None and not isinstance(method, str):
        raise TypeError
    return Asked(
        task=_of(question, "task", str),
        model=_of(question, "model", str),
        model_sha256=_of(question, "model_sha256", str),
        horizon_days=_number(question["horizon_days"], 0, 1e6),
        method=method,
        risk=_number(question["risk"], 0, 1),
        label="" if label_refusal(label) else clean_label(label),
        view={} if record["view"] is None else _view(_table(record, "view")),
    )


def _view(told: Mapping[str, Any]) -> dict[str, Any]:
    """In the names of the viewer's own reports."""
    voxel = [int(_number(index, 0, 1e5)) for index in _items(told, "slice_ijk")]
    window = [_number(end, -1e5, 1e5) for end in _items(told, "window_hu")]
    if len(voxel) != 3 or len(window) != 2 or not window[0] < window[1] or not math.isfinite(window[1] - window[0]):
        raise ValueError
    shares = {name: _number(told[name], 0, 1) for name in ("threshold", "opacity")}
    looks = {name: _of(told, name, bool) for name in ("inverted", "own_scale")}
    return {"voxel": voxel, "window_hu": window, **shares, **looks}
