"""Every page in every state, run by Streamlit's AppTest; the model and the files are small stand-ins."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import streamlit as st
import view_support
from pages_support import (
    RECORD,
    ROOT,
    SCAN,
    fine,
    has_stop,
    html,
    of_case,
    opened,
    settled,
    stop_of,
    strongest_events,
    until,
)
from streamlit.testing.v1 import AppTest

from core import RESEARCH_NOTICE, session
from core.bundle_folder import MODELS_FOLDER
from core.case import Case, results
from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.records import DIED_BEFORE, NOTHING_READ, CaseReview, Notice
from pages._parts import result


def test_the_app_opens_on_the_first_demo_case_with_its_result(world):
    app = fine(opened())
    assert RESEARCH_NOTICE in html(app)
    assert "Demo 1" in html(app)
    assert "Death from any cause within" in html(app)
    assert app.selectbox(key="fusion").value == "cross_attention"
    assert len(app.get("bidi_component")) == 3
    assert len(app.get("plotly_chart")) == 2
    assert world.asked == [("cross_attention", 90, method) for method in (None, None, "gradcam")], "curve, events, map"


def test_the_quality_gate_is_judged_once_and_stands_before_any_prediction(world, monkeypatch):
    drawn = []

    def noted(part, draw):
        return lambda *given: (drawn.append(part), draw(*given))[1]

    for part in (result.quality, result.survival):
        monkeypatch.setattr(part, "draw", noted(part.__name__.rpartition(".")[2], part.draw))
    app = fine(opened("pages/case_review.py"))
    assert drawn[:2] == ["quality", "survival"]
    assert "2 checks: 1 outside, 1 in range" in html(app)
    assert world.judged == 1


def test_an_answer_without_any_notice_is_drawn(world, monkeypatch):
    ask = world.review_case
    monkeypatch.setattr(results, "review_case", lambda *case, **asked: replace(ask(*case, **asked), notices=()))
    app = fine(opened())
    assert "Death from any cause within" in html(app)
    assert 'class="notes"' not in html(app)


def test_quality_verdicts_stand_under_the_header_worst_first(world):
    shown = html(fine(opened()))
    assert "1 outside, 1 in range" in shown
    assert shown.index("left and right are exchanged") < shown.index("like the training scans")


def test_a_rerun_asks_no_model_again(world):
    app = fine(opened())
    before = len(world.asked)
    fine(app.run())
    assert len(world.asked) == before


def test_the_horizon_drives_curve_and_saliency(world):
    app = fine(opened())
    app.segmented_control(key="horizon_pe_mortality").set_value(365).run()
    fine(app)
    assert ("cross_attention", 365, "gradcam") in world.asked
    assert "within 1 year" in html(app)


def test_who_comes_while_the_libraries_load_for_another_is_told_so(world, monkeypatch):
    """The module stands there unfinished then, and the page waits for it: blank, without a word or the notice."""
    monkeypatch.setattr(session, "device_words", st.stop)
    monkeypatch.setitem(sys.modules, "core.session", ModuleType("core.session"))
    words = html(opened())
    assert "Libraries and models are being loaded" in words
    assert RESEARCH_NOTICE in words
    monkeypatch.undo()


def test_a_slow_saliency_keeps_nothing_else_waiting(world):
    world.slow = True
    app = fine(opened())
    assert "Record before day 0" in html(app)
    assert "Death from any cause within" in html(app)
    assert stop_of(app).label == "Stop"
    assert app.get("progress")[0].proto.text.endswith(" left"), "half of it is done, so the rest can be told"
    assert all(button.proto.disabled for button in app.get("download_button"))
    pills = strongest_events(app)
    fine(pills.set_value(6).run())
    assert "<b>2,310 pg/mL</b>" in html(app)
    world.slow = False
    until(app, lambda: not has_stop(app))
    assert not any(button.proto.disabled for button in app.get("download_button"))
    assert len([asked for asked in world.asked if asked[2] == "gradcam"]) == 1, "reruns do not begin it again"


def test_another_question_cancels_a_saliency_under_way(world):
    world.slow = True
    app = fine(opened())
    fine(app.segmented_control(key="horizon_pe_mortality").set_value(365).run())
    assert settled(lambda: world.cancelled == 1)
    fine(app.selectbox(key="case_pick").set_value("record").run())
    assert settled(lambda: world.cancelled == 2)
    assert not has_stop(app)


def test_a_stopped_saliency_stays_out_until_something_else_is_asked(world, monkeypatch):
    world.slow, sent, plain = True, [], session.show_overlay
    monkeypatch.setattr(
        session, "show_overlay", lambda *args, **words: (sent.append((args[2], words)), plain(*args, **words))
    )
    app = fine(opened())
    fine(stop_of(app).click().run())
    (asked, before), (stopped, now) = sent[0], sent[-1]
    assert asked == stopped, "the viewer is asked the same, so it keeps the map before"
    assert (before["stopped"], now["stopped"]) == (False, True)
    assert now["model"] == "Cross-attention"
    assert settled(lambda: world.cancelled == 1)
    fine(app.run())
    assert not has_stop(app)
    assert [method for _, _, method in world.asked].count("gradcam") == 1
    world.slow = False
    fine(app.button(key="resume").click().run())
    until(app, lambda: not has_stop(app))
    assert [method for _, _, method in world.asked].count("gradcam") == 2, "it can be had after all"
    assert not any(button.key == "resume" for button in app.button)
    fine(app.selectbox(key="method").set_value("occlusion").run())
    fine(app.button(key="begin_whole").click().run())
    assert world.asked[-1] == ("cross_attention", 90, "occlusion")


def test_nothing_is_said_to_be_stopped_where_the_map_is_there():
    review = view_support.review(SCAN, RECORD)
    assert result.no_map(result.Answer(review)) == ""
    assert "stopped" in result.no_map(result.Answer(replace(review, saliency=None)))


def test_a_saliency_that_fails_leaves_curve_and_export(world, monkeypatch):
    def broken(progress) -> None:
        raise FloatingPointError("the saliency is not finite")

    monkeypatch.setattr(world, "tell", broken)
    app = fine(opened())
    until(app, lambda: not has_stop(app))
    assert "Death from any cause within" in html(app)
    assert not any(button.proto.disabled for button in app.get("download_button"))


def test_the_method_drives_the_saliency(world):
    app = fine(opened())
    fine(app.selectbox(key="method").set_value("occlusion").run())
    fine(app.button(key="begin_whole").click().run())
    assert world.asked[-1] == ("cross_attention", 90, "occlusion")


def test_a_slow_method_tells_what_it_costs_before_it_begins_and_can_be_had_of_one_slice(world, monkeypatch):
    slices: list[float | None] = []
    plain = results.review_case

    def review_case(*case, **asked) -> CaseReview:
        if asked.get("explain") == "occlusion":
            slices.append(asked.get("slice_mm"))
        asked.pop("slice_mm", None)
        return plain(*case, **asked)

    monkeypatch.setattr(results, "review_case", review_case)
    app = fine(opened())
    fine(app.selectbox(key="method").set_value("occlusion").run())
    assert slices == [], "it has not begun"
    assert [button.label for button in app.button if str(button.key).startswith("begin_")] == [
        "This slice, about 9 s",
        "Whole CT, about 4 min",
    ]
    app.session_state["view"] = {"voxel": [3, 4, 5]}
    fine(app.button(key="begin_slice").click().run())
    height = float((SCAN.affine_mm @ [3, 4, 5, 1])[2])
    assert settled(lambda: slices == [pytest.approx(height)])
    fine(app.selectbox(key="method").set_value("gradcam").run())
    fine(app.selectbox(key="method").set_value("occlusion").run())
    assert len(slices) == 1, "asked anew, it waits anew"
    assert any(button.key == "begin_whole" for button in app.button)


def test_a_model_of_the_record_alone_says_why_there_is_no_saliency(world):
    app = fine(opened())
    fine(app.selectbox(key="fusion").set_value("ehr_only").run())
    assert all(method is None for fusion, _, method in world.asked if fusion == "ehr_only")
    assert "Death from any cause" in html(app)


NO_CURVE = {NOTHING_READ: "reads nothing of this patient", DIED_BEFORE: "The patient had died by day 0"}


@pytest.mark.parametrize("key", NO_CURVE)
def test_no_curve_is_drawn_of_nobody_or_of_somebody_dead(world, monkeypatch, key):
    why = Notice(key, "warning", "Why.")

    def review_case(*args, **words) -> CaseReview:
        made = world.review_case(*args, **words)
        return replace(made, notices=(why, *made.notices))

    monkeypatch.setattr(results, "review_case", review_case)
    app = fine(opened())
    assert NO_CURVE[key] in html(app)
    assert not [chart for chart in app.get("plotly_chart") if "curve" in str(chart.proto)]
    assert not app.get("download_button")


def test_a_method_can_be_chosen_only_where_there_is_a_map_to_explain(world):
    app = fine(opened())
    assert not app.selectbox(key="method").disabled
    fine(app.selectbox(key="fusion").set_value("ehr_only").run())
    assert app.selectbox(key="method").disabled
    fine(app.selectbox(key="fusion").set_value("cross_attention").run())
    fine(app.selectbox(key="case_pick").set_value("record").run())
    assert app.selectbox(key="method").disabled


def test_single_modality_curves_on_request(world):
    app = fine(opened())
    assert {"CT only", "Record only"}.isdisjoint(names_of(app, 0))
    fine(app.toggle(key="alone").set_value(True).run())
    assert {"CT only", "Record only"} <= names_of(app, 0)


def test_a_case_without_a_record(world):
    app = fine(opened())
    fine(app.selectbox(key="case_pick").set_value("scan").run())
    assert "This case has no record" in html(app)
    assert "No record" in html(app)
    assert len(app.get("bidi_component")) == 3


def test_a_case_without_a_ct_brings_its_own_task(world):
    app = fine(opened())
    fine(app.selectbox(key="case_pick").set_value("record").run())
    assert "This case has no CT" in html(app)
    assert app.selectbox(key=of_case(app, "task")).value == "mace"
    assert len(app.get("bidi_component")) == 1
    assert world.asked[-1] == ("cross_attention", 1095, None)


def test_changing_the_task_changes_the_model_and_its_horizons(world):
    app = fine(opened())
    fine(app.selectbox(key=of_case(app, "task")).set_value("mace").run())
    assert app.segmented_control(key="horizon_mace").options == ["1 year", "3 years", "5 years"]
    assert world.asked[-1][1] in TASKS["mace"].horizons_days


def test_no_bundle_is_a_designed_state(world):
    world.bundles.clear()
    app = fine(opened())
    assert "No model is installed" in html(app)
    assert len(app.get("bidi_component")) == 2
    assert "No model is installed" in html(fine(opened("pages/model_card.py")))


def test_loading_the_page_anew_shows_the_same_demo_case(world):
    """Another session begins then, and another patient would stand there without a word."""
    app = fine(opened())
    assert "case" not in app.query_params
    fine(app.selectbox(key="case_pick").set_value("record").run())
    assert app.query_params["case"] == "record"
    anew = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    anew.query_params["case"] = "record"
    assert "Record only" in html(fine(anew.run()))
    fine(anew.selectbox(key="case_pick").set_value("both").run())
    assert "case" not in anew.query_params
    unknown = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    unknown.query_params["case"] = "nobody"
    assert "Demo 1" in html(fine(unknown.run()))
    assert "case" not in unknown.query_params


def test_the_task_stays_while_another_page_is_read(world):
    app = fine(opened())
    fine(app.selectbox(key=of_case(app, "task")).set_value("mace").run())
    fine(app.switch_page("pages/model_card.py").run())
    fine(app.switch_page("pages/case_review.py").run())
    assert app.selectbox(key=of_case(app, "task")).value == "mace"


def test_a_refusal_is_shown_as_found_expected_next(world):
    world.refusal = UserFacingError("The scan is not of a chest.", "a chest CT", "Choose another study.")
    app = fine(opened())
    for words in ("not of a chest", "Expected:", "a chest CT", "Choose another study"):
        assert words in html(app)


def test_a_model_that_cannot_be_had_leaves_the_checks_of_the_scan(world):
    """The checks that need no model stay, and nothing is said of a model that reads no record."""
    world.refusal = UserFacingError("The model's file is damaged.", "the file", "Choose another model.")
    app = fine(opened())
    assert 'details class="quality"' in html(app)
    assert "No event was weighed: there is no model result." in [caption.value for caption in app.caption]


def test_an_unreadable_demo_is_told_and_another_can_be_opened(world):
    world.demo_refusal = UserFacingError("The file is damaged.", "an intact file", "Install again.")
    app = fine(opened())
    assert "The file is damaged" in html(app)
    assert any(link.proto.label == "Load your own" for link in app.get("page_link"))


def test_no_demo_case_at_all(world, monkeypatch):
    monkeypatch.setattr(session, "demo_cases", dict)
    assert "No case is open" in html(fine(opened()))


def test_the_timeline_search_and_dates(world):
    app = fine(opened())
    fine(app.text_input(key=of_case(app, "event_search")).set_value("probnp").run())
    assert "2020" not in html(app)
    assert not any("2020" in option for option in app.selectbox(key=of_case(app, "event_list")).options)
    fine(app.toggle(key=of_case(app, "show_dates")).set_value(True).run())
    assert app.selectbox(key=of_case(app, "event_list")).options[0].startswith("29 Feb 2020: NT-proBNP")


def test_picking_a_strong_event_shows_the_raw_event(world):
    app = fine(opened())
    assert "ICD10CM//I50.9" not in html(app)
    fine(strongest_events(app).set_value(3).run())
    assert 'class="raw"' in html(app)
    assert "ICD10CM//I50.9" in html(app)


def test_entries_of_one_thing_are_one_pill_that_opens_all_of_them(world):
    app = fine(opened())
    pills = strongest_events(app)
    assert pills.proto.options[0].content == "\u2191 \u00d7 3.32 NT-proBNP, serum, 2 entries"
    fine(pills.set_value(6).run())
    assert "NT-proBNP, serum:</b> together \u00d7 3.32" in html(app)
    for value, alone in (("310 pg/mL", "1.11"), ("2,310 pg/mL", "2.46")):
        assert f"<b>{value}</b>" in html(app)
        assert f"\u00d7 {alone}</td>" in html(app)
    assert strongest_events(app).value == 6
    fine(app.selectbox(key=of_case(app, "event_list")).set_value(4).run())
    assert strongest_events(app).value is None, "one of them is not both"


def test_a_record_that_hardly_matters_has_no_strong_event(world, monkeypatch):
    given = results.review_case

    def weak(*case, **asked):
        found = given(*case, **asked)
        return replace(found, event_attribution=replace(found.event_attribution, groups=()))

    monkeypatch.setattr(results, "review_case", weak)
    app = fine(opened())
    assert "No event changes the risk by 1% or more." in [caption.value for caption in app.caption]


def names_of(app: AppTest, chart: int) -> set[str]:
    """Names of the lines and marks of a chart."""
    return {line.get("name", "") for line in json.loads(app.get("plotly_chart")[chart].proto.spec)["data"]}


def axis_of(app: AppTest) -> list[float]:
    """Range of the timeline's axis, in days."""
    return json.loads(app.get("plotly_chart")[1].proto.spec)["layout"]["xaxis"]["range"]


def test_a_pressed_span_wins_over_a_selected_event(world):
    app = fine(opened())
    fine(app.segmented_control(key="span").set_value("30 days").run())
    pills = strongest_events(app)
    fine(pills.set_value(3).run())
    assert axis_of(app)[0] < -400, "the mark must be seen"
    fine(app.segmented_control(key="span").set_value("1 year").run())
    assert -1.12 * 365.25 < axis_of(app)[0] < -365, "a year, and the strip for what has no day"
    assert "ICD10CM//I50.9" not in html(app), "what is not in the span is not read beside it"
    fine(app.segmented_control(key="span").set_value("All").run())
    assert "ICD10CM//I50.9" in html(app), "and the event stayed selected"


def test_a_search_that_finds_nothing_says_so(world):
    app = fine(opened())
    fine(app.text_input(key=of_case(app, "event_search")).set_value("no such thing").run())
    assert "No event is found" in html(app)
    assert len(app.get("plotly_chart")) == 1


def test_found_events_can_be_chosen_from_a_list(world):
    app = fine(opened())
    fine(app.text_input(key=of_case(app, "event_search")).set_value("probnp").run())
    events = app.selectbox(key=of_case(app, "event_list"))
    assert events.options == [
        "day \u22121: NT-proBNP, serum 2,310 pg/mL",
        "day \u2212200 (\u22126.6 mo): NT-proBNP, serum 310 pg/mL",
    ]
    fine(events.set_value(4).run())
    assert "310 pg/mL</td>" in html(app)
    assert app.selectbox(key=of_case(app, "event_list")).value == 4


def test_age_and_sex_are_found_too_and_the_count_is_the_header_s(world):
    app = fine(opened())
    events = len(RECORD.events)
    assert f"Record: {events} events" in html(app)
    assert app.selectbox(key=of_case(app, "event_list")).label == f"Events found: {events}"
    fine(app.text_input(key=of_case(app, "event_search")).set_value("age 64").run())
    assert app.selectbox(key=of_case(app, "event_list")).options == ["no day of its own: Age 64"]
    assert names_of(app, 1) >= {"not weighed"}, "in the strip beside the days"
    fine(app.selectbox(key=of_case(app, "event_list")).set_value(1).run())
    assert "no day of its own</td>" in html(app)


def test_age_is_an_event_without_a_day_and_never_a_date_of_birth(world):
    app = fine(opened())
    app.session_state["picked_events"] = [1]
    fine(app.toggle(key=of_case(app, "show_dates")).set_value(True).run())
    assert "Age 64" in html(app)
    assert "no day of its own" in html(app)
    assert "195" not in html(app)


def test_trends_open(world):
    app = fine(opened())
    fine(app.toggle(key="trends").set_value(True).run())
    drawn = json.loads(app.get("plotly_chart")[2].proto.spec)
    assert [str(note["text"]) for note in drawn["layout"]["annotations"]] == ["NT-proBNP, serum (pg/mL)"]


def test_the_model_card_shows_card_and_cohort(world):
    app = fine(opened("pages/model_card.py"))
    assert "Knows boxes only" in html(app)
    assert "Mortality after suspected pulmonary embolism" in html(app)


def test_the_model_card_is_that_of_the_model_under_review_until_another_is_picked_there(world):
    def card(app: AppTest) -> str:
        return str(fine(app.switch_page("pages/model_card.py").run()).selectbox(key="card_model").value)

    app = fine(opened())
    reviewed = [app.session_state["model_reviewed"]]
    assert card(app) == reviewed[0]
    fine(app.switch_page("pages/case_review.py").run())
    fine(app.selectbox(key=of_case(app, "task")).set_value("mace").run())
    reviewed.append(app.session_state["model_reviewed"])
    assert card(app) == reviewed[1] != reviewed[0]
    fine(app.selectbox(key="card_model").set_value(reviewed[0]).run())
    fine(app.switch_page("pages/case_review.py").run())
    assert card(app) == reviewed[0], "what was picked here stays while the review does"


@pytest.mark.parametrize(("virtual", "who"), [(True, "held-out virtual patients"), (False, "held-out patients")])
def test_the_model_card_says_everywhere_on_whom_it_did_well(world, monkeypatch, virtual, who):
    calibration = {
        "observed_expected": {"observed": 0.2, "expected": 0.1, "ratio": 2.0, "lower": 1.5, "upper": 2.5},
        "ici": 0.05,
        "groups": {"predicted": [0.1], "observed": [0.2], "lower": [0.1], "upper": [0.3], "n": [40], "events": [8]},
        "curve": {"predicted": [0.0, 0.5], "observed": [0.1, 0.6]},
    }
    horizon = {"horizon_days": 365, "n": 400, "events_by_horizon": 80, "calibration": calibration}
    metrics = {
        "patients": 400,
        "events": 90,
        "models": {"cross_attention": {"concordance": [], "horizons": {"365": horizon}}},
    }
    made = view_support.ScreenBundle("cross_attention", TASKS["pe_mortality"], virtual=virtual, metrics=metrics)
    monkeypatch.setattr(session, "load_bundle", lambda path: made)
    app = fine(opened("pages/model_card.py"))
    assert f"How well it did on 400 {who}</h2>" in html(app)
    assert f"of 400 {who} had the event" in app.caption[0].value


def test_own_case_is_marked_as_a_pair_put_together_here_on_screen_and_in_exports(world, monkeypatch):
    told: list[CaseReview] = []
    made = session.exports
    monkeypatch.setattr(
        session, "exports", lambda case, key, result, label: told.append(result) or made(case, key, result, label)
    )
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["case"] = Case("Your own case", SCAN, RECORD, fabricated=True, released=True)
    app.session_state["demo"] = None
    fine(app.run())
    assert html(app).count("fabricated patient") == 1
    assert "CT, taken as of day 0" in names_of(app, 1), "when the scan was made is not known"
    assert all("fabricated_pair" in {notice.key for notice in result.notices} for result in told)
    assert told
    assert app.selectbox(key="case_pick").value == "own"


def test_every_run_watches_under_a_name_of_its_own(world, monkeypatch):
    """Streamlit answers a timer's question only while the fragment it names is there."""
    names = []
    fragment = st.fragment
    monkeypatch.setattr(
        st, "fragment", lambda body, **words: names.append(body.__qualname__) or fragment(body, **words)
    )
    world.slow = True
    app = opened()
    fine(app.run())
    watched = [name for name in names if name.startswith("watched")]
    assert len(watched) == 2
    assert len(set(watched)) == 2


def test_what_was_chosen_in_one_demo_is_not_chosen_in_the_next(world):
    app = fine(opened())
    app.session_state["picked_events"], app.session_state["view"] = [3], {"voxel": [1, 2, 3]}
    fine(app.selectbox(key="case_pick").set_value("record").run())
    assert "picked_events" not in app.session_state
    assert not app.session_state["view"]
    curves = [question for question in world.asked if question[2] is None]
    fine(app.selectbox(key="case_pick").set_value("both").run())
    assert [question for question in world.asked if question[2] is None] == curves, (
        "what the models said of a demo stays while there is room"
    )


def test_stores_are_bounded_and_forgotten(monkeypatch):
    state: dict = {}
    monkeypatch.setattr(session.st, "session_state", state)
    made = [session.remember("x", n, 3, lambda n=n: n * n) for n in range(6)]
    assert made == [0, 1, 4, 9, 16, 25]
    assert [state["store:kept"].get("x", n) for n in range(6)] == [None, None, None, 9, 16, 25]
    assert session.remember("x", 3, 3, lambda: -1) == 9
    state["case"] = "someone"
    session.forget_patient()
    assert state == {}


def test_an_own_case_marks_the_address_and_a_new_session_says_that_it_is_gone(world, monkeypatch):
    own = Case("Your own case", SCAN, RECORD, released=True)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["case"] = own
    app.session_state["demo"] = None
    fine(app.run())
    assert dict(app.query_params) == {"case": "own"}
    again = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    again.query_params["case"] = "own"
    fine(again.run())
    assert "Your own case is closed" in html(again)
    assert html(again).count("in memory only") == 1
    assert "Demo 1" not in html(again)
    fine(again.button(key="show_demo").click().run())
    assert "Demo 1" in html(again)
    assert dict(again.query_params) == {}


def test_a_model_of_ones_own_is_offered_read_and_compared_with_its_own_kind(world, tmp_path, monkeypatch):
    task = replace(TASKS["pe_mortality"], name="death_2y", title="Death within two years", horizons_days=(180, 730))
    for name, fusion in (("mine", "concat"), ("scan alone", "image_only")):
        view_support.described_bundle(tmp_path / name, task, fusion)
    monkeypatch.setenv(MODELS_FOLDER, str(tmp_path))
    monkeypatch.setattr(
        session,
        "load_bundle",
        lambda path: view_support.ScreenBundle("concat", task if tmp_path in path.parents else TASKS["pe_mortality"]),
    )
    app = fine(opened())
    picker = app.selectbox(key=of_case(app, "task"))
    assert "Death within two years" in picker.options
    app = fine(picker.set_value("death_2y").run())
    assert app.selectbox(key="fusion").options == ["Own: mine · Concatenation", "Own: scan alone · CT only"]
    assert app.segmented_control(key="horizon_death_2y").options == ["180 days", "2 years"]
    assert world.asked[-1][1] == 730
    app = fine(app.toggle(key="alone").set_value(True).run())
    assert "no such model beside this one" in " ".join(caption.value for caption in app.caption)
    card = fine(opened("pages/model_card.py"))
    assert "Death within two years: Own: mine · Concatenation" in card.selectbox(key="card_model").options


def test_models_of_ones_own_that_cannot_be_offered_are_said_on_the_model_card(world, tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_FOLDER, str(tmp_path / "nowhere"))
    assert "There is no folder at the path" in html(fine(opened("pages/model_card.py")))
    assert "cannot be offered" not in html(fine(opened()))
