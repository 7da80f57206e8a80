"""Models of one's own: bundles in the folder that whoever runs the app names, offered beside those that ship."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.bundle import describe_bundle
from core.errors import UserFacingError
from core.records import Task

MODELS_FOLDER = "CT_SURVIVAL_MODELS"
"""Environment variable that names the folder: of bundles, at most two folders deep, or a bundle itself."""
_DEPTHS = (".", "*", "*/*")


@dataclass(frozen=True)
class OwnModel:
    """A bundle as it describes itself; verified only once it is loaded. name: its folder, from the one that was named.
    key: another one once the bundle is another."""

    key: str
    name: str
    path: Path
    task: Task
    fusion: str


@dataclass(frozen=True)
class OwnModels:
    """What a folder of models holds. problems: in words, what cannot be offered and why."""

    models: tuple[OwnModel, ...] = ()
    problems: tuple[str, ...] = ()


def expanded(text: str) -> Path:
    """The path that somebody wrote, ~ and ~name in place of homes; as it stands where nobody has that name."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def find_own_models(folder: str) -> OwnModels:
    """The bundles in a folder, by name; none where no folder is named."""
    if not folder:
        return OwnModels()
    root = expanded(folder)
    if not root.is_dir():
        return OwnModels(problems=(f"There is no folder at the path in {MODELS_FOLDER}.",))
    models, problems = [], []
    for path in _bundle_folders(root):
        name = path.relative_to(root).as_posix() if path != root else root.resolve().name
        try:
            task, fusion, digest = describe_bundle(path)
            models.append(OwnModel(f"own/{name}/{digest[:12]}", name, path, task, fusion))
        except UserFacingError as error:
            problems.append(f"{name}: {error}")
    if not models and not problems:
        problems.append(f"The folder that {MODELS_FOLDER} names holds no model, that is, no folder with config.json.")
    return OwnModels(tuple(models), tuple(problems))


def _bundle_folders(root: Path) -> Iterator[Path]:
    for depth in _DEPTHS:
        yield from sorted(found.parent for found in root.glob(f"{depth}/config.json"))
