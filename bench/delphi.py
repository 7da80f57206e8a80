"""Cross entropy of the next diagnosis on the public synthetic event set, against the peer that made it.

    python -m bench.delphi --data FOLDER [--minutes 40] [--seed 0] [--json FILE]

FOLDER holds train.bin and val.bin (github gerstung-lab/Delphi@770b87ae: uint32 rows of patient, age in days, token-1).
A patient is a sequence of events, each followed by the year of age it was in; the next event is guessed from the events
and ages before it, as the peer does, and never from the time to it. Scored once on val: next events that are diagnoses
or death, among these alone. A twentieth of the training patients chooses the weights. The peer: 5.342 nats with 2.24
million weights and 37 minutes of one thread; frequencies alone: 5.568.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from core.foresee.model import EventModel, ModelConfig
from core.foresee.packing import Documents, batches
from core.foresee.train import EventTraining, fit

PEER, FREQUENCIES = 5.342, 5.568
FIRST_DIAGNOSIS, BEGIN = 13, 0
YEARS = 120
CONTEXT = 160
Rows = npt.NDArray[np.int64]


def read_rows(path: Path) -> Rows:
    """(n, 3): patient, age in days, token; tokens from 1 on."""
    rows = np.fromfile(path, np.uint32).reshape(-1, 3).astype(np.int64)
    rows[:, 2] += 1
    return rows


def as_documents(rows: Rows, events: int) -> Documents:
    """Of each patient a beginning, then each event and its year of age; years are numbered behind the events."""
    counts = np.unique(rows[:, 0], return_counts=True)[1]
    sizes = 1 + 2 * counts
    offsets = np.append(0, np.cumsum(sizes))
    tokens = np.full(int(offsets[-1]), BEGIN, np.int32)
    place = np.arange(len(rows)) * 2 + np.repeat(np.arange(len(counts)), counts) + 1
    tokens[place] = rows[:, 2]
    tokens[place + 1] = events + np.minimum(rows[:, 1] // 365.25, YEARS - 1).astype(np.int64)
    return Documents(tokens, offsets, np.ones(len(counts), np.int32), np.arange(len(counts)))


def frequencies(train: Rows, val: Rows, events: int) -> float:
    """Cross entropy of the diagnoses of val by how often each stands in train, each once more."""
    counts = np.bincount(train[:, 2], minlength=events)[FIRST_DIAGNOSIS:] + 1.0
    own = val[:, 2][scored(val)] - FIRST_DIAGNOSIS
    return float(-np.log(counts / counts.sum())[own].mean())


def scored(rows: Rows) -> npt.NDArray[np.bool_]:
    """Diagnoses and deaths that are not a patient's first event."""
    first = np.append(True, rows[1:, 0] != rows[:-1, 0])
    return np.asarray((rows[:, 2] >= FIRST_DIAGNOSIS) & ~first)


@torch.no_grad()
def cross_entropy(model: EventModel, documents: Documents, events: int) -> tuple[float, int]:
    """Mean over next diagnoses and deaths, none of them a patient's first event, and how many they are."""
    model.eval()
    total, count = 0.0, 0
    for batch in batches(documents, CONTEXT, 16_384, None):
        tokens, patients, positions = map(torch.from_numpy, (batch.tokens, batch.documents, batch.positions))
        after = positions[:, 1:] > 1  # the first event stands at place 1
        asked = (tokens[:, 1:] >= FIRST_DIAGNOSIS) & (tokens[:, 1:] < events) & after & (patients[:, 1:] >= 0)
        logits = model.logits(model(tokens, patients, positions)[:, :-1][asked])[:, FIRST_DIAGNOSIS:events]
        total += float(F.cross_entropy(logits, tokens[:, 1:][asked] - FIRST_DIAGNOSIS, reduction="sum"))
        count += int(asked.sum())
    return total / count, count


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="The next diagnosis on the public synthetic event set.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/delphi_synthetic"))
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    train, val = (read_rows(options.data / name) for name in ("train.bin", "val.bin"))
    events = int(max(train[:, 2].max(), val[:, 2].max())) + 1
    patients = np.unique(train[:, 0])
    chooses = np.isin(train[:, 0], np.random.default_rng(options.seed).permutation(patients)[: len(patients) // 20])
    config = ModelConfig(events + YEARS, options.width, options.layers, 4, 2, context=CONTEXT, dropout=options.dropout)
    training = EventTraining(
        context=CONTEXT, batch_tokens=8192, epochs=options.epochs, minutes=options.minutes, learning_rate=2e-3,
        check_steps=50, patience=5, seed=options.seed, device="cpu",
    )  # fmt: skip
    torch.manual_seed(options.seed)
    model = EventModel(config)
    with tempfile.TemporaryDirectory() as folder:
        report = fit(
            model, as_documents(train[~chooses], events), as_documents(train[chooses], events), training, Path(folder),
            lambda share, words: print(f"{100 * share:5.1f}%  {words}", flush=True),
        )  # fmt: skip
    found, count = cross_entropy(model, as_documents(val, events), events)
    result = {
        "cross_entropy": round(found, 4),
        "scored": count,
        "peer": PEER,
        "frequencies": round(frequencies(train, val, events), 4),
        "weights": sum(item.numel() for item in model.parameters()),
        "minutes": round(report.checks[-1].seconds / 60, 1),
        "epochs": report.checks[-1].epoch + 1,
        "stopped": report.stopped,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
