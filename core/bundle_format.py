"""Bundles of format 1, which knew two modalities by name, read as those of format 2, which name each in one way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from core.fuse import FUSIONS
from core.records import EHR, IMAGE

_WIDTHS = {IMAGE: "ct_width", EHR: "ehr_width"}
_ENCODERS = {IMAGE: "ct_encoder", EHR: "ehr_encoder"}
_STANDARDS = {IMAGE: "ct_standard", EHR: "ehr_standard"}


def upgraded(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of a bundle in format 2; not one number is changed.

    Format 1 held widths and standardisers of both modalities, whether or not the fusion reads them.
    Raises KeyError, TypeError or AttributeError where the configuration is not one of a bundle.
    """
    if config["format_version"] != 1:
        return dict(config), dict(tensors)
    model, reads = config["model"], FUSIONS[config["model"]["fusion"]].reads
    sizes = dict(model["sizes"])
    widths = {name: sizes.pop(key) for name, key in _WIDTHS.items()}
    encoders = {name: config[key] for name, key in _ENCODERS.items() if config[key] is not None}
    rest = {key: value for key, value in config.items() if key not in (*_ENCODERS.values(), "half_precision")}
    sizes = {"widths": {name: widths[name] for name in reads}, "axes": {}, **sizes}
    named = {_renamed(key): value for key, value in tensors.items()}
    unread = tuple(f"model.standard.{name}." for name in _STANDARDS if name not in reads)
    return (
        {**rest, "format_version": 2, "model": {**model, "sizes": sizes}, "encoders": encoders},
        {key: value for key, value in named.items() if not key.startswith(unread)} if unread else named,
    )


def _renamed(key: str) -> str:
    """A weight's name in format 2.

    >>> _renamed("model.members.0.fusion.image.pool.mix.bias"), _renamed("ct_encoder.fuse.0.bias")
    ('model.members.0.fusion.paths.image.pool.mix.bias', 'encoders.image.fuse.0.bias')
    """
    key = re.sub(r"(\.fusion)\.(image|ehr)\.", r"\1.paths.\2.", key)
    key = re.sub(r"(\.fusion)\.align_(image|ehr)\.", r"\1.align.\2.", key)
    for name in (IMAGE, EHR):
        key = re.sub(rf"^model\.{_STANDARDS[name]}\.", f"model.standard.{name}.", key)
        key = re.sub(rf"^{_ENCODERS[name]}\.", f"encoders.{name}.", key)
    return key
