"""What `python -m core pretrain` is asked for; each method reads the fields that concern it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class PretrainOptions:
    """cohort: folder (docs/data-model.md). out: encoder folder to write. task: whose outcome a method learns, if any.

    backbone: network or size by name; None: the method's own. tasks, pieces: of time-to-event pretraining.
    exclude_codes: file with a code a line, left out with all their descendants. stages, without: of hierarchical
    pretraining. epochs: None: the method's own. minutes: a budget of time. resume: go on where a run was stopped.
    """

    cohort: Path
    out: Path
    task: str | None = None
    backbone: str | None = None
    tasks: int = 1024
    pieces: int = 8
    exclude_codes: Path | None = None
    stages: str = "ab"
    without: tuple[str, ...] = field(default_factory=tuple)
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    resume: bool = False
