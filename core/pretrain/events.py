"""`pretrain --method events`: a generative model of the records of a cohort folder (`core.foresee`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.cohort.folder import CohortFolder
from core.pretrain.options import PretrainOptions
from core.progress import Progress

if TYPE_CHECKING:
    from core.foresee.events import PatientEvents
    from core.foresee.train import EventTraining

SIZE_BY_EVENTS = ((0, "0.1m"), (1_000_000, "0.4m"), (10_000_000, "1m"), (50_000_000, "3m"))
"""Training events from which on a size is the default; chosen: losses level off early on little data (comet.md)."""
_CONTEXTS = (128, 256, 512, 1024, 2048)
_FEW_EVENTS = 1_000_000


def pretrain_events(options: PretrainOptions, progress: Progress) -> tuple[str, ...]:
    """Train on the train split, choose weights on the tuning split, write `options.out`."""
    from core.foresee.events import PatientEvents
    from core.foresee.train import train_event_model

    folder = CohortFolder(options.cohort)
    splits = folder.splits
    of_split = {name: splits.loc[splits["split"] == name, "subject_id"].tolist() for name in ("train", "tuning")}
    events = PatientEvents.from_cohort(folder.events).of([*of_split["train"], *of_split["tuning"]])
    training = event_training(events.of(of_split["train"]), options)
    virtual = bool(folder.metadata.get("virtual"))
    kind = "virtual patients" if virtual else "a cohort supplied by the user"
    report = train_event_model(
        events, of_split, training, options.out, progress, described=f"Training split of {kind}", virtual=virtual
    )
    return (
        f"Event model of {training.size} weights, trained on {len(of_split['train']):,} patients "
        f"({len(events.code_ids):,} events with the tuning split's).",
        f"Tuning loss {report.best.tuning_loss:.3f} nats a token; stopped by {report.stopped}.",
    )


def event_training(train: PatientEvents, options: PretrainOptions) -> EventTraining:
    """How to train on so many events: size and context by the data, unless options say otherwise.

    context: the power of two that holds twice the events of 19 in 20 patients, so that futures have room.
    """
    from core.foresee.train import EventTraining

    count = len(train.code_ids)
    size = next(name for least, name in reversed(SIZE_BY_EVENTS) if count >= least)
    longest = float(np.quantile(np.diff(train.offsets), 0.95)) if len(train) else 0.0
    tokens = 2 * 2.5 * longest  # about two and a half tokens an event: its gap, its parts, its tenth
    few = count < _FEW_EVENTS
    chosen = EventTraining(
        size=options.backbone or size,
        context=next((context for context in _CONTEXTS if context >= tokens), _CONTEXTS[-1]),
        batch_tokens=4096 if few else 8192,
        learning_rate=3e-3 if few else 2e-3,
        check_steps=50 if few else 100,
        seed=options.seed,
        device=options.device,
        minutes=options.minutes,
        resume=options.resume,
    )
    return chosen if options.epochs is None else replace(chosen, epochs=options.epochs)
