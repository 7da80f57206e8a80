"""Encoders that several shipped bundles share: weights in assets/encoders, each file named by its own SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from core.cards import ASSETS
from core.errors import UserFacingError

SHARED = ASSETS / "encoders"


def write_shared(tensors: Mapping[str, Tensor], folder: Path | None = None) -> str:
    """Keep weights by name; their SHA-256. The same weights are kept once. folder: None for assets/encoders."""
    data = save(dict(tensors))
    digest = hashlib.sha256(data).hexdigest()
    folder = folder or SHARED
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digest}.safetensors").write_bytes(data)
    return digest


def read_shared(digest: str, folder: Path | None = None) -> dict[str, Tensor]:
    """Weights by name. folder: None for assets/encoders. Raises UserFacingError where they are missing or changed."""
    file = (folder or SHARED) / f"{Path(digest).name}.safetensors"
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise UserFacingError(
            "The encoder that this bundle shares with others is missing or was changed.",
            f"the unchanged file assets/encoders/{digest[:12]}...safetensors",
            "Install the application again, or choose another model.",
        )
    return load(data)
