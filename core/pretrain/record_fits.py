"""How each record encoder is fitted on training records, then frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from core.encode.ehr.compact_sequence import Records, fit_compact_sequence
from core.encode.ehr.concepts import fit_concepts
from core.encode.ehr.one_hot import fit_one_hot
from core.encode.ehr.windows import fit_windows
from core.errors import UserFacingError
from core.pretrain.next_code.train import train_next_code
from core.pretrain.record_outcomes.train import Outcomes, train_on_outcomes
from core.pretrain.supervised import SupervisedOptions, train_supervised
from core.records.interfaces import RecordEncoder

_EPOCHS = {"next code": 8, "outcomes": 20}


@dataclass(frozen=True, eq=False)
class Patients:
    """Records of patients and, in the same order, what happened to them."""

    records: Records
    outcomes: Outcomes


@dataclass(frozen=True)
class FitOptions:
    """epochs: None for the encoder's own number."""

    epochs: int | None = None
    seed: int = 0
    device: torch.device | str = "cpu"


RecordFit = Callable[[Patients, "Patients | None", FitOptions], RecordEncoder]
"""(training, tuning, options) -> the encoder, frozen. Tuning patients at most choose the epoch."""


def _one_hot(train: Patients, tuning: Patients | None, options: FitOptions) -> RecordEncoder:
    return fit_one_hot(train.records).eval()


def _compact_sequence(train: Patients, tuning: Patients | None, options: FitOptions) -> RecordEncoder:
    encoder = fit_compact_sequence(train.records, seed=options.seed)
    train_next_code(
        encoder,
        train.records,
        tuning=tuning.records if tuning else None,
        epochs=_EPOCHS["next code"] if options.epochs is None else options.epochs,
        seed=options.seed,
        device=options.device,
    )
    return encoder


def _concepts(train: Patients, tuning: Patients | None, options: FitOptions) -> RecordEncoder:
    encoder = fit_concepts(train.records, seed=options.seed)
    train_on_outcomes(
        encoder,
        train.records,
        train.outcomes,
        tuning=tuning.records if tuning else None,
        tuning_outcomes=tuning.outcomes if tuning else None,
        epochs=_EPOCHS["outcomes"] if options.epochs is None else options.epochs,
        seed=options.seed,
        device=options.device,
    )
    return encoder


def _medm2t(train: Patients, tuning: Patients | None, options: FitOptions) -> RecordEncoder:
    encoder = fit_windows(train.records, seed=options.seed)
    asked = SupervisedOptions(seed=options.seed, device=options.device)
    if options.epochs is not None:
        asked = replace(asked, epochs=options.epochs, least_steps=0)
    checked = (
        (encoder.prepared(tuning.records), tuning.outcomes) if tuning is not None and len(tuning.records) else None
    )
    train_supervised(encoder, encoder.prepared(train.records), train.outcomes, checked, asked)
    return encoder


RECORD_FITS: dict[str, RecordFit] = {
    "one_hot": _one_hot,
    "compact_sequence": _compact_sequence,
    "concepts": _concepts,
    "medm2t": _medm2t,
}


def fit_record_encoder(
    name: str, train: Patients, tuning: Patients | None = None, options: FitOptions | None = None
) -> RecordEncoder:
    """Frozen encoder `name` fitted (and, but for one_hot, trained) on training patients alone.

    Raises UserFacingError for a name other than those of `RECORD_FITS`.
    """
    if name not in RECORD_FITS:
        raise UserFacingError(
            "There is no record encoder of that name.", "one of " + ", ".join(RECORD_FITS), "Choose one of these names."
        )
    return RECORD_FITS[name](train, tuning, options or FitOptions())
