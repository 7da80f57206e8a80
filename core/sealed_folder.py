"""Folders that say what they hold: manifest.json names the SHA-256 of each file, and reading checks every one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserFacingError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FolderKind:
    """What a kind of folder is called ("model bundle"), how its files are named in errors ("model's"), the files it
    must and may have, and what whoever meets a broken one can do."""

    name: str
    owner: str
    files: Sequence[str]
    optional: Sequence[str]
    next_step: str


@dataclass(frozen=True)
class SealedFolder:
    """Contents of every file by name, read once and checked. digest: SHA-256 of the manifest, which fixes them all."""

    contents: dict[str, bytes]
    digest: str


def seal(folder: Path, names: Iterable[str]) -> None:
    """Write the manifest of those files of a folder that are there."""
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names if _is_there(folder, name)
    }
    (folder / MANIFEST).write_text(json.dumps({"sha256": hashes}, indent=1) + "\n", encoding="utf-8")


def open_sealed(folder: Path, kind: FolderKind) -> SealedFolder:
    """Read a folder. Raises UserFacingError where a file is missing, damaged or was changed."""
    if not folder.is_dir():
        raise UserFacingError(f"The {kind.name} does not exist.", "a folder that holds one", "Choose another one.")
    _refuse_missing([name for name in (*kind.files, MANIFEST) if not _is_there(folder, name)], kind)
    manifest = (folder / MANIFEST).read_bytes()
    hashes = read_json(manifest, MANIFEST, kind).get("sha256")
    further = [name for name in kind.optional if isinstance(hashes, dict) and name in hashes]
    _refuse_missing([name for name in further if not _is_there(folder, name)], kind)
    contents = {name: (folder / name).read_bytes() for name in (*kind.files, *further)}
    for name, data in contents.items():
        if not isinstance(hashes, dict) or hashes.get(name) != hashlib.sha256(data).hexdigest():
            found = f"The {kind.owner} file {name} is damaged or was changed."
            raise UserFacingError(found, "the file whose SHA-256 its manifest names", kind.next_step)
    return SealedFolder(contents, hashlib.sha256(manifest).hexdigest())


def read_json(data: bytes, name: str, kind: FolderKind) -> dict[str, Any]:
    """The JSON object in a file. Raises UserFacingError where it is none."""
    try:
        value = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise UserFacingError(
            f"The {kind.owner} file {name} cannot be read.", "a JSON object", kind.next_step
        ) from error
    if not isinstance(value, dict):
        raise UserFacingError(f"The {kind.owner} file {name} holds no JSON object.", "a JSON object", kind.next_step)
    return value


def _is_there(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _refuse_missing(missing: Sequence[str], kind: FolderKind) -> None:
    if missing:
        found = f"The {kind.name} lacks {', '.join(missing)}."
        raise UserFacingError(found, "a complete folder", kind.next_step)
