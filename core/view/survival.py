"""The survival panel: the patient's curve over the cohort's, risk in words, and a picture of one hundred people."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.export.cohort import at_risk_on, curve_ticks, free_place, shown_days
from core.export.style import (
    COHORT,
    curve_marks,
    fusion_colour,
    fusion_title,
)
from core.fuse import FUSIONS
from core.records import EHR, IMAGE, CaseReview, SurvivalCurve
from core.view.colour import translucent
from core.view.layout import INK_ON_LIGHT, finish
from core.view.risk_words import on_axis
from core.wording import tick_label

_DASHES = {IMAGE: "dot", EHR: "dash"}
"""How the curve of a model that reads one modality alone is drawn; others' are drawn as a dash and a dot."""


_LETTER_WIDE, _ROOM, _LINE, _LINE_PX = 0.0205, 0.045, 0.04, 17
"""Where the plot is smallest (window of 1366 x 768 pixels): the share of the time axis that a letter of the words in it
takes, the shares of its height between them and a curve and of half a line of them, and a line's height."""
_TOP_PX = 9


def curve_figure(
    review: CaseReview,
    baseline: pd.DataFrame,
    *,
    others: Sequence[tuple[str, SurvivalCurve]] = (),
    virtual: bool = True,
    ink: str = INK_ON_LIGHT,
) -> go.Figure:
    """Predicted S(t) with its bands, training cohort's Kaplan-Meier behind it with numbers at risk, horizon marked.

    baseline: columns time_days, survival, lower, upper, at_risk. others: (fusion, curve) of single-modality models.
    """
    figure = go.Figure()
    _add_cohort(figure, baseline)
    for fusion, curve in others:
        dash = _DASHES.get(FUSIONS[fusion].reads[0], "dashdot")
        _add_line(figure, curve, fusion_title(fusion), fusion_colour(fusion), dash, 2.0)
    colour = fusion_colour(review.fusion)
    _add_bands(figure, review.curve, colour)
    _add_line(figure, review.curve, "This patient", colour, "dash" if review.doubts else "solid", 3.0)
    _tell_on_hover(figure, review)
    _add_horizon(figure, review, colour)
    ticks = curve_ticks(review)
    _add_numbers_at_risk(figure, baseline, ticks)
    _add_axis_title(figure)
    top = _TOP_PX
    if marks := curve_marks(review.notices, virtual):
        place = _free_place(figure, review, marks)
        _add_watermark(figure, marks, place)
        top += 0 if place else _LINE_PX * len(marks)
    figure.update_layout(**_layout(review, ticks))
    return finish(figure, ink=ink, height=160, margin={"l": 66, "r": 26, "t": top, "b": 44})


_STROKES = {"solid": "solid", "dot": "dotted", "dash": "dashed"}


def legend_html(figure: go.Figure) -> str:
    """What the lines of `curve_figure` are, the patient's first: one row over the whole panel, as the plot alone has no
    room for four names and would have to give way to a second row."""
    lines = [line for line in figure.data if line.mode == "lines" and line.name]
    marks = (
        f'<span><i style="border-top: {line.line.width:g}px {_STROKES[line.line.dash or "solid"]} {line.line.color}">'
        f"</i>{escape(line.name)}</span>"
        for line in reversed(lines)
    )
    bands = (
        f'<span><i class="band" style="background: {band.fillcolor}"></i>{escape(band.legendgroup)}</span>'
        for band in reversed(figure.data)
        if band.legendgroup and len(lines) <= 2  # one row: further lines need its room
    )
    return f'<p class="curve-legend">{"".join((*marks, *bands))}</p>'


def _add_cohort(figure: go.Figure, baseline: pd.DataFrame) -> None:
    time, survival = baseline["time_days"], 100 * baseline["survival"]
    edges = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=time, y=100 * baseline["upper"], **edges)
    figure.add_scatter(x=time, y=100 * baseline["lower"], fill="tonexty", fillcolor=translucent(COHORT, 0.18), **edges)
    figure.add_scatter(
        x=time,
        y=survival,
        mode="lines",
        line={"color": COHORT, "width": 2, "shape": "hv"},
        name="Training cohort",
    )


def _add_bands(figure: go.Figure, curve: SurvivalCurve, colour: str) -> None:
    """The outer band lighter behind the inner one, which has edges of its own, as it need not hold the curve."""
    edges = {"mode": "lines", "hoverinfo": "skip", "showlegend": False}
    bands = (
        ("90% of truths", curve.outer_lower, curve.outer_upper, 0.1, 0),
        ("Observed", curve.lower, curve.upper, 0.24, 0.7),
    )
    for name, lower, upper, strength, width in bands:
        if lower is None or upper is None:
            continue
        line = {"width": width, "color": translucent(colour, 0.6)}
        figure.add_scatter(x=curve.times_days, y=100 * upper, line=line, **edges)
        fill = {"fill": "tonexty", "fillcolor": translucent(colour, strength), "legendgroup": name}
        figure.add_scatter(x=curve.times_days, y=100 * lower, line=line, **fill, **edges)


def _add_line(figure: go.Figure, curve: SurvivalCurve, name: str, colour: str, dash: str, width: float) -> None:
    figure.add_scatter(
        x=curve.times_days,
        y=100 * curve.survival,
        mode="lines",
        line={"color": colour, "width": width, "dash": dash},
        name=name,
    )


def _tell_on_hover(figure: go.Figure, review: CaseReview) -> None:
    """Each line tells its own time in the unit of the axis: the title over all of them could only tell days."""
    for line in figure.data:
        if line.mode == "lines" and line.name:
            line.customdata = [on_axis(day, review) for day in line.x]
            line.hovertemplate = f"{escape(line.name)} at %{{customdata}}: %{{y:.1f}}%<extra></extra>"


def _add_horizon(figure: go.Figure, review: CaseReview, colour: str) -> None:
    day = review.horizon_days
    figure.add_vline(x=day, line={"color": COHORT, "width": 1, "dash": "dot"})
    survival = review.curve.survival_at(day)
    if np.isfinite(survival):
        marker = {"size": 11, "color": colour, "line": {"color": "#ffffff", "width": 2}}
        figure.add_scatter(
            x=[day],
            y=[100 * survival],
            mode="markers",
            marker=marker,
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )


def _add_numbers_at_risk(figure: go.Figure, baseline: pd.DataFrame, ticks: Sequence[float]) -> None:
    _margin_note(figure, 0.0, tick_label(0.0), down=23, size=12)
    for day in ticks:
        if (count := at_risk_on(baseline, day)) is not None:
            _margin_note(figure, day, f"{count:,}")
    figure.add_annotation(
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        xshift=-26,
        yshift=-36,
        showarrow=False,
        xanchor="right",
        text="at risk",
        font={"size": 11},
    )


def _add_axis_title(figure: go.Figure) -> None:
    """Beside the percentages, in the margin that is there anyway."""
    place = {"x": 0, "xref": "paper", "xshift": -54, "y": 0.5, "yref": "paper"}
    figure.add_annotation(**place, textangle=-90, showarrow=False, text="Event-free", font={"size": 12})


def _margin_note(figure: go.Figure, day: float, text: str, *, down: int = 36, size: int = 11) -> None:
    """Words under a day; those under day 0 stand a little to its left, as the next horizon may be close."""
    place = {"x": day, "xshift": 0 if day else -8, "y": 0, "yref": "paper", "yshift": -down}
    figure.add_annotation(**place, showarrow=False, text=text, font={"size": size})


def _free_place(figure: go.Figure, review: CaseReview, marks: Sequence[str]) -> tuple[float, float] | None:
    """Middle (x, y), as shares of the plot, of a place where the words cover no drawn line, or None."""
    drawn = [np.array([line.x, line.y], np.float64) for line in figure.data if line.mode == "lines"]
    known = [points[:, np.isfinite(points).all(axis=0)] for points in drawn]
    lines = [(days, shares / 100) for days, shares in known]
    wide, half = _LETTER_WIDE * max(map(len, marks)), _ROOM + _LINE * len(marks)
    return free_place(lines, shown_days(review), upright_day=review.horizon_days, wide=wide, half=half)


def _add_watermark(figure: go.Figure, marks: Sequence[str], place: tuple[float, float] | None) -> None:
    """At its place, or above the plot."""
    figure.add_annotation(
        x=place[0] if place else 0.5,
        y=place[1] if place else 1.0,
        xanchor="center",
        yanchor="middle" if place else "bottom",
        xref="paper",
        yref="paper",
        text="<br>".join(marks),
        showarrow=False,
        opacity=0.72,
        font={"size": 13},
    )


def _layout(review: CaseReview, ticks: Sequence[float]) -> dict[str, Any]:
    return {
        "hovermode": "x unified",
        "showlegend": False,
        "dragmode": False,
        "xaxis": {
            "range": [0, shown_days(review)],
            "tickangle": 0,
            "ticklabelstandoff": 3,
            "tickvals": list(ticks),
            "ticktext": [tick_label(day) if day else "" for day in ticks],
            "fixedrange": True,
            "spikethickness": 1,
            "spikedash": "solid",
            "unifiedhovertitle": {"text": "Event-free"},
            "showgrid": False,
        },
        "yaxis": {"range": [0, 101], "ticksuffix": "%", "fixedrange": True, "dtick": 25},
    }
