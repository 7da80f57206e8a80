"""Router: page configuration, look, research-use notice, navigation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import RESEARCH_NOTICE, session

ROOT = Path(__file__).resolve().parent

st.set_page_config(page_title="Case review", layout="wide", initial_sidebar_state="collapsed")
st.html(ROOT / "assets" / "app.css")
st.html(
    f'<div class="notice-bar" role="note"><span>Runs on {session.device_words()}</span>'
    f'<span class="mark">{RESEARCH_NOTICE}</span></div>'
)
pages = [
    st.Page("pages/case_review.py", title="Case review", default=True),
    st.Page("pages/load.py", title="Load"),
    st.Page("pages/model_card.py", title="Model card"),
]
st.navigation(pages, position="top").run()
