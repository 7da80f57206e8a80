"""The table of all models of a task on one case, cell by cell."""

from __future__ import annotations

import base64
from html import escape

import numpy as np

from core.export.cohort import shown_days
from core.export.comparison import Measured, ModelRow
from core.export.style import fusion_colour, percent
from core.records import MODALITIES, CaseReview
from core.view.risk_words import span_of

HEADS = ("Model", "Reads", "Curve", "Risk", "Observed in those given it", "Held-out C", "Observed / expected")
_WIDE, _HIGH = 112, 34


def cells_html(row: ModelRow, horizon_days: float) -> tuple[str, ...]:
    """The cells after the first, in the order of `HEADS`."""
    reads = " + ".join(MODALITIES[name].title if name in MODALITIES else name for name in row.reads)
    rates = (_measured(row.concordance), _measured(row.observed_expected))
    if row.review is None:
        return (escape(reads), "", f"<span>{escape(row.refused)}</span>", "", *rates)
    risk, given = row.review.curve.risk_at(horizon_days), row.review.given.get(horizon_days)
    return (
        escape(reads),
        small_curve(row.review, horizon_days),
        _risk(row.review, risk),
        "no range" if given is None else escape(span_of(given.interval)),
        *rates,
    )


def _risk(review: CaseReview, risk: float) -> str:
    """The number, or why it does not apply, with the number behind it."""
    if not np.isfinite(risk):
        return "not given"
    if review.doubts:
        why = escape(review.doubts[0])
        return f'<details class="withheld" title="{why}"><summary>not shown</summary>{percent(risk)}: {why}</details>'
    return f"<b>{percent(risk)}</b>"


def _measured(found: Measured | None) -> str:
    if found is None:
        return "not measured"
    return f"{found.value:.2f} <small>{found.lower:.2f} to {found.upper:.2f}</small>"


def small_curve(review: CaseReview, horizon_days: float) -> str:
    """The curve with its inner band on 0 to 100%, the horizon marked; dashed where it does not apply."""
    curve, end, colour = review.curve, shown_days(review), fusion_colour(review.fusion)
    days = np.linspace(0, end, 60)

    def points(shares: np.ndarray) -> str:
        values = np.interp(days, curve.times_days, shares)
        return " ".join(f"{_WIDE * x / end:.1f},{_HIGH * (1 - y):.1f}" for x, y in zip(days, values, strict=True))

    band = ""
    if curve.lower is not None and curve.upper is not None:
        edge = points(curve.upper) + " " + " ".join(reversed(points(curve.lower).split()))
        band = f'<polygon points="{edge}" fill="{colour}" fill-opacity=".25"/>'
    dash = ' stroke-dasharray="4 3"' if review.doubts else ""
    at = _WIDE * min(horizon_days, end) / end
    risk = review.curve.risk_at(horizon_days)
    told = "not given" if not np.isfinite(risk) else f"falls to {percent(1 - risk)} at the horizon"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" height="{_HIGH}">'
        f'<path d="M0 0V{_HIGH}H{_WIDE}" fill="none" stroke="#808080" '
        f'stroke-opacity=".35"/><path d="M{at:.1f} 0V{_HIGH}" stroke="#808080" stroke-opacity=".35" '
        f'stroke-dasharray="2 2"/>{band}<polyline points="{points(curve.survival)}" fill="none" stroke="{colour}" '
        f'stroke-width="2"{dash}/></svg>'
    )
    data = base64.b64encode(svg.encode()).decode()  # an element of SVG would be taken out of the page
    return (
        f'<img src="data:image/svg+xml;base64,{data}" width="{_WIDE}" height="{_HIGH}" alt="Event-free share {told}">'
    )
