"""Cards: what a folder of weights says of itself, checked against its schema. No card, no prediction."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema

import core
from core.errors import UserFacingError

ASSETS = Path(__file__).resolve().parents[1] / "assets"
LIBRARIES = ("torch", "numpy", "pandas", "torchsurv", "safetensors", "captum")


def check_card(card: Mapping[str, Any], schema: str, name: str, next_step: str) -> None:
    """Refuse a card that does not satisfy assets/<schema>. name: what the card is called."""
    rules = json.loads((ASSETS / schema).read_text(encoding="utf-8"))
    errors = sorted(jsonschema.Draft202012Validator(rules).iter_errors(dict(card)), key=lambda item: list(item.path))
    if errors:
        where = "/".join(str(part) for part in errors[0].path) or "the card itself"
        raise UserFacingError(
            f"The {name} card does not satisfy its schema (first at {where})",
            f"a complete {name} card: without it the model does not predict",
            next_step,
        )


def versions() -> dict[str, str]:
    """Versions of this project, Python and the libraries a result depends on."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    return {"project": core.__version__, "python": platform.python_version(), **found}
