"""The encoders a training starts from: shipped, of another bundle, of a folder, or fitted on the training patients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.bundle import load_bundle, shipped_bundles
from core.cohort.folder import CohortFolder
from core.encode import CompactSlices, build_ct_encoder
from core.encode.ct.compact_slices import round_to_half
from core.encode.ehr.encoders import EhrEncoder
from core.errors import UserFacingError
from core.pretrain.next_code.train import fit_ehr_encoder
from core.records import Task

ENCODER_LIMITATION = (
    "Its CT encoder was pretrained on virtual patients only; how well it sees real ones was not tested."
)


class CtEncoder(NamedTuple):
    """A frozen CT encoder, exact in float16; where it comes from, in words; whether it saw virtual patients only."""

    encoder: CompactSlices
    words: str
    virtual: bool


def open_ct_encoder(name: str, task: Task) -> CtEncoder:
    """The CT encoder of a name.

    `compact_slices` takes the shipped encoder of the task (else of a task with the same HU window, else any); anything
    else is a bundle folder, or a folder with config.json and encoder.safetensors.
    Raises UserFacingError where there is none.
    """
    if name == "compact_slices":
        shipped = [load_bundle(path) for key, path in shipped_bundles().items() if key.endswith("/image_only")]
        fitting = sorted(shipped, key=lambda item: (item.task.name != task.name, item.task.hu_window != task.hu_window))
        if not fitting or fitting[0].ct_encoder is None:
            raise UserFacingError("No pretrained CT encoder is shipped", "a bundle in assets", "Name an encoder folder")
        words = f"shipped encoder, pretrained on virtual patients for {fitting[0].task.title}"
        return CtEncoder(fitting[0].ct_encoder, words, True)
    folder = Path(name)
    if (folder / "manifest.json").is_file():
        bundle = load_bundle(folder)
        if bundle.ct_encoder is None:
            raise UserFacingError("That bundle has no CT encoder", "a bundle that reads images", "Choose another")
        inherited = bundle.virtual or ENCODER_LIMITATION in bundle.card["limitations"]
        return CtEncoder(bundle.ct_encoder, "frozen encoder of another bundle", inherited)
    try:
        encoder = build_ct_encoder(json.loads((folder / "config.json").read_text("utf-8")))
        state = load_file(folder / "encoder.safetensors")
        encoder.load_state_dict({key: value.float() for key, value in state.items()})
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError, SafetensorError) as error:
        expected = "compact_slices, or a folder with config.json and encoder.safetensors"
        raise UserFacingError("The CT encoder cannot be opened", expected, "Check the folder") from error
    round_to_half(encoder)
    return CtEncoder(encoder.eval().requires_grad_(False), "pretrained encoder given by the user", False)


def _ehr_encoder(name: str, folder: CohortFolder, task: str, seed: int, where: torch.device) -> tuple[EhrEncoder, str]:
    path = Path(name)
    if (path / "manifest.json").is_file():
        encoder = load_bundle(path).ehr_encoder
        if encoder is None:
            raise UserFacingError(
                "That bundle has no timeline encoder", "a bundle that reads records", "Choose another"
            )
        return encoder, "frozen encoder of another bundle"
    train, tuning = (folder.records(folder.labels(task, split)) for split in ("train", "tuning"))
    fitted = fit_ehr_encoder(name, train, tuning=tuning, seed=seed, device=where)
    round_to_half(fitted)
    return fitted, f"{name.replace('_', ' ')} fitted on this cohort's training split, then frozen"
