"""The measured part of a results page: a bench writes it anew, and leaves alone what its readers say above it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MARK = "<!-- measured: what follows is written by the bench; what stands above is not -->"


def write_measured(page: Path, lines: Sequence[str]) -> None:
    """Put these lines in place of all that stands below the mark; a page without one keeps its text above it."""
    above = page.read_text(encoding="utf-8").partition(MARK)[0].rstrip() if page.exists() else ""
    page.write_text("\n".join([*([above, ""] if above else []), MARK, "", *lines]).rstrip() + "\n", encoding="utf-8")
