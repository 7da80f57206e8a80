"""What a review may load: no training, no evaluation, and none of the packages that only they and figures use."""

from __future__ import annotations

import subprocess
import sys

UNUSED = (
    "core.train", "core.pretrain", "core.cohort", "core.virtual", "core.benchmark",
    "lifelines", "torchsurv", "scipy.stats", "sklearn", "streamlit",
)  # fmt: skip


def loaded(module: str) -> list[str]:
    """Those of `UNUSED` that a fresh interpreter holds after importing `module`."""
    asked = f"import sys, {module}; print(*[name for name in {UNUSED!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    return answer.stdout.split()


def test_a_review_is_imported_without_what_it_does_not_use() -> None:
    assert loaded("core.review") == []


def test_what_does_load_them_is_seen() -> None:
    assert {"core.train", "core.cohort"} <= set(loaded("core.train.fit"))
