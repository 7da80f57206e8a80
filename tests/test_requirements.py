"""What an install brings: every package of the app is pinned, whatever brings it, and is installed as pinned."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
OF_TORCH = ("cuda-", "nvidia-", "triton")
"""CUDA libraries: torch names their exact versions itself, and its CPU build has none."""


def pinned(name: str) -> dict[str, Requirement]:
    """Requirements of a file by package."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines())
    read = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in read}


def brought_by(requirement: Requirement, found: dict[str, Version]) -> None:
    """Adds every installed package that this one needs here, itself included."""
    name = canonicalize_name(requirement.name)
    if name in found or name.startswith(OF_TORCH):
        return
    try:
        found[name] = Version(distribution(name).version)
    except PackageNotFoundError:
        raise AssertionError(f"{name} is not installed") from None
    for text in distribution(name).requires or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in requirement.extras or {""}):
            brought_by(needed, found)


def test_every_package_of_the_app_is_pinned_and_installed_so() -> None:
    own, others = pinned("requirements.txt"), pinned("constraints.txt")
    found: dict[str, Version] = {}
    for requirement in own.values():
        brought_by(requirement, found)
    pins = {**own, **others}
    assert not set(own) & set(others)
    assert set(found) <= set(pins), "packages that nothing pins"
    for name, version in found.items():
        wanted = str(pins[name].specifier)
        assert wanted == f"=={Version(version.public)}", f"{name} {version} is installed, {wanted} is pinned"


def test_constraints_are_obeyed_wherever_the_requirements_are_installed() -> None:
    assert "-c constraints.txt" in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()
    assert "COPY requirements.txt constraints.txt ./" in (ROOT / "Dockerfile").read_text("utf-8")
