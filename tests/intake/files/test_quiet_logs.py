"""What no page foresaw reaches the server's log without the text of the error, which may quote a file."""

from __future__ import annotations

import io
import logging

import pytest
from streamlit import error_util

from core.intake.files import quiet_logs

SECRET = "Quillfeather 4711-08"


def logged(monkeypatch: pytest.MonkeyPatch) -> str:
    """What Streamlit logs of an error in a page."""
    logger, out = logging.getLogger("streamlit.error_util"), io.StringIO()
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(out)])
    monkeypatch.setattr(logger, "propagate", False)
    try:
        raise ValueError(f"could not convert string to float: '{SECRET}'")
    except ValueError as error:
        error_util._log_uncaught_app_exception(error)
    return out.getvalue()


def test_the_text_of_an_error_reaches_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("streamlit.error_util"), "filters", [])
    assert SECRET in logged(monkeypatch)
    quiet_logs.keep_texts_of_errors_out_of_logs()
    quiet_logs.keep_texts_of_errors_out_of_logs()
    said = logged(monkeypatch)
    assert SECRET not in said
    assert "ValueError" in said
    assert "test_quiet_logs.py" in said
    assert len(logging.getLogger("streamlit.error_util").filters) == 1
