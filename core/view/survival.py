"""The survival panel: the patient's curve over the cohort's, risk in words, and a picture of one hundred people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from core.export.cohort import at_risk_on, cohort_risk, curve_ticks, free_place, shown_days
from core.export.style import (
    COHORT,
    curve_marks,
    fusion_colour,
    fusion_title,
    in_people,
    percent,
)
from core.fuse import FUSIONS
from core.records import EHR, IMAGE, OUTSIDE_POPULATION, CaseReview, SurvivalCurve
from core.view.colour import translucent
from core.view.layout import INK_ON_LIGHT, finish
from core.wording import count_of, duration, tick_label

_DASHES = {IMAGE: "dot", EHR: "dash"}
"""How the curve of a model that reads one modality alone is drawn; others' are drawn as a dash and a dot."""


_LETTER_WIDE, _ROOM, _LINE, _LINE_PX = 0.0205, 0.045, 0.04, 17
"""Where the plot is smallest (window of 1366 x 768 pixels): the share of the time axis that a letter of the words in it
takes, the shares of its height between them and a curve and of half a line of them, and a line's height."""
_TOP_PX = 9
_DAYS_ON_AXIS = 730.0
_SMALL_RISK = 0.02
"""Below it one of a hundred people is too coarse a measure."""


def curve_figure(
    review: CaseReview,
    baseline: pd.DataFrame,
    *,
    others: Sequence[tuple[str, SurvivalCurve]] = (),
    virtual: bool = True,
    ink: str = INK_ON_LIGHT,
) -> go.Figure:
    """Predicted S(t) with band, training cohort's Kaplan-Meier behind it with numbers at risk, horizon marked.

    baseline: columns time_days, survival, lower, upper, at_risk. others: (fusion, curve) of single-modality models.
    """
    figure = go.Figure()
    _add_cohort(figure, baseline)
    for fusion, curve in others:
        dash = _DASHES.get(FUSIONS[fusion].reads[0], "dashdot")
        _add_line(figure, curve, fusion_title(fusion), fusion_colour(fusion), dash, 2.0)
    colour = fusion_colour(review.fusion)
    _add_band(figure, review.curve, colour)
    _add_line(figure, review.curve, "This patient", colour, "solid", 3.0)
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
    return f'<p class="curve-legend">{"".join(marks)}</p>'


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


def _add_band(figure: go.Figure, curve: SurvivalCurve, colour: str) -> None:
    edges = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=curve.times_days, y=100 * curve.upper, **edges)
    figure.add_scatter(
        x=curve.times_days, y=100 * curve.lower, fill="tonexty", fillcolor=translucent(colour, 0.22), **edges
    )


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
            line.customdata = [_on_axis(day, review) for day in line.x]
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


def people_words(risk: float, people: int = 100) -> str:
    """A risk as people of so many.

    >>> people_words(0.124), people_words(0.045), people_words(0.004), people_words(0.997)
    ('about 12', 'about 5', 'fewer than 1', 'more than 99')
    >>> people_words(0.004, 1000), people_words(0.0004, 1000), people_words(0.997, 1000)
    ('about 4', 'fewer than 1', 'more than 990')
    """
    count = in_people(risk, people)
    if count == 0:
        return "fewer than 1"
    return f"more than {99 * people // 100}" if count == people else f"about {count}"


def _people_for(*risks: float) -> int:
    """Of how many people these risks are told, so that all can be compared: of more where one of them is small."""
    return 1000 if np.nanmin(risks) < _SMALL_RISK else 100


def risks_html(review: CaseReview, baseline: pd.DataFrame) -> str:
    """Beside the curve: risk at every horizon with interval and reference, the chosen one as an icon array."""
    event = escape(review.task.event_words)
    cells = "".join(_risk_cell(review, baseline, float(day)) for day in review.task.horizons_days)
    risk, reference = review.curve.risk_at(review.horizon_days), cohort_risk(baseline, review.horizon_days)
    icons = icon_array(risk, reference, fusion_colour(review.fusion)) if np.isfinite(risk) else ""
    return (
        f'<div class="risks" style="--dot:{fusion_colour(review.fusion)}">'
        f'<p class="risk-label">{event[:1].upper()}{event[1:]} within</p>{cells}{icons}</div>'
    )


def risk_words_html(review: CaseReview, baseline: pd.DataFrame) -> str:
    """The risk at the chosen horizon as a sentence, with the cohort's and what the range is."""
    day = review.horizon_days
    risk = review.curve.risk_at(day)
    if not np.isfinite(risk):
        return '<p class="risk-words">The follow-up of the training cohort ended before this horizon.</p>'
    event, reference = review.task.event_words, cohort_risk(baseline, day)
    people = _people_for(risk, reference)
    beside = f" (training cohort: {people_words(reference, people)})" if np.isfinite(reference) else ""
    return (
        f'<div class="risk-words"><p>{escape(event[:1].upper() + event[1:])} is expected within '
        f"{escape(duration(day))} in {people_words(risk, people)} of {people:,} {_whom(review)}{beside}. "
        f"Range: {escape(review.curve.band)}.</p>"
        f"<p>{_median_words(review)} \u00b7 {_rmst_words(review)}</p></div>"
    )


def _whom(review: CaseReview) -> str:
    """Whom the share is said of; of one outside its training population a model cannot say it."""
    if any(notice.key == OUTSIDE_POPULATION for notice in review.notices):
        return "patients unlike this one, on whom the model was trained"
    return "patients like this one"


def _risk_cell(review: CaseReview, baseline: pd.DataFrame, day: float) -> str:
    chosen = " chosen" if day == review.horizon_days else ""
    risk, (low, high) = review.curve.risk_at(day), review.curve.risk_interval_at(day)
    head = f'<div class="risk-cell{chosen}"><span>{escape(duration(day))}</span>'
    if not np.isfinite(risk):
        return f"{head}<b>not given</b><span>beyond training follow-up</span></div>"
    reference = cohort_risk(baseline, day)
    beside = f"cohort {percent(reference)}" if np.isfinite(reference) else "cohort not known"
    return f"{head}<b>{percent(risk)}</b><span>{percent(low)} to {percent(high)}</span><span>{beside}</span></div>"


def _median_words(review: CaseReview) -> str:
    """The median with its range; a time beyond the axis is never told."""
    curve = review.curve
    first, median, last = (_median_on_axis(review, edge) for edge in (curve.lower, curve.survival, curve.upper))
    title = "Time by which half of such patients would have had the event"
    if median is None:
        since = f"; its range begins at {_on_axis(first, review)}" if first is not None else ""
        return f'<span title="{title}{since}">Median <b>not reached within {_end_words(review)}</b></span>'
    between = ""
    if first is not None and first != last:
        between = f" (from {_on_axis(first, review)})" if last is None else f" ({_from_to(first, last, review)})"
    return f'<span title="{title}: day {median:,.0f}">Median <b>{_on_axis(median, review)}</b>{between}</span>'


def _from_to(first: float, last: float, review: CaseReview) -> str:
    return f"{_on_axis(first, review).split()[0]} to {_on_axis(last, review)}"


def _median_on_axis(review: CaseReview, survival: npt.NDArray[np.float64]) -> float | None:
    """When one edge of the band, or the curve itself, is down to a half; None where the axis ends before."""
    median = replace(review.curve, survival=survival).median_days
    return median if median is not None and median <= shown_days(review) else None


def _end_words(review: CaseReview) -> str:
    """How long the axis is."""
    end = shown_days(review)
    return duration(end) if end in review.task.horizons_days else _on_axis(end, review)


def _rmst_words(review: CaseReview) -> str:
    day = review.horizon_days
    value = review.curve.rmst_days(day)
    return (
        f'<span title="Restricted mean survival time, the average event-free time up to the horizon: {value:,.0f} of '
        f'{day:,.0f} days">Event-free time, mean <b>{_on_axis(value, review)}</b> of {duration(day)}</span>'
    )


def _on_axis(days: float, review: CaseReview) -> str:
    """A time in the unit of the curve's axis: days where it ends within two years."""
    if shown_days(review) > _DAYS_ON_AXIS:
        return f"{days / 365.25:.1f} years"
    return count_of(round(days), "day")


def icon_array(risk: float, reference: float, colour: str) -> str:
    """One hundred people as dots, those large whom the event is expected for; the training cohort's hundred beside."""
    ours = _hundred(risk, "{} of 100", "Patients like this one")
    theirs = _hundred(reference, "cohort {}", "Training cohort") if np.isfinite(reference) else ""
    return f'<div class="icons" style="--dot:{colour}">{ours}{theirs}</div>'


def _hundred(risk: float, caption: str, whose: str) -> str:
    """The caption says so where dots cannot show the risk: fewer than one, or all but a few."""
    count = in_people(risk)
    told = caption.format("&lt;1" if count == 0 else "&gt;99" if count == 100 else count)
    dots = '<i class="on"></i>' * count + "<i></i>" * (100 - count)
    label = f"{whose}: {people_words(risk)} of 100"
    return f'<figure><div role="img" aria-label="{label}">{dots}</div><figcaption>{told}</figcaption></figure>'


def values_html(review: CaseReview, baseline: pd.DataFrame, others: Sequence[tuple[str, SurvivalCurve]] = ()) -> str:
    """The plot as a table that opens: at every time named on its axis the risk of each line, for readers who do not see
    the plot or cannot point at it."""
    names = [fusion_title(fusion) for fusion, _ in others]
    head = "".join(f"<th>{name}</th>" for name in ("Within", "Risk", "Range", "Cohort", "At risk", *names))
    rows = "".join(_values_row(review, baseline, day, others) for day in curve_ticks(review) if day)
    event = escape(review.task.event_words)
    told = f"Risk of {event}, with the training cohort's and how many of it were at risk"
    return (
        f'<details class="values"><summary>Values</summary><div role="region" tabindex="0" aria-label="Values">'
        f'<table class="found"><caption>{told}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )


def _values_row(
    review: CaseReview, baseline: pd.DataFrame, day: float, others: Sequence[tuple[str, SurvivalCurve]]
) -> str:
    low, high = review.curve.risk_interval_at(day)
    reference, count = cohort_risk(baseline, day), at_risk_on(baseline, day)
    cells = [
        duration(day),
        percent(review.curve.risk_at(day)),
        f"{percent(low)} to {percent(high)}",
        _known(reference),
        "not known" if count is None else f"{count:,}",
        *(_known(curve.risk_at(day)) for _, curve in others),
    ]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _known(risk: float) -> str:
    return percent(risk) if np.isfinite(risk) else "not known"
