"""Pretrain the CT slice encoder of a task from a slice cache, freeze it, encode every cached patient, probe the tokens.

    python -m scripts.pretrain_ct --task pe_mortality --cache build/cache/pe_mortality_internal --train 0 1500 \
        --held-out 1700 1500 --out build/encoders/pe_mortality

Writes encoder.safetensors (float16) with config.json, tokens.npz (values, counts, z_mm, relative, index, subject_id)
and probes.csv. `--encoder FOLDER` skips training and encodes another cache (an external site, say).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from core.cohort.tasks import TASKS
from core.encode import build_ct_encoder
from core.encode.ct.encoders import encode_pieces
from core.pretrain.ct_findings.cache import open_cache
from core.pretrain.ct_findings.probes import pooled_tokens, probe_table, run_probes
from core.pretrain.ct_findings.train import PretrainSettings, StepLosses, pretrain_encoder
from core.records.interfaces import CtEncoder


def save_encoder(model: torch.nn.Module, config: dict[str, object], folder: Path) -> None:
    """Weights as float16 (exact after rounding) and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "encoder.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def load_encoder(folder: Path) -> CtEncoder:
    """Frozen encoder of a folder written by `save_encoder`."""
    model = build_ct_encoder(json.loads((folder / "config.json").read_text()))
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "encoder.safetensors").items()})
    return model.eval().requires_grad_(False)


def train_encoder(args: argparse.Namespace) -> None:
    """Pretrain on the training range and save."""
    settings = PretrainSettings(seed=args.seed)
    if args.epochs is not None:
        settings = replace(settings, epochs=args.epochs)
    began = time.perf_counter()

    def report(losses: StepLosses) -> None:
        print(f"{time.perf_counter() - began:6.0f} s {asdict(losses)}", flush=True)

    cache = open_cache(Path(args.cache), *args.train)
    print(f"{len(cache)} training patients, {settings}", flush=True)
    model = pretrain_encoder(cache, TASKS[args.task].hu_window, settings, device=args.device, report=report)
    save_encoder(model, model.config, Path(args.out))
    card = {**asdict(settings), "task": args.task, "training_patients": len(cache)}
    (Path(args.out) / "settings.json").write_text(json.dumps(card, indent=1))


def encode_all(args: argparse.Namespace) -> None:
    """Tokens of every cached patient, concatenated over slices."""
    cache = open_cache(Path(args.cache))
    model = load_encoder(Path(args.encoder or args.out))
    began = time.perf_counter()
    values = [
        encode_pieces(torch.from_numpy(np.array(volume.slices)), model, args.device).numpy() for volume in cache.volumes
    ]
    seconds = time.perf_counter() - began
    print(f"encoded {len(cache)} patients, {1000 * seconds / sum(map(len, values)):.2f} ms a slice", flush=True)
    np.savez(
        Path(args.out) / "tokens.npz",
        values=np.concatenate(values),
        counts=np.array([len(part) for part in values]),
        z_mm=np.concatenate([volume.z_mm for volume in cache.volumes]),
        relative=np.concatenate([volume.relative for volume in cache.volumes]),
        index=cache.patients["index"].to_numpy(),
        subject_id=cache.patients["subject_id"].to_numpy(),
    )


def probe(args: argparse.Namespace) -> None:
    """Linear probes, fitted on the training range and scored on the held-out range."""
    patients = open_cache(Path(args.cache)).patients
    tokens = np.load(Path(args.out) / "tokens.npz")
    features = pooled_tokens(np.split(tokens["values"], np.cumsum(tokens["counts"])[:-1]))

    def part(first: int, count: int) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
        rows = np.flatnonzero((patients["index"] >= first) & (patients["index"] < first + count))
        return features[rows], patients.iloc[rows].reset_index(drop=True)

    table = probe_table(run_probes(*part(*args.train), *part(*args.held_out)))
    table.to_csv(Path(args.out) / "probes.csv", index=False)
    print(table.round(3).to_string(index=False), flush=True)


def main() -> None:
    """Train, encode, probe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, choices=tuple(TASKS))
    parser.add_argument("--cache", required=True)
    parser.add_argument("--train", type=int, nargs=2, default=(0, 1500), metavar=("FIRST", "COUNT"))
    parser.add_argument("--held-out", type=int, nargs=2, default=(1700, 1500), metavar=("FIRST", "COUNT"))
    parser.add_argument("--epochs", type=int, help="passes over the training patients in stage 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", help="folder of a trained encoder: encode only")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    if args.encoder is None:
        train_encoder(args)
    encode_all(args)
    if args.encoder is None:
        probe(args)


if __name__ == "__main__":
    main()
