"""Virtual CT: a patient's findings written into the template, warped once, then scanned.

Order: disease at 2 mm in template space -> one backward warp evaluated at the output planes -> reconstruction kernel ->
correlated noise. A patient's image depends on (findings, acquisition, slice spacing) only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from core.records import CtStudy
from core.virtual.anatomy import (
    AIR_HU,
    BLOOD_HU,
    CALCIUM,
    CLOT,
    EFFUSION,
    EMPHYSEMA,
    HEART_LABEL,
    INTERSTITIAL,
    LUNG,
    NODULE,
    TEMPLATE_ARTERY_HU,
    VOXEL_MM,
    load_template,
)
from core.virtual.deform import Warp, build_warp, rendered_trunk_mm, sample, template_points
from core.virtual.disease import Canvas, write_disease
from core.virtual.patient import ZONES, Acquisition, Findings

TEMPLATE_KERNEL_MM = 0.6
LEAST_FIELD_MM = (300.0, 250.0)
LARGEST_FIELD_MM = (368.0, 290.0)
MARGIN_MM = 8.0


@dataclass(frozen=True, eq=False)
class RenderedPatient:
    """A virtual scan: the study, uint8 labels on its grid (`core.virtual.anatomy`), and what was measured on them.

    facts, from the rendered labels in world mm: clot_ml, heart_volume_ml, calcium_ml, emphysema_fraction (of lung),
    effusion_ml, effusion_left_ml, effusion_right_ml, nodule_diameter_mm (equivalent sphere), interstitial_<zone> (share
    of the lung in that quarter), lung_volume_ml; pulmonary_trunk_diameter_mm from the same anatomy every 2 mm;
    clot_obstruction is the artery tree's obstruction index.
    """

    study: CtStudy
    labels: npt.NDArray[np.uint8]
    facts: dict[str, float]


def _survey(warp: Warp) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Low and high corner (mm from the lungs' centre) of a field of view that holds lungs and body wall."""
    template = load_template()
    step = 8.0
    axes = [torch.arange(-half, half + 1, step) for half in (216.0, 176.0, 200.0)]
    index = template_points(warp, (axes[0], axes[1], axes[2])) / VOXEL_MM
    inside = ((index >= 0) & (index <= torch.tensor(template.shape) - 1)).all(-1).numpy()
    nearest = index.round().long().clamp(min=torch.zeros(3, dtype=torch.long), max=torch.tensor(template.shape) - 1)
    at = tuple(nearest[..., d].numpy() for d in range(3))
    lung = (template.codes[at] == LUNG) & inside
    body = template.body[at] & inside
    rows = np.flatnonzero(lung.any((0, 1)))
    low_z, high_z = float(axes[2][rows[0]]) - 16, float(axes[2][rows[-1]]) + 12
    chest = body[:, :, rows[0] : rows[0] + max(2 * len(rows) // 3, 1)]
    low, high = np.zeros(3), np.zeros(3)
    for d in (0, 1):
        span = np.flatnonzero(chest.any((1 - d, 2))) * step + float(axes[d][0])
        centre = (span[0] + span[-1]) / 2
        half = np.clip((span[-1] - span[0] + step) / 2 + MARGIN_MM, LEAST_FIELD_MM[d] / 2, LARGEST_FIELD_MM[d] / 2)
        low[d], high[d] = centre - half, centre + half
    low[2], high[2] = low_z, high_z
    return low, high


def _output_index(
    warp: Warp, low: npt.NDArray[np.float64], counts: list[int], spacing: tuple[float, ...]
) -> torch.Tensor:
    """Template voxel indices (I, J, K, 3) of the output grid: the smooth map on a 6 mm grid, then interpolated."""
    coarse = []
    for d in range(3):
        extent = (counts[d] - 1) * spacing[d]
        coarse.append(torch.linspace(0.0, extent, max(math.ceil(extent / 6.0), 1) + 1) + float(low[d]))
    points = template_points(warp, (coarse[0], coarse[1], coarse[2])) / VOXEL_MM
    fine = functional.interpolate(points.permute(3, 0, 1, 2)[None], size=counts, mode="trilinear", align_corners=True)
    return fine[0].permute(1, 2, 3, 0)


def _gaussian_taps(sigma_px: float) -> torch.Tensor:
    reach = max(math.ceil(2.6 * sigma_px), 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma_px) ** 2)
    return taps / taps.sum()


def _blur(planes: torch.Tensor, sigma_px: tuple[float, float]) -> torch.Tensor:
    """Separable in-plane Gaussian of planes (K, I, J), edges repeated; shifted sums beat convolution for few taps."""
    for axis, sigma in zip((1, 2), sigma_px, strict=True):
        taps, size = _gaussian_taps(sigma).tolist(), planes.shape[axis]
        reach = len(taps) // 2
        pad = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        padded = functional.pad(planes, pad, mode="replicate")
        planes = padded.narrow(axis, reach, size) * taps[reach]
        for step in range(1, reach + 1):
            for start in (reach - step, reach + step):
                planes.add_(padded.narrow(axis, start, size), alpha=taps[reach + step])
    return planes


def _apply_kernel(planes: torch.Tensor, kernel_mm: float, spacing: tuple[float, ...]) -> torch.Tensor:
    """The reconstruction kernel: blur down to `kernel_mm`, or edge enhancement below the template's own 0.6 mm."""
    if kernel_mm > TEMPLATE_KERNEL_MM + 0.05:
        sigma = math.sqrt(kernel_mm**2 - TEMPLATE_KERNEL_MM**2)
        return _blur(planes, (sigma / spacing[0], sigma / spacing[1]))
    if kernel_mm < TEMPLATE_KERNEL_MM - 0.05:
        amount = 0.9 * (TEMPLATE_KERNEL_MM - kernel_mm) / TEMPLATE_KERNEL_MM
        return planes + amount * (planes - _blur(planes, (1.2 / spacing[0], 1.2 / spacing[1])))
    return planes


def _noise(shape: tuple[int, ...], acquisition: Acquisition, spacing: tuple[float, ...], seed: int) -> torch.Tensor:
    """Noise planes of the asked standard deviation and in-plane correlation; independent between planes."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(shape, generator=generator)
    sigma = [max(acquisition.noise_correlation_mm / 2 / s, 0.05) for s in spacing[:2]]
    if max(sigma) > 0.2:
        noise = _blur(noise, (sigma[0], sigma[1]))
        lost = math.prod(float((_gaussian_taps(s) ** 2).sum()) for s in sigma)
        noise /= math.sqrt(lost)
    return noise * acquisition.noise_hu


def _contrast_factors(acquisition: Acquisition, rng: np.random.Generator) -> tuple[float, float]:
    """Weights of the right and left circulation's enhancement; both about 0 without contrast."""
    right = (acquisition.blood_hu - BLOOD_HU) / (TEMPLATE_ARTERY_HU - BLOOD_HU)
    timing = float(rng.uniform(0.55, 1.08))
    if not acquisition.contrast:
        return max(right, -0.02), max(right, -0.02)
    return right, right * timing


def _scan(
    canvas: Canvas, index: torch.Tensor, acquisition: Acquisition, spacing: tuple[float, ...], seed: int
) -> torch.Tensor:
    """HU (I, J, K) at template indices: warp, kernel, noise."""
    shape = load_template().shape
    hu = sample(torch.from_numpy(canvas.hu.reshape(1, *shape)), index)[0]
    limit = torch.tensor(shape, dtype=torch.float32) - 1
    outside = ((index[..., :2] < 0) | (index[..., :2] > limit[:2])).any(-1)
    planes = hu.masked_fill(outside, AIR_HU).permute(2, 0, 1).contiguous()
    planes = _apply_kernel(planes, acquisition.kernel_mm, spacing)
    planes += _noise(tuple(planes.shape), acquisition, spacing, seed)
    return planes.permute(1, 2, 0)


def _labels(canvas: Canvas, index: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Label codes at the nearest template voxels (I, J, K)."""
    shape = load_template().shape
    whole = index.round().to(torch.int32)
    i, j, k = (whole[..., d].clamp(0, n - 1) for d, n in enumerate(shape))
    flat = ((i * shape[1] + j) * shape[2] + k).long()
    codes = torch.from_numpy(canvas.codes)[flat.reshape(-1)].reshape(flat.shape)
    return codes.numpy()


def _interstitial_shares(codes: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Share of interstitial change in each craniocaudal quarter of the lungs."""
    lung = np.isin(codes, (LUNG, EMPHYSEMA, INTERSTITIAL, NODULE, EFFUSION)).sum((0, 1))
    changed = (codes == INTERSTITIAL).sum((0, 1))
    rows = np.flatnonzero(lung)
    parts = np.array_split(np.arange(rows[0], rows[-1] + 1)[::-1], len(ZONES))
    shares = (float(changed[part].sum() / max(lung[part].sum(), 1)) for part in parts)
    return {f"interstitial_{zone}": share for zone, share in zip(ZONES, shares, strict=True)}


def _facts(codes: npt.NDArray[np.uint8], spacing: tuple[float, ...], midline: int) -> dict[str, float]:
    """What a reader with perfect labels would measure on the rendered scan."""
    voxel_ml = math.prod(spacing) / 1000
    counts = np.bincount(codes.ravel(), minlength=12) * voxel_ml
    lung_ml = float(counts[[LUNG, EMPHYSEMA, INTERSTITIAL, NODULE, EFFUSION]].sum())
    left_ml = float((codes[:midline] == EFFUSION).sum() * voxel_ml)
    return {
        "clot_ml": float(counts[CLOT]),
        "heart_volume_ml": float(counts[HEART_LABEL]),
        "calcium_ml": float(counts[CALCIUM]),
        "emphysema_fraction": float(counts[EMPHYSEMA]) / lung_ml,
        "effusion_ml": float(counts[EFFUSION]),
        "effusion_left_ml": left_ml,
        "effusion_right_ml": float(counts[EFFUSION]) - left_ml,
        "nodule_diameter_mm": float((6 * counts[NODULE] * 1000 / math.pi) ** (1 / 3)),
        "lung_volume_ml": lung_ml,
        **_interstitial_shares(codes),
    }


def render_patient(
    findings: Findings, acquisition: Acquisition, *, slice_spacing_mm: float | None = None
) -> RenderedPatient:
    """Render one virtual patient.

    findings, acquisition: see `core.virtual.patient`. slice_spacing_mm: distance between planes where it differs from
    `acquisition.spacing_mm[2]`; planes are point samples of the same anatomy, so a coarser scan is a subset in kind.
    The same arguments give the same voxels on the same machine and library versions.
    """
    template = load_template()
    shape_rng, disease_rng, scan_rng = (np.random.default_rng([acquisition.seed, stream]) for stream in range(3))
    spacing = (*acquisition.spacing_mm[:2], slice_spacing_mm or acquisition.spacing_mm[2])
    warp = build_warp(findings, acquisition, shape_rng)
    right, left = _contrast_factors(acquisition, scan_rng)
    canvas, obstruction = write_disease(findings, template, right, left, warp.volume_factor, disease_rng)
    low, high = _survey(warp)
    counts = [int((high[d] - low[d]) / spacing[d]) + 1 for d in range(3)]
    index = _output_index(warp, low, counts, spacing)
    hu = _scan(canvas, index, acquisition, spacing, int(scan_rng.integers(2**31)))
    codes = _labels(canvas, index)
    midline = int(np.clip(round(-low[0] / spacing[0]), 0, counts[0]))
    facts = {
        **_facts(codes, spacing, midline),
        "clot_obstruction": obstruction,
        "pulmonary_trunk_diameter_mm": rendered_trunk_mm(warp),
    }
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + template.origin_mm + warp.centre_mm
    study = CtStudy(
        voxels_hu=hu.round_().clamp_(-1024, 3071).to(torch.int16).contiguous().numpy(),
        affine_mm=affine,
        notes=("Virtual patient: real anatomy (LIDC-IDRI-0001), deformed, with simulated disease.",),
        description="Virtual chest CT" + (" with contrast" if acquisition.contrast else " without contrast"),
        origin="virtual",
    )
    return RenderedPatient(study, codes, facts)
