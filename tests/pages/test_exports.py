"""Case review's exports, run by Streamlit's AppTest: all files in one zip, made in the background."""

from __future__ import annotations

import pytest
from pages_support import fine, html, opened, settled, slow_zip, starting, until
from streamlit.testing.v1 import AppTest

from core.view.exporting import Exports
from pages._parts import export


def download(app: AppTest, words: str):
    return next((button for button in app.get("download_button") if words in button.proto.label), None)


def test_a_zip_says_how_far_it_is_and_is_then_there_to_be_saved(world, monkeypatch):
    may_go = slow_zip(monkeypatch)
    app = fine(opened())
    fine(starting(app, "make_zip")[0].click().run())
    until(app, lambda: "file 2 of 6, figure.svg" in app.get("progress")[0].proto.text)
    assert starting(app, "make_zip")[0].disabled
    assert all(button.proto.disabled for button in app.get("download_button"))
    assert "Record before day 0" in html(app), "the page stays usable"
    assert "zipsSaved" not in html(app)
    may_go.set()
    until(app, lambda: download(app, "Save it again, 1.5 MB") is not None)
    assert "zipsSaved" in html(app), "it saves itself"
    assert not starting(app, "make_zip")[0].disabled
    assert not app.get("progress")
    fine(app.segmented_control(key="horizon_pe_mortality").set_value(365).run())
    assert download(app, "Save it again") is None, "it belongs to the answer that is on screen"


def test_a_zip_is_cancelled_and_can_be_made_anew(world, monkeypatch):
    may_go = slow_zip(monkeypatch)
    app = fine(opened())
    fine(starting(app, "make_zip")[0].click().run())
    job = app.session_state["store:zip"].job
    fine(starting(app, "cancel_zip")[0].click().run())
    fine(app.run())
    assert settled(lambda: not job.running)
    assert job.result is None
    assert not starting(app, "make_zip")[0].disabled
    may_go.set()
    fine(starting(app, "make_zip")[0].click().run())
    until(app, lambda: download(app, "Save it again") is not None)


def test_a_zip_that_fails_says_so_and_leaves_the_files(world, monkeypatch):
    monkeypatch.setattr(Exports, "archive", lambda *told: 1 / 0)
    app = fine(opened())
    fine(starting(app, "make_zip")[0].click().run())
    until(app, lambda: "The zip could not be made" in html(app))
    assert not any(button.proto.disabled for button in app.get("download_button"))


def test_the_button_says_what_the_zip_holds(world):
    app = fine(opened())
    assert starting(app, "make_zip")[0].label == "All in one zip, with scan and record"
    fine(app.selectbox(key="case_pick").set_value("record").run())
    assert starting(app, "make_zip")[0].label == "All in one zip, with record"
    assert "the record themselves" in starting(app, "make_zip")[0].help


@pytest.mark.parametrize("made", [False, True])
def test_without_a_ct_no_slice_is_spoken_of(made):
    with_ct, without = (export._words(made=made, with_ct=shown) for shown in (True, False))
    assert "slice" in with_ct
    assert "slice" not in without
    assert "window" not in without
