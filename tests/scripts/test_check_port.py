"""A port is judged before Streamlit is started, in one line; the port of a server that can start is not refused."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import UserFacingError
from scripts.check_port import refuse_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_free_port_is_taken_again_and_again(taken: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    refuse_port(str(free))
    refuse_port(f" {free}\n")


@pytest.mark.parametrize(
    ("port", "found"),
    [
        ("99999", "no port 99999"), ("65536", "no port 65536"), ("0", "no port 0"), ("9" * 5000, "no port 999999999"),
        ("", "not a whole number"), ("http", "not a whole number"), ("-1", "not a whole number"),
        ("85.01", "not a whole number"), ("8501 8502", "not a whole number"), ("²", "not a whole number"),
    ],
)  # fmt: skip
def test_what_is_no_port_is_said(port: str, found: str) -> None:
    with pytest.raises(UserFacingError, match=f"{found}.*1024 to 65535.*make app PORT="):
        refuse_port(port)


def test_a_port_in_use_is_said(taken: int) -> None:
    with pytest.raises(UserFacingError, match=f"Another program listens on port {taken} already.*PORT="):
        refuse_port(str(taken))


def test_a_privileged_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("scripts.check_port.socket.socket.bind", denied)
    with pytest.raises(UserFacingError, match=r"may not listen on port 80\..*1024 to 65535"):
        refuse_port("80")


def test_the_command_ends_in_one_line_and_make_asks_it_first() -> None:
    command = [sys.executable, "-m", "scripts.check_port", "99999"]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert ended.returncode == 2
    assert re.fullmatch(r"error: There is no port 99999\. Expected: [^\n]+\n", ended.stderr)
    rule = (ROOT / "Makefile").read_text("utf-8").split("\napp:")[1].split("\n\n")[0]
    assert rule.index("scripts.check_port '$(PORT)'") < rule.index("streamlit run app.py --server.port='$(PORT)'")
