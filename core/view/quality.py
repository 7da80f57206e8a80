"""The quality gate on a page: a line of chips, worst first, that opens to every factor with its reason."""

from __future__ import annotations

from html import escape

from core.quality import Factor, QualityReport, Verdict
from core.wording import count_of

VERDICT_WORDS: dict[Verdict, str] = {
    "outside": "outside",
    "edge": "at the edge",
    "unknown": "not known",
    "in": "in range",
}
SHOWN_CHIPS = 4
CHECKING_HTML = (
    '<p class="quality checking"><b>Quality</b> <span class="q-sum">being checked, before the curve</span></p>'
)


WITHOUT_A_MODEL = "in Case review a model judges by narrower limits of its own, too"


def quality_html(report: QualityReport, *, more_to_come: bool = False) -> str:
    """One line that opens: counts and the worst factors as chips, then a table of all, worst first.

    Icon, word and colour each carry the verdict; the reason stands in the table and behind each chip. more_to_come: no
    model was asked yet, and none of its limits are in the report.
    """
    doubts = [factor for factor in report.worst_first if factor.verdict in ("outside", "edge")]
    shown = "".join(_chip(factor) for factor in doubts[:SHOWN_CHIPS])
    if len(doubts) > SHOWN_CHIPS:
        shown += f'<span class="q-sum">and {len(doubts) - SHOWN_CHIPS} more</span>'
    rows = "".join(_row(factor) for factor in report.worst_first)
    told = summary_words(report) + (f"; {WITHOUT_A_MODEL}" if more_to_come else "")
    return (
        f'<details class="quality"><summary><b>Quality</b> <span class="q-sum">{escape(told)}</span>'
        f'{shown}</summary><div class="q-all" role="region" tabindex="0" aria-label="Quality checks">'
        "<table><thead><tr><th>Verdict</th><th>Factor</th><th>Found</th><th>Compared with</th><th>Why</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def summary_words(report: QualityReport) -> str:
    """How many factors have each verdict, in words.

    >>> summary_words(QualityReport((Factor("noise", "in", "20 HU", "fine"), Factor("kernel", "edge", "LUNG", "x"))))
    '2 checks: 1 at the edge, 1 in range'
    """
    counts = [(len(report.of(verdict)), words) for verdict, words in VERDICT_WORDS.items()]
    told = ", ".join(f"{count} {words}" for count, words in counts if count)
    return f"{count_of(len(report.factors), 'check')}: {told}"


def _icon(verdict: Verdict) -> str:
    return f'<i class="q-icon {verdict}" role="img" aria-label="{VERDICT_WORDS[verdict]}"></i>'


def _chip(factor: Factor) -> str:
    words = f"{factor.found}: {factor.reason}" + (f" ({factor.limit})" if factor.limit else "")
    name = f"{factor.name[:1].upper()}{factor.name[1:]}"
    return (
        f'<span class="q-chip {factor.verdict}" title="{escape(words, quote=True)}">{_icon(factor.verdict)}'
        f"{escape(name)} {VERDICT_WORDS[factor.verdict]}</span>"
    )


def _row(factor: Factor) -> str:
    name = f"{factor.name[:1].upper()}{factor.name[1:]}"
    return (
        f'<tr class="{factor.verdict}"><td>{_icon(factor.verdict)}{VERDICT_WORDS[factor.verdict]}</td>'
        f"<td>{escape(name)}</td><td>{escape(factor.found)}</td><td>{escape(factor.limit)}</td>"
        f"<td>{escape(factor.reason)}</td></tr>"
    )
