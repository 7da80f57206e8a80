"""NIfTI files: read right in every layout, or refused in words."""

from __future__ import annotations

import gzip
import itertools
import struct

import nibabel as nib
import numpy as np
import pytest
from corpus_doubts import BODY, body
from ct_factory import Grid, assert_right, nifti_file, positions, rotated, world_hu
from hypothesis import given, settings
from hypothesis import strategies as st
from nifti_files import BAD, GOOD, GRID, PLAIN, RAS

from core.errors import UserFacingError
from core.intake.files.byte_source import memory_entry
from core.intake.scan.nifti.header import read_nifti_header
from core.load import RepairableError, list_series, load_study

AXES = [
    tuple(axes[place] for place in order)
    for axes in itertools.product("LR", "AP", "SI")
    for order in itertools.permutations(range(3))
]


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("packed", [False, True])
def test_volume_is_read_right(case: str, packed: bool) -> None:
    data = gzip.compress(GOOD[case]) if packed else GOOD[case]
    study = load_study((f"scan.nii{'.gz' if packed else ''}", data))
    assert_right(study)
    assert study.voxels_hu.dtype == np.int16
    if case == "no unit":
        assert any("millimetres were assumed" in note for note in study.notes)


@pytest.mark.parametrize("case", BAD)
def test_bad_volume_is_refused_in_words(case: str) -> None:
    make, words = BAD[case]
    with pytest.raises(UserFacingError, match=words):
        load_study(("scan.nii", make()))


@pytest.mark.parametrize("cut", [1, 8, 200, 1000])
def test_truncated_gzip_is_refused(cut: int) -> None:
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("scan.nii.gz", gzip.compress(PLAIN)[:-cut]))


def test_wrong_checksum_and_foreign_bytes_are_refused() -> None:
    packed = bytearray(gzip.compress(PLAIN))
    packed[-6] ^= 1
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("scan.nii.gz", bytes(packed)))
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("scan.nii.gz", gzip.compress(PLAIN) + b"more"))


def test_several_members_are_one_file() -> None:
    half = len(PLAIN) // 2
    study = load_study(("scan.nii.gz", gzip.compress(PLAIN[:half]) + gzip.compress(PLAIN[half:])))
    assert_right(study)


def test_description_marks_virtual_patients() -> None:
    marked = nifti_file(GRID, patch=[(148, "15s", b"virtual patient")])
    assert load_study(("a.nii", marked)).origin == "virtual"
    assert load_study(("a.nii", PLAIN)).origin == "real"


def test_several_volumes_must_be_chosen() -> None:
    files = [("a.nii", PLAIN), ("b.nii", nifti_file(RAS))]
    with pytest.raises(UserFacingError, match="2 CT series"):
        load_study(files)
    for item in list_series(files):
        assert item.spacing_mm == pytest.approx(GRID.spacing_mm)
        assert_right(load_study(files, series=item.key))


@settings(max_examples=25, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    dtype=st.sampled_from(["<i2", ">i2", "<f4", "<i4"]),
    forms=st.sampled_from([(1, 1), (1, 0), (0, 2)]),
    version=st.sampled_from([1, 2]),
)
def test_any_orientation_puts_values_at_their_world_position(degrees, dtype, forms, version) -> None:
    grid = Grid(shape=(14, 16, 12), spacing_mm=(1.7, 1.5, 1.9), rotation=rotated(degrees))
    study = load_study(("a.nii", nifti_file(grid, dtype=dtype, qform=forms[0], sform=forms[1], version=version)))
    from ct_factory import positions

    assert np.abs(world_hu(positions(study.affine_mm, study.shape)) - study.voxels_hu).max() <= 1.01


def test_canonical_reading_agrees_with_nibabel() -> None:
    for data in (PLAIN, GOOD["oblique"], GOOD["axes permuted"]):
        canonical = nib.as_closest_canonical(nib.Nifti1Image.from_bytes(data))
        study = load_study(("a.nii", data))
        assert np.array_equal(np.asarray(canonical.dataobj), study.voxels_hu)
        assert np.allclose(canonical.affine, study.affine_mm, atol=1e-4)


@pytest.mark.parametrize("codes", sorted(AXES), ids="".join)
def test_every_order_of_axes_of_a_wide_volume_agrees_with_its_own_quaternion(codes: tuple[str, str, str]) -> None:
    """As nibabel writes it: taken literally, the rounded quaternion of a half turn moves the far corner by .3 mm."""
    shape, spacing_mm = (512, 512, 4), np.array([0.7, 0.7, 2.0])
    order = nib.orientations.axcodes2ornt(codes).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[order[:, 0], range(3)] = order[:, 1] * spacing_mm
    image = nib.Nifti1Image(np.zeros(shape, np.int16), None)
    image.set_qform(affine, 1)
    read = read_nifti_header(memory_entry("a.nii", image.to_bytes())).affine_mm
    corner = np.array([511, 511, 3, 1])
    assert np.linalg.norm((read - affine) @ corner) < 1e-3


def made_up(diagonal: tuple[float, float, float], origin: float = 0.0, turn: float = 0.0) -> bytes:
    """The chest with an affine that holds nothing but voxel sizes, or a little more."""
    affine = np.diag([*diagonal, 1.0])
    affine[:3, 3] = origin
    affine[:3, :3] = np.array(rotated((0.0, 0.0, turn))) @ affine[:3, :3]
    hu = body(positions(BODY.affine_ras, BODY.shape)).astype(np.int16)
    return bytes(nib.Nifti1Image(hu, affine).to_bytes())


@pytest.mark.parametrize("diagonal", [(1, 1, 1), (-1, -1, 1)], ids=["of an array", "of an ITK image"])
def test_an_orientation_that_programs_make_up_is_told(diagonal: tuple[float, float, float]) -> None:
    notes = load_study(("a.nii", made_up(diagonal))).notes
    assert any("the size of the voxels may be wrong" in note for note in notes)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (made_up((5.0, 5.0, 5.0)), True), (made_up((-1.0, -1.0, 1.25)), True), (made_up((1, 1, 1), turn=7.0), False),
        (made_up((1, 1, 1), origin=-90.5), False), (made_up((5.0, 5.0, 5.0), origin=12.0), False),
    ],
)  # fmt: skip
def test_an_orientation_without_origin_is_told_and_one_with_is_not(data: bytes, told: bool) -> None:
    notes = load_study(("a.nii", data)).notes
    assert any("left and right may be exchanged" in note for note in notes) == told


def test_of_two_orientations_only_one_that_holds_a_volume_is_offered() -> None:
    data = nifti_file(GRID, patch=[(280, "12f", (0.0,) * 12)])
    with pytest.raises(RepairableError, match="contradict") as caught:
        load_study(("a.nii", data))
    assert caught.value.repairs == ("use_qform",)
    assert_right(load_study(("a.nii", data), repairs=["use_qform"]))


@pytest.mark.parametrize(("code", "told"), [(1, False), (2, False), (3, True), (4, True)])
def test_an_orientation_in_a_template_is_told(code: int, told: bool) -> None:
    study = load_study(("a.nii", nifti_file(GRID, sform=code)))
    assert any("of a template" in note for note in study.notes) == told


def test_an_unused_orientation_that_differs_is_told() -> None:
    flipped = tuple((np.diag([-1.0, 1.0, 1.0, 1.0]) @ GRID.affine_ras)[:3].ravel())
    for rows, told in ((flipped, True), (tuple(GRID.affine_ras[:3].ravel()), False), ((0.0,) * 12, False)):
        study = load_study(("a.nii", nifti_file(GRID, sform=0, patch=[(280, "12f", rows)])))
        assert_right(study)
        assert any("marked as unused" in note for note in study.notes) == told


@pytest.mark.parametrize("seed", range(8))
def test_a_slight_turn_of_a_wide_volume_agrees_with_its_own_quaternion(seed: int) -> None:
    """Nearly half turns, as of every scan that a converter writes in the scanner's order of axes."""
    image = nib.Nifti1Image(np.full((440, 420, 4), 40, np.int16), None)
    turned = np.eye(4)
    turned[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ rotated(tuple(np.random.default_rng(seed).uniform(-0.05, 0.05, 3)))
    affine = turned @ np.diag([0.7, 0.7, 2.5, 1.0])
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    read = read_nifti_header(memory_entry("a.nii", image.to_bytes())).affine_mm
    assert np.abs(read - affine).max() < 1e-3
    image.set_sform(np.diag([-1.0, 1, 1, 1]) @ affine, 1)
    with pytest.raises(UserFacingError, match="contradict"):
        read_nifti_header(memory_entry("a.nii", image.to_bytes()))


def test_a_slanted_stack_is_not_offered_the_form_that_cannot_say_so() -> None:
    """As dcm2niix writes a tilted gantry: the slant stands in the sform alone."""
    image = nib.Nifti1Image(GRID.hu().astype(np.int16), None)
    straight, slanted = np.array(GRID.affine_ras), np.array(GRID.affine_ras)
    slanted[1, 2] += 0.3 * np.linalg.norm(slanted[:3, 2])
    image.set_qform(straight, 1)
    for code, offered in ((1, None), (2, ("use_qform",))):
        image.set_sform(slanted, code)
        with pytest.raises(UserFacingError, match="right angles" if offered is None else "contradict") as caught:
            load_study(("a.nii", image.to_bytes()))
        assert (getattr(caught.value, "repairs", None) is None) == (offered is None)


def test_a_masked_background_is_told() -> None:
    """0 HU is water: what was cut away with it reads as tissue."""
    hu = body(positions(BODY.affine_ras, BODY.shape))
    hu[:30] = 0
    notes = load_study(("scan.nii", nifti_file(BODY, data=hu))).notes
    assert any("42% of voxels are exactly 0 HU" in note for note in notes)


def test_values_that_were_squeezed_into_eight_bits_are_told() -> None:
    """In steps of 9.6 HU, rounded to 9 and 10."""
    squeezed = np.rint((GRID.hu() + 1024) / 9.6) * 9.6 - 1024
    said = [" ".join(load_study(("scan.nii", nifti_file(GRID, data=hu))).notes) for hu in (GRID.hu(), squeezed)]
    assert ["8-bit export" in notes for notes in said] == [False, True]


@pytest.mark.parametrize(("unit", "edge", "lifted"), [(3, 2000.0, True), (3, 2.0, False), (1, 0.002, True)])
def test_units_are_offered_to_be_converted_only_where_that_gives_voxels_of_a_ct(
    unit: int, edge: float, lifted: bool
) -> None:
    data = nifti_file(GRID, sform=0, patch=[(123, "b", unit), (80, "3f", (edge, edge, edge))])
    with pytest.raises(RepairableError) as caught:
        load_study(("scan.nii", data))
    assert caught.value.repairs == (("convert_units",) if lifted else ())


def _islands(top: float) -> np.ndarray:
    """A map of shares: two islands in slices that are empty, or nearly so, elsewhere. (40, 40, 24) float32."""
    distances = np.stack(np.meshgrid(*(np.arange(size) for size in (40, 40, 24)), indexing="ij"))
    centres = np.array([[12, 12, 5], [28, 28, 18]])
    squares = [((distances - centre[:, None, None, None]) ** 2).sum(axis=0) for centre in centres]
    return (top * sum(np.exp(-square / 12) for square in squares)).astype(np.float32)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("top", [1.0, 0.4])
def test_a_map_of_shares_is_named_as_one(top: float, packed: bool) -> None:
    """Rounded to whole HU its slices are blank or all alike, which says nothing of what it is."""
    data = nib.Nifti1Image(_islands(top), np.diag([2.0, 2.0, 3.0, 1.0])).to_bytes()
    with pytest.raises(UserFacingError, match="between 0 and 1, as in a probability map") as refused:
        load_study((f"map.nii{'.gz' if packed else ''}", gzip.compress(data) if packed else data))
    assert "lank" not in str(refused.value)


def test_values_are_told_as_stored_in_a_map_of_percents() -> None:
    data = nib.Nifti1Image(_islands(99.5), np.diag([2.0, 2.0, 3.0, 1.0])).to_bytes()
    with pytest.raises(UserFacingError, match=r"from 0 to 99\.5, never below 0: an 8-bit picture or a mask"):
        load_study(("map.nii", data))


@pytest.mark.parametrize(("top", "told"), [(1000, True), (2800, True), (3071, False), (None, False)])
def test_values_that_were_cut_off_above_bone_are_told(top: int | None, told: bool) -> None:
    """Too few for a display window; a scanner's own limit is no doubt."""
    hu = body(positions(BODY.affine_ras, BODY.shape))
    hu[30:36, 20:24, 3:9] = np.linspace(700, 3600, 144).reshape(6, 4, 6)
    cut = np.minimum(hu, top or 3600)
    assert (cut == cut.max()).sum() < 0.005 * cut.size
    notes = load_study(("scan.nii", nifti_file(BODY, data=cut))).notes
    assert any("probably cut off there" in note for note in notes) == told


def test_a_slope_that_turns_the_sign_is_said() -> None:
    """The values are right all the same: stored with the sign that the slope takes back."""
    plain = np.frombuffer(PLAIN, np.uint8)
    stored = -plain[352:].view("<i2")
    file = plain[:352].tobytes() + stored.astype("<i2").tobytes()
    turned = file[:112] + struct.pack("<2f", -1, 0) + file[120:]
    study = load_study([("scan.nii", turned)])
    assert_right(study)
    assert any("reverses the sign" in note for note in study.notes)
    assert not any("reverses the sign" in note for note in load_study([("scan.nii", PLAIN)]).notes)
