"""The Load page in every state, run by Streamlit's AppTest on real files with planted identifiers."""

from __future__ import annotations

import gc
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from datetime import time as clock
from pathlib import Path

import intake_support as files
import pytest
import view_support
from load_page_support import SECONDS, answer, keys, load_page, read, settled
from pages_support import DEMOS, fine, html, of_case
from streamlit.testing.v1 import AppTest

from core import RESEARCH_NOTICE, session
from core.case import Case, Intake, Job, loading, strip
from core.case.jobs import Turns
from core.errors import UserFacingError
from core.intake.identifiers.pictures.burned_in import TextBox
from pages._parts import findings


@pytest.fixture
def jane(tmp_path: Path) -> Path:
    """A folder with one identified series."""
    return files.written(tmp_path / "ct", files.series(edit=files.patient("DOE^JANE", "A1234567")))


def test_nothing_picked_yet(world):
    app = load_page()
    assert RESEARCH_NOTICE in html(app)
    assert "read" not in keys(app)


def test_a_ct_is_read_described_and_searched(world, jane):
    app = read(load_page(), jane)
    words = html(app)
    for expected in (
        "Thorax 2.0 B40f",
        "24 slices, 6 \u00d7 6 \u00d7 8 mm, kernel B40f",
        "48 \u00d7 40 \u00d7 24 voxels",
        "HU",
    ):
        assert expected in words
    assert "data:image/png;base64," in words, "a thumbnail inside the page"
    assert "PatientName" in words
    assert "DOE" not in words
    assert "JANE" not in words
    assert {"open_case", "strip", "stop_load"} <= keys(app)


def test_export_stays_blocked_until_decided(world, jane):
    app = read(load_page(), jane)
    fine(app.button(key="open_case").click().run())
    assert "Export is blocked" in html(app)
    assert not app.get("download_button")
    fine(app.switch_page("pages/load.py").run())
    settled(app)
    fine(app.button(key="strip").click().run())
    assert "has been stripped from your own case; it may be exported now" in html(app)
    fine(app.switch_page("pages/case_review.py").run())
    assert "Export is blocked" not in html(app)
    assert app.get("download_button")


def captions(app: AppTest) -> str:
    return " ".join(item.value for item in app.caption)


@pytest.mark.parametrize(
    ("text", "keeps", "said"),
    [
        (b"Quartzson fell", False, "Removed, as it looked identifying: the free text of 1 event."),
        (b"Oluwaseun", False, "Removed, as no vocabulary knows all its words: the free text of 1 event."),
        (b"Oluwaseun", True, "Kept by choice, though no vocabulary knows all words: the free text of 1 event."),
    ],
)
def test_what_stripping_did_is_said_before_the_case_is_opened(world, tmp_path, text, keeps, said):
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv("LAB//1").replace(b"LAB//1 seen", text))
    app = read(load_page(), files.written(tmp_path / "ct", files.series(edit=named)), record)
    if keeps:
        fine(app.toggle(key="keep_unknown").set_value(True).run())
    app.button(key="strip").click()
    settled(app)
    assert re.search(
        r"places found; stripped as you decided. Open the case to look at it; it may be exported then.", captions(app)
    )
    assert said in captions(app)
    assert "is opened" not in captions(app)
    fine(app.button(key="open_case").click().run())
    notes = app.session_state["case"].timeline.notes
    assert said in notes, "the same words as the case has"


def test_findings_of_the_files_alone_are_said_to_stay_behind(world, jane):
    app = read(load_page(), jane)
    app.button(key="strip").click()
    settled(app)
    assert findings.IN_FILES_ALONE in captions(app)


def named(index: int, dataset: object) -> None:
    files.patient("QUARTZSON^JANE", "A1234567")(index, dataset)  # type: ignore[arg-type]


@pytest.mark.parametrize(("keeps", "said"), [(False, "has been stripped"), (True, "its texts kept as you decided")])
def test_what_became_of_the_texts_of_an_open_case_is_said(world, tmp_path, keeps, said):
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv("LAB//1").replace(b"LAB//1 seen", b"Oluwaseun"))
    app = read(load_page(), record=record)
    fine(app.button(key="open_case").click().run())
    fine(app.switch_page("pages/load.py").run())
    settled(app)
    fine(app.toggle(key="keep_unknown").set_value(keeps).run())
    fine(app.button(key="strip").click().run())
    assert said in html(app)
    assert ("Oluwaseun" in app.session_state["case"].timeline.events.to_csv()) == keeps


@pytest.mark.parametrize("keeps", [False, True])
def test_texts_that_no_vocabulary_knows_are_asked_about(world, tmp_path, keeps):
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv("LAB//1").replace(b"LAB//1 seen", b"Oluwaseun"))
    app = read(load_page(), record=record)
    assert "words no vocabulary knows" in html(app)
    assert "Oluwaseun" not in everything(app), "masked"
    fine(app.toggle(key="keep_unknown").set_value(keeps).run())
    fine(app.button(key="strip").click().run())
    fine(app.button(key="open_case").click().run())
    timeline = app.session_state["case"].timeline
    assert ("Oluwaseun" in timeline.events.to_csv()) == keeps
    assert sum(note.startswith(("Removed", "Kept by choice")) for note in timeline.notes) == 1


@pytest.fixture
def may_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The search for identifiers ends no sooner than this is set; after the test it leaves its turn to the next one."""
    wanted, search = threading.Event(), loading.search
    monkeypatch.setattr(loading, "search", lambda *given: wanted.wait(SECONDS) and search(*given))
    yield wanted
    wanted.set()


def still_searched(ct: Path) -> AppTest:
    """The Load page with a CT that is read, and can be opened, before the search has ended."""
    app = load_page()
    app.segmented_control(key="ct_how").set_value("Path on the server").run()
    app.text_input(key="ct_path").set_value(str(ct)).run()
    app.button(key="read").click()
    end = time.monotonic() + SECONDS
    while "open_case" not in keys(fine(app.run())):
        assert time.monotonic() < end, "the case must open before the search ends"
    return app


def test_a_case_opens_while_its_identifiers_are_still_searched(world, jane, may_end):
    """Looking needs the CT alone; the search goes on behind it, and the export waits for its end."""
    app = still_searched(jane)
    assert any("until the search for identifiers has ended" in item.value for item in app.caption)
    fine(app.button(key="open_case").click().run())
    assert "Your own case" in html(app)
    assert "still being searched" in html(app)
    assert not app.get("download_button")
    may_end.set()
    settled(fine(app.switch_page("pages/load.py").run()))
    assert "strip" in keys(app)
    fine(app.switch_page("pages/case_review.py").run())
    assert "contain possible identifiers" in html(app)


def test_searches_keep_no_reader_waiting(jane, may_end):
    """Pictures are searched for minutes; whoever comes next still gets the files read and judged."""
    searched = [Intake(jane) for _ in range(3)]
    for number, intake in enumerate(searched):
        assert settled_soon(lambda: intake.advance() and intake.quality is not None), number  # noqa: B023
    assert all(intake.searching for intake in searched)
    may_end.set()
    assert settled_soon(lambda: not any(intake.searching for intake in searched))


def settled_soon(found) -> bool:
    end = time.monotonic() + SECONDS
    while not (there := found()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(there)


def test_the_end_of_a_search_takes_nothing_off_the_screen(world, tmp_path, may_end, monkeypatch):
    """The case stays as it is where nothing had to be stripped: its curve, its map, what was picked."""
    app = still_searched(files.written(tmp_path / "ct", files.series()))
    fine(app.button(key="open_case").click().run())
    app.session_state[of_case(app, "show_dates")] = True
    kept = {name: app.session_state[name] for name in ("store:answers", "store:kept", "on_screen")}
    read = app.session_state[session.INTAKE]
    monkeypatch.setattr(Intake, "findings", property(lambda self: ()), raising=True)
    may_end.set()
    assert read.job("findings").wait(SECONDS)
    fine(app.run())
    assert session.INTAKE not in app.session_state
    assert "Export is blocked" not in html(app)
    assert app.session_state[of_case(app, "show_dates")]
    for name, value in kept.items():
        assert app.session_state[name] is value or app.session_state[name] == value, name


def test_files_that_cannot_be_searched_are_never_exported(world, jane, monkeypatch):
    monkeypatch.setattr(loading, "search", lambda *given: {}["no such thing"])
    app = read(load_page(), jane)
    assert any("could not be searched" in item.value for item in app.caption)
    assert not {"strip", "stop_load"} & keys(app), "there is nothing to decide"
    fine(app.button(key="open_case").click().run())
    assert "could not be searched for identifiers" in html(app)
    assert not app.get("download_button")


def test_stop_keeps_nothing(world, jane):
    app = read(load_page(), jane)
    fine(app.button(key="stop_load").click().run())
    assert "Nothing was kept" in html(app)
    assert "store:intake" not in app.session_state
    fine(app.switch_page("pages/case_review.py").run())
    assert "Demo 1" in html(app)


def test_stop_takes_an_undecided_case_off_the_screen(world, jane):
    app = read(load_page(), jane)
    fine(app.button(key="open_case").click().run())
    assert "Your own case" in html(app)
    fine(app.switch_page("pages/load.py").run())
    assert app.session_state["store:answers"], "something of the case is there to be left behind"
    fine(app.button(key="stop_load").click().run())
    for kept in ("case", "store:answers", "store:kept", "store:intake"):
        assert kept not in app.session_state, "nothing of a case that was stopped may stay"
    fine(app.switch_page("pages/case_review.py").run())
    assert "Your own case" not in html(app)


def test_a_gap_is_refused_and_repaired_only_by_choice(world, tmp_path):
    app = read(load_page(), files.written(tmp_path / "gap", files.gapped()))
    assert "missing" in html(app)
    assert "open_case" not in keys(app)
    assert {"repair_longest_run", "repair_resample_evenly"} <= keys(app)
    app.button(key="repair_resample_evenly").click()
    settled(app)
    assert "Repaired: uneven slices" in html(app)
    assert "open_case" in keys(app)


def test_several_series_are_never_mixed(world, tmp_path):
    other = files.series(files.Grid((48, 40, 12), (6.0, 6.0, 16.0)), seed=3)
    folder = files.written(tmp_path / "two", [*files.series(), *[(f"x{name}", data) for name, data in other]])
    app = read(load_page(), folder)
    assert "2 CT series found" in html(app)
    assert "Study 1" in html(app)
    assert "Study 2" in html(app)
    assert "open_case" not in keys(app)
    app.button(key="choose_2").click()
    settled(app)
    assert "48 \u00d7 40 \u00d7 12 voxels" in html(app)
    app.button(key="choose_1").click()
    settled(app)
    assert "48 \u00d7 40 \u00d7 24 voxels" in html(app)


def test_several_patients_in_a_record(world, tmp_path):
    path = tmp_path / "events.csv"
    path.write_bytes(files.events_csv(subjects=(7, 8, 9)))
    app = read(load_page(), record=path)
    assert "open_case" not in keys(app)
    assert app.selectbox(key="subject").options[0] == "7: 11 events over 120 days"
    app.selectbox(key="subject").set_value(8)
    settled(app)
    assert "Record: 11 events" in html(app)
    app.date_input(key="day_zero").set_value(date(2019, 3, 1)).run()
    settled(app)
    assert "later ones left out" in html(app)
    app.selectbox(key="subject").set_value(9)
    settled(app)
    assert app.date_input(key="day_zero").value is None, "day 0 of one patient is not another's"
    assert "Record: 11 events" in html(app)
    fine(app.button(key="open_case").click().run())
    assert "11 events" in html(app)


def test_a_refused_record_can_be_left_out(world, jane, tmp_path):
    path = tmp_path / "events.csv"
    path.write_bytes(b"subject_id,time,code\n1,2020-02-30,A\n")
    app = read(load_page(), jane, path)
    assert "open_case" not in keys(app)
    app.button(key="leave_record").click()
    settled(app)
    assert "open_case" in keys(app)


def test_there_is_no_choice_between_two_refusals(world, jane):
    """Without the CT only the refused record would be left, and the other way round."""
    app = read(load_page(), Path("/nowhere/ct"), Path("/nowhere/record"))
    assert "Waiting for your choice" not in html(app)
    assert "cannot be read" in html(app)
    assert not {"leave_scan", "leave_record"} & keys(app)
    assert "leave_scan" not in keys(read(load_page(), jane, Path("/nowhere/record")))


def test_a_refused_ct_is_left_out_while_the_columns_are_asked_for(world, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(b"pid;wann;was;wert\n1;2020-03-01;I50.9;\n1;2020-03-02;BNP;2310\n")
    app = read(load_page(), Path("/nowhere/ct"), path)
    assert "Waiting for your choice" in html(app)
    assert "leave_scan" in keys(app)
    assert "leave_record" not in keys(app)


def test_a_path_that_is_not_there(world):
    app = read(load_page(), Path("/nowhere/at/all"))
    assert "no file or folder at this path" in html(app)
    assert "Waiting for your choice" not in html(app), "there is nothing to choose"


def test_an_unknown_table_is_mapped_by_the_reader(world, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(b"pid;wann;was;wert\n1;2020-03-01;I50.9;\n1;2020-03-02;BNP;2310\n")
    app = read(load_page(), record=path)
    assert "Say what the columns mean" in html(app)
    assert "where the Load page asks" not in html(app), "this is the Load page"
    assert app.selectbox(key="column_code").label == "Event (needed)"
    assert "2310" not in html(app), "samples are masked"
    app.selectbox(key="column_time").set_value("wann").run()
    app.selectbox(key="column_code").set_value("was").run()
    app.button(key="map_columns").click()
    settled(app)
    assert "Record: 2 events" in html(app)
    assert "open_case" in keys(app)


def test_each_of_two_unknown_tables_is_mapped_by_the_reader(world, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"pid;wann;was;wert\n1;2020-03-01;I50.9;\n1;2020-03-02;BNP;2310\n")
    (tmp_path / "b.csv").write_bytes(b"pid;start;mittel\n1;2020-03-03;Furosemide\n")
    app = read(load_page(), record=tmp_path)
    assert "Table 1 of 2" in html(app)
    answer(app, subject_id="pid", time="wann", code="was")
    assert "Table 2 of 2" in html(app)
    answer(app, subject_id_2="pid", time_2="start", code_2="mittel")
    assert "Record: 3 events" in html(app)


def test_a_sole_column_of_dates_is_preset_as_the_time(world, tmp_path):
    path = tmp_path / "labs.csv"
    path.write_bytes(b"patient_id,result_date,test,result\n1,2020-03-01,BNP,2310\n")
    app = read(load_page(), record=path)
    assert app.selectbox(key="column_time").value == "result_date"
    assert app.selectbox(key="column_known_from").value is None
    assert "Still needed" not in html(app)
    app.button(key="map_columns").click()
    settled(app)
    assert "Record: 1 event" in html(app)


def test_numbers_under_an_unknown_name_are_asked_for(world, tmp_path):
    path = tmp_path / "labs.csv"
    path.write_bytes(b"subject_id,time,code,lab_reading\n1,2020-03-01T08:00,BNP,2310\n")
    app = read(load_page(), record=path)
    assert "whose name is not recognised" in html(app)
    assert app.selectbox(key="column_value").value == "lab_reading"
    app.button(key="map_columns").click()
    settled(app)
    assert "Record: 1 event" in html(app)


def test_the_order_of_dates_and_the_decimal_sign_are_asked_for(world, tmp_path):
    path = tmp_path / "labs.csv"
    path.write_bytes(b"subject_id;time;code;value\n1;04.05.2020;BNP;2,5\n")
    app = read(load_page(), record=path)
    assert "Unclear whether the day" in html(app)
    app.selectbox(key="way_dates").set_value("day first").run()
    app.selectbox(key="way_decimals").set_value("comma").run()
    app.button(key="map_columns").click()
    settled(app)
    assert "Record: 1 event" in html(app)
    assert "read day first, as answered" in html(app)


def test_the_encoding_is_asked_for_with_the_same_lines_in_each(world, tmp_path):
    path = tmp_path / "labs.csv"
    path.write_bytes("subject_id;time;code;value;unit\n1;2020-05-04;Größe;182;µm\n".encode("cp850"))
    app = read(load_page(), record=path)
    assert "line 2 holds the byte 0x94" in html(app)
    assert "9;9999-99-99;Aaößa;999;µa" in html(app)
    assert "Größe" not in html(app)
    assert app.button(key="map_columns").disabled
    app.selectbox(key="way_encoding").set_value("cp850").run()
    app.button(key="map_columns").click()
    settled(app)
    assert "Record: 1 event" in html(app)
    assert "read as DOS Western European (cp850), as answered: 1 file." in html(app)


def test_an_unreadable_file_leaves_the_session_clean(world, jane, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.zip").write_bytes(b"PK\x03\x04" + b"\0" * 200)
    app = read(load_page(), bad)
    assert "Expected:" in html(app)
    assert "open_case" not in keys(app)
    fine(app.button(key="start_over").click().run())
    assert session.INTAKE not in app.session_state
    assert "case" not in app.session_state


def slow_reader(stopped: threading.Event):
    """Reads a CT for ever, telling how far it is; sets `stopped` once it was told to stop."""

    def load_study(source, *, series, repairs, progress):
        try:
            while True:
                progress(0.5, "Reading slice 150 of 300")
                time.sleep(0.01)
        finally:
            stopped.set()

    return load_study


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    stopped = threading.Event()
    monkeypatch.setattr(loading, "load_study", slow_reader(stopped))
    return stopped


def half_read(jane: Path) -> AppTest:
    app = load_page()
    app.segmented_control(key="ct_how").set_value("Path on the server").run()
    app.text_input(key="ct_path").set_value(str(jane)).run()
    app.button(key="read").click()
    end = time.monotonic() + SECONDS
    while "Thorax" not in html(fine(app.run())):
        assert time.monotonic() < end
    return app


def test_a_load_is_cancelled_and_keeps_nothing(world, jane, endless):
    app = half_read(jane)
    assert "open_case" not in keys(app)
    fine(app.button(key="cancel_load").click().run())
    assert endless.wait(SECONDS), "the thread must end"
    assert "Cancelled" in html(app)
    assert session.INTAKE not in app.session_state
    assert "read" not in keys(app), "and the pickers are empty again"


def test_switching_patients_while_one_loads(world, jane, endless, tmp_path):
    app = half_read(jane)
    fine(app.switch_page("pages/case_review.py").run())
    assert "Demo 1" in html(app)
    assert "Thorax" not in html(app)
    fine(app.selectbox(key="case_pick").set_value("scan").run())
    assert "Scan only" in html(app)
    fine(app.switch_page("pages/load.py").run())
    fine(app.button(key="start_over").click().run())
    assert endless.wait(SECONDS)
    assert session.INTAKE not in app.session_state


def test_case_review_says_that_another_patient_is_being_read(world, jane, endless):
    """What, how far, whose case this still is; cancelled there, nothing of the files is left and the case stays."""
    app = fine(half_read(jane).switch_page("pages/case_review.py").run())
    words = html(app)
    assert "Your files are being read." in words
    assert "What is shown below is the case opened before: <b>Demo 1" in words
    bars = [item.proto.text for item in app.get("progress")]
    assert any(re.fullmatch(r"Reading.*, \d+ s", text) for text in bars), bars
    fine(app.button(key="cancel_arriving").click().run())
    assert endless.wait(SECONDS), "the thread must end"
    assert "Your files" not in html(app)
    assert "Demo 1" in html(app)
    assert session.INTAKE not in app.session_state
    assert "Cancelled. Nothing was kept." in html(fine(app.switch_page("pages/load.py").run()))


def test_the_model_card_reads_on_and_says_that_files_are_read(world, jane, endless):
    """Steps begin when a page is drawn: without this they would wait until the reader comes back."""
    app = half_read(jane)
    asked = []
    app.session_state[session.INTAKE].advance = lambda: asked.append(1) or True
    fine(app.switch_page("pages/model_card.py").run())
    assert asked
    assert "Your files are being read." in html(app)
    assert "What is shown below" not in html(app)
    fine(app.button(key="cancel_arriving").click().run())
    assert "Your files" not in html(app)
    assert session.INTAKE not in app.session_state


def test_case_review_reads_on_and_says_what_the_files_wait_for(world, jane, tmp_path, may_end):
    """The step after the one under way is begun there too; of a case that was opened from its files nothing is said."""
    app = load_page()
    for ct, words in ((jane, "are read and wait to be opened"), (tmp_path / "none", "cannot be read; Load says why")):
        app.session_state[session.INTAKE] = Intake(ct)
        fine(app.switch_page("pages/case_review.py").run())
        end = time.monotonic() + SECONDS
        while words not in html(app):
            assert time.monotonic() < end, html(app)[:400]
            time.sleep(0.05)
            fine(app.run())
        assert "What is shown below is the case opened before" in html(app)
    assert "Your files" not in html(opened_before_its_search_ended(jane))


def test_what_speaks_against_a_scan_is_said_before_it_opens_and_stays_with_it(world, jane, may_end):
    app = load_page()
    app.session_state[session.INTAKE] = Intake(jane, scan_doubts=("The images state another patient number.",))
    fine(app.run())
    assert '<div class="notes" role="alert">' in html(app)
    assert "open_case" not in keys(app)
    may_end.set()
    settled(app)
    assert html(app).count("another patient number") == 2, "the warning, and a note of the study"
    fine(app.button(key="open_case").click().run())
    case = app.session_state["case"]
    assert case.study.notes[0] == "The images state another patient number."


def opened_before_its_search_ended(ct: Path) -> AppTest:
    app = still_searched(ct)
    fine(app.button(key="open_case").click().run())
    return fine(app.switch_page("pages/case_review.py").run())


OF_A_PATIENT = ("store:answers", "store:kept", "store:intake", "case_from", "picked_events", "view")


def test_a_demo_takes_the_own_case_and_its_files_away(world, jane, may_end):
    """As the Load page promises; the end of its search must not bring it back either."""
    app = opened_before_its_search_ended(jane)
    assert "Your own case" in html(app)
    before = {name: app.session_state[name] for name in OF_A_PATIENT[:3]}
    app.session_state["picked_events"] = [3]
    fine(app.selectbox(key="case_pick").set_value("scan").run())
    assert "drops your own case" in html(app)
    fine(app.button(key="stay_in_case").click().run())
    assert "drops your own case" not in html(app)
    assert app.selectbox(key="case_pick").value == "own"
    assert app.session_state["picked_events"] == [3], "nothing was lost by asking"
    fine(app.selectbox(key="case_pick").set_value("scan").run())
    fine(app.button(key="leave_case").click().run())
    may_end.set()
    assert "Scan only" in html(fine(app.run()))
    assert app.selectbox(key="case_pick").options == [card["title"] for card in DEMOS.values()]
    for name in OF_A_PATIENT:
        assert name not in app.session_state or app.session_state[name] not in ([3], before.get(name)), name


def test_a_demo_takes_a_released_case_away_and_leaves_files_being_read(world, jane, endless):
    app = half_read(jane)
    app.session_state["case"], app.session_state["demo"] = Case("Your own case", view_support.study(), None), None
    fine(app.switch_page("pages/case_review.py").run())
    kept, read = app.session_state["store:kept"], app.session_state[session.INTAKE]
    fine(app.selectbox(key="case_pick").set_value("scan").run())
    fine(app.button(key="leave_case").click().run())
    assert "Scan only" in html(app)
    assert app.session_state["store:kept"] is not kept
    assert app.session_state[session.INTAKE] is read
    read.cancel()


def test_a_forgotten_job_stops_by_itself():
    stopped = threading.Event()
    reader = slow_reader(stopped)
    job = Job("Reading", lambda tell: reader(None, series=None, repairs=(), progress=tell), turns=Turns(1))
    assert job.running
    del job
    assert stopped.wait(SECONDS)


def test_collections_skip_the_libraries():
    """Streamlit collects after every run; what the libraries made at import is not looked at again."""
    assert gc.get_freeze_count() > 100_000


def test_an_unforeseen_error_is_told_without_its_text():
    def work(tell):
        raise KeyError("DOE^JANE")

    job = Job("Reading", work, turns=Turns(1))
    assert job.wait(SECONDS)
    assert job.result is None
    assert "DOE" not in str(job.error)


def test_no_export_goes_round_the_gate(world, monkeypatch):
    monkeypatch.setattr(session.st, "session_state", {})
    case = Case("Your own case", view_support.study(), None)
    assert not case.released, "a case is blocked unless someone says otherwise"
    with pytest.raises(UserFacingError, match="Export is blocked"):
        session.exports(case, "pe_mortality/image_only", view_support.review(case.study, None), "A")


def test_what_is_told_of_a_record_is_never_that_of_another_with_the_same_events(monkeypatch):
    """Stripped descriptions and other notes leave the events, and so the record's own digest, as they were."""
    monkeypatch.setattr(session.st, "session_state", {})
    record = view_support.timeline()
    code = record.events["code"].iloc[-1]
    told = replace(record, code_descriptions={code: "asked for by Dr Quillfeather"})
    stripped = replace(record, code_descriptions={}, notes=("A description was removed.",))
    assert told.digest == stripped.digest
    assert Case("", None, told).digest != Case("", None, stripped).digest
    assert "Quillfeather" in " ".join(session.event_table(told, None)["words"])
    assert "Quillfeather" not in " ".join(session.event_table(stripped, None)["words"])
    assert "A description was removed." not in session.described(None, told)
    assert "A description was removed." in session.described(None, stripped)


def test_a_description_is_gone_from_the_screen_once_it_was_stripped(world, tmp_path):
    record = tmp_path / "events.csv"
    days = "".join(f"7,2020-01-{day:02d} 03:00,LOINC//2823-3,4.{day},\n" for day in range(1, 12))
    asked = "7,2020-01-12 03:00,LOINC//2160-0,1.1,Creatinine asked for by Dr Quillfeather\n"
    record.write_text(f"subject_id,time,code,numeric_value,description\n{days}{asked}")
    app = read(load_page(), record=record)
    fine(app.button(key="open_case").click().run())
    fine(app.switch_page("pages/case_review.py").run())
    assert "Quillfeather" in everything(app)
    fine(app.switch_page("pages/load.py").run())
    fine(settled(app).button(key="strip").click().run())
    fine(app.switch_page("pages/case_review.py").run())
    assert "Quillfeather" not in everything(app)


@pytest.mark.parametrize(
    "text", ["Dr. Jane Doe, 1957-03-02", "Signed Doe, Jane", "DOE, JANE", "Doe: MRN 77", "Doe, 94 y.o."]
)
def test_stripping_takes_identifying_texts_and_burned_in_text_out(text):
    record = view_support.timeline()
    events = record.events.copy()
    events.loc[len(events) - 1, "text_value"] = text
    record = replace(record, events=events, digest="")
    box = TextBox((2, 2, 3), (6, 6, 4), 0.9, "x")
    study, timeline = strip(view_support.study(), record, (box,))
    assert not timeline.events["text_value"].astype(str).str.contains("doe", case=False).any()
    assert len(timeline.events) == len(record.events)
    assert any("free text of 1 event" in note for note in timeline.notes)
    assert (study.voxels_hu[2:6, 2:6] == -1024).all(), "on every slice, read there or not"
    changed = (study.voxels_hu != view_support.study().voxels_hu).any(axis=2)
    assert not changed[11:].any()
    assert not changed[:, 11:].any()
    clean = view_support.timeline()
    assert strip(None, clean)[1] is clean, "nothing is taken from a record without such texts"


def test_days_not_dates_unless_asked(world, tmp_path):
    path = tmp_path / "events.csv"
    path.write_bytes(files.events_csv())
    app = read(load_page(), record=path)
    year = re.compile(r"\b(1956|2019|2020)\b")
    assert not year.search(everything(app))
    fine(app.button(key="open_case").click().run())
    fine(app.switch_page("pages/case_review.py").run())
    assert not year.search(everything(app))
    app.session_state["picked_events"] = [3]
    fine(app.toggle(key=of_case(app, "show_dates")).set_value(True).run())
    assert year.search(everything(app)), "the toggle shows them"


def test_day_0_can_be_set_before_a_recorded_death(world, tmp_path):
    record = tmp_path / "events.csv"
    rows = "7,2020-01-01,ICD10CM//I10\n7,2020-02-01,ICD10CM//I26.99\n7,2020-02-20,MEDS_DEATH\n"
    record.write_text(f"subject_id,time,code\n{rows}")
    app = read(load_page(), record=record)
    assert "had died by day 0" in html(app)
    assert app.button(key="before_death").label == "Set day 0 to the last event before the death, 19 days earlier"
    app.button(key="before_death").click()
    settled(app)
    assert app.date_input(key="day_zero").value == date(2020, 2, 1)
    assert "had died" not in html(app)
    assert "before_death" not in keys(app), "it is"


def everything(app: AppTest) -> str:
    """All text that a page sends: markup, charts, labels."""
    drawn = [*app.get("plotly_chart"), *app.markdown, *app.caption]
    return " ".join(str(item.proto) for item in drawn) + html(app)


def test_day_0_can_be_set_to_the_scan(world, tmp_path):
    ct = files.written(tmp_path / "ct", files.series(edit=files.patient("DOE^JANE", "A1", AcquisitionDate="20200302")))
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv())
    app = read(load_page(), ct, record)
    assert app.date_input(key="day_zero").value is None
    assert app.button(key="scan_day").label == "Scan taken 1 day after day 0: set day 0 to it"
    app.button(key="scan_day").click()
    settled(app)
    assert app.date_input(key="day_zero").value == date(2020, 3, 2)
    assert app.time_input(key="day_zero_time").value == clock(0)
    assert "scan_day" not in keys(app), "it is"
