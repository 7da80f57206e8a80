"""The encoders a training starts from: shipped, of another bundle, of a folder, or fitted on the training patients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.bundle import load_bundle, shipped_bundles
from core.cohort.folder import CohortFolder
from core.cohort.signals import SIGNAL_INDEX, ecgs_of
from core.encode import CT_ENCODERS, ENCODERS, build_encoder
from core.encode.folder import read_encoder_folder
from core.encode.half import round_to_half
from core.errors import UserFacingError
from core.fuse import FUSIONS
from core.pretrain.record_fits import RECORD_FITS, FitOptions, Patients, fit_record_encoder
from core.pretrain.record_outcomes.train import Outcomes
from core.pretrain.signal_fits import SIGNAL_FITS, Recorded
from core.records import EHR, IMAGE, MODALITIES, SIGNALS, Task
from core.records.interfaces import Encoder

ENCODER_LIMITATION = (
    "Its CT encoder was pretrained on virtual patients only; how well it sees real ones was not tested."
)


class OpenedEncoder(NamedTuple):
    """A frozen encoder, exact in float16; where it comes from, in words; whether it saw virtual patients only."""

    encoder: Encoder
    words: str
    virtual: bool


class Training(NamedTuple):
    """What an encoder that is fitted needs: the cohort, the task in it, a seed and a device."""

    folder: CohortFolder
    task: Task
    seed: int
    device: torch.device


def open_encoder(modality: str, name: str, training: Training) -> OpenedEncoder:
    """The encoder of a modality by its name.

    CT: a name of `CT_ENCODERS` takes the shipped weights (of the task, else of one with the same HU window, else any).
    Records: one of `RECORD_FITS`, ECG: one of `SIGNAL_FITS`, is fitted on the training split. Anything else is a
    folder: a bundle, one that `pretrain` wrote, or one with config.json and encoder.safetensors. Raises UserFacingError
    where there is none.
    """
    if modality == IMAGE and name in CT_ENCODERS:
        return shipped_ct_encoder(name, training.task)
    if modality == EHR and name in RECORD_FITS:
        return _fitted(name, training)
    if modality == SIGNALS and name in SIGNAL_FITS:
        return _fitted_on_signals(name, training)
    return encoder_of_folder(modality, Path(name))


def shipped_ct_encoder(name: str, task: Task) -> OpenedEncoder:
    """The shipped CT encoder `name` that fits a task best. Raises UserFacingError where none is shipped."""
    paths = [path for key, path in shipped_bundles().items() if FUSIONS[key.split("/")[1]].reads == (IMAGE,)]
    fitting = [item for item in map(load_bundle, paths) if item.encoders[IMAGE].config["name"] == name]
    if not fitting:
        raise UserFacingError("No pretrained CT encoder is shipped", "a bundle in assets", "Name an encoder folder")
    best = min(fitting, key=lambda item: (item.task.name != task.name, item.task.hu_window != task.hu_window))
    words = f"shipped encoder, pretrained on virtual patients for {best.task.title}"
    return OpenedEncoder(best.encoders[IMAGE], words, True)


def encoder_of_folder(modality: str, folder: Path) -> OpenedEncoder:
    """The encoder of a bundle, of a folder that `pretrain` wrote, or of one with config and encoder.safetensors."""
    word = MODALITIES[modality].word
    if (folder / "weights.safetensors").is_file() and not (folder / "reference.parquet").is_file():
        return _pretrained(modality, word, folder)
    if (folder / "manifest.json").is_file():
        bundle = load_bundle(folder)
        if modality not in bundle.encoders:
            found = f"That bundle has no {word} encoder"
            raise UserFacingError(found, "a bundle that reads it", "Choose another")
        inherited = bundle.virtual or ENCODER_LIMITATION in bundle.card["limitations"]
        return OpenedEncoder(bundle.encoders[modality], "frozen encoder of another bundle", inherited)
    try:
        encoder = build_encoder(modality, json.loads((folder / "config.json").read_text("utf-8")))
        state = load_file(folder / "encoder.safetensors")
        encoder.load_state_dict({key: value.float() for key, value in state.items()})
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError, SafetensorError) as error:
        names = ", ".join(ENCODERS.get(modality, {}))
        expected = f"{names}, or a folder that pretrain or train wrote"
        raise UserFacingError(f"The {word} encoder cannot be opened", expected, "Check the folder") from error
    round_to_half(encoder)
    return OpenedEncoder(encoder.eval().requires_grad_(False), "pretrained encoder given by the user", False)


def _pretrained(modality: str, word: str, folder: Path) -> OpenedEncoder:
    opened = read_encoder_folder(folder)
    if opened.modality != modality:
        found = f"That encoder reads no {word}"
        raise UserFacingError(found, f"an encoder of the {word}", "Name it with the option of its own modality")
    return OpenedEncoder(opened.encoder, f"{opened.card['name']}, frozen", opened.virtual)


def _fitted(name: str, training: Training) -> OpenedEncoder:
    folder, task = training.folder, training.task.name
    train, tuning = (_patients(folder, task, split) for split in ("train", "tuning"))
    fitted = fit_record_encoder(name, train, tuning, FitOptions(seed=training.seed, device=training.device))
    round_to_half(fitted)
    words = f"{name.replace('_', ' ')} fitted on this cohort's training split, then frozen"
    return OpenedEncoder(fitted, words, False)


def _fitted_on_signals(name: str, training: Training) -> OpenedEncoder:
    train, tuning = (_recorded(training.folder, training.task.name, split) for split in ("train", "tuning"))
    if not (any(train[0]) and any(tuning[0])):
        raise UserFacingError(
            "The training or the tuning split has no ECG.", f"ECGs that {SIGNAL_INDEX} names", "Add them."
        )
    fitted = SIGNAL_FITS[name](train, tuning, FitOptions(seed=training.seed, device=training.device))
    round_to_half(fitted)
    return OpenedEncoder(fitted, f"{name.replace('_', ' ')} fitted on this cohort's training split, then frozen", False)


def _recorded(folder: CohortFolder, task: str, split: str) -> Recorded:
    labels = folder.labels(task, split)
    days, events = labels["time_to_event_days"].to_numpy(np.float64), labels["event"].to_numpy(bool)
    return ecgs_of(folder, labels), Outcomes(days, events)


def _patients(folder: CohortFolder, task: str, split: str) -> Patients:
    labels = folder.labels(task, split)
    days, events = labels["time_to_event_days"].to_numpy(np.float64), labels["event"].to_numpy(bool)
    return Patients(folder.records(labels), Outcomes(days, events))
