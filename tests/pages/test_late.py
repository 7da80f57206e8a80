"""What a page still sends of the case, or the answer, before: it carries the values of all widgets of that page, and it
reaches the server after another case was drawn. Nothing of it may do anything to that case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pages_support import fine, has_stop, html, of_case, opened, settled, slow_zip, starting, stop_of, strongest_events
from streamlit.testing.v1 import AppTest


def sent_late(app: AppTest, name: str, act: Callable[[AppTest], Any]) -> AppTest:
    """Another case is picked; only when it is drawn comes what `act` did on the page of the one before."""
    before = app._tree
    app.selectbox(key="case_pick").set_value(name).run()
    fine(app)
    after, app._tree = app._tree, before
    act(app)
    assert app._tree is before
    app._tree = after
    before.run()
    return fine(app)


def test_a_horizon_of_the_case_before_leaves_this_one_its_own_task(world):
    """The selected task of the page before came with it, and the next case was asked a question that is not its own."""
    app = fine(opened())
    sent_late(app, "record", lambda page: page.segmented_control(key="horizon_pe_mortality").set_value(30))
    assert "Record only" in html(app)
    assert app.selectbox(key=of_case(app, "task")).value == "mace"
    assert world.asked[-1][1] == 1095


def test_words_searched_in_the_record_before_hide_nothing_of_this_one(world):
    app = fine(opened())
    search = of_case(app, "event_search")
    fine(app.text_input(key=search).set_value("probnp").run())
    sent_late(app, "record", lambda page: page.text_input(key=search).set_value("no such thing"))
    assert app.text_input(key=of_case(app, "event_search")).value == ""
    assert "No event is found" not in html(app)


@pytest.mark.parametrize("which", ["pill", "list"])
def test_an_event_chosen_in_the_record_before_selects_none_of_this_one(world, which):
    app = fine(opened())
    key = of_case(app, "event_list")
    pick = {"pill": lambda page: strongest_in(page, before), "list": lambda page: page.selectbox(key=key).set_value(4)}
    before = strongest_events(app).key
    sent_late(app, "record", pick[which])
    assert "Select a mark to read the raw event." in [caption.value for caption in app.caption]


def strongest_in(page: AppTest, key: str) -> None:
    next(item for item in page.get("button_group") if item.key == key).set_value(6)


def test_the_stop_of_one_saliency_stops_no_other(world):
    world.slow = True
    app = fine(opened())
    sent_late(app, "scan", lambda page: stop_of(page).click())
    assert settled(lambda: world.cancelled == 1), "the one before, which nobody asks any more"
    fine(app.run())
    assert has_stop(app)
    assert world.cancelled == 1
    fine(stop_of(app).click().run())
    assert settled(lambda: world.cancelled == 2), "its own does"
    assert not has_stop(app)


def test_the_stop_of_one_horizon_stops_no_other(world):
    world.slow = True
    app = fine(opened())
    old = stop_of(app).key
    fine(app.segmented_control(key="horizon_pe_mortality").set_value(365).run())
    assert stop_of(app).key != old


def test_a_zip_asked_for_in_the_case_before_makes_none_of_this_one(world, monkeypatch):
    slow_zip(monkeypatch)
    app = fine(opened())
    sent_late(app, "record", lambda page: starting(page, "make_zip")[0].click())
    assert app.session_state["store:zip"].job is None
    fine(starting(app, "make_zip")[0].click().run())
    assert app.session_state["store:zip"].job is not None, "its own does"
