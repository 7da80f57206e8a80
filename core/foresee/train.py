"""Training of the event model: guess the next token, tuning patients choose the weights, a killed run goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional as F

from core.compute.device import resolve_device
from core.compute.training_loop import LoopOptions, TrainingReport, finished, learn
from core.encode.encoder_card import Learned, LearnedFrom, check_encoder_card, encoder_card
from core.encode.folder import FILES, write_learned
from core.encode.half import round_to_half
from core.errors import UserFacingError
from core.foresee.events import PatientEvents
from core.foresee.fit_vocabulary import fit_vocabulary
from core.foresee.model import SIZES, EventModel, ModelConfig
from core.foresee.packing import Batch, Documents, as_documents, batches
from core.foresee.tokens import tokenise
from core.foresee.vocabulary import Vocabulary
from core.progress import Progress
from core.sealed_folder import FolderKind, open_sealed, read_json

VOCABULARY = "vocabulary.parquet"
METHOD = "events"
_AGAIN = "Choose another event model, or put the unchanged folder in its place."
KIND = FolderKind("event model", "event model's", (*FILES, VOCABULARY), ("log.jsonl",), _AGAIN)
_UNTOLD = "Events that the caller gave"
_BETAS = (0.9, 0.95)
_TUNING_TOKENS = 300_000
"""Tokens of the tuning split that are looked at each time, at most."""


@dataclass(frozen=True)
class EventTraining:
    """size: one of `core.foresee.model.SIZES`. context: longest sequence. batch_tokens: tokens a step.

    minutes: a budget; the learning rate falls to its end within it. check_steps: steps between looks at the tuning
    split; patience: looks without a better loss before training stops. least: see `fit_vocabulary`.
    """

    size: str = "0.4m"
    context: int = 512
    batch_tokens: int = 8192
    epochs: int = 20
    minutes: float | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.1
    check_steps: int = 100
    patience: int = 6
    least: int = 10
    seed: int = 0
    device: str = "auto"
    resume: bool = False

    @property
    def loop(self) -> LoopOptions:
        """What the loop is told."""
        shared = {one.name: getattr(self, one.name) for one in fields(LoopOptions) if hasattr(self, one.name)}
        return LoopOptions(**{**shared, "betas": _BETAS})


@dataclass(frozen=True, eq=False)
class TrainedEventModel:
    """A model, ready to simulate, and what its tokens mean. card, digest: of its folder, where it has one."""

    model: EventModel
    vocabulary: Vocabulary
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def virtual(self) -> bool:
        """Whether it learned from virtual patients only."""
        return bool(self.card.get("learned_from", {}).get("virtual", False))


def train_event_model(
    events: PatientEvents,
    splits: Mapping[str, Iterable[int]],
    options: EventTraining,
    folder: Path | str,
    progress: Progress | None = None,
    *,
    described: str = _UNTOLD,
    virtual: bool = False,
) -> TrainingReport:
    """Train on the patients of splits["train"], choose weights on those of splits["tuning"], write the model's folder.

    folder: config.json, weights.safetensors (float16), card.json, manifest.json, vocabulary.parquet, log.jsonl (a line
    each look), and while it trains training_state.pt, from which a run with `resume` goes on. Nobody else's events are
    read. described, virtual: the patients, for the card.
    Raises UserFacingError for an unknown size, or splits without events.
    """
    if options.size not in SIZES:
        raise UserFacingError("The size of the event model is not known", ", ".join(SIZES), "Choose one of these")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: events.of(splits[name]) for name in ("train", "tuning")}
    vocabulary = fit_vocabulary(own["train"], options.least)
    documents = {name: as_documents(tokenise(part, vocabulary), options.context) for name, part in own.items()}
    if not all(len(part) and part.targets for part in documents.values()):
        raise UserFacingError("The training or the tuning split has no dated event", "events in both", "Add patients")
    vocabulary.save(folder / VOCABULARY)
    config = ModelConfig.of_size(options.size, len(vocabulary), context=options.context, dropout=options.dropout)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = EventModel(config)
        report = fit(model, documents["train"], documents["tuning"], options, folder, progress, vocabulary)
    round_to_half(model)
    learned_from = LearnedFrom(described, virtual, len(own["train"]), len(own["tuning"]))
    write_learned(
        folder,
        method=METHOD,
        config={"model": config.to_json(), "training": asdict(options)},
        card=_card(learned_from, vocabulary, report),
        tensors={name: value.half().contiguous() for name, value in model.state_dict().items()},
    )
    finished(folder)
    return report


def _card(learned_from: LearnedFrom, vocabulary: Vocabulary, report: TrainingReport) -> dict[str, Any]:
    learned = Learned(
        targets="the next token of a record: codes, numbers in tenths, and the time between events",
        count=len(vocabulary),
        loss=_NextTokens.unit,
        tuning_loss=report.best.tuning_loss,
        stopped_by=report.stopped,
    )
    use = "Research on simulated futures of a record: risks read off them are of this model, not causes."
    limits = ("It knows what was coded, not what happened; a future it never saw it cannot simulate.",)
    return encoder_card("Event model of coded records", METHOD, use, learned_from, learned, limits)


def load_event_model(folder: Path | str, device: str = "cpu") -> TrainedEventModel:
    """What `train_event_model` wrote. Raises UserFacingError where the folder holds no event model, or another one than
    its manifest names."""
    folder = Path(folder)
    where, _ = resolve_device(device)
    sealed = open_sealed(folder, KIND)
    config, card = (read_json(sealed.contents[name], name, KIND) for name in ("config.json", "card.json"))
    check_encoder_card(card)
    try:
        model = EventModel(ModelConfig.from_json(config["model"]))
        model.load_state_dict(load(sealed.contents["weights.safetensors"]))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        expected = "weights and configuration of one event model"
        raise UserFacingError("The folder holds no event model", expected, "Choose another folder") from error
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    if len(vocabulary) != model.config.vocabulary:
        raise UserFacingError("Vocabulary and weights of the event model differ", "files of one training", "Copy both")
    return TrainedEventModel(model.to(where).eval().requires_grad_(False), vocabulary, card, sealed.digest)


def fit(
    model: EventModel,
    train: Documents,
    tuning: Documents,
    options: EventTraining,
    folder: Path,
    progress: Progress | None = None,
    vocabulary: Vocabulary | None = None,
) -> TrainingReport:
    """Train in place and keep the weights that are best on `tuning`; the model comes back on the CPU, frozen.

    The global torch generator drives dropout. vocabulary: names the kinds in the log.
    """
    return learn(_NextTokens(model, train, tuning, options, vocabulary), options.loop, folder, progress)


def next_token_loss(model: EventModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """-log p of every token to be guessed (k,), in nats, and these tokens (k,)."""
    device = model.embedding.weight.device
    tokens, documents, positions = (
        torch.from_numpy(part).to(device) for part in (batch.tokens, batch.documents, batch.positions)
    )
    guessed = torch.from_numpy(batch.targets[:, 1:]).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        states = model(tokens, documents, positions)
        logits = model.logits(states[:, :-1][guessed])
    targets = tokens[:, 1:][guessed]
    return F.cross_entropy(logits.float(), targets, reduction="none"), targets


class _NextTokens:
    """Guess the next token: a `Lesson` of packed documents."""

    unit = "nats a token"

    def __init__(
        self,
        model: EventModel,
        train: Documents,
        tuning: Documents,
        options: EventTraining,
        vocabulary: Vocabulary | None,
    ) -> None:
        self.module, self.train, self.options = model, train, options
        self.named = {name: getattr(options, name) for name in ("size", "context", "batch_tokens", "dropout", "least")}
        self.checked = _some(batches(tuning, options.context, options.batch_tokens, None))
        self.kinds = [part.kind for part in vocabulary.parts] if vocabulary else None

    def batches(self, epoch: int) -> list[Batch]:
        """All documents, packed in an order of the epoch's own."""
        order = np.random.default_rng([self.options.seed, epoch])
        return batches(self.train, self.options.context, self.options.batch_tokens, order)

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Nats a token."""
        losses, _ = next_token_loss(self.module, batch)
        return losses.mean(), len(losses)

    def tuning_loss(self) -> tuple[float, dict[str, Any]]:
        """Nats a token; by kind of token, (loss, tokens)."""
        found = [next_token_loss(self.module, batch) for batch in self.checked]
        losses = torch.cat([losses for losses, _ in found]).double().cpu().numpy()
        if self.kinds is None:
            return float(losses.mean()), {"by_kind": {}}
        kinds = np.array(self.kinds)[torch.cat([targets for _, targets in found]).cpu().numpy()]
        split = {str(kind): losses[kinds == kind] for kind in np.unique(kinds)}
        by_kind = {kind: (round(float(own.mean()), 4), len(own)) for kind, own in split.items()}
        return float(losses.mean()), {"by_kind": by_kind}


def _some(packed: list[Batch]) -> list[Batch]:
    """Batches from all over the list, up to `_TUNING_TOKENS`."""
    size = sum(int(batch.targets.sum()) for batch in packed)
    return packed[:: max(1, round(size / _TUNING_TOKENS))]
