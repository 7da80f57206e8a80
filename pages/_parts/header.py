"""Top of the page: whose case, which task, which model, how explained."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import streamlit as st

from core import session
from core.case import Case
from core.cohort.tasks import TASKS
from core.explain.methods import CARDS
from core.fuse import FUSIONS
from core.records import IMAGE, Task
from core.view.choices import METHOD_WORDS, ModelChoice, method_title
from core.view.loading import facts_html
from core.view.words import case_line, time_zero
from pages._parts import bound, label

OWN = "own"
LEAVING = "leaving_for"
"""The demonstration that was picked while the reader's own case is open."""
MODELS_HELP = "\n".join(f"- **{fusion.title}**: {fusion.line}" for fusion in FUSIONS.values())
METHODS_HELP = "\n".join(f"- **{CARDS[name].title}**: {words}" for name, words in METHOD_WORDS.items())


@dataclass(frozen=True)
class Asked:
    """What the reader asks: a model, and how to explain it."""

    model: ModelChoice
    task: Task
    method: str


def draw(case: Case) -> Asked | None:
    """Case line and pickers; None where no model is installed."""
    models = session.model_choices()
    tasks = list(dict.fromkeys(choice.task for choice in models)) or list(TASKS)
    titles = {choice.task: choice.task_title for choice in reversed(models)}
    task = _chosen_task(case, tasks)
    zero = time_zero(case.study, case.timeline, TASKS.get(case.task or ""))
    with st.container(key="header", gap="xsmall"):
        st.html(case_line(label.in_title(case), case.words, case.timeline, case.study, zero))
        columns = st.columns([1.25, 1.9, 1.4, 1.15, 1.15], vertical_alignment="bottom", gap="small")
        with columns[0]:
            _pick_case()
        columns[1].selectbox(
            "Task",
            tasks,
            key=bound.of_case("task"),
            format_func=lambda name: titles.get(name, name),
            persist_state="session",
        )
        model = _pick_model(columns[2], [choice for choice in models if choice.task == task])
        maps = None if model is None else session.bundle(model.key).maps
        method = columns[3].selectbox(
            "Explained by",
            list(CARDS),
            key="method",
            format_func=lambda name: method_title(name, maps),
            disabled=case.study is None or (model is not None and IMAGE not in model.reads),
            help=METHODS_HELP,
            persist_state="session",
        )
        with (
            columns[4],
            st.container(horizontal=True, gap="xsmall", horizontal_alignment="right", vertical_alignment="center"),
        ):
            _about(case)
            st.page_link(
                "pages/load.py", label="Load your own", icon=":material/folder_open:", help="Your own CT and record"
            )
        _ask_before_leaving()
    if model is None:
        return None
    st.session_state["model_reviewed"] = model.key
    st.set_page_config(page_title=" · ".join((label.of(case), model.title, model.task_title)))
    return Asked(model, session.task_card(model), method)


def _about(case: Case) -> None:
    with st.popover("About", help="What was loaded, and every note about it"):
        st.html(facts_html(session.described(case.study, case.timeline)))


def _chosen_task(case: Case, tasks: list[str]) -> str:
    """The task picked for this case; it brings its own, else the one before stays."""
    key = bound.of_case("task")
    own = case.task if case.task in tasks else st.session_state.get("task")
    if st.session_state.get(key) not in tasks:
        st.session_state[key] = own if own in tasks else tasks[0]
    st.session_state["task"] = st.session_state[key]
    return str(st.session_state[key])


def _pick_case() -> None:
    demo, cards = session.current_demo(), session.demo_cases()
    names = [*cards, *([] if demo else [OWN])]
    st.session_state["case_pick"] = demo or OWN
    st.selectbox(
        "Case",
        names,
        key="case_pick",
        format_func=lambda name: "Your own" if name == OWN else str(cards[name].get("title", name)),
        on_change=_open_picked,
    )


def _open_picked() -> None:
    """Show the picked demonstration; where the reader's own case would be dropped for it, ask before."""
    name = st.session_state["case_pick"]
    if name not in session.demo_cases():
        return
    if session.has_own_case():
        st.session_state[LEAVING] = name
    else:
        session.choose_demo(name)


def _ask_before_leaving() -> None:
    name = st.session_state.get(LEAVING)
    if name is None or not session.has_own_case():
        return
    title = str(session.demo_cases()[name].get("title", name))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="leaving"):
        st.html(
            f'<p role="alert">Opening “{escape(title)}” drops your own case from memory; to see it again, it must be '
            "loaded again.</p>",
            width="content",
        )
        st.button("Drop it and open", key="leave_case", on_click=_leave, args=(name,))
        st.button("Stay", key="stay_in_case", type="primary", on_click=_stay)


def _leave(name: str) -> None:
    _stay()
    session.choose_demo(name)


def _stay() -> None:
    st.session_state.pop(LEAVING, None)


def _pick_model(place: st.delta_generator.DeltaGenerator, models: list[ModelChoice]) -> ModelChoice | None:
    by_name = {choice.name: choice for choice in models}
    if not by_name:
        place.selectbox("Model", ["none installed"], disabled=True)
        return None
    if st.session_state.get("fusion") not in by_name:
        st.session_state["fusion"] = models[0].name
    name = place.selectbox(
        "Model",
        list(by_name),
        key="fusion",
        format_func=lambda name: by_name[name].title,
        help=MODELS_HELP,
        persist_state="session",
    )
    return by_name[str(name)]
