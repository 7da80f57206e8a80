"""The DICOMweb form's tables: read and chosen from, never a data grid that could be saved past the export gate."""

from __future__ import annotations

import intake_support as files
import pytest
from orthanc_support import Front, front
from streamlit.proto.TextInput_pb2 import TextInput
from streamlit.testing.v1 import AppTest

from core.load.dicomweb import DicomWebServer, SeriesRow, StudyRow
from core.load.dicomweb_words import dead
from pages._parts import pacs

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
    app.button(key="pacs_again").click().run()
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
        app.button(key="pacs_receive").click().run()
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
        app.button(key="pacs_search").click().run()
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


@pytest.mark.parametrize("asks", ["list_series", "find_studies", "fetch_series"])
def test_waiting_for_a_silent_server_draws_so_that_the_page_can_be_left(asks, monkeypatch):
    """A page ends where it draws: whatever waits must do so, or Stop and any other button wait as well."""
    drawn = []

    class Slot:
        def __getattr__(self, name: str) -> object:
            return lambda *_, **__: drawn.append(name) or self

        def columns(self, *_: object, **__: object) -> list[Slot]:
            return [self, self]

    def wait(*_: object, cancelled, **__: object) -> tuple[()]:
        before = len(drawn)
        assert not any(cancelled() for _ in range(3))
        assert len(drawn) == before + 3
        return ()

    monkeypatch.setattr(pacs.st, "empty", Slot)
    monkeypatch.setattr(pacs, asks, wait)
    study = STUDIES[0]
    asked = pacs.Asked(SERVER, "A", "", (None, None))
    calls = {
        "find_studies": lambda: pacs._search(asked),
        "list_series": lambda: pacs._series_of(SERVER, study),
        "fetch_series": lambda: pacs._receive(SERVER, study, SERIES["1.2.2"][0]),
    }
    assert calls[asks]() == ()
