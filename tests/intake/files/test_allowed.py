"""Only what lies below a named folder may be read from the server, links included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import UserFacingError
from core.intake.files.allowed import ROOTS, allowed_path, allowed_roots
from core.load import load_study


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """(a folder that may be read, one beside it that may not), a file in each."""
    inside, outside = tmp_path / "studies", tmp_path / "studies_of_others"
    for folder in (inside / "ct", outside):
        folder.mkdir(parents=True)
        (folder / "image.dcm").write_bytes(b"0")
    return inside, outside


def test_what_lies_below_is_allowed_and_nothing_else(places: tuple[Path, Path]) -> None:
    inside, outside = places
    for path in (inside, inside / "ct", inside / "ct" / "image.dcm", inside / "not_there"):
        assert allowed_path(path, (inside,)) == path
    for path in (outside, inside / ".." / outside.name, outside / "image.dcm", inside.parent, Path("/etc/passwd")):
        with pytest.raises(UserFacingError, match="may not be read here"):
            allowed_path(path, (inside,))
    with pytest.raises(UserFacingError, match="there is none"):
        allowed_path(inside, ())


def test_a_path_that_is_not_there_is_refused_in_the_same_words_as_one_that_is(places: tuple[Path, Path]) -> None:
    inside, outside = places
    told = []
    for path in (outside / "image.dcm", outside / "not_there.dcm"):
        with pytest.raises(UserFacingError) as refused:
            allowed_path(path, (inside,))
        told.append(str(refused.value))
    assert told[0] == told[1]


def test_links_cannot_lead_out(places: tuple[Path, Path]) -> None:
    inside, outside = places
    (inside / "within").symlink_to(inside / "ct")
    assert allowed_path(inside / "within", (inside,)) == inside / "within"
    (inside / "direct").symlink_to(outside)
    (inside / "loop").symlink_to(inside / "loop")
    for link in (inside / "direct", inside / "direct" / "image.dcm", inside / "loop"):
        with pytest.raises(UserFacingError, match="may not be read here"):
            allowed_path(link, (inside,))
    with pytest.raises(UserFacingError):
        load_study(inside)  # its only way to a file outside is the link, which is not followed


def test_folders_that_are_named_and_those_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    named = {ROOTS: os.pathsep.join([str(tmp_path / "a"), "~/b", ""])}
    for address in ("127.0.0.1", "0.0.0.0", None):
        assert allowed_roots(named, address) == (tmp_path / "a", tmp_path / "b")
    for loopback in ("127.0.0.1", "::1", "localhost"):
        assert allowed_roots({}, loopback) == (tmp_path, Path("/"))
    for everywhere in ("0.0.0.0", "::", "10.0.0.7", "hospital.example", None):
        assert allowed_roots({}, everywhere) == ()
