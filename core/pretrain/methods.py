"""The methods of `python -m core pretrain` by name: a cohort folder in, an encoder folder out."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import UserFacingError
from core.pretrain.events import pretrain_events
from core.pretrain.medhmp.train import pretrain_medhmp
from core.pretrain.options import PretrainOptions
from core.pretrain.tte.train import pretrain_tte
from core.progress import Progress

Pretrain = Callable[[PretrainOptions, Progress], tuple[str, ...]]
"""Learns from the train split, lets tuning patients choose the weights, writes `options.out`; says what it made, in
sentences."""

PRETRAIN_METHODS: dict[str, Pretrain] = {"tte": pretrain_tte, "medhmp": pretrain_medhmp, "events": pretrain_events}
"""Name -> how it is run. Each imports its own packages when called, so that the command line starts at once."""


def pretrain(method: str, options: PretrainOptions, progress: Progress) -> tuple[str, ...]:
    """Run a method. Raises UserFacingError for an unknown one, a folder that holds another encoder, or a bad cohort."""
    if method not in PRETRAIN_METHODS:
        raise UserFacingError(
            "There is no pretraining of that name.", "one of " + ", ".join(PRETRAIN_METHODS), "Choose one of these."
        )
    if (options.out / "config.json").exists():
        raise UserFacingError(
            "There is an encoder at --out already.", "a new folder", "Name another, or delete that one."
        )
    return PRETRAIN_METHODS[method](options, progress)
