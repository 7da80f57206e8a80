"""Make the event model that ships with the app: records of virtual patients with a future, and a training on them.

    python -m scripts.make_event_model [--patients 5000] [--minutes 30] [--build FOLDER] [--out assets/event_model]

An eighth of the patients of each shipped task have hospital stays too. None of them has a scan, and none is among those
on whom anything is measured (their seed is their own).
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.foresee.events import PatientEvents
from core.foresee.train import EventTraining, train_event_model
from core.virtual.sampling import sample_patient
from core.virtual.simulate import simulate_record

ROOT = Path(__file__).resolve().parents[1]
SEED = 20260303
TASKS = ("pe_mortality", "mace")
CHUNK = 250
TUNING_EVERY = 12
COLUMNS = ("subject_id", "time", "code", "numeric_value", "unit")


def records(task: str, first: int) -> pd.DataFrame:
    """Records of `CHUNK` patients of a task, from index `first` on."""
    parts = []
    for index in range(first, first + CHUNK):
        patient = sample_patient(task, "internal", SEED, index)  # type: ignore[arg-type]
        held = ("future", "stays") if index % 8 == 1 else ("future",)
        table = simulate_record(patient, "balanced", SEED, held)
        own = 2 * index + TASKS.index(task)
        parts.append(table.reindex(columns=list(COLUMNS)).assign(subject_id=own))
    return pd.concat(parts, ignore_index=True)


def write_records(build: Path, patients: int, workers: int) -> Path:
    """Every record in one parquet file; chunks that are there are left alone."""
    build.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        starts = [first for first in range(0, patients, CHUNK) if not (build / f"{task}_{first}.parquet").exists()]
        with ProcessPoolExecutor(workers) as pool:
            for first, table in zip(starts, pool.map(partial(records, task), starts)):
                table.to_parquet(build / f"{task}_{first}.parquet", index=False)
                print(f"{task}: {first + CHUNK} of {patients}", flush=True)
    return build


def read_records(build: Path, patients: int) -> PatientEvents:
    """The events of everybody."""
    files = [build / f"{task}_{first}.parquet" for task in TASKS for first in range(0, patients, CHUNK)]
    tables = [pq.read_table(file, columns=list(COLUMNS)) for file in files]
    unit = pa.field("unit", pa.string())
    cast = [
        table.set_column(table.column_names.index("unit"), unit, table["unit"].cast(pa.string())) for table in tables
    ]
    return PatientEvents.from_table(pa.concat_tables(cast, promote_options="permissive"))


def show(share: float, words: str) -> None:
    """Progress on standard error."""
    print(f"{100 * share:5.1f}%  {words}", file=sys.stderr, flush=True)


def main() -> None:
    """Simulate, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=5000, help="of each task")
    parser.add_argument("--minutes", type=float, default=30)
    words = "at most; the learning rate warms up over a twentieth of them"
    parser.add_argument("--epochs", type=int, default=3, help=words)
    parser.add_argument("--size", default="0.4m")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "event_model")
    parser.add_argument("--out", type=Path, default=ROOT / "assets" / "event_model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    events = read_records(write_records(options.build, options.patients, options.workers), options.patients)
    subjects = events.subject_ids.tolist()
    tuning = [subject for subject in subjects if subject // 2 % TUNING_EVERY == 0]
    splits = {"train": sorted(set(subjects).difference(tuning)), "tuning": tuning}
    training = EventTraining(
        size=options.size, context=1024, batch_tokens=8192, epochs=options.epochs, minutes=options.minutes,
        learning_rate=3e-3, dropout=0.05, least=20, resume=options.resume,
    )  # fmt: skip
    described = f"Virtual patients with a future: {options.patients:,} of each of {len(TASKS)} tasks, without a scan"
    report = train_event_model(events, splits, training, options.out, show, described=described, virtual=True)
    print(f"{len(events.code_ids):,} events; tuning loss {report.best.tuning_loss:.4f}, {report.stopped}")


if __name__ == "__main__":
    main()
