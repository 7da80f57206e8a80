"""Training that survives a hospital: a budget of time, tuning patients choose the weights, a killed run goes on.

What is learned is a `Lesson`; how it is walked through is the same for every method of pretraining.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.compute.device import resolve_device
from core.errors import UserFacingError
from core.progress import Progress

STATE, LOG = "training_state.pt", "log.jsonl"
_LEAST_RATE = 0.05
_MAY_DIFFER = ("resume", "minutes", "device")
_WARM_UP_SHARE, _WARM_UP_STEPS = 0.05, (10, 500)


class Lesson(Protocol):
    """What is learned: batches, their loss, and the loss of tuning patients.

    The global torch generator drives whatever is random within a step; it is kept with the state.
    """

    unit: str
    """Of the loss, in words."""

    @property
    def module(self) -> nn.Module:
        """All that learns."""

    @property
    def named(self) -> Mapping[str, Any]:
        """Settings that must be the same for a run to go on, JSON-able."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch, in order: the same whenever they are asked for."""

    def loss(self, batch: Any) -> tuple[Tensor, int]:
        """Loss of one batch, a scalar that can be differentiated, and how many targets it is the mean of."""

    def tuning_loss(self) -> tuple[float, Mapping[str, Any]]:
        """Mean loss over tuning patients, and what else the log should tell. The module is in evaluation mode."""


@dataclass(frozen=True)
class LoopOptions:
    """minutes: a budget; the learning rate falls to its end within it. check_steps: steps between looks at tuning
    patients; None: once an epoch. patience: looks without a better loss before training stops."""

    epochs: int = 20
    minutes: float | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    check_steps: int | None = None
    patience: int = 6
    seed: int = 0
    device: str = "auto"
    resume: bool = False


@dataclass(frozen=True)
class Check:
    """One look at the tuning patients. targets: seen so far. told: what the lesson said beside its loss."""

    step: int
    epoch: int
    targets: int
    seconds: float
    learning_rate: float
    train_loss: float
    tuning_loss: float
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingReport:
    """checks: in order; the weights are those of the best one. stopped: "epochs", "patience" or "minutes"."""

    checks: tuple[Check, ...]
    stopped: str

    @property
    def best(self) -> Check:
        """The look with the least loss on tuning patients."""
        return min(self.checks, key=lambda check: check.tuning_loss)


def learn(lesson: Lesson, options: LoopOptions, folder: Path, progress: Progress | None = None) -> TrainingReport:
    """Train `lesson.module` in place and keep the weights that are best on tuning patients.

    The module comes back on the CPU, frozen. folder: holds log.jsonl (a line each look) and, until `finished`,
    training_state.pt, from which a run with `resume` goes on. Raises UserFacingError where that is of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(lesson, options, folder)
    if options.resume:
        run.resume()
    stopped = run.until_the_end(progress or (lambda share, words: None))
    lesson.module.load_state_dict(run.best)
    lesson.module.cpu().eval().requires_grad_(False)
    return TrainingReport(tuple(run.checks), stopped)


def finished(folder: Path) -> None:
    """The weights are kept elsewhere: the state to go on from is no longer needed."""
    (folder / STATE).unlink(missing_ok=True)


class _Run:
    """A training under way: all that changes goes into one file at each look."""

    def __init__(self, lesson: Lesson, options: LoopOptions, folder: Path) -> None:
        where, _ = resolve_device(options.device)
        self.lesson, self.options, self.folder = lesson, options, folder
        self.module = lesson.module.to(where)
        self.module.requires_grad_(True)
        groups = _groups(self.module, options.weight_decay)
        fused = where.type == "cuda"
        self.optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.betas, fused=fused)
        self.where = where
        self.step = self.epoch = self.place = self.targets = self.since_best = 0
        self.seconds = 0.0
        self.checks: list[Check] = []
        self.best = _copied(self.module)
        self.losses: list[float] = []
        self.last_tick = time.monotonic()

    def until_the_end(self, say: Progress) -> str:
        """Train; why it stopped."""
        options = self.options
        if self.checks and self.since_best >= options.patience:
            return "patience"
        while self.epoch < options.epochs:
            batches = self.lesson.batches(self.epoch)
            total = len(batches) * options.epochs
            every = options.check_steps or max(len(batches), 1)
            while self.place < len(batches):
                self._one_step(batches[self.place], total)
                out_of_time = self._share_of_budget() >= 1.0
                if self.step % every == 0 or out_of_time or self.step == total:
                    self._look(say, total)
                if out_of_time:
                    return "minutes"
                if self.since_best >= options.patience:
                    return "patience"
            self.epoch, self.place = self.epoch + 1, 0
        return "epochs"

    def _one_step(self, batch: Any, total: int) -> None:
        self.module.train()
        rate = self._rate(total)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.where.type, torch.bfloat16, enabled=self.where.type == "cuda"):
            loss, targets = self.lesson.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), self.options.clip)
        self.optimiser.step()
        self.losses.append(float(loss.detach()))
        self.step, self.place, self.targets = self.step + 1, self.place + 1, self.targets + targets
        now = time.monotonic()
        self.seconds, self.last_tick = self.seconds + now - self.last_tick, now

    def _rate(self, total: int) -> float:
        """Warm-up over a twentieth, then a cosine down to a twentieth, by steps or by the budget of time, whichever is
        further on."""
        warm_up = min(max(round(_WARM_UP_SHARE * total), _WARM_UP_STEPS[0]), _WARM_UP_STEPS[1])
        share = min(max(self.step / total, self._share_of_budget()), 1.0)
        cosine = _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        warm = max((self.step + 1) / warm_up, self._share_of_budget() / _WARM_UP_SHARE)
        return self.options.learning_rate * min(1.0, warm) * cosine

    def _share_of_budget(self) -> float:
        minutes = self.options.minutes
        return 0.0 if minutes is None else self.seconds / max(60 * minutes, 1e-9)

    def _look(self, say: Progress, total: int) -> None:
        self.module.eval()
        with torch.no_grad(), torch.autocast(self.where.type, torch.bfloat16, enabled=self.where.type == "cuda"):
            loss, told = self.lesson.tuning_loss()
        train_loss, self.losses = float(np.mean(self.losses)) if self.losses else math.nan, []
        rate = float(self.optimiser.param_groups[0]["lr"])
        check = Check(self.step, self.epoch, self.targets, round(self.seconds, 1), rate, train_loss, loss, told)
        is_best = not self.checks or loss < min(known.tuning_loss for known in self.checks)
        self.checks.append(check)
        self.since_best = 0 if is_best else self.since_best + 1
        if is_best:
            self.best = _copied(self.module)
        self._save()
        share = min(max(self.step / total, self._share_of_budget()), 1.0)
        say(
            share, f"step {self.step:,}, loss {train_loss:.3f}, tuning {loss:.3f} {self.lesson.unit}{self._left(share)}"
        )

    def _left(self, share: float) -> str:
        """Time that is left, at most, in words."""
        if not 0 < share < 1:
            return ""
        minutes = self.seconds * (1 - share) / share / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"

    def _save(self) -> None:
        """One file, replaced at once, so that a run killed at any moment leaves a whole one."""
        rows = [asdict(check) for check in self.checks]
        state: dict[str, Any] = {
            "model": self.module.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "generator": torch.get_rng_state(),
            "places": [self.step, self.epoch, self.place, self.targets, self.since_best],
            "seconds": self.seconds,
            "checks": json.dumps(rows),
            "settings": self._settings(),
        }
        if self.where.type == "cuda":
            state["cuda_generator"] = torch.cuda.get_rng_state()
        replace_file(self.folder / STATE, lambda path: torch.save(state, path))
        lines = "".join(json.dumps(row.pop("told") | row) + "\n" for row in map(asdict, self.checks))
        replace_file(self.folder / LOG, lambda path: path.write_text(lines, encoding="utf-8"))

    def _settings(self) -> str:
        """What must be the same for a run to go on: not where it runs, how long, or whether it was stopped before."""
        own = {
            name: value for name, value in asdict(self.options).items() if name not in ("resume", "minutes", "device")
        }
        return json.dumps([own, dict(self.lesson.named)], sort_keys=True)

    def resume(self) -> None:
        """Go on from the file, where there is one; of another training's settings it is refused."""
        file = self.folder / STATE
        if not file.is_file():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["settings"] != self._settings():
            raise UserFacingError(
                "The training that stopped had other settings", "the same settings", "Train into a new folder"
            )
        self.module.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best, self.seconds = state["best"], state["seconds"]
        self.step, self.epoch, self.place, self.targets, self.since_best = state["places"]
        self.checks = [Check(**row) for row in json.loads(state["checks"])]
        torch.set_rng_state(state["generator"])
        if "cuda_generator" in state and self.where.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_generator"])


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; gains, biases and norms do not."""
    matrices = [weights for weights in model.parameters() if weights.ndim > 1]
    others = [weights for weights in model.parameters() if weights.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the file, then put it in its place in one step."""
    beside = path.with_name(path.name + ".new")
    write(beside)
    os.replace(beside, path)
