"""The one lock that guards every model of the process.

Captum registers hooks and toggles gradients on the shared modules; another thread's plain forward through the same
module then returns wrong numbers without an error. So every use of a shipped or loaded model, forwards
included, runs inside

    with MODEL_LOCK:
        output = model(batch)

The lock is re-entrant: code that holds it may call code that takes it. Training owns its model: no lock needed.
"""

from __future__ import annotations

import threading

MODEL_LOCK = threading.RLock()
