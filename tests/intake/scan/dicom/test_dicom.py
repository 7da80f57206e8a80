"""DICOM series: read right in every layout, or refused in words."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import corpus_doubts
import numpy as np
import pytest
from ct_factory import (
    BIG_ENDIAN,
    DEFLATED,
    IDENTIFIERS,
    IMPLICIT,
    Grid,
    assert_right,
    at,
    dicom_files,
    dicom_slices,
    enhanced_file,
    named,
    positions,
    put_pixels,
    rotated,
    setter,
    to_bytes,
    world_hu,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless
from scipy import ndimage

from core.errors import UserFacingError
from core.intake.files.limits import LIMITS
from core.intake.scan.checks.neighbour_slices import refuse_wrong_width
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.pixels import read_stack
from core.intake.scan.dicom.series import stack_series
from core.intake.scan.geometry import Canonical
from core.intake.scan.sorting import sort_entries
from core.load import list_series, load_study

AXIAL = Grid()
SAGITTAL = Grid(rotation=((0, 1, 0), (0, 0, -1), (-1, 0, 0)))
CORONAL = Grid(rotation=((1, 0, 0), (0, 0, -1), (0, 1, 0)))


GOOD = {
    "axial": {"grid": AXIAL},
    "feet first": {"grid": Grid(rotation=((1, 0, 0), (0, 1, 0), (0, 0, -1)))},
    "prone": {"grid": Grid(rotation=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))},
    "sagittal": {"grid": SAGITTAL},
    "coronal": {"grid": CORONAL},
    "oblique": {"grid": Grid(rotation=rotated((12.0, -7.0, 20.0)))},
    "half way": {"grid": Grid(rotation=rotated((0.0, 0.0, 44.0)))},
    "small": {"grid": Grid(shape=(48, 40, 16), spacing_mm=(0.9, 0.8, 1.2))},
    "two slices": {"grid": Grid(shape=(24, 20, 2), spacing_mm=(1.5, 1.5, 3.0))},
    "submillimetre": {"grid": Grid(shape=(64, 64, 20), spacing_mm=(0.5, 0.5, 0.625))},
    "implicit": {"syntax": IMPLICIT},
    "big endian": {"syntax": BIG_ENDIAN},
    "deflated": {"syntax": DEFLATED},
    "slope 2": {"edit": setter(RescaleSlope=2), "tolerance": 1.01},
    "slope 0.5": {"edit": setter(RescaleSlope=0.5, BitsStored=16, HighBit=15)},
    "slope by slice": {"edit": lambda i, d: setattr(d, "RescaleIntercept", -1024 - 3 * i)},
    "signed": {"edit": setter(PixelRepresentation=1, RescaleIntercept=0, BitsStored=16, HighBit=15)},
    "signed 13 bits": {"edit": setter(PixelRepresentation=1, RescaleIntercept=0, BitsStored=13, HighBit=12)},
    "16 bits": {"edit": setter(BitsStored=16, HighBit=15, RescaleIntercept=-8192)},
    "no frame of reference": {"edit": setter(FrameOfReferenceUID=None)},
    "no instance numbers": {"edit": setter(InstanceNumber=None)},
    "wrong slice locations": {"edit": lambda i, d: setattr(d, "SliceLocation", float(-i * 9))},
    "anonymous": {"edit": setter(PatientName="", PatientID="", PatientBirthDate="")},
    "position noise": {"edit": lambda i, d: setattr(d.ImagePositionPatient, "_list", [
        v + 0.004 * (-1) ** i for v in d.ImagePositionPatient]), "tolerance": 1.01},
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_series_is_read_right(case: str) -> None:
    options = dict(GOOD[case])
    tolerance = float(options.pop("tolerance", 0.51))  # type: ignore[arg-type]
    files = dicom_files(**options)  # type: ignore[arg-type]
    random.Random(4).shuffle(files)
    study = load_study(files)
    assert_right(study, tolerance)
    assert study.voxels_hu.dtype == np.int16
    assert study.origin == "real"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_series_equal_uncompressed(syntax: str) -> None:
    files = []
    for dataset in dicom_slices(Grid(shape=(64, 64, 8), spacing_mm=(0.6, 0.6, 3.0))):
        file = dcmread(BytesIO(to_bytes(dataset)))
        file.compress(syntax, generate_instance_uid=False)
        out = BytesIO()
        file.save_as(out)
        files.append(("x", out.getvalue()))
    assert_right(load_study(files), 1.01)


def test_enhanced_multiframe_is_read_right() -> None:
    assert_right(load_study(("enhanced.dcm", enhanced_file())))


def test_compressed_enhanced_multiframe_is_read_right() -> None:
    file = dcmread(BytesIO(enhanced_file()))
    file.compress(RLELossless, generate_instance_uid=False)
    out = BytesIO()
    file.save_as(out)
    assert_right(load_study(("enhanced.dcm", out.getvalue())))
    with pytest.raises(UserFacingError):
        load_study(("enhanced.dcm", out.getvalue()[:-900]))


ENHANCED_BAD = {
    "too few descriptions": (lambda d: d.PerFrameFunctionalGroupsSequence.pop(), "number of frames"),
    "no geometry": (lambda d: delattr(d.SharedFunctionalGroupsSequence[0], "PlaneOrientationSequence"), "oriented"),
    "no rescale": (
        lambda d: delattr(d.SharedFunctionalGroupsSequence[0], "PixelValueTransformationSequence"),
        "rescale",
    ),
    "a frame missing": (lambda d: _drop_frame(d), "missing"),
    "more frames than pixels": (lambda d: setattr(d, "PixelData", d.PixelData[:-960]), "too early"),
}


def _drop_frame(dataset: Dataset) -> None:
    frames = dataset.PerFrameFunctionalGroupsSequence
    heights = [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in frames]
    index = int(np.argsort(heights)[7])
    frames.pop(index)
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = dataset.PixelData[: index * 960] + dataset.PixelData[(index + 1) * 960 :]


@pytest.mark.parametrize("case", ENHANCED_BAD)
def test_bad_enhanced_files_are_refused(case: str) -> None:
    change, words = ENHANCED_BAD[case]
    with pytest.raises(UserFacingError, match=words):
        load_study(("enhanced.dcm", enhanced_file(edit=change)))


def test_overlay_bits_above_the_stored_bits_are_masked() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.add_new(0x60000102, "US", 12)

    slices = dicom_slices(AXIAL, edit=edit)
    for dataset in slices:
        pixels = np.frombuffer(dataset.PixelData, "<u2").copy()
        pixels[::7] |= 0x1000
        dataset.PixelData = pixels.tobytes()
    assert_right(load_study(named(slices)))


def test_padding_becomes_air_with_a_note() -> None:
    slices = dicom_slices(AXIAL, edit=setter(PixelRepresentation=1, RescaleIntercept=0, BitsStored=16, HighBit=15))
    for dataset in slices:
        pixels = np.frombuffer(dataset.PixelData, "<i2").copy().reshape(20, 24)
        pixels[:2] = -3024
        dataset.PixelData = pixels.tobytes()
    study = load_study(named(slices))
    assert study.voxels_hu.min() == -1024
    assert any("Padding" in note for note in study.notes)
    assert (study.voxels_hu == -1024).sum() == 2 * 24 * 16


def test_metal_with_the_value_of_bright_padding_is_kept() -> None:
    """Padding reaches in from the ends of rows; the same value within the body is what the scanner measured."""
    slices = dicom_slices(AXIAL, edit=lambda index, dataset: dataset.add_new(0x00280120, "US", 4095))
    for dataset in slices:
        pixels = np.frombuffer(dataset.PixelData, "<u2").copy().reshape(20, 24)
        pixels[:2], pixels[2:, -3:], pixels[9, 10] = 4095, 4095, 4095
        dataset.PixelData = pixels.tobytes()
    study = load_study(named(slices))
    assert (study.voxels_hu == -1024).sum() == (2 * 24 + 18 * 3) * 16
    assert (study.voxels_hu == 3071).sum() == 16
    assert any("Padding" in note for note in study.notes)


def without(*indices: int):
    return [item for index, item in enumerate(dicom_slices(AXIAL)) if index not in indices]


def moved(change) -> list[Dataset]:
    """Slices with `change(index, position)` applied to each position."""
    slices = dicom_slices(AXIAL)
    for index, dataset in enumerate(slices):
        dataset.ImagePositionPatient = [float(v) for v in change(index, np.array(dataset.ImagePositionPatient, float))]
    return slices


def doubled() -> list[Dataset]:
    slices = dicom_slices(AXIAL)
    other = dicom_slices(AXIAL, seed=0)[5]
    other.SOPInstanceUID += ".9"
    put_pixels(other, np.full((20, 24), 40.0))
    return [*slices, other]


def tilted() -> list[Dataset]:
    return moved(lambda index, place: place + np.array([0, 0.65 * index, 0]))


def filled(hu: np.ndarray) -> list[Dataset]:
    """Slices with other contents: hu (columns, rows, slices), signed storage."""
    slices = dicom_slices(AXIAL, edit=setter(PixelRepresentation=1, RescaleIntercept=0, BitsStored=16, HighBit=15))
    for index, dataset in enumerate(slices):
        put_pixels(dataset, hu[:, :, index].T)
    return slices


def cut_pixels() -> list[Dataset]:
    slices = dicom_slices(AXIAL)
    slices[3].PixelData = slices[3].PixelData[:-100]
    return slices


def extra_pixels() -> list[Dataset]:
    slices = dicom_slices(AXIAL)
    slices[3].PixelData += b"\1" * 40
    return slices


def two_in_one(**values: object) -> list[Dataset]:
    """Half the slices changed."""
    change = setter(**values)
    return dicom_slices(AXIAL, edit=lambda index, dataset: change(index, dataset) if index % 2 else None)


HU = AXIAL.hu()
BAD = {
    "gap": (lambda: without(6), "missing"),
    "two gaps": (lambda: without(4, 9, 10), "missing"),
    "irregular": (lambda: moved(lambda i, p: p + [0, 0, 0.3 * (i % 3)]), "varies"),
    "doubled position": (doubled, "same place"),
    "conflicting copies": (lambda: [*dicom_slices(AXIAL), filled(HU * 0 + 9)[2]], "claim to be the same"),
    "gantry tilt": (tilted, "slant"),
    "tilt in the header only": (lambda: dicom_slices(AXIAL, edit=setter(GantryDetectorTilt=18.0)), "tilt"),
    "sideways jitter": (lambda: moved(lambda i, p: p + [2.0 * (i == 7), 0, 0]), "straight line"),
    "mixed orientation": (lambda: two_in_one(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "directions"),
    "mixed sizes": (lambda: [*dicom_slices(AXIAL)[:8], *dicom_slices(Grid(shape=(20, 24, 16)))[8:]], "image sizes"),
    "mixed spacing": (lambda: two_in_one(PixelSpacing=[1.25, 1.6]), "pixel sizes"),
    "mixed frames of reference": (lambda: two_in_one(FrameOfReferenceUID="1.2.3"), "frames of reference"),
    "two patients": (lambda: two_in_one(PatientID="T2"), "different patient"),
    "two names": (lambda: two_in_one(PatientName="Other^One"), "different patient"),
    "single slice": (lambda: dicom_slices(AXIAL)[:1], "single slice"),
    "localizers only": (lambda: dicom_slices(AXIAL, edit=setter(ImageType=["ORIGINAL", "LOCALIZER"])), "localizer"),
    "magnetic resonance": (lambda: dicom_slices(AXIAL, edit=setter(Modality="MR")), "magnetic resonance"),
    "no position": (lambda: dicom_slices(AXIAL, edit=at(3, ImagePositionPatient=None)), "where in the patient"),
    "no orientation": (lambda: dicom_slices(AXIAL, edit=setter(ImageOrientationPatient=None)), "oriented"),
    "skewed orientation": (
        lambda: dicom_slices(AXIAL, edit=setter(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0])), "perpendicular"),
    "zero orientation": (lambda: dicom_slices(AXIAL, edit=setter(ImageOrientationPatient=[0] * 6)), "perpendicular"),
    "no spacing": (lambda: dicom_slices(AXIAL, edit=setter(PixelSpacing=None)), "pixel spacing"),
    "zero spacing": (lambda: dicom_slices(AXIAL, edit=setter(PixelSpacing=[0, 1])), "pixel spacing"),
    "negative spacing": (lambda: dicom_slices(AXIAL, edit=setter(PixelSpacing=[-1, 1])), "pixel spacing"),
    "absurd spacing": (lambda: dicom_slices(AXIAL, edit=setter(PixelSpacing=[1250, 1500])), "voxel size"),
    "no rescale": (lambda: strip(dicom_slices(AXIAL), "RescaleSlope", "RescaleIntercept"), "rescale"),
    "no slope": (lambda: strip(dicom_slices(AXIAL), "RescaleSlope"), "rescale"),
    "inverted": (lambda: dicom_slices(AXIAL, edit=setter(PhotometricInterpretation="MONOCHROME1")), "inverted"),
    "colour": (lambda: dicom_slices(AXIAL, edit=setter(PhotometricInterpretation="RGB")), "colour"),
    "other unit": (lambda: dicom_slices(AXIAL, edit=setter(RescaleType="MGML")), "something else"),
    "truncated pixels": (cut_pixels, "too early"),
    "excess pixels": (extra_pixels, "more pixel data"),
    "constant": (lambda: filled(HU * 0 + 40), "one value"),
    "mask": (lambda: filled((HU > 0) * 1.0), "mask"),
    "labels": (lambda: filled(np.rint((HU + 1000) / 30)), "Hounsfield"),
    "8-bit picture": (lambda: filled(np.clip((HU + 1000) / 8, 0, 255)), "8-bit"),
    "normalised": (lambda: filled(HU / 400), "normalised"),
    "offset missing": (lambda: filled(HU + 1024), "offset"),
    "offset twice": (lambda: filled(HU - 1024), "Hounsfield"),
    "ten times": (lambda: filled(HU * 10), "Hounsfield"),
    "soft tissue window": (lambda: filled(np.clip(HU, -160, 240)), "Hounsfield"),
    "lung window": (lambda: filled(np.clip(HU, -1350, 150)), "window"),
    "magnified values": (lambda: dicom_slices(AXIAL, edit=setter(RescaleSlope=1, BitsStored=6, HighBit=5)), "bits"),
}  # fmt: skip


def strip(slices: list[Dataset], *keywords: str) -> list[Dataset]:
    for dataset in slices:
        for keyword in keywords:
            delattr(dataset, keyword)
    return slices


@pytest.mark.parametrize("case", BAD)
def test_bad_series_is_refused_in_words(case: str) -> None:
    make, words = BAD[case]
    with pytest.raises(UserFacingError) as caught:
        load_study(named(make()))
    message = str(caught.value)
    assert words in message
    assert caught.value.expected
    assert caught.value.next_step
    assert not any(term in message for term in (*IDENTIFIERS, "Error", "None", "dtype", "ndarray"))


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1,0", "abc", "0"])
def test_unusable_slopes_are_refused(text: str) -> None:
    slices = dicom_slices(AXIAL)
    for dataset in slices:
        dataset.RescaleSlope = "1"
    padded = text if len(text) % 2 == 0 else text + " "
    broken = []
    for name, data in named(slices):
        old = b"\x28\x00\x53\x10DS\x02\x001 "
        assert old in data
        new = b"\x28\x00\x53\x10DS" + len(padded).to_bytes(2, "little") + padded.encode()
        broken.append((name, data.replace(old, new)))
    with pytest.raises(UserFacingError, match="rescale"):
        load_study(broken)


def test_identical_copies_are_read_once_with_a_note() -> None:
    files = dicom_files()
    study = load_study([*files, files[2], files[5]])
    assert_right(study)
    assert any("twice" in note for note in study.notes)


@pytest.mark.parametrize(
    ("missing", "said"), [(("PatientName", "PatientID"), 1), (("PatientID",), 0), (("PatientName",), 0)]
)
def test_images_of_nobody_among_those_of_a_patient_are_said(missing: tuple[str, ...], said: int) -> None:
    def edit(index: int, dataset: Dataset) -> None:
        for keyword in missing if index > 10 else ():
            setattr(dataset, keyword, "")

    study = load_study(dicom_files(edit=edit))
    assert_right(study)
    assert sum("Bearing neither" in note for note in study.notes) == said


def test_localizers_and_stray_files_are_left_out_with_a_note() -> None:
    def scout(index: int, dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.SOPInstanceUID += ".77"

    scouts = named(dicom_slices(AXIAL, edit=scout))[:2]
    stray = [("notes.txt", b"hello"), ("DICOMDIR", b"\0" * 200), ("empty", b"")]
    study = load_study([*dicom_files(), *scouts, *stray])
    assert_right(study)
    assert any("2 localizer" in note for note in study.notes)
    assert any("3 files" in note for note in study.notes)


def test_several_series_must_be_chosen() -> None:
    other = Grid(spacing_mm=(1.5, 1.25, 1.0), shape=(24, 20, 20))
    files = dicom_files() + dicom_files(other, seed=1)
    with pytest.raises(UserFacingError, match="2 CT series"):
        load_study(files)
    found = list_series(files)
    assert [(item.slices, item.kernel, item.modality) for item in found] == [(20, "B40f", "CT"), (16, "B40f", "CT")]
    assert found[0].spacing_mm == pytest.approx((1.5, 1.25, 1.0))
    for item in found:
        study = load_study(files, series=item.key)
        assert_right(study)
        assert study.shape == item.shape
    with pytest.raises(UserFacingError, match="not in this source"):
        load_study(files, series="elsewhere")


@pytest.mark.parametrize(("stated", "number"), [("701", 701), (None, None), ("", None), ("1234567", None)])
def test_a_series_is_listed_by_its_number_in_the_archive(stated: str | None, number: int | None) -> None:
    """None where there is none, and where it may be somebody's number."""
    (item,) = list_series(dicom_files(edit=setter(SeriesNumber=stated) if stated is not None else None))
    assert item.series_number == number


def test_virtual_series_say_so() -> None:
    assert load_study(dicom_files(edit=setter(SeriesDescription="virtual patient"))).origin == "virtual"


def test_what_a_header_holds_of_a_person_stays_out_of_repr() -> None:
    known = setter(StudyDate="20210504", AcquisitionDate="20210504", PatientAge="061Y", PatientSex="F")
    (series,) = sort_entries(dicom_files(edit=known), LIMITS).series.values()
    told = repr(series[0]) + repr(stack_series(series)) + repr(load_study(dicom_files(edit=known)))
    assert series[0].day == "20210504"
    assert not [part for part in ("2021", "61.0", "'F'", series[0].series_uid) if part in told]


def test_progress_runs_to_the_end() -> None:
    seen: list[float] = []
    load_study(dicom_files(), progress=lambda share, words: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_refusal_of_one_slice_tells_which() -> None:
    sources = dicom_files()
    name, data = sources[3]
    sources[3] = (name, data[:-200])
    with pytest.raises(UserFacingError, match=rf"^Slice \d+ of {len(sources)}, by position: the pixel data"):
        load_study(sources)


def test_listing_series_tells_how_far_it_is_and_stops_where_told() -> None:
    told: list[str] = []
    assert list_series(dicom_files(), progress=lambda share, words: told.append(words))
    assert told
    assert told[0].startswith("Reading the headers: file 1 of ")

    def stop(share: float, words: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list_series(dicom_files(), progress=stop)


def test_loading_stops_where_progress_says_so() -> None:
    """What is told of a run may end the work: the slices that wait are not decoded any more."""
    (series,) = sort_entries(dicom_files(Grid(shape=(16, 16, 200))), LIMITS).series.values()
    images = stack_series(series).images
    read: list[int] = []

    def counted(image: ImageHeader) -> ImageHeader:
        def note(start: int, stop: int | None) -> memoryview:
            read.append(start)
            time.sleep(0.002)
            return image.entry.read(start, stop)

        return replace(image, entry=replace(image.entry, read=note))

    def stop(share: float, words: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        read_stack([counted(image) for image in images], Canonical((0, 1, 2), (False,) * 3), progress=stop)
    assert 0 < len(read) < 100


@pytest.mark.parametrize("extra", [0, 20_000, 70_000, 300_000])
def test_a_header_of_any_length_is_read(extra: int) -> None:
    def describe(index: int, dataset: Dataset) -> None:
        dataset.private_block(0x0009, "MAKER", create=True).add_new(1, "OB", bytes(extra))

    assert_right(load_study(dicom_files(edit=describe)))


def test_a_missing_middle_is_found_at_any_place() -> None:
    for index in range(1, AXIAL.shape[2] - 1, 3):
        with pytest.raises(UserFacingError, match="missing"):
            load_study(named(without(index)))


@settings(max_examples=25, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(st.floats(1.3, 2.6), st.floats(1.3, 2.6), st.floats(1.3, 4.0)),
    shape=st.tuples(st.integers(16, 24), st.integers(16, 24), st.integers(12, 18)),
    seed=st.integers(0, 1000),
)
def test_any_orientation_puts_values_at_their_world_position(degrees, spacing, shape, seed) -> None:
    grid = Grid(shape, spacing, rotated(degrees))
    files = dicom_files(grid)
    random.Random(seed).shuffle(files)
    study = load_study(files)
    # The ramp is rounded to whole HU, so a position rounded to text may move a value by one.
    difference = np.abs(world_hu(positions(study.affine_mm, study.shape)) - study.voxels_hu)
    assert difference.max() <= 1.01


@pytest.mark.parametrize("change", ["wrong intercept", "other slope", "noise"])
def test_a_slice_unlike_its_neighbours_is_refused(change: str) -> None:
    """Streams without checksum decode to something; a wrong rescale of one slice reads without error."""
    slices = dicom_slices(AXIAL)
    if change == "wrong intercept":
        slices[6].RescaleIntercept = -824
    elif change == "other slope":
        slices[6].RescaleSlope = 2
    else:
        slices[6].PixelData = np.random.default_rng(0).integers(0, 2500, 480).astype("<u2").tobytes()
    with pytest.raises(UserFacingError, match="neighbours"):
        load_study(named(slices))


def test_repeated_slices_are_refused_unless_empty() -> None:
    slices = dicom_slices(AXIAL)
    slices[6].PixelData = slices[7].PixelData
    with pytest.raises(UserFacingError, match="Identical"):
        load_study(named(slices))
    slices = dicom_slices(AXIAL)
    for dataset in slices[:2]:
        dataset.PixelData = np.full(480, 24, "<u2").tobytes()
    assert any("Blank" in note for note in load_study(named(slices)).notes)


def test_a_pattern_that_repeats_along_the_rows_is_no_wrong_row_length() -> None:
    """Halves of a row may be alike by chance of a pattern; two true rows in one declared row are refused."""
    rows, columns = np.mgrid[:64, :64]
    repeated = 300 * np.sin(2 * np.pi * columns / 16) + 400 * np.sin(rows / 3) - 200
    refuse_wrong_width(repeated.astype(np.int16), 20)
    smooth = ndimage.gaussian_filter(np.random.default_rng(4).normal(0, 3000, (64, 64)), 3)
    refuse_wrong_width(smooth.astype(np.int16), 20)
    with pytest.raises(UserFacingError, match="not as long as the header declares"):
        refuse_wrong_width(smooth.astype(np.int16).reshape(32, 128), 20)


@pytest.mark.filterwarnings("error")
def test_infinite_pixels_are_judged_without_a_warning() -> None:
    values = ndimage.gaussian_filter(np.random.default_rng(4).normal(0, 3000, (64, 64)), 3)
    values[3:5, 4:6] = np.inf
    refuse_wrong_width(values, 20)
    with pytest.raises(UserFacingError, match="not as long as the header declares"):
        refuse_wrong_width(values.reshape(32, 128), 20)


def test_geometry_does_not_depend_on_the_order_of_files() -> None:
    slices = dicom_slices()
    for dataset in slices[1::3]:
        dataset.ImageOrientationPatient = ["0.999999", "-0.000001", "0", "0.000001", "0.999999", "0"]
    files = named(slices)
    one, other = load_study(files), load_study(files[::-1])
    assert (one.affine_mm == other.affine_mm).all()
    assert one.digest == other.digest


@pytest.mark.parametrize(("pixel_mm", "told"), [(0.03, True), (0.74, True), (0.8, False), (3.0, False)])
def test_a_field_of_view_that_no_scanner_has_is_told(pixel_mm: float, told: bool) -> None:
    """However long the stack is: millimetres may have been written as centimetres or metres."""
    notes = load_study(dicom_files(Grid((64, 60, 30), (pixel_mm, pixel_mm, 5.0)))).notes
    assert any("mm in size; the unit" in note for note in notes) == told


def test_air_that_is_too_dark_is_said_and_padding_is_not_air() -> None:
    def said(change: Callable[[np.ndarray], np.ndarray]) -> bool:
        return any("far darker than air" in note for note in load_study(corpus_doubts.volume(change)).notes)

    assert said(corpus_doubts.scaled(1, -100))
    assert not said(np.asarray)
    assert not said(corpus_doubts.scaled(1, -40))
    assert not said(lambda hu: np.where(hu < -950, -1200.0, hu))


@pytest.mark.parametrize(
    ("change", "words"),
    [(corpus_doubts.equalised, "equalised for display"), (corpus_doubts.noise, "noise and no picture")],
)
def test_values_without_a_tissue_or_in_no_order_are_told(change, words):
    """A doubt only: a test object may be a ramp, or noise. Noise of a scanner hides no tissue."""
    assert any(words in note for note in load_study(corpus_doubts.volume(change)).notes)
    for honest in (np.asarray, corpus_doubts.noisy):
        assert not any(words in note for note in load_study(corpus_doubts.volume(honest)).notes)


def test_dark_streaks_beside_metal_are_no_overflow():
    """In the extended scale both are stored as they are; the same streaks without the metal are refused."""
    study = load_study(corpus_doubts.scan(corpus_doubts.streaked))
    assert (study.voxels_hu.max(), study.voxels_hu.min()) == (9000, -1024)
    assert any(note.startswith("Padding outside the field of view or dark streaks") for note in study.notes)
    with pytest.raises(UserFacingError, match="overflow"):
        load_study(corpus_doubts.scan(lambda hu: np.minimum(corpus_doubts.streaked(hu), 3000)))


UNUSUAL = {
    "cone beam by its description": (setter(SeriesDescription="CBCT_Mandible"), "cone-beam"),
    "cone beam by its acquisition": (setter(AcquisitionType="CONE_BEAM"), "cone-beam"),
    "phantom": (setter(QualityControlSubject="YES"), "phantom"),
    "image of a phantom": (setter(QualityControlImage="YES"), "phantom"),
    "burned in": (setter(BurnedInAnnotation="YES"), "text is burned into the images"),
    "map of iodine by its description": (
        setter(SeriesDescription="Iodine Overlay"),
        "calculated from several energies",
    ),
    "one energy by its description": (
        setter(SeriesDescription="Thorax MonoE 40 keV"),
        "calculated from several energies",
    ),
    "atomic number by its description": (setter(SeriesDescription="Z Eff"), "calculated from several energies"),
    "energies weighted": (setter(ImageType=["DERIVED", "PRIMARY", "VOLUME", "ENERGY_PROP_WT"]), "spectral"),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_no_model_was_trained_on_is_said(case):
    edit, words = UNUSUAL[case]
    assert any(words in note for note in load_study(dicom_files(edit=edit)).notes)


def test_a_usual_scan_brings_none_of_these_notes():
    usual = setter(
        QualityControlSubject="NO",
        BurnedInAnnotation="NO",
        AcquisitionType="SPIRAL",
        SeriesDescription="Conebeams no CBCTs Monitoring Rhombus Zeffer 120 kV",
    )
    notes = load_study(dicom_files(edit=usual)).notes
    assert not [note for note in notes if any(words in note for _, words in UNUSUAL.values())]


def _captured(dataset: Dataset) -> Dataset:
    """The slice as a capture of a screen within the series, without a place."""
    dataset.ImageType, dataset.SOPInstanceUID = ["DERIVED", "SECONDARY", "SCREEN SAVE"], "1.2.826.0.1.3680043.9.1.99"
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    return dataset


def test_a_page_within_a_series_is_left_out_and_a_projection_with_a_place_is_not():
    slices, page = dicom_slices(), dicom_slices()[3]
    study = load_study(named([*slices, _captured(page)]))
    assert_right(study)
    assert "Left out: 1 picture without a place in the patient." in study.notes
    with pytest.raises(UserFacingError, match="projections, renderings, maps or distorted: 1 image"):
        load_study(dicom_files(edit=at(3, ImageType=["DERIVED", "SECONDARY", "MIP"])))
    with pytest.raises(UserFacingError, match="where in the patient"):
        load_study(dicom_files(edit=at(3, ImagePositionPatient=None)))


@pytest.mark.parametrize("words", ["Thorax MIP ax 10/2", "MinIP 5mm cor", "Chest ray-sum", "VRT Lung", "Max IP 8/4"])
def test_a_projection_that_only_the_description_names_is_told_and_refused_where_it_is_derived(words: str) -> None:
    told = load_study(dicom_files(edit=setter(SeriesDescription=words)))
    assert any(note.startswith("The description names a projection") for note in told.notes)
    with pytest.raises(UserFacingError, match="projections, renderings, maps or distorted: 16 images"):
        load_study(dicom_files(edit=setter(SeriesDescription=words, ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])))
    with pytest.raises(UserFacingError, match="projections"):
        load_study(dicom_files(edit=setter(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MIP_10"])))
    usual = load_study(dicom_files(edit=setter(SeriesDescription="Thorax tulip Amiplex")))
    assert not any("projection" in note for note in usual.notes)


def test_bits_that_are_not_stated_are_named_as_such():
    with pytest.raises(UserFacingError, match="do not say how many of the 16 bits"):
        load_study(dicom_files(edit=setter(BitsStored=None, HighBit=None)))


@pytest.mark.parametrize(("slices", "said"), [(2, True), (3, True), (4, False)])
def test_a_volume_of_few_slices_says_so(slices, said):
    notes = load_study(dicom_files(Grid((40, 36, slices)))).notes
    assert any(note.startswith(f"Only {slices} slices") for note in notes) == said


@pytest.mark.parametrize("count", [0, 100_001])
def test_a_number_of_frames_that_cannot_be_is_named(count):
    with pytest.raises(UserFacingError, match=f"counts {count:,} frames"):
        load_study(("frames.dcm", enhanced_file(edit=lambda dataset: setattr(dataset, "NumberOfFrames", count))))


def test_the_private_syntax_of_swapped_pixels_is_named():
    swapped = [
        (name, data.replace(b"1.2.840.10008.1.2\0", b"1.2.840.113619.5.2"))
        for name, data in dicom_files(syntax=IMPLICIT)
    ]
    with pytest.raises(UserFacingError, match="GE's private syntax"):
        load_study(swapped)
