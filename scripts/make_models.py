"""Rebuild every shipped bundle and the results table, from nothing.

    python -m scripts.make_models                                  everything (hours on two cores)
    python -m scripts.make_models --task pe_mortality --fusion concat --stage fit
    python -m scripts.make_models --build FOLDER                   what is made on the way, kept outside the checkout

Stages, each skipped where its output is there already:
  scans    render the virtual patients once, keep the encoder's slices       build/cache/<task>_<site>
  encoder  pretrain the CT encoder on training patients, encode everybody    build/encoders/<task>[_external]
  tokens   simulate the records of a regime, fit the timeline encoder on training patients, encode everybody
                                                                             build/tokens/<task>_<regime>_<site>.npz
  fit      train each fusion, and again without each fifth of the patients, whose risks then give its calibration and
           the range around its curves; predict held-out patients, write the bundle    build/predictions, assets/bundles
  maps     how large the maps of training patients are, and the weight-randomisation check, into each shipped bundle
                                                                             assets/bundles
  table    concordance with patient-level bootstrap, paired differences, error of S(t) against the true S(t)
                                                                             docs/results/fusion_table.{json,md}

Tasks run side by side, one process and one thread each by default: sums then come in one order, and the weights repeat
bit for bit on the same machine. More threads are faster and reproduce the table within its intervals.

Patients are split by index: the first 1,500 train, the next 200 tune, the last 1,500 are held out and read at
the end (docs/results/README.md names two choices that were made after a first look). Only the balanced regime is
shipped; ehr_selects_region is trained to show where attention over tokens is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from core.benchmark.evaluate import evaluate_tables
from core.bundle import amend_bundle, load_bundle, save_bundle
from core.cohort.tasks import TASKS
from core.encode import build_record_encoder
from core.encode.ct.encoders import encode_sampled
from core.encode.ehr.encoders import encode_timelines
from core.encode.ehr.records import TimelineRecords
from core.encode.half import round_to_half
from core.events.cut import cut_at
from core.fuse import FUSIONS, Ragged, TokenSet, reads_of
from core.pretrain.record_fits import RECORD_FITS, FitOptions, Patients, fit_record_encoder
from core.pretrain.record_outcomes.train import Outcomes
from core.records import EHR, IMAGE, Timeline
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder
from core.survive.given_risk import ReferenceOutcomes
from core.train.cross_fit import CrossFit, cross_fit
from core.train.encoders import encoder_of_folder
from core.train.fit import fit_fusion
from core.train.measure_maps import ReadCase, measure_maps
from core.train.members import FitConfig, FittedModel
from core.train.model_card import make_card
from core.train.predict import predict_tokens
from core.train.thinned import COPIES, thinned_records
from core.virtual.outcome import draw_outcome, hazard_parts, true_survival
from core.virtual.render import render_patient
from core.virtual.sampling import VirtualPatient, sample_patient
from core.virtual.simulate import simulate_record
from scripts.model_tables import write_tables

ROOT = Path(__file__).resolve().parents[1]
SEED = 20260101
SHIPPED_TASKS = ("pe_mortality", "mace")
"""Tasks whose models are in assets/; the virtual cohort knows more."""
SPLITS = {"train": (0, 1500), "tuning": (1500, 1700), "held_out": (1700, 3200)}
EXTERNAL = {"held_out": (0, 600)}
STAGES = ("scans", "encoder", "tokens", "fit", "maps", "table")
RECORDS_SEED = SEED + 1
"""Of the patients without a scan."""
REGION_MODELS = ("image_only", "ehr_only", "concat", "concat_pooled", "cross_attention", "co_attention_ehr_guided")
REGION_CONFIG = FitConfig(epochs=50, patience=12)
"""Finding out that the record says where to look takes attention longer than the 25 epochs of the other models."""
OF_TWO = tuple(name for name, card in FUSIONS.items() if set(card.reads) <= {IMAGE, EHR})
"""Fusions of CT and record, which the shipped tasks have."""
CURVE_POINTS = 50
MAP_PATIENTS = 125
"""Training patients whose maps are measured: every twelfth."""


def patients(site: str) -> int:
    """How many virtual patients of a site are rendered."""
    return EXTERNAL["held_out"][1] if site == "external" else SPLITS["held_out"][1]


def render_scans(options: argparse.Namespace, task: str, site: str) -> None:
    """Slices of every patient in build/cache (only training patients keep their label maps' use)."""
    out = options.build / "cache" / f"{task}_{site}"
    count = patients(site)
    if len(list(out.glob("chunk_*"))) * 25 >= count:
        return
    arguments = ["--task", task, "--site", site, "--seed", str(SEED), "--count", str(count), "--out", str(out)]
    arguments += ["--workers", str(options.workers)]
    run("cache_cohort", *arguments, *(["--labels"] if site == "internal" else []))


def pretrain_encoder(options: argparse.Namespace, task: str, site: str) -> None:
    """CT encoder of the task from its training patients; tokens of every patient of the site."""
    out = encoder_folder(options, task, site)
    if (out / "tokens.npz").exists():
        return
    cache = ["--cache", str(options.build / "cache" / f"{task}_{site}"), "--out", str(out)]
    cache += ["--threads", str(options.threads)]
    if site == "external":
        run("pretrain_ct", "--task", task, *cache, "--encoder", str(encoder_folder(options, task, "internal")))
        return
    first, last = SPLITS["held_out"]
    ranges = ["--train", "0", str(SPLITS["train"][1]), "--held-out", str(first), str(last - first)]
    run("pretrain_ct", "--task", task, *cache, *ranges)


def encoder_folder(options: argparse.Namespace, task: str, site: str) -> Path:
    """Where the CT encoder's tokens of a site lie."""
    return Path(options.build / "encoders" / (task if site == "internal" else f"{task}_{site}"))


def run(script: str, *arguments: str) -> None:
    """One of the sibling scripts, with its output shown."""
    subprocess.run([sys.executable, "-m", f"scripts.{script}", *arguments], check=True)


def run_side_by_side(options: argparse.Namespace, tasks: list[str], stages: list[str]) -> None:
    """This script once for each task, all at the same time; ends with an error if one of them does."""
    given = [word for stage in stages for word in ("--stage", stage)]
    given += [word for regime in options.regime or () for word in ("--regime", regime)]
    given += [word for site in options.sites for word in ("--site", site)]
    given += ["--fusion", options.fusion] if options.fusion else []
    given += ["--again"] if options.again else []
    given += ["--workers", str(max(1, options.workers // len(tasks))), "--threads", str(options.threads)]
    given += [
        "--ehr-encoder",
        options.ehr_encoder,
        "--ehr-records",
        str(options.ehr_records),
        "--resamples",
        str(options.resamples),
    ]
    given += ["--fold-members", str(options.fold_members)]
    given += ["--device", options.device, "--build", str(options.build)]
    running = [
        subprocess.Popen([sys.executable, "-m", "scripts.make_models", "--task", task, *given]) for task in tasks
    ]
    exit_codes = [process.wait() for process in running]
    if any(exit_codes):
        raise SystemExit("One of the tasks ended with an error; see above. What is finished is kept: run this again.")


def virtual_timeline(patient: VirtualPatient, regime: str, parts: Collection[str] = ()) -> Timeline:
    """The patient's simulated record up to the CT, with the `parts` of `core.virtual.simulate.PARTS`."""
    now = pd.Timestamp(patient.study_time)
    kept, later = cut_at(simulate_record(patient, regime, patient.seed, parts), now)  # type: ignore[arg-type]
    return Timeline(kept, patient.subject_id, now, later_event_count=later, origin="virtual")


def has_stays(person: VirtualPatient) -> bool:
    """Every other patient that models learn from has hospital stays in the record; those held out have none."""
    learns = person.seed != SEED or person.index < SPLITS["tuning"][1]
    return person.site == "internal" and learns and person.index % 2 == 1


def timelines_of(people: list[VirtualPatient], regime: str) -> TimelineRecords:
    """The records that models learn from and are held out on."""
    return TimelineRecords([virtual_timeline(one, regime, ("stays",) if has_stays(one) else ()) for one in people])


def encode_tokens(options: argparse.Namespace, task: str, regime: str, site: str) -> Path:
    """Tokens and outcomes of every patient of a site under a regime, as one npz; truth beside it as parquet."""
    out = Path(options.build / "tokens" / f"{task}_{regime}_{site}.npz")
    if out.exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    fit_records(options, task, regime)
    people = [sample_patient(task, site, SEED, index) for index in range(patients(site))]  # type: ignore[arg-type]
    record = record_encoder(options, task, regime)
    records = timelines_of(people, regime)
    outcomes = np.array([draw_outcome(person, regime, SEED) for person in people], np.float64)  # type: ignore[arg-type]
    ehr = Ragged.from_tokens(record.encode(records))
    thinned = [Ragged.from_tokens(record.encode(one)) for one in thinned_records(records, SEED)]
    ct = image_tokens(encoder_folder(options, task, site), len(people))
    ids = np.array([person.subject_id for person in people])
    np.savez(
        out,
        **{f"ct_{name}": getattr(ct, name).numpy() for name in ("values", "positions", "offsets")},
        **{f"ehr_{name}": getattr(ehr, name).numpy() for name in ("values", "positions", "offsets")},
        **{
            f"thinned_{copy}_{name}": getattr(ragged, name).numpy()
            for copy, ragged in enumerate(thinned)
            for name in ("values", "positions", "offsets")
        },
        times=outcomes[:, 0],
        events=outcomes[:, 1],
        ids=ids,
        prediction_time=np.array([person.study_time for person in people], "datetime64[us]"),
    )
    rows = [asdict(hazard_parts(person, regime)) for person in people]  # type: ignore[arg-type]
    pd.DataFrame(rows).assign(subject_id=ids).to_parquet(out.with_suffix(".parquet"), index=False)
    return out


def image_tokens(folder: Path, count: int) -> Ragged:
    """CT tokens written by scripts/pretrain_ct.py, in order of patient index."""
    stored = np.load(folder / "tokens.npz")
    if stored["index"].tolist() != list(range(count)):
        raise SystemExit(
            f"{folder / 'tokens.npz'} does not hold patients 0 to {count - 1}; render and encode them first"
        )
    offsets = np.concatenate([[0], np.cumsum(stored["counts"])])
    return Ragged(torch.from_numpy(stored["values"]), torch.from_numpy(stored["relative"]), torch.from_numpy(offsets))


def record_encoder(options: argparse.Namespace, task: str, regime: str) -> RecordEncoder:
    """The record encoder of a task and regime, as `fit_records` left it."""
    folder = record_folder(options, task, regime)
    encoder = build_record_encoder(json.loads((folder / "config.json").read_text()))
    encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
    return encoder.eval()


def record_folder(options: argparse.Namespace, task: str, regime: str) -> Path:
    """Where the record encoder of a task and regime lies."""
    return Path(options.build / "encoders" / f"{task}_{regime}_{options.ehr_encoder}")


def fit_records(options: argparse.Namespace, task: str, regime: str) -> None:
    """Fit the record encoder on training patients and on virtual ones without a scan, who are in no other split."""
    folder = record_folder(options, task, regime)
    if (folder / "encoder.safetensors").exists():
        return
    train = people_of(task, SEED, *SPLITS["train"]) + people_of(task, RECORDS_SEED, 0, options.ehr_records)
    tuning = people_of(task, SEED, *SPLITS["tuning"])
    fitted = fit_record_encoder(
        options.ehr_encoder, patients_of(train, regime), patients_of(tuning, regime), FitOptions(seed=SEED)
    )
    round_to_half(fitted)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fitted.config, indent=1))
    save_file(fitted.state_dict(), folder / "encoder.safetensors")


def people_of(task: str, seed: int, first: int, last: int) -> list[VirtualPatient]:
    """Virtual patients of the internal site by index."""
    return [sample_patient(task, "internal", seed, index) for index in range(first, last)]  # type: ignore[arg-type]


def patients_of(people: list[VirtualPatient], regime: str) -> Patients:
    """Their records and outcomes."""
    drawn = np.array([draw_outcome(person, regime, person.seed) for person in people], np.float64)  # type: ignore[arg-type]
    return Patients(timelines_of(people, regime), Outcomes(drawn[:, 0], drawn[:, 1] > 0))


@lru_cache(maxsize=2)
def token_set(path: Path) -> TokenSet:
    """Every patient of a token file, in order of index."""
    stored = np.load(path)

    def ragged(side: str) -> Ragged:
        return Ragged(*(torch.from_numpy(stored[f"{side}_{name}"]) for name in ("values", "positions", "offsets")))

    ct, ehr = ragged("ct"), ragged("ehr")
    times, events = (torch.as_tensor(stored[name], dtype=torch.float32) for name in ("times", "events"))
    whole = TokenSet({IMAGE: ct, EHR: ehr}, times, events, stored["ids"])
    return whole.with_thinned({EHR: [ragged(f"thinned_{copy}") for copy in range(COPIES)]})


def fit_models(options: argparse.Namespace, task: str, regime: str) -> None:
    """Train every asked fusion of a task under a regime, predict held-out patients, ship the balanced ones."""
    path = encode_tokens(options, task, regime, "internal")
    train, tuning = (token_set(path).subset(np.arange(*SPLITS[split])) for split in ("train", "tuning"))
    names = list(OF_TWO) if regime == "balanced" else list(REGION_MODELS)
    for name in [name for name in names if options.fusion in (None, name)]:
        out = options.build / "predictions" / f"{task}_{regime}_internal" / f"{name}.parquet"
        if out.exists() and not options.again:
            continue
        config = replace(FitConfig() if regime == "balanced" else REGION_CONFIG, pooled=name.endswith("_pooled"))
        fitted = fit_fusion(
            train, tuning, name.removesuffix("_pooled"), "piecewise", config, SEED, device=options.device
        )
        words = [f"best epoch {item.best_epoch + 1} of {len(item.tuning_nll)}" for item in fitted.histories]
        print(f"{task} {regime} {name}: {', '.join(words)}", flush=True)
        crossed = crossed_outcomes(options, path, task, name) if regime == "balanced" else None
        if crossed is not None:
            crossed.calibrate(fitted)
        for site in options.sites:
            tokens = encode_tokens(options, task, regime, site)
            predictions = held_out_predictions(fitted, task, tokens, site)
            target = options.build / "predictions" / f"{task}_{regime}_{site}" / out.name
            target.parent.mkdir(parents=True, exist_ok=True)
            predictions.to_parquet(target, index=False)
        if crossed is not None:
            ship(options, task, name, fitted, train, tuning, crossed.outcomes)


def crossed_outcomes(options: argparse.Namespace, tokens: Path, task: str, name: str) -> CrossFit:
    """Of one fusion: `core.train.cross_fit` over training and tuning patients, with their true survival."""
    train, tuning = (token_set(tokens).subset(np.arange(*SPLITS[split])) for split in ("train", "tuning"))

    def fit(some: TokenSet, others: TokenSet, seed: int) -> FittedModel:
        config = FitConfig(members=options.fold_members)
        return fit_fusion(some, others, name, "piecewise", config, seed, device=options.device)

    found = cross_fit(train, tuning, TASKS[task], fit, seed=SEED)
    assert found is not None
    rows = slice(SPLITS["train"][0], SPLITS["tuning"][1])
    eta = pd.read_parquet(tokens.with_suffix(".parquet"))["eta"].to_numpy()[rows]
    true = true_survival(eta[:, None], found.outcomes.days, task)  # type: ignore[arg-type]
    return found._replace(outcomes=replace(found.outcomes, true=true))


def add_maps(options: argparse.Namespace, task: str) -> None:
    """What the maps of training patients amount to, into every shipped bundle of the task that reads a CT."""
    folders = {name: ROOT / "assets" / "bundles" / task / name for name in OF_TWO if options.fusion in (None, name)}
    bundles = {name: load_bundle(folder) for name, folder in folders.items() if IMAGE in reads_of(name)}
    encoders = load_bundle(ROOT / "assets" / "bundles" / task / "concat").encoders  # the same in every model
    cases: list[ReadCase] = []
    for index in range(0, SPLITS["train"][1], SPLITS["train"][1] // MAP_PATIENTS):
        person = sample_patient(task, "internal", SEED, index)  # type: ignore[arg-type]
        cases.append(read_case(person, encoders))
    print(f"{task}: {len(cases)} training patients rendered", flush=True)
    for name, bundle in bundles.items():
        if bundle.maps is not None and not options.again:
            continue
        found = measure_maps(bundle, cases)
        amend_bundle(folders[name], maps=found)
        told = [f"{method} {one.signed:+.2f} {one.absolute:+.2f}" for method, one in found.randomisation.items()]
        print(f"{task} {name}: maps measured, rank correlation {', '.join(told)}", flush=True)


def read_case(person: VirtualPatient, encoders: Mapping[str, Encoder]) -> ReadCase:
    """A virtual patient as the task's encoders read it."""
    image, record = encoders[IMAGE], encoders[EHR]
    assert isinstance(image, CtEncoder)
    assert isinstance(record, RecordEncoder)
    sampled = image.sample(render_patient(person.findings, person.acquisition).study)
    (events,) = encode_timelines(
        [virtual_timeline(person, "balanced", ("stays",) if has_stays(person) else ())], record
    )
    return ReadCase({IMAGE: encode_sampled(sampled, image), EHR: events}, sampled)


def held_out_predictions(fitted: FittedModel, task: str, tokens: Path, site: str) -> pd.DataFrame:
    """Prediction table of the held-out patients, and the mean error of S(t) against the true S(t) of each."""
    rows = (EXTERNAL if site == "external" else SPLITS)["held_out"]
    data = token_set(tokens).subset(np.arange(*rows))
    scores = predict_tokens(fitted.model, TASKS[task], data)
    eta = pd.read_parquet(tokens.with_suffix(".parquet"))["eta"].to_numpy()[slice(*rows)]
    days = np.linspace(0, min(TASKS[task].horizons_days[-1], fitted.model.last_supported_days), CURVE_POINTS + 1)[1:]
    grid = torch.as_tensor(days, dtype=torch.float32)
    with torch.no_grad():
        parts = [fitted.model(data.batch(part)).survival(grid) for part in torch.arange(len(data)).split(256)]
    truth = true_survival(eta[:, None], days, task)  # type: ignore[arg-type]
    error = np.abs(torch.cat(parts).double().numpy() - truth).mean(1)
    return pd.DataFrame(
        {
            "subject_id": data.ids,
            "prediction_time": np.load(tokens)["prediction_time"][slice(*rows)],
            "time_to_event_days": data.times.double().numpy(),
            "event": data.events.numpy().astype(bool),
        }
    ).join(scores.assign(mean_curve_error=error))


def ship(
    options: argparse.Namespace,
    task: str,
    name: str,
    fitted: FittedModel,
    train: TokenSet,
    tuning: TokenSet,
    outcomes: ReferenceOutcomes,
) -> None:
    """Write the bundle of a fusion into assets, with its held-out performance on the card, and open it once."""
    table = pd.read_parquet(options.build / "predictions" / f"{task}_balanced_internal" / f"{name}.parquet")
    report = evaluate_tables({name: table.drop(columns="mean_curve_error")}, resamples=options.resamples)
    image, *_ = encoder_of_folder(IMAGE, encoder_folder(options, task, "internal"))
    words = (
        "convolutions pretrained on the training patients' disease maps, the projection to tokens then on their "
        "outcomes, then frozen"
    )
    encoders = [
        {"role": "image", "name": "compact_slices", "provenance": f"compact_slices, {words}"},
        {
            "role": "ehr",
            "name": options.ehr_encoder,
            "provenance": f"fitted on the records and outcomes of training patients and of {options.ehr_records:,} "
            "virtual patients without a scan, then frozen",
        },
    ]
    card = make_card(
        fitted,
        TASKS[task],
        train,
        tuning,
        encoders=encoders,
        virtual=True,
        description="Virtual patients (balanced regime, internal site): one real chest CT deformed, disease written "
        "in, a simulated record, an outcome drawn from a known hazard",
        performance=card_rows(report, name, table),
    )
    folder = save_bundle(
        ROOT / "assets" / "bundles" / task / name,
        model=fitted.model,
        task=TASKS[task],
        train=train,
        card=card,
        metrics=report,
        encoders={IMAGE: image, EHR: record_encoder(options, task, "balanced")},
        shared=(IMAGE, EHR),
        outcomes=outcomes,
        training={"seed": SEED, "config": fitted.config.to_json(), "histories": [asdict(h) for h in fitted.histories]},
    )
    load_bundle(folder)


def card_rows(report: dict[str, Any], name: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Performance rows of the card: held-out virtual patients."""
    common = {"split": "held-out virtual patients", "patients": len(table), "events": int(table["event"].sum())}
    rows = [
        {
            "measure": f"Concordance, {entry['estimator'].capitalize()} (95% patient bootstrap)",
            "value": entry["value"],
            "lower": entry.get("lower"),
            "upper": entry.get("upper"),
            **common,
        }
        for entry in report["models"][name]["concordance"]
    ]
    error = float(table["mean_curve_error"].mean())
    return [*rows, {"measure": "Mean absolute error of S(t) against the true S(t)", "value": error, **common}]


def main() -> None:
    """Run the asked stages in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=SHIPPED_TASKS, action="append")
    parser.add_argument("--regime", choices=("balanced", "ehr_selects_region"), action="append")
    parser.add_argument("--site", dest="sites", choices=("internal", "external"), action="append")
    parser.add_argument("--fusion")
    parser.add_argument("--stage", choices=STAGES, action="append")
    parser.add_argument("--ehr-encoder", choices=tuple(RECORD_FITS), default="concepts")
    parser.add_argument("--ehr-records", type=int, default=20_000, help="virtual records without a scan")
    parser.add_argument("--fold-members", type=int, default=FitConfig().members, help="of the models of each fold")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--again", action="store_true", help="fit again what has predictions already")
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--threads", type=int, default=1, help="for each task")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="that render scans, over all tasks")
    options = parser.parse_args()
    options.sites = options.sites or ["internal", "external"]
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    stages, tasks = options.stage or list(STAGES), options.task or list(SHIPPED_TASKS)
    for_tasks = [stage for stage in stages if stage != "table"]
    if len(tasks) > 1 and for_tasks:
        run_side_by_side(options, tasks, for_tasks)
    elif for_tasks:
        make_task(options, tasks[0], for_tasks)
    if "table" in stages:
        write_tables(options.build, ROOT / "docs" / "results", options.resamples)


def make_task(options: argparse.Namespace, task: str, stages: list[str]) -> None:
    """Every asked stage of the task, in order."""
    for site in options.sites:
        if "scans" in stages:
            render_scans(options, task, site)
        if "encoder" in stages:
            pretrain_encoder(options, task, site)
    for regime in options.regime or ("balanced", "ehr_selects_region"):
        for site in options.sites if "tokens" in stages else []:
            encode_tokens(options, task, regime, site)
        if "fit" in stages:
            fit_models(options, task, regime)
    if "maps" in stages:
        add_maps(options, task)


if __name__ == "__main__":
    main()
