"""The one core file that knows Streamlit: typed access to a session, bounded caches, and the CT viewer component.

Model weights are shared between sessions, read-only. Whatever belongs to a patient lives in `st.session_state` only, in
small bounded stores keyed by digests, and is gone when the session ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.bundle import Bundle, load_bundle, shipped_bundles
from core.bundle_folder import MODELS_FOLDER, OwnModels, find_own_models
from core.case import Case, Intake, export_refusal, give_back_memory, of_record, read_demo, set_imports_aside
from core.case.background import Asking, Zipping
from core.case.reopened import Asked
from core.case.results import Answers
from core.case.store import Kept
from core.compute.device import resolve_device
from core.errors import UserFacingError
from core.intake.scan.thumbnail import study_thumbnail
from core.records import CaseReview, CtStudy, Task, Timeline
from core.view.choices import ModelChoice, in_display_order, of_task, own_choices
from core.view.exporting import Exports, check_same_scan
from core.view.lanes import event_rows
from core.view.layout import INK_ON_DARK, INK_ON_LIGHT
from core.view.packing import pack_expected, pack_overlay, pack_volume
from core.view.words import describe_case

ASSETS = Path(__file__).resolve().parents[1] / "assets"
DEMO_CASES = ASSETS / "demo" / "cases"
T = TypeVar("T")
set_imports_aside()
MultiPartParser.spool_max_size = 0
"""Never: an upload above this many bytes, 1 MiB by default, would pass through a temporary file on disk."""
PACKETS_KEPT, CASES_KEPT, OWN_MODELS_KEPT_S = 6, 3, 30
INTAKE = "store:intake"
REOPENED = "reopened"
ON_SCREEN = ("case", "case_from", "on_screen", "picked_events", "view", "leaving_for", REOPENED)


# ---------------------------------------------------------------- bounded stores of this session


def remember(store: str, key: object, limit: int, make: Callable[[], T]) -> T:
    """The value of `key` in a named store of this session, made once; beyond `limit` the least recently used goes."""
    kept = cast("Kept", st.session_state.setdefault("store:kept", Kept()))
    return kept.of(store, key, limit, make)


def forget_patient() -> None:
    """Drop everything that belongs to a patient from this session."""
    _drop(*(str(name) for name in st.session_state if str(name).startswith("store:")))
    _drop(*ON_SCREEN)


def _drop(*names: str) -> None:
    """Forget these; what a server is asked ends at once, though the page on screen holds it until it is drawn anew."""
    for name in names:
        if isinstance(kept := st.session_state.pop(name, None), Asking):
            kept.drop()


# ---------------------------------------------------------------- cases


@st.cache_resource(show_spinner=False)
def demo_cases() -> Mapping[str, Mapping[str, Any]]:
    """Shipped demo cases in their order: folder name -> its case.json."""
    cards = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(DEMO_CASES.glob("*/case.json"))}
    return dict(sorted(cards.items(), key=lambda item: (item[1].get("order", 99), item[0])))


def open_demo(name: str) -> Case:
    """Open a shipped demo case. Raises UserFacingError where it is not there."""
    card = demo_cases().get(name)
    if card is None:
        raise UserFacingError(
            "This demo case is not installed.", "a demo case that ships with the app", "Choose another"
        )
    return remember("demo", name, CASES_KEPT, lambda: read_demo(DEMO_CASES / name, card))


def current_case() -> Case | None:
    """The case on screen; the first demo case where nothing was opened yet; None where none is installed.

    Raises UserFacingError where the chosen demo case cannot be read.
    """
    if "case" not in st.session_state:
        name = st.session_state.get("demo") or next(iter(demo_cases()), None)
        if name is None:
            return None
        st.session_state["demo"] = name
        st.session_state["case"] = open_demo(name)
    return cast("Case", st.session_state["case"])


def choose_demo(name: str) -> None:
    """Show a demo case from the next run on.

    The user's own case is dropped, with the files that it was opened from; files that no case was opened from stay.
    """
    read = intake()
    if "case_from" in st.session_state:
        close_case()
    elif has_own_case():
        forget_patient()
        if read is not None:
            st.session_state[INTAKE] = read
        give_back_memory()
    else:
        _drop(*ON_SCREEN)
    st.session_state["demo"] = name


def set_case(case: Case) -> None:
    """Put the user's own case on screen; what was kept of earlier cases is dropped."""
    forget_patient()
    st.session_state["case"] = case
    st.session_state["demo"] = None


def is_new_on_screen(case: Case) -> bool:
    """Was another case, or none, on screen before? True once a case."""
    before, st.session_state["on_screen"] = st.session_state.get("on_screen"), case.digest
    if before != case.digest:
        st.session_state["cases_shown"] = cases_shown() + 1
        st.session_state.pop("picked_events", None)
    return before != case.digest


def cases_shown() -> int:
    """How many cases this session has put on screen; tells what is about this one from what is about another."""
    return int(st.session_state.get("cases_shown", 0))


def current_demo() -> str | None:
    """Folder name of the demo case on screen, None for the user's own."""
    return cast("str | None", st.session_state.get("demo"))


# ---------------------------------------------------------------- the user's own files


def intake() -> Intake | None:
    """What is being read for this session, or None."""
    return cast("Intake | None", st.session_state.get(INTAKE))


def arriving() -> Intake | None:
    """What is being read, or waits to be opened; None where the case on screen was opened from just that."""
    read = intake()
    return None if read is None or st.session_state.get("case_from") == (read, read.changes_of_mind) else read


def begin_intake(new: Intake) -> None:
    """Read these sources instead of whatever was being read; uploads are taken out of Streamlit's own keeping."""
    stop_intake()
    st.session_state[INTAKE] = new
    new.advance()


def stop_intake() -> None:
    """Drop what is being read, and all of a case that was opened from it before its identifiers were decided."""
    if (old := intake()) and st.session_state.get("case_from", (None, 0))[0] is old:
        forget_patient()
    _end_intake(old)


def _end_intake(read: Intake | None) -> None:
    """Files, results and uploads go; the case on screen stays."""
    if read:
        read.cancel()
    _drop(INTAKE, "case_from", "store:pacs", "store:asking")
    st.session_state["upload_round"] = upload_round() + 1
    context = get_script_run_ctx()
    if context is not None:
        context.uploaded_file_mgr.remove_session_files(context.session_id)
    give_back_memory()


def upload_round() -> int:
    """Part of every uploader's key: another round is an empty uploader."""
    return int(st.session_state.get("upload_round", 0))


def open_intake() -> None:
    """Put what was read on screen. Undecided identifiers stay with it, and block its exports.

    Where just this is on screen already, whatever was computed and chosen for it stays. Raises UserFacingError where
    nothing was read.
    """
    read, before = intake() or Intake(), st.session_state.get("case")  # an empty one refuses to be opened
    case, asked = read.as_case(), read.exported.asked if read.exported else None
    released = case.released
    if released:
        _end_intake(read)
    if before is not None and before.digest == case.digest and has_own_case():
        st.session_state["case"] = case
    else:
        set_case(case)
        if asked is not None:
            st.session_state[REOPENED] = asked
            view().update(asked.view_of(case.study))
    if not released:
        st.session_state.update({INTAKE: read, "case_from": (read, read.changes_of_mind)})


def reopened() -> Asked | None:
    """What was asked, and seen, when the case on screen was exported; None for any other case."""
    return cast("Asked | None", st.session_state.get(REOPENED))


def settle_intake() -> None:
    """Release the case on screen once its search is over and decided about; pages call it first."""
    read = intake()
    if read is None or arriving() is not None:
        return
    read.advance()
    if read.released:
        open_intake()


def decide_intake() -> None:
    """The reader has seen the identifiers and chose to strip them: what is open, or will be, may be exported."""
    read = intake()
    if read is not None and read.findings is not None:
        read.decided = True
        settle_intake()


def export_block(case: Case) -> UserFacingError | None:
    """Why this case must not be exported, or None."""
    read = intake()
    if read is None:
        return export_refusal(case)
    return export_refusal(case, searching=read.searching, unsearched=read.error("findings") is not None)


def described(study: CtStudy | None, timeline: Timeline | None) -> list[str]:
    """What was loaded, in sentences. Kept for this session: a range of HU looks at every voxel."""
    key = Case("", study, timeline).digest
    return remember("described", key, 2 * CASES_KEPT, lambda: describe_case(study, timeline))


def picture(study: CtStudy) -> npt.NDArray[np.uint8]:
    """The middle axial slice of a study, small, as grey values."""
    return remember("pictures", study.digest, 1, lambda: study_thumbnail(study))


def has_own_case() -> bool:
    """Is the case on screen the user's own?"""
    return "case" in st.session_state and current_demo() is None


def close_case() -> None:
    """Take the user's own case off the screen and out of memory."""
    stop_intake()
    forget_patient()
    st.session_state.pop("demo", None)
    give_back_memory()


# ---------------------------------------------------------------- models


@st.cache_resource(show_spinner=False, ttl=OWN_MODELS_KEPT_S)
def own_models() -> OwnModels:
    """Models of the folder that whoever runs the app named; one put there is seen within half a minute."""
    return find_own_models(os.environ.get(MODELS_FOLDER, ""))


def model_choices() -> tuple[ModelChoice, ...]:
    """Every shipped bundle, tasks and fusions in display order, then those of one's own."""
    return (*in_display_order(shipped_bundles()), *own_choices(own_models().models))


@st.cache_resource(show_spinner=False, max_entries=16)
def bundle(key: str) -> Bundle:
    """A bundle, verified and loaded once for all sessions (weights only, never a patient)."""
    own = {model.key: model.path for model in own_models().models}
    if (path := own.get(key) or shipped_bundles().get(key)) is None:
        raise UserFacingError("This model is no longer in its folder.", "the model chosen", "Choose it again.")
    return load_bundle(path)


def task_card(choice: ModelChoice) -> Task:
    """The task of a model."""
    return choice.card or bundle(choice.key).task


def answers() -> Answers:
    """What models say of this session's cases."""
    return cast("Answers", st.session_state.setdefault("store:answers", Answers(bundle)))


def event_table(timeline: Timeline, result: CaseReview | None) -> pd.DataFrame:
    """Rows of the timeline chart for this review."""
    key = (of_record(timeline), result.bundle_digest if result else "", result.horizon_days if result else 0.0)
    return remember("event_rows", key, 4, lambda: event_rows(timeline, result))


def ink() -> str:
    """Text colour of the reader's theme, for figures."""
    return INK_ON_DARK if st.context.theme.type == "dark" else INK_ON_LIGHT


def device_words() -> str:
    """Which device runs the models, in words."""
    device, _ = resolve_device("auto")
    return "GPU" if device.type == "cuda" else "CPU (no GPU found)"


# ---------------------------------------------------------------- export


def exports(case: Case, bundle_key: str, result: CaseReview, label: str) -> Exports:
    """The exports of what is on screen, the same as long as the answer is. Raises UserFacingError while identifiers are
    undecided."""
    if refusal := export_block(case):
        raise refusal
    report = answers().quality(case, bundle_key)
    beside = partial(answers().all_models, case, of_task(model_choices(), result.task.name), result.horizon_days)
    parts = (case.study, case.timeline, result, bundle(bundle_key), view(), report, case.searched)
    together = case.fabricated
    make = partial(Exports, *parts, all_models=beside, label=label, model_key=bundle_key, fabricated=together)
    return remember("exports", (*map(id, parts), label), 1, make)


def zipping() -> Zipping:
    """The zip of all files that this session waits for, or has."""
    return cast("Zipping", st.session_state.setdefault("store:zip", Zipping()))


# ---------------------------------------------------------------- the CT viewer


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    js, css = ((ASSETS / f"viewer.{kind}").read_text("utf-8") for kind in ("js", "css"))
    return st.components.v2.component("ct_viewer", js=js, css=css)


def show_volume(study: CtStudy, window_hu: tuple[int, int]) -> None:
    """Mount the viewer with the study's volume; the browser keeps it while its digest stays the same. A reopened case
    opens where it was exported."""
    asked = reopened()
    opened = {} if asked is None else {**asked.view_of(study), "token": asked.token}
    make = partial(pack_volume, study, window_hu, opened=opened)
    packet = remember("volumes", (study.digest, window_hu, opened.get("token")), 2, make)
    _component()(key="ct_view", data=packet, on_view_change=_keep_view)


def view() -> dict[str, Any]:
    """What the viewer last reported: voxel (i, j, k), window_hu (low, high), inverted, threshold, opacity; or empty."""
    return cast("dict[str, Any]", st.session_state.setdefault("view", {}))


def _keep_view() -> None:
    view().update(st.session_state["ct_view"].get("view") or {})


def expect_overlay(question: str, label: str, title: str) -> None:
    """Dim a map that answers another question while the one named `label` is computed; with no label, take it away.

    While the reader's own case is open, the browser asks before it leaves the page.
    """
    packet = pack_expected(question, label, token=secrets.token_hex(8), own=has_own_case(), title=title)
    _component()(key="ct_expect", data=packet)


def show_overlay(study: CtStudy, result: CaseReview | None, question: str, **words: Any) -> None:
    """Send saliency and slice strip, the answer to `question`, to the mounted viewer; words: as `pack_overlay`'s."""
    if result is not None:
        check_same_scan(result, study)
    saliency, attention = (result.saliency, result.attention) if result else (None, None)
    digest = hashlib.sha256(repr((study.digest, question, words)).encode()).hexdigest()[:24]
    make = partial(pack_overlay, study, saliency, attention, digest=digest, question=question, **words)
    _component()(key="ct_overlay", data=remember("overlays", digest, PACKETS_KEPT, make))
