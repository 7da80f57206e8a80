"""The modules of core and pages as a graph: who imports whom, read from the source and not from what ran."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

Graph = dict[str, set[str]]


@cache
def parsed(source: str) -> ast.Module:
    """The tree of a source text; several rules look at the same files."""
    return ast.parse(source)


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


def module_name(path: Path, root: Path) -> str:
    """core/fuse/batch.py is core.fuse.batch, core/fuse/__init__.py is core.fuse."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def module_graph(sources: Mapping[str, str]) -> Graph:
    """Module -> the modules among `sources` (name -> source text) that it imports.

    `from package import module` is an import of the module; of the package itself only where a name of its own is
    taken from it.
    """
    graph: Graph = {}
    for module, source in sources.items():
        graph[module] = set()
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Import):
                graph[module] |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{name.name}" for name in node.names}
                graph[module] |= inner & sources.keys()
                if inner - sources.keys():
                    graph[module].add(str(node.module))
        graph[module] &= sources.keys()
    return graph


def circle(graph: Graph) -> list[str]:
    """The modules of one circle of imports, the first again at the end; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def rooms(graph: Graph, package: str) -> set[str]:
    """Files and folders right below a package."""
    return {module.removeprefix(f"{package}.").split(".")[0] for module in graph if module.startswith(f"{package}.")}


def backward_arrows(graph: Graph, package: str, floors: str) -> list[str]:
    """Imports inside a package that go to a later floor, as "module -> module".

    floors: its rooms from first to last, parted by commas; those that share a place ("columns tables") may import each
    other.
    """
    floor = {room: number for number, place in enumerate(floors.split(",")) for room in place.split()}
    inside = f"{package}."

    def at(module: str) -> int:
        return floor[module.removeprefix(inside).split(".")[0]]

    return sorted(
        f"{module} -> {other}"
        for module, others in graph.items()
        for other in others
        if module.startswith(inside) and other.startswith(inside) and at(other) > at(module)
    )
