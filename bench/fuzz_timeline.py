"""Mutated tables through the timeline readers: every one must be read or refused in words, within time and memory.

    python -m bench.fuzz_timeline [--minutes 10] [--seed 0]

Seeds are one small record in every format. Half of the rounds change bytes, runs of bytes or lines of a seed; the other
half write a hostile word into one cell of the record and then put it into the format. A fault is
- any other exception than UserFacingError, or more than 5 seconds of processor time;
- a refusal that repeats the patient's identifier or a Python type;
- a timeline that holds an event after its cut, an infinite value or an unsorted time;
- after a changed cell, an event of another row that is not as it was, or a number that the changed cell does not spell;
- a parquet file that `open_cohort` reads otherwise than `load_timeline`.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import re
import resource
import time
import zipfile
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.intake.record.cohort_columns import open_cohort
from core.records import Timeline
from core.timeline import load_timeline, suggest_mapping

PATIENT = "48151623"
ROWS = [
    {"subject_id": PATIENT, "time": "", "code": "GENDER//F", "numeric_value": "", "text_value": "", "unit": ""},
    {
        "subject_id": PATIENT,
        "time": "1950-05-01",
        "code": "MEDS_BIRTH",
        "numeric_value": "",
        "text_value": "",
        "unit": "",
    },
    *(
        {
            "subject_id": PATIENT,
            "time": f"2020-01-{day:02d}T08:30:00",
            "code": f"LOINC//{day}-1",
            "numeric_value": str(day / 4),
            "text_value": "see note" if day % 5 == 0 else "",
            "unit": "mg/dL",
        }
        for day in range(1, 20)
    ),
]
_WORDS = (
    "NaN",
    "inf",
    "1e999",
    "-",
    "2020-02-30",
    "9999-12-31",
    "1,5",
    '"',
    "\0",
    ";",
    "\t",
    "é",
    "{",
    "[" * 50,
    "null",
    "1.234,5",
    "1_000",
    "1e3",
    "0x1F",
    "٣",
    "−4",
    "<5",
    "01/02/2020",
    "2020-01-05 08:30",
    "2020-01-05T08:30:00+05:00",
    "48151624",
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CUT = "2021-01-01"
Row = dict[str, str]


def seeds(rows: list[Row]) -> dict[str, bytes]:
    """File name -> bytes of the same record in each format of text."""
    frame = pd.DataFrame(rows)
    text = frame.to_csv(index=False)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.csv", text)
    return {
        "events.csv": text.encode(),
        "semicolon.csv": frame.to_csv(index=False, sep=";").encode(),
        "stored.csv": frame.assign(storetime=frame["time"]).to_csv(index=False).encode(),
        "wide.csv": text.encode("utf-16"),
        "events.jsonl": "\n".join(json.dumps(row) for row in rows).encode(),
        "events.json": json.dumps(rows).encode(),
        "bundle.json": json.dumps(bundle(rows)).encode(),
        "events.zip": zipped.getvalue(),
        "events.csv.gz": gzip.compress(text.encode()),
    }


def parquet_seed() -> bytes:
    """The record as MEDS parquet in two row groups."""
    table = pd.DataFrame(ROWS)
    typed = table.assign(
        subject_id=table["subject_id"].astype(np.int64),
        time=pd.to_datetime(table["time"], format="ISO8601").astype("datetime64[us]"),
        numeric_value=pd.to_numeric(table["numeric_value"]).astype(np.float32),
    )
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(typed, preserve_index=False), parquet, row_group_size=12)
    return parquet.getvalue()


def bundle(rows: list[Row]) -> dict[str, object]:
    """The record's measurements as a FHIR R4 bundle."""
    observations = [
        {
            "resourceType": "Observation",
            "subject": {"reference": f"Patient/{row['subject_id']}"},
            "effectiveDateTime": f"{row['time']}Z",
            "issued": f"{row['time']}Z",
            "code": {"coding": [{"system": "http://loinc.org", "code": row["code"]}]},
            "valueQuantity": {"value": _json_number(row["numeric_value"]), "unit": row["unit"]},
        }
        for row in rows[2:]
    ]
    patient = {"resourceType": "Patient", "id": PATIENT, "gender": "female", "birthDate": "1950-05"}
    return {"resourceType": "Bundle", "entry": [{"resource": part} for part in (patient, *observations)]}


def _json_number(word: str) -> float | str:
    """A number where the word is one that JSON can write, else the word."""
    return float(word) if _NUMBER.fullmatch(word) and np.isfinite(float(word)) else word


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three changes: bytes flipped, removed, doubled, cut off, or a hostile word written over them."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, size = rng.randrange(len(changed) + 1), rng.choice((1, 1, 2, 8, 40))
        kind = rng.choice((0, 0, 1, 2, 3, 4, 4, 5))
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at : at + size]
        elif kind == 2:
            changed[at:at] = changed[at : at + size] * rng.choice((1, 3))
        elif kind == 3:
            del changed[at:]
        elif kind == 4:
            changed[at : at + rng.choice((0, size))] = rng.choice(_WORDS).encode()
        else:
            lines = bytes(changed).split(b"\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            changed = bytearray(b"\n".join(lines))
    return bytes(changed)


def judge(name: str, data: bytes, changed: Changed | None = None) -> str:
    """read, refused, or what is wrong."""
    start = time.process_time()
    try:
        timeline = load_timeline((name, data), prediction_time=_CUT)
        outcome = _unsound(timeline) or (changed and changed.misread(timeline)) or _cohort_differs(name, data, timeline)
        suggest_mapping((name, data))
    except UserFacingError as error:
        text = str(error)
        leaks = any(word in text for word in (PATIENT, "Error", "<class", "NoneType", "Traceback"))
        outcome = "fault: refusal names the patient or a type" if leaks else "refused"
    except Exception as error:
        outcome = f"fault: {type(error).__name__}"
    return "fault: slow" if time.process_time() - start > 5 else outcome or "read"


def _unsound(timeline: Timeline) -> str:
    events = timeline.events
    late = bool((events["time"] > timeline.prediction_time).any())
    infinite = bool(np.isinf(events["numeric_value"]).any())
    sorted_times = bool(events["time"].dropna().is_monotonic_increasing)
    return "" if sorted_times and not late and not infinite and len(events) else "fault: unsound timeline"


def _cohort_differs(name: str, data: bytes, timeline: Timeline) -> str:
    """Whether the reader of whole cohorts finds another timeline in the same file; it may refuse."""
    if not name.endswith(".parquet"):
        return ""
    try:
        other = open_cohort((name, data)).timeline(timeline.subject_id, _CUT)
    except UserFacingError:
        return ""
    return "" if other.digest == timeline.digest else "fault: the cohort reader differs"


Event = tuple[str, str, str, str, str]


def events_of(timeline: Timeline) -> list[Event]:
    """time, code, number, text and unit of every event."""
    names = ("time", "code", "numeric_value", "text_value", "unit")
    return list(zip(*(timeline.events[name].astype(str) for name in names), strict=True))


@dataclass(frozen=True)
class Changed:
    """A record with one cell changed. others: events of the unchanged rows; own: the changed row's event before."""

    others: tuple[Event, ...]
    own: tuple[Event, ...]
    column: str
    word: str

    def misread(self, timeline: Timeline) -> str:
        """What is wrong with the events read, empty where nothing is."""
        read = Counter(events_of(timeline))
        if lost := Counter(self.others) - read:
            return f"fault: {lost.total()} events of unchanged rows are lost or changed"
        left = list((read - Counter(self.others)).elements())
        if len(left) > max(len(self.own), 1):
            return "fault: events that the record does not hold"
        plain = self.word.replace("\N{MINUS SIGN}", "-")
        spelled = np.float32(float(plain)) if _NUMBER.fullmatch(plain) else None
        numbers = {event[2] for event in left} - {"nan"}
        expected = {str(spelled)} if self.column == "numeric_value" else {event[2] for event in self.own}
        return "fault: a number that the cell does not spell" if numbers - expected else ""


def cell_changed(rng: random.Random, plain: dict[str, list[Event]]) -> tuple[str, bytes, Changed]:
    """File name and bytes of the record with a hostile word in one cell, and what must still be read from it."""
    name, place, column = rng.choice(sorted(plain)), rng.randrange(len(ROWS)), rng.choice(sorted(ROWS[0]))
    word = rng.choice(_WORDS)
    rows = [dict(row) for row in ROWS]
    rows[place][column] = word
    own = plain[name][place : place + 1]
    if name == "bundle.json" and place < 2:
        own, word, rows = [], "", ROWS
    others = Counter(plain[name]) - Counter(own)
    return name, seeds(rows)[name], Changed(tuple(others.elements()), tuple(own), column, word)


def main() -> None:
    """Fuzz for the time given and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, files = random.Random(given.seed), seeds(ROWS)
    plain = {name: events_of(load_timeline((name, data), prediction_time=_CUT)) for name, data in files.items()}
    assert all(len(events) == len(ROWS) for events in plain.values())
    files["events.parquet"] = parquet_seed()
    counts: Counter[tuple[str, str, str]] = Counter()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stop = time.monotonic() + 60 * given.minutes
    while time.monotonic() < stop:
        kind, changed = rng.choice(("bytes", "cell")), None
        if kind == "bytes":
            name = rng.choice(sorted(files))
            data = mutated(files[name], rng)
        else:
            name, data, changed = cell_changed(rng, plain)
        outcome = judge(name, data, changed)
        counts[name, kind, outcome] += 1
        if outcome.startswith("fault"):
            words = (changed.column, changed.word) if changed else data[:80]
            print(outcome, name, f"round {counts.total()}", words, flush=True)
    for (name, kind, outcome), count in sorted(counts.items()):
        print(f"{name:16s} {kind:6s} {outcome:40s} {count:6d}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    print(
        f"{counts.total()} rounds, seed {given.seed}, {time.process_time():.0f} s of processor time; "
        f"resident memory grew by {grown:.0f} MiB at most"
    )


if __name__ == "__main__":
    main()
