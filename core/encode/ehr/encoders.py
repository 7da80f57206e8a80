"""Timeline encoders: curated one-hot features, and a compact causal transformer over events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from core.encode.ehr.compact_sequence import CompactSequence, fit_compact_sequence
from core.encode.ehr.one_hot import OneHotEncoder, fit_one_hot
from core.encode.ehr.records import Records, TimelineRecords
from core.errors import UserFacingError
from core.records import Timeline, Tokens

EhrEncoder = OneHotEncoder | CompactSequence
EHR_ENCODERS = ("one_hot", "compact_sequence")

__all__ = [
    "EHR_ENCODERS",
    "CompactSequence",
    "EhrEncoder",
    "OneHotEncoder",
    "Records",
    "TimelineRecords",
    "build_ehr_encoder",
    "encode_records",
    "encode_timeline",
    "encode_timelines",
    "fit_compact_sequence",
    "fit_one_hot",
]


def build_ehr_encoder(config: Mapping[str, Any]) -> EhrEncoder:
    """Encoder of a configuration (its vocabulary, scales and sizes); weights still to be loaded where it has any.

    Raises `UserFacingError` for a name other than `EHR_ENCODERS`.
    """
    if config.get("name") == "one_hot":
        return OneHotEncoder(config).eval()
    if config.get("name") == "compact_sequence":
        with torch.random.fork_rng(devices=[]):
            return CompactSequence(config).eval()
    raise UserFacingError(
        "The model asks for a timeline encoder that this version does not have.",
        "one of " + ", ".join(EHR_ENCODERS),
        "Use a bundle made for this version.",
    )


def encode_timeline(timeline: Timeline, encoder: EhrEncoder) -> Tokens:
    """Tokens (n, encoder.width) of one timeline; n = 0 where no event is known to the encoder."""
    return encode_timelines([timeline], encoder)[0]


def encode_timelines(timelines: Sequence[Timeline], encoder: EhrEncoder) -> list[Tokens]:
    """Tokens of each timeline, in order; each patient's tokens do not depend on the others."""
    return encode_records(TimelineRecords(timelines), encoder)


def encode_records(records: Records, encoder: EhrEncoder) -> list[Tokens]:
    """Tokens of each record, in order; each patient's tokens do not depend on the others."""
    if isinstance(encoder, CompactSequence):
        training = encoder.training
        encoder.eval()
        try:
            return encoder.encode_many(records.coded(encoder), records.digests())
        finally:
            encoder.train(training)
    return [encoder.encode(table, digest) for table, digest in zip(records.columns(), records.digests(), strict=True)]
