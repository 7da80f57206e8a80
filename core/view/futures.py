"""Simulated futures on screen: lanes beyond today, what happens most often, risks over time, days in hospital."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.events.descriptions import describe
from core.events.kinds import KINDS, kind_of
from core.events.stays import admissions_of, is_stay_code
from core.export.style import COHORT, EHR_COLOUR
from core.foresee.cohort_risks import END_CODES
from core.foresee.futures import Risk
from core.foresee.simulate import DEATH, LIMIT
from core.records import Float64Array, SurvivalCurve
from core.view.colour import translucent
from core.view.layout import INK_ON_LIGHT, finish

FAINT = 0.18
_MOST_MARKS = 6000
_PAST_SHARE = 0.35
"""Of the axis that the record before today takes."""


def events_only(table: pd.DataFrame) -> pd.DataFrame:
    """The simulated events of `futures_table`, without the rows that tell how each future ends; lane added."""
    events = table[~table["code"].isin(END_CODES.values())].reset_index(drop=True)
    lanes = {code: kind_of(code) for code in events["code"].unique()}
    return events.assign(lane=events["code"].map(lanes))


def frequent_events(table: pd.DataFrame, most: int = 12, words: Mapping[str, str] | None = None) -> pd.DataFrame:
    """What happens in most futures: code, words, lane, share of futures, standard_error, first_day (median, of those).

    Marks of visits and stays are told by `hospital_days`, laboratory values and vital signs by nobody: each visit has
    them.
    """
    futures = int(table["future"].max())
    events = events_only(table)
    events = events[~events["lane"].isin(["labs", "vitals", "demographics"]) | (events["code"] == "MEDS_DEATH")]
    events = events[[not is_stay_code(str(code)) for code in events["code"]]]
    first = events.groupby(["code", "future"])["days"].min().reset_index()
    told = first.groupby("code").agg(futures=("future", "nunique"), first_day=("days", "median")).reset_index()
    share = told["futures"] / futures
    told = told.assign(
        share=share,
        standard_error=np.sqrt(share * (1 - share) / futures),
        words=[describe(str(code), words) for code in told["code"]],
        lane=[kind_of(str(code)) for code in told["code"]],
    )
    columns = ["code", "words", "lane", "share", "standard_error", "first_day"]
    return told.sort_values(["share", "code"], ascending=[False, True])[columns].head(most).reset_index(drop=True)


def hospital_days(table: pd.DataFrame, horizon_days: int) -> tuple[float, float, float, float]:
    """Mean admissions up to the horizon with its Monte-Carlo error, and mean days in hospital with its error."""
    admissions, days = [], []
    for _, own in table.groupby("future"):
        stays = [one.stay for one in admissions_of(own["code"].astype(str).tolist(), own["days"].to_numpy(np.float64))]
        inside = [stay for stay in stays if stay.start_days <= horizon_days]
        admissions.append(len(inside))
        days.append(sum(min(stay.end_days, horizon_days) - stay.start_days for stay in inside))
    return *_mean(np.array(admissions, np.float64)), *_mean(np.array(days, np.float64))


def _mean(values: Float64Array) -> tuple[float, float]:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return float(values.mean()), error


def lanes_figure(
    past: pd.DataFrame, table: pd.DataFrame, horizon_days: int, chosen: int | None = None, *, ink: str = INK_ON_LIGHT
) -> go.Figure:
    """The record up to today and, beyond it, faint marks of all simulated futures; one of them may be drawn full.

    past: rows of `core.view.lanes.event_rows`. table: of `futures_table`. chosen: number of a future.
    """
    events = events_only(table)
    before = past[past["day"] >= -horizon_days * _PAST_SHARE]
    lanes: list[str] = [lane for lane in KINDS if (before["lane"] == lane).any() or (events["lane"] == lane).any()]
    figure = go.Figure()
    figure.add_vrect(x0=0, x1=horizon_days, fillcolor=translucent(EHR_COLOUR, 0.06), line_width=0, layer="below")
    figure.add_vline(x=0, line={"color": COHORT, "width": 2})
    _add_marks(figure, before["day"], before["lane"], before["words"], lanes, "the record", 1.0, COHORT)
    thinned = events if len(events) <= _MOST_MARKS else events.iloc[:: -(-len(events) // _MOST_MARKS)]
    names = thinned["code"].map({code: describe(str(code)) for code in thinned["code"].unique()})
    _add_marks(figure, thinned["days"], thinned["lane"], names, lanes, "all simulated futures", FAINT, EHR_COLOUR)
    if chosen is not None:
        own = events[events["future"] == chosen]
        names = own["code"].map({code: describe(str(code)) for code in own["code"].unique()})
        _add_marks(figure, own["days"], own["lane"], names, lanes, f"future {chosen}", 1.0, EHR_COLOUR, size=10)
        end = table[(table["future"] == chosen) & table["code"].isin(END_CODES.values())].iloc[-1]
        figure.add_vline(x=min(float(end["days"]), horizon_days), line={"color": EHR_COLOUR, "dash": "dot"})
    figure.update_yaxes(
        tickvals=list(range(len(lanes))), ticktext=lanes, range=[len(lanes) - 0.5, -0.5], zeroline=False
    )
    figure.update_xaxes(range=[-horizon_days * _PAST_SHARE, horizon_days * 1.01], title="days from now", zeroline=False)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return finish(figure, ink=ink, height=90 + 26 * max(len(lanes), 4), margin={"l": 104, "r": 12, "t": 34, "b": 44})


def _add_marks(
    figure: go.Figure,
    days: pd.Series[float],
    lane: pd.Series[str],
    words: pd.Series[str],
    lanes: list[str],
    name: str,
    opacity: float,
    colour: str,
    size: int = 7,
) -> None:
    figure.add_scatter(
        x=days,
        y=[lanes.index(one) for one in lane],
        mode="markers",
        name=name,
        text=words,
        marker={"size": size, "color": colour, "opacity": opacity},
        hovertemplate="%{text}<br>day %{x:.0f}<extra></extra>",
    )


def risk_figure(
    risks: Mapping[str, Risk],
    fusion: SurvivalCurve | None = None,
    fusion_words: str = "",
    *,
    ink: str = INK_ON_LIGHT,
) -> go.Figure:
    """Cumulative incidence of each query by day with the Monte-Carlo error's 95% band; the fusion model's risk dashed.

    risks: what is asked, in words, -> the risk.
    """
    figure = go.Figure()
    colours = (EHR_COLOUR, "#CC79A7", "#56B4E9")
    for (words, risk), colour in zip(risks.items(), colours, strict=False):
        days = np.arange(risk.horizon_days + 1)
        error = 1.96 * np.nan_to_num(risk.standard_errors)
        upper, lower = np.clip(risk.incidence + error, 0, 1), np.clip(risk.incidence - error, 0, 1)
        figure.add_scatter(
            x=np.concatenate([days, days[::-1]]), y=np.concatenate([upper, lower[::-1]]), fill="toself",
            fillcolor=translucent(colour, 0.18), line={"width": 0}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=days, y=risk.incidence, mode="lines", name=words, line={"color": colour, "width": 2.5, "shape": "hv"},
            hovertemplate="day %{x}: %{y:.1%}<extra></extra>",
        )  # fmt: skip
    if fusion is not None:
        last = max(risk.horizon_days for risk in risks.values())
        grid = np.linspace(0, last, 60)
        curve = [fusion.risk_at(float(day)) for day in grid]
        figure.add_scatter(
            x=grid, y=curve, mode="lines", name=fusion_words, line={"color": COHORT, "width": 2, "dash": "dash"}
        )
    figure.update_yaxes(title="risk", tickformat=".0%", rangemode="tozero")
    figure.update_xaxes(title="days from now")
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return finish(figure, ink=ink, height=260, margin={"l": 60, "r": 12, "t": 34, "b": 44})


def agreement_words(own: Risk, fusion_risk: float, reads: str) -> str:
    """Whether the simulated futures and a fusion model agree, in a sentence that says what each has read."""
    low, high = own.risk - 1.96 * own.standard_error, own.risk + 1.96 * own.standard_error
    told = f"By day {own.horizon_days}: {own.risk:.0%} of simulated futures, read from the record alone; the fusion "
    told += f"model, which read {reads}, says {fusion_risk:.0%}. "
    apart = abs(own.risk - fusion_risk)
    if low - 0.02 <= fusion_risk <= high + 0.02:
        return told + "They agree within the error of the simulation."
    if apart < 0.1:
        return told + "They differ by more than the simulation's error, but by less than 10 in 100."
    return told + "They disagree: look at what each has read before trusting either."


def ends_words(table: pd.DataFrame, horizon_days: int) -> str:
    """How the futures end, in words; those that the limit of tokens stopped are undetermined from then on."""
    last = table.groupby("future").tail(1)["code"]
    died, cut = (int((last == END_CODES[end]).sum()) for end in (DEATH, LIMIT))
    words = f"{len(last)} futures; {died} end with death before day {horizon_days}"
    return words + (
        f"; {cut} reached the limit of tokens before that day and are undetermined from there." if cut else "."
    )


def frequent_html(rows: pd.DataFrame) -> str:
    """What happens most often, as a table with bars."""
    columns = (rows["words"], rows["share"], rows["standard_error"], rows["first_day"])
    body = "".join(
        f"<tr><td>{escape(str(words))}</td><td class='num'>{share:.0%} ± {1.96 * error:.0%}</td>"
        f"<td class='num'>{day:.0f}</td>"
        f"<td><span class='bar' style='width:{100 * share:.0f}%' aria-hidden='true'></span></td></tr>"
        for words, share, error, day in zip(*columns, strict=True)
    )
    head = "<tr><th>In the simulated futures</th><th>share of futures</th><th>median day</th><th></th></tr>"
    return f'<div class="futures-table"><table>{head}{body}</table></div>'
