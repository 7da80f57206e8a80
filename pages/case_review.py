"""Case review: the scan and the curve, then the record, then the figure to take away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import session
from core.case import Case
from core.errors import UserFacingError
from core.export.scan import window_of
from core.view.words import empty_html
from pages._parts import (
    address,
    arriving,
    comparison,
    events,
    export,
    header,
    quality,
    reopened,
    result,
    router,
    survival,
)
from pages._parts.header import Asked

Place = Callable[[], DeltaGenerator]


@dataclass(frozen=True)
class Places:
    """Where the parts of the page go: a container each, made when it is filled."""

    scan: Place
    curve: Place
    models: DeltaGenerator
    record: Place
    exports: DeltaGenerator


def main() -> None:
    """Draw the page; another patient's picture is taken away first, the volume goes out before anything is computed,
    and nothing waits for the saliency."""
    session.settle_intake()
    above = st.container()
    case = _case()
    with above:
        arriving.draw(case)
    if case is None:
        return
    top = st.container(gap="xxsmall")
    new = session.is_new_on_screen(case)
    if new:
        reopened.ask(case)
    places = _places(case, new)
    with top:
        asked = header.draw(case)
        reopened.say()
        verdicts = quality.place()
        busy = st.container(key="busy")
    with places.scan():
        _scan(case, asked)
    with places.curve():
        answer = result.draw(case, asked, verdicts, new)
    if asked and answer.review and st.session_state.get(comparison.SHOWN):
        with places.models:
            comparison.draw(case, asked, answer.review)
    with places.record():
        events.draw(case, answer.review, _known_codes(case, asked))
    answer = result.settled(answer)
    result.overlay(case, asked, answer)
    if asked and answer.review:
        with places.exports.container():
            export.draw(case, asked, answer.review, waiting=answer.job is not None)
    else:
        places.exports.empty()
    with busy:
        result.watch(case, answer)


def _places(case: Case, new: bool) -> Places:
    """Where everything goes. What was to be exported is taken away at once; for a newly opened case the rest is, too,
    and says that it loads, before anything of the case is named."""
    columns = st.columns([1.27, 1], gap="small")
    models, record, exports = st.container(), st.container(), st.empty()
    exports.html('<h2 class="section dim">Export</h2>')
    if not new:
        return Places(
            columns[0].container,
            partial(columns[1].container, height="stretch", gap="xsmall"),
            models,
            record.container,
            exports,
        )
    left, right, below = columns[0].empty(), columns[1].empty(), record.empty()
    if case.study is not None:
        left.html(empty_html("scan", "Loading the CT", ()))
    right.html(empty_html("panel", "Asking the model", ()))
    if case.timeline is not None:
        below.html(empty_html("lanes", "Reading the record", ()))
    curve = partial(right.container, height="stretch", gap="xsmall")
    return Places(left.container, curve, models, below.container, exports)


def _known_codes(case: Case, asked: Asked | None) -> str:
    """How many of the record's codes the model knows, as the quality says it; "" where that is not known."""
    if asked is None or case.timeline is None:
        return ""
    try:
        report = session.answers().quality(case, asked.model.key)
    except UserFacingError:
        return ""
    return next((factor.found for factor in report.factors if factor.name == "known codes"), "")


def _case() -> Case | None:
    if not address.follow():
        _lost()
        return None
    try:
        case = session.current_case()
    except UserFacingError as error:
        survival.draw_error(error)
        case = None
    else:
        if case is None:
            lines = ("No demo case is installed under assets/demo/cases.", "Load your own CT or record.")
            st.html(empty_html("panel", "No case is open", lines))
    if case is None:
        st.page_link("pages/load.py", label="Load your own", icon=":material/folder_open:")
    address.mark()
    return case


def _lost() -> None:
    """The page was loaded anew: never put a demonstration in the place of the reader's own patient by itself."""
    lines = ("It was in memory only, and loading the page anew began another session. Load its files again.",)
    with st.container(key="lost", horizontal_alignment="center", vertical_alignment="center", gap="small"):
        st.html(empty_html("quiet", "Your own case is closed", lines))
        with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center", gap="small"):
            st.page_link("pages/load.py", label="Load your own", icon=":material/folder_open:")
            for name in [*session.demo_cases()][:1]:
                st.button("Show a demonstration", key="show_demo", on_click=session.choose_demo, args=(name,))


@st.fragment
def _scan(case: Case, asked: Asked | None) -> None:
    """The viewer; what it reports reruns only this fragment."""
    if case.study is None:
        lines = (
            "Models that read a CT were trained to answer without one and will note that it is missing.",
            "To add one, load CT and record together with \u201cLoad your own\u201d.",
        )
        st.html(empty_html("scan", "This case has no CT", lines))
        return
    with st.container(key="scan"):
        st.html(empty_html("scan", "Loading the CT", ()))
        session.show_volume(case.study, window_of(asked.task.name if asked else case.task))


router.ensure_router()
main()
