"""Which folders of the server a visitor may have read: those that whoever starts the app names, and no other."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import UserFacingError

ROOTS = "CT_SURVIVAL_ROOTS"
"""Environment variable that names the folders, parted as in PATH."""
_NEXT = f"Choose a path below one of them, upload the files, or have whoever starts the app name the folder in {ROOTS}."


def allowed_roots(environment: Mapping[str, str], address: str | None) -> tuple[Path, ...]:
    """The folders that are named; where none is, on a loopback address the starter's home and the folder the app runs
    in, at any other address none."""
    if named := environment.get(ROOTS):
        return tuple(Path(os.path.expanduser(part)).resolve() for part in named.split(os.pathsep) if part.strip())
    return tuple(dict.fromkeys((Path.home().resolve(), Path.cwd().resolve()))) if _is_loopback(address) else ()


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "0.0.0.0").is_loopback
    except ValueError:
        return address == "localhost"


def allowed_path(path: Path, roots: Sequence[Path]) -> Path:
    """The path itself where it lies below one of the folders, links resolved; links inside a folder that is read are
    never followed to elsewhere (`core.load.load_study`).

    Raises UserFacingError where it does not; whether there is anything is then not told.
    """
    expected = "a path below " + (
        " or ".join(map(str, roots)) or "a folder that may be read here, of which there is none"
    )
    if not _is_below(path, roots):
        raise UserFacingError("This path may not be read here.", expected, _NEXT)
    return path


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    try:
        target = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return False
    return any(target.is_relative_to(root) for root in roots)
