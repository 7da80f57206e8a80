"""The way to a page: through app.py, and away from it without answers that come late."""

from __future__ import annotations

import runpy
from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

APP = Path(__file__).resolve().parents[2] / "app.py"


def ensure_router() -> None:
    """Go through app.py where a page was reached without it.

    On a fresh server Streamlit takes pages/ for its older kind of pages until app.py has run once, so the first visitor
    who opens a page by its own address would get it without navigation, look and research-use notice.
    """
    if PagesManager.uses_pages_directory:
        runpy.run_path(str(APP), run_name="__main__")
        st.stop()


def forget_fragments() -> None:
    """Leave what the browser's timers still ask of a page unanswered: the page is about to be left, and an answer
    would take the next one off the screen."""
    if context := get_script_run_ctx():
        context.fragment_storage.clear()
