"""How much memory this process has held at most."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def high_water_mib(*, reset: bool = False) -> float:
    """Peak resident memory; `reset` begins a new peak where the kernel allows it."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]
    except (OSError, AttributeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
