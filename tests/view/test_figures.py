"""What the screen draws and says: curves, words, icon array, lanes, marks, notices."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_support import DAY_0, EVENTS, baseline, curve, review, study, timeline

from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.explain.methods import CARDS
from core.export.cohort import cohort_risk, free_place
from core.export.events import concept_words, hazard_factor, value_words, words_of
from core.export.panels import risk_sentence
from core.export.style import COHORT, EHR_COLOUR, FUSED_COLOUR, IMAGE_COLOUR, percent
from core.load import SeriesSummary
from core.quality.record import RecordRead, record_factors
from core.records import CtStudy, Notice, SurvivalCurve, Timeline
from core.view.card import card_html, performance_rows
from core.view.choices import METHOD_WORDS
from core.view.lanes import (
    event_rows,
    found,
    read_words,
    short_name,
    strongest,
    together_of,
    told_entries,
    undated_rows,
)
from core.view.layout import INK_ON_DARK
from core.view.loading import series_words
from core.view.risk_words import icon_array, risk_words_html, risks_html, values_html
from core.view.survival import curve_figure, legend_html
from core.view.timeline import day_ticks, marks_of, timeline_figure, trend_codes, trends_figure
from core.view.words import (
    case_line,
    describe_case,
    empty_html,
    error_html,
    events_html,
    notices_html,
    raw_event_html,
    time_zero,
)

RECORD = timeline()
RESULT = review(study(), RECORD)
ROWS = event_rows(RECORD, RESULT)


def texts(figure) -> str:
    return " ".join(str(note.text) for note in figure.layout.annotations)


def test_the_curve_is_drawn_over_the_cohort_with_numbers_at_risk_and_watermark():
    figure = curve_figure(RESULT, baseline())
    named = {trace.name: trace for trace in figure.data if trace.name}
    assert named["This patient"].line.color == FUSED_COLOUR
    assert named["Training cohort"].line.color == COHORT
    assert np.allclose(named["This patient"].y, 100 * RESULT.curve.survival)
    assert "Trained on virtual patients" in texts(figure)
    assert "1,000" in texts(figure)
    assert "Trained" not in texts(curve_figure(RESULT, baseline(), virtual=False))


def test_the_legend_names_every_line_in_its_own_stroke_the_patient_s_first():
    figure = curve_figure(RESULT, baseline(), others=[("image_only", curve(0.1)), ("ehr_only", curve(0.2))])
    words = legend_html(figure)
    names = ["This patient", "Record only", "CT only", "Training cohort"]
    assert re.findall(r"</i>([^<]+)</span>", words) == names
    assert legend_html(curve_figure(RESULT, baseline())).endswith("Observed</span></p>")
    strokes = dict(zip(names, re.findall(r"border-top: (.+?)\"", words), strict=True))
    assert strokes["This patient"] == f"3px solid {FUSED_COLOUR}"
    assert strokes["CT only"].startswith("2px dotted ")
    assert strokes["Record only"].startswith("2px dashed ")
    assert figure.layout.showlegend is False, "not once more in the plot"


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.7, 1.6, 3.0, 6.0])
def test_no_line_runs_through_the_watermark(rate):
    cohort = baseline()
    cohort.loc[len(cohort) - 1, ["lower", "upper"]] = np.nan
    figure = curve_figure(replace(RESULT, curve=curve(rate)), cohort, others=[("ehr_only", curve(rate / 2))])
    note = next(note for note in figure.layout.annotations if "Trained on virtual" in str(note.text))
    end = figure.layout.xaxis.range[1]
    for line in (trace for trace in figure.data if trace.mode == "lines"):
        near = (line.x > end * (note.x - 0.2)) & (line.x < end * (note.x + 0.2))
        assert (np.abs(np.asarray(line.y)[near] / 100 - note.y) > 0.08).all()


WARNED = tuple(Notice(key, "warning", "A warning.") for key in ("outside_population", "died_before", "pair_doubtful"))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2, 0.7, 1.2, 1.6, 2.2, 3.0, 6.0])
@pytest.mark.parametrize("notices", [(), WARNED], ids=["one mark", "several"])
@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
def test_no_curve_comes_near_the_whole_watermark_at_1366_pixels(rate, notices, task):
    """A letter takes 6.6 of 337 pixels, a line 17 of 223; above the plot where no place is free."""
    end = float(TASKS[task].horizons_days[-1])
    result = replace(RESULT, task=TASKS[task], curve=curve(rate, end), horizon_days=end / 2, notices=notices)
    figure = curve_figure(result, baseline(end), others=[("ehr_only", curve(rate / 2, end))])
    note = next(note for note in figure.layout.annotations if "Trained on virtual" in str(note.text))
    lines = note.text.split("<br>")
    if note.yanchor == "bottom":
        assert note.y == 1
        assert figure.layout.margin.t >= 17 * len(lines)
        return
    wide, high = max(map(len, lines)) * 6.6 / 337, len(lines) * 17 / 223
    assert wide / 2 <= note.x <= 1 - wide / 2
    assert high / 2 <= note.y <= 1 - high / 2
    for line in (trace for trace in figure.data if trace.mode == "lines"):
        near = np.abs(np.asarray(line.x) / end - note.x) <= wide / 2
        off = np.asarray(line.y)[near] / 100 - note.y
        assert (off > high / 2).all() or (off < -high / 2).all()


def test_where_no_place_is_free_there_is_none():
    days = np.linspace(0, 100, 50)
    crowded = [(days, np.full(50, share)) for share in np.arange(0.05, 1.0, 0.1)]
    assert free_place(crowded, 100.0, upright_day=50.0, wide=0.5, half=0.08) is None
    assert free_place(crowded[:1], 100.0, upright_day=50.0, wide=1.1, half=0.08) is None
    assert free_place(crowded[:1], 100.0, upright_day=50.0, wide=0.5, half=0.08) is not None


def test_times_are_told_in_the_units_of_the_axis():
    end = float(TASKS["mace"].horizons_days[-1])
    result = replace(RESULT, task=TASKS["mace"], curve=curve(1.0, end), horizon_days=1095.0)
    html = risk_words_html(result, baseline(end))
    assert re.search(r"Median <b>[\d.]+ years</b>", html)
    assert re.search(r"Event-free time, mean <b>[\d.]+ years</b> of 3 years", html)
    assert re.search(r"up to the horizon: [\d,]+ of 1,095 days", html), "exactly, on pointing at it"
    short = risk_words_html(replace(RESULT, curve=curve(1.0)), baseline())
    assert re.search(r"Median <b>\d+ days</b>.*Event-free time, mean <b>\d+ days</b> of \d+ days", short)


@pytest.mark.parametrize("day", [30.0, 90.0, 700.0])
def test_the_line_of_the_horizon_runs_beside_the_watermark(day):
    """Where there is room beside it: the words take 0.6 of the axis."""
    figure = curve_figure(replace(RESULT, curve=curve(0.05), horizon_days=day), baseline())
    note = next(note for note in figure.layout.annotations if "Trained on virtual" in str(note.text))
    assert abs(note.x - day / figure.layout.xaxis.range[1]) >= 0.3


def test_single_modality_curves_have_their_own_colour_and_line():
    others = [("image_only", curve(0.3)), ("ehr_only", curve(0.5))]
    named = {trace.name: trace for trace in curve_figure(RESULT, baseline(), others=others).data if trace.name}
    assert (named["CT only"].line.color, named["CT only"].line.dash) == (IMAGE_COLOUR, "dot")
    assert (named["Record only"].line.color, named["Record only"].line.dash) == (EHR_COLOUR, "dash")


def test_ink_follows_the_theme():
    figure = curve_figure(RESULT, baseline(), ink=INK_ON_DARK)
    assert figure.layout.xaxis.tickfont.color == INK_ON_DARK
    assert all(note.font.color == INK_ON_DARK for note in figure.layout.annotations)


def test_every_risk_stands_beside_its_interval_and_the_cohorts():
    words = re.sub(r"<[^>]+>", " ", risks_html(RESULT, baseline()) + risk_words_html(RESULT, baseline()))
    for day in RESULT.task.horizons_days:
        assert f"{100 * RESULT.curve.risk_at(day):.1f}%" in words or f"{100 * RESULT.curve.risk_at(day):.0f}%" in words
    assert words.count("cohort ") >= 3
    assert words.count("observed ") >= 3
    assert "Of 150 given" in words
    assert "not reached" in words
    assert "Death from any cause" in words


def test_beyond_the_training_follow_up_no_number_is_given():
    short = replace(RESULT, curve=curve(end=100.0), horizon_days=365.0)
    words = risks_html(short, baseline(100.0)) + risk_words_html(short, baseline(100.0))
    assert "not given" in words
    assert "follow-up" in words
    assert "nan" not in words.lower()
    assert risk_sentence(short, baseline(100.0)).startswith("Risk by 1 year: not given, beyond training follow-up")


def half_up(shown: str) -> int:
    """People of one hundred for a percentage as it is shown."""
    return 0 if shown.startswith("<") else int(Decimal(shown.removesuffix("%")).quantize(Decimal(1), ROUND_HALF_UP))


def hundreds(risk: float, reference: float) -> list[tuple[int, str]]:
    """The hundreds of people in the picture: how many dots are filled, and the caption."""
    pictures = icon_array(risk, reference, FUSED_COLOUR).split("<figure>")[1:]
    assert all(len(re.findall(r"<i( class=\"on\")?></i>", picture)) == 100 for picture in pictures)
    return [(picture.count('"on"'), re.findall("<figcaption>(.+)</figcaption>", picture)[0]) for picture in pictures]


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_icon_array_counts_what_it_says(risk, reference):
    for (filled, caption), share in zip(hundreds(risk, reference), (risk, reference), strict=True):
        shown = half_up(percent(share)) if not percent(share).startswith(("0.", "<")) else 0
        assert filled == shown
        told = {0: "&lt;1", 100: "&gt;99"}.get(shown, str(shown))
        assert caption in (f"{told} of 100", f"cohort {told}")


def test_patient_and_cohort_have_a_picture_each_so_that_neither_hides_the_other():
    assert hundreds(0.23, 0.062) == [(23, "23 of 100"), (6, "cohort 6")]
    assert hundreds(0.12, 0.12) == [(12, "12 of 100"), (12, "cohort 12")]
    assert hundreds(0.12, float("nan")) == [(12, "12 of 100")]
    label = 'aria-label="Training cohort: fewer than 1 of 100"'
    assert label in icon_array(0.23, 0.004, FUSED_COLOUR)


def at_risk_level(risk: float):
    """A result with this risk on day 90, its last."""
    days, falling = np.array([0.0, 90.0]), np.array([1.0, 1 - risk])
    return replace(RESULT, curve=SurvivalCurve(days, falling, falling, falling), horizon_days=90.0)


@pytest.mark.parametrize(
    ("risk", "told"),
    [
        (0.005, "in about 5 of 1,000 patients like this one (training cohort: about 23)"),
        (0.0004, "in fewer than 1 of 1,000 patients like this one (training cohort: about 23)"),
        (0.0144, "in about 14 of 1,000 patients"),
        (0.23, "in about 23 of 100 patients like this one (training cohort: about 2)"),
        (0.998, "in more than 99 of 100 patients"),
    ],
)
def test_a_small_risk_is_told_of_a_thousand_and_the_cohort_s_of_as_many(risk, told):
    result = at_risk_level(risk)
    html = risk_words_html(result, baseline())
    assert told in html
    assert f"<b>{percent(risk)}</b>" in risks_html(result, baseline())


def test_a_median_beyond_the_axis_is_never_told():
    beyond = replace(RESULT, curve=curve(0.4, 1500.0))
    assert beyond.curve.median_days is not None
    assert "<b>not reached within 1 year</b>" in risk_words_html(beyond, baseline(1500.0))
    assert "day 6" not in risk_words_html(beyond, baseline(1500.0))
    early = risk_words_html(replace(RESULT, curve=curve(0.6, 1500.0)), baseline(1500.0))
    assert "not reached within 1 year</b>" in early
    assert "its range begins at 301 days" in early
    assert "not reached within 100 days" in risk_words_html(at_risk_in(100.0), baseline(100.0))
    mace = replace(RESULT, task=TASKS["mace"], curve=curve(0.05, 1525.0), horizon_days=365.0)
    assert "not reached within 4.2 years" in risk_words_html(mace, baseline(1525.0))


def at_risk_in(end: float):
    """A result whose follow-up ends before the last horizon."""
    return replace(RESULT, curve=curve(0.4, end), horizon_days=90.0)


def test_a_median_is_told_with_its_range():
    assert re.search(r"Median <b>253 days</b> \(181 to 361 days\)", risk_words_of(1.0))
    assert re.search(r"Median <b>316 days</b> \(from 226 days\)", risk_words_of(0.8))


def test_a_number_that_does_not_apply_steps_back_behind_its_reason():
    doubted = replace(
        RESULT, notices=(*RESULT.notices, Notice("never", "info", ""), Notice("few_events", "warning", "Few."))
    )
    assert doubted.doubts == ("this model was trained on few events",)
    cells, words = risks_html(doubted, baseline()), risk_words_html(doubted, baseline())
    number = percent(RESULT.curve.risk_at(RESULT.horizon_days))
    assert f"<b>{number}</b>" in risks_html(RESULT, baseline())
    assert number in cells
    assert number not in re.sub("<details>.*?</details>", "", cells)
    assert number not in words
    assert "does not apply: this model was trained on few events" in words
    assert "icons" not in cells
    lines = {line.name: line.line.dash for line in curve_figure(doubted, baseline()).data if line.name}
    assert lines["This patient"] == "dash"
    assert f"{number}, does not apply" in risk_sentence(doubted, baseline())


def risk_words_of(rate: float) -> str:
    return risk_words_html(replace(RESULT, curve=curve(rate)), baseline())


def test_the_plot_has_its_values_in_a_table():
    html = values_html(RESULT, baseline(), [("image_only", curve(0.1))])
    rows = [re.findall("<t[dh]>(.*?)</t[dh]>", row) for row in re.findall("<tr>.*?</tr>", html)]
    assert rows[0] == ["Within", "Risk", "Observed", "Cohort", "At risk", "CT only"]
    assert [row[0] for row in rows[1:]] == ["30 days", "90 days", "180 days", "1 year"]
    low, high = RESULT.curve.risk_interval_at(90)
    risk, alone = percent(RESULT.curve.risk_at(90)), percent(curve(0.1).risk_at(90))
    assert rows[2] == ["90 days", risk, f"{percent(low)[:-1]} to {percent(high)}", "2.3%", "871", alone]


def test_cohort_risk_is_a_step_and_ends_with_its_follow_up():
    table = pd.DataFrame({"time_days": [0.0, 10.0, 20.0], "survival": [1.0, 0.9, 0.8]})
    assert cohort_risk(table, 9.9) == 0.0
    assert cohort_risk(table, 10.0) == pytest.approx(0.1)
    assert np.isnan(cohort_risk(table, 21.0))


def test_events_become_rows_with_lane_words_value_and_weight():
    assert len(ROWS) == len(EVENTS)
    last = ROWS[ROWS["code"] == "LOINC//33762-6"].iloc[-1]
    assert (last["lane"], last["value"], last["event_id"]) == ("labs", "2,310 pg/mL", 6)
    assert last["attribution"] == pytest.approx(0.9)
    assert ROWS["attention"].sum() == pytest.approx(1.0, abs=1e-5)
    assert set(ROWS["lane"]) >= {"encounters", "diagnoses", "labs", "vitals", "medications"}


def test_without_a_result_events_have_no_weight():
    rows = event_rows(RECORD, None)
    assert rows["attribution"].isna().all()
    assert rows["attention"].isna().all()
    assert strongest(rows).empty


def test_what_got_most_attention_comes_first_and_once_a_code():
    top = strongest(ROWS)
    assert top["code"].tolist()[0] == "LOINC//33762-6"
    assert top["code"].is_unique
    assert top["attention"].is_monotonic_decreasing
    assert short_name(ROWS.iloc[4].to_dict()) == "NT-proBNP, serum 2,310 pg/mL, \u22121 d"


def test_what_changed_the_risk_most_is_told_with_its_factor_and_several_entries_as_one():
    told = told_entries(ROWS, RESULT, RECORD)
    lines = list(told.values())
    assert lines[0] == "\u2191 \u00d7 3.32 NT-proBNP, serum, 2 entries", "together, and not the sum of each"
    assert lines[1].startswith("\u2191 \u00d7 1.49 Heart failure")
    assert any(line.startswith("\u2193 \u00d7 0.82 ") for line in lines)
    first = next(iter(told))
    assert (first.event_ids, first.event) == ((4, 6), 6)
    assert together_of([6, 4], RESULT) == pytest.approx(1.2)
    assert together_of([6], RESULT) is None


def test_nothing_below_one_percent_is_called_strong():
    given = RESULT.event_attribution
    assert given is not None
    weak = replace(given, groups=tuple(replace(group, contribution=0.0099) for group in given.groups))
    assert told_entries(ROWS, replace(RESULT, event_attribution=weak), RECORD) == {}
    edge = replace(weak, groups=(replace(weak.groups[0], contribution=-0.0101),))
    assert len(told_entries(ROWS, replace(RESULT, event_attribution=edge), RECORD)) == 1


def test_entries_of_one_category_are_named_by_it():
    codes = ("ICD10CM//I26.99", "DIAGNOSIS//ICD//10//I2692", "ICD10CM//I50.9")
    events = RECORD.events.iloc[[3, 3, 3]].assign(code=codes).reset_index(drop=True)
    several = replace(RECORD, events=events, digest="", code_descriptions={codes[0]: "Embolism", codes[1]: "Saddle"})
    assert concept_words(several, [0, 1]) == "Pulmonary embolism"
    assert concept_words(several, [0]) == "Embolism"


def test_search_wants_every_word_and_no_pattern():
    assert found(ROWS, "probnp 2,310")["event_id"].tolist() == [6]
    assert found(ROWS, "[").empty
    assert len(found(ROWS, "")) == len(ROWS)


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 4000.0))
def test_marks_keep_every_event_whatever_the_span(span):
    marks = marks_of(ROWS, span, "attribution")
    assert sorted(event for ids in marks["event_ids"] for event in ids) == sorted(ROWS["event_id"])
    assert marks["count"].sum() == len(ROWS)


def test_the_chart_hides_the_future_and_says_how_much():
    figure = timeline_figure(ROWS, span_days=400.0, later_events=5, ct="CT shown above")
    assert "5 later" in texts(figure)
    shown = [day for trace in figure.data for day in trace.x if day is not None]
    assert max(shown) <= 0
    assert any(trace.name == "CT shown above" for trace in figure.data)
    assert not any("CT" in str(trace.name) for trace in timeline_figure(ROWS, span_days=400.0).data)


def test_marks_say_which_side_raises_risk_without_colour_alone():
    figure = timeline_figure(ROWS, span_days=400.0)
    named = {trace.name: trace for trace in figure.data}
    assert named["raises risk"].marker.symbol == "triangle-up"
    assert named["lowers risk"].marker.symbol == "triangle-down"
    assert named["raises risk"].marker.color != named["lowers risk"].marker.color


def test_small_marks_lie_on_large_ones_as_the_pointer_finds_the_smallest_under_it():
    """Whichever way they move the risk: what is seen at the pointer is what is read."""
    figure = timeline_figure(ROWS, span_days=400.0)
    marks = next(trace for trace in figure.data if trace.name == "events")
    assert sorted(marks.marker.size, reverse=True) == list(marks.marker.size)
    assert {"triangle-up", "triangle-down"} <= set(marks.marker.symbol)
    assert len(marks.x) == len(marks_of(ROWS, 400.0, "attribution"))


def test_a_mark_tells_what_the_panel_beside_it_tells():
    def told(rows: pd.DataFrame, measure: str) -> str:
        figure = timeline_figure(rows, measure=measure, span_days=400.0)
        return " ".join(text for trace in figure.data for text in trace.text or ())

    effects = [float(change) for change in ROWS["attribution"].dropna() if change]
    assert effects
    shown = told(ROWS, "attribution")
    assert f"effect {hazard_factor(max(effects))}" in shown
    assert "+0." not in shown, "no logarithm"
    assert "attention 0.61% of the record's" in told(ROWS.assign(attention=0.0061), "attention")


@pytest.mark.parametrize(("task", "unit"), [("mace", "years"), ("pe_mortality", "days")])
def test_hovering_a_curve_tells_the_time_in_the_unit_of_the_axis(task, unit):
    end = float(TASKS[task].horizons_days[-1])
    result = replace(RESULT, task=TASKS[task], curve=curve(0.4, end), horizon_days=float(TASKS[task].horizons_days[1]))
    figure = curve_figure(result, baseline(end), others=[("image_only", curve(0.1, end))])
    lines = [line for line in figure.data if line.mode == "lines" and line.name]
    assert len(lines) == 3
    for line in lines:
        assert line.hovertemplate.startswith(f"{line.name} at %{{customdata}}: ")
        assert len(line.customdata) == len(line.x)
        last = f"{line.x[-1] / 365.25:.1f} years" if unit == "years" else f"{round(line.x[-1])} days"
        assert line.customdata[-1] == last
    assert "day" not in figure.layout.xaxis.unifiedhovertitle.text


def test_hovering_a_trend_tells_the_time_as_its_axis_does():
    figure = trends_figure(ROWS, trend_codes(ROWS), span_days=400.0)
    assert figure.data[0].customdata == (", day \u2212200 (\u22126.6 mo)", ", day \u22121")
    assert "%{customdata}" in figure.data[0].hovertemplate


def test_one_lane_has_room_for_its_axis_and_the_axis_says_its_unit():
    labs = ROWS[ROWS["lane"] == "labs"]
    for span, unit in ((30.0, "Days"), (365.25, "Months"), (4000.0, "Years")):
        layout = timeline_figure(labs, span_days=span).layout
        assert layout.xaxis.title.text.startswith(f"{unit} before day 0")
        assert layout.margin.b >= 40
        assert layout.height - layout.margin.b - layout.margin.t >= 26


@pytest.mark.parametrize("span", [30.0, 365.25, 4000.0])
def test_day_0_and_the_hidden_future_are_in_the_frame_of_every_span(span):
    figure = timeline_figure(ROWS, span_days=span, later_events=5)
    low, high = figure.layout.xaxis.range
    line = next(shape for shape in figure.layout.shapes if shape.type == "line")
    assert line.x0 == line.x1 == 0
    assert low < 0 < high
    assert high > 0.1 * span, "not at the very edge"


def test_several_raw_events_keep_their_words_whole():
    html = events_html(ROWS.head(2), ["day 0", "day 0"])
    assert "<small>ICD10CM//I50.9</small>" in html
    assert html.count("</th>") == 3, "when, what, effect"
    assert ">Effect on risk</th>" in html
    assert html.count("multiplies the model's hazard, added up to the horizon") == 2, "beside the column, and on it"
    assert "log cumulative" not in html


@pytest.mark.parametrize(
    ("change", "words"),
    [(0.0, "does not change it"), (0.004, "raises it: .* is 1.004 times that "),
     (-0.357, "lowers it: .* is 0.70 times that "), (np.nan, "not given: the model did not read it")],
)  # fmt: skip
def test_an_effect_is_told_without_logarithms(change, words):
    several = events_html(ROWS.head(2).assign(attribution=[change, -0.004]), ["day 0", "day 0"])
    assert "<td>× 0.996</td>" in several, "which way, however slight"
    html = raw_event_html(ROWS.iloc[4].replace(ROWS.iloc[4]["attribution"], change))
    assert re.search(f"<th>Effect on risk</th><td>{words}", html)


def test_a_selected_event_is_ringed():
    figure = timeline_figure(ROWS, span_days=400.0, selected=[6])
    rings = [trace for trace in figure.data if trace.marker.symbol == "circle-open"]
    assert [tuple(trace.x) for trace in rings] == [(-1.0,)]


@settings(max_examples=25, deadline=None)
@given(st.floats(0.5, 20000))
def test_ticks_lie_inside_the_span_and_stay_few(span):
    values, labels = day_ticks(span)
    assert len(values) == len(labels) <= 12
    assert values[-1] == 0
    assert labels[-1] == "day 0"
    assert min(values) >= -span - 1e-6


def test_trends_show_repeated_values_with_their_unit():
    codes = trend_codes(ROWS)
    assert codes == ["LOINC//33762-6"]
    figure = trends_figure(ROWS, codes, span_days=400.0)
    assert "pg/mL" in texts(figure)
    assert tuple(figure.data[0].y) == (310.0, 2310.0)


@pytest.mark.parametrize("span", [30.0, 365.25, 4000.0])
def test_trends_stand_on_the_days_of_the_span(span):
    rows = ROWS.assign(code="a", number=1.0, lane="labs", unit="mg")
    figure = trends_figure(rows, ["a"], span_days=span)
    assert -1.1 * span < figure.layout.xaxis.range[0] < -span
    assert len(figure.data[0].y) == (rows["day"] >= -span).sum()


@pytest.mark.parametrize("span", [30.0, 365.25, 4000.0])
def test_what_has_no_day_stands_in_a_strip_left_of_all_days(span):
    undated = undated_rows(RECORD, RESULT)
    assert undated["words"].tolist() == ["Female", "Age 64"]
    every = pd.concat([ROWS, undated.assign(attribution=[0.1, 2.0])], ignore_index=True)
    figure = timeline_figure(every, span_days=span, selected=[1])
    mark = next(trace for trace in figure.data if trace.name == "events")
    place = next(n for n, ids in enumerate(mark.customdata) if ids == "1,0")
    low = figure.layout.xaxis.range[0]
    assert low < mark.x[place] < -span
    assert "<b>Age 64</b>" in mark.text[place]
    assert "no day of its own" in mark.text[place]
    ring = next(trace for trace in figure.data if trace.marker.symbol == "circle-open")
    assert tuple(ring.x) == (mark.x[place],)
    assert mark.marker.size[place] == max(mark.marker.size), "the strongest of all"
    ticks = dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True))
    assert ticks["no day"] == pytest.approx(mark.x[place])
    others = [day for words, day in ticks.items() if words != "no day"]
    assert min(others) - ticks["no day"] > 0.11 * span, "its label has room"
    assert "no day" not in timeline_figure(ROWS, span_days=span).layout.xaxis.ticktext


def test_values_are_words_a_reader_knows():
    assert value_words(1.25, None, "mmol/L") == "1.25 mmol/L"
    assert value_words(float("nan"), None, None) == ""


def test_day_0_is_what_the_case_says_and_not_what_the_task_is_about():
    """An angiogram only where a virtual patient's own task says so."""
    pe, scan = TASKS["pe_mortality"], study()
    real = CtStudy(scan.voxels_hu, scan.affine_mm, origin="real")
    assert "angiogram" in time_zero(scan, RECORD, pe)
    assert time_zero(real, None, pe) == "the CT"
    assert time_zero(real, RECORD, pe) == time_zero(None, RECORD, pe) == "prediction time"
    assert time_zero(scan, RECORD, None) == "prediction time"
    assert "Day 0: the CT" in case_line("x", "", None, real, "the CT")


def test_the_risk_is_a_sentence_in_the_words_of_the_task():
    words = re.sub(r"<[^>]+>", "", risk_words_html(RESULT, baseline()))
    assert "Death from any cause is expected within 90 days in about 9 of 100 patients like this one" in words
    assert "(training cohort: about 2)." in words


def test_axes_say_what_they_are():
    figure = curve_figure(RESULT, baseline())
    assert "Event-free" in texts(figure)
    assert "day 0" in texts(figure)
    assert list(figure.layout.xaxis.ticktext)[1:] == ["30 d", "90 d", "180 d", "1 y"]


def test_every_method_is_explained_at_its_picker():
    assert list(METHOD_WORDS) == list(CARDS)


def test_the_case_line_names_no_date_and_no_identifier():
    line = case_line("Demo 1", "Virtual patient", RECORD, study(), "Time of the CT pulmonary angiogram")
    assert "64 y woman" in line
    assert "Day 0: CT pulmonary angiogram" in line
    assert str(DAY_0.year) not in line
    old = Timeline(RECORD.events, 7, DAY_0 + pd.Timedelta(days=365.25 * 40))
    assert "90 or older" in case_line("x", "", old, None, "")
    assert "104" not in case_line("x", "", old, None, "").replace(str(len(RECORD.events)), "")


@pytest.mark.parametrize(
    ("days", "words"),
    [((0.0, 1.0), "2 events, 1 day<"), ((3.0,), "1 event, 3 days<"), ((0, 900), "2.5 years<"), ((None,), "known day<")],
)
def test_the_case_line_says_how_far_the_record_reaches(days, words):
    events = RECORD.events.head(len(days)).assign(
        code="A", time=[None if day is None else DAY_0 - pd.Timedelta(days=day) for day in reversed(days)]
    )
    record = Timeline(events.astype({"time": "datetime64[us]"}), 7, DAY_0)
    assert words in case_line("x", "", record, None, "")
    assert f"Record: {len(days)} event" in " ".join(describe_case(None, record))
    assert "1 days" not in " ".join(
        factor.found for factor in record_factors(record, virtual_model=False, read=RecordRead(1, 1, 0.0))
    )


def test_several_notices_are_a_line_that_opens_to_all_of_them():
    """Closed, it counts them and names every warning, what concerns this patient first; opened, each is there whole."""
    notices = [
        Notice("virtual_weights", "warning", "Trained on virtual patients."),
        Notice("missing_ct", "caution", "There is no CT."),
        Notice("outside_population", "warning", "Outside the training population: noise: high; slices: few."),
        Notice("died_before", "warning", "The record says that the patient had died by day 0."),
        Notice("other", "warning", "Something <new>."),
    ]
    html = notices_html(notices)
    closed, opened = html.split("</summary>")
    words = re.sub(r"<[^>]+>", "", closed)
    order = ("died by day 0", "outside the training population", "trained on virtual patients", "Something &lt;new")
    assert words == f"4 warnings, 1 caution: {'; '.join(order)}&gt;; and 1 more"
    assert "more" not in notices_html([notices[0], notices[2]]).split("</summary>")[0], "all of them are named"
    assert opened.count('class="note"') == len(notices)
    assert all(text in opened for text in ("There is no CT.", "<li>noise: high</li>", "died by day 0"))
    assert "<details" not in notices_html(notices[:1])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ICD10/I26.99", "ICD10/I26.99"),
        ("LOINC/2160-0", "LOINC/2160-0"),
        ("HEART_RATE", "Heart rate"),
        ("icd10/i26.99", "icd10/i26.99"),
    ],
)
def test_a_code_that_nothing_describes_stands_as_it_is_written(code, words):
    assert words_of(RECORD, code) == words


def test_a_code_with_a_description_is_shown_in_its_words():
    described = replace(RECORD, code_descriptions={"LOINC/2160-0": "Creatinine"}, digest="")
    assert words_of(described, "LOINC/2160-0") == "Creatinine"


def test_what_was_loaded_is_described_back():
    lines = describe_case(study(), RECORD)
    assert "40 × 30 × 20 voxels" in lines[0]
    assert "-1,000 to 900 HU" in lines[0].replace("\u2212", "-")
    assert any("5 later" in line for line in lines)


def test_notices_are_sorted_escaped_and_never_colour_alone():
    html = notices_html([Notice("a", "info", "calm <b>"), Notice("b", "warning", "stop")])
    assert html.index("stop") < html.index("calm")
    assert "<b>Warning.</b>" in html
    assert "calm &lt;b&gt;" in html
    assert notices_html([]) == ""


def test_errors_and_empty_states_are_plain_and_escaped():
    html = error_html(UserFacingError("Found <x>.", "y", "Do z."))
    assert "Found &lt;x&gt;" in html
    assert "Expected:" in html
    assert "Next:" in html
    assert "&lt;t&gt;" in empty_html("panel", "<t>", ["a"])


def test_the_raw_event_says_what_the_model_made_of_it():
    html = raw_event_html(ROWS.iloc[4])
    assert "raises it: the hazard added up to the horizon is 2.46 times that without the event" in html
    assert "log" not in html
    assert "LOINC//33762-6" in html
    assert "day \u22121" in html


def test_hostile_words_in_a_record_stay_words():
    events = RECORD.events.copy()
    events.loc[3, "code"] = "X//<script>alert(1)</script>"
    rows = event_rows(Timeline(events, 7, DAY_0), None)
    figure = timeline_figure(rows, span_days=400.0)
    assert "<script>" not in str([trace.text for trace in figure.data])
    assert all("<script>" not in raw_event_html(row) for _, row in rows.iterrows())


def test_the_card_shows_every_entry():
    html = card_html(
        {
            "intended_use": "Research",
            "training_data": {"patients": 12, "patients_train": 1500, "virtual": True},
            "model": {"fusion": "cross_attention", "last_supported_days": 1525.33},
            "limits": ["a", "b"],
        }
    )
    assert "<dt>Training patients</dt><dd>1,500</dd>" in html
    assert "<dt>Fusion</dt><dd>Cross-attention</dd>" in html
    assert "<dt>Supported to</dt><dd>4.2 years</dd>" in html
    assert "Intended use" in html
    assert "<dd>12</dd>" in html
    assert "<dd>yes</dd>" in html
    assert html.count("<li>") == 2
    assert "&lt;" in card_html({"x": "<i>"})


def test_a_study_of_one_slice_is_described():
    flat = CtStudy(np.zeros((4, 4, 1), np.int16), np.eye(4))
    assert describe_case(flat, None)


def test_performance_is_told_with_its_interval():
    rows = [
        {
            "measure": "C, Harrell (95% patient bootstrap)",
            "value": 0.7,
            "lower": 0.65,
            "upper": 0.75,
            "patients": 1600,
            "events": 9,
        },
        {"measure": "Error", "value": 0.03, "lower": None, "upper": None, "patients": None, "events": None},
    ]
    first, second = performance_rows(rows)
    assert first["Value (95% interval)"] == "0.700 (0.650 to 0.750)"
    assert first["Patients"] == "1,600"
    assert second["Value (95% interval)"] == "0.030"


def test_icons_and_sentence_count_the_percentage_that_is_shown():
    html = icon_array(0.045, 0.0451, FUSED_COLOUR)
    assert html.count("about 5 of 100") == 2
    assert html.count('class="on') == 10


def test_the_model_card_names_day_0_and_puts_encoders_in_a_table():
    html = card_html(
        {
            "population": "Adults with a CT. Time of the CT.",
            "model": {"calibration": "Log-hazards were moved by -0.14."},
            "encoders": [{"role": "image", "name": "a_b", "provenance": "a_b, then frozen"}, {"role": "ehr"}],
        }
    )
    assert "Adults with a CT. Day 0: the time of the CT." in html
    assert "Log-hazards were moved by \u22120.14." in html
    assert "<td>CT</td><td>a_b</td><td>then frozen</td>" in html


def test_several_reasons_of_one_notice_are_a_list():
    text = "Outside the training population: likeness: far; noise: high."
    html = notices_html([Notice("outside_population", "warning", text)])
    assert "population:<ul><li>likeness: far</li><li>noise: high</li></ul>" in html
    text = "Outside the training population: noise: high; known codes: it knows 13%; it ignores the others."
    html = notices_html([Notice("outside_population", "warning", text)])
    assert "<li>noise: high</li><li>known codes: it knows 13%; it ignores the others</li></ul>" in html
    text = "Outside the training population: known codes: it knows 13%; it ignores the others."
    assert "<ul>" not in notices_html([Notice("outside_population", "warning", text)])


def test_an_error_ends_in_one_full_stop():
    for said, step in (("The file is cut", "Copy it again"), ("The file is cut.", "Copy it again.")):
        html = error_html(UserFacingError(said, "e", step))
        assert "The file is cut.</span>" in html
        assert "Copy it again.</span>" in html


def test_a_refusal_names_the_choice_before_its_own_next_step():
    html = error_html(UserFacingError("f", "e", "Load another."), "Choose a repair below")
    assert "Choose a repair below, or load another." in html


def test_a_read_series_says_what_was_read():
    item = SeriesSummary("k", "Thorax", "CT", 28, (40, 30, 28), None, "B40f")
    assert "spacing in doubt" in series_words(item)
    assert series_words(item, study()).startswith("20 slices from 28 images, 2 \u00d7 2 \u00d7 3 mm")


def test_the_usual_range_stands_behind_a_trend_and_values_beyond_it_are_flagged():
    rows = ROWS.head(3).assign(
        code="LOINC//1751-7",
        words="Albumin",
        lane="labs",
        number=[2.9, 4.0, 6.0],
        unit="g/dL",
        day=[-30.0, -20.0, -10.0],
    )
    figure = trends_figure(rows, ["LOINC//1751-7"], span_days=60.0)
    band, line = figure.data
    assert (min(band.y), max(band.y)) == (3.5, 5.5)
    assert list(line.text) == ["L", "", "H"]
    assert "L, usual from 3.5" in line.customdata[0]
    assert figure.layout.annotations[0].text == "Albumin (g/dL), usual 3.5 to 5.5"
    other = trends_figure(rows.assign(unit="g/L"), ["LOINC//1751-7"], span_days=60.0)
    assert len(other.data) == 1, "no range is known in this unit"
    assert list(other.data[0].text) == ["", "", ""]


def test_how_much_of_the_record_was_read_stands_at_the_chart():
    result = review(study(), RECORD)
    words = read_words(RECORD, result, "11% of events")
    read = len(result.event_attribution.event_ids)
    assert words.startswith(f"Read {read} of {len(RECORD.events)} events, 11% of codes known, from day \u2212")
    assert read_words(RECORD, replace(result, event_attribution=None), "") == ""
    assert read_words(RECORD, None, "") == ""
