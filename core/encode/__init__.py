"""Frozen encoders: a scan, a record or another input becomes tokens. `ENCODERS`: modality -> name -> builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.encode.ct.encoders import CT_ENCODERS
from core.encode.ehr.encoders import RECORD_ENCODERS
from core.encode.signals.ecg_segments import build_ecg_segments
from core.errors import UserFacingError
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder
from core.records.modalities import EHR, IMAGE, MODALITIES, SIGNALS

__all__ = ["CT_ENCODERS", "ENCODERS", "RECORD_ENCODERS", "build_ct_encoder", "build_encoder", "build_record_encoder"]

SIGNAL_ENCODERS: dict[str, Callable[[Mapping[str, Any]], RecordEncoder]] = {"ecg_segments": build_ecg_segments}
ENCODERS: dict[str, Mapping[str, Callable[[Mapping[str, Any]], Encoder]]] = {
    IMAGE: CT_ENCODERS,
    EHR: RECORD_ENCODERS,
    SIGNALS: SIGNAL_ENCODERS,
}


def build_encoder(modality: str, config: Mapping[str, Any]) -> Encoder:
    """Encoder of a configuration, in evaluation mode; its weights are loaded next.

    Raises `UserFacingError` where config["name"] is not among the modality's encoders.
    """
    known = ENCODERS.get(modality, {})
    if config.get("name") not in known:
        word = MODALITIES[modality].word if modality in MODALITIES else modality
        raise UserFacingError(
            f"The model asks for a {word} encoder that this version does not have.",
            "one of " + ", ".join(known),
            "Use a bundle made for this version.",
        )
    return known[str(config["name"])](config)


def build_ct_encoder(config: Mapping[str, Any]) -> CtEncoder:
    """Untrained CT encoder of a configuration, as `build_encoder`."""
    encoder = build_encoder(IMAGE, config)
    assert isinstance(encoder, CtEncoder)
    return encoder


def build_record_encoder(config: Mapping[str, Any]) -> RecordEncoder:
    """Record encoder of a configuration, as `build_encoder`."""
    encoder = build_encoder(EHR, config)
    assert isinstance(encoder, RecordEncoder)
    return encoder
