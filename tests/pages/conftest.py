"""What every test of a page is given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import streamlit as st
import view_support
from pages_support import DEMOS, World
from remembered_reader import remembered_reader

from core import session
from core.case import results
from core.cohort.tasks import TASKS
from core.intake.files.allowed import ROOTS


@pytest.fixture(autouse=True)
def reader() -> Iterator[None]:
    """Text in pictures is looked for once a picture: what is tested here is what becomes of the answer."""
    with remembered_reader():
        yield


@pytest.fixture(autouse=True)
def any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of these tests lie in temporary folders; what may be read where is tested by itself."""
    monkeypatch.setenv(ROOTS, "/")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The app's stand-ins, in place of cases, bundles and models."""
    made = World()
    st.cache_resource.clear()
    monkeypatch.setattr(session, "demo_cases", lambda: DEMOS)
    monkeypatch.setattr(session, "read_demo", made.read_demo)
    monkeypatch.setattr(session, "shipped_bundles", lambda: made.bundles)
    monkeypatch.setattr(
        session, "load_bundle", lambda path: view_support.ScreenBundle(path.name, TASKS[path.parent.name])
    )
    monkeypatch.setattr(results, "review_case", made.review_case)
    monkeypatch.setattr(results, "encode_case", lambda *args, **words: None)
    monkeypatch.setattr(results, "assess_case", made.assess_case)
    monkeypatch.setattr(results.Answers, "seconds", lambda answers, case, question: (240.0, 8.4))
    monkeypatch.setattr(
        results,
        "compare_curves",
        lambda scan, record, bundles, **words: {name: view_support.curve() for name in bundles},
    )
    yield made
    made.slow = False
    st.cache_resource.clear()
