"""The process ends when its server does, whatever its other threads still compute."""

from __future__ import annotations

import os
import sys
import threading

_WATCH = "ends with the server"


def end_with_main_thread() -> None:
    """Leave at once when the main thread is done: what computes in other threads (of torch above all) can neither be
    joined within seconds nor be torn down under its feet, which aborts. Nothing is kept, so nothing is lost.

    Called again, it does nothing. Only for a process of the app's own: its exit code is 0 from then on.
    """
    if not any(thread.name == _WATCH for thread in threading.enumerate()):
        threading.Thread(target=_leave, name=_WATCH, daemon=True).start()


def _leave() -> None:
    threading.main_thread().join()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(0)
