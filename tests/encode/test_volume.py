"""The CT encoder of volumes: one physical grid from any scan, tokens with places, maps back, a planted cube found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.encode import build_ct_encoder
from core.encode.ct.backbones import BACKBONES
from core.encode.ct.encoders import encode_study
from core.encode.ct.volume import VolumeEncoder, volume_config
from core.encode.ct.volume_grid import sample_volumes, volume_grid, volumes_to_study
from core.intake.scan.load import load_study
from core.records import CtStudy

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
REAL_SCANS = (
    "4d-lung_113_HM10395_2x2x3mm.nii.gz",
    "lung-pet-ct-dx_A0001_dicom.zip",
    "lung-pet-ct-dx_A0002_dicom.zip",
    "nsclc_radiogenomics_R01-001_2mm.nii.gz",
    "nsclc_radiogenomics_R01-001_dicom_every3rd.zip",
)


def study(
    shape: tuple[int, int, int] = (60, 60, 60),
    spacing_mm: tuple[float, float, float] = (5.0, 5.0, 5.0),
    cube_mm: tuple[float, float, float] | None = (30.0, -40.0, 20.0),
    half_mm: float = 15.0,
) -> CtStudy:
    """Soft tissue in air; a bright cube about a place in world mm. The scan's middle is at 0."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -np.array(spacing_mm) * (np.array(shape) - 1) / 2
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    hu = np.where((np.abs(world) < 130).all(-1), 40, -1000)
    if cube_mm is not None:
        hu[(np.abs(world - np.array(cube_mm)) <= half_mm).all(-1)] = 600
    return CtStudy(hu.astype(np.int16), affine)


def small(**more: object) -> VolumeEncoder:
    torch.manual_seed(0)
    encoder = build_ct_encoder(volume_config(size=(32, 32, 32), spacing_mm=(10, 10, 10), **more))  # type: ignore[arg-type]
    assert isinstance(encoder, VolumeEncoder)
    return encoder


def bright_centre(volume: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """World mm of the middle of what is brighter than tissue."""
    weight = np.maximum(volume - 60.0, 0)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in volume.shape], indexing="ij"), -1)
    middle = (index * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    return middle @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize(
    ("shape", "spacing_mm"), [((60, 60, 60), (5, 5, 5)), ((300, 300, 75), (1, 1, 4)), ((40, 40, 120), (7.5, 7.5, 2.5))]
)
def test_any_scan_is_read_on_the_same_physical_grid(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    one = study(shape, spacing_mm)
    grid = volume_grid(one, (10, 10, 10), (32, 32, 32))
    (volume,) = sample_volumes(one, grid)
    wanted = bright_centre(one.voxels_hu, one.affine_mm)
    np.testing.assert_allclose(bright_centre(volume, grid.affines[0]), wanted, atol=2)
    assert np.maximum(volume - 40.0, 0).sum() * 1000 == pytest.approx(560 * 30**3, rel=0.25)  # HU times mm3


def test_a_map_goes_back_to_where_it_came_from() -> None:
    one = study((150, 150, 60), (2, 2, 5))
    grid = volume_grid(one, (10, 10, 10), (32, 32, 32))
    back = volumes_to_study(sample_volumes(one, grid).astype(np.float32), grid, one)
    assert back.shape == one.shape
    np.testing.assert_allclose(bright_centre(back, one.affine_mm), (30, -40, 20), atol=2)


def test_long_scans_are_read_in_windows_that_overlap() -> None:
    long = study((40, 40, 200), (8, 8, 4), cube_mm=(0.0, 0.0, 100.0))
    encoder = small()
    sampled = encoder.sample(long)
    assert len(sampled.voxels_hu) > 1
    ends = sampled.grid.affines[:, 2, 3]
    assert (np.diff(ends) < 32 * 10).all()
    tokens = encode_study(long, encoder)
    assert len(tokens.values) == len(sampled.voxels_hu) * (4**3 + 1)
    low, high = (long.affine_mm[2, 3] + side for side in (-200, 200 * 4 + 200))
    assert (tokens.positions[:, 2] > low).all()
    assert (tokens.positions[:, 2] < high).all()


def test_a_window_alone_and_among_others_reads_alike_and_where_it_lies_matters() -> None:
    encoder = small()
    volumes = torch.from_numpy(np.concatenate([encoder.sample(study(cube_mm=place)).voxels_hu for place in
                                               ((30.0, -40.0, 20.0), (-60.0, 0.0, 0.0), None)]).copy())  # fmt: skip
    with torch.no_grad():
        together = encoder(volumes)
        alone = torch.cat([encoder(volumes[place : place + 1]) for place in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert (together[0, -1] - together[1, -1]).abs().max() > 1e-4


def test_tokens_stand_where_their_cells_lie() -> None:
    encoder = small()
    tokens = encode_study(study(), encoder)
    cells = tokens.positions[:-1].reshape(4, 4, 4, 3)
    np.testing.assert_allclose(np.diff(cells[:, 0, 0, 0]), 80, atol=1e-3)
    np.testing.assert_allclose(np.diff(cells[0, 0, :, 2]), 80, atol=1e-3)
    np.testing.assert_allclose(tokens.positions[-1], cells.reshape(-1, 3).mean(0), atol=1e-3)


def test_gradients_of_a_trained_readout_point_at_the_cube() -> None:
    """A linear readout of the sum learns the cube's brightness; its gradient is largest inside the cube."""
    encoder = small().train()
    base = torch.from_numpy(encoder.sample(study(cube_mm=None)).voxels_hu.copy()).float()
    cube = torch.from_numpy(encoder.sample(study(half_mm=30)).voxels_hu.copy()).float() > 350
    readout = torch.nn.Linear(encoder.width, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *readout.parameters()], 2e-3)
    torch.manual_seed(1)
    for _ in range(120):
        lot = torch.rand(8, 1)
        volumes = base + cube * (300 * lot).view(-1, 1, 1, 1) + 20 * torch.randn(8, *base.shape[1:])
        loss = ((readout(encoder(volumes)[:, -1]) - lot) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss) < 0.04
    volume = (base + 150 * cube).requires_grad_(True)
    readout(encoder.eval()(volume)[:, -1]).sum().backward()
    assert volume.grad is not None
    share = volume.grad.abs()[cube].mean() / volume.grad.abs().mean()
    assert share > 3


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_a_token_a_cell_and_one_a_window(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_ct_encoder(volume_config(name, size=(32, 32, 32), spacing_mm=(10, 10, 10)))
    with torch.no_grad():
        tokens = encoder(torch.randint(-1000, 600, (2, 32, 32, 32)).to(torch.int16))
    assert isinstance(encoder, VolumeEncoder)
    assert tokens.shape == (2, int(np.prod(encoder.cells)) + 1, 64)
    assert torch.isfinite(tokens).all()


def test_the_default_network_costs_at_most_one_billion_multiplications() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    encoder = build_ct_encoder(volume_config())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(torch.zeros(1, 64, 64, 64, dtype=torch.int16))
    assert counter.get_total_flops() / 2 <= 1e9


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CTs are not beside the project")
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_give_finite_tokens_inside_the_scan(name: str) -> None:
    one = load_study(REAL / name)
    encoder = build_ct_encoder(volume_config())
    tokens = encode_study(one, encoder)
    assert np.isfinite(tokens.values).all()
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in one.shape], indexing="ij")).reshape(3, -1)
    world = one.affine_mm[:3, :3] @ corners + one.affine_mm[:3, 3:]
    middle = tokens.positions.mean(0)
    assert (middle >= world.min(1)).all()
    assert (middle <= world.max(1)).all()
    assert 0 < tokens.coverage <= 1
