"""The Futures page: the record goes on, codes can be asked for, and what is missing says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pages_support import fine, html, opened

from core.foresee.events import PatientEvents
from core.foresee.train import EventTraining, train_event_model
from core.virtual.sampling import sample_patient
from core.virtual.simulate import simulate_record
from pages._parts.foretold import EVENT_MODEL, is_offered

PAGE = "pages/futures.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small event model of sixty virtual patients."""
    tables = [
        simulate_record(sample_patient("pe_mortality", "internal", 1, index), "balanced", 1, ("future",)).assign(
            subject_id=index
        )
        for index in range(60)
    ]
    columns = ["subject_id", "time", "code", "numeric_value", "unit"]
    table = pd.concat(tables)[columns].astype({"unit": "string"})
    events = PatientEvents.from_table(pa.Table.from_pandas(table, preserve_index=False))
    options = EventTraining(size="0.1m", context=256, epochs=1, check_steps=1000, least=3, device="cpu")
    folder = tmp_path_factory.mktemp("event_model")
    train_event_model(events, {"train": range(50), "tuning": range(50, 60)}, options, folder, virtual=True)
    return folder


@pytest.fixture
def installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EVENT_MODEL, str(model))


@pytest.mark.usefixtures("world", "installed")
def test_the_record_goes_on_beyond_today() -> None:
    app = fine(opened(PAGE))
    assert len(app.get("plotly_chart")) == 2
    told = html(app)
    assert "20 futures" in told
    assert "Trained on virtual patients" in told
    assert "not what causes what" in told
    assert "days in hospital" in told
    assert "by day 365" in told


@pytest.mark.usefixtures("world", "installed")
def test_any_code_can_be_asked_for_and_an_unknown_one_says_so() -> None:
    app = opened(PAGE)
    fine(app.text_input(key="futures_code").set_value("VISIT//OUTPATIENT").run())
    assert "VISIT//OUTPATIENT" in html(app)
    app.text_input(key="futures_code").set_value("NOBODY//KNOWS").run()
    assert not app.exception
    assert "does not know NOBODY//KNOWS" in html(app)


@pytest.mark.usefixtures("world", "installed")
def test_the_same_seed_gives_the_same_futures() -> None:
    one, other = html(fine(opened(PAGE))), html(fine(opened(PAGE)))
    assert one == other
    app = opened(PAGE)
    assert html(fine(app.number_input(key="futures_seed").set_value(7).run())) != one


@pytest.mark.usefixtures("world")
def test_the_page_is_offered_where_there_is_an_event_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path
) -> None:
    monkeypatch.setattr("pages._parts.foretold.SHIPPED", tmp_path / "none")
    monkeypatch.delenv(EVENT_MODEL, raising=False)
    assert not is_offered()
    fine(opened())
    monkeypatch.setenv(EVENT_MODEL, str(tmp_path / "other"))
    assert is_offered()
    assert "does not exist" in html(fine(opened(PAGE)))
    monkeypatch.delenv(EVENT_MODEL)
    monkeypatch.setattr("pages._parts.foretold.SHIPPED", model)
    assert is_offered()


@pytest.mark.usefixtures("world", "installed")
def test_a_case_without_a_record_says_so() -> None:
    app = opened(PAGE)
    app.session_state["demo"] = "scan"
    for name in ("case", "on_screen"):
        if name in app.session_state:
            del app.session_state[name]
    assert "No record is open" in html(fine(app.run()))
