"""Work in a thread of its own, watched and cancelled from outside; its result belongs to whoever holds the job."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

from core.errors import UserFacingError
from core.progress import Progress

T = TypeVar("T")

UNFORESEEN = UserFacingError(
    "Reading stopped at something unforeseen.",
    "a CT study or an events file as described on this page",
    "Try another export of the data; the file itself was not changed.",
)

TOLD_FROM = 0.05
"""Share of a work that must be done before it tells how long the rest will take."""
Turns = threading.BoundedSemaphore
NUMBERS = count(1)


class Cancelled(Exception):
    """The reader no longer wants the result."""


class _State(Generic[T]):
    """What thread and holder share."""

    def __init__(self, words: str) -> None:
        self.share, self.words = 0.0, words
        self.begun = self.told = time.monotonic()
        self.done, self.cancelled = threading.Event(), threading.Event()
        self.result: T | None = None
        self.error: UserFacingError | None = None

    def tell(self, share: float, words: str) -> None:
        """Keep the progress. Raises Cancelled where nobody waits any more."""
        if self.cancelled.is_set():
            raise Cancelled
        self.share, self.words, self.told = min(max(share, 0.0), 1.0), words, time.monotonic()


class Job(Generic[T]):
    """Runs `work(tell)` in a daemon thread; cancelled when told to, and when nobody holds the job any more.

    number: tells it from every other job.
    turns: as many jobs of a kind as they admit run at once, those of all sessions together; the others say that they
    wait. unforeseen: what is said of an error that nobody foresaw.
    """

    def __init__(
        self,
        words: str,
        work: Callable[[Progress], T],
        *,
        turns: Turns,
        unforeseen: UserFacingError = UNFORESEEN,
    ) -> None:
        self._state: _State[T] = _State(words)
        self.number, self.started = next(NUMBERS), time.monotonic()
        weakref.finalize(self, self._state.cancelled.set)
        threading.Thread(target=_run, args=(self._state, work, words, unforeseen, turns), daemon=True).start()

    @property
    def running(self) -> bool:
        """Is there something to wait for?"""
        return not self._state.done.is_set()

    @property
    def progress(self) -> tuple[float, str]:
        """(share done, words)."""
        return self._state.share, self._state.words

    @property
    def seconds_left(self) -> float | None:
        """How long it will yet take, were its share to grow evenly; None while too little is done to tell."""
        state = self._state
        return seconds_left(state.share, state.told - state.begun, time.monotonic() - state.told)

    @property
    def error(self) -> UserFacingError | None:
        """Why there is no result, or None."""
        return self._state.error

    @property
    def result(self) -> T | None:
        """The result once it is there, else None."""
        return self._state.result if self._state.done.is_set() else None

    def cancel(self) -> None:
        """Stop at the next step; whatever was read is dropped."""
        self._state.cancelled.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end at most so long; is it over?"""
        return self._state.done.wait(seconds)


def seconds_left(share: float, worked_s: float, since_s: float) -> float | None:
    """How long the rest of a work will take of which `share` was done in `worked_s`, `since_s` ago.

    >>> seconds_left(0.25, 10.0, 0.0), seconds_left(0.25, 10.0, 5.0), seconds_left(0.25, 10.0, 50.0)
    (30.0, 25.0, 0.0)
    >>> seconds_left(0.01, 10.0, 0.0) is None
    True
    """
    return None if share < TOLD_FROM else max(0.0, worked_s * (1 - share) / share - since_s)


def _run(
    state: _State[T], work: Callable[[Progress], T], words: str, unforeseen: UserFacingError, turns: Turns
) -> None:
    """The thread. Errors become sentences; anything unexpected is told without its text, which could identify."""
    try:
        while not turns.acquire(timeout=0.2):
            state.tell(0.0, f"{words}: waiting for other readers of this machine")
        try:
            state.tell(0.0, words)
            state.begun = state.told
            result = work(state.tell)
            state.tell(1.0, words)
            state.result = result
        finally:
            turns.release()
    except Cancelled:
        pass
    except UserFacingError as error:
        state.error = _bare(error)
    except MemoryError:
        state.error = UserFacingError(
            "The machine's memory does not suffice.", "a study that fits", "Choose a smaller series, or try later."
        )
    except Exception:
        state.error = unforeseen
    finally:
        state.done.set()


def _bare(error: UserFacingError) -> UserFacingError:
    """The error without its frames, which would keep the files and voxels that they refer to."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error
