"""The shape of the project, read from its source: imports go one way, one file knows Streamlit, files stay small."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

from source_graph import backward_arrows, circle, imported, module_graph, module_name, parsed, rooms

import core

ROOT = Path(__file__).resolve().parents[1]
CORE, PAGES = ROOT / "core", ROOT / "pages"
SOURCES = sorted([*CORE.rglob("*.py"), *PAGES.rglob("*.py"), ROOT / "app.py"])
LONGEST_FILE = 400
# What may be shared by every session of the process: model weights, code, and what ships with the app.
SHARED_BY_ALL = {"bundle", "own_models", "demo_cases", "event_model", "_component"}
STARTED = [path for folder in ("bench", "scripts") for path in sorted((ROOT / folder).glob("[!_]*.py"))]
FLOORS = {
    "core.encode": "half, shared, ct, ehr, signals, encoder_card, folder",
    "core.encode.ct": "lungs, slice_grid, compact_slices, backbones, volume_grid, volume, encoders",
    "core.encode.ehr": (
        "features, rereading, cohort_deaths, compact_sequence, thinning, cohort, one_hot, records, concepts, "
        "stay_features, hierarchical, windows, encoders"
    ),
    "core.events": (
        "icd10, icd9_blocks, code_systems, descriptions, kinds, standard_codes, ancestors, reference_ranges, concepts, "
        "yes_no, death, stays, cut"
    ),
    "core.explain": "attention, frozen, ledger, map_trust, risk, methods, saliency, event_ablation, trust",
    "core.fuse": "batch, blocks, info_nce, fusions",
    "core.intake": "files, terms, scan, pacs, record, signals, identifiers",
    "core.intake.files": "allowed, limits, byte_source, which_file, decompress, quiet_logs, tar, zip, sources",
    "core.intake.identifiers": "finding, text, where, pictures, clean, picture_search, search, deidentify",
    "core.intake.pacs": "tls, failures, dicom_json, multipart, patient_match, server, transport, retrieve, client",
    # Cells, columns, tables and what is checked of them know each other by module; no module is in a circle.
    "core.intake.record": (
        "checks columns fhir file_types tables, bystanders, file_list, omop, sorting, column_questions, meds_columns, "
        "load, cohort_columns"
    ),
    "core.intake.scan": (
        "geometry, overflow, reorient, hounsfield, checks, repairs, dicom, nifti, sorting, thumbnail, load"
    ),
    "core.intake.terms": (
        "ambiguous_names, chest_terms, dicom_defined_terms, given_names, identifier_patterns, protocol_terms, "
        "safe_description"
    ),
    "core.pretrain": (
        "options, ct_findings, next_code, record_outcomes, supervised, record_fits, signal_fits, events, tte, medhmp, "
        "methods"
    ),
    "core.quality": (
        "anatomy, report, limits, embedding, kernel, pair, record, rows, thorax, orientation, voxels, motion, "
        "scan, assess"
    ),
    "core.survive": "likelihood, heads, metrics, model, curves, given_risk",
    "core.survive.metrics": "kaplan_meier, pairs, concordance, antolini, brier, calibration, compare, d_calibration",
    "core.train": "encoders, finetune_ct, measure_maps, members, model_card, cross_fit, thinned, fit, predict",
    "core.virtual": (
        "anatomy, codes, patient, deform, sampling, ecg_findings, outcome, ward, chart, records, catalogue, future, "
        "stays, vessels, disease, render, ecg_beats, ecg_render, ecg, simulate"
    ),
}
"""Files and folders of a package from first to last: each imports only from earlier ones, or of its own place."""


def stage_order() -> list[str]:
    """Stages in the order that the docstring of core names, first to last."""
    assert core.__doc__ is not None
    listed = core.__doc__.split("keeps it so):", 1)[1]
    return re.findall(r"\w+", listed)


def stage_of(path: Path) -> str:
    """records, load, encode, ...: the folder or file right below core."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return parsed(path.read_text(encoding="utf-8"))


def backward_imports(source: str, stage: str, order: list[str]) -> list[str]:
    """Stages that a file of `stage` imports although they come later."""
    names = {name.split(".")[1] for name in imported(parsed(source)) if name.startswith("core.") and name.count(".")}
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


def test_benches_and_scripts_are_started_one_way():
    assert [path for path in STARTED if not started_one_way(path)] == []


def started_one_way(path: Path) -> bool:
    source = path.read_text(encoding="utf-8")
    said = f"python -m {path.parent.name}.{path.stem}" in (ast.get_docstring(parsed(source)) or "")
    return "__main__" not in source or (said and "sys.argv" not in source)


def test_no_page_names_another_way_to_start_them():
    pages = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md"), *STARTED, *CORE.rglob("*.py")]
    for path in pages:
        assert not re.search(r"python \S*(bench|scripts)/", path.read_text(encoding="utf-8")), path


def test_imports_go_one_way():
    found = {}
    for path in CORE.rglob("*.py"):
        stage = stage_of(path)
        if stage == "__init__":
            backward = [name for name in imported(tree_of(path)) if name.startswith("core")]
        else:
            backward = backward_imports(path.read_text(encoding="utf-8"), stage, stage_order())
        found |= {str(path.relative_to(ROOT)): backward} if backward else {}
    assert found == {}


GRAPH = module_graph({module_name(path, ROOT): path.read_text(encoding="utf-8") for path in SOURCES})


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside functions and of types alone count like any other; none is excused."""
    assert len(GRAPH) > 300
    assert circle(GRAPH) == []


def test_the_guard_itself_sees_a_circle():
    late = "if TYPE_CHECKING:\n    from core.a import b\ndef f():\n    import core.a.c"
    sources = {"core.a": "", "core.a.b": "from core import a", "core.a.c": "from core.a.b import B"}
    assert circle(module_graph(sources)) == []
    found = circle(module_graph({**sources, "core.a.b": "from core.d import D", "core.d": late}))
    assert found[0] == found[-1]
    assert {"core.a.b", "core.d"} <= set(found)
    assert circle(module_graph({"core.a": "def f():\n    from core.b import g", "core.b": "import core.a"}))


def test_no_test_imports_another():
    """What several tests share stands in tests/support or a conftest.py."""
    sources = {path: tree_of(path) for path in (ROOT / "tests").rglob("*.py")}
    tests = {path.stem for path in sources if path.stem.startswith("test_")}
    names = {path.name: {part for name in imported(tree) for part in name.split(".")} for path, tree in sources.items()}
    assert len(tests) > 100
    assert {name: found & tests for name, found in names.items() if found & tests} == {}


def test_every_room_has_its_floor():
    nested = {module.rpartition(".")[0] for module in GRAPH if rooms(GRAPH, module) and module.count(".") > 1}
    assert nested <= FLOORS.keys(), "a package with folders in it"
    placed = {package: sorted(floors.replace(",", "").split()) for package, floors in FLOORS.items()}
    assert placed == {package: sorted(rooms(GRAPH, package)) for package in FLOORS}


def test_inside_a_package_imports_go_one_way():
    assert {package: back for package in FLOORS if (back := backward_arrows(GRAPH, package, FLOORS[package]))} == {}


def test_the_guard_itself_sees_an_arrow_that_runs_back():
    sources = {"core.a.b": "from core.a.d.e import x", "core.a.c": "import core.a.b", "core.a.d.e": "import core.f"}
    graph = module_graph(sources)
    assert backward_arrows(graph, "core.a", "d, b, c") == []
    assert backward_arrows(graph, "core.a", "d b, c") == []
    assert backward_arrows(graph, "core.a", "b, c, d") == ["core.a.b -> core.a.d.e"]


def test_core_never_imports_pages_and_only_the_session_knows_streamlit():
    for path in CORE.rglob("*.py"):
        tops = {name.split(".")[0] for name in imported(tree_of(path))}
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
    cached = cached_functions(parsed(source))
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
        for name, (function, decorator) in cached_functions(tree_of(path)).items():
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
        for node in ast.walk(tree_of(path)):
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


def test_files_stay_small():
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_every_public_function_of_core_is_documented_and_annotated():
    functions = [
        (path, node)
        for path in CORE.rglob("*.py")
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert len(functions) > 500
    bare = [f"{path.relative_to(ROOT)}:{node.name}" for path, node in functions if not described(node)]
    assert bare == []


def described(node):
    arguments = node.args.args + node.args.kwonlyargs
    annotated = node.returns is not None and all(argument.annotation is not None for argument in arguments)
    return annotated and ast.get_docstring(node) is not None
