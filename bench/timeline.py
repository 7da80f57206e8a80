"""Cohort files: token sequences of all patients, and one patient, beside a pyarrow scan in the same run.

    python -m bench.timeline [--rows 10000000] [--patients 20000] [--repeats 5] [--file events.parquet]

Writes a MEDS file (pyarrow's default row groups, sorted by patient and time) to a temporary folder, and prints the best
wall and processor time of each task and its ratio to `pyarrow.parquet.read_table` of the same four columns. Tasks
alternate, so that other work on the machine meets all of them alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.timing import best, timed
from core.encode.ehr.cohort import CohortRecords, CohortSequences, sequences
from core.encode.ehr.compact_sequence import CompactSequence
from core.encode.ehr.features import NumericScale
from core.intake.record.cohort_columns import open_cohort
from core.timeline import load_timeline

COLUMNS = ["subject_id", "time", "code", "numeric_value"]
LABS, OTHERS = 1500, 1000


def write_events(path: Path, rows: int, patients: int) -> None:
    """Codes with the skew of real records (rank to the power -0.8); 1500 numeric ones and 1000 others; ten years."""
    rng = np.random.default_rng(0)
    names = [f"LOINC//{n}-{n % 10}" for n in range(LABS)] + [f"ATC//B01A{n:03d}" for n in range(OTHERS)]
    shares = np.arange(1, len(names) + 1) ** -0.8
    codes = rng.permutation(len(names))[rng.choice(len(names), rows, p=shares / shares.sum())].astype(np.int32)
    subjects = np.sort(rng.integers(1, patients + 1, rows))
    times = rng.integers(0, 3650 * 86_400, rows) * 1_000_000 + 1_400_000_000_000_000
    order = np.lexsort((times, subjects))
    values = np.where(codes < LABS, rng.normal(50, 10, rows), np.nan).astype(np.float32)
    table = pa.table(
        {
            "subject_id": subjects,
            "time": pa.array(times[order], pa.timestamp("us")),
            "code": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)).cast(pa.string()),
            "numeric_value": pa.array(values, mask=np.isnan(values)),
            "text_value": pa.nulls(rows, pa.string()),
        }
    )
    pq.write_table(table, path)


def encoder() -> CompactSequence:
    """An encoder of shipped size: 400 codes, 40 of them numeric with 5 edges, 256 tokens a patient."""
    codes = [f"LOINC//{n}-{n % 10}" for n in range(200)] + [f"ATC//B01A{n:03d}" for n in range(200)]
    edges = (30.0, 40.0, 50.0, 60.0, 70.0)
    scales = [NumericScale(code, False, 50.0, 10.0, edges).to_json() for code in codes[:40]]
    sizes = {"hidden": 64, "layers": 2, "heads": 4, "max_tokens": 256}
    return CompactSequence({"name": "compact_sequence", "codes": codes, "numeric": scales, **sizes})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--file", type=Path, help="measure this MEDS file instead of a written one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.file or Path(folder) / "events.parquet"
        if given.file is None:
            write_events(path, given.rows, given.patients)
        report(path, given.repeats)


def token_sequences(path: Path, model: CompactSequence) -> CohortSequences:
    """What the encoder reads of every patient up to the last event."""
    cohort = open_cohort(path, texts=False)
    last = cohort.times_us[cohort.offsets[1:] - 1].view("datetime64[us]")
    return sequences(CohortRecords.up_to(cohort, cohort.subject_ids, last), model)


def report(path: Path, repeats: int) -> None:
    """Print the table of times and ratios."""
    model = encoder()
    times = best(
        {
            "pyarrow scan": lambda: pq.read_table(path, columns=COLUMNS),
            "pyarrow scan, codes as a dictionary": lambda: pq.read_table(
                path, columns=COLUMNS, read_dictionary=["code"]
            ),
            "columns in memory": lambda: open_cohort(path, texts=False),
            "token sequences": lambda: token_sequences(path, model),
        },
        repeats,
    )
    scan = times["pyarrow scan"]
    for name, (wall, processor) in times.items():
        print(
            f"{name:40s} wall {wall:7.3f} s, {wall / scan.wall:.2f} x scan; "
            f"processor {processor:7.3f} s, {processor / scan.processor:.2f} x scan"
        )
    start = time.perf_counter()
    cohort = open_cohort(path)
    print(f"{'first open, texts too':40s} wall {time.perf_counter() - start:7.3f} s")
    chosen = np.random.default_rng(1).choice(cohort.subject_ids, 20, replace=False).tolist()
    tasks: dict[str, Callable[[int], object]] = {
        "opened cohort": cohort.timeline,
        "load_timeline": lambda subject: load_timeline(path, subject_id=subject),
    }
    for name, task in tasks.items():
        seen = 1e3 * np.array([timed(partial(task, subject)) for subject in chosen])
        print(
            f"one patient, {name:27s} wall {seen[:, 0].min():.1f} ms best, {np.median(seen[:, 0]):.1f} ms median; "
            f"processor {seen[:, 1].min():.1f} ms best, {np.median(seen[:, 1]):.1f} ms median"
        )


if __name__ == "__main__":
    main()
