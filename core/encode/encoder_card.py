"""The card of a pretrained encoder or event model: what it learned, from whom, and what that does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import core
from core.cards import check_card, versions

SCHEMA = "encoder_card.schema.json"
VIRTUAL_LIMITATION = "Learned from virtual patients only; how well it reads real ones was not tested."
_REAL_LIMITATION = "Learned from one cohort; other hospitals, scanners and coding habits were not tested."
_NEXT = "Choose another encoder, or put the unchanged folder in its place."


@dataclass(frozen=True)
class Learned:
    """What a pretraining learned, for its card.

    targets: what it predicts, in words ("codes after the scan"); count: of these. loss: what `tuning_loss`, that of the
    kept weights on tuning patients, counts ("nats a token"). stopped_by: what ended the training.
    """

    targets: str
    count: int
    loss: str
    tuning_loss: float
    stopped_by: str


@dataclass(frozen=True)
class LearnedFrom:
    """The patients an encoder learned from. description: the cohort in a sentence, without identifiers."""

    description: str
    virtual: bool
    patients_train: int
    patients_tuning: int


def encoder_card(
    name: str, method: str, use: str, learned_from: LearnedFrom, learned: Learned, limitations: Sequence[str] = ()
) -> dict[str, Any]:
    """A card that satisfies assets/encoder_card.schema.json. name, use: for a reader; method: of `pretrain`."""
    origin = VIRTUAL_LIMITATION if learned_from.virtual else _REAL_LIMITATION
    return {
        "schema_version": 1,
        "name": name,
        "method": method,
        "research_notice": core.RESEARCH_NOTICE,
        "watermark": core.VIRTUAL_WATERMARK if learned_from.virtual else None,
        "intended_use": use,
        "learned_from": dict(vars(learned_from)),
        "learned": dict(vars(learned)),
        "limitations": [origin, *limitations],
        "versions": versions(),
        "licence": "Apache-2.0",
    }


def check_encoder_card(card: Mapping[str, Any]) -> None:
    """Refuse a card that does not satisfy its schema."""
    check_card(card, SCHEMA, "encoder", _NEXT)
