"""The nouns of the quality gate: a factor with its verdict, and the report of all factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["in", "edge", "outside", "unknown"]
VERDICTS: tuple[Verdict, ...] = ("outside", "edge", "unknown", "in")
"""Worst first."""


@dataclass(frozen=True)
class Factor:
    """One thing an expert checks.

    name: what is checked. verdict: in (like training), edge (unusual), outside (not comparable), unknown (cannot be
    judged). found: what was measured or read, with unit. reason: a clause that says why the verdict is what it is.
    about: "image", "ehr" or "fused"; a factor about an input that a model does not read does not mark its prediction.
    """

    name: str
    verdict: Verdict
    found: str
    reason: str
    about: Literal["image", "ehr", "fused"] = "image"


@dataclass(frozen=True)
class QualityReport:
    """Every factor that applies to a case, in a fixed order."""

    factors: tuple[Factor, ...]

    @property
    def worst_first(self) -> tuple[Factor, ...]:
        """The factors, outside before edge before unknown before in; otherwise in their order."""
        return tuple(sorted(self.factors, key=lambda factor: VERDICTS.index(factor.verdict)))

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of what is known; "unknown" only where nothing is."""
        found = {factor.verdict for factor in self.factors}
        return next((verdict for verdict in ("outside", "edge", "in") if verdict in found), "unknown")

    def of(self, verdict: Verdict) -> tuple[Factor, ...]:
        """Factors with this verdict."""
        return tuple(factor for factor in self.factors if factor.verdict == verdict)

    def __getitem__(self, name: str) -> Factor:
        """The factor of this name. Raises KeyError where it does not apply."""
        for factor in self.factors:
            if factor.name == name:
                return factor
        raise KeyError(name)
