"""The record's panel: every event is within reach, days rule trends too, and no control stands there without effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pages_support import World, fine, html, of_case, opened
from streamlit.testing.v1 import AppTest

from core import session
from core.case import results
from core.records import Timeline


def with_record(monkeypatch: pytest.MonkeyPatch, world: World, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """The first demonstration with other events."""

    def read(folder, card):
        case = world.read_demo(folder, card)
        if case.timeline is None:
            return case
        events = change(case.timeline.events).reset_index(drop=True)
        return replace(case, timeline=Timeline(events, case.timeline.subject_id, case.timeline.prediction_time))

    monkeypatch.setattr(session, "read_demo", read)


def giving_less(monkeypatch: pytest.MonkeyPatch, **left_out: None) -> None:
    """A model that gives less of what sizes the marks."""
    given = results.review_case
    monkeypatch.setattr(results, "review_case", lambda *case, **asked: replace(given(*case, **asked), **left_out))


def names(app: AppTest) -> set[str]:
    """Labels of the panel's controls."""
    return {
        control.label or str(control.proto.label)
        for kind in ("toggle", "text_input", "selectbox", "segmented_control", "button_group")
        for control in app.get(kind)
    }


def trends_axis(app: AppTest) -> list[float]:
    return json.loads(app.get("plotly_chart")[2].proto.spec)["layout"]["xaxis"]["range"]


def test_a_record_without_an_event_says_so_and_has_no_controls(world, monkeypatch):
    with_record(monkeypatch, world, lambda events: events.iloc[:0])
    giving_less(monkeypatch, event_attribution=None, attention=None)
    app = fine(opened())
    assert "The record has no event up to day 0" in html(app)
    assert not names(app) & {"Span", "Marks sized by", "Search events", "Dates"}


def test_facts_without_a_day_need_neither_a_span_nor_dates(world, monkeypatch):
    with_record(monkeypatch, world, lambda events: events.iloc[:2])
    giving_less(monkeypatch, event_attribution=None, attention=None)
    app = fine(opened())
    assert not names(app) & {"Span", "Marks sized by", "Dates"}
    assert "Search events" in names(app)
    layout = json.loads(app.get("plotly_chart")[1].proto.spec)["layout"]
    assert layout["xaxis"]["ticktext"][0] == "no day"


def test_what_sizes_the_marks_is_a_choice_only_where_there_are_two(world, monkeypatch):
    assert "Marks sized by" in names(fine(opened()))
    giving_less(monkeypatch, attention=None)
    app = fine(opened())
    assert "Marks sized by" not in names(app)
    assert "Marks sized by effect on risk" in html(app)


def test_of_very_many_events_each_can_be_listed(world, monkeypatch):
    def many(events: pd.DataFrame) -> pd.DataFrame:
        one = events[events["code"] == "LOINC//8867-4"]
        times = one["time"].iloc[0] - pd.to_timedelta(np.arange(900), "D")
        return pd.concat([events, pd.concat([one] * 900).assign(time=times)]).sort_values("time", na_position="first")

    with_record(monkeypatch, world, many)
    giving_less(monkeypatch, event_attribution=None, attention=None)
    app = fine(opened())
    key = of_case(app, "event_list")
    assert app.selectbox(key=key).label == "Events found: 402 of 909"
    assert app.selectbox(key=key).options[-2:] == ["no day of its own: Female", "no day of its own: Age 64"]
    fine(app.number_input(key=of_case(app, "list_from")).set_value(700).run())
    assert app.selectbox(key=key).options[0].startswith("day \u2212700 (")
    assert app.selectbox(key=key).options[-3].startswith("day \u2212900 (")
    fine(app.selectbox(key=key).set_value(2).run())
    assert "day \u2212900 (" in html(app)


def test_trends_follow_the_span(world):
    app = fine(opened())
    fine(app.toggle(key="trends").set_value(True).run())
    assert -450 < trends_axis(app)[0] < -400
    fine(app.segmented_control(key="span").set_value("1 year").run())
    assert -400 < trends_axis(app)[0] < -365
    fine(app.segmented_control(key="span").set_value("30 days").run())
    assert len(app.get("plotly_chart")) == 2
    assert any("Nothing was measured twice in the last 30 days" in caption.value for caption in app.caption)
    assert app.toggle(key="trends").value, "it stays where it is"


def test_a_model_of_one_horizon_leaves_none_to_choose(world, monkeypatch):
    given = session.task_card
    monkeypatch.setattr(session, "task_card", lambda model: replace(given(model), horizons_days=(90,)))
    app = fine(opened())
    assert "Risk within" not in names(app)
    assert "Risk within 90 days" in html(app)
    assert world.asked[-1][1] == 90


def test_detail_and_strongest_events_follow_the_search(world):
    """What is read beside the chart, and offered as strongest, is among what the search found."""
    app = fine(opened())
    pills = next(group for group in app.get("button_group") if group.proto.label == "Strongest events")
    offered = len(pills.proto.options)
    fine(pills.set_value(3).run())
    assert "ICD10CM//I50.9" in html(app)
    fine(app.text_input(key=of_case(app, "event_search")).set_value("NT-proBNP").run())
    assert "ICD10CM//I50.9" not in html(app)
    fewer = next(group for group in app.get("button_group") if group.proto.label == "Strongest events")
    assert 0 < len(fewer.proto.options) < offered
    fine(app.text_input(key=of_case(app, "event_search")).set_value("no such word").run())
    assert "None of the strongest events is among those found." in {caption.value for caption in app.caption}
