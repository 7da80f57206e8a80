"""What a curve says in words: the risk at each horizon, of how many people, and what befell patients given about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.export.cohort import at_risk_on, cohort_risk, curve_ticks, shown_days
from core.export.style import fusion_colour, fusion_title, in_people, percent
from core.records import CaseReview, SurvivalCurve
from core.wording import count_of, duration

_DAYS_ON_AXIS = 730.0
_SMALL_RISK = 0.02
"""Below it one of a hundred people is too coarse a measure."""


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
    shown = np.isfinite(risk) and not review.doubts
    icons = icon_array(risk, reference, fusion_colour(review.fusion)) if shown else ""
    return (
        f'<div class="risks" style="--dot:{fusion_colour(review.fusion)}">'
        f'<p class="risk-label">{event[:1].upper()}{event[1:]} within</p>{cells}{icons}</div>'
    )


def risk_words_html(review: CaseReview, baseline: pd.DataFrame) -> str:
    """The risk at the chosen horizon as a sentence, with the cohort's and what happened to those given about it."""
    day = review.horizon_days
    risk = review.curve.risk_at(day)
    if not np.isfinite(risk):
        return '<p class="risk-words">The follow-up of the training cohort ended before this horizon.</p>'
    event, reference = review.task.event_words, cohort_risk(baseline, day)
    within = escape(duration(day))
    if review.doubts:
        known = f" Training cohort: {percent(reference)}." if np.isfinite(reference) else ""
        why = escape("; ".join(review.doubts))
        return f'<div class="risk-words"><p>The risk by {within} does not apply: {why}.{known}</p></div>'
    people = _people_for(risk, reference)
    beside = f" (training cohort: {people_words(reference, people)})" if np.isfinite(reference) else ""
    first = (
        f"{escape(event[:1].upper() + event[1:])} is expected within {within} in {people_words(risk, people)} of "
        f"{people:,} patients like this one{beside}. {escape(_observed_words(review, people))}"
    )
    return f'<div class="risk-words"><p>{first}</p><p>{_median_words(review)} \u00b7 {_rmst_words(review)}</p></div>'


def _observed_words(review: CaseReview, people: int) -> str:
    """What happened to the patients given about this risk, or why nothing is said; of virtual ones also truths."""
    given, curve = review.given.get(review.horizon_days), review.curve
    if given is None:
        return f"{curve.band[:1].upper()}{curve.band[1:]}."
    low, high = (in_people(share, people) for share in given.interval)
    told = f"Of {given.patients} given {span_of(given.given)}, {low:,} to {high:,} of {people:,} had it (95% interval)"
    if curve.outer_lower is None or curve.outer_upper is None:
        return f"{told}."
    edges = (np.interp(review.horizon_days, curve.times_days, e) for e in (curve.outer_upper, curve.outer_lower))
    least, most = (in_people(1 - float(edge), people) for edge in edges)
    return f"{told}; nine in ten had a true risk of {least:,} to {most:,}."


def _risk_cell(review: CaseReview, baseline: pd.DataFrame, day: float) -> str:
    chosen = " chosen" if day == review.horizon_days else ""
    risk, given = review.curve.risk_at(day), review.given.get(day)
    head = f'<div class="risk-cell{chosen}"><span>{escape(duration(day))}</span>'
    if not np.isfinite(risk):
        return f"{head}<b>not given</b><span>beyond training follow-up</span></div>"
    reference = cohort_risk(baseline, day)
    beside = f"cohort {percent(reference)}" if np.isfinite(reference) else "cohort not known"
    if review.doubts:
        why = f"<p>{escape(_sentence(review.doubts[0]))}</p>" if chosen else ""
        number = f"<details><summary>show anyway</summary><b>{percent(risk)}</b></details>"
        return f'{head}<i class="withheld">not shown</i>{why}{number}<span>{beside}</span></div>'
    observed = "no range" if given is None else "observed " + span_of(given.interval)
    return f"{head}<b>{percent(risk)}</b><span>{observed}</span><span>{beside}</span></div>"


def span_of(interval: tuple[float, float]) -> str:
    """A range of risks, the unit once.

    >>> span_of((0.081, 0.173)), span_of((0.0001, 0.02))
    ('8.1 to 17%', '<0.1 to 2.0%')
    """
    low, high = (percent(share) for share in interval)
    return f"{low.removesuffix('%')} to {high}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _median_words(review: CaseReview) -> str:
    """The median with its range; a time beyond the axis is never told."""
    curve = review.curve
    first, median, last = (
        None if edge is None else _medianon_axis(review, edge) for edge in (curve.lower, curve.survival, curve.upper)
    )
    title = "Time by which half of such patients would have had the event"
    if median is None:
        since = f"; its range begins at {on_axis(first, review)}" if first is not None else ""
        return f'<span title="{title}{since}">Median <b>not reached within {_end_words(review)}</b></span>'
    between = ""
    if first is not None and first != last:
        between = f" (from {on_axis(first, review)})" if last is None else f" ({_from_to(first, last, review)})"
    return f'<span title="{title}: day {median:,.0f}">Median <b>{on_axis(median, review)}</b>{between}</span>'


def _from_to(first: float, last: float, review: CaseReview) -> str:
    return f"{on_axis(first, review).split()[0]} to {on_axis(last, review)}"


def _medianon_axis(review: CaseReview, survival: npt.NDArray[np.float64]) -> float | None:
    """When one edge of the band, or the curve itself, is down to a half; None where the axis ends before."""
    median = replace(review.curve, survival=survival).median_days
    return median if median is not None and median <= shown_days(review) else None


def _end_words(review: CaseReview) -> str:
    """How long the axis is."""
    end = shown_days(review)
    return duration(end) if end in review.task.horizons_days else on_axis(end, review)


def _rmst_words(review: CaseReview) -> str:
    day = review.horizon_days
    value = review.curve.rmst_days(day)
    return (
        f'<span title="Restricted mean survival time, the average event-free time up to the horizon: {value:,.0f} of '
        f'{day:,.0f} days">Event-free time, mean <b>{on_axis(value, review)}</b> of {duration(day)}</span>'
    )


def on_axis(days: float, review: CaseReview) -> str:
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
    head = "".join(f"<th>{name}</th>" for name in ("Within", "Risk", "Observed", "Cohort", "At risk", *names))
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
    given = review.given.get(day)
    low, high = review.curve.risk_interval_at(day) if given is None else given.interval
    reference, count = cohort_risk(baseline, day), at_risk_on(baseline, day)
    cells = [
        duration(day),
        percent(review.curve.risk_at(day)),
        span_of((low, high)) if np.isfinite(low) else "none",
        _known(reference),
        "not known" if count is None else f"{count:,}",
        *(_known(curve.risk_at(day)) for _, curve in others),
    ]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _known(risk: float) -> str:
    return percent(risk) if np.isfinite(risk) else "not known"
