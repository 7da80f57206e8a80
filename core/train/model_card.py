"""The model card of a trained bundle: its purpose, what it learned from, how well it did, its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import core
from core.cards import versions
from core.fuse import TokenSet
from core.fuse.fusions import ATTENTION_CAVEAT, POOLED_KIND
from core.records import Task
from core.train.members import FittedModel

HEAD_WORDS = {
    "piecewise": "piecewise-constant hazard, censored likelihood",
    "cox": "Cox partial likelihood with the training Breslow baseline",
    "weibull": "Weibull likelihood",
}


def make_card(
    fitted: FittedModel,
    task: Task,
    train: TokenSet,
    tuning: TokenSet,
    *,
    encoders: Sequence[Mapping[str, str]],
    virtual: bool,
    description: str,
    performance: Sequence[Mapping[str, Any]] = (),
    limitations: Sequence[str] = (),
) -> dict[str, Any]:
    """A card that satisfies assets/card.schema.json.

    encoders: role ("image" or "ehr"), name, provenance. description: the training data in a sentence. performance: rows
    measure, value, lower, upper, split, patients, events. limitations: beside those of every model.
    """
    config = fitted.model.config
    return {
        "schema_version": 1,
        "name": f"{task.title}: {config['fusion'].replace('_', ' ')}",
        "research_notice": core.RESEARCH_NOTICE,
        "watermark": core.VIRTUAL_WATERMARK if virtual else None,
        "intended_use": f"Research on fusing CT and record: an individual survival curve for {task.event_words}, with "
        "what the model weighed, for discussion among clinicians and researchers.",
        "out_of_scope": [
            "Any decision about a patient's care.",
            "Patients outside the training population, other scan types, and times beyond the supported follow-up.",
        ],
        "population": f"{task.population}. {task.time_zero}.",
        "training_data": {
            "description": description,
            "virtual": virtual,
            "patients_train": len(train),
            "events_train": int(train.events.sum()),
            "patients_tuning": len(tuning),
            "last_supported_days": fitted.model.last_supported_days,
        },
        "model": _model_words(fitted),
        "encoders": [dict(item) for item in encoders if item["role"] in fitted.model.reads],
        "performance": [dict(row) for row in performance],
        "limitations": [*_limitations(virtual), *limitations],
        "risks": [
            "A confident-looking curve for a patient unlike the training patients; read the notices beside it.",
            "Taking saliency or attention for a cause, or for proof that a finding is present.",
        ],
        "caveats": [
            ATTENTION_CAVEAT,
            "The range around a curve is what happened to training patients given about this risk, not a promise.",
            *fitted.notices,
        ],
        "versions": versions(),
        "licence": "Apache-2.0",
    }


def _model_words(fitted: FittedModel) -> dict[str, Any]:
    config = fitted.model.config
    offset, slope = (float(value) for value in fitted.model.calibration)
    pooled = bool(config["sizes"]["pooled"])
    return {
        "fusion": config["fusion"],
        "head": HEAD_WORDS[config["head"]],
        "members": config["members"],
        "pooled": pooled,
        "band": "Observed outcomes of training patients given about this risk, 95% interval, where they are kept.",
        "attention": POOLED_KIND if pooled else ATTENTION_CAVEAT,
        "calibration": f"Log-hazards were moved by {offset:+.2f} and their spread multiplied by {slope:.2f}, chosen on "
        "tuning patients.",
    }


def _limitations(virtual: bool) -> list[str]:
    origin = (
        "Trained on virtual patients: one deformed anatomy, simulated records. Its numbers do not apply to people."
        if virtual
        else "Trained on one cohort; other hospitals, scanners and coding habits were not tested."
    )
    return [
        origin,
        "Competing events are treated as censoring.",
        "A missing scan or record is replaced by a learned stand-in, which gives a vaguer curve.",
    ]
