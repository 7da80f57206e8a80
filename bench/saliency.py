"""Cost of saliency: the whole study and the shown slice, relative to one forward and backward pass of the encoder.

    python -m bench.saliency [--bundle FOLDER] [--study PATH] [--method gradcam] [--repeats 25] [--json FILE]

Without a bundle an untrained encoder and image model of the shipped sizes are timed (weights do not change the time).
The pass is the plain full-study computation: tokens of every slice, risk, gradient to every voxel of every slice. Both
are timed alternately in one process; medians of CPU seconds are compared, because they bear other load on the machine.
Targets: whole study <= 1.3, shown slice <= 0.1.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from core.bundle import load_bundle, shipped_bundles
from core.encode.ct.compact_slices import build_compact_slices, compact_slices_config
from core.encode.ct.encoders import encode_sampled
from core.explain.frozen import explaining
from core.explain.methods import METHODS
from core.explain.risk import RiskReadout
from core.explain.saliency import study_saliency
from core.fuse.batch import TokenBatch
from core.load import load_study
from core.records import IMAGE, CtStudy
from core.records.interfaces import CtEncoder
from core.survive.model import build_model

DEMO = Path(__file__).resolve().parents[1] / "assets/demo/cases/1_pe_high_risk/ct.nii.gz"
CHUNK = 16


def readout_for(study: CtStudy, folder: Path | None) -> RiskReadout:
    """The question "risk by 90 days" of the study."""
    if folder is not None:
        bundle = load_bundle(folder)
        encoder, model = bundle.encoders[IMAGE], bundle.model
    else:
        encoder = build_compact_slices(compact_slices_config((-1350, 150), widths=(16, 48, 64), norm="none"))
        sizes = {"widths": {IMAGE: encoder.width}}
        options = {"fusion": "image_only", "head": "piecewise", "members": 5, "pieces": 8, "head_options": {}}
        model = build_model({**options, "sizes": sizes}).eval()
        for member in model.members:
            member.head.edges.copy_(torch.linspace(0, 365, 9))  # type: ignore[union-attr, operator]
    assert isinstance(encoder, CtEncoder)
    sampled = encoder.sample(study)
    batch = TokenBatch.from_tokens({IMAGE: [encode_sampled(sampled, encoder)]})
    return RiskReadout(model, encoder, batch, sampled, 90.0, torch.device("cpu"))


def full_pass(readout: RiskReadout) -> np.ndarray:
    """One forward and backward pass of the whole study, nothing cached: the unit of cost."""
    with explaining(readout.encoder, readout.model):
        slices = torch.from_numpy(readout.sampled.voxels_hu.astype(np.float32)).requires_grad_(True)
        parts = [readout.encoder(part) for part in slices.split(CHUNK)]
        risk = readout.model.risk(
            readout.batch.with_changed(IMAGE, values=torch.cat(parts)[None]), readout.horizon_days
        )
        (gradient,) = torch.autograd.grad(risk.sum(), slices)
    return gradient.numpy()


def alternating_medians(jobs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each job, run in turn, first round discarded."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            started = time.process_time()
            job()
            seconds[name].append(time.process_time() - started)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="Cost of saliency relative to one forward and backward pass.")
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--study", type=Path, default=DEMO)
    parser.add_argument("--method", default="gradcam", choices=tuple(METHODS))
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    folder = options.bundle or shipped_bundles().get("pe_mortality/image_only")
    study = load_study(options.study)
    readout = readout_for(study, folder)
    jobs: dict[str, Callable[[], object]] = {
        "pass": lambda: full_pass(readout),
        "study": lambda: study_saliency(study, readout, options.method),
    }
    seconds = alternating_medians(jobs, options.repeats)
    result = {
        "method": options.method,
        "voxels": list(study.shape),
        "encoder_slices": len(readout.sampled.voxels_hu),
        "threads": torch.get_num_threads(),
        "cpu_seconds": {name: round(value, 4) for name, value in seconds.items()},
        "study_over_pass": round(seconds["study"] / seconds["pass"], 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
