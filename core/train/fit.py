"""Train fusion survival models: from encoded tokens (`fit_fusion`), and from a cohort folder (`train_bundle`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from core.bundle import longest_horizon, save_bundle
from core.cohort.encoded import EncodedCohort, encode_cohort, retokenise
from core.cohort.folder import CohortFolder
from core.compute.device import resolve_device
from core.encode import CompactSlices
from core.encode.ct.compact_slices import round_to_half
from core.encode.ehr.encoders import EHR_ENCODERS
from core.errors import UserFacingError
from core.fuse import FUSIONS, TokenSet, batch_rows
from core.progress import Progress
from core.records import Task, is_supported
from core.survive import concordance
from core.survive.heads import HEAD_PIECES, HEADS
from core.survive.likelihood import time_edges
from core.survive.model import SurvivalModel, build_model
from core.train.encoders import ENCODER_LIMITATION, _ehr_encoder, open_ct_encoder
from core.train.finetune_ct import fine_tune_ct as fine_tune
from core.train.members import (
    FitConfig,
    FittedModel,
    MemberHistory,
    calibrate,
    finish_member,
    fit_embedding,
    standardised,
    train_member,
)
from core.train.model_card import make_card
from core.wording import count_of

MIN_EVENTS = 10


def fit_fusion(
    train: TokenSet,
    tuning: TokenSet,
    fusion: str,
    head: str = "piecewise",
    config: FitConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    device: str = "auto",
) -> FittedModel:
    """Train one ensemble. Scalers, time edges and baselines come from `train`; `tuning` chooses epoch and calibration.

    progress(share done, sentence) is called after every epoch. Same seed, same machine, same weights (CPU).
    Raises UserFacingError for an unknown fusion or head, too few events, or a modality that no training patient has.
    """
    config = config or FitConfig()
    check_fit(train, tuning, fusion, head)
    where, notices = resolve_device(device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _new_model(train, fusion, head, config)
        report = progress or (lambda share, words: None)
        histories = _train_members(model, train, tuning, config, seed, report, where)
    model.eval().requires_grad_(False)
    return FittedModel(model, config, seed, histories, where.type, notices)


def check_fit(train: TokenSet, tuning: TokenSet, fusion: str, head: str) -> None:
    """Refuse what cannot be trained, in words."""
    if fusion not in FUSIONS:
        raise UserFacingError(f"The fusion {fusion} is not known", " or ".join(FUSIONS), "Choose one of these")
    if head not in HEADS:
        raise UserFacingError(f"The survival head {head} is not known", " or ".join(HEADS), "Choose one of these")
    check_enough(int(train.events.sum()), len(tuning))
    lacking = [name for name, side in (("image", train.ct), ("ehr", train.ehr)) if not len(side.values)]
    if {"image_only": "image", "ehr_only": "ehr"}.get(fusion, "") in lacking or len(lacking) == 2:
        expected = {"image_only": "CT studies", "ehr_only": "events"}.get(fusion, "CT studies or events")
        raise UserFacingError("No training patient has the data this fusion reads", expected, "Add them")


def check_enough(events: int, tuning_patients: int) -> None:
    """Refuse a cohort with fewer events in training than any model needs, or nobody to tune on."""
    if events < MIN_EVENTS or not tuning_patients:
        raise UserFacingError(
            f"The training split has {count_of(events, 'event')} and the tuning split "
            f"{count_of(tuning_patients, 'patient')}.",
            f"at least {MIN_EVENTS} events and one tuning patient",
            "Add patients or longer follow-up.",
        )


def _new_model(train: TokenSet, fusion: str, head: str, config: FitConfig) -> SurvivalModel:
    edges = time_edges(train.times.numpy(), train.events.numpy(), config.pieces or HEAD_PIECES[head])
    sizes: dict[str, Any] = {
        "ct_width": int(train.ct.values.shape[1]),
        "ehr_width": int(train.ehr.values.shape[1]),
        "hidden": config.hidden,
        "heads": config.heads,
        "token_dropout": 0.0 if config.pooled else config.token_dropout,
        "pooled": config.pooled,
    }
    model = build_model(
        {
            "fusion": fusion,
            "head": head,
            "members": config.members,
            "pieces": len(edges) - 1,
            "sizes": sizes,
            "head_options": {"hidden": config.head_hidden, "dropout": config.dropout},
        }
    )
    for member in model.members:
        member.head.start(torch.as_tensor(edges, dtype=torch.float32), train.times, train.events)  # type: ignore[union-attr, operator]
    model.ct_standard.fit(train.ct.values)
    model.ehr_standard.fit(train.ehr.values)
    return model


def _train_members(
    model: SurvivalModel,
    train: TokenSet,
    tuning: TokenSet,
    config: FitConfig,
    seed: int,
    report: Callable[[float, str], None],
    where: torch.device,
) -> tuple[MemberHistory, ...]:
    model.to(where)
    train, tuning = (standardised(model, part.to(where)) for part in (train, tuning))
    histories = []
    for index in range(config.members):

        def step(share: float, words: str, index: int = index) -> None:
            report((index + share) / config.members, f"member {index + 1} of {config.members}, {words}")

        histories.append(train_member(model, index, train, tuning, config, seed, step))
        finish_member(model.members[index], train)  # type: ignore[arg-type]
    calibrate(model, train, tuning)
    fit_embedding(model, train)
    model.to("cpu")
    return tuple(histories)


def train_bundle(
    cohort: Path | str,
    task: str,
    fusion: str,
    out: Path | str,
    *,
    ct_encoder: str = "compact_slices",
    ehr_encoder: str = "compact_sequence",
    head: str = "piecewise",
    fine_tune_ct: bool = False,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Path:
    """Train on the cohort folder's train split, tune on its tuning split, write a bundle to `out`, return its path.

    ct_encoder: `compact_slices` (the shipped weights) or a bundle or encoder folder. ehr_encoder: `one_hot` or
    `compact_sequence`, fitted on the training split, or a bundle folder. The held-out split is not read.
    Raises `UserFacingError` on an unusable cohort, name or encoder.
    """
    folder, say = CohortFolder(cohort), progress or _print_progress
    if fusion not in FUSIONS or head not in HEADS:
        raise UserFacingError("That fusion or survival head is not known", ", ".join([*FUSIONS, *HEADS]), "Choose one")
    where, _ = resolve_device(device)
    card_task = folder.task(task)
    check_enough(int(folder.labels(task, "train")["event"].sum()), len(folder.labels(task, "tuning")))
    image_model, image_words, saw_virtual_only = None, "", False
    if fusion != "ehr_only":
        image_model, image_words, saw_virtual_only = open_ct_encoder(ct_encoder, card_task)
    record_model, record_words = (
        (None, "") if fusion == "image_only" else _ehr_encoder(ehr_encoder, folder, task, seed, where)
    )

    def encode(split: str) -> EncodedCohort:
        options: dict[str, Any] = {"device": where.type, "keep_slices": fine_tune_ct, "progress": say}
        return encode_cohort(folder, task, split, image_model, record_model, **options)

    encoded = {split: encode(split) for split in ("train", "tuning")}
    train, tuning = encoded["train"].tokens, encoded["tuning"].tokens
    config = FitConfig() if epochs is None else FitConfig(epochs=epochs, patience=max(epochs, 1), least_steps=0)
    fitted = fit_fusion(train, tuning, fusion, head, config, seed, say, device)
    if fine_tune_ct and image_model is not None:
        image_words += _fine_tune(fitted, image_model, encoded, seed, where, say)
        train, tuning = (retokenise(encoded[split], image_model, where.type) for split in ("train", "tuning"))
        refit(fitted.model, train, tuning)
    virtual = bool(folder.metadata.get("virtual"))
    encoders = [
        {"role": "image", "name": _named(ct_encoder), "provenance": image_words},
        {"role": "ehr", "name": _named(ehr_encoder), "provenance": record_words},
    ]
    card = make_card(
        replace(fitted, notices=(*fitted.notices, *_beyond_follow_up(fitted.model, card_task))),
        card_task,
        train,
        tuning,
        encoders=encoders,
        virtual=virtual,
        description=_cohort_words(folder, virtual),
        limitations=(ENCODER_LIMITATION,) if saw_virtual_only and not virtual else (),
        performance=[tuning_performance(fitted, tuning, card_task)],
    )
    training = {"seed": seed, "config": config.to_json(), "histories": [asdict(item) for item in fitted.histories]}
    return save_bundle(
        out, model=fitted.model, task=card_task, train=train, card=card, metrics={},
        ct_encoder=image_model, ehr_encoder=record_model, training=training,
    )  # fmt: skip


def _beyond_follow_up(model: SurvivalModel, task: Task) -> tuple[str, ...]:
    """A sentence on the horizons for which the model can give no risk."""
    last = model.last_supported_days
    beyond = [f"{days:,}" for days in task.horizons_days if not is_supported(days, last)]
    words = f"Training follow-up supports {last:,.0f} days; for {' and '.join(beyond)} days there is no risk."
    return (words,) if beyond else ()


def refit(model: SurvivalModel, train: TokenSet, tuning: TokenSet) -> None:
    """Fit again what hangs on the tokens but is not a network weight: stored baselines, calibration, principal axes."""
    standard = [standardised(model, part) for part in (train, tuning)]
    for member in model.members:
        finish_member(member, standard[0])  # type: ignore[arg-type]
    calibrate(model, *standard)
    fit_embedding(model, standard[0])
    model.eval().requires_grad_(False)


def tuning_performance(fitted: FittedModel, tuning: TokenSet, task: Task) -> dict[str, Any]:
    """Card row: Harrell concordance on the tuning patients, who also chose epoch and calibration (so optimistic)."""
    horizon = longest_horizon(fitted.model, task)
    with torch.no_grad():
        parts = [fitted.model.risk(tuning.batch(rows), horizon) for rows in batch_rows(len(tuning))]
    try:
        value: float | None = float(concordance(tuning.times.numpy(), tuning.events.numpy(), torch.cat(parts).numpy()))
    except UserFacingError:
        value = None
    return {
        "measure": f"Concordance, Harrell, risk at day {horizon:g} (optimistic: they chose epoch and calibration)",
        "value": value,
        "split": "tuning",
        "patients": len(tuning),
        "events": int(tuning.events.sum()),
    }


def _fine_tune(
    fitted: FittedModel,
    encoder: CompactSlices,
    encoded: dict[str, EncodedCohort],
    seed: int,
    where: torch.device,
    say: Progress,
) -> str:
    parts = [(encoded[split].tokens, encoded[split].slices) for split in ("train", "tuning")]
    result = fine_tune(fitted.model, encoder, *parts, seed=seed, device=where, progress=say)
    round_to_half(encoder)
    return "; fine-tuned with this model" if result.improved else "; fine-tuning did not help and was undone"


def _named(encoder: str) -> str:
    """The name of a shipped encoder; of others words, as a path of the machine belongs in no card."""
    return encoder if encoder in ("compact_slices", *EHR_ENCODERS) else "given as a folder"


def _cohort_words(folder: CohortFolder, virtual: bool) -> str:
    kind = "virtual patients with a known hazard" if virtual else "a cohort supplied by the user"
    return f"Training split of {kind}: {folder.metadata.get('dataset_name', 'without a name')}"


def _print_progress(share: float, words: str) -> None:
    print(f"{100 * share:5.1f}%  {words}", flush=True)
