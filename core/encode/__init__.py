"""Frozen encoders: a CT study or a timeline becomes tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.encode.ct.compact_slices import CompactSlices, build_compact_slices, encode_study
from core.encode.ehr.encoders import build_ehr_encoder
from core.errors import UserFacingError

__all__ = ["CompactSlices", "build_ct_encoder", "build_ehr_encoder", "encode_study"]


def build_ct_encoder(config: Mapping[str, Any]) -> CompactSlices:
    """Untrained CT encoder of a configuration; its `name` chooses the kind, another raises `UserFacingError`."""
    if config.get("name") != "compact_slices":
        raise UserFacingError(
            "The model asks for a CT encoder that this version does not have.",
            "the encoder compact_slices",
            "Use a bundle made for this version.",
        )
    return build_compact_slices(config)
