"""`pretrain --method tte`: a 3D CT encoder learns from scans what their patients' records say later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.cohort.folder import CohortFolder
from core.compute.training_loop import LoopOptions, finished, learn
from core.encode.ct.volume import VolumeEncoder, build_volume
from core.encode.encoder_card import Learned, LearnedFrom, encoder_card
from core.encode.folder import write_encoder_folder
from core.errors import UserFacingError
from core.pretrain.options import PretrainOptions
from core.pretrain.tte.loss import TteHead, log_rates, risks_of
from core.pretrain.tte.tasks import FutureEvents, choose_tasks, future_events, piece_edges
from core.pretrain.tte.volumes import Scans, augmentation, changed, config_for, scans_of
from core.progress import Progress
from core.records import IMAGE, Float64Array

if TYPE_CHECKING:
    import pandas as pd
    from monai.transforms.compose import Compose

EPOCHS, BATCH, INNER = 30, 16, 64
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.02
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TteData:
    """Scans of a split and what followed each of them, of the same tasks in every split."""

    scans: Scans
    events: FutureEvents


def pretrain_tte(options: PretrainOptions, progress: Progress) -> tuple[str, ...]:
    """Train on the train split's scans, choose weights on the tuning split, write `options.out`."""
    folder = CohortFolder(options.cohort)
    excluded = _codes_of(options)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        encoder = build_volume(config_for(folder, options.backbone or "small"))
    scans = {split: scans_of(folder, split, encoder, progress) for split in ("train", "tuning")}
    events = {split: future_events(folder.events, one.subject_ids, one.times, excluded) for split, one in scans.items()}
    tasks = choose_tasks(events["train"], options.tasks, folder.events)
    names = tuple(tasks["code"])
    data = {split: _followed(scans[split], events[split].of_tasks(names)) for split in scans}
    edges = piece_edges(data["train"].events, options.pieces)
    lesson = TteLesson(encoder, data["train"], data["tuning"], edges, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    loop = LoopOptions(
        epochs=options.epochs or EPOCHS,
        minutes=options.minutes,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        seed=options.seed,
        device=options.device,
        resume=options.resume,
    )
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        report = learn(lesson, loop, options.out, progress)
    _described(tasks, folder).to_parquet(options.out / "tasks.parquet", index=False)
    save_file(
        {name: value.half().contiguous() for name, value in lesson.head.state_dict().items()},
        options.out / "head.safetensors",
    )
    virtual = bool(folder.metadata.get("virtual"))
    kind = "virtual patients" if virtual else "a cohort supplied by the user"
    count = {split: len(np.unique(one.scans.subject_ids)) for split, one in data.items()}
    card = encoder_card(
        "3D CT encoder that learned from later records",
        "tte",
        "Research: a frozen CT encoder for survival models on few labels.",
        LearnedFrom(f"Training split of {kind}", virtual, count["train"], count["tuning"]),
        Learned(
            "times from the scan to the next occurrence of codes in the record",
            len(names),
            lesson.unit,
            report.best.tuning_loss,
            report.stopped,
        ),
    )
    write_encoder_folder(
        options.out, encoder, modality=IMAGE, method="tte", card=card,
        training={"edges_days": [float(edge) for edge in edges[1:-1]], "inner": INNER, "seed": options.seed,
                  "excluded": list(excluded)},
    )  # fmt: skip
    finished(options.out)
    followed = data["train"]
    return (
        f"{len(names):,} tasks, {len(followed.events.code_ids):,} events after {len(followed.scans):,} scans.",
        f"Tuning loss {report.best.tuning_loss:.4f} {lesson.unit}; stopped by {report.stopped}.",
    )


class TteLesson:
    """What follows a scan, from the scan: a `Lesson` of scans."""

    unit = "nats a patient and task"

    def __init__(
        self,
        encoder: VolumeEncoder,
        train: TteData,
        tuning: TteData,
        edges: Float64Array,
        seed: int,
        *,
        augment: bool = True,
        start_at_rates: bool = True,
    ) -> None:
        self.encoder, self.train, self.tuning, self.edges, self.seed = encoder, train, tuning, edges, seed
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rates = log_rates(train.events)
            self.head = TteHead(
                encoder.width, len(edges) - 1, INNER, rates if start_at_rates else torch.zeros_like(rates)
            )
        self.module = nn.ModuleDict({"encoder": encoder, "head": self.head})
        self.change: Compose | None = augmentation() if augment else None

    @property
    def named(self) -> Mapping[str, Any]:
        """What a run that goes on must share."""
        return {**self.encoder.config, "tasks": list(self.train.events.codes), "edges": self.edges[1:-1].tolist()}

    def batches(self, epoch: int) -> list[Rows]:
        """Every scan once, in an order of the epoch's own."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.train.scans))
        return np.array_split(order, max(1, round(len(order) / BATCH)))

    def loss(self, batch: Rows) -> tuple[Tensor, int]:
        """Nats a patient and task."""
        return self._loss(self.train, batch, self.change), len(batch)

    def tuning_loss(self) -> tuple[float, dict[str, Any]]:
        """Nats a patient and task."""
        parts = np.array_split(np.arange(len(self.tuning.scans)), max(1, len(self.tuning.scans) // BATCH))
        losses = [float(self._loss(self.tuning, rows, None)) for rows in parts]
        return float(np.average(losses, weights=[len(rows) for rows in parts])), {}

    def _loss(self, data: TteData, rows: Rows, change: Compose | None) -> Tensor:
        device = self.head.bias.device
        volumes = changed([data.scans.volumes[row] for row in rows.tolist()], change)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            features = window_means(self.encoder(torch.cat(volumes).to(device))[:, -1], list(map(len, volumes)))
        risks = risks_of(data.events, rows, self.edges).to(device)
        return self.head.loss(features.float(), risks)


def window_means(summed: Tensor, windows: list[int]) -> Tensor:
    """Of each scan the mean over its windows: (sum of windows, D) -> (B, D)."""
    return torch.stack([part.mean(0) for part in torch.split(summed, windows)])


def _followed(scans: Scans, events: FutureEvents) -> TteData:
    """Without scans that nothing follows. Raises UserFacingError where that leaves none."""
    kept = np.flatnonzero(events.follow_up_days > 0)
    if not len(kept):
        raise UserFacingError("No scan has a record after it.", "coded events after the scans", "Bring longer records.")
    place = np.full(len(events), -1, np.int64)
    place[kept] = np.arange(len(kept))
    own = place[events.patients] >= 0
    some = FutureEvents(
        events.codes,
        place[events.patients[own]],
        events.code_ids[own],
        events.days[own],
        events.follow_up_days[kept],
    )
    return TteData(
        Scans([scans.volumes[row] for row in kept.tolist()], scans.subject_ids[kept], scans.times[kept]), some
    )


def _codes_of(options: PretrainOptions) -> tuple[str, ...]:
    if options.exclude_codes is None:
        return ()
    try:
        lines = options.exclude_codes.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserFacingError(
            "The file of codes to leave out cannot be read.", "a text file with a code a line", "Check --exclude-codes."
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _described(tasks: pd.DataFrame, folder: CohortFolder) -> pd.DataFrame:
    """The tasks with what the cohort calls them."""
    known = folder.codes.dropna(subset=["description"]).set_index("code")["description"].to_dict()
    return tasks.assign(description=[str(known.get(code, "")) for code in tasks["code"]])
