"""The record encoders by name: curated one-hot features, and a compact causal transformer over events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from core.encode.ehr.compact_sequence import CompactSequence
from core.encode.ehr.one_hot import OneHotEncoder
from core.encode.ehr.records import TimelineRecords
from core.records import Timeline, Tokens
from core.records.interfaces import RecordEncoder


def _compact_sequence(config: Mapping[str, Any]) -> RecordEncoder:
    with torch.random.fork_rng(devices=[]):
        return CompactSequence(config).eval()


RECORD_ENCODERS: dict[str, Callable[[Mapping[str, Any]], RecordEncoder]] = {
    "one_hot": lambda config: OneHotEncoder(config).eval(),
    "compact_sequence": _compact_sequence,
}
"""Name -> the encoder of a configuration (its vocabulary, scales and sizes), in evaluation mode; weights, where it has
any, are loaded next. How each is fitted: `core.pretrain.next_code.train.RECORD_FITS`."""


def encode_timeline(timeline: Timeline, encoder: RecordEncoder) -> Tokens:
    """Tokens (n, encoder.width) of one timeline; n = 0 where no event is known to the encoder."""
    return encode_timelines([timeline], encoder)[0]


def encode_timelines(timelines: Sequence[Timeline], encoder: RecordEncoder) -> list[Tokens]:
    """Tokens of each timeline, in order; each patient's tokens do not depend on the others."""
    return encoder.encode(TimelineRecords(timelines))
