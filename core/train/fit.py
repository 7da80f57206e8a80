"""Train fusion survival models: from encoded tokens (`fit_fusion`), and from a cohort folder (`train_bundle`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.bundle import longest_horizon, save_bundle
from core.cohort.encoded import EncodedCohort, encode_cohort, retokenise
from core.cohort.folder import CohortFolder
from core.cohort.tasks import MIN_EVENTS, training_events_words
from core.compute.device import resolve_device
from core.encode import ENCODERS
from core.encode.ehr.cohort import CohortRecords
from core.encode.half import round_to_half
from core.errors import UserFacingError
from core.fuse import FUSIONS, FusionConfig, TokenSet, batch_rows
from core.progress import Progress
from core.records import EHR, IMAGE, SIGNALS, Task, is_supported
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder
from core.survive import bootstrap_concordance
from core.survive.heads import HEAD_PIECES, HEADS
from core.survive.likelihood import time_edges
from core.survive.model import SurvivalModel, build_model
from core.train.cross_fit import FOLDS, cross_fit
from core.train.encoders import ENCODER_LIMITATION, Training, open_encoder
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
from core.train.thinned import with_thinned
from core.wording import count_of

_INPUTS = {IMAGE: "CT studies", EHR: "events", SIGNALS: "ECGs"}


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
    reads = FUSIONS[fusion].reads
    if not any(len(train[name].values) for name in reads):
        expected = " or ".join(_INPUTS.get(name, name) for name in reads)
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
    reads = FUSIONS[fusion].reads
    sizes = FusionConfig(
        widths={name: train[name].width for name in reads},
        axes={name: train[name].axes for name in reads if train[name].axes > 1},
        hidden=config.hidden,
        heads=config.heads,
        token_dropout=0.0 if config.pooled else config.token_dropout,
        pooled=config.pooled,
    )
    model = build_model(
        {
            "fusion": fusion,
            "head": head,
            "members": config.members,
            "pieces": len(edges) - 1,
            "sizes": sizes.to_json(),
            "head_options": {"hidden": config.head_hidden, "dropout": config.dropout},
        }
    )
    for member in model.members:
        member.head.start(torch.as_tensor(edges, dtype=torch.float32), train.times, train.events)  # type: ignore[union-attr, operator]
    for name, standard in model.standard.items():
        standard.fit(train[name].values)  # type: ignore[operator]
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
    other_encoders: Mapping[str, str] | None = None,
    head: str = "piecewise",
    fine_tune_ct: bool = False,
    epochs: int | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Path:
    """Train on the cohort folder's train split, tune on its tuning split, write a bundle to `out`, return its path.

    ct_encoder: `compact_slices` (the shipped weights) or a bundle or encoder folder. ehr_encoder: `one_hot` or
    `compact_sequence`, fitted on the training split, or a bundle or encoder folder. other_encoders: the same by
    modality, for fusions that read more than these two. folds: how often the model is trained again on the rest of the
    patients, for the range around curves (`core.train.cross_fit`); 0 for no range. The held-out split is not read.
    Raises `UserFacingError` on an unusable cohort, name or encoder.
    """
    folder, say = CohortFolder(cohort), progress or _print_progress
    if fusion not in FUSIONS or head not in HEADS:
        raise UserFacingError("That fusion or survival head is not known", ", ".join([*FUSIONS, *HEADS]), "Choose one")
    where, _ = resolve_device(device)
    card_task = folder.task(task)
    events = int(folder.labels(task, "train")["event"].sum())
    check_enough(events, len(folder.labels(task, "tuning")))
    say(0.0, training_events_words(events))
    named = {IMAGE: ct_encoder, EHR: ehr_encoder, SIGNALS: "ecg_segments", **(other_encoders or {})}
    training = Training(folder, card_task, seed, where)
    opened = {name: open_encoder(name, named[name], training) for name in FUSIONS[fusion].reads}
    encoders = {name: item.encoder for name, item in opened.items()}
    words = {name: item.words for name, item in opened.items()}

    def encode(split: str) -> EncodedCohort:
        options: dict[str, Any] = {"device": where.type, "keep_scans": fine_tune_ct, "progress": say}
        return encode_cohort(folder, task, split, encoders, **options)

    encoded = {split: encode(split) for split in ("train", "tuning")}
    records = {
        split: partial(_thinned_too, folder.records(part.labels), encoders, seed) for split, part in encoded.items()
    }
    train, tuning = (add_thinned(encoded[split].tokens) for split, add_thinned in records.items())
    config = FitConfig() if epochs is None else FitConfig(epochs=epochs, patience=max(epochs, 1), least_steps=0)
    fitted = fit_fusion(train, tuning, fusion, head, config, seed, say, device)
    image = encoders.get(IMAGE)
    if fine_tune_ct and isinstance(image, CtEncoder):
        words[IMAGE] += _fine_tune(fitted, image, encoded, seed, where, say)
        train, tuning = (
            add_thinned(retokenise(encoded[split], image, where.type)) for split, add_thinned in records.items()
        )
        refit(fitted.model, train, tuning)
    outcomes = None
    if folds:
        crossed = cross_fit(
            train,
            tuning,
            card_task,
            partial(_again, fitted, fusion, head, device),
            seed=seed,
            folds=folds,
            progress=say,
        )
        if crossed is not None:
            crossed.calibrate(fitted)
            outcomes = crossed.outcomes
    virtual = bool(folder.metadata.get("virtual"))
    card = make_card(
        replace(fitted, notices=(*fitted.notices, *_beyond_follow_up(fitted.model, card_task))),
        card_task,
        train,
        tuning,
        encoders=[
            {"role": name, "name": _named(name, named[name]), "provenance": said} for name, said in words.items()
        ],
        virtual=virtual,
        description=_cohort_words(folder, virtual),
        limitations=(ENCODER_LIMITATION,) if IMAGE in opened and opened[IMAGE].virtual and not virtual else (),
        performance=[tuning_performance(fitted, tuning, card_task)],
    )
    history = {"seed": seed, "config": config.to_json(), "histories": [asdict(item) for item in fitted.histories]}
    return save_bundle(
        out, model=fitted.model, task=card_task, train=train, card=card, metrics={},
        encoders=encoders, training=history, outcomes=outcomes,
    )  # fmt: skip


def _thinned_too(records: CohortRecords, encoders: Mapping[str, Encoder], seed: int, tokens: TokenSet) -> TokenSet:
    """The tokens of these records, with copies of thinned ones beside them where records are read."""
    record = encoders.get(EHR)
    return with_thinned(tokens, records, record, seed) if isinstance(record, RecordEncoder) else tokens


def _again(
    fitted: FittedModel, fusion: str, head: str, device: str, train: TokenSet, tuning: TokenSet, seed: int
) -> FittedModel:
    """The same training on other patients."""
    return fit_fusion(train, tuning, fusion, head, fitted.config, seed, device=device)


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
    """Card row: Harrell concordance on the tuning patients, who also chose epoch and calibration (so optimistic),
    with the 95% interval of a bootstrap of patients."""
    horizon = longest_horizon(fitted.model, task)
    with torch.no_grad():
        parts = [fitted.model.risk(tuning.batch(rows), horizon) for rows in batch_rows(len(tuning))]
    try:
        found = bootstrap_concordance(tuning.times.numpy(), tuning.events.numpy(), torch.cat(parts).numpy())
        measured: dict[str, float | None] = {"value": found.value, "lower": found.lower, "upper": found.upper}
    except UserFacingError:
        measured = {"value": None}
    return {
        "measure": f"Concordance, Harrell, risk at day {horizon:g} (optimistic: they chose epoch and calibration)",
        **measured,
        "split": "tuning",
        "patients": len(tuning),
        "events": int(tuning.events.sum()),
    }


def _fine_tune(
    fitted: FittedModel,
    encoder: CtEncoder,
    encoded: dict[str, EncodedCohort],
    seed: int,
    where: torch.device,
    say: Progress,
) -> str:
    parts = [(encoded[split].tokens, encoded[split].scans) for split in ("train", "tuning")]
    result = fine_tune(fitted.model, encoder, *parts, seed=seed, device=where, progress=say)
    round_to_half(encoder)
    return "; fine-tuned with this model" if result.improved else "; fine-tuning did not help and was undone"


def _named(modality: str, encoder: str) -> str:
    """The name of a known encoder; of others words, as a path of the machine belongs in no card."""
    return encoder if encoder in ENCODERS.get(modality, {}) else "given as a folder"


def _cohort_words(folder: CohortFolder, virtual: bool) -> str:
    kind = "virtual patients with a known hazard" if virtual else "a cohort supplied by the user"
    return f"Training split of {kind}: {folder.metadata.get('dataset_name', 'without a name')}"


def _print_progress(share: float, words: str) -> None:
    print(f"{100 * share:5.1f}%  {words}", flush=True)
