"""What is shown of virtual patients against what is true of them: the ranges around a risk, the map on the scan.

    python -m bench.truth --part render --task pe_mortality --patients 300 --build build/truth
    python -m bench.truth --part inner --task pe_mortality --tokens build/tokens
    python -m bench.truth --part outer --task pe_mortality --build build/truth
    python -m bench.truth --part map --task pe_mortality --patients 300 --build build/truth

inner  Of each shipped model and horizon: how often the observed range holds the mean true risk of the 1,500 held-out
       patients (few hundred would leave that mean in doubt) given about this risk, over 50 redraws of the reference
       patients' outcomes from their true curves. 93 to 97%. --tokens: of the stage `tokens` of scripts.make_models.
outer  How often the outer range holds a fresh patient's own true survival at the horizon. 86 to 94%.
map    Of fresh patients with the lesion that leads the risk (clot, coronary calcium), Grad-CAM at the middle horizon:
       strongest place on the scan within 10 mm of it (65%, 95%), by random weights too (the negative control);
       the same patient without the lesion: shown strength below the median of the lesion maps (90%), and below her own.
render Fresh patients (another seed than the training's), rendered and encoded once for the ranges.
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
from scipy.stats import binomtest

from core.bundle import Bundle, load_bundle, shipped_bundles
from core.encode.ct.encoders import encode_sampled, encode_study
from core.encode.ehr.encoders import encode_timelines
from core.events.cut import cut_at
from core.explain.risk import RiskReadout
from core.explain.saliency import study_saliency
from core.explain.trust.weight_randomisation import randomised
from core.fuse import Ragged, TokenBatch, TokenSet, batch_rows
from core.records import EHR, IMAGE, CtStudy, SurvivalCurve, Timeline, is_supported
from core.records.interfaces import CtEncoder, RecordEncoder
from core.survive.curves import curve_from_output
from core.survive.given_risk import ReferenceOutcomes, log_hazard_at, with_bands
from core.virtual.anatomy import CALCIUM, CLOT
from core.virtual.outcome import hazard_parts, true_survival
from core.virtual.patient import Regime
from core.virtual.records import simulate_events
from core.virtual.render import render_patient
from core.virtual.sampling import VirtualPatient, sample_patient
from scripts.make_models import SPLITS, token_set

SEED = 424242
REDRAWS = 50
REGIME: Regime = "balanced"
NEAR_MM = 10.0
MAP_MODELS = ("image_only", "cross_attention")
LESION_LABEL = {"pe_mortality": CLOT, "mace": CALCIUM}
NO_LESION: dict[str, dict[str, Any]] = {
    "pe_mortality": {"clot_burden": 0.0, "clot_level": "none"},
    "mace": {"coronary_calcium": 0.0},
}
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


def held_out(task: str, tokens: Path) -> tuple[TokenSet, npt.NDArray[np.float64]]:
    """The held-out patients of the shipped models, and the true log hazard of each."""
    path, rows = tokens / f"{task}_balanced_internal.npz", np.arange(*SPLITS["held_out"])
    return token_set(path).subset(rows), pd.read_parquet(path.with_suffix(".parquet"))["eta"].to_numpy()[rows]


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
            for curve in curves[seed::REDRAWS]:
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


def map_rows(task: str, patients: int) -> pd.DataFrame:
    """A row a patient with the lesion and model, with and without it: distance of the strongest place, strength."""
    bundles = {fusion: load_bundle(shipped_bundles()[f"{task}/{fusion}"]) for fusion in MAP_MODELS}
    image, record = (bundles[MAP_MODELS[-1]].encoders[name] for name in (IMAGE, EHR))
    assert isinstance(image, CtEncoder)
    assert isinstance(record, RecordEncoder)
    rows: list[Row] = []
    for index in range(patients):
        person = sample_patient(task, "internal", SEED, index)  # type: ignore[arg-type]
        without = replace(person.findings, **NO_LESION[task])
        if without == person.findings:
            continue
        (events,) = encode_timelines([timeline_of(person)], record)
        for lesion, findings in ((True, person.findings), (False, without)):
            made = render_patient(findings, person.acquisition)
            sampled = image.sample(made.study)
            batch = TokenBatch.from_tokens({IMAGE: [encode_sampled(sampled, image)], EHR: [events]})
            places = np.argwhere(made.labels == LESION_LABEL[task])
            for fusion, bundle in bundles.items():
                days = float(bundle.task.horizons_days[1])
                readout = RiskReadout(bundle.model, image, batch, sampled, days, torch.device("cpu"))
                told = study_saliency(made.study, readout, trust=bundle.maps)
                row: Row = {"patient": index, "model": fusion, "lesion": lesion}
                row["strength"] = np.nan if told.strength is None else told.strength.share
                row["mm"] = distance_mm(made.study, told.values, places)
                if lesion:
                    random = study_saliency(made.study, randomised(readout, index))
                    row["mm_random"] = distance_mm(made.study, random.values, places)
                rows.append(row)
        if index % 25 == 24:
            print(f"{index + 1} of {patients} patients", flush=True)
    return pd.DataFrame(rows)


def distance_mm(study: CtStudy, values: npt.NDArray[np.float32], places: npt.NDArray[np.int64]) -> float:
    """From the strongest place of a map to the nearest of these voxels, mm; NaN where there are none."""
    if not len(places):
        return float("nan")
    strongest = np.array(np.unravel_index(int(values.argmax()), values.shape))
    return float(np.linalg.norm((places - strongest) * np.array(study.spacing_mm), axis=1).min())


def told_of_maps(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a model: shares of patients, with the 95% Wilson interval of the first two."""
    told = []
    for fusion, of in rows.groupby("model", sort=False):
        with_lesion, without = of[of["lesion"]], of[~of["lesion"]]
        near = with_lesion["mm"].to_numpy() <= NEAR_MM
        weak = without["strength"].to_numpy() < with_lesion["strength"].median()
        weaker = without["strength"].to_numpy() <= with_lesion["strength"].to_numpy()
        told.append(
            {"model": fusion, "patients": len(near), "within_10_mm": near.mean(), "interval": wilson(near),
             "random_weights": float((with_lesion["mm_random"] <= NEAR_MM).mean()), "weak_without": weak.mean(),
             "interval_weak": wilson(weak), "weaker_than_with": weaker.mean()}
        )  # fmt: skip
    return pd.DataFrame(told)


def wilson(hits: npt.NDArray[np.bool_]) -> str:
    """95% interval of a share."""
    found = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return f"{found.low:.3f} to {found.high:.3f}"


PARTS = {"inner": inner, "outer": outer}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("render", *PARTS, "map"), required=True)
    parser.add_argument("--task", choices=TASK_NAMES, default="pe_mortality")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--tokens", type=Path, default=Path("build/tokens"))
    parser.add_argument("--build", type=Path, default=Path("build/truth"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.part == "render":
        render(given.task, given.patients, given.build)
        return
    if given.part == "map":
        maps = map_rows(given.task, given.patients)
        given.build.mkdir(parents=True, exist_ok=True)
        maps.to_parquet(given.build / f"{given.task}_maps.parquet", index=False)
        print(told_of_maps(maps).to_string(index=False, float_format="%.3f"))
        return
    data, eta = held_out(given.task, given.tokens) if given.part == "inner" else fresh(given.task, given.build)
    found: list[Row] = []
    for key, path in shipped_bundles().items():
        if key.startswith(f"{given.task}/"):
            found += PARTS[given.part](load_bundle(path), data, eta, given.task)
            print(
                pd.DataFrame(found[-3:]).to_string(index=False, header=len(found) <= 3, float_format="%.3f"), flush=True
            )
    print(
        f"{given.task}, {given.part} range, {len(eta)} patients: "
        f"holds {np.mean([row['holds'] for row in found]):.1%} on average"
    )


if __name__ == "__main__":
    main()
