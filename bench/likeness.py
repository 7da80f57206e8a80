"""How often the quality gate calls a scan or record unlike training: held-out virtual patients, changed and real scans.

    python -m bench.likeness ../shared/data docs/results/likeness.md [--patients 200]

Each input is judged by itself, by the distance of its mean token to those of the 1,500 training patients. Virtual
patients come from the same stream as the training patients, from index 1,700 on, which no model was trained on. About
five minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.bundle import load_bundle
from core.cards import ASSETS
from core.encode.ehr.encoders import encode_timelines
from core.load import load_study
from core.quality.embedding import input_factors
from core.quality.report import Factor
from core.records import CtStudy
from core.review import encode_case
from core.virtual.render import render_patient
from core.virtual.sampling import sample_patient
from scripts.make_models import SEED, SPLITS, virtual_timeline

FIRST = SPLITS["held_out"][0]
TASKS = ("pe_mortality", "mace")
REAL = (
    "ct/nsclc_radiogenomics_R01-001_dicom_every3rd.zip",
    "ct/lung-pet-ct-dx_A0001_dicom.zip",
    "ct/lung-pet-ct-dx_A0002_dicom.zip",
    "ct/4d-lung_113_HM10395_2x2x3mm.nii.gz",
    "template/lidc0001_2.0mm.nii.gz",
)

EXPLAINED = """\
Verdicts of the quality gate on each input by itself, by the distance of its mean token to those of the 1,500 training
patients, on 32 principal axes. By design 5% of patients like those of training are not *in*, and 0.5% *outside*; in
brackets 95% intervals. The scans that are mirrored, too bright or noise were one of the virtual patients. The real
LIDC scan is the one whose anatomy all virtual patients share."""


def interval(count: int, of: int) -> str:
    """Share in percent with Wilson's 95 % interval."""
    share, z2 = count / of, 1.96**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = 1.96 / (1 + z2 / of) * np.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return f"{share:.1%} ({max(0.0, middle - half):.1%} to {middle + half:.1%})"


def odd_scans(study: CtStudy, shared: Path) -> Iterator[tuple[str, CtStudy]]:
    """A virtual scan changed in known ways, and real scans."""
    hu, rng = study.voxels_hu, np.random.default_rng(0)
    changed = {
        "noise in place of a scan": rng.integers(-1000, 1000, hu.shape),
        "mirrored": hu[::-1],
        "100 HU too bright": hu + 100,
        "contrast of values 0.8 times as large": 0.8 * hu,
    }
    for name, voxels in changed.items():
        yield name, replace(study, voxels_hu=np.asfortranarray(voxels).astype(np.int16))
    for name in REAL:
        yield f"real: {Path(name).name}", load_study(shared / name)


def rows(task: str, count: int, shared: Path) -> Iterator[str]:
    """Lines of the results page for one task."""
    bundle = load_bundle(ASSETS / "bundles" / task / "concat")

    def judged(study: CtStudy) -> Factor:
        tokens = encode_case(study, None, bundle).tokens["image"]
        return input_factors({"image": tokens.values.mean(axis=0)}, bundle.reference)[0]

    people = [sample_patient(task, "internal", SEED, FIRST + index) for index in range(count)]  # type: ignore[arg-type]
    records = encode_timelines([virtual_timeline(person, "balanced") for person in people], bundle.encoders["ehr"])  # type: ignore[arg-type]
    scans = [render_patient(person.findings, person.acquisition).study for person in people]
    found = {
        "scans": [judged(scan).verdict for scan in scans],
        "records": [
            input_factors({"ehr": tokens.values.mean(axis=0)}, bundle.reference)[0].verdict
            for tokens in records
            if tokens is not None
        ],
    }
    for name, verdicts in found.items():
        of = len(verdicts)
        unlike, outside = of - verdicts.count("in"), verdicts.count("outside")
        yield f"| {name} of {of} held-out virtual patients | {interval(unlike, of)} | {interval(outside, of)} |"
    yield ""
    yield "| one scan | verdict | times the usual distance |\n|--|--|--:|"
    for name, study in odd_scans(scans[0], shared):
        factor = judged(study)
        yield f"| {name} | {factor.verdict} | {factor.found.split()[0]} |"
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=200)
    options = parser.parse_args()
    command = f"python -m bench.likeness ../shared/data docs/results/likeness.md --patients {options.patients}"
    lines = ["# Likeness of scans and records to training\n", f"Made by `{command}`.\n", *EXPLAINED.splitlines()]
    for task in TASKS:
        lines += [
            f"\n## {task}\n",
            "| | not in | outside |\n|--|--:|--:|",
            *rows(task, options.patients, options.shared),
        ]
    options.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
