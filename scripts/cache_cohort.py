"""Render virtual patients once and keep the encoder's slices of them on disk.

    python -m scripts.cache_cohort --task pe_mortality --site internal --seed 20260101 --start 0 --count 1500 \
        --labels --out build/cache/pe_mortality_internal

Runs in `--workers` processes; a chunk that is there already is left alone, so an interrupted run continues.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 25


def source_digest() -> str:
    """SHA-256 over the code, layout and comments apart, that decides a virtual patient's voxels and their sampling."""
    names = ("anatomy", "vessels", "deform", "disease", "render", "sampling")
    sha = hashlib.sha256()
    sampled = ROOT / "core" / "encode" / "ct" / "slice_grid.py"
    for path in (*(ROOT / "core" / "virtual" / f"{name}.py" for name in names), sampled):
        sha.update(ast.dump(ast.parse(path.read_text())).encode())
    return sha.hexdigest()


def patient_facts(patient: Any, regime: str, seed: int) -> dict[str, Any]:
    """Findings as flat columns, and the outcome drawn under the regime."""
    from core.virtual.outcome import draw_outcome

    facts = asdict(patient.findings)
    for side, value in zip(("left", "right"), facts.pop("effusion_ml"), strict=True):
        facts[f"effusion_{side}_ml"] = value
    for zone, value in enumerate(facts.pop("interstitial_by_zone")):
        facts[f"interstitial_{zone}"] = value
    days, event = draw_outcome(patient, regime, seed)  # type: ignore[arg-type]
    return {
        "index": patient.index,
        "subject_id": patient.subject_id,
        **facts,
        "time_to_event_days": days,
        "event": event,
    }


def render_chunk(first: int, args: argparse.Namespace) -> tuple[int, float]:
    """Render and write patients [first, first + CHUNK) of the range; seconds taken."""
    import numpy as np
    import torch

    from core.encode.ct.slice_grid import sample_labels, sample_slices, slice_grid
    from core.pretrain.ct_findings.cache import PatientSlices, write_chunk
    from core.virtual.render import render_patient
    from core.virtual.sampling import sample_patient

    torch.set_num_threads(1)
    began = time.perf_counter()
    volumes, facts = [], []
    for index in range(first, min(first + CHUNK, args.start + args.count)):
        patient = sample_patient(args.task, args.site, args.seed, index)
        rendered = render_patient(patient.findings, patient.acquisition)
        grid = slice_grid(rendered.study)
        labels = sample_labels(rendered.study, rendered.labels, grid) if args.labels else None
        slices = sample_slices(rendered.study, grid)
        volumes.append(PatientSlices(slices, labels, grid.z_mm.astype(np.float32), grid.relative.astype(np.float32)))
        facts.append(patient_facts(patient, args.regime, args.seed))
    write_chunk(Path(args.out), first, volumes, facts)
    return first, time.perf_counter() - began


def main() -> None:
    """Parse, render what is missing, report progress."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, choices=("pe_mortality", "mace"))
    parser.add_argument("--site", default="internal", choices=("internal", "external"))
    parser.add_argument("--regime", default="balanced", help="decides the outcome only, never the picture")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--labels", action="store_true", help="keep label maps too (training patients)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    from core.pretrain.ct_findings.cache import check_source

    folder = Path(args.out)
    check_source(folder, source_digest())
    (folder / "made_by.json").write_text(json.dumps(vars(args), indent=1))
    starts = range(args.start, args.start + args.count, CHUNK)
    missing = [first for first in starts if not (folder / f"chunk_{first:06d}").exists()]
    began, done = time.perf_counter(), 0
    with ProcessPoolExecutor(args.workers) as pool:
        for first, seconds in pool.map(partial(render_chunk, args=args), missing):
            done += 1
            left = (time.perf_counter() - began) / done * (len(missing) - done)
            print(f"chunk {first} in {seconds:.1f} s, {done}/{len(missing)}, about {left:.0f} s left", flush=True)


if __name__ == "__main__":
    main()
