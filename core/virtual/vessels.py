"""The pulmonary artery tree as a graph of short tubes, and emboli planned on it.

Level sets of the distance along the tree from the valve, cut into connected pieces, are the nodes (Reeb graph); each
knows its parent, radius, level and the share of the periphery it feeds, so that an obstruction index in the manner of
Qanadli (share of the peripheral bed behind clot, partial obstruction counted in part) can be planned and measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from core.records import Float64Array
from core.virtual.anatomy import VOXEL_MM, load_template
from core.virtual.patient import Findings

SEGMENTAL, LOBAR, CENTRAL, SADDLE = 1, 2, 3, 4
LEVELS = {"segmental": SEGMENTAL, "lobar": LOBAR, "central": CENTRAL, "saddle": SADDLE}
BIN_MM = 5.0
SMALLEST_RADIUS_MM = 2.2
ML_PER_BURDEN = 12.0
"""Clot volume at an obstruction of 1; about 4 ml at the middling burden of an embolism study."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ArteryTree:
    """Nodes (n) and voxels (v) of the artery tree, template voxel coordinates.

    centre (n, 3) in mm from voxel (0, 0, 0); radius_mm, level, parent (-1 at the valve), feeds (share of the periphery
    behind the node) each (n,); children: lists of node numbers; upstream (n, n): 1 where the column is the row's node
    or above it; periphery (n,): the node's own share of the peripheral bed. voxels (v, 3) indices, node_of (v,) their
    node.
    """

    centre: Float64Array
    radius_mm: Float64Array
    level: IntArray
    parent: IntArray
    feeds: Float64Array
    children: tuple[tuple[int, ...], ...]
    upstream: npt.NDArray[np.float32]
    periphery: npt.NDArray[np.float32]
    voxels: IntArray
    node_of: IntArray


@dataclass(frozen=True, eq=False)
class Clot:
    """One embolus: a chain of points (p, 3) mm with radii (p,) mm, in nodes.

    degree: share of the flow it stops: 1 complete, 0.5 partial, 0.25 a strand in a central artery.
    """

    points: Float64Array
    radii_mm: Float64Array
    nodes: tuple[int, ...]
    degree: float


def _neighbour_pairs(voxels: IntArray, shape: tuple[int, ...]) -> tuple[IntArray, IntArray, Float64Array]:
    """26-neighbour pairs (a, b, length in mm) among listed voxels."""
    number = np.full(shape, -1, np.int64)
    number[tuple(voxels.T)] = np.arange(len(voxels))
    rows, columns, lengths = [], [], []
    for step in np.argwhere(np.ones((3, 3, 3))) - 1:
        if tuple(step) <= (0, 0, 0):
            continue
        other = number[tuple((voxels + step).T)]
        rows.append(np.flatnonzero(other >= 0))
        columns.append(other[other >= 0])
        lengths.append(np.full(len(columns[-1]), VOXEL_MM * float(np.linalg.norm(step))))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(lengths)


def _reeb_nodes(distance: Float64Array, pairs: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
    """(node of each voxel, parent of each node): connected pieces of the distance's level sets."""
    level = np.floor(distance / BIN_MM).astype(np.int64)
    a, b = pairs
    same = level[a] == level[b]
    count = len(distance)
    graph = sparse.coo_matrix((np.ones(int(same.sum())), (a[same], b[same])), (count, count))
    nodes, node_of = csgraph.connected_components(graph, directed=False)
    level_of = np.zeros(nodes, np.int64)
    level_of[node_of] = level
    parent = np.full(nodes, -1, np.int64)
    near, far = np.where(level[a] < level[b], a, b)[~same], np.where(level[a] < level[b], b, a)[~same]
    parent[node_of[far]] = node_of[near]
    return node_of.astype(np.int64), parent


def _levels(node_of: IntArray, parent: IntArray, in_trunk: npt.NDArray[np.bool_], order: IntArray) -> IntArray:
    """Central inside the trunk and main arteries, then lobar for 25 mm, then segmental."""
    share = np.bincount(node_of, in_trunk) / np.bincount(node_of)
    level, steps = np.full(len(parent), SEGMENTAL, np.int64), np.zeros(len(parent), np.int64)
    for node in order:
        above = parent[node]
        if share[node] > 0.5 and (above < 0 or level[above] == CENTRAL):
            level[node] = CENTRAL
            continue
        steps[node] = steps[above] + 1 if above >= 0 else 1
        level[node] = LOBAR if steps[node] * BIN_MM <= 25 else SEGMENTAL
    return level


def _feeds(size: Float64Array, level: IntArray, parent: IntArray, order: IntArray) -> Float64Array:
    """Share of the segmental voxels at or behind each node."""
    feeds = np.where(level == SEGMENTAL, size, 0.0).astype(np.float64)
    for node in order[::-1]:
        if parent[node] >= 0:
            feeds[parent[node]] += feeds[node]
    return np.asarray(feeds / feeds[order[0]])


@lru_cache(maxsize=1)
def artery_tree() -> ArteryTree:
    """The template's artery tree, built once per process."""
    template = load_template()
    mask = np.isin(template.vessels, (1, 3))
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    mask = parts == np.bincount(parts[template.vessels == 3]).argmax()
    voxels = np.argwhere(mask)
    in_trunk = template.vessels[mask] == 3
    a, b, lengths = _neighbour_pairs(voxels, mask.shape)
    graph = sparse.coo_matrix((lengths, (a, b)), (len(voxels), len(voxels))).tocsr()
    lowest = np.flatnonzero(in_trunk)
    start = lowest[np.argmin(voxels[lowest, 2] - 0.2 * voxels[lowest, 1])]
    distance = csgraph.dijkstra(graph, directed=False, indices=[int(start)])[0]
    node_of, parent = _reeb_nodes(distance, (a, b))
    size = np.bincount(node_of).astype(np.float64)
    first = np.full(len(parent), np.inf)
    np.minimum.at(first, node_of, distance)
    order = np.argsort(first, kind="stable")
    level = _levels(node_of, parent, in_trunk, order)
    centre = np.stack([np.bincount(node_of, voxels[:, d]) / size for d in range(3)], 1) * VOXEL_MM
    inside = ndimage.distance_transform_edt(mask)[mask] * VOXEL_MM
    widest = np.zeros(len(parent))
    np.maximum.at(widest, node_of, inside)
    radius = np.minimum(np.sqrt(size * VOXEL_MM**3 / (np.pi * BIN_MM)), widest * 1.15 + 0.4)
    children: list[list[int]] = [[] for _ in parent]
    for node, above in enumerate(parent):
        if above >= 0:
            children[above].append(node)
    feeds = _feeds(size, level, parent, order)
    _mark_saddle(level, feeds, children, int(order[0]))
    upstream = np.eye(len(parent), dtype=np.float32)
    for node in order:
        if parent[node] >= 0:
            upstream[node] += upstream[parent[node]]
    periphery = np.where(level == SEGMENTAL, size, 0).astype(np.float32)
    tubes = tuple(map(tuple, children)), upstream, periphery / periphery.sum()
    return ArteryTree(centre, radius, level, parent, feeds, *tubes, voxels, node_of)


def _mark_saddle(level: IntArray, feeds: Float64Array, children: list[list[int]], root: int) -> None:
    """Follow the trunk to the node whose two branches both feed a lung, and mark it SADDLE."""
    node = root
    while True:
        large = [child for child in children[node] if feeds[child] > 0.25]
        if len(large) != 1:
            break
        node = large[0]
    level[node] = SADDLE


def _walk(tree: ArteryTree, start: int, length_mm: float, rng: np.random.Generator) -> list[int]:
    """Downstream chain of nodes from `start`, larger branches likelier, until `length_mm` or a vessel too small."""
    chain = [start]
    while len(chain) * BIN_MM < length_mm:
        options = [c for c in tree.children[chain[-1]] if tree.radius_mm[c] >= SMALLEST_RADIUS_MM]
        if not options:
            break
        weight = np.array([tree.feeds[c] + 0.01 for c in options])
        chain.append(int(rng.choice(options, p=weight / weight.sum())))
    return chain


def _saddle_chain(tree: ArteryTree, rng: np.random.Generator) -> list[int]:
    """From one main artery over the bifurcation into the other."""
    fork = int(np.flatnonzero(tree.level == SADDLE)[0])
    branches = sorted(tree.children[fork], key=lambda c: -tree.feeds[c])[:2]
    arms = [_walk(tree, branch, rng.uniform(20, 45), rng) for branch in branches]
    return [*arms[0][::-1], fork, *arms[-1]] if len(arms) > 1 else [fork, *arms[0]]


def _make_clot(tree: ArteryTree, chain: list[int], complete: bool, rng: np.random.Generator) -> Clot:
    """A wavering cylinder along the chain: a strand off the axis in wide vessels, filling the lumen where complete."""
    nodes = np.array(chain)
    lumen = tree.radius_mm[nodes]
    fill = 1.25 if complete else rng.uniform(0.42, 0.68)
    wobble = np.clip(1 + 0.18 * rng.standard_normal(len(nodes)), 0.7, 1.3)
    limit = np.where(tree.level[nodes] >= CENTRAL, rng.uniform(3.2, 6.5), np.inf)
    radii = np.minimum(np.maximum(lumen * fill * wobble, np.minimum(2.6, lumen + 0.4)), limit)
    if complete:
        radii = np.maximum(radii, np.minimum(3.2, lumen + 1.4))
    room = np.clip(lumen - radii - 0.8, 0, None)
    drift = np.cumsum(rng.standard_normal((len(nodes), 3)) * 0.6, 0) + rng.standard_normal(3)
    drift /= np.maximum(np.linalg.norm(drift, axis=1, keepdims=True), 1e-6)
    points = tree.centre[nodes] + drift * (room * rng.uniform(0.3, 0.9))[:, None]
    if len(points) > 2:
        points[1:-1] = 0.5 * points[1:-1] + 0.25 * (points[:-2] + points[2:])
    partial = 0.25 if tree.level[nodes].max() >= CENTRAL else 0.5
    return Clot(points, radii, tuple(chain), 1.0 if complete else partial)


def obstruction_index(tree: ArteryTree, clots: list[Clot]) -> float:
    """Share of the peripheral bed behind clot: the largest degree on the way there (0 to 1)."""
    degree = np.zeros(len(tree.parent))
    for clot in clots:
        nodes = np.array(clot.nodes)
        degree[nodes] = np.maximum(degree[nodes], clot.degree)
    return float((tree.upstream * degree.astype(np.float32)).max(1) @ tree.periphery)


def _starts(tree: ArteryTree, level: int) -> IntArray:
    wide = tree.radius_mm >= (SMALLEST_RADIUS_MM + 0.2 if level == SEGMENTAL else 2.6)
    return np.flatnonzero((tree.level == level) & wide & (tree.feeds > 0.004) & (tree.feeds < 0.7))


def clot_volume_ml(tree: ArteryTree, clots: list[Clot]) -> float:
    """Volume of the planned emboli, each node counted once with its widest embolus, bounded by its lumen."""
    area = np.zeros(len(tree.parent))
    for clot in clots:
        nodes = np.array(clot.nodes)
        np.maximum.at(area, nodes, np.pi * np.minimum(clot.radii_mm, tree.radius_mm[nodes] + 0.5) ** 2)
    return float(area.sum() * BIN_MM / 1000)


def plan_clots(findings: Findings, rng: np.random.Generator) -> list[Clot]:
    """Emboli that reach the asked obstruction (as near as the tree allows), the first at the asked level.

    Later ones sit at that level or further out, most of them lobar and segmental; with growing burden more of them are
    complete. Emboli are added until the obstruction is reached and their volume is `ML_PER_BURDEN` times the burden;
    one that would overshoot the obstruction is tried again elsewhere.
    """
    if findings.clot_burden <= 0 or findings.clot_level == "none":
        return []
    tree, top, target = artery_tree(), LEVELS[findings.clot_level], findings.clot_burden
    clots: list[Clot] = [_first_clot(tree, top, target, rng)]
    reached, volume = obstruction_index(tree, clots), clot_volume_ml(tree, clots)
    for _ in range(70):
        enough = volume >= ML_PER_BURDEN * target
        if reached >= 0.93 * target and enough:
            break
        level = int(rng.choice([SEGMENTAL, LOBAR, CENTRAL], p=[0.55, 0.35, 0.10]))
        start = int(rng.choice(_starts(tree, min(level, top))))
        complete = bool(rng.random() < 0.25 + 0.8 * target) and tree.level[start] < CENTRAL
        clot = _make_clot(tree, _walk(tree, start, rng.uniform(18, 50), rng), complete, rng)
        with_clot = obstruction_index(tree, [*clots, clot])
        useful = with_clot > reached + 1e-4 or not enough
        if useful and with_clot < 1.2 * target + 0.02:
            clots, reached = [*clots, clot], with_clot
            volume = clot_volume_ml(tree, clots)
    return clots


def _first_clot(tree: ArteryTree, top: int, target: float, rng: np.random.Generator) -> Clot:
    """The most proximal embolus, at the asked level and of a territory that fits the burden."""
    if top == SADDLE:
        return _make_clot(tree, _saddle_chain(tree, rng), False, rng)
    starts = _starts(tree, top)
    limit = 0.6 if top == SEGMENTAL else 2.2
    fitting = starts[tree.feeds[starts] <= max(limit * target, tree.feeds[starts].min())]
    start = int(rng.choice(fitting))
    complete = top <= LOBAR and tree.feeds[start] <= target and bool(rng.random() < 0.5)
    return _make_clot(tree, _walk(tree, start, rng.uniform(22, 55), rng), complete, rng)
