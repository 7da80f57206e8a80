"""Writing disease into the template at 2 mm, before the one warp.

Each writer changes a canvas (HU and label codes on the template's grid) in place, at the listed voxels only, with soft
edges (partial volume), and uses the patient's own generator. Sizes are asked in rendered mm and ml; `volume_factor`
(rendered mm3 per template mm3) converts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.virtual.anatomy import (
    BLOOD_HU,
    CALCIUM,
    CLOT,
    EFFUSION,
    EMPHYSEMA,
    INTERSTITIAL,
    LUNG,
    NODULE,
    TEMPLATE_ARTERY_HU,
    VOXEL_MM,
    Template,
    load_template,
)
from core.virtual.patient import ZONES, Findings
from core.virtual.vessels import Clot, artery_tree, obstruction_index, plan_clots

TEXTURE_SIZE = 96

Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Canvas:
    """One patient's scan in template space, flat and written in place: HU (float32) and label codes (uint8)."""

    hu: Floats
    codes: npt.NDArray[np.uint8]
    right: float
    left: float
    volume_factor: float

    def blend(self, flat: IntArray, weight: npt.NDArray[np.floating], hu: npt.ArrayLike) -> None:
        """HU becomes (1 - weight) of itself plus weight of `hu` at the listed voxels."""
        self.hu[flat] += np.asarray(weight * (np.asarray(hu) - self.hu[flat]), np.float32)


@lru_cache(maxsize=4)
def _texture(sigma: float) -> Floats:
    """A periodic Gaussian random texture of unit standard deviation; `sigma` in voxels."""
    noise = np.random.default_rng(int(sigma * 100)).standard_normal((TEXTURE_SIZE,) * 3, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return np.asarray((smooth / smooth.std()).ravel())


def _texture_at(ijk: IntArray, sigma: float, rng: np.random.Generator) -> Floats:
    """The texture at listed voxels, with a random shift, axis order and mirror, so no two patients share it."""
    order, shift = rng.permutation(3), rng.integers(TEXTURE_SIZE, size=3)
    flip = np.where(rng.random(3) < 0.5, -1, 1)
    i, j, k = ((flip[n] * ijk[:, order[n]].astype(np.int32) + np.int32(shift[n])) % TEXTURE_SIZE for n in range(3))
    return np.asarray(_texture(sigma)[(i * TEXTURE_SIZE + j) * TEXTURE_SIZE + k])


def _sigmoid(values: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), np.float32)


def _write_density(canvas: Canvas, template: Template, rng: np.random.Generator) -> None:
    """Depth of inspiration: all air-bearing lung a little denser or clearer."""
    lungs = template.lungs
    canvas.hu[lungs.flat[lungs.parenchyma]] += np.float32(np.clip(rng.normal(4, 16), -25, 40))


def _write_emphysema(canvas: Canvas, template: Template, fraction: float, rng: np.random.Generator) -> None:
    """Clustered centrilobular holes of 5 to 15 mm near air density, mostly towards the apices."""
    lungs = template.lungs
    key = _texture_at(lungs.ijk, 2.2, rng) + 0.8 * _texture_at(lungs.ijk, 7.0, rng)
    key -= np.float32(rng.normal(1.0, 0.6)) * (lungs.apex_to_base - 0.5)
    key[~lungs.parenchyma] = -9
    count = int(np.clip(fraction * len(key), 1, lungs.parenchyma.sum() - 1))
    threshold = np.partition(key, len(key) - count)[len(key) - count]
    near = key > threshold - 0.25
    weight = np.clip((key[near] - threshold) / 0.3 + 0.6, 0, 1)
    canvas.blend(lungs.flat[near], weight * 0.96, rng.normal(-972, 5))
    canvas.codes[lungs.flat[key > threshold]] = EMPHYSEMA


def _write_interstitial(canvas: Canvas, template: Template, zones: tuple[float, ...], rng: np.random.Generator) -> None:
    """Ground glass with reticulation, subpleural first; extent and density grow with each zone's severity."""
    lungs = template.lungs
    quarter = np.minimum((lungs.apex_to_base * len(ZONES)).astype(np.int64), len(ZONES) - 1)
    free = canvas.codes[lungs.flat] == LUNG
    for zone, severity in enumerate(zones):
        if severity < 0.03:
            continue
        here = np.flatnonzero((quarter == zone) & lungs.parenchyma & free)
        ijk, flat = lungs.ijk[here], lungs.flat[here]
        key = 0.7 * _texture_at(ijk, 3.2, rng) + 2.2 * np.exp(-lungs.depth_mm[here] / 12)
        count = max(int((0.04 + 0.56 * severity) * len(key)), 1)
        threshold = np.partition(key, len(key) - count)[len(key) - count]
        extent = np.clip((key - threshold) / 0.4 + 0.5, 0, 1)
        lines = np.exp(-((_texture_at(ijk, 1.3, rng) / 0.28) ** 2))
        canvas.hu[flat] += np.asarray(extent * (80 + 140 * severity + (120 + 330 * severity) * lines), np.float32)
        canvas.codes[flat[key > threshold]] = INTERSTITIAL


def _write_effusion(canvas: Canvas, template: Template, effusion_ml: tuple[float, float]) -> tuple[float, float]:
    """Free fluid layered posteriorly with a meniscus along the wall, and a band of compressed lung above it.

    Returns the fluid height (mm in the filling order) of each side; -inf where there is none.
    """
    lungs, levels = template.lungs, [-np.inf, -np.inf]
    for side, volume_ml in enumerate(effusion_ml):
        if volume_ml <= 0:
            continue
        here = np.flatnonzero(lungs.side == side)
        height = lungs.height_mm[here]
        count = int(np.clip(volume_ml * 1000 / (VOXEL_MM**3 * canvas.volume_factor), 1, 0.7 * len(here)))
        level = levels[side] = float(np.partition(height, count)[count])
        near = here[height < level + 26]
        above = lungs.height_mm[near] - level
        flat = lungs.flat[near]
        canvas.blend(flat, 0.85 * np.exp(-np.clip(above, 0, None) / 5.0), -60 + 90 * (canvas.right > 0.2))
        canvas.blend(flat, _sigmoid(-above / 0.7), 12.0)
        canvas.codes[flat[above < 0]] = EFFUSION
        rim = lungs.rim_flat[(lungs.rim_side == side) & (lungs.rim_height_mm < level)]
        canvas.hu[rim] = np.maximum(canvas.hu[rim], 8.0)
    return levels[0], levels[1]


def _box(centre: npt.NDArray[np.float64], reach_mm: float, shape: tuple[int, int, int]) -> IntArray:
    """Voxel indices (n, 3) of the box around a centre (mm)."""
    low = np.maximum(np.floor((centre - reach_mm) / VOXEL_MM).astype(int), 0)
    high = np.minimum(np.ceil((centre + reach_mm) / VOXEL_MM).astype(int) + 1, shape)
    return np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1).reshape(-1, 3)


def _nodule_place(
    template: Template, zone: int, radius_mm: float, fluid: tuple[float, float], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A place in the zone with room for the nodule, clear of fluid; mm from voxel (0, 0, 0)."""
    lungs = template.lungs
    dry = lungs.height_mm > np.asarray(fluid, np.float32)[lungs.side] + radius_mm + 6
    in_zone = np.abs(lungs.apex_to_base * len(ZONES) - zone - 0.5) < 0.4
    for room in (1.15 * radius_mm, 0.8 * radius_mm, 0.5 * radius_mm, 0.0):
        places = np.flatnonzero(in_zone & (dry | (room == 0)) & (lungs.depth_mm >= room) & lungs.parenchyma)
        if len(places) > 20:
            break
    return np.asarray(lungs.ijk[rng.choice(places)] * VOXEL_MM + rng.uniform(-0.9, 0.9, 3), np.float64)


def _write_nodule(
    canvas: Canvas, template: Template, findings: Findings, fluid: tuple[float, float], rng: np.random.Generator
) -> None:
    """A solid nodule: a sphere with lobes and a few spicules, of the asked volume-equivalent diameter."""
    radius = findings.nodule_diameter_mm / 2 / canvas.volume_factor ** (1 / 3)
    centre = _nodule_place(template, ZONES.index(findings.nodule_zone), radius, fluid, rng)
    voxels = _box(centre, 1.9 * radius + 4, template.shape)
    offset = voxels * VOXEL_MM - centre
    distance = np.linalg.norm(offset, axis=1) + 1e-6
    directions = rng.standard_normal((12, 3))
    cosine = offset @ (directions / np.linalg.norm(directions, axis=1, keepdims=True)).T / distance[:, None]
    lobes = 0.10 * np.cos(2.5 * np.arccos(np.clip(cosine[:, :5], -1, 1))).mean(1)
    spicules = 0.35 * np.exp(-(1 - cosine[:, 5:]) / 0.03).max(1)
    shape = 1 + lobes + spicules * np.clip(radius / 8, 0.3, 1)
    weight = _sigmoid((radius * shape - distance) / 0.6)
    grown = (4 / 3 * np.pi * radius**3 / (weight.sum() * VOXEL_MM**3)) ** (1 / 3)
    weight = _sigmoid((radius * grown * shape - distance) / 0.6)
    flat = np.ravel_multi_index(tuple(voxels.T), template.shape)
    allowed = template.codes.ravel()[flat] == LUNG
    flat, weight = flat[allowed], weight[allowed]
    brighter = np.maximum(weight * (rng.uniform(25, 55) + 25 * canvas.right - canvas.hu[flat]), 0)
    canvas.hu[flat] += brighter.astype(np.float32)
    canvas.codes[flat[weight > 0.5]] = NODULE


CORONARY_PATHS = (
    ((83, 100, 93), (79, 101, 93), (75, 102, 94), (71, 104, 94), (68, 108, 93), (66, 112, 91), (65, 116, 89),
     (64, 118, 87), (63, 120, 84), (62, 121, 81), (61, 123, 78), (60, 124, 75)),
    ((75, 101, 94), (71, 98, 93), (68, 94, 91), (67, 91, 89), (67, 88, 87), (67, 86, 85), (67, 84, 83),
     (68, 83, 80), (70, 81, 78)),
    ((89, 114, 86), (91, 117, 84), (93, 119, 82), (95, 120, 79), (97, 118, 76), (98, 115, 73), (99, 112, 70)),
)  # fmt: skip
"""Courses of the left main and anterior descending, circumflex and right coronary artery; template voxels."""


@lru_cache(maxsize=1)
def _coronary_points() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points (n, 3) mm every 1 mm along the courses, drawn to the groove's fat; weights (n,), proximal heavier."""
    template = load_template()
    dense = (template.unenhanced + template.right_enhancement + template.left_enhancement).numpy()
    dense = ndimage.gaussian_filter(np.clip(dense, -300, 500), 0.8)
    points, weights = [], []
    for path, share in zip(CORONARY_PATHS, (0.5, 0.22, 0.28), strict=True):
        corners = np.array([_nearest_fat(dense, np.array(corner)) for corner in path]) * VOXEL_MM
        steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
        at = np.arange(0, steps[-1], 1.0)
        points.append(np.stack([np.interp(at, steps, corners[:, d]) for d in range(3)], 1))
        proximal = np.exp(-at / 35)
        weights.append(share * proximal / proximal.sum())
    return np.concatenate(points), np.concatenate(weights)


def _nearest_fat(hu: Floats, corner: IntArray) -> IntArray:
    """The voxel within 4 mm whose density is nearest to fat partly filled by artery, nearer ones preferred."""
    around = corner + np.argwhere(np.ones((5, 5, 3))) - (2, 2, 1)
    cost = np.abs(hu[tuple(around.T)] - 0) + 12 * np.linalg.norm(around - corner, axis=1)
    return np.asarray(around[cost.argmin()])


def _write_calcium(canvas: Canvas, template: Template, log10_score: float, rng: np.random.Generator) -> None:
    """Specks of 300 to 1,000 HU along the coronary arteries; together about 60 mm3 plus one mm3 a score unit."""
    points, weights = _coronary_points()
    wanted = 60 + 1.0 * 10**log10_score
    each = np.clip(0.1 * wanted, 22, 90)
    written: set[int] = set()
    for _ in range(120):
        if len(written) * VOXEL_MM**3 >= wanted:
            break
        at = int(rng.choice(len(points), p=weights))
        along = points[min(at + 3, len(points) - 1)] - points[max(at - 3, 0)]
        along /= max(float(np.linalg.norm(along)), 1e-6)
        written.update(_write_speck(canvas, template, points[at], along, each * rng.uniform(0.6, 1.5), rng))


def _write_speck(
    canvas: Canvas,
    template: Template,
    centre: npt.NDArray[np.float64],
    along: npt.NDArray[np.float64],
    volume_mm3: float,
    rng: np.random.Generator,
) -> list[int]:
    """One plaque, twice as long along the artery as wide; returns the flat voxels labelled."""
    radius = (3 * volume_mm3 / (4 * np.pi * 2.0)) ** (1 / 3)
    voxels = _box(centre, 2 * radius + 3, template.shape)
    offset = voxels * VOXEL_MM - centre
    axial = offset @ along
    across = np.sqrt(np.maximum((offset**2).sum(1) - axial**2, 0))
    weight = _sigmoid((radius - np.hypot(across, axial / 2)) / 0.35)
    flat = np.ravel_multi_index(tuple(voxels.T), template.shape)
    brighter = np.maximum(weight * (rng.uniform(480, 1000) - canvas.hu[flat]), 0)
    canvas.hu[flat] += brighter.astype(np.float32)
    marked = flat[weight > 0.4]
    canvas.codes[marked] = CALCIUM
    return [int(voxel) for voxel in marked]


@dataclass(frozen=True, eq=False)
class _ArteryVoxels:
    """Artery voxels and their rim, sorted by node: flat (v,), mm (v, 3), is_artery (v,), start (nodes + 1,)."""

    flat: IntArray
    points: npt.NDArray[np.float64]
    is_artery: npt.NDArray[np.bool_]
    start: IntArray


@lru_cache(maxsize=1)
def _artery_voxels() -> _ArteryVoxels:
    """Voxels of each node with the shell of partial volume around the lumen (veins and heart left out)."""
    template, tree = load_template(), artery_tree()
    node = np.full(template.shape, -1, np.int64)
    node[tuple(tree.voxels.T)] = tree.node_of
    artery = node >= 0
    nearest = np.array(ndimage.distance_transform_edt(~artery, return_distances=False, return_indices=True))
    other = np.isin(template.vessels, (2, 4)) | ((template.labels >= 51) & (template.vessels != 3))
    shell = ndimage.binary_dilation(artery, np.ones((3, 3, 3), bool)) & ~other | artery
    voxels = np.argwhere(shell)
    owner = node[tuple(nearest[:, shell])]
    order = np.argsort(owner, kind="stable")
    flat = np.flatnonzero(shell)[order]
    start = np.searchsorted(owner[order], np.arange(len(tree.parent) + 1))
    return _ArteryVoxels(flat, (voxels[order] * VOXEL_MM).astype(np.float64), artery[shell][order], start)


def _distance_to_chain(points: npt.NDArray[np.float64], clot: Clot) -> npt.NDArray[np.float64]:
    """Signed distance (v,) in mm from points to the clot's surface, negative inside."""
    best = np.linalg.norm(points - clot.points[0], axis=1) - clot.radii_mm[0]
    for a, b, ra, rb in zip(clot.points[:-1], clot.points[1:], clot.radii_mm[:-1], clot.radii_mm[1:], strict=True):
        line = b - a
        at = np.clip((points - a) @ line / max(float(line @ line), 1e-9), 0, 1)
        gap = np.linalg.norm(points - a - at[:, None] * line, axis=1) - (ra + at * (rb - ra))
        best = np.minimum(best, gap)
    return np.asarray(best)


def _write_clot(canvas: Canvas, template: Template, clot: Clot, rng: np.random.Generator) -> None:
    """A filling defect: the lumen's enhancement taken away inside the clot, so it can never leave its vessel.

    Beyond the main arteries it also fills the partial volume of small arteries, and a complete clot distends them by
    up to one voxel, as acute emboli do.
    """
    tree, voxels = artery_tree(), _artery_voxels()
    nodes = set(clot.nodes)
    for node in clot.nodes:
        nodes.update((*tree.children[node], max(int(tree.parent[node]), 0)))
    rows = np.concatenate([np.arange(voxels.start[n], voxels.start[n + 1]) for n in sorted(nodes)])
    weight = _sigmoid(-_distance_to_chain(voxels.points[rows], clot) / 0.45)
    rows, weight = rows[weight > 0.02], weight[weight > 0.02]
    flat, density = voxels.flat[rows], float(rng.uniform(40, 68))
    right = template.right_enhancement.numpy().ravel()[flat]
    left = template.left_enhancement.numpy().ravel()[flat]
    lumen = np.clip((right + left) / (TEMPLATE_ARTERY_HU - BLOOD_HU), 0, 1)
    taken = canvas.right * right + canvas.left * left - lumen * (density - BLOOD_HU)
    fresh = canvas.codes[flat] != CLOT
    canvas.hu[flat[fresh]] -= (weight * taken)[fresh]
    inside = voxels.is_artery[rows]
    if clot.degree >= 0.5:
        canvas.hu[flat] = np.maximum(canvas.hu[flat], weight * density + (1 - weight) * canvas.hu[flat])
        inside = inside | np.isin(canvas.codes[flat], (LUNG, EMPHYSEMA, INTERSTITIAL))
    canvas.codes[flat[(weight > 0.5) & inside]] = CLOT


def write_disease(
    findings: Findings, template: Template, right: float, left: float, volume_factor: float, rng: np.random.Generator
) -> tuple[Canvas, float]:
    """The template enhanced by `right` and `left` (1 = as scanned) with every finding written into it.

    Returns the canvas and the obstruction index that the emboli reach (0 to 1).
    """
    hu = template.unenhanced + right * template.right_enhancement + left * template.left_enhancement
    canvas = Canvas(hu.numpy().reshape(-1), template.codes.reshape(-1).copy(), right, left, volume_factor)
    _write_density(canvas, template, rng)
    if findings.emphysema_fraction > 0:
        _write_emphysema(canvas, template, findings.emphysema_fraction, rng)
    _write_interstitial(canvas, template, findings.interstitial_by_zone, rng)
    fluid = _write_effusion(canvas, template, findings.effusion_ml)
    if findings.nodule_diameter_mm > 0:
        _write_nodule(canvas, template, findings, fluid, rng)
    if findings.coronary_calcium > 0:
        _write_calcium(canvas, template, findings.coronary_calcium, rng)
    clots = plan_clots(findings, rng)
    for clot in clots:
        _write_clot(canvas, template, clot, rng)
    return canvas, obstruction_index(artery_tree(), clots) if clots else 0.0
