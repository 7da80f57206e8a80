"""Sealed folders: what is not as it was written is not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UserFacingError
from core.sealed_folder import FolderKind, open_sealed, read_json, seal

KIND = FolderKind("box of letters", "box's", ("a.json",), ("b.txt",), "Take another.")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text('{"one": 1}')
    (tmp_path / "b.txt").write_text("b")
    seal(tmp_path, ("a.json", "b.txt", "never.there"))
    return tmp_path


def test_what_was_sealed_is_read(box: Path) -> None:
    (box / "later.txt").write_text("nobody sealed this")
    opened = open_sealed(box, KIND)
    assert set(opened.contents) == {"a.json", "b.txt"}
    assert read_json(opened.contents["a.json"], "a.json", KIND) == {"one": 1}
    assert opened.digest == open_sealed(box, KIND).digest


def test_the_digest_changes_with_any_file(box: Path) -> None:
    before = open_sealed(box, KIND).digest
    (box / "b.txt").write_text("c")
    seal(box, ("a.json", "b.txt"))
    assert open_sealed(box, KIND).digest != before


@pytest.mark.parametrize("name", ["a.json", "b.txt", "manifest.json"])
def test_missing_and_changed_files_are_refused(box: Path, name: str) -> None:
    whole = (box / name).read_bytes()
    (box / name).write_bytes(whole[:-3])
    with pytest.raises(UserFacingError, match=name):
        open_sealed(box, KIND)
    (box / name).unlink()
    with pytest.raises(UserFacingError, match=f"box of letters lacks {name}"):
        open_sealed(box, KIND)


def test_no_folder_and_no_object_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="box of letters does not exist"):
        open_sealed(tmp_path / "none", KIND)
    for data in (b"[1]", b"{", b"\xff"):
        with pytest.raises(UserFacingError, match=r"a\.json"):
            read_json(data, "a.json", KIND)
