"""The record encoders by name: curated one-hot features, a causal transformer over events, concepts with ancestors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from core.encode.ehr.compact_sequence import CompactSequence
from core.encode.ehr.concepts import ConceptEncoder
from core.encode.ehr.hierarchical import Hierarchical
from core.encode.ehr.one_hot import OneHotEncoder
from core.encode.ehr.records import TimelineRecords
from core.encode.ehr.rereading import Reread, RereadsQuickly
from core.encode.ehr.windows import WindowEncoder
from core.records import Timeline, Tokens
from core.records.interfaces import RecordEncoder


def _network(kind: Callable[[Mapping[str, Any]], RecordEncoder]) -> Callable[[Mapping[str, Any]], RecordEncoder]:
    """How a network is built without a trace in torch's own generator."""

    def build(config: Mapping[str, Any]) -> RecordEncoder:
        with torch.random.fork_rng(devices=[]):
            return kind(config).eval()

    return build


RECORD_ENCODERS: dict[str, Callable[[Mapping[str, Any]], RecordEncoder]] = {
    "one_hot": lambda config: OneHotEncoder(config).eval(),
    "compact_sequence": _network(CompactSequence),
    "concepts": _network(ConceptEncoder),
    "hierarchical": _network(Hierarchical),
    "medm2t": _network(WindowEncoder),
}
"""Name -> the encoder of a configuration (its vocabulary, scales and sizes), in evaluation mode; weights, where it has
any, are loaded next. How each is fitted: `core.pretrain.record_fits.RECORD_FITS`."""


def encode_timeline(timeline: Timeline, encoder: RecordEncoder) -> Tokens:
    """Tokens (n, encoder.width) of one timeline; n = 0 where no event is known to the encoder."""
    return encode_timelines([timeline], encoder)[0]


def encode_timelines(timelines: Sequence[Timeline], encoder: RecordEncoder) -> list[Tokens]:
    """Tokens of each timeline, in order; each patient's tokens do not depend on the others."""
    return encoder.encode(TimelineRecords(timelines))


def rereading(timeline: Timeline, encoder: RecordEncoder) -> Reread:
    """The timeline, ready to be read anew without some of its events; the same for every encoder but for its speed."""
    if isinstance(encoder, RereadsQuickly):
        return encoder.rereading(timeline)
    whole, rows = encode_timeline(timeline, encoder), np.arange(len(timeline.events))

    def reread(left_out: Sequence[frozenset[int]]) -> list[Tokens | None]:
        kept = [np.setdiff1d(rows, list(events)) for events in left_out]
        read = encode_timelines([_rest(timeline, places) for places in kept], encoder)
        return [None if _same(tokens, whole) else _numbered(tokens, places) for tokens, places in zip(read, kept)]

    return reread


def _rest(timeline: Timeline, rows: np.ndarray) -> Timeline:
    return replace(timeline, events=timeline.events.iloc[rows].reset_index(drop=True), digest="")


def _same(tokens: Tokens, whole: Tokens) -> bool:
    read = ((one.values, one.relative_positions) for one in (tokens, whole))
    return all(np.array_equal(one, other) for one, other in zip(*read))


def _numbered(tokens: Tokens, rows: np.ndarray) -> Tokens:
    """Event ids as rows of the whole record."""
    if tokens.event_ids is None:
        return tokens
    return replace(tokens, event_ids=np.append(rows, -1)[tokens.event_ids])
