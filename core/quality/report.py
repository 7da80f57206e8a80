"""The nouns of the quality gate: a factor with its verdict, and the report of all factors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["in", "edge", "outside", "unknown"]
VERDICTS: tuple[Verdict, ...] = ("outside", "edge", "unknown", "in")
"""Worst first."""
About = Literal["image", "ehr", "fused", "pair", "unread"]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of what is known; "unknown" only where nothing is.

    >>> worst(["in", "unknown", "edge"]), worst(["unknown"])
    ('edge', 'unknown')
    """
    known = [verdict for verdict in verdicts if verdict != "unknown"]
    return min(known, key=VERDICTS.index, default="unknown")


@dataclass(frozen=True)
class Factor:
    """One thing an expert checks.

    name: what is checked. verdict: in (as in training), edge (unusual), outside (not comparable), unknown (cannot be
    judged). found: what was measured or read, with unit. reason: a clause that says why the verdict is what it is.
    limit: what the number was compared with, with unit; "" where no number decides.
    about: "image", "ehr", "fused", "pair" (scan and record held against each other), or "unread" (what the model leaves
    out of an input). A factor about an input that a model does not read does not mark its prediction; the last two mark
    it in words of their own.
    """

    name: str
    verdict: Verdict
    found: str
    reason: str
    about: About = "image"
    limit: str = ""

    @property
    def told(self) -> str:
        """Reason, with the number that was found where a limit decided and the reason does not say it already.

        >>> Factor("noise", "outside", "90 HU", "drowned in noise", limit="usual 10 to 33 HU, edge 1 to 45 HU").told
        'drowned in noise (90 HU; usual 10 to 33 HU)'
        """
        if not self.limit or self.found.split()[0] in self.reason:
            return self.reason
        return f"{self.reason} ({self.found}; {self.limit.partition(', edge')[0]})"


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
        return worst(factor.verdict for factor in self.factors)

    def of(self, verdict: Verdict) -> tuple[Factor, ...]:
        """Factors with this verdict."""
        return tuple(factor for factor in self.factors if factor.verdict == verdict)

    def __getitem__(self, name: str) -> Factor:
        """The factor of this name. Raises KeyError where it does not apply."""
        for factor in self.factors:
            if factor.name == name:
                return factor
        raise KeyError(name)
