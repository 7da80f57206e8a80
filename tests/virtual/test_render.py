"""The virtual CT: what was asked is in the voxels and in the labels, in the right place, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy import ndimage

from core.virtual.anatomy import ARTERY, CALCIUM, CLOT, EFFUSION, EMPHYSEMA, INTERSTITIAL, NODULE, load_template
from core.virtual.deform import build_warp, rendered_trunk_mm, template_points
from core.virtual.disease import write_disease
from core.virtual.patient import ZONES, Acquisition, Findings
from core.virtual.render import RenderedPatient, render_patient
from core.virtual.vessels import LEVELS, artery_tree, obstruction_index, plan_clots

CALM = Findings(0, "none", 27, 1.0, 0, (0, 0), 0, 0, "upper", (0, 0, 0, 0))
SCAN = Acquisition((1, 1, 1), 0, True, 330, 15, 1.6, 0.7, (2, 2, 4), 5)
PLAIN = replace(SCAN, contrast=False, blood_hu=40)
SICK = Findings(0.4, "central", 32, 1.15, 2.6, (250, 400), 0.15, 16, "hilar", (0.1, 0.5, 0.2, 0.7))
DISEASE = (EMPHYSEMA, INTERSTITIAL, EFFUSION, NODULE, CALCIUM, CLOT)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@lru_cache(maxsize=8)
def rendered(findings: Findings, acquisition: Acquisition = SCAN) -> RenderedPatient:
    return render_patient(findings, acquisition)


def median_hu(patient: RenderedPatient, *codes: int) -> float:
    return float(np.median(patient.study.voxels_hu[np.isin(patient.labels, codes)]))


def test_no_findings_leave_no_disease_label() -> None:
    patient = rendered(CALM)
    assert not np.isin(patient.labels, DISEASE).any()
    assert all(patient.facts[name] == 0 for name in ("clot_ml", "calcium_ml", "effusion_ml", "nodule_diameter_mm"))
    assert patient.facts["clot_obstruction"] == 0


def test_every_disease_is_in_the_labels_and_in_the_voxels() -> None:
    sick = rendered(SICK)
    for code in DISEASE:
        assert (sick.labels == code).sum() > 20, code
    hu = {code: median_hu(sick, code) for code in range(1, 11)}
    assert hu[EMPHYSEMA] < hu[1] - 60
    assert hu[INTERSTITIAL] > hu[1] + 100
    assert -20 < hu[EFFUSION] < 40
    inside_nodule = ndimage.binary_erosion(sick.labels == NODULE)
    assert inside_nodule.any()
    assert np.median(sick.study.voxels_hu[inside_nodule]) > -50
    assert hu[CLOT] < hu[3] - 180
    assert np.percentile(sick.study.voxels_hu[sick.labels == CALCIUM], 75) > 300


def test_same_seed_same_voxels_other_seed_other_body() -> None:
    again = render_patient(SICK, SCAN)
    assert again.study.digest == rendered(SICK).study.digest
    np.testing.assert_array_equal(again.labels, rendered(SICK).labels)
    assert render_patient(SICK, replace(SCAN, seed=6)).study.digest != again.study.digest


def test_findings_do_not_depend_on_slice_spacing() -> None:
    fine, coarse = rendered(SICK), render_patient(SICK, SCAN, slice_spacing_mm=5.0)
    assert coarse.study.spacing_mm == (2, 2, 5)
    assert coarse.labels.shape == coarse.study.shape
    for name in ("clot_ml", "effusion_ml", "heart_volume_ml", "lung_volume_ml"):
        assert coarse.facts[name] == pytest.approx(fine.facts[name], rel=0.15), name
    assert coarse.facts["pulmonary_trunk_diameter_mm"] == fine.facts["pulmonary_trunk_diameter_mm"]


@pytest.mark.parametrize(
    "acquisition", [SCAN, replace(SCAN, rotation_degrees=8, body_scale=(0.92, 0.95, 1.05), seed=3)]
)
def test_orientation_heart_left_liver_right_apex_up(acquisition: Acquisition) -> None:
    patient = rendered(CALM, acquisition)
    affine, labels = patient.study.affine_mm, patient.labels
    assert (np.diag(affine)[:3] > 0).all()
    world = {code: affine[:3, :3] @ np.argwhere(labels == code).mean(0) + affine[:3, 3] for code in (1, 2, 3, 4)}
    assert world[2][0] < world[1][0] - 3, "the heart lies to the left of the lungs' centre"
    assert world[2][1] > world[4][1], "the heart lies before the aorta"
    lungs = np.flatnonzero((labels == 1).any((0, 1)))
    areas = (labels == 1).sum((0, 1))
    assert areas[lungs[-3]] < 0.5 * areas.max(), "the lungs taper towards the head"
    base = patient.study.voxels_hu[:, :, lungs[0] + 6]
    middle = base.shape[0] // 2
    solid = (base > 0).sum(1)
    assert solid[middle:].sum() > 1.05 * solid[:middle].sum(), "the liver lies on the right"


def test_clots_lie_in_arteries_and_leave_blood_around() -> None:
    """Against the template's own tree: every clot voxel is an artery voxel or touches one, and none is in a vein."""
    template, rng = load_template(), np.random.default_rng(2)
    canvas, _ = write_disease(replace(CALM, clot_burden=0.5, clot_level="saddle"), template, 1.0, 1.0, 1.0, rng)
    clot = (canvas.codes == CLOT).reshape(template.shape)
    artery = np.isin(template.vessels, (1, 3))
    assert clot.sum() > 200
    assert not (clot & ~ndimage.binary_dilation(artery, np.ones((3, 3, 3), bool))).any()
    assert not (clot & np.isin(template.vessels, (2, 4))).any()
    central = artery & (template.vessels == 3)
    assert 0.02 < (clot & central).sum() / central.sum() < 0.5, "strands, not plugs, in the main arteries"


@pytest.mark.parametrize(("burden", "level"), [(0.06, "segmental"), (0.2, "lobar"), (0.4, "central"), (0.7, "saddle")])
def test_planned_emboli_reach_burden_and_level(burden: float, level: str) -> None:
    tree = artery_tree()
    for seed in range(5):
        clots = plan_clots(replace(CALM, clot_burden=burden, clot_level=level), np.random.default_rng(seed))  # type: ignore[arg-type]
        top = max(int(tree.level[list(clot.nodes)].max()) for clot in clots)
        assert top == LEVELS[level]
        assert obstruction_index(tree, clots) == pytest.approx(burden, rel=0.3, abs=0.05)


def test_obstruction_index_by_hand() -> None:
    """Oracle: walk from every peripheral voxel up to the valve and take the worst obstruction on the way."""
    tree = artery_tree()
    clots = plan_clots(replace(CALM, clot_burden=0.3, clot_level="lobar"), np.random.default_rng(8))
    worst = {node: max((c.degree for c in clots if node in c.nodes), default=0.0) for node in range(len(tree.parent))}
    total = blocked = 0.0
    for node in tree.node_of[tree.level[tree.node_of] == 1]:
        total, degree, at = total + 1, 0.0, int(node)
        while at >= 0:
            degree, at = max(degree, worst[at]), int(tree.parent[at])
        blocked += degree
    assert obstruction_index(tree, clots) == pytest.approx(blocked / total, abs=1e-5)


@pytest.mark.parametrize("asked", [24.0, 28.0, 33.0])
def test_trunk_reaches_the_asked_diameter(asked: float) -> None:
    for seed in (1, 2, 3):
        scan = replace(SCAN, seed=seed, body_scale=(1.05, 0.95, 1.0))
        warp = build_warp(replace(CALM, pulmonary_trunk_diameter_mm=asked), scan, np.random.default_rng(seed))
        assert rendered_trunk_mm(warp) == pytest.approx(asked, abs=0.6)


@pytest.mark.parametrize("asked", [24.0, 36.0])
def test_trunk_diameter_shows_on_the_published_labels(asked: float) -> None:
    """What a reader measures on 5 mm slices, the widest circles inside the artery, is the diameter asked for."""
    patient = rendered(replace(CALM, pulmonary_trunk_diameter_mm=asked), replace(SCAN, seed=11))
    artery = np.isin(patient.labels, (ARTERY, CLOT))
    spacing = patient.study.spacing_mm
    circles = [
        2 * ndimage.distance_transform_edt(plane, sampling=spacing[:2]).max() for plane in artery.T.swapaxes(1, 2)
    ]
    assert float(np.mean(np.sort(circles)[-2:])) == pytest.approx(asked, abs=2.5)


@pytest.mark.parametrize("scale", [0.9, 1.25])
def test_heart_volume_follows_its_scale_relative_to_the_body(scale: float) -> None:
    template_ml = float((load_template().codes == 2).sum()) * 8 / 1000
    big = replace(SCAN, body_scale=(1.06, 1.0, 0.96), seed=9)
    patient = rendered(replace(CALM, heart_scale=scale), big)
    linear = (patient.facts["heart_volume_ml"] / template_ml / np.prod(big.body_scale)) ** (1 / 3)
    assert linear == pytest.approx(scale, abs=0.03)


def test_asked_volumes_and_sizes_are_reached() -> None:
    facts = rendered(SICK).facts
    assert facts["effusion_left_ml"] == pytest.approx(250, rel=0.25)
    assert facts["effusion_right_ml"] == pytest.approx(400, rel=0.25)
    assert facts["emphysema_fraction"] == pytest.approx(0.15, abs=0.04)
    assert facts["nodule_diameter_mm"] == pytest.approx(16, abs=2)


def test_interstitial_change_grows_with_each_zones_severity() -> None:
    patient = rendered(replace(CALM, interstitial_by_zone=(0.1, 0.5, 0.25, 0.8)), replace(SCAN, seed=7))
    shares = [patient.facts[f"interstitial_{zone}"] for zone in ZONES]
    assert np.argsort(shares).tolist() == [0, 2, 1, 3]


def test_fluid_layers_posteriorly_and_without_steps() -> None:
    patient = rendered(replace(CALM, effusion_ml=(400, 400)), replace(SCAN, seed=7))
    fluid, lung = patient.labels == EFFUSION, patient.labels == 1
    assert np.argwhere(fluid)[:, 1].mean() < np.argwhere(lung)[:, 1].mean() - 15
    parts, count = ndimage.label(fluid)
    sizes = np.sort(np.bincount(parts.ravel())[1:])
    assert sizes[-2:].sum() > 0.95 * fluid.sum(), f"two collections, found {count} parts"


@pytest.mark.parametrize("zone", ZONES)
def test_nodule_stands_in_its_zone(zone: str) -> None:
    patient = rendered(replace(CALM, nodule_diameter_mm=14, nodule_zone=zone), replace(SCAN, seed=21))  # type: ignore[arg-type]
    rows = np.flatnonzero(np.isin(patient.labels, (1, NODULE)).any((0, 1)))
    height = (rows[-1] - np.argwhere(patient.labels == NODULE)[:, 2].mean()) / (rows[-1] - rows[0])
    assert int(np.clip(height * 4, 0, 3)) == ZONES.index(zone) or abs(height * 4 - ZONES.index(zone) - 0.5) < 0.75


def test_without_contrast_blood_is_soft_tissue_and_calcium_stands_out() -> None:
    patient = rendered(replace(CALM, coronary_calcium=2.5), PLAIN)
    hu = patient.study.voxels_hu
    for code in (2, 3, 4):
        assert 15 < median_hu(patient, code) < 65
    assert (hu[np.isin(patient.labels, (2, 3, 4))] > 150).mean() < 0.01
    assert (hu[patient.labels == CALCIUM] > 200).sum() >= 8
    near_heart = ndimage.binary_dilation(np.isin(patient.labels, (2, 3, 4, CALCIUM)), iterations=6)
    assert not ((patient.labels == CALCIUM) & ~near_heart).any()


def test_least_calcium_is_still_visible() -> None:
    for seed in (1, 2, 3):
        patient = render_patient(replace(CALM, coronary_calcium=1.0), replace(PLAIN, seed=seed), slice_spacing_mm=2.0)
        assert (patient.study.voxels_hu[patient.labels == CALCIUM] > 200).sum() >= 4


def test_contrast_follows_the_asked_blood_density() -> None:
    for blood in (220.0, 420.0):
        patient = rendered(CALM, replace(SCAN, blood_hu=blood))
        trunk = ndimage.binary_erosion(patient.labels == 3, iterations=2)
        assert float(np.median(patient.study.voxels_hu[trunk])) == pytest.approx(blood, rel=0.1)


def test_noise_has_the_asked_spread_and_no_drift() -> None:
    quiet = replace(SCAN, noise_hu=0.0)
    silent = render_patient(CALM, quiet).study.voxels_hu.astype(np.float32)
    noise = render_patient(CALM, replace(SCAN, noise_hu=22.0)).study.voxels_hu - silent
    inside = noise[20:-20, 20:-20]
    body = silent[20:-20, 20:-20] > -900
    assert inside[body].std() == pytest.approx(22, rel=0.08)
    assert abs(inside[body].mean()) < 1
    neighbours = float((inside[1:] * inside[:-1]).mean() / (inside**2).mean())
    assert 0.05 < neighbours < 0.9


def test_field_holds_lungs_and_body_and_never_cuts_them_with_air() -> None:
    for scale in ((0.9, 0.9, 0.9), (1.08, 1.08, 1.05)):
        patient = rendered(CALM, replace(SCAN, body_scale=scale, seed=31))
        lung = patient.labels == 1
        assert not lung[0].any()
        assert not lung[-1].any()
        assert not lung[:, 0].any()
        assert not lung[:, -1].any()
        assert not lung[:, :, 0].any()
        assert not lung[:, :, -1].any()
        extent = np.array(patient.study.shape) * patient.study.spacing_mm
        assert (extent[:2] >= (298, 248)).all()
        assert 200 < extent[2] < 400
        for k in (0, -1):
            plane = patient.study.voxels_hu[:, :, k]
            solid = ndimage.binary_fill_holes(plane > -300)
            assert solid.mean() > 0.25, "the first and last planes show the body, not air"


def test_warp_never_folds() -> None:
    """The backward map's Jacobian stays positive inside the chest under large heart, trunk and body changes."""
    findings = replace(CALM, heart_scale=1.3, pulmonary_trunk_diameter_mm=36)
    warp = build_warp(findings, replace(SCAN, seed=4), np.random.default_rng(4))
    axes = tuple(torch.arange(-half, half + 1, 6.0) for half in (110.0, 80.0, 100.0))
    points = template_points(warp, (axes[0], axes[1], axes[2])).numpy().astype(np.float64)
    gradient = np.stack([np.stack(np.gradient(points[..., d], 6.0), -1) for d in range(3)], -2)
    assert (np.linalg.det(gradient) > 0).mean() > 0.999
