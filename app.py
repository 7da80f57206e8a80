"""Router: page configuration, look, research-use notice, navigation."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from streamlit.runtime import Runtime

from core import RESEARCH_NOTICE

ROOT = Path(__file__).resolve().parent


STARTING = """<div class="empty panel" role="status"><div><p><b>Starting</b></p>
<p>Libraries and models are being loaded, once for all visits. On a slow machine this takes up to a minute.</p>
</div></div>"""


def is_loaded() -> bool:
    """Are the libraries there? While they are loaded for one visitor, the module stands there unfinished for others."""
    return hasattr(sys.modules.get("core.session"), "show_overlay")


def notice(words: str) -> str:
    """The bar beside the navigation: what the app runs on, and what it must not be used for."""
    return f'<div class="notice-bar" role="note"><span>{words}</span><span class="mark">{RESEARCH_NOTICE}</span></div>'


st.set_page_config(page_title="Case review", layout="wide", initial_sidebar_state="collapsed")
st.html(ROOT / "assets" / "app.css")
bar = st.empty()
if not is_loaded():
    bar.html(notice("Starting") + STARTING)

from core import session  # noqa: E402  (seconds of imports on the first visit, while the bar says so)
from core.compute.clean_end import end_with_main_thread  # noqa: E402
from core.intake.files.quiet_logs import keep_texts_of_errors_out_of_logs  # noqa: E402
from pages._parts import foretold  # noqa: E402

keep_texts_of_errors_out_of_logs()
if type(Runtime._instance) is Runtime:  # a server of the app's own, not a test that runs its pages
    end_with_main_thread()
bar.html(notice(f"Runs on {session.device_words()}"))
pages = [
    st.Page("pages/case_review.py", title="Case review", default=True),
    *([st.Page("pages/futures.py", title="Futures")] if foretold.is_offered() else []),
    st.Page("pages/load.py", title="Load"),
    st.Page("pages/model_card.py", title="Model card"),
]
st.navigation(pages, position="top").run()
