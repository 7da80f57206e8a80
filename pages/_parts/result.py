"""The model's answer: the curve first, then the saliency, which takes longer and is computed while the page is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import VIRTUAL_WATERMARK, session
from core.case import Case, Job
from core.case.background import Question
from core.errors import UserFacingError
from core.fuse import reads_of
from core.records import DIED_BEFORE, IMAGE, NOTHING_READ, CaseReview
from core.view.packing import map_label
from core.view.words import empty_html
from core.wording import duration
from pages._parts import label as names
from pages._parts import quality, survival, watching
from pages._parts.header import Asked

RESUME = "Compute it"
AT_ONCE_S = 0.3
"""A saliency that takes no longer is waited for; the page is then drawn once and not twice."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said.

    review: None where it refused or there is no model. question: what was asked, as the viewer knows it. label: names
    the map. stopped: the reader does without it. job: computes the saliency that the review still lacks. failure: why
    there will be none.
    """

    review: CaseReview | None = None
    question: str = "no model"
    label: str = ""
    stopped: bool = False
    job: Job[CaseReview] | None = None
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
    label = map_label(whole.method, horizon) if whole.method else ""
    with st.container(key="overlay_expect"):
        session.expect_overlay(whole.name, label, _title(case, asked, horizon))
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
        return Answer(question=whole.name)
    if isinstance(found, Job):
        return Answer(review, whole.name, label, job=found)
    return Answer(found, whole.name, label, stopped=question != whole)


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
    return f"Saliency stopped. \u201c{RESUME}\u201d begins it anew."


def watch(answer: Answer) -> None:
    """How far the saliency is, with a way to stop it or to have it after all; drawn anew once it is there."""
    job, review, underway = answer.job, answer.review, session.answers().underway
    if job is not None and review is not None:
        told = f"{{words}}, risk by {duration(review.horizon_days)}: {{share:.0%}}"
        watching.draw(job, lambda: underway.job is job, underway.stop, key="stop", label="Stop", told=told, even=True)
    elif answer.stopped:
        with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center", gap="small"):
            st.html("<p>Saliency stopped</p>", width="content")
            st.button(RESUME, key="resume", on_click=underway.resume)
