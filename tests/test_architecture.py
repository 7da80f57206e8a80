"""The shape of the project, read from its source: imports go one way, one file knows Streamlit, files stay small."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import core

ROOT = Path(__file__).resolve().parents[1]
CORE, PAGES = ROOT / "core", ROOT / "pages"
SOURCES = sorted([*CORE.rglob("*.py"), *PAGES.rglob("*.py"), ROOT / "app.py"])
LONGEST_FILE = 400
# What may be shared by every session of the process: model weights, code, and what ships with the app.
SHARED_BY_ALL = {"bundle", "own_models", "demo_cases", "_component"}


def stage_order() -> list[str]:
    """Stages in the order that the docstring of core names, first to last."""
    assert core.__doc__ is not None
    listed = core.__doc__.split("keeps it so):", 1)[1]
    return re.findall(r"\w+", listed)


def stage_of(path: Path) -> str:
    """records, load, encode, ...: the folder or file right below core."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(tree: ast.Module) -> set[str]:
    """Every module named in an import anywhere in a file, those inside functions and type-checking blocks included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            module = node.module or ""
            found |= {f"{module}.{name.name}" for name in node.names} | {module}
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=path.name)


def backward_imports(source: str, stage: str, order: list[str]) -> list[str]:
    """Stages that a file of `stage` imports although they come later."""
    names = {name.split(".")[1] for name in imported(ast.parse(source)) if name.startswith("core.") and name.count(".")}
    return sorted(name for name in names if name in order and order.index(name) > order.index(stage))


def test_every_stage_has_its_place():
    stages = {stage_of(path) for path in CORE.rglob("*.py")} - {"__init__"}
    assert stages == set(stage_order())
    assert len(set(stage_order())) == len(stage_order())
    told = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert re.findall(r"`(\w+)`", told) == stage_order()


def test_an_image_of_the_app_leaves_out_whatever_git_leaves_out():
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split():
        name = line.strip("/")
        assert any(fnmatch(name, pattern.removeprefix("**/")) for pattern in left_out), name


STARTED = [path for folder in ("bench", "scripts") for path in sorted((ROOT / folder).glob("[!_]*.py"))]


@pytest.mark.parametrize("path", STARTED, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_benches_and_scripts_are_started_one_way(path):
    source = path.read_text(encoding="utf-8")
    if "__main__" in source:
        assert f"python -m {path.parent.name}.{path.stem}" in (ast.get_docstring(ast.parse(source)) or "")
        assert "sys.argv" not in source


def test_no_page_names_another_way_to_start_them():
    pages = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md"), *STARTED, *CORE.rglob("*.py")]
    for path in pages:
        assert not re.search(r"python \S*(bench|scripts)/", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    if stage_of(path) == "__init__":
        assert not [name for name in imported(parsed(path)) if name.startswith("core")]
        return
    assert backward_imports(path.read_text(encoding="utf-8"), stage_of(path), stage_order()) == []


def test_core_never_imports_pages_and_only_the_session_knows_streamlit():
    for path in CORE.rglob("*.py"):
        tops = {name.split(".")[0] for name in imported(parsed(path))}
        assert "pages" not in tops, path
        assert "streamlit" not in tops or path == CORE / "session.py", path


def test_the_guard_itself_sees_a_backward_import():
    order = stage_order()
    assert backward_imports("def f():\n    from core.export import figure", "load", order) == ["export"]
    assert backward_imports("import core.session", "review", order) == ["session"]
    assert backward_imports("from core.records import Tokens", "load", order) == []
    assert backward_imports("from core import errors, export", "load", order) == ["export"]


def cached_functions(tree: ast.Module) -> dict[str, tuple[ast.FunctionDef, ast.expr]]:
    """Functions with a Streamlit cache decorator: name -> (function, decorator)."""
    found = {}
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", []):
            if re.search(r"cache_(data|resource)\b", ast.unparse(decorator)):
                found[node.name] = (node, decorator)
    return found


def is_session_scoped(decorator: ast.expr) -> bool:
    words = decorator.keywords if isinstance(decorator, ast.Call) else []
    return any(word.arg == "scope" and ast.literal_eval(word.value) == "session" for word in words)


def leaking_caches(source: str) -> list[str]:
    """Caches shared by all sessions that could hold a patient: not on the list of what ships with the app."""
    cached = cached_functions(ast.parse(source))
    return [
        name
        for name, (_, decorator) in cached.items()
        if not is_session_scoped(decorator) and name not in SHARED_BY_ALL
    ]


def test_no_global_cache_holds_a_patient():
    for path in SOURCES:
        assert leaking_caches(path.read_text(encoding="utf-8")) == [], path


def test_shared_caches_are_keyed_by_plain_words_only():
    """A function shared by all sessions takes names and numbers, never a study, timeline, case or review."""
    for path in SOURCES:
        for name, (function, decorator) in cached_functions(parsed(path)).items():
            if is_session_scoped(decorator):
                continue
            for argument in function.args.args + function.args.kwonlyargs:
                words = ast.unparse(argument.annotation) if argument.annotation else ""
                assert re.fullmatch(r"(str|int|float|bool|Path|ModelChoice)( \| None)?", words), (
                    path,
                    name,
                    argument.arg,
                )


def test_the_cache_guard_itself_sees_a_leak():
    assert leaking_caches("@st.cache_data\ndef study(path): ...") == ["study"]
    assert leaking_caches("@st.cache_data(scope='global')\ndef study(path): ...") == ["study"]
    assert leaking_caches("@st.cache_resource(scope='session')\ndef study(path): ...") == []


def test_no_store_outlives_a_session_in_core():
    """No lru_cache or functools.cache on a function that takes a patient's records, or words that may be theirs."""
    for path in CORE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.FunctionDef):
                continue
            if any(re.search(r"\b(lru_)?cache\b", ast.unparse(decorator)) for decorator in node.decorator_list):
                words = ast.unparse(node.args)
                assert not re.search(
                    r"CtStudy|Timeline|CaseReview|CaseEncoding|Tokens|ndarray|DataFrame|str|bytes", words
                ), (
                    path,
                    node.name,
                )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_every_public_function_of_core_is_documented_and_annotated():
    functions = [
        (path, node)
        for path in CORE.rglob("*.py")
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert len(functions) > 500
    bare = [f"{path.relative_to(ROOT)}:{node.name}" for path, node in functions if not described(node)]
    assert bare == []


def described(node):
    arguments = node.args.args + node.args.kwonlyargs
    annotated = node.returns is not None and all(argument.annotation is not None for argument in arguments)
    return annotated and ast.get_docstring(node) is not None
