"""Residual identifiers: found before anything is shown or exported, values never repeated."""

from __future__ import annotations

from core.intake.identifiers.finding import Finding
from core.intake.identifiers.search import find_identifiers

__all__ = ["Finding", "find_identifiers"]
