"""A guard against hangs: what would take minutes is interrupted; how fast the rest is, benches measure."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HANG_S = 20.0
"""Processor seconds that no guarded call comes near to on a slow machine (about one at most on an ordinary one)."""


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail once the block has computed for HANG_S; the time that other processes take does not count."""

    def interrupt(*_: object) -> None:
        pytest.fail(f"still computing after {HANG_S:.0f} s of processor time")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
