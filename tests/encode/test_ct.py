"""CT slice encoder: geometry in mm, independence of slices, robustness on odd studies."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
import torch

from core.encode import build_ct_encoder
from core.encode.ct.compact_slices import (
    CompactSlices,
    compact_slices_config,
    fold_batch_norm,
)
from core.encode.ct.encoders import encode_pieces, encode_study
from core.encode.ct.slice_grid import (
    COLUMNS,
    LUNG_MARGIN_MM,
    MAX_PLANES,
    PLANE_STEP_MM,
    ROWS,
    sample_labels,
    sample_slices,
    slice_grid,
    volume_from_slices,
)
from core.encode.half import round_to_half
from core.errors import UserFacingError
from core.records import CtStudy

torch.set_num_threads(1)
WINDOW = (-1350, 150)


def rotation(degrees: float, axis: int) -> npt.NDArray[np.float64]:
    """Rotation about a world axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    first, second = [a for a in range(3) if a != axis]
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


def affine_of(linear: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Affine with this linear part that puts the volume's centre at (12, -7, 40) mm."""
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.array([12.0, -7.0, 40.0]) - linear @ ((np.array(shape) - 1) / 2)
    return affine


AFFINES = {
    "plain 2 mm": (np.diag([2.0, 2.0, 2.5]), (130, 120, 90)),
    "fine": (np.diag([0.9, 0.9, 1.5]), (280, 210, 100)),
    "anisotropic": (np.diag([1.3, 1.7, 5.0]), (200, 150, 44)),
    "oblique": (rotation(8, 0) @ rotation(-6, 2) @ np.diag([2.0, 2.0, 2.5]), (130, 120, 90)),
}


def body_study(linear: npt.NDArray[np.float64], shape: tuple[int, ...]) -> CtStudy:
    """An elliptic body with two lungs about (12, -7, 40) mm, 120 mm high."""
    affine = affine_of(linear, shape)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3] - np.array([12.0, -7.0, 40.0]), -1, 0)
    hu = np.where((x / 115) ** 2 + (y / 85) ** 2 < 1, 40, -1000).astype(np.int16)
    for side in (-50, 50):
        hu[(((x - side) / 38) ** 2 + (y / 60) ** 2 < 1) & (np.abs(z) < 60)] = -830
    return CtStudy(hu, affine)


@pytest.fixture(scope="module")
def encoder() -> CompactSlices:
    torch.manual_seed(0)
    return CompactSlices(compact_slices_config(WINDOW)).eval()


@pytest.mark.parametrize("name", AFFINES)
def test_planted_point_appears_at_its_world_position(name: str) -> None:
    study = body_study(*AFFINES[name])
    grid = slice_grid(study)
    assert grid.anchor == "lungs"
    np.testing.assert_allclose([grid.x_mm.mean(), grid.y_mm.mean()], [12, -7], atol=5)
    point = np.array([grid.x_mm[90], grid.y_mm[40], grid.z_mm[len(grid.z_mm) // 2]])
    voxels = np.full(study.shape, -1000, np.int16)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in study.shape], indexing="ij"), axis=-1)
    world = index @ study.affine_mm[:3, :3].T + study.affine_mm[:3, 3]
    blob = np.exp(-((world - point) ** 2).sum(axis=-1) / (2 * 5.0**2))
    planted = CtStudy((voxels + 2000 * blob).astype(np.int16), study.affine_mm)
    sampled = sample_slices(planted, grid).astype(float) + 1000
    mass = sampled.clip(min=20) - 20
    centre = [
        (mass.sum(axis=axes) * values).sum() / mass.sum()
        for axes, values in (((0, 1), grid.x_mm), ((0, 2), grid.y_mm), ((1, 2), grid.z_mm))
    ]
    np.testing.assert_allclose(centre, point, atol=0.3)
    assert np.unravel_index(sampled.argmax(), sampled.shape) == (len(grid.z_mm) // 2, 40, 90)


@pytest.mark.parametrize("name", ["anisotropic", "oblique"])
def test_sampling_is_exact_on_a_linear_field(name: str) -> None:
    """Linear interpolation reproduces a field that is linear in world mm, wherever the cell lies inside the study."""
    linear, shape = AFFINES[name]
    study = body_study(linear, shape)
    grid = slice_grid(study)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ study.affine_mm[:3, :3].T + study.affine_mm[:3, 3]
    field = world @ np.array([1.5, -2.0, 3.0])
    sampled = sample_slices(CtStudy(np.rint(field).astype(np.int16), study.affine_mm), grid)
    rows, columns = slice(44, 84), slice(40, 104)
    expected = 1.5 * grid.x_mm[None, None] - 2.0 * grid.y_mm[None, :, None] + 3.0 * grid.z_mm[:, None, None]
    inner = slice(6, len(grid.z_mm) - 6)
    np.testing.assert_allclose(sampled[inner, rows, columns], expected[inner, rows, columns], atol=1.6)


def test_the_first_slice_read_is_one_of_the_study() -> None:
    study = body_study(np.diag([2.0, 2.0, 3.0]), (144, 128, 100))
    first = (slice_grid(study).z_mm[0] - study.affine_mm[2, 3]) / 3
    assert first == pytest.approx(round(first), abs=1e-6)


def test_five_mm_study_is_read_without_blur() -> None:
    rng = np.random.default_rng(0)
    study = body_study(np.diag([2.0, 2.0, 5.0]), (144, 128, 36))
    noisy = CtStudy((study.voxels_hu + rng.normal(0, 30, study.shape)).astype(np.int16), study.affine_mm)
    grid = slice_grid(noisy)
    k = (grid.z_mm - study.affine_mm[2, 3]) / 5
    np.testing.assert_allclose(k, np.rint(k), atol=1e-6)


def test_of_a_study_too_long_to_be_read_whole_the_middle_is() -> None:
    long = CtStudy(np.full((20, 20, 200), 40, np.int16), np.diag([20.0, 20.0, 5.0, 1.0]))
    z_mm = slice_grid(long).z_mm
    assert len(z_mm) == MAX_PLANES
    assert z_mm[0] - 0.0 == pytest.approx(995.0 - z_mm[-1], abs=5.0)


def test_positions_span_the_lungs_and_stay_near_them() -> None:
    study = body_study(np.diag([2.0, 2.0, 2.5]), (130, 120, 200))
    grid = slice_grid(study)
    assert np.allclose(np.diff(grid.z_mm), PLANE_STEP_MM)
    np.testing.assert_allclose(np.interp([-60 + 40, 60 + 40], grid.z_mm, grid.relative), [0, 1], atol=0.06)
    assert grid.z_mm[0] >= 40 - 60 - LUNG_MARGIN_MM - 5
    assert grid.z_mm[-1] <= 40 + 60 + LUNG_MARGIN_MM + 5
    assert 0 < grid.coverage < 0.5


def test_grid_does_not_depend_on_voxel_size_or_tilt() -> None:
    grids = [slice_grid(body_study(*AFFINES[name])) for name in ("plain 2 mm", "fine", "oblique")]
    for grid in grids[1:]:
        assert abs(grid.x_mm[0] - grids[0].x_mm[0]) < 4
        assert abs(grid.y_mm[0] - grids[0].y_mm[0]) < 4
        np.testing.assert_allclose(np.interp(40, grid.z_mm, grid.relative), 0.5, atol=0.04)


@pytest.mark.parametrize(
    ("shape", "fill"),
    [((48, 40, 16), -1000), ((48, 40, 16), 30), ((64, 64, 1), 40), ((3, 2, 1), -2048), ((9, 9, 400), 0)],
)
def test_odd_studies_are_encoded(shape: tuple[int, int, int], fill: int, encoder: CompactSlices) -> None:
    study = CtStudy(np.full(shape, fill, np.int16), affine_of(np.diag([2.0, 2.0, 5.0]), shape))
    tokens = encode_study(study, encoder)
    assert 1 <= len(tokens.values) <= MAX_PLANES
    assert tokens.values.shape[1] == encoder.width
    assert np.isfinite(tokens.relative_positions).all()
    assert tokens.positions.shape == tokens.relative_positions.shape
    assert tokens.source_digest == study.digest


def test_labels_are_sampled_by_nearest_neighbour() -> None:
    study = body_study(np.diag([2.0, 2.0, 2.5]), (130, 120, 90))
    labels = np.random.default_rng(0).integers(0, 11, study.shape).astype(np.uint8)
    grid = slice_grid(study)
    sampled = sample_labels(study, labels, grid)
    index = np.linalg.inv(study.affine_mm) @ [grid.x_mm[70], grid.y_mm[60], grid.z_mm[5], 1]
    assert sampled[5, 60, 70] == labels[tuple(np.rint(index[:3]).astype(int))]
    assert sampled.max() == 10
    assert sampled[:, 0, 0].max() == 0


@pytest.mark.parametrize("name", ["anisotropic", "oblique"])
def test_values_on_slices_return_to_their_voxels(name: str) -> None:
    study = body_study(*AFFINES[name])
    grid = slice_grid(study)
    values = np.zeros((len(grid.z_mm), ROWS, COLUMNS), np.float32)
    s, r, c = len(grid.z_mm) // 2, 50, 80
    values[s, r - 2 : r + 3, c - 2 : c + 3] = 1
    volume = volume_from_slices(values, study, grid)
    assert volume.shape == study.shape
    assert volume.dtype == np.float32
    voxel = np.unravel_index(volume.argmax(), volume.shape)
    world = study.affine_mm[:3, :3] @ voxel + study.affine_mm[:3, 3]
    assert np.abs(world - [grid.x_mm[c], grid.y_mm[r], grid.z_mm[s]]).max() <= 5.0
    assert volume[0, 0, 0] == 0
    assert 0 < volume.max() <= 1


def test_slices_are_independent(encoder: CompactSlices) -> None:
    hu = torch.randint(-1000, 400, (9, ROWS, COLUMNS), generator=torch.Generator().manual_seed(1)).short()
    together = encode_pieces(hu, encoder, batch=16)
    alone = torch.cat([encode_pieces(hu[i : i + 1], encoder) for i in range(len(hu))])
    reverse = encode_pieces(hu.flip(0), encoder, batch=4).flip(0)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reverse, together, atol=1e-5, rtol=1e-5)
    assert torch.equal(encode_pieces(hu, encoder), together)


def test_gradient_reaches_the_asked_slice_only(encoder: CompactSlices) -> None:
    hu = torch.randint(-1000, 140, (4, ROWS, COLUMNS), generator=torch.Generator().manual_seed(2)).float()
    hu.requires_grad_(True)
    encoder(hu)[2].square().sum().backward()
    assert hu.grad is not None
    touched = hu.grad.abs().amax(dim=(1, 2))
    assert touched[2] > 0
    assert touched[[0, 1, 3]].max() == 0


def test_folding_keeps_the_function_and_half_precision_is_exact(encoder: CompactSlices) -> None:
    model = CompactSlices(compact_slices_config(WINDOW))
    hu = torch.randint(-1000, 400, (4, ROWS, COLUMNS), generator=torch.Generator().manual_seed(3)).float()
    for _ in range(3):
        model.train()(hu)
    folded = fold_batch_norm(model.eval())
    torch.testing.assert_close(folded(hu), model(hu), atol=1e-4, rtol=1e-4)
    round_to_half(folded)
    assert all(torch.equal(v, v.half().float()) for v in folded.state_dict().values())
    rebuilt = build_ct_encoder(json.loads(json.dumps(folded.config)))
    rebuilt.load_state_dict({name: value.half().float() for name, value in folded.state_dict().items()})
    torch.testing.assert_close(rebuilt(hu), folded(hu), atol=1e-5, rtol=1e-5)


def test_unknown_encoder_is_refused_in_words() -> None:
    with pytest.raises(UserFacingError, match="encoder"):
        build_ct_encoder({"name": "something_else"})


def test_gradcam_layer_is_spatial(encoder: CompactSlices) -> None:
    from captum.attr import LayerGradCam

    hu = torch.randint(-1000, 140, (2, ROWS, COLUMNS), generator=torch.Generator().manual_seed(4)).float()
    maps = LayerGradCam(lambda x: encoder(x).sum(dim=1), encoder.gradcam_layer).attribute(hu)
    assert maps.shape == (2, 1, ROWS // 4, COLUMNS // 4)
    assert maps.abs().max() > 0
