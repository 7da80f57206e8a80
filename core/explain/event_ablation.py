"""What each event adds to the risk: the record without it, read anew by the encoder, and the model asked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.compute.model_lock import MODEL_LOCK
from core.encode.ehr.encoders import rereading
from core.events.concepts import by_concept
from core.explain.frozen import explaining
from core.explain.risk import ON_EVENTS, log_cumulative_hazard_at
from core.fuse.batch import TokenBatch
from core.records import EHR, EventAttribution, EventGroup, Timeline, Tokens
from core.records.interfaces import RecordEncoder
from core.survive.model import SurvivalModel

METHOD = f"with the event minus without it, the record read anew; {ON_EVENTS}"
_ROWS = 16
"""Records read and scored at a time: few enough for the processor's cache."""


@dataclass(frozen=True, eq=False)
class RecordReadout:
    """What the events of one record are asked with.

    batch: the patient's tokens, one row. tokens: those of the record, as in `batch`. encoder: the one that made them.
    """

    model: SurvivalModel
    encoder: RecordEncoder
    timeline: Timeline
    tokens: Tokens
    batch: TokenBatch
    horizon_days: float
    device: torch.device


def event_attribution(readout: RecordReadout) -> EventAttribution | None:
    """Signed contribution of each event, and of all that are about one thing; None for a record without tokens.

    The model lock is taken for some records at a time. An event that cannot change the tokens costs no pass.
    """
    if not len(readout.tokens.values):
        return None
    ids = readout.tokens.event_ids
    own = set() if ids is None else set(ids[ids >= 0].tolist())
    concepts = by_concept(readout.timeline.events["code"])
    several = [concept for concept in concepts if len(concept) > 1]
    # Those with tokens first: passes then come in full batches.
    events = sorted(range(len(readout.timeline.events)), key=lambda event: event not in own)
    found = list(_changes(readout, [frozenset([event]) for event in events] + [frozenset(each) for each in several]))
    alone = {event: change or 0.0 for event, change in zip(events, found) if change is not None or event in own}
    together = {concept[0]: change or 0.0 for concept, change in zip(several, found[len(events) :])}
    groups = [
        EventGroup(np.array(concept), together.get(concept[0], alone.get(concept[0], 0.0)))
        for concept in concepts
        if not alone.keys().isdisjoint(concept) or together.get(concept[0])
    ]
    read = sorted(alone)
    return EventAttribution(
        event_ids=np.array(read, np.int64),
        values=np.array([alone[event] for event in read], np.float32),
        method=METHOD,
        horizon_days=float(readout.horizon_days),
        groups=tuple(groups),
    )


def _changes(readout: RecordReadout, left_out: Sequence[frozenset[int]]) -> Iterator[float | None]:
    """What each set of events contributes; None where the record without it reads as the whole one does."""
    with MODEL_LOCK:
        reread = rereading(readout.timeline, readout.encoder)
    whole: float | None = None
    for start in range(0, len(left_out), _ROWS):
        with MODEL_LOCK, explaining(readout.model, readout.encoder, device=readout.device), torch.no_grad():
            read = reread(left_out[start : start + _ROWS])
            asked = [tokens for tokens in read if tokens is not None]
            if asked and whole is None:
                whole = _scores(readout, [readout.tokens])[0]
            scores = iter(_scores(readout, asked) if asked else ())
        for tokens in read:
            yield None if tokens is None or whole is None else whole - next(scores)


def _scores(readout: RecordReadout, records: Sequence[Tokens]) -> list[float]:
    """Log cumulative hazard of the patient with each of these in the place of the record."""
    many = readout.batch.to(readout.device).rows(torch.zeros(len(records), dtype=torch.int64))
    read = TokenBatch.from_tokens({EHR: records}).to(readout.device)
    batch = TokenBatch({**many.modalities, **read.modalities})
    scores = log_cumulative_hazard_at(readout.model, batch, readout.horizon_days).double().cpu().numpy()
    return [float(score) for score in scores]
