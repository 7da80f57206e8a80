"""Which case is open, in the page's address: loading the page anew begins another session, which must not put another
patient in the place of this one without a word."""

from __future__ import annotations

import streamlit as st

from core import session

MARK, OWN = "case", "own"


def mark() -> None:
    """Name the demo case that is open, but for the first; of the reader's own case say that it is open, and no more."""
    st.session_state["address_marked"] = True
    name = OWN if session.has_own_case() else session.current_demo()
    if name in (None, next(iter(session.demo_cases()), None)):
        st.query_params.pop(MARK, None)
    elif st.query_params.get(MARK) != name:
        st.query_params[MARK] = str(name)


def follow() -> bool:
    """Open the demo case that the address names, where this session has just begun; False where it names the reader's
    own case, which is gone with the session before."""
    begun = any(key in st.session_state for key in ("case", "address_marked"))
    if begun or session.current_demo():
        return True
    name = st.query_params.get(MARK)
    if name in session.demo_cases():
        session.choose_demo(str(name))
    return name != OWN
