"""Small pieces of HTML: the case line, notices with icon and words, empty states, raw events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import pandas as pd

from core.errors import UserFacingError
from core.export.events import TIMES, day_words, hazard_factor, is_undated
from core.export.style import by_level
from core.quality import other_person, scan_day
from core.records import (
    CHANCE_LEVEL,
    DIED_BEFORE,
    DOUBTS,
    FEW_EVENTS,
    NOT_EVALUATED,
    NOTHING_READ,
    OTHER_PERSON,
    OUTSIDE_POPULATION,
    THIN_RECORD,
    VIRTUAL_WEIGHTS,
    CtStudy,
    Notice,
    NoticeLevel,
    Task,
    Timeline,
)
from core.wording import OLDEST_YEARS, count_of, days_from_zero_words, span_words, true_minus

_LIST_AFTER = {OUTSIDE_POPULATION: "training population:"}
"""Notices that give several reasons, and the words after which these begin."""
_LEVEL_WORDS: dict[NoticeLevel, str] = {"warning": "Warning", "caution": "Caution", "info": "Note"}
_SHORT = {
    DIED_BEFORE: "died by day 0",
    OUTSIDE_POPULATION: "outside the training population",
    NOTHING_READ: "nothing of this patient was read",
    "no_known_code": "no code of the record is known",
    OTHER_PERSON: "scan and record differ in sex or age",
    "other_day": "scan not of day 0",
    "scan_day_unknown": "day of the scan in doubt",
    "fabricated_pair": "CT and record put together",
    **{key: DOUBTS[key] for key in (THIN_RECORD, CHANCE_LEVEL, FEW_EVENTS, NOT_EVALUATED)},
    VIRTUAL_WEIGHTS: "trained on virtual patients",
}
"""Warnings in a few words, those first that concern this patient most."""


def case_line(name: str, words: str, timeline: Timeline | None, study: CtStudy | None, time_zero: str) -> str:
    """Whose case: name, age and sex, what is open, time zero; never a date or an identifier."""
    parts = [words, _person(study, timeline), _study_words(study), _record_words(timeline), _zero_words(time_zero)]
    spans = "".join(f"<span>{escape(part)}</span>" for part in parts if part)
    return f'<div class="case-line"><h1>{escape(name)}</h1>{spans}</div>'


def time_zero(study: CtStudy | None, timeline: Timeline | None, task: Task | None) -> str:
    """What day 0 is: for a virtual patient with a CT what her own task says, else only what is known of the case."""
    parts = [part for part in (study, timeline) if part is not None]
    if task is not None and study is not None and all(part.origin == "virtual" for part in parts):
        return task.time_zero
    return "the CT" if timeline is None or scan_day(study, timeline) == 0 else "prediction time"


def scan_words(study: CtStudy | None, timeline: Timeline, *, own: bool) -> str:
    """When the scan beside a record was taken, "" without one. own: the reader loaded both.

    Short enough to stand in one line with the other marks of the chart: a legend of several lines presses its lanes.
    """
    if study is None:
        return ""
    days = scan_day(study, timeline)
    if days:
        return f"CT, {days_from_zero_words(days)}"
    return "CT, taken as of day 0" if own and days is None else "CT shown above"


def _zero_words(time_zero: str) -> str:
    return f"Day 0: {time_zero.removeprefix('Time of the ')}" if time_zero else ""


def _person(study: CtStudy | None, timeline: Timeline | None) -> str:
    """Age and sex by the record; by both where the scan's file says otherwise."""
    if timeline is None:
        return ""
    if study is not None and (differs := other_person(study, timeline)):
        return differs[:1].upper() + differs[1:]
    age, sex = timeline.age_years, {"F": "woman", "M": "man", None: ""}[timeline.sex]
    years = "" if age is None else ("90 or older" if age >= OLDEST_YEARS else f"{int(age)} y")
    return " ".join(word for word in (years, sex) if word) or "Age and sex not recorded"


def _study_words(study: CtStudy | None) -> str:
    if study is None:
        return "No CT"
    return f"CT: {count_of(study.shape[2], 'slice')} of {study.spacing_mm[2]:.2g} mm"


def _record_words(timeline: Timeline | None) -> str:
    if timeline is None:
        return "No record"
    days = timeline.days_from_prediction[~is_undated(timeline)]
    span = span_words(-float(days.min())) if len(days) else "none of a known day"
    return f"Record: {count_of(len(timeline.events), 'event')}, {span}"


def describe_case(study: CtStudy | None, timeline: Timeline | None) -> list[str]:
    """What was loaded, in sentences."""
    lines = []
    if study is not None:
        i, j, k = study.spacing_mm
        low, high = int(study.voxels_hu.min()), int(study.voxels_hu.max())
        shape = " \u00d7 ".join(map(str, study.shape))
        spacing = f"{i:.2f} \u00d7 {j:.2f} \u00d7 {k:.2f} mm"
        lines.append(f"CT: {study.description}, {shape} voxels of {spacing}, {true_minus(f'{low:,} to {high:,}')} HU.")
        lines += study.notes
    if timeline is not None:
        hidden = f"; {timeline.later_event_count:,} later ones left out" if timeline.later_event_count else ""
        lines.append(f"Record: {count_of(len(timeline.events), 'event')} up to day 0{hidden}.")
        lines += timeline.notes
    return lines


def notices_html(notices: Iterable[Notice]) -> str:
    """Every notice, most serious first: icon, level in words, sentence; several as one line that opens."""
    ordered = by_level(notices)
    body = "".join(_note(n.level, n.text, _LIST_AFTER.get(n.key, "")) for n in ordered)
    if len(ordered) < 2:
        return f'<div class="notes">{body}</div>' if ordered else ""
    icon = f'<i class="icon {ordered[0].level}" role="img" aria-label="{_LEVEL_WORDS[ordered[0].level]}"></i>'
    return (
        f'<details class="notices"><summary>{icon}<span>{_notices_in_short(ordered)}</span></summary>'
        f'<div class="notes">{body}</div></details>'
    )


def _notices_in_short(ordered: Sequence[Notice]) -> str:
    """How many notices of each level, and each of the most serious level in a few words; how many are not named.

    >>> _notices_in_short([Notice("virtual_weights", "warning", ""), Notice("missing_ct", "caution", "")])
    '<b>1 warning, 1 caution:</b> trained on virtual patients; and 1 more'
    """
    levels = [notice.level for notice in ordered]
    counts = ", ".join(count_of(levels.count(level), _LEVEL_WORDS[level].lower()) for level in dict.fromkeys(levels))
    worst = [notice for notice in ordered if notice.level == levels[0]]
    rank = {key: place for place, key in enumerate(_SHORT)}
    worst.sort(key=lambda notice: rank.get(notice.key, len(rank)))
    named = [_SHORT.get(notice.key, notice.text.rstrip(".")) for notice in worst]
    others = [f"and {len(ordered) - len(worst)} more"] if len(worst) < len(ordered) else []
    return f"<b>{counts}:</b> {escape('; '.join(named + others))}"


def doubts_html(doubts: Iterable[str]) -> str:
    """What speaks against something that was taken all the same, each as a warning; "" where nothing does."""
    body = "".join(_note("warning", doubt) for doubt in doubts)
    return f'<div class="notes" role="alert">{body}</div>' if body else ""


def _note(level: NoticeLevel, text: str, listed_after: str = "") -> str:
    words = f"<b>{_LEVEL_WORDS[level]}.</b> " if level != "info" else ""
    icon = f'<i class="icon {level}" role="img" aria-label="{_LEVEL_WORDS[level]}"></i>'
    body = _listed(text, listed_after) if listed_after else escape(text)
    return f'<div class="note">{icon}<span>{words}{body}</span></div>'


def _listed(text: str, mark: str) -> str:
    """A sentence of several reasons with each reason on a line of its own; one reason stays in the sentence.

    A reason begins with what it is about and a colon; a semicolon inside of one parts nothing.
    """
    head, _, told = text.partition(mark)
    reasons = re.split(r"; (?=[A-Za-z ]+: )", told.strip().removesuffix("."))
    if len(reasons) == 1:
        return escape(text)
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f"{escape(head + mark)}<ul>{lines}</ul>"


def error_html(error: UserFacingError, choice: str = "", *, instead: str = "") -> str:
    """An error as found, expected, next step; choice: what can be chosen below it, said before that step; instead: the
    next step where the page itself offers it."""
    step = f"{choice}, or {error.next_step[:1].lower()}{error.next_step[1:]}" if choice else instead or error.next_step
    return (
        f'<div class="notes" role="alert">{_note("warning", _sentence(error.found))}'
        f'<div class="note"><span></span><span><b>Expected:</b> {escape(error.expected)}</span></div>'
        f'<div class="note"><span></span><span><b>Next:</b> {escape(_sentence(step))}</span></div></div>'
    )


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."


def empty_html(kind: str, title: str, lines: Sequence[str]) -> str:
    """A designed empty state: `kind` is scan, panel, answer (the panel below its controls) or lanes, framed and of
    that part's height, or quiet, without a frame."""
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<div class="empty {kind}" role="status"><div><p><b>{escape(title)}</b></p>{body}</div></div>'


def scroll_html(body: str, name: str, most_px: int) -> str:
    """`body` in a frame of at most this height, which scrolls by pointer and by keyboard; name: what it holds."""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}" style="max-height: {most_px}px">'
        f"{body}</div>"
    )


EFFECT_HELP = "by how much the event multiplies the model's hazard, added up to the horizon; above 1 it raises the risk"


def together_html(name: str, change: float) -> str:
    """What several events of one thing do together, above the table of what each does alone."""
    told = f"together {hazard_factor(change)}. Below, what each does alone."
    return f'<p class="dim"><b>{escape(name)}:</b> {escape(told)}</p>'


def raw_event_html(row: pd.Series, shown_day: str | None = None) -> str:
    """One raw event as a small table: what, when, value, code, what the model made of it."""
    attention = float(row["attention"])
    facts = [
        ("Event", row["words"]),
        ("When", shown_day or day_words(float(row["day"]))),
        ("Value", row["value"] or "none recorded"),
        ("Code", row["code"]),
        ("Effect on risk", _effect(float(row["attribution"]))),
        ("Attention", "not given" if np.isnan(attention) else attention_share(attention)),
    ]
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in facts)
    return f'<table class="raw">{lines}</table>'


def events_html(rows: pd.DataFrame, when: Sequence[str]) -> str:
    """Several raw events as one table; drawn here and not as a data grid, which could be saved past the export gate."""
    lines = "".join(
        f"<tr><td>{escape(day)}</td><td>{escape(str(row.words))} <b>{escape(str(row.value))}</b>"
        f"<small>{escape(str(row.code))}</small></td><td>{escape(hazard_factor(float(row.attribution)))}</td></tr>"  # type: ignore[arg-type]
        for day, row in zip(when, rows.itertuples(), strict=True)
    )
    effect = f'<th title="{EFFECT_HELP}">Effect on risk</th>'
    head = f"<th>When</th><th>Event, value, code</th>{effect}"
    told = f"<caption>Effect: {EFFECT_HELP}</caption>" if rows["attribution"].notna().any() else ""
    return f'<table class="found events">{told}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def attention_share(weight: float) -> str:
    """An event's share of the attention that the model gave to the record.

    >>> attention_share(0.0061)
    "0.61% of the record's"
    """
    return f"{100 * weight:.2g}% of the record's"


def _effect(value: float) -> str:
    if np.isnan(value):
        return "not given: the model did not read it"
    side = "raises it" if value > 0 else "lowers it" if value < 0 else "does not change it"
    if not value:
        return side
    factor = hazard_factor(value).removeprefix(TIMES)
    return f"{side}: the hazard added up to the horizon is {factor} times that without the event"
