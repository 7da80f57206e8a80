"""Training of the event model: guess the next token, tuning patients choose the weights, a killed run goes on."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.compute.device import resolve_device
from core.errors import UserFacingError
from core.foresee.events import PatientEvents
from core.foresee.fit_vocabulary import fit_vocabulary
from core.foresee.model import SIZES, EventModel, ModelConfig
from core.foresee.packing import Batch, Documents, as_documents, batches
from core.foresee.tokens import tokenise
from core.foresee.vocabulary import Vocabulary
from core.progress import Progress

STATE, CONFIG, WEIGHTS, VOCABULARY, LOG = (
    "training_state.pt", "config.json", "weights.safetensors", "vocabulary.parquet", "log.jsonl"
)  # fmt: skip
METHOD = "events"
_BETAS, _CLIP, _LEAST_RATE = (0.9, 0.95), 1.0, 0.05
_WARM_UP_SHARE, _WARM_UP_STEPS = 0.05, (10, 500)
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


@dataclass(frozen=True)
class Check:
    """One look at the tuning split. Losses are nats a token; by_kind: kind of token -> (loss, tokens)."""

    step: int
    epoch: int
    tokens: int
    seconds: float
    learning_rate: float
    train_loss: float
    tuning_loss: float
    by_kind: Mapping[str, tuple[float, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingReport:
    """checks: in order; the weights are those of the best one. stopped: "epochs", "patience" or "minutes"."""

    checks: tuple[Check, ...]
    stopped: str

    @property
    def best(self) -> Check:
        """The look with the least loss on tuning patients."""
        return min(self.checks, key=lambda check: check.tuning_loss)


@dataclass(frozen=True, eq=False)
class TrainedEventModel:
    """A model, ready to simulate, and what its tokens mean."""

    model: EventModel
    vocabulary: Vocabulary


def train_event_model(
    events: PatientEvents,
    splits: Mapping[str, Iterable[int]],
    options: EventTraining,
    folder: Path | str,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train on the patients of splits["train"], choose weights on those of splits["tuning"], write the model's folder.

    folder: config.json, weights.safetensors, vocabulary.parquet, log.jsonl (a line each look), and while it trains
    training_state.pt, from which a run with `resume` goes on. Nobody else's events are read.
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
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)
    kept = {"method": METHOD, "model": config.to_json(), "training": asdict(options), "stopped": report.stopped}
    (folder / CONFIG).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    (folder / STATE).unlink(missing_ok=True)
    return report


def load_event_model(folder: Path | str, device: str = "cpu") -> TrainedEventModel:
    """What `train_event_model` wrote. Raises UserFacingError where the folder holds no event model."""
    folder = Path(folder)
    where, _ = resolve_device(device)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model = EventModel(ModelConfig.from_json(config["model"]))
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        expected = f"{CONFIG}, {WEIGHTS} and {VOCABULARY} as pretrain wrote them"
        raise UserFacingError("The folder holds no event model", expected, "Choose another folder") from error
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    if len(vocabulary) != model.config.vocabulary:
        raise UserFacingError("Vocabulary and weights of the event model differ", "files of one training", "Copy both")
    return TrainedEventModel(model.to(where).eval().requires_grad_(False), vocabulary)


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
    run = _Run(model, train, tuning, options, folder, vocabulary)
    if options.resume:
        run.resume()
    stopped = run.until_the_end(progress or (lambda share, words: None))
    model.load_state_dict(run.best)
    model.cpu().eval().requires_grad_(False)
    return TrainingReport(tuple(run.checks), stopped)


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


class _Run:
    """A training under way: all that changes stands in `_state` and goes into one file."""

    def __init__(
        self,
        model: EventModel,
        train: Documents,
        tuning: Documents,
        options: EventTraining,
        folder: Path,
        vocabulary: Vocabulary | None,
    ) -> None:
        where, _ = resolve_device(options.device)
        self.model, self.train, self.options, self.folder = model.to(where), train, options, folder
        self.checked = _some(batches(tuning, options.context, options.batch_tokens, None))
        self.kinds = [part.kind for part in vocabulary.parts] if vocabulary else None
        self.optimiser = torch.optim.AdamW(
            _groups(model, options.weight_decay), lr=options.learning_rate, betas=_BETAS, fused=where.type == "cuda"
        )
        self.step = self.epoch = self.place = self.tokens = self.since_best = 0
        self.seconds = 0.0
        self.checks: list[Check] = []
        self.best = _copied(model)
        self.losses: list[float] = []
        self.last_tick = time.monotonic()

    def until_the_end(self, say: Progress) -> str:
        """Train; why it stopped."""
        options = self.options
        while self.epoch < options.epochs:
            packed = batches(
                self.train, options.context, options.batch_tokens, np.random.default_rng([options.seed, self.epoch])
            )
            total = len(packed) * options.epochs
            while self.place < len(packed):
                self._one_step(packed[self.place], total)
                out_of_time = self._share_of_budget() >= 1.0
                if self.step % options.check_steps == 0 or out_of_time or self.step == total:
                    self._look(say, total)
                if out_of_time:
                    return "minutes"
                if self.since_best >= options.patience:
                    return "patience"
            self.epoch, self.place = self.epoch + 1, 0
        return "epochs"

    def _one_step(self, batch: Batch, total: int) -> None:
        self.model.train().requires_grad_(True)
        rate = self._rate(total)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses, _ = next_token_loss(self.model, batch)
        loss = losses.mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        self.optimiser.step()
        self.losses.append(float(loss.detach()))
        self.step, self.place, self.tokens = self.step + 1, self.place + 1, self.tokens + len(losses)
        now = time.monotonic()
        self.seconds, self.last_tick = self.seconds + now - self.last_tick, now

    def _rate(self, total: int) -> float:
        """Warm-up, then a cosine down to a twentieth, by steps or by the budget of time, whichever is further on."""
        warm_up = min(max(round(_WARM_UP_SHARE * total), _WARM_UP_STEPS[0]), _WARM_UP_STEPS[1])
        share = min(max(self.step / total, self._share_of_budget()), 1.0)
        cosine = _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        return self.options.learning_rate * min(1.0, (self.step + 1) / warm_up) * cosine

    def _share_of_budget(self) -> float:
        minutes = self.options.minutes
        return 0.0 if minutes is None else self.seconds / max(60 * minutes, 1e-9)

    def _look(self, say: Progress, total: int) -> None:
        loss, by_kind = self._tuning_loss()
        train_loss, self.losses = float(np.mean(self.losses)) if self.losses else math.nan, []
        rate = float(self.optimiser.param_groups[0]["lr"])
        check = Check(self.step, self.epoch, self.tokens, round(self.seconds, 1), rate, train_loss, loss, by_kind)
        is_best = not self.checks or loss < min(known.tuning_loss for known in self.checks)
        self.checks.append(check)
        self.since_best = 0 if is_best else self.since_best + 1
        if is_best:
            self.best = _copied(self.model)
        self._save()
        share = min(max(self.step / total, self._share_of_budget()), 1.0)
        say(share, f"step {self.step:,}, loss {train_loss:.3f}, tuning {loss:.3f} nats a token")

    @torch.no_grad()
    def _tuning_loss(self) -> tuple[float, dict[str, tuple[float, int]]]:
        self.model.eval()
        found = [next_token_loss(self.model, batch) for batch in self.checked]
        losses = torch.cat([losses for losses, _ in found]).double().cpu().numpy()
        if self.kinds is None:
            return float(losses.mean()), {}
        kinds = np.array(self.kinds)[torch.cat([targets for _, targets in found]).cpu().numpy()]
        split = {str(kind): losses[kinds == kind] for kind in np.unique(kinds)}
        return float(losses.mean()), {kind: (round(float(own.mean()), 4), len(own)) for kind, own in split.items()}

    def _save(self) -> None:
        """One file, replaced at once, so that a run killed at any moment leaves a whole one."""
        rows = [asdict(check) for check in self.checks]
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "generator": torch.get_rng_state(),
            "places": [self.step, self.epoch, self.place, self.tokens, self.since_best],
            "seconds": self.seconds,
            "checks": rows,
            "options": asdict(replace(self.options, resume=False, minutes=None)),
        }
        if self.model.embedding.weight.is_cuda:
            state["cuda_generator"] = torch.cuda.get_rng_state()
        _replace(self.folder / STATE, lambda path: torch.save(state, path))
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        _replace(self.folder / LOG, lambda path: path.write_text(lines, encoding="utf-8"))

    def resume(self) -> None:
        """Go on from the file, where there is one; of another training's settings it is refused."""
        file = self.folder / STATE
        if not file.is_file():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["options"] != asdict(replace(self.options, resume=False, minutes=None)):
            raise UserFacingError(
                "The training that stopped had other settings", "the same settings", "Train into a new folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best, self.seconds = state["best"], state["seconds"]
        self.step, self.epoch, self.place, self.tokens, self.since_best = state["places"]
        self.checks = [Check(**row) for row in state["checks"]]
        torch.set_rng_state(state["generator"])
        if "cuda_generator" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_generator"])


def _some(packed: list[Batch]) -> list[Batch]:
    """Batches from all over the list, up to `_TUNING_TOKENS`."""
    size = sum(int(batch.targets.sum()) for batch in packed)
    return packed[:: max(1, round(size / _TUNING_TOKENS))]


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay, gains of norms do not."""
    matrices = [weights for weights in model.parameters() if weights.ndim > 1]
    others = [weights for weights in model.parameters() if weights.ndim == 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the file, then put it in its place in one step."""
    beside = path.with_name(path.name + ".new")
    write(beside)
    os.replace(beside, path)
