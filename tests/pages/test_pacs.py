"""The DICOMweb form's tables: read and chosen from, never a data grid that could be saved past the export gate."""

from __future__ import annotations

import re
import threading
import time
from functools import partial

import intake_support as files
import pytest
from orthanc_support import Front, front, silent
from pages_support import ROOT
from streamlit.proto.TextInput_pb2 import TextInput
from streamlit.testing.v1 import AppTest

from core import session
from core.intake.pacs.client import DicomWebServer, SeriesRow, StudyRow
from core.intake.pacs.failures import dead
from pages._parts import arriving, pacs, sources

STUDIES = (
    StudyRow("1.2.1", "DOE^JANE", "A1234567", "ACC1", "20200101", "Chest <b>", ("CT",), 3),
    StudyRow("1.2.2", "DOE^JANE", "A1234567", "ACC2", "20210101", "Thorax", ("CT", "SR"), None),
)
SERVER = DicomWebServer("http://127.0.0.1:9/rs")
SERIES = {"1.2.1": (), "1.2.2": (SeriesRow("1.2.2.1", "CT", "Lung kernel", 120, "B70f"),)}


def page() -> None:
    from pages._parts import pacs

    pacs.draw()


def html(app: AppTest) -> str:
    return " ".join(str(getattr(item, "body", "") or item.proto.body) for item in app.get("html"))


def answered(app: AppTest) -> AppTest:
    """Runs the page until the server has answered."""
    end = time.monotonic() + 60
    while can_stop(app):
        assert time.monotonic() < end, "no answer"
        time.sleep(0.05)
        app.run()
    return app


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    made = AppTest.from_function(page, default_timeout=60)
    monkeypatch.setattr(pacs, "list_series", lambda server, study_uid, **_: SERIES[study_uid])
    made.session_state[pacs.STORE] = pacs.Kept(SERVER, STUDIES)
    return made.run()


def test_two_studies_are_a_table_to_choose_from_by_number(app):
    assert not app.exception
    assert len(app.dataframe) == 0
    assert "DOE" not in html(app)
    assert "Chest <b>" not in html(app), "a server's words are no markup"
    assert all(f">{words}</td>" in html(app) for words in (1, 2, 366, 0))
    assert not any(button.key == "pacs_receive" for button in app.button)
    numbers = next(item for item in app.get("button_group") if item.key.startswith("pacs_studies"))
    numbers.set_value(2).run()
    assert not app.exception
    assert "Lung kernel" in html(app)
    assert any(button.key == "pacs_receive" for button in app.button)


def test_a_lookup_that_failed_can_be_tried_again(app, monkeypatch):
    working = pacs.list_series

    def broken(*given, **words):
        raise dead()

    monkeypatch.setattr(pacs, "list_series", broken)
    numbers = next(item for item in app.get("button_group") if item.key.startswith("pacs_studies"))
    numbers.set_value(2).run()
    assert "cannot be reached" in html(app)
    assert {"pacs_again", "pacs_receive"} & {button.key for button in app.button} == {"pacs_again"}
    monkeypatch.setattr(pacs, "list_series", working)
    answered(app.button(key="pacs_again").click().run())
    assert not app.exception
    assert "Lung kernel" in html(app)
    assert not any(button.key == "pacs_again" for button in app.button)


def test_names_are_shown_on_request_in_the_same_table(app):
    app.toggle(key="pacs_names").set_value(True).run()
    assert not app.exception
    assert "DOE, JANE</td>" in html(app)
    assert '<td class="whole">A1234567</td>' in html(app), "a number is not broken in two"
    assert "2020-01-01" in html(app)
    assert len(app.dataframe) == 0


def test_a_number_chosen_among_other_studies_chooses_nothing_among_these(app):
    next(item for item in app.get("button_group") if item.key.startswith("pacs_studies")).set_value(2).run()
    assert "Lung kernel" in html(app)
    other = StudyRow("1.2.3", "ROE^RICHARD", "B7654321", "ACC3", "20220101", "Thorax", ("CT",), 1)
    app.session_state[pacs.STORE] = pacs.Kept(SERVER, (STUDIES[0], other))
    app.run()
    assert not app.exception
    assert "Lung kernel" not in html(app)
    assert app.session_state[pacs.STORE] == pacs.Kept(SERVER, (STUDIES[0], other))
    assert next(item for item in app.get("button_group") if item.key.startswith("pacs_studies")).value is None


def test_no_uid_stands_in_the_markup(app):
    next(item for item in app.get("button_group") if item.key.startswith("pacs_studies")).set_value(2).run()
    keys = [str(item.key) for kind in ("button_group", "button", "toggle", "text_input") for item in app.get(kind)]
    assert len(keys) > 4
    assert not [key for key in keys if "1.2." in key]


def test_images_of_another_patient_than_the_row_names_are_said_at_once(app, monkeypatch):
    for name, said in (("ROE^RICHARD", True), ("DOE^JANE", False)):
        made = files.series(edit=files.patient(name, "A1234567"))
        monkeypatch.setattr(pacs, "fetch_series", lambda *_, made=made, **__: made)
        next(item for item in app.get("button_group") if item.key.startswith("pacs_studies")).set_value(2).run()
        answered(app.button(key="pacs_receive").click().run())
        assert not app.exception
        assert ("The images state another patient name" in html(app)) == said
        assert "ROE" not in html(app)
        assert any("Received whole" in item.value for item in app.caption)


TOKEN = "s3cr3t.t0ken-Xyz"


@pytest.mark.parametrize(
    ("status", "words"), [(401, "The server refuses this token."), (403, "The server does not permit this.")]
)
def test_a_token_is_a_secret_of_the_form_and_of_one_header(status, words, caplog, capsys):
    """A field for passwords; sent as Bearer and nowhere else; a wrong one is refused in words that do not repeat it."""
    sent = []

    def act(request: Front) -> bool:
        sent.append((request.path, request.headers.get("Authorization")))
        return request.answer(status)

    app = AppTest.from_function(page, default_timeout=60).run()
    field = app.text_input(key="pacs_token")
    assert field.proto.type == TextInput.Type.PASSWORD
    caplog.set_level(0)
    with front(act) as running:
        app.text_input(key="pacs_url").set_value(running.server.url)
        app.text_input(key="pacs_number").set_value("A1234567")
        field.set_value(f"Bearer {TOKEN}")
        answered(app.button(key="pacs_search").click().run())
    assert not app.exception
    assert words in html(app)
    assert [header for _, header in sent] == [f"Bearer {TOKEN}"]
    told = (html(app), str(app.query_params), caplog.text, *capsys.readouterr(), *(path for path, _ in sent))
    assert TOKEN not in repr(app.session_state[pacs.STORE])
    assert not [text for text in told if TOKEN in text]


def test_a_token_beside_a_user_is_refused(app):
    app.text_input(key="pacs_url").set_value("http://127.0.0.1:9/rs")
    app.text_input(key="pacs_user").set_value("reader")
    app.text_input(key="pacs_token").set_value(TOKEN)
    app.button(key="pacs_search").click().run()
    assert "Both a token and a user with password are given." in html(app)
    assert TOKEN not in html(app)


ASKS = ("find_studies", "list_series", "fetch_series")


def stop(app: AppTest) -> AppTest:
    """Presses the button that stops what is asked."""
    return next(button for button in app.button if str(button.key).startswith("pacs_cancel")).click().run()


def can_stop(app: AppTest) -> bool:
    return any(str(button.key).startswith("pacs_cancel") for button in app.button)


def load_page() -> AppTest:
    """Load with the form of a server."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/load.py").run()
    return app.segmented_control(key="ct_how").set_value("DICOMweb").run()


def search(app: AppTest, url: str) -> AppTest:
    app.text_input(key="pacs_url").set_value(url)
    app.text_input(key="pacs_number").set_value("A1234567")
    return app.button(key="pacs_search").click().run()


def test_a_search_of_a_silent_server_is_watched_and_cancelled_at_once():
    app = load_page()
    with silent() as (url, hung_up):
        began = time.monotonic()
        search(app, url)
        assert time.monotonic() - began < 20, "the page does not wait for the server"
        assert not app.exception
        assert re.fullmatch(r"Searching, \d+ s", app.get("progress")[0].proto.text)
        assert "A1234567" not in html(app)
        job = app.session_state[pacs.ASKING].job
        stop(app)
        assert not app.exception
        assert arriving.CANCELLED in html(app)
        assert not app.get("progress")
        assert not can_stop(app)
        assert hung_up.wait(10), "the connection ends, not only the page's waiting for it"
        assert job.wait(10)
        assert job.result is job.error is None
        assert app.session_state[pacs.ASKING].job is None
        assert app.session_state[pacs.STORE] == pacs.Kept()
    app.run()
    assert not app.exception
    assert 'role="alert"' not in html(app), "that the server hung up afterwards is no refusal"


@pytest.mark.parametrize("leaves", ["reading a record", "another case"])
def test_a_search_ends_with_what_it_is_for(leaves, tmp_path, monkeypatch):
    """Whatever drops what is kept of the server ends what it is asked."""
    app = load_page()
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv())
    app.segmented_control(key="record_how").set_value("Path on the server").run()
    app.text_input(key="record_path").set_value(str(record)).run()
    with silent() as (url, hung_up):
        search(app, url)
        assert can_stop(app)
        if leaves == "reading a record":
            app.button(key="read").click().run()
        else:
            monkeypatch.setattr(sources, "pick", session.close_case)
            app.run()
        assert not [name for name in (pacs.STORE, pacs.ASKING) if name in app.session_state]
        assert hung_up.wait(20)
    assert not app.exception


def test_what_a_cancelled_search_found_is_not_shown_later(monkeypatch):
    """Nor what was found at the very moment of the click."""
    app = AppTest.from_function(page, default_timeout=60).run()
    may_end = threading.Event()
    monkeypatch.setattr(pacs, "find_studies", lambda *_, **__: may_end.wait(60) and STUDIES)
    for over in (False, True):
        search(app, SERVER.url)
        job = app.session_state[pacs.ASKING].job
        if over:
            may_end.set()
            assert job.wait(10)
        stop(app)
        may_end.set()
        assert job.wait(10)
        app.run()
        assert not app.exception
        assert "studies found" not in " ".join(item.value for item in app.caption)
        assert app.session_state[pacs.STORE] == pacs.Kept()
        may_end.clear()


def test_another_search_takes_the_place_of_one_under_way(monkeypatch):
    app = AppTest.from_function(page, default_timeout=60).run()
    monkeypatch.setattr(pacs, "find_studies", lambda *_, cancelled, **__: [cancelled() for _ in iter(int, 1)])
    search(app, SERVER.url)
    first = app.session_state[pacs.ASKING].job
    monkeypatch.setattr(pacs, "find_studies", lambda *_, **__: STUDIES)
    answered(search(app, SERVER.url))
    assert first.wait(10)
    assert "2 studies found" in " ".join(item.value for item in app.caption)


def test_a_lookup_that_was_cancelled_can_be_tried_again(app, monkeypatch):
    working = pacs.list_series
    monkeypatch.setattr(pacs, "list_series", lambda *_, cancelled, **__: [cancelled() for _ in iter(int, 1)])
    next(item for item in app.get("button_group") if item.key.startswith("pacs_studies")).set_value(2).run()
    assert not any(button.key == "pacs_again" for button in app.button)
    stop(app)
    assert arriving.CANCELLED in html(app)
    monkeypatch.setattr(pacs, "list_series", working)
    answered(app.button(key="pacs_again").click().run())
    assert not app.exception
    assert "Lung kernel" in html(app)


def test_receiving_is_stopped_and_keeps_nothing(app, monkeypatch):
    monkeypatch.setattr(pacs, "fetch_series", lambda *_, cancelled, **__: [cancelled() for _ in iter(int, 1)])
    next(item for item in app.get("button_group") if item.key.startswith("pacs_studies")).set_value(2).run()
    app.button(key="pacs_receive").click().run()
    job = app.session_state[pacs.ASKING].job
    assert app.button(key="pacs_receive").disabled
    assert re.fullmatch(r"Receiving the series: 0%, \d+ s", app.get("progress")[0].proto.text)
    stop(app)
    assert job.wait(10)
    assert app.session_state[pacs.STORE].files is None
    assert not app.button(key="pacs_receive").disabled


@pytest.mark.parametrize("asks", ASKS)
def test_whatever_waits_for_a_server_asks_whether_it_is_still_wanted(asks, monkeypatch):
    """A job ends where it tells of itself, and so it must also while nothing comes."""
    told = []

    def wait(*_: object, cancelled, **__: object) -> tuple[()]:
        assert not any(cancelled() for _ in range(3))
        return ()

    monkeypatch.setattr(pacs, asks, wait)
    calls = {
        "find_studies": partial(pacs._search, pacs.Asked(SERVER, "A", "", (None, None))),
        "list_series": partial(pacs._series_of, SERVER, STUDIES[0]),
        "fetch_series": partial(pacs._receive, SERVER, STUDIES[0], SERIES["1.2.2"][0]),
    }
    calls[asks](lambda share, words: told.append(words))
    assert len(told) == 3
