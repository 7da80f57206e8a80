"""The one lock that guards every model of the process.

Captum registers hooks and toggles gradients on the shared modules; another thread's plain forward through the same
module then returns wrong numbers without an error. So every use of a shipped or loaded model, forwards
included, runs inside

    with MODEL_LOCK:
        output = model(batch)

The lock is re-entrant: code that holds it may call code that takes it. Long work gives it back between its steps, and a
quick question from another reader then comes first. Training owns its model: no lock needed.
"""

from __future__ import annotations

import threading
from types import TracebackType


class TurnLock:
    """A re-entrant lock in which whoever has just let go stands behind those who wait.

    A plain lock is mostly taken again by the thread that released it, before a waiting one has even woken up.
    """

    def __init__(self) -> None:
        self._lock, self._door = threading.RLock(), threading.Lock()
        self._holder: int | None = None
        self._depth = 0

    def __enter__(self) -> TurnLock:
        if self._holder != threading.get_ident():
            with self._door:
                self._lock.acquire()
        else:
            self._lock.acquire()
        self._holder, self._depth = threading.get_ident(), self._depth + 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._holder = None
        self._lock.release()


MODEL_LOCK = TurnLock()
