"""Mutated tables through the timeline readers: every one must be read or refused in words, within time and memory.

    python bench/fuzz_timeline.py [--minutes 10] [--seed 0]

Seeds are one small record in every format. Each round takes a seed, changes bytes, runs of bytes, lines or fields, and
loads it. A fault is any other exception than UserFacingError, more than 5 seconds of processor time, a refusal that
repeats the patient's identifier or a Python type, or a timeline that holds an event after its cut, an infinite value or
an unsorted time.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import resource
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.errors import UserFacingError
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
)


def seeds() -> dict[str, bytes]:
    """File name -> bytes of the same record in each format."""
    table = pd.DataFrame(ROWS)
    text = table.to_csv(index=False)
    typed = table.assign(
        subject_id=table["subject_id"].astype(np.int64),
        time=pd.to_datetime(table["time"], format="ISO8601").astype("datetime64[us]"),
        numeric_value=pd.to_numeric(table["numeric_value"]).astype(np.float32),
    )
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(typed, preserve_index=False), parquet)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.csv", text)
    return {
        "events.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").encode(),
        "wide.csv": text.encode("utf-16"),
        "events.jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
        "events.json": json.dumps(ROWS).encode(),
        "bundle.json": json.dumps(bundle()).encode(),
        "events.parquet": parquet.getvalue(),
        "events.zip": zipped.getvalue(),
        "events.csv.gz": gzip.compress(text.encode()),
    }


def bundle() -> dict[str, object]:
    """The record's measurements as a FHIR R4 bundle."""
    observations = [
        {
            "resourceType": "Observation",
            "subject": {"reference": f"Patient/{PATIENT}"},
            "effectiveDateTime": f"{row['time']}Z",
            "code": {"coding": [{"system": "http://loinc.org", "code": row["code"]}]},
            "valueQuantity": {"value": 1.5, "unit": row["unit"]},
        }
        for row in ROWS[2:]
    ]
    patient = {"resourceType": "Patient", "id": PATIENT, "gender": "female", "birthDate": "1950-05"}
    return {"resourceType": "Bundle", "entry": [{"resource": part} for part in (patient, *observations)]}


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


def judge(name: str, data: bytes) -> str:
    """read, refused, or what is wrong."""
    start = time.process_time()
    try:
        outcome = _sound(load_timeline((name, data), prediction_time="2021-01-01"))
        suggest_mapping((name, data))
    except UserFacingError as error:
        text = str(error)
        leaks = any(word in text for word in (PATIENT, "Error", "<class", "NoneType", "Traceback"))
        outcome = "fault: refusal names the patient or a type" if leaks else "refused"
    except Exception as error:
        outcome = f"fault: {type(error).__name__}"
    return "fault: slow" if time.process_time() - start > 5 else outcome


def _sound(timeline: Timeline) -> str:
    events = timeline.events
    late = bool((events["time"] > timeline.prediction_time).any())
    infinite = bool(np.isinf(events["numeric_value"]).any())
    sorted_times = bool(events["time"].dropna().is_monotonic_increasing)
    return "read" if sorted_times and not late and not infinite and len(events) else "fault: unsound timeline"


def main() -> None:
    """Fuzz for the time given and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, files = random.Random(given.seed), seeds()
    counts: Counter[tuple[str, str]] = Counter()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stop = time.monotonic() + 60 * given.minutes
    while time.monotonic() < stop:
        name = rng.choice(sorted(files))
        data = mutated(files[name], rng)
        outcome = judge(name, data)
        counts[name, outcome] += 1
        if outcome.startswith("fault"):
            print(outcome, name, f"round {counts.total()}", data[:80], flush=True)
    for (name, outcome), count in sorted(counts.items()):
        print(f"{name:16s} {outcome:40s} {count:6d}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    print(f"{counts.total()} rounds, seed {given.seed}, resident memory grew by {grown:.0f} MiB at most")


if __name__ == "__main__":
    main()
