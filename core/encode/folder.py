"""Encoder folders, what `python -m core pretrain` writes: config.json, weights.safetensors, card.json, manifest.json.

Beside them stand log.jsonl (a line each look at tuning patients) and what the encoder predicts (tasks.parquet or
vocabulary.parquet). `train --ct-encoder FOLDER` and `--ehr-encoder FOLDER` take one; nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from core.encode import build_encoder
from core.encode.encoder_card import check_encoder_card
from core.encode.half import round_to_half
from core.errors import UserFacingError
from core.records.interfaces import Encoder
from core.sealed_folder import FolderKind, open_sealed, read_json, seal

FORMAT_VERSION = 1
FILES = ("config.json", "weights.safetensors", "card.json")
OPTIONAL_FILES = ("log.jsonl", "tasks.parquet", "vocabulary.parquet", "head.safetensors")
_AGAIN = "Choose another encoder, or put the unchanged folder in its place."
KIND = FolderKind("encoder folder", "encoder's", FILES, OPTIONAL_FILES, _AGAIN)


@dataclass(frozen=True, eq=False)
class EncoderFolder:
    """A pretrained encoder, frozen and exact in float16. digest: SHA-256 of the manifest, which fixes every file.

    config: method, modality, encoder (its own configuration) and training. files: the optional ones that are there.
    """

    modality: str
    encoder: Encoder
    config: dict[str, Any]
    card: dict[str, Any]
    files: dict[str, bytes]
    digest: str

    @property
    def virtual(self) -> bool:
        """Whether it learned from virtual patients only."""
        return bool(self.card["learned_from"]["virtual"])


def write_encoder_folder(
    folder: Path | str,
    encoder: Encoder,
    *,
    modality: str,
    method: str,
    card: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Path:
    """Write an encoder, rounded to float16 first, into a folder, and seal it with the optional files that are there."""
    round_to_half(encoder)
    tensors = {name: value.cpu().contiguous() for name, value in encoder.state_dict().items()}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    config = {"modality": modality, "encoder": encoder.config, "training": dict(training)}
    return write_learned(folder, method=method, config=config, card=card, tensors=halves)


def write_learned(
    folder: Path | str,
    *,
    method: str,
    config: Mapping[str, Any],
    card: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
) -> Path:
    """Write what a method learned, whatever it is, and seal the folder. ValueError where weights are not finite."""
    check_encoder_card(card)
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values() if value.is_floating_point()):
        raise ValueError("weights that are not finite numbers")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(save(dict(tensors)))
    whole = {"format_version": FORMAT_VERSION, "method": method, **config}
    for name, data in {"config.json": whole, "card.json": card}.items():
        (folder / name).write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    seal(folder, (*FILES, *OPTIONAL_FILES))
    return folder


def read_encoder_folder(folder: Path | str) -> EncoderFolder:
    """Open and verify an encoder folder.

    Raises UserFacingError where a file is missing, damaged or changed, the card does not satisfy its schema, or weights
    and configuration are not of one encoder.
    """
    sealed = open_sealed(Path(folder), KIND)
    config = read_json(sealed.contents["config.json"], "config.json", KIND)
    card = read_json(sealed.contents["card.json"], "card.json", KIND)
    if config.get("format_version") != FORMAT_VERSION:
        found = "The encoder folder has another format version."
        raise UserFacingError(found, f"format version {FORMAT_VERSION}", _AGAIN)
    check_encoder_card(card)
    try:
        modality = str(config["modality"])
        with torch.random.fork_rng(devices=[]):
            encoder = build_encoder(modality, config["encoder"])
        state = load(sealed.contents["weights.safetensors"])
        wanted = encoder.state_dict()
        encoder.load_state_dict({name: value.to(wanted[name].dtype) for name, value in state.items()})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        expected = "weights and configuration of one encoder"
        raise UserFacingError("The encoder folder's weights do not fit its configuration.", expected, _AGAIN) from error
    files = {name: data for name, data in sealed.contents.items() if name in OPTIONAL_FILES}
    return EncoderFolder(modality, encoder.eval().requires_grad_(False), config, card, files, sealed.digest)
