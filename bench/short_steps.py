"""Steps a person or a training run waits for each time, beside the longest that each may take.

    python -m bench.short_steps [--record ../shared/data/ehr/mimic_iv_demo_meds_events.parquet] [--repeats 5]

Prints the least processor time of one thread and its ratio to the limit: the lattice of slices and their sampling (the
demo CT, and one of 512 x 512 x 100 voxels), the quality gate's judgement of a scan measured before, a virtual patient's
scan as training renders it, and, where a record file is given, the longest record in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bench.timing import best
from core.encode.ct.slice_grid import sample_slices, slice_grid
from core.load import load_study
from core.quality import assess, measure_scan
from core.records import CtStudy
from core.timeline import list_subjects, load_timeline
from core.virtual.render import render_patient
from core.virtual.sampling import sample_patient

DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo" / "lidc0001_2.0mm.nii.gz"
CLINICAL_SHAPE, CLINICAL_SPACING_MM = (512, 512, 100), (0.7, 0.7, 3.2)


class Step(NamedTuple):
    """What is done, and the most processor seconds it may take."""

    task: Callable[[], object]
    limit_s: float


def clinical(study: CtStudy) -> CtStudy:
    """The study's voxels, repeated to the size of a clinical one (nearest neighbour, other spacing)."""
    chosen = [np.arange(n) * m // n for n, m in zip(CLINICAL_SHAPE, study.shape, strict=True)]
    affine = np.diag([*CLINICAL_SPACING_MM, 1.0])
    return CtStudy(np.ascontiguousarray(study.voxels_hu[np.ix_(*chosen)]), affine)


def sampled(study: CtStudy) -> object:
    """The slices that an encoder is given."""
    return sample_slices(study, slice_grid(study))


def steps(record: Path | None) -> dict[str, Step]:
    """Every step by name, its input ready."""
    demo = load_study(DEMO)
    measure_scan(demo)  # kept with the study, as when a case is open
    patient = sample_patient("pe_mortality", "internal", 77, 0)
    found = {
        "slices of the demo CT": Step(partial(sampled, demo), 0.3),
        "slices of 512 x 512 x 100 voxels": Step(partial(sampled, clinical(demo)), 2.5),
        "quality gate, scan measured before": Step(partial(assess, demo, None), 1.0),
        "one scan for training": Step(partial(render_patient, patient.findings, patient.acquisition), 3.0),
    }
    if record:
        longest = int(list_subjects(record)["subject_id"].iloc[0])
        found["longest record of the file"] = Step(partial(load_timeline, record, subject_id=longest), 2.0)
    return found


def main() -> None:
    """Time the steps in turn, and print each beside its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    timed_steps = steps(options.record)
    times = best({name: step.task for name, step in timed_steps.items()}, options.repeats)
    for name, seconds in times.items():
        limit_s = timed_steps[name].limit_s
        print(f"{name}: {seconds.processor:.2f} s, {seconds.processor / limit_s:.2f} x its limit of {limit_s} s")


if __name__ == "__main__":
    main()
