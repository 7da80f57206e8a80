"""Write the demo cases: three virtual patients (CT at 2 mm and timeline, by seed) and the real CT without a record.

    python -m scripts.make_demo_cases            # write assets/demo/cases
    python -m scripts.make_demo_cases --choose   # list held-out candidates with their findings and true risks

A case is its seed and index: the same command writes the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.cohort.tasks import TASKS
from core.virtual.outcome import hazard_parts, true_survival
from core.virtual.patient import TaskName
from core.virtual.records import simulate_events
from core.virtual.render import render_patient
from core.virtual.sampling import VirtualPatient, sample_patient

CASES = Path(__file__).resolve().parents[1] / "assets" / "demo" / "cases"
SEED = 20260101
HELD_OUT = range(1700, 3200)
DEMO_SPACING_MM = (2.0, 2.0, 2.0)


@dataclass(frozen=True)
class DemoCase:
    """One shipped virtual case: held-out patient `index` of the cohort that trained the shipped bundles."""

    folder: str
    title: str
    description: str
    task: TaskName
    index: int


DEMO_CASES = (
    DemoCase(
        "1_pe_high_risk", "Demo 1 · high risk", "Virtual patient, suspected pulmonary embolism", "pe_mortality", 1735
    ),
    DemoCase(
        "2_pe_low_risk", "Demo 2 · low risk", "Virtual patient, suspected pulmonary embolism", "pe_mortality", 2360
    ),
    DemoCase("3_mace", "Demo 3 · cardiac", "Virtual patient, routine non-contrast chest CT", "mace", 1857),
)
REAL = {
    "title": "Real CT · no record",
    "description": "Real contrast chest CT, TCIA LIDC-IDRI-0001 (CC BY 3.0)",
    "task": "pe_mortality",
    "ct": "../../lidc0001_2.0mm.nii.gz",
    "order": 4,
}


def write_case(case: DemoCase, order: int) -> None:
    """CT as int16 NIfTI, timeline as MEDS parquet and case.json into assets/demo/cases/<folder>."""
    patient = sample_patient(case.task, "internal", SEED, case.index)
    rendered = render_patient(patient.findings, replace(patient.acquisition, spacing_mm=DEMO_SPACING_MM))
    folder = CASES / case.folder
    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.asarray(rendered.study.voxels_hu), rendered.study.affine_mm)
    image.header["descrip"] = b"virtual patient"
    image.header.set_xyzt_units("mm")
    (folder / "ct.nii.gz").write_bytes(gzip.compress(image.to_bytes(), compresslevel=9, mtime=0))
    events = pa.Table.from_pandas(simulate_events(patient, "balanced"), preserve_index=False)
    labelled = events.replace_schema_metadata({**(events.schema.metadata or {}), b"origin": b"virtual"})
    pq.write_table(labelled, folder / "timeline.parquet")
    card: dict[str, Any] = {
        "title": case.title,
        "description": case.description,
        "task": case.task,
        "order": order,
        "prediction_time": patient.study_time.isoformat(),
        "virtual": {"seed": SEED, "index": case.index, "site": "internal", "regime": "balanced"},
    }
    (folder / "case.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")


def write_real() -> None:
    """The unmodified real CT: a case.json that points at the template file."""
    folder = CASES / "4_real_ct"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.json").write_text(json.dumps(REAL, indent=2, ensure_ascii=False) + "\n", "utf-8")


def true_risk(patient: VirtualPatient) -> float:
    """True risk at the task's last horizon under the balanced regime."""
    horizon = TASKS[patient.task].horizons_days[-1]
    return 1.0 - float(true_survival(hazard_parts(patient, "balanced").eta, horizon, patient.task))


def choose(task: TaskName, count: int) -> None:
    """Print held-out patients at both ends of the true risk."""
    people = sorted((sample_patient(task, "internal", SEED, index) for index in HELD_OUT), key=true_risk)
    for patient in [*people[: 3 * count : 3], *people[-count:]]:
        parts = hazard_parts(patient, "balanced")
        print(patient.index, f"risk {true_risk(patient):.2f}", f"image {parts.eta_image:.1f} ehr {parts.eta_ehr:.1f}")
        print("   ", patient.findings)
        print("   ", patient.clinical.age_years, patient.clinical.sex, patient.acquisition.noise_hu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true")
    arguments = parser.parse_args()
    if arguments.choose:
        choose("pe_mortality", 8)
        choose("mace", 8)
        return
    for order, case in enumerate(DEMO_CASES, start=1):
        write_case(case, order)
    write_real()


if __name__ == "__main__":
    main()
