"""The generative model's risks beside the truth: virtual patients, from the record alone.

    python -m bench.foresee [--model FOLDER] [--task pe_mortality] [--patients 300] [--futures 50] [--tokens 256]

For each horizon of a task: mean true risk over mean predicted risk with twice the standard error of that ratio over
patients, mean absolute error, and concordance of the risk with outcomes drawn from the true hazard (mean of 50 draws);
beside it the shipped `ehr_only` of the task. Above, the share of futures that the limit of tokens left undetermined and
seconds a patient.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.bundle import load_bundle, shipped_bundles
from core.cohort.tasks import TASKS
from core.encode.ehr.encoders import encode_timelines
from core.events.cut import cut_at
from core.foresee.futures import foresee
from core.foresee.outcomes import task_query
from core.foresee.train import load_event_model
from core.fuse import TokenBatch
from core.records import EHR, Float64Array, Timeline
from core.records.interfaces import RecordEncoder
from core.survive import concordance
from core.virtual.outcome import hazard_parts, true_survival
from core.virtual.sampling import VirtualPatient, sample_patient
from core.virtual.simulate import simulate_record

ROOT = Path(__file__).resolve().parents[1]
SEED, DRAWS = 515151, 50


def timeline_of(patient: VirtualPatient) -> Timeline:
    """The record up to the CT."""
    now = pd.Timestamp(patient.study_time)
    kept, later = cut_at(simulate_record(patient, "balanced", SEED), now)
    return Timeline(kept, patient.subject_id, now, later_event_count=later, origin="virtual")


def of_bundle(task: str, timelines: list[Timeline], days: Float64Array) -> Float64Array:
    """Risks (n, horizons) of the shipped model of the record alone."""
    bundle = load_bundle(shipped_bundles()[f"{task}/ehr_only"])
    encoder = bundle.encoders[EHR]
    assert isinstance(encoder, RecordEncoder)
    batch = TokenBatch.from_tokens({EHR: encode_timelines(timelines, encoder)})
    with torch.no_grad(), bundle.lock:
        survival = bundle.model(batch).survival(torch.as_tensor(days, dtype=torch.float32))
    return np.asarray(1 - survival.double().numpy(), np.float64)


def told(risk: Float64Array, true: Float64Array, eta: Float64Array) -> str:
    """One line. Outcomes: the cumulative baseline hazard at the event is exponential, times exp(-eta)."""
    ratio = true.mean() / risk.mean()
    error = float(np.std(true - risk * ratio, ddof=1) / np.sqrt(len(risk)) / risk.mean())
    draw, values = np.random.default_rng(SEED), []
    limit = float(np.median(-np.log1p(-true) * np.exp(-eta)))  # the same for all but for rounding
    for _ in range(DRAWS):
        until = draw.exponential(size=len(eta)) * np.exp(-eta)
        if (until < limit).any():
            values.append(float(concordance(np.minimum(until, limit), until < limit, risk)))
    off = np.abs(true - risk).mean()
    return f"true / predicted {ratio:.2f} +- {2 * error:.2f}, MAE {off:.3f}, C {np.mean(values):.3f}"


def main() -> None:
    """Simulate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "assets" / "event_model")
    parser.add_argument("--task", choices=("pe_mortality", "mace"), default="pe_mortality")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--futures", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=256)
    options = parser.parse_args()
    trained, task = load_event_model(options.model), TASKS[options.task]
    days = np.array(task.horizons_days, np.float64)
    people = [sample_patient(options.task, "internal", SEED, index) for index in range(options.patients)]
    timelines = [timeline_of(one) for one in people]
    eta = np.array([hazard_parts(one, "balanced").eta for one in people])
    true = 1 - np.asarray(true_survival(eta[:, None], days, options.task), np.float64)
    began, risks, cut = time.perf_counter(), [], []
    for timeline in timelines:
        horizon = int(days[-1])
        found = foresee(
            timeline, trained, [task_query(options.task)], horizon, options.futures, 0, "reach", options.tokens
        )
        risks.append(found.risks[0].incidence[days.astype(int)])
        cut.append(found.risks[0].undetermined)
    seconds = (time.perf_counter() - began) / len(people)
    own, record = np.array(risks), of_bundle(options.task, timelines, days)
    print(f"{options.task}: {len(people)} patients, {options.futures} futures, {seconds:.1f} s each, "
          f"{np.mean(cut):.0%} undetermined")  # fmt: skip
    for place, horizon_days in enumerate(days):
        for name, risk in (("futures ", own), ("ehr_only", record)):
            print(f"day {horizon_days:5.0f} {name} {told(risk[:, place], true[:, place], eta)}")


if __name__ == "__main__":
    main()
