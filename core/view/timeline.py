"""The timeline chart: lanes by kind, days from the prediction time, marks sized by what the model made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.events.kinds import KINDS
from core.events.reference_ranges import Range, flag, reference_range
from core.export.events import day_words, hazard_factor, unit_words
from core.export.style import COHORT, EHR_COLOUR, IMAGE_COLOUR, WARNING
from core.view.colour import translucent
from core.view.layout import INK_ON_LIGHT, finish
from core.view.words import attention_share

BINS = 420
FUTURE_SHARE = 0.13
_EDGE, _NO_DAY_SHARE = 1.015, 0.1
"""Where the days end on the left, in spans, and how wide the strip beside them is for what has no day."""
FEWEST_LANES = 4
"""A chart of fewer lanes is as high as one of so many, so that its axis keeps its place."""
LABEL_DAYS = Callable[[float], str]
SHOWN_TRENDS = 6


def marks_of(rows: pd.DataFrame, span_days: float, measure: str) -> pd.DataFrame:
    """Events that would share a mark drawn as one: lane, day, place, words, event_ids, count, strength and sign.

    A mark stands for the events of one lane within 1/420 of the span, or for those that have no day (NaN); its strength
    is the largest |measure| in it. place: where on the axis of days it stands.
    """
    if rows.empty:
        return pd.DataFrame(columns=["lane", "day", "place", "words", "event_ids", "count", "strength", "signed"])
    width = max(span_days / BINS, 1e-6)
    places = rows["day"].fillna(-span_days * (_EDGE + _NO_DAY_SHARE / 2))
    ordered = rows.assign(size=rows[measure].abs().fillna(0.0), place=places, bin=np.floor(places / width))
    ordered = ordered.sort_values("size", ascending=False, kind="stable")
    groups = ordered.groupby(["lane", "bin"], sort=False)
    marks = groups.agg(
        day=("day", "first"),
        place=("place", "first"),
        words=("words", "first"),
        value=("value", "first"),
        event_ids=("event_id", list),
        count=("event_id", "size"),
        strength=("size", "first"),
        signed=(measure, "first"),
    )
    return marks.reset_index().drop(columns="bin")


def timeline_figure(
    rows: pd.DataFrame,
    *,
    measure: str = "attribution",
    span_days: float,
    later_events: int = 0,
    selected: Collection[int] = (),
    ct: str = "",
    ct_day: int = 0,
    label_day: LABEL_DAYS = day_words,
    ink: str = INK_ON_LIGHT,
) -> go.Figure:
    """Lanes of marks over the last `span_days`; a line at the prediction time, the hidden future greyed out; left of
    the days a strip for events that have none.

    ct: what the mark of the CT is called, "" where there is none. ct_day: its day; after day 0 it stands on day 0.
    customdata of each mark: its event ids, joined by commas, so that a click finds the raw events.
    """
    shown, undated = rows[~(rows["day"] < -span_days)], bool(rows["day"].isna().any())
    marks = marks_of(shown, span_days, measure)
    lanes = [lane for lane in KINDS if (rows["lane"] == lane).any() or (lane == "imaging" and ct)]
    figure = go.Figure()
    _add_future(figure, span_days, later_events, len(lanes))
    _add_rings(figure, marks, lanes, selected)
    _add_marks(figure, marks, lanes, measure, label_day)
    if ct and "imaging" in lanes and ct_day >= -span_days:
        marker = {"size": 13, "symbol": "diamond", "color": IMAGE_COLOUR, "line": {"width": 1, "color": "#ffffff"}}
        figure.add_scatter(
            x=[min(ct_day, 0)],
            y=[lanes.index("imaging")],
            mode="markers",
            marker=marker,
            name=ct,
            hovertemplate=f"{ct}<extra></extra>",
            customdata=[""],
        )
    if undated:
        figure.add_vline(x=-_EDGE * span_days, line={"color": COHORT, "width": 1, "dash": "dot"})
    figure.update_layout(**_layout(lanes, span_days, undated))
    height = 58 + 25 * max(len(lanes), FEWEST_LANES)
    return finish(figure, ink=ink, height=height, margin={"l": 98, "r": 8, "t": 4, "b": 42})


def _styles(marks: pd.DataFrame, measure: str) -> list[tuple[str, pd.Series[bool], str, str]]:
    """(legend, which marks, fill, symbol): filled raises risk, hollow lowers it, grey was not weighed."""
    if marks.empty:
        return []
    none, grey = marks["strength"] == 0, translucent(COHORT, 0.6)
    if measure == "attention":
        return [("no weight", none, grey, "circle"), ("attention", ~none, EHR_COLOUR, "circle")]
    raises = marks["signed"] > 0
    return [
        ("not weighed", none, grey, "circle"),
        ("raises risk", ~none & raises, EHR_COLOUR, "triangle-up"),
        ("lowers risk", ~none & ~raises, translucent(EHR_COLOUR, 0.1), "triangle-down"),
    ]


def _add_marks(
    figure: go.Figure, marks: pd.DataFrame, lanes: Sequence[str], measure: str, label_day: LABEL_DAYS
) -> None:
    """All marks as one, the largest first: a small one lies on top of a large one, as the pointer finds the smallest of
    those under it. The legend's entries stand for themselves."""
    if marks.empty:
        return
    fills, symbols = pd.Series("", marks.index), pd.Series("", marks.index)
    for name, kept, fill, symbol in _styles(marks, measure):
        fills[kept], symbols[kept] = fill, symbol
        if kept.any():
            marker = {"size": 9, "color": fill, "symbol": symbol, "line": {"width": 1.5, "color": EHR_COLOUR}}
            figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=marker, hoverinfo="skip")
    top = max(float(marks["strength"].max()), 1e-12)
    figure.add_scatter(
        x=marks["place"],
        y=[lanes.index(lane) for lane in marks["lane"]],
        mode="markers",
        name="events",
        showlegend=False,
        marker={
            "size": 7 + 12 * np.sqrt(marks["strength"] / top),
            "color": fills.tolist(),
            "symbol": symbols.tolist(),
            "line": {"width": np.where(marks["strength"] > 0, 1.5, 0.0), "color": EHR_COLOUR},
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0.9}},
        customdata=[",".join(map(str, ids)) for ids in marks["event_ids"]],
        text=[_hover(mark, measure, label_day) for mark in marks.itertuples()],
        hovertemplate="%{text}<extra></extra>",
    )


def _add_rings(figure: go.Figure, marks: pd.DataFrame, lanes: Sequence[str], selected: Collection[int]) -> None:
    """An orange ring around the marks that hold a selected event."""
    chosen = marks[[bool(set(ids) & set(selected)) for ids in marks["event_ids"]]] if len(marks) else marks
    if chosen.empty:
        return
    figure.add_scatter(
        x=chosen["place"],
        y=[lanes.index(lane) for lane in chosen["lane"]],
        mode="markers",
        marker={"size": 26, "symbol": "circle-open", "color": WARNING, "line": {"width": 2.5}},
        hoverinfo="skip",
        showlegend=False,
    )


def _hover(mark: object, measure: str, label_day: LABEL_DAYS) -> str:
    """The strongest event of a mark, with what the model made of it as the panel beside the chart tells it."""
    count, words, value = mark.count, escape(str(mark.words)), escape(str(mark.value))  # type: ignore[attr-defined]
    more = f"<br>and {count - 1} more here" if count > 1 else ""
    signed = float(mark.signed)  # type: ignore[attr-defined]
    told = f"attention {attention_share(signed)}" if measure == "attention" else f"effect {hazard_factor(signed)}"
    strength = f"<br>{escape(told, quote=False)}" if mark.strength else ""  # type: ignore[attr-defined]
    return f"<b>{words}</b> {value}<br>{label_day(mark.day)}{strength}{more}"  # type: ignore[attr-defined]


def _add_future(figure: go.Figure, span_days: float, later_events: int, lanes: int) -> None:
    edge = span_days * FUTURE_SHARE
    figure.add_vrect(x0=0, x1=edge, fillcolor=translucent(COHORT, 0.16), line_width=0, layer="below")
    figure.add_vline(x=0, line={"color": WARNING, "width": 2})
    words = f"{later_events:,} later<br>events<br>hidden" if later_events else "nothing<br>later<br>is read"
    figure.add_annotation(x=0.57 * edge, y=(lanes - 1) / 2, text=words, showarrow=False, font={"size": 11})


def _layout(lanes: Sequence[str], span_days: float, undated: bool) -> dict[str, Any]:
    ticks, left = list(zip(*day_ticks(span_days), strict=True)), -_EDGE * span_days
    if undated:
        left -= _NO_DAY_SHARE * span_days
        room = [tick for tick in ticks if tick[0] > -0.95 * span_days]
        ticks = [(left + _NO_DAY_SHARE / 2 * span_days, "no day"), *room]
    unit = _unit_of(span_days)[1]
    return {
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.0,
            "xanchor": "left",
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
        "dragmode": "zoom",
        "clickmode": "event+select",
        "hovermode": "closest",
        "xaxis": {
            "range": [left, span_days * FUTURE_SHARE],
            "tickvals": [day for day, _ in ticks],
            "ticktext": [words for _, words in ticks],
            "title": {"text": f"{unit.capitalize()} before day 0; double-click for all", "standoff": 4},
        },
        "yaxis": {
            "range": [len(lanes) - 0.4, -0.6],
            "tickvals": list(range(len(lanes))),
            "ticktext": [lane.capitalize() for lane in lanes],
            "fixedrange": True,
        },
    }


def _unit_of(span_days: float) -> tuple[float, str]:
    """(days, name) of the unit that an axis of this span is told in."""
    if span_days > 1200:
        return 365.25, "years"
    return (30.4375, "months") if span_days > 150 else (1.0, "days")


def day_ticks(span_days: float) -> tuple[list[float], list[str]]:
    """Axis ticks back from day 0: days, months or years, whichever reads best."""
    step, name = _unit_of(span_days)
    unit, size = {"years": "y", "months": "mo", "days": "d"}[name], max(1, round(span_days / step / 7))
    count = int(span_days / (step * size))
    values = [-n * step * size for n in range(count, 0, -1)]
    labels = [f"\u2212{n * size} {unit}" for n in range(count, 0, -1)]
    return [*values, 0.0], [*labels, "day 0"]


def trend_codes(rows: pd.DataFrame) -> list[str]:
    """Every code of a laboratory test or vital sign with two values or more; most important to the model first, then
    most often measured. The first `SHOWN_TRENDS` are shown unless others are chosen."""
    numeric = rows[rows["number"].notna() & rows["lane"].isin(("labs", "vitals"))]
    table = numeric.groupby("code").agg(n=("number", "size"), weight=("attribution", lambda v: v.abs().sum()))
    table = table[table["n"] >= 2].sort_values(["weight", "n"], ascending=False, kind="stable")
    return [str(code) for code in table.index]


def trends_figure(
    rows: pd.DataFrame, codes: Sequence[str], *, span_days: float, sex: str | None = None, ink: str = INK_ON_LIGHT
) -> go.Figure:
    """Small multiples: one value over the last `span_days` each, with its own unit, the usual range of adults of this
    sex behind it where it is known, and L or H at values beyond it."""
    rows = rows[rows["day"] >= -span_days]
    titles = [_trend_title(rows[(rows["code"] == code) & rows["number"].notna()], sex) for code in codes]
    columns = max(1, min(3, len(codes)))
    lines = max(1, -(-len(codes) // columns))
    figure = make_subplots(
        rows=lines, cols=columns, subplot_titles=titles, vertical_spacing=0.3, horizontal_spacing=0.07
    )
    for n, code in enumerate(codes):
        kept = in_latest_unit(rows[(rows["code"] == code) & rows["number"].notna()])
        usual = reference_range(code, str(kept["unit"].iloc[-1] or ""), sex)
        place = {"row": n // columns + 1, "col": n % columns + 1}
        if usual is not None:
            _add_usual(figure, kept["number"], usual, span_days, place)
        flags = [flag(value, usual) for value in kept["number"]]
        figure.add_scatter(
            x=kept["day"],
            y=kept["number"],
            mode="lines+markers+text",
            text=flags,
            textposition="top center",
            textfont={"size": 11, "color": WARNING},
            line={"color": EHR_COLOUR, "width": 1.5},
            marker={"size": 6, "color": EHR_COLOUR},
            customdata=[_trend_hover(day, of, usual) for day, of in zip(kept["day"], flags, strict=True)],
            hovertemplate="%{y:.4g}%{customdata}<extra></extra>",
            showlegend=False,
            cliponaxis=False,
            **place,
        )
    values, labels = day_ticks(span_days)
    figure.update_layout(dragmode=False)
    figure.update_xaxes(
        fixedrange=True, range=[-1.03 * span_days, 0.03 * span_days], tickvals=values[::2], ticktext=labels[::2]
    )
    figure.update_yaxes(fixedrange=True, nticks=4)
    figure.update_annotations(font={"size": 12})
    return finish(figure, ink=ink, height=60 + 115 * lines, margin={"l": 44, "r": 8, "t": 26, "b": 24})


def _add_usual(
    figure: go.Figure, values: pd.Series[float], usual: Range, span_days: float, place: dict[str, int]
) -> None:
    """The usual range as a band; an end that it has not lies beyond all values."""
    low, high = usual
    room = 0.1 * max(float(values.max()), high or 0.0, low or 0.0)
    bottom = min(float(values.min()), high or 0.0) - room if low is None else low
    top = max(float(values.max()), low or 0.0) + room if high is None else high
    figure.add_scatter(
        x=[-1.03 * span_days, 0.03 * span_days, 0.03 * span_days, -1.03 * span_days],
        y=[bottom, bottom, top, top],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=translucent(COHORT, 0.18),
        hoverinfo="skip",
        showlegend=False,
        **place,
    )


def _trend_hover(day: float, flagged: str, usual: Range | None) -> str:
    """What is told of a value after the number: beyond which end of the usual range, when."""
    beyond = {"L": " L, usual from {0:g}", "H": " H, usual to {1:g}", "": ""}[flagged]
    return f"{beyond.format(*(usual or ()))}, {day_words(day)}"


def in_latest_unit(values: pd.DataFrame) -> pd.DataFrame:
    """The values of a code recorded in the same unit as its latest one: numbers in two units are never joined."""
    units = values["unit"].fillna("")
    return values[units == units.iloc[-1]] if len(values) else values


def _trend_title(values: pd.DataFrame, sex: str | None) -> str:
    row = values.iloc[-1]
    unit = f" ({escape(unit_words(str(row['unit'])))})" if isinstance(row["unit"], str) and row["unit"] else ""
    others = len(values) - len(in_latest_unit(values))
    left_out = f", {others} in another unit left out" if others else ""
    usual = reference_range(str(row["code"]), str(row["unit"] or ""), sex)
    return f"{escape(str(row['words']))}{unit}{usual_words(usual)}{left_out}"


def usual_words(usual: Range | None) -> str:
    """The usual range as a title tells it.

    >>> usual_words((3.5, 5.5)), usual_words((None, 8)), usual_words((95, None)), usual_words(None)
    (', usual 3.5 to 5.5', ', usual to 8', ', usual from 95', '')
    """
    if usual is None:
        return ""
    low, high = usual
    if low is None or high is None:
        return f", usual to {high:g}" if low is None else f", usual from {low:g}"
    return f", usual {low:g} to {high:g}"
