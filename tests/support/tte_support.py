"""Phantoms whose lesions drive what follows: the acceptance process of time-to-event pretraining, as a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd

from core.cohort.folder import write_cohort_tables
from core.records import Task

CENTRES = ((0.3, 0.3, 0.3), (0.3, 0.7, 0.7), (0.7, 0.3, 0.7), (0.7, 0.7, 0.3))
"""Of the four lesions, as shares of the side."""
TARGET_WEIGHTS = np.array([1.0, -0.8, 0.0, 0.5])
TASK = Task("made_up", "Made up", "the event", (180, 365, 730), (-150, 450), "Phantoms", "The scan")
_START = pd.Timestamp("2020-01-01")


@dataclass(frozen=True, eq=False)
class PhantomTruth:
    """z (n, 4): sizes of the lesions. eta (n, K): log hazards of the codes. target (n,): log hazard of the label."""

    z: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]


def phantom(z: npt.NDArray[np.float64], side: int, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Soft tissue with noise in air; four cubes, each shifted a little, brighter or darker by their z."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij"))
    hu = np.where((grid**2).sum(0) < 1.3, 60 + 35 * rng.normal(size=(side,) * 3), -1000.0)
    half = max(1, side // 16)
    for centre, size in zip(CENTRES, z):
        middle = np.round(np.array(centre) * side).astype(int) + rng.integers(-1, 2, 3)
        cube = tuple(slice(one - half, one + half + 1) for one in middle)
        hu[cube] += 45 * size
    return np.clip(hu, -1000, 1500).astype(np.int16)


def write_phantom_cohort(
    path: Path, counts: tuple[int, int, int], *, side: int = 48, spacing_mm: float = 7.0, codes: int = 64, seed: int = 0
) -> PhantomTruth:
    """A cohort folder of train, tuning and held-out phantoms, in this order of subjects from 1; the truth of all."""
    rng = np.random.default_rng(seed)
    patients = sum(counts)
    z = rng.normal(size=(patients, 4))
    weights = 0.8 * rng.normal(size=(4, codes))
    eta, base = z @ weights, rng.uniform(400, 3400, codes)
    censored = rng.uniform(30, 1200, patients)
    days = base * rng.exponential(size=(patients, codes)) * np.exp(-eta)
    rows = [
        (patient + 1, _START + pd.Timedelta(days=float(days[patient, code])), f"MADE//{code}")
        for patient, code in np.argwhere(days < censored[:, None]).tolist()
    ]
    ends = [
        (patient + 1, _START + pd.Timedelta(days=float(censored[patient])), "MADE//VISIT")
        for patient in range(patients)
    ]
    before = [(patient + 1, _START - pd.Timedelta(days=9), "MADE//0") for patient in range(0, patients, 5)]
    events = pd.DataFrame([*rows, *ends, *before], columns=["subject_id", "time", "code"]).assign(numeric_value=np.nan)
    events["time"] = events["time"].dt.floor("s")
    target = z @ TARGET_WEIGHTS
    time, follow_up = 500 * rng.exponential(size=patients) * np.exp(-target), rng.uniform(30, 1200, patients)
    subjects = np.arange(patients) + 1
    labels = pd.DataFrame(
        {
            "subject_id": subjects,
            "prediction_time": _START,
            "time_to_event_days": np.minimum(time, follow_up) + 0.01,
            "event": time <= follow_up,
        }
    )
    names = [f"MADE//{code}" for code in range(codes)] + ["MADE//VISIT"]
    write_cohort_tables(
        path,
        events=events,
        splits=pd.DataFrame({"subject_id": subjects, "split": np.repeat(["train", "tuning", "held_out"], counts)}),
        codes=pd.DataFrame({"code": names, "description": names, "unit": None}),
        labels={TASK.name: (TASK, labels)},
        metadata={"dataset_name": "phantoms", "virtual": True},
    )
    affine = np.diag([spacing_mm] * 3 + [1.0])
    for patient in range(patients):
        image = nib.Nifti1Image(phantom(z[patient], side, rng), affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, path / "images" / f"{patient + 1}.nii.gz")
    index = {"subject_id": subjects, "study_time": _START, "path": [f"images/{one}.nii.gz" for one in subjects]}
    pd.DataFrame(index).to_parquet(path / "images" / "index.parquet", index=False)
    return PhantomTruth(z, eta, target)
