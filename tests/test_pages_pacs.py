"""The DICOMweb form's tables: read and chosen from, never a data grid that could be saved past the export gate."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core.load.dicomweb import SeriesRow, StudyRow
from pages._parts import pacs

STUDIES = (
    StudyRow("1.2.1", "DOE^JANE", "A1234567", "ACC1", "20200101", "Chest <b>", ("CT",), 3),
    StudyRow("1.2.2", "DOE^JANE", "A1234567", "ACC2", "20210101", "Thorax", ("CT", "SR"), None),
)
SERIES = {"1.2.1": (), "1.2.2": (SeriesRow("1.2.2.1", "CT", "Lung kernel", 120, "B70f"),)}


def page() -> None:
    from pages._parts import pacs

    pacs.draw()


def html(app: AppTest) -> str:
    return " ".join(str(getattr(item, "body", "") or item.proto.body) for item in app.get("html"))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    made = AppTest.from_function(page, default_timeout=60)
    monkeypatch.setattr(pacs, "list_series", lambda server, study_uid: SERIES[study_uid])
    made.session_state[pacs.STORE] = {"server": None, "studies": STUDIES}
    return made.run()


def test_two_studies_are_a_table_to_choose_from_by_number(app):
    assert not app.exception
    assert len(app.dataframe) == 0
    assert "DOE" not in html(app)
    assert "Chest <b>" not in html(app), "a server's words are no markup"
    assert all(words in html(app) for words in ("<td>1</td>", "<td>2</td>", "<td>366</td>", "<td>0</td>"))
    assert not any(button.key == "pacs_receive" for button in app.button)
    numbers = next(item for item in app.get("button_group") if item.key.startswith("pacs_studies"))
    numbers.set_value(2).run()
    assert not app.exception
    assert "Lung kernel" in html(app)
    assert any(button.key == "pacs_receive" for button in app.button)


def test_names_are_shown_on_request_in_the_same_table(app):
    app.toggle(key="pacs_names").set_value(True).run()
    assert not app.exception
    assert "DOE^JANE" in html(app)
    assert "2020-01-01" in html(app)
    assert len(app.dataframe) == 0
