"""How each encoder of signals is fitted on training patients' recordings and outcomes, then frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from core.encode.signals.ecg_segments import EcgSegments, ecg_segments_config
from core.pretrain.record_fits import FitOptions
from core.pretrain.record_outcomes.train import Outcomes
from core.pretrain.supervised import SupervisedOptions, train_supervised
from core.records.ecg import Ecg
from core.records.interfaces import RecordEncoder

Recorded = tuple[Sequence[tuple[Ecg, ...]], Outcomes]
"""Recordings of patients and, in the same order, what happened to them."""
SignalFit = Callable[[Recorded, Recorded, FitOptions], RecordEncoder]


def _ecg_segments(train: Recorded, tuning: Recorded, options: FitOptions) -> RecordEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        encoder = EcgSegments(ecg_segments_config())
    asked = SupervisedOptions(
        epochs=options.epochs or 15, batch=64, learning_rate=1e-3, weight_decay=0.02, dropout=0.2, seed=options.seed,
        device=options.device,
    )  # fmt: skip
    (own, outcomes), (others, checked) = _with_one(train), _with_one(tuning)
    train_supervised(encoder, encoder.prepared(own), outcomes, (encoder.prepared(others), checked), asked)
    return encoder


def _with_one(recorded: Recorded) -> Recorded:
    """Those who have a recording."""
    ecgs, outcomes = recorded
    kept = [number for number, one in enumerate(ecgs) if one]
    return [ecgs[number] for number in kept], Outcomes(outcomes.times_days[kept], outcomes.events[kept])


SIGNAL_FITS: dict[str, SignalFit] = {"ecg_segments": _ecg_segments}
"""Name -> how it is fitted."""
