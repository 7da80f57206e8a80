"""What each event adds to the risk: the model asked again with that event left out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.fuse.batch import TokenBatch
from core.records import EHR, EventAttribution, Tokens
from core.survive.model import ModelOutput, SurvivalModel

METHOD = "leave one event out: log cumulative hazard with the event minus without it"
_ROWS = 64


def event_attribution(
    model: SurvivalModel, batch: TokenBatch, ehr: Tokens, horizon_days: float
) -> EventAttribution | None:
    """Signed contribution of each event to the log cumulative hazard at the horizon (positive raises risk).

    batch: the patient's tokens, one row, on the model's device. Tokens of the same event are left out together; tokens
    that stand for no single event (id -1) get one value each. Returns None for a timeline without tokens.
    The caller holds the model lock.
    """
    ids = ehr.event_ids if ehr.event_ids is not None else np.full(len(ehr.values), -1, np.int64)
    if not len(ids):
        return None
    groups = _groups(np.asarray(ids))
    with torch.no_grad():
        whole = _log_cumulative_hazard(model, batch, horizon_days)
        without = [
            _log_cumulative_hazard(model, _left_out(batch, groups[start : start + _ROWS]), horizon_days)
            for start in range(0, len(groups), _ROWS)
        ]
    values = (whole - torch.cat(without)).float().cpu().numpy()
    return EventAttribution(
        event_ids=np.array([ids[group[0]] for group in groups], dtype=np.int64),
        values=values,
        method=METHOD,
        horizon_days=float(horizon_days),
    )


def _groups(ids: np.ndarray) -> list[list[int]]:
    """Token rows that share an event id, in order of first appearance; every -1 stands alone."""
    by_event: dict[int, list[int]] = {}
    for row, event in enumerate(ids.tolist()):
        by_event.setdefault(event if event >= 0 else -row - 1, []).append(row)
    return list(by_event.values())


def _left_out(batch: TokenBatch, groups: list[list[int]]) -> TokenBatch:
    """The patient once for each group, with that group's tokens masked away."""
    many = batch.rows(torch.zeros(len(groups), dtype=torch.int64))
    mask = many[EHR].mask.clone()
    for row, group in enumerate(groups):
        mask[row, group] = False
    return many.with_changed(EHR, mask=mask)


def _log_cumulative_hazard(model: SurvivalModel, batch: TokenBatch, horizon_days: float) -> Tensor:
    """(B,) log H(horizon) of the ensemble's mean hazard."""
    output: ModelOutput = model(batch)
    return output.log_cumulative_hazard(horizon_days)
