"""What is shown of virtual patients against what is true of them: the ranges around a risk.

    python -m bench.truth --part render --task pe_mortality --patients 300 --build build/truth
    python -m bench.truth --part inner --task pe_mortality --build build/truth
    python -m bench.truth --part outer --task pe_mortality --build build/truth

inner  Of each shipped model and horizon: how often the observed range holds the mean true risk of fresh patients given
       about this risk, over 50 redraws of the reference patients' outcomes from their true curves. 93 to 97%.
outer  How often the outer range holds a fresh patient's own true survival at the horizon. 86 to 94%.
render Fresh patients (another seed than the training's), rendered and encoded once for both.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from core.bundle import Bundle, load_bundle, shipped_bundles
from core.encode.ct.encoders import encode_study
from core.encode.ehr.encoders import encode_timelines
from core.events.cut import cut_at
from core.fuse import Ragged, TokenSet, batch_rows
from core.records import EHR, IMAGE, SurvivalCurve, Timeline, is_supported
from core.records.interfaces import CtEncoder, RecordEncoder
from core.survive.curves import curve_from_output
from core.survive.given_risk import ReferenceOutcomes, log_hazard_at, with_bands
from core.virtual.outcome import hazard_parts, true_survival
from core.virtual.patient import Regime
from core.virtual.records import simulate_events
from core.virtual.render import render_patient
from core.virtual.sampling import VirtualPatient, sample_patient

SEED = 424242
REDRAWS = 50
REGIME: Regime = "balanced"
Row = dict[str, Any]
TASK_NAMES = ("pe_mortality", "mace")


def render(task: str, patients: int, build: Path) -> None:
    """Tokens and true log hazards of fresh patients, by the encoders of the shipped models of the task."""
    bundle = load_bundle(shipped_bundles()[f"{task}/concat"])
    image, record = bundle.encoders[IMAGE], bundle.encoders[EHR]
    assert isinstance(image, CtEncoder)
    assert isinstance(record, RecordEncoder)
    people = [sample_patient(task, "internal", SEED, index) for index in range(patients)]  # type: ignore[arg-type]
    scans = []
    for number, person in enumerate(people):
        scans.append(encode_study(render_patient(person.findings, person.acquisition).study, image))
        if number % 25 == 24:
            print(f"{number + 1} of {patients} rendered", flush=True)
    tokens = TokenSet.from_tokens({IMAGE: scans, EHR: encode_timelines([timeline_of(one) for one in people], record)})
    build.mkdir(parents=True, exist_ok=True)
    torch.save({name: asdict(tokens[name]) for name in (IMAGE, EHR)}, build / f"{task}.pt")
    pd.DataFrame([asdict(hazard_parts(one, REGIME)) for one in people]).to_parquet(build / f"{task}.parquet")


def timeline_of(person: VirtualPatient) -> Timeline:
    """The patient's record up to the CT."""
    now = pd.Timestamp(person.study_time)
    kept, later = cut_at(simulate_events(person, REGIME), now)
    return Timeline(kept, person.subject_id, now, later_event_count=later, origin="virtual")


def fresh(task: str, build: Path) -> tuple[TokenSet, npt.NDArray[np.float64]]:
    """What `render` kept: tokens, and the true log hazard of each."""
    stored = torch.load(build / f"{task}.pt", weights_only=True)
    tokens = {name: Ragged(**parts) for name, parts in stored.items()}
    count = len(tokens[IMAGE].offsets) - 1
    none = torch.zeros(count)
    return TokenSet(tokens, none, none, np.arange(count)), pd.read_parquet(build / f"{task}.parquet")["eta"].to_numpy()


def curves_of(bundle: Bundle, data: TokenSet) -> list[SurvivalCurve]:
    """The curve that the model gives each patient."""
    curves = []
    with torch.no_grad():
        for rows in batch_rows(len(data)):
            output = bundle.model(data.batch(rows))
            curves += [curve_from_output(output, row) for row in range(len(rows))]
    return curves


def redrawn(outcomes: ReferenceOutcomes, rng: np.random.Generator) -> ReferenceOutcomes:
    """The same patients with outcomes drawn anew from their true curves, censored as they were or at the follow-up."""
    assert outcomes.true is not None
    target = np.log(rng.exponential(size=len(outcomes.time_days)))
    fine = np.geomspace(outcomes.days[0], outcomes.days[-1], 400)
    cumulative = log_hazard_at(outcomes.days, outcomes.true, fine)
    place = (cumulative < target[:, None]).sum(axis=1)
    happens = np.where(place < len(fine), fine[np.minimum(place, len(fine) - 1)], np.inf)
    # Who was censored is watched as long as then; who had the event, as long as somebody who was censored.
    censored = outcomes.time_days[~outcomes.event]
    watched = np.where(outcomes.event, rng.choice(censored, len(outcomes.event)), outcomes.time_days)
    watched = np.where(outcomes.event & (watched < outcomes.time_days), outcomes.time_days, watched)
    return replace(outcomes, time_days=np.minimum(happens, watched), event=happens <= watched)


def inner(bundle: Bundle, data: TokenSet, eta: npt.NDArray[np.float64], task: str) -> list[Row]:
    """A row a horizon: share of (patient, redraw) pairs whose observed range holds the mean truth of those given it."""
    assert bundle.outcomes is not None
    curves, rows = curves_of(bundle, data), []
    for days in map(float, bundle.task.horizons_days):
        if not is_supported(days, bundle.model.last_supported_days):
            continue
        risks = np.array([curve.risk_at(days) for curve in curves])
        truth = 1 - true_survival(eta, days, task)  # type: ignore[arg-type]
        held, width, none = [], [], 0
        for seed in range(REDRAWS):
            outcomes = redrawn(bundle.outcomes, np.random.default_rng([seed, 5]))
            for curve in curves[seed % 10 :: 10]:
                _, given = with_bands(curve, outcomes, days)
                if given is None:
                    none += 1
                    continue
                mean = truth[(risks >= given.given[0]) & (risks <= given.given[1])].mean()
                held.append(given.interval[0] <= mean <= given.interval[1])
                width.append(given.interval[1] - given.interval[0])
        rows.append(
            {"model": bundle.fusion, "days": days, "holds": float(np.mean(held)), "width": float(np.mean(width)),
             "none": none / (none + len(held))}
        )  # fmt: skip
    return rows


def outer(bundle: Bundle, data: TokenSet, eta: npt.NDArray[np.float64], task: str) -> list[Row]:
    """A row a horizon: share of patients whose own true survival lies within the outer range."""
    curves, rows = curves_of(bundle, data), []
    for days in map(float, bundle.task.horizons_days):
        if not is_supported(days, bundle.model.last_supported_days):
            continue
        truth, held, width = true_survival(eta, days, task), [], []  # type: ignore[arg-type]
        for curve, one in zip(curves, truth, strict=True):
            banded, _ = with_bands(curve, bundle.outcomes, days)
            if banded.outer_lower is None or banded.outer_upper is None:
                continue
            low, high = (np.interp(days, banded.times_days, edge) for edge in (banded.outer_lower, banded.outer_upper))
            held.append(low <= one <= high)
            width.append(high - low)
        rows.append(
            {"model": bundle.fusion, "days": days, "holds": float(np.mean(held)), "width": float(np.mean(width))}
        )
    return rows


PARTS = {"inner": inner, "outer": outer}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("render", *PARTS), required=True)
    parser.add_argument("--task", choices=TASK_NAMES, default="pe_mortality")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--build", type=Path, default=Path("build/truth"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.part == "render":
        render(given.task, given.patients, given.build)
        return
    data, eta = fresh(given.task, given.build)
    rows = []
    for key, path in shipped_bundles().items():
        if key.startswith(f"{given.task}/"):
            rows += PARTS[given.part](load_bundle(path), data, eta, given.task)
            print(
                pd.DataFrame(rows[-3:]).to_string(index=False, header=len(rows) <= 3, float_format="%.3f"), flush=True
            )
    print(
        f"{given.task}, {given.part} range, {len(eta)} fresh patients: "
        f"holds {np.mean([row['holds'] for row in rows]):.1%} on average"
    )


if __name__ == "__main__":
    main()
