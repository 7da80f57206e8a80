"""From a point of the rendered scan to the template: body size, rotation, shape, heart, trunk and body wall.

One backward map, evaluated on a coarse grid of the output and interpolated (it is smooth by construction).
Displacements are fields over the template in mm, added after the affine part: t = a(world) + D(a(world)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch.nn import functional

from core.virtual.anatomy import BREAST_BONES_AND_RIBS, HEART_LABEL, VOXEL_MM, Template, load_template
from core.virtual.patient import Acquisition, Findings

COARSE = 4
"""Template voxels per field voxel (8 mm)."""
TRUNK_TEMPLATE_MM = 28.5
"""`rendered_trunk_mm` of the template itself."""
_WIDEST_PLANES = 4
_ROUNDS = 6

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FieldBasis:
    """Displacement fields (3, i, j, k) in mm on the coarse grid, each scaled per patient; and masks to measure them.

    heart: away from the heart's centre inside it, fading out. ventricle: the same about the right ventricle.
    trunk: away from the artery's axis. wall: outward beyond the ribs. cage: 1 inside the rib cage.
    lung_mask: 0..1.
    """

    heart: Field
    ventricle: Field
    trunk: Field
    wall: Field
    cage: Field
    lung_mask: Field
    centre_mm: npt.NDArray[np.float64]


def _coarse(volume: npt.ArrayLike, sigma: float) -> Field:
    """Blurred and subsampled to the coarse grid."""
    smooth = ndimage.gaussian_filter(np.asarray(volume, np.float32), sigma)
    return np.asarray(smooth[::COARSE, ::COARSE, ::COARSE])


def _points(shape: tuple[int, int, int]) -> Field:
    """Template coordinates (3, i, j, k) in mm of the coarse grid."""
    return np.stack(np.meshgrid(*(np.arange(0, n, COARSE) * VOXEL_MM for n in shape), indexing="ij")).astype(np.float32)


def _fading(mask: npt.NDArray[np.bool_], reach_mm: float) -> npt.NDArray[np.float32]:
    """1 inside, falling smoothly to 0 at `reach_mm` outside."""
    distance = ndimage.distance_transform_edt(~mask) * VOXEL_MM
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(distance / reach_mm, 0, 1)), np.float32)


def _trunk_basis(template: Template, main_arteries: npt.NDArray[np.bool_]) -> Field:
    """Vector from the nearest point of the medial axis of trunk and main arteries, fading outside the wall."""
    inside = ndimage.distance_transform_edt(main_arteries)
    ridge = (inside >= ndimage.maximum_filter(inside, size=5) - 0.5) & (inside > 3.5)
    nearest = ndimage.distance_transform_edt(~ridge, return_distances=False, return_indices=True)
    weight = _fading(main_arteries, 22.0)
    grid = np.indices(template.shape, dtype=np.float32)
    return np.stack([_coarse((grid[d] - nearest[d]) * VOXEL_MM * weight, 1.2) for d in range(3)])


def _wall_basis(template: Template) -> tuple[Field, Field]:
    """Vector from the nearest point of the rib cage's hull, zero inside it; and how far inside (soft 0..1)."""
    cage = np.isin(template.labels, BREAST_BONES_AND_RIBS) | (template.codes > 0)
    hull = ndimage.binary_closing(np.pad(cage[::2, ::2, ::2], 24), iterations=18)[24:-24, 24:-24, 24:-24]
    for k in range(hull.shape[2]):
        hull[:, :, k] = ndimage.binary_fill_holes(hull[:, :, k])
    hull = ndimage.gaussian_filter(hull.astype(np.float32), (3, 3, 6), mode="nearest") > 0.5
    nearest = ndimage.distance_transform_edt(~hull, return_distances=False, return_indices=True)
    grid = np.indices(hull.shape, dtype=np.float32)
    vectors = [ndimage.gaussian_filter((grid[d] - nearest[d]) * 2 * VOXEL_MM, 5.0)[::2, ::2, ::2] for d in range(3)]
    vectors[2] *= 0
    inside = ndimage.gaussian_filter(hull.astype(np.float32), 3.0)[::2, ::2, ::2]
    return np.stack(vectors).astype(np.float32), inside


@lru_cache(maxsize=1)
def field_basis() -> FieldBasis:
    """The template's displacement fields, built once per process."""
    template = load_template()
    points = _points(template.shape)
    main_arteries = template.vessels == 3
    heart = (template.codes == 2) & ~main_arteries
    lung = np.zeros(template.shape, bool)
    lung.ravel()[template.lungs.flat] = True
    centre = np.argwhere(heart).mean(0) * VOXEL_MM
    bone_far = np.clip(ndimage.distance_transform_edt(~template.skeleton) * VOXEL_MM / 12.0, 0, 1)
    weight = _coarse(_fading(ndimage.binary_closing(heart, iterations=3), 45.0) * bone_far, 1.5)
    wall, cage = _wall_basis(template)
    ventricle_mm = np.array([74.0, 113.0, 74.0]) * VOXEL_MM
    away = points - ventricle_mm.astype(np.float32)[:, None, None, None]
    blob = np.exp(-0.5 * (away**2).sum(0) / 26.0**2) * _coarse(bone_far, 1.0)
    return FieldBasis(
        heart=(points - centre.astype(np.float32)[:, None, None, None]) * weight,
        ventricle=away * blob,
        trunk=_trunk_basis(template, main_arteries),
        wall=wall,
        cage=cage,
        lung_mask=_coarse(lung, 1.0),
        centre_mm=np.argwhere(lung).mean(0) * VOXEL_MM,
    )


def _smooth_noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Field:
    """Gaussian random field of unit standard deviation; correlation `sigma` in coarse voxels."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="reflect")
    return np.asarray(noise / noise.std())


def _gradient_mean(field: Field, mask: Field) -> npt.NDArray[np.float64]:
    """Mean Jacobian (3, 3) of a displacement over a mask: d field_r / d x_c."""
    step = COARSE * VOXEL_MM
    total = mask.sum()
    return np.array(
        [[(np.gradient(field[r], step, axis=c) * mask).sum() / total for c in range(3)] for r in range(3)], np.float64
    )


@dataclass(frozen=True, eq=False)
class Warp:
    """The backward map of one patient.

    world_to_template: (3, 3) linear part about `centre_mm`; displacement (3, i, j, k) mm on the coarse grid.
    volume_factor: rendered mm3 per template mm3 in the lungs (mean).
    """

    world_to_template: npt.NDArray[np.float64]
    centre_mm: npt.NDArray[np.float64]
    displacement: torch.Tensor
    volume_factor: float


def _shape_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Shape variety: long waves of 4.5 mm and shorter ones of 1.6 mm, the lungs' base moved a little more."""
    waves = [4.5 * _smooth_noise(shape, 5.0, rng) + 1.6 * _smooth_noise(shape, 2.2, rng) for _ in range(3)]
    waves[2] *= 1.5
    return np.stack(waves)


def build_warp(findings: Findings, acquisition: Acquisition, rng: np.random.Generator) -> Warp:
    """Random shape plus the heart and trunk sizes asked for.

    The heart and trunk fields are scaled until the rendered heart has the template's volume times heart scale cubed
    relative to the body, and the trunk is as wide as asked, whatever the random shape did to them.
    """
    basis = field_basis()
    scale = np.asarray(acquisition.body_scale, np.float64)
    angle = np.deg2rad(acquisition.rotation_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    fat = float(np.clip(rng.lognormal(0.05, 0.28), 0.65, 1.6))
    field = _shape_noise(basis.cage.shape, rng) * (0.35 + 0.65 * basis.cage) - (1 - 1 / fat) * basis.wall
    field -= 0.35 * max(findings.heart_scale - 1.0, 0.0) * basis.ventricle
    warp = Warp(np.diag(1 / scale) @ turn.T, basis.centre_mm, torch.from_numpy(field.astype(np.float32)), 1.0)
    volume_mm3 = _heart_volume_mm3(None) * findings.heart_scale**3 * float(np.prod(scale))
    heart = 1 / findings.heart_scale - 1
    warp = _grown(warp, basis.heart, lambda w: (volume_mm3 / _heart_volume_mm3(w)) ** (1 / 3), heart)
    asked = findings.pulmonary_trunk_diameter_mm
    warp = _grown(warp, basis.trunk, lambda w: asked / max(rendered_trunk_mm(w), 1.0), TRUNK_TEMPLATE_MM / asked - 1)
    lungs = np.linalg.det(np.eye(3) + _gradient_mean(warp.displacement.numpy(), basis.lung_mask)) / np.prod(scale)
    return replace(warp, volume_factor=float(1 / lungs))


def _grown(warp: Warp, field: Field, ratio: Callable[[Warp], float], start: float) -> Warp:
    """Add `field` times the amount at which `ratio` (asked over measured length) is 1, by damped iteration."""
    amount, basis = start, torch.from_numpy(field)
    grown = replace(warp, displacement=warp.displacement + amount * basis)
    for _ in range(_ROUNDS):
        missing = ratio(grown)
        if abs(missing - 1) < 0.006:
            break
        amount = float(np.clip((1 + amount) / missing**1.15 - 1, -0.8, 0.5))
        grown = replace(warp, displacement=warp.displacement + amount * basis)
    return grown


def _world_of(warp: Warp, template_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """World point (mm from the lungs' centre) that maps to a template point; fixed-point inverse."""
    point = torch.from_numpy(template_mm.astype(np.float32))
    here = point.clone()
    for _ in range(4):
        moved = sample(warp.displacement, here.reshape(1, 1, 1, 3) / (COARSE * VOXEL_MM))[:, 0, 0, 0]
        here = point - moved
    return np.asarray(np.linalg.solve(warp.world_to_template, here.numpy() - warp.centre_mm), np.float64)


def _local_index(
    warp: Warp, centre_mm: npt.NDArray[np.float64], half_mm: tuple[float, ...], step_mm: tuple[float, ...]
) -> torch.Tensor:
    """Template voxel indices (I, J, K, 3) of a small rendered grid around a template point."""
    centre = _world_of(warp, centre_mm)
    axes = [
        torch.arange(-half, half + 0.1, step) + float(c) for half, step, c in zip(half_mm, step_mm, centre, strict=True)
    ]
    return template_points(warp, (axes[0], axes[1], axes[2])) / VOXEL_MM


def _heart_volume_mm3(warp: Warp | None) -> float:
    """Rendered volume of the heart under a warp; the template's own for None."""
    if warp is None:
        return float((load_template().codes == HEART_LABEL).sum()) * VOXEL_MM**3
    template = load_template()
    index = _local_index(warp, _heart_centre_mm(), (100.0, 90.0, 90.0), (5.0, 5.0, 5.0)).round().long().numpy()
    i, j, k = (np.clip(index[..., d], 0, n - 1) for d, n in enumerate(template.shape))
    return float((template.codes[i, j, k] == HEART_LABEL).sum()) * 5.0**3


def rendered_trunk_mm(warp: Warp) -> float:
    """Rendered diameter of the pulmonary trunk under a warp, whatever the slice spacing.

    Measured as axial slices show it, at the bifurcation: the largest circle inscribed in an axial section of trunk and
    main arteries, mean of the widest 8 mm.
    """
    index = _local_index(warp, _trunk_centre_mm(), (40.0, 40.0, 24.0), (1.0, 1.0, 2.0))
    inside = sample(_main_arteries(), index)[0].numpy() > 0.5
    return float(np.mean(np.sort(inscribed_mm(inside))[-_WIDEST_PLANES:]))


def inscribed_mm(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(K,) diameter of the largest circle in each axial section of a mask (I, J, K) of 1 mm pixels; its edge bounds."""
    padded = np.pad(inside, ((1, 1), (1, 1), (0, 0)))
    deepest = [ndimage.distance_transform_edt(padded[:, :, k]).max() for k in range(padded.shape[2])]
    return 2 * np.asarray(deepest, np.float64)


@lru_cache(maxsize=1)
def _heart_centre_mm() -> npt.NDArray[np.float64]:
    return np.asarray(np.argwhere(load_template().codes == HEART_LABEL).mean(0) * VOXEL_MM)


@lru_cache(maxsize=1)
def _main_arteries() -> torch.Tensor:
    """(1, I, J, K) 1 in the template's trunk and main arteries."""
    return torch.from_numpy((load_template().vessels == 3).astype(np.float32))[None]


@lru_cache(maxsize=1)
def _trunk_centre_mm() -> npt.NDArray[np.float64]:
    """Centre of the template's widest axial section of trunk and main arteries."""
    main = load_template().vessels == 3
    widest = int(np.argmax(inscribed_mm(main)))
    row, column = np.unravel_index(np.argmax(ndimage.distance_transform_edt(main[:, :, widest])), main.shape[:2])
    return np.array([row, column, widest]) * VOXEL_MM


def template_points(warp: Warp, axes_mm: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Template coordinates (I, J, K, 3) in mm of the world grid spanned by three axes (mm from the lungs' centre)."""
    world = torch.stack(torch.meshgrid(*axes_mm, indexing="ij"), dim=-1)
    matrix = torch.from_numpy(warp.world_to_template.astype(np.float32))
    plain = world @ matrix.T + torch.from_numpy(warp.centre_mm.astype(np.float32))
    sampled = sample(warp.displacement, plain / (COARSE * VOXEL_MM))
    return plain + sampled.permute(1, 2, 3, 0)


def sample(volumes: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Volumes (c, i, j, k), linear and held at the border, at voxel indices (..., 3) on a 3-D grid: (c, I, J, K)."""
    size = torch.tensor(volumes.shape[1:], dtype=torch.float32)
    grid = (2 * index / (size - 1) - 1).flip(-1)[None]
    return functional.grid_sample(volumes[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
