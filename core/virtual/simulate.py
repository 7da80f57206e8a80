"""Write a virtual cohort: a cohort folder, and beside it the truth that no model reads."""

from __future__ import annotations

import gzip
import multiprocessing
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd

from core.cohort.folder import SPLITS, write_cohort_tables
from core.cohort.tasks import TASKS, training_events_words
from core.errors import UserFacingError
from core.progress import Progress
from core.virtual import catalogue, codes, stays
from core.virtual.catalogue import DEATH, EVENT_CODES
from core.virtual.chart import to_table, unit_of
from core.virtual.ecg import write_signals
from core.virtual.future import add_future, catalogue_table
from core.virtual.outcome import REGIMES, draw_follow_up, draw_outcome, hazard_parts, true_survival
from core.virtual.patient import POPULATION, Regime, Site, TaskName
from core.virtual.records import simulate_chart
from core.virtual.sampling import VirtualPatient, sample_patient
from core.virtual.stays import add_stays

SPLIT_SHARES = (0.55, 0.10, 0.35)
PARTS = ("future", "stays", "ecg")
"""What a cohort can hold beside scan, record up to the CT, and outcome; each from random streams of its own."""
FIRST_DISEASE_LABEL, LAST_DISEASE_LABEL = 5, 10


def simulate_cohort(
    out: Path,
    *,
    patients: int,
    task: TaskName = "pe_mortality",
    regime: Regime = "balanced",
    site: Site = "internal",
    seed: int = 0,
    render: bool = True,
    progress: Progress | None = None,
    split_shares: Sequence[float] = SPLIT_SHARES,
    workers: int = 2,
    parts: Collection[str] = (),
) -> None:
    """Simulate `patients` virtual patients into `out` (made where missing; must not hold a cohort yet).

    Writes out/cohort (MEDS events, splits, labels, task card, images as int16 .nii.gz), out/truth.parquet (subject_id,
    eta, eta_image, eta_ehr, eta_interaction, survival_<h>d) and out/masks/<subject_id>.nii.gz (disease labels 5 to 10).
    `parts`: of `PARTS`, what the cohort holds beside that; without them its bytes are the same as ever. A future brings
    out/future_truth.parquet (code, rate_per_year, weight_<driver>), an ECG out/ecg_truth.parquet.
    `render=False` leaves the images and masks out. `progress(share done, words)`. The same arguments write the same
    bytes. Raises `UserFacingError` for impossible arguments or an occupied folder.
    """
    out = Path(out)
    _check(out, patients, task, regime, site, seed)
    people = [sample_patient(task, site, seed, index) for index in range(patients)]
    splits, labels = _split_table(people, split_shares, seed), _label_table(people, regime, seed)
    events = pd.concat([simulate_record(person, regime, seed, parts) for person in people], ignore_index=True)
    if progress is not None:
        trained = labels["subject_id"].isin(splits.loc[splits["split"] == SPLITS[0], "subject_id"])
        progress(0.0, training_events_words(int(labels["event"][trained].sum())))
    cohort = out / "cohort"
    cohort.mkdir(parents=True)
    write_cohort_tables(
        cohort,
        events=events,
        splits=splits,
        codes=_code_table(events),
        labels={task: (TASKS[task], labels)},
        metadata={
            "dataset_name": f"Virtual patients, {task}, {regime}, {site}",
            "dataset_version": "1",
            "etl_name": "core.virtual.simulate",
            "meds_version": "0.4.1",
            "other_extension_columns": ["unit"],
            "virtual": {"task": task, "regime": regime, "site": site, "seed": seed, "patients": patients},
        },
    )
    truth_table(people, regime).to_parquet(out / "truth.parquet", index=False)
    if "future" in parts:
        catalogue_table().to_parquet(out / "future_truth.parquet", index=False)
    if "ecg" in parts:
        write_signals(cohort, people).to_parquet(out / "ecg_truth.parquet", index=False)
    _write_image_index(cohort, people if render else [])
    if render:
        _render_all(out, people, workers, progress)


def simulate_record(patient: VirtualPatient, regime: Regime, seed: int, parts: Collection[str] = ()) -> pd.DataFrame:
    """The patient's record with the asked `PARTS`, columns as of `core.virtual.chart.to_table`; `seed`: of the outcome.

    Events after the CT are included and must be cut by the reader.
    """
    chart = simulate_chart(patient, regime)
    last_day, event = draw_outcome(patient, regime, seed)
    died = event and EVENT_CODES[POPULATION[patient.task]] == (DEATH,)
    if "future" in parts:
        last_day, died = add_future(chart, patient, last_day, event, draw_follow_up(patient, regime, seed))
    if "stays" in parts:
        add_stays(chart, patient, last_day, died)
    return to_table(chart, patient)


def truth_table(people: Sequence[VirtualPatient], regime: Regime) -> pd.DataFrame:
    """subject_id, eta and its parts, and true survival at each horizon of the task: one row a patient."""
    rows = []
    for person in people:
        parts = hazard_parts(person, regime)
        row: dict[str, float | int] = {
            "subject_id": person.subject_id,
            "eta": parts.eta,
            "eta_image": parts.eta_image,
            "eta_ehr": parts.eta_ehr,
            "eta_interaction": parts.eta_interaction,
        }
        if person.task == "mace_ecg":
            row["eta_ecg"] = parts.eta_ecg
        for days in TASKS[person.task].horizons_days:
            row[f"survival_{days}d"] = float(true_survival(parts.eta, days, person.task))
        rows.append(row)
    return pd.DataFrame(rows)


def _check(out: Path, patients: int, task: str, regime: str, site: str, seed: int) -> None:
    choices = (("task", task, tuple(TASKS)), ("regime", regime, REGIMES), ("site", site, ("internal", "external")))
    for name, value, known in choices:
        if value not in known:
            raise UserFacingError(f"There is no {name} of that name.", ", ".join(known), f"Choose one {name} of these.")
    if not 3 <= patients < 500_000:
        raise UserFacingError("That number of patients cannot be simulated.", "3 to 499999", "Choose another number.")
    if seed < 0:
        raise UserFacingError("The seed is negative.", "a whole number of 0 or more", "Choose another seed.")
    if (out / "cohort").exists():
        raise UserFacingError("The output folder already holds a cohort.", "a new folder", "Choose another one.")


def _split_table(people: Sequence[VirtualPatient], shares: Sequence[float], seed: int) -> pd.DataFrame:
    """Each patient in one split; sizes follow `shares`, every split gets at least one patient."""
    count = len(people)
    order = np.random.default_rng(np.random.SeedSequence([seed, count, 77])).permutation(count)
    first = min(max(round(shares[0] * count), 1), count - 2)
    second = min(max(round((shares[0] + shares[1]) * count), first + 1), count - 1)
    names = np.empty(count, dtype=object)
    for name, rows in zip(SPLITS, np.split(order, [first, second]), strict=True):
        names[rows] = name
    return pd.DataFrame({"subject_id": [person.subject_id for person in people], "split": names})


def _label_table(people: Sequence[VirtualPatient], regime: Regime, seed: int) -> pd.DataFrame:
    outcomes = [draw_outcome(person, regime, seed) for person in people]
    return pd.DataFrame(
        {
            "subject_id": [person.subject_id for person in people],
            "prediction_time": np.array([person.study_time for person in people], dtype="datetime64[us]"),
            "time_to_event_days": [days for days, _ in outcomes],
            "event": [event for _, event in outcomes],
        }
    )


def _code_table(events: pd.DataFrame) -> pd.DataFrame:
    used = sorted(events["code"].unique())
    return pd.DataFrame(
        {
            "code": used,
            "description": [description_of(code) for code in used],
            "unit": [unit_of(code) for code in used],
        }
    )


def description_of(code: str) -> str | None:
    """A code of a virtual record in words."""
    return codes.DESCRIPTIONS.get(code) or stays.described(code) or catalogue.described(code)


def _write_image_index(cohort: Path, people: Sequence[VirtualPatient]) -> None:
    pd.DataFrame(
        {
            "subject_id": np.array([person.subject_id for person in people], np.int64),
            "study_time": np.array([person.study_time for person in people], dtype="datetime64[us]"),
            "path": np.array([f"images/{person.subject_id}.nii.gz" for person in people], dtype=object),
        }
    ).to_parquet(cohort / "images" / "index.parquet", index=False)


def _render_all(out: Path, people: Sequence[VirtualPatient], workers: int, progress: Progress | None) -> None:
    """Render and write every patient, in separate processes where more than one worker is asked for."""
    (out / "masks").mkdir(exist_ok=True)
    jobs = [(person, out / "cohort" / "images", out / "masks") for person in people]
    if workers <= 1 or len(jobs) < 4:
        results = map(_render_one, jobs)
        _count(results, len(jobs), progress)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _single_thread) as pool:
        _count(pool.map(_render_one, jobs, chunksize=2), len(jobs), progress)


def _count(results: Iterable[None], total: int, progress: Progress | None) -> None:
    for number, _ in enumerate(results, start=1):
        if progress:
            progress(number / total, f"{number} of {total} scans written")


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _render_one(job: tuple[VirtualPatient, Path, Path]) -> None:
    from core.virtual.render import render_patient

    person, images, masks = job
    rendered = render_patient(person.findings, person.acquisition)
    labels = np.asarray(rendered.labels)
    disease = np.where((labels >= FIRST_DISEASE_LABEL) & (labels <= LAST_DISEASE_LABEL), labels, 0).astype(np.uint8)
    write_nifti(images / f"{person.subject_id}.nii.gz", rendered.study.voxels_hu, rendered.study.affine_mm)
    write_nifti(masks / f"{person.subject_id}.nii.gz", disease, rendered.study.affine_mm)


def write_nifti(path: Path, voxels: npt.NDArray[np.generic], affine_mm: npt.NDArray[np.float64]) -> None:
    """Write .nii.gz, marked as a virtual patient's; without a time stamp, so that equal volumes give equal bytes."""
    image = nib.Nifti1Image(np.asarray(voxels), affine_mm)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    image.header["descrip"] = b"virtual patient"
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed:
        packed.write(image.to_bytes())
