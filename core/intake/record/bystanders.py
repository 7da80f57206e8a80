"""Files that stand beside a record and hold no events, such as the log of an export or a report in prose."""

from __future__ import annotations

import json
import re
from typing import Any

from core.intake.files.byte_source import Entry
from core.intake.record.columns.demographics import PEOPLE
from core.intake.record.columns.names import FIELDS, KNOWN_NAMES, hints_at, plain_name, suggests_patients

_HEAD_BYTES, _WHOLE_BYTES = 64 << 10, 4 << 20
_LOG = frozenset(("exportid", "eventid"))
"""Fields of every line of the log of a FHIR bulk export."""
_PERSONS = frozenset((*FIELDS["subject_id"], *(name for field in PEOPLE for name in FIELDS[field])))
_LINES = 20


def holds_no_events(entry: Entry) -> bool:
    """Whether a file is JSON that is neither FHIR nor a table of events or patients, or text that is no table.

    What cannot be read, or may hold events, is none of these: it is read, and refused where it is damaged.
    """
    head = bytes(entry.read(0, _HEAD_BYTES))
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"["):
        return b'"resourceType"' not in head and _is_no_row(_first_object(entry, head))
    return entry.name.lower().endswith(".txt") and _is_prose(head)


def _first_object(entry: Entry, head: bytes) -> dict[str, Any]:
    """The first object of JSON lines, or of one JSON value; an empty one where there is none."""
    texts = [head.strip().split(b"\n")[0]]
    if entry.size <= _WHOLE_BYTES:
        texts.append(bytes(entry.read(0, None)))
    for text in texts:
        try:
            value = json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            continue
        first = value[0] if isinstance(value, list) and value else value
        return first if isinstance(first, dict) else {}
    return {}


def _is_no_row(item: dict[str, Any]) -> bool:
    """Whether an object is no event, and tells of no patient."""
    names = {plain_name(str(name)) for name in item}
    if not names or names & _PERSONS or any(map(suggests_patients, names)):
        return False
    if names >= _LOG:
        return True
    if names & {*FIELDS["time"]} and names & {*FIELDS["code"]}:
        return False
    nested = any(isinstance(value, (dict, list)) for value in item.values())
    return nested or not all(any(hints_at(role, name) for name in names) for role in ("time", "code"))


def _is_prose(head: bytes) -> bool:
    """Whether a text has no cells, or not the same number of them in its lines, and names no field in the first."""
    if b"\0" in head:
        return False
    lines = [line for line in head.decode("utf-8", "replace").splitlines() if line.strip()][:_LINES]
    cells = [[plain_name(cell) for cell in re.split(r"[,;\t|]", line)] for line in lines]
    return bool(cells) and not KNOWN_NAMES & {*cells[0]} and (len({*map(len, cells)}) > 1 or len(cells[0]) == 1)
