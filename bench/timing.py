"""Best times of tasks that take turns, so that other work on the machine meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Seconds(NamedTuple):
    """Wall time and processor time (user and system, all threads)."""

    wall: float
    processor: float


def timed(task: Callable[[], object]) -> Seconds:
    """The time of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    task()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def best(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, Seconds]:
    """Least wall and least processor time of each task; one whose package is not installed is left out."""
    times: dict[str, Seconds] = {}
    for _ in range(repeats):
        for name, task in tasks.items():
            try:
                now = timed(task)
            except ImportError:
                continue
            least = times.get(name, now)
            times[name] = Seconds(min(least.wall, now.wall), min(least.processor, now.processor))
    return times
