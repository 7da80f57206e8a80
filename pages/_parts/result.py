"""The model's answer: the curve first, then the saliency, which takes longer and is computed while the page is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import VIRTUAL_WATERMARK, session
from core.case import Case, Job
from core.case.background import Question
from core.errors import UserFacingError
from core.explain.methods import CARDS
from core.fuse import reads_of
from core.records import DIED_BEFORE, IMAGE, NOTHING_READ, CaseReview
from core.view.packing import map_label
from core.view.words import empty_html
from core.wording import duration, seconds_words
from pages._parts import label as names
from pages._parts import quality, survival, watching
from pages._parts.header import Asked

RESUME = "Compute it"
AT_ONCE_S = 0.3
"""A saliency that takes no longer is waited for; the page is then drawn once and not twice."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said.

    review: None where it refused or there is no model. question: what was asked, as the viewer knows it; asked: the
    question itself. label: names the map. stopped: the reader does without it, or has not begun a slow one. job:
    computes the saliency that the review still lacks. failure: why there will be none.
    """

    review: CaseReview | None = None
    question: str = "no model"
    label: str = ""
    stopped: bool = False
    job: Job[CaseReview] | None = None
    asked: Question | None = None
    failure: UserFacingError | None = None


def draw(case: Case, asked: Asked | None, verdicts: DeltaGenerator, new: bool) -> Answer:
    """The quality gate before any prediction, then the right panel; then the saliency is begun.

    new: nothing of this case is on screen yet, so the panel says what it waits for.
    """
    if asked is None:
        survival.draw_missing_model()
        quality.draw(case, None, verdicts)
        return Answer()
    horizon, alone = survival.pick_horizon(asked)
    answers = session.answers()
    whole = Question(case.digest, asked.model.key, horizon, _method(case, asked))
    question = answers.underway.turn_to(whole)
    shown = question if question.method else whole
    label = "" if not shown.method else map_label(shown.method, horizon, one_slice=shown.slice_mm is not None)
    with st.container(key="overlay_expect"):
        session.expect_overlay(shown.name, label, _title(case, asked, horizon))
    panel = _panel(new)
    quality.draw(case, asked.model.key, verdicts)
    try:
        review = answers.curve(case, question)
        if any(notice.key == NOTHING_READ for notice in review.notices):
            with panel():
                survival.draw_nothing_read(case, review)
            return Answer(question=question.name)
        if any(notice.key == DIED_BEFORE for notice in review.notices):
            with panel():
                survival.draw_after_death()
            return Answer(question=question.name)
        with panel():
            survival.draw(case, asked, review, alone)
        review = answers.events(case, question)
        found = answers.explained(case, question)
    except UserFacingError as error:
        with panel():
            survival.draw_error(error, "answer")
        return Answer(question=shown.name)
    if isinstance(found, Job):
        return Answer(review, shown.name, label, job=found, asked=shown)
    return Answer(found, shown.name, label, stopped=question != shown, asked=shown)


def _panel(new: bool) -> Callable[[], DeltaGenerator]:
    """Where the curve goes, made when it is there; until then a new case's place says what is computed."""
    make: Callable[..., DeltaGenerator] = st.container
    if new:
        slot = st.empty()
        slot.html(empty_html("answer", "Computing the curve", ("The model reads what there is of this patient.",)))
        make = slot.container
    return partial(make, height="stretch", gap="xsmall")


def _title(case: Case, asked: Asked, horizon_days: float) -> str:
    """Whose case and what is asked: the viewer says it where it fills the screen."""
    parts = (names.of(case), asked.task.title, asked.model.title, f"risk by {duration(horizon_days)}")
    return " \u00b7 ".join(parts)


def _method(case: Case, asked: Asked) -> str | None:
    """How to explain, None where there is nothing to explain."""
    return None if case.study is None or IMAGE not in asked.model.reads else asked.method


def settled(answer: Answer) -> Answer:
    """The answer with its saliency where that takes but a moment; the job stays where there is more to wait for."""
    job = answer.job
    if job is None or not job.wait(max(0.0, job.started + AT_ONCE_S - time.monotonic())):
        return answer
    return replace(answer, review=job.result or answer.review, job=None, failure=job.error)


def overlay(case: Case, asked: Asked | None, answer: Answer) -> None:
    """Send saliency and slice strip to the viewer, or say why there is none."""
    if case.study is None:
        return
    virtual = bool(asked and answer.review and session.bundle(asked.model.key).virtual)
    pending = answer.label if answer.job else ""
    with st.container(key="overlay_feed"):
        session.show_overlay(
            case.study,
            answer.review,
            answer.question,
            reason="" if pending else no_map(answer),
            pending=pending,
            stopped=answer.stopped,
            model=asked.model.title if asked else "",
            task=asked.task.title if asked else "",
            watermark=VIRTUAL_WATERMARK if virtual else "",
        )


def no_map(answer: Answer) -> str:
    """Why there is no map on the scan; empty where there is one."""
    if answer.review is None:
        return "No saliency: no model result."
    if answer.review.saliency is not None:
        return ""
    if IMAGE not in reads_of(answer.review.fusion):
        return "No saliency: this model reads the record only."
    if answer.failure is not None:
        return f"{answer.failure.found} {answer.failure.next_step}"
    if answer.asked is None or not answer.asked.slow:
        return f"Saliency stopped. \u201c{RESUME}\u201d begins it anew."
    stopped = session.answers().underway.was_stopped
    return "Saliency stopped." if stopped else f"{CARDS[str(answer.asked.method)].title}: not computed yet."


def watch(case: Case, answer: Answer) -> None:
    """How far the saliency is, with a way to stop it or to have it after all; drawn anew once it is there. Before a
    slow one begins, how long it will take."""
    job, review, underway = answer.job, answer.review, session.answers().underway
    if job is not None and review is not None:
        told = f"{{words}}, risk by {duration(review.horizon_days)}: {{share:.0%}}"
        watching.draw(job, lambda: underway.job is job, underway.stop, key="stop", label="Stop", told=told, even=True)
    elif answer.stopped and answer.asked is not None and answer.asked.slow:
        _offer(case, answer.asked)
    elif answer.stopped and answer.asked is not None:
        with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center", gap="small"):
            st.html("<p>Saliency stopped</p>", width="content")
            st.button(RESUME, key="resume", on_click=underway.begin, args=(answer.asked,))


def _offer(case: Case, question: Question) -> None:
    """What a slow method costs, for the whole CT and for the slice on screen."""
    whole, one = session.answers().seconds(case, question)
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center", gap="small"):
        st.html(f"<p>{CARDS[str(question.method)].title} takes many passes of each slice</p>", width="content")
        for words, key, begun, seconds in (
            ("This slice", "begin_slice", _begin_slice, one),
            ("Whole CT", "begin_whole", _begin_whole, whole),
        ):
            st.button(f"{words}, about {seconds_words(seconds)}", key=key, on_click=begun, args=(case, question))


def _begin_whole(case: Case, question: Question) -> None:
    session.answers().underway.begin(question)


def _begin_slice(case: Case, question: Question) -> None:
    """Of the axial slice on screen when the button was pressed; the middle one's until the viewer said."""
    if case.study is None:
        return
    i, j, k = session.view().get("voxel") or (count // 2 for count in case.study.shape)
    height_mm = float((case.study.affine_mm @ np.array([i, j, k, 1.0]))[2])
    session.answers().underway.begin(replace(question, slice_mm=height_mm))
