"""A review starts without what only training, evaluation and figures need: each costs about a second."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torchsurv", "lifelines", "matplotlib", "scipy.stats", "sklearn")


def test_a_review_is_imported_without_what_it_does_not_use() -> None:
    asked = f"import sys, core.review; print([name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "[]"
