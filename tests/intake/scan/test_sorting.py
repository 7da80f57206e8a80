"""What lies in a source: series that can never be a volume are no choice beside one that can."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from corpus_enhanced import item
from corpus_geometry import scout, unmarked_scout
from ct_factory import (
    IDENTIFIERS,
    Edit,
    Grid,
    NamedBytes,
    assert_right,
    dicom_files,
    dicom_slices,
    named,
    nifti_file,
    put_pixels,
    setter,
    to_bytes,
)
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.tag import Tag

from core.errors import UserFacingError
from core.load import RepairableError, list_series, load_study
from core.timeline import load_timeline

GRID = Grid()
FINE = Grid(spacing_mm=(1.5, 1.25, 1.0), shape=(24, 20, 20))


@pytest.mark.parametrize("name", ["labs.csv", "events.parquet", "bundle.JSON"])
def test_a_record_in_the_place_of_the_ct_is_told_from_any_other_file(name: str) -> None:
    with pytest.raises(UserFacingError, match="a kind that records come in") as refused:
        load_study([(name, b"subject_id,time,code")])
    assert "as the record" in refused.value.next_step
    with pytest.raises(UserFacingError, match="holds no CT image") as refused:
        load_study([("labs.md", b"subject_id,time,code")])
    assert "record" not in str(refused.value)


def test_a_table_beside_images_of_another_modality_hides_them_not() -> None:
    with pytest.raises(UserFacingError, match="only images of: magnetic resonance"):
        load_study([*dicom_files(edit=setter(Modality="MR")), ("labs.csv", b"code")])


def watching(index: int, dataset: object) -> None:
    """Images that watch the contrast arrive: one place, an acquisition and a moment each."""
    setter(ImagePositionPatient=[0, 0, 5], AcquisitionNumber=index + 1, ContentTime=f"1014{index:02d}")(index, dataset)


def two_directions(index: int, dataset: object) -> None:
    unmarked_scout(index, dataset)
    setter(ImageOrientationPatient=[1, 0, 0, 0, 0, -1] if index else [0, 1, 0, 0, 0, -1])(index, dataset)


def beside_each_other(index: int, dataset: object) -> None:
    """Images in one plane, shifted within it."""
    setter(ImagePositionPatient=[10.0 * index, 0, 5])(index, dataset)


PAGE = setter(
    ImagePositionPatient=None, ImageOrientationPatient=None, ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]
)
FLAT: dict[str, tuple[Edit | None, int, str]] = {
    "single image": (None, 1, "1 image"),
    "bolus tracking": (watching, 10, "10 images at one place"),
    "page of the protocol": (PAGE, 1, "1 image without a position"),
    "pages of the protocol": (PAGE, 3, "3 images without a position"),
    "unmarked scout": (unmarked_scout, 1, "1 image"),
    "unmarked scouts of two directions": (two_directions, 2, "2 images that are not parallel"),
    "images in one plane": (beside_each_other, 3, "3 images that are not parallel"),
    "scouts": (scout, 2, "2 localizer images"),
}


def flat(case: str, seed: int = 7) -> list[NamedBytes]:
    edit, count, _ = FLAT[case]
    return [(f"flat/{seed}/{name}", data) for name, data in dicom_files(edit=edit, seed=seed)[:count]]


@pytest.mark.parametrize("case", FLAT)
def test_a_series_that_can_never_be_a_volume_is_no_choice(case: str) -> None:
    files = [*flat(case), *dicom_files()]
    study = load_study(files)
    assert_right(study)
    assert f"Passed over: a series of {FLAT[case][2]}." in study.notes
    assert [item.slices for item in list_series(files)] == [GRID.shape[2]]


def test_several_such_series_are_passed_over_together() -> None:
    others = [file for number, case in enumerate(FLAT, 7) for file in flat(case, number)]
    study = load_study([*others, *dicom_files()])
    assert_right(study)
    assert sum(note.startswith("Passed over: a series") for note in study.notes) == len(FLAT)


def test_two_volumes_remain_a_choice_and_nothing_else_is_one() -> None:
    files = [*flat("bolus tracking"), *dicom_files(), *dicom_files(FINE, seed=1)]
    with pytest.raises(UserFacingError, match="2 CT series"):
        load_study(files)
    assert [item.slices for item in list_series(files)] == [20, 16]


def test_two_slices_are_a_volume_to_choose() -> None:
    with pytest.raises(UserFacingError, match="2 CT series"):
        load_study([*dicom_files(), *dicom_files(seed=3)[:2]])


def test_a_series_in_doubt_stays_a_choice() -> None:
    """One slice has lost its position: the series may be the one that is wanted."""
    lost = dicom_files(edit=lambda i, d: delattr(d, "ImagePositionPatient") if i == 3 else None, seed=3)
    with pytest.raises(UserFacingError, match="2 CT series"):
        load_study([*dicom_files(), *lost])


def test_where_nothing_can_be_a_volume_the_refusal_says_what_there_is() -> None:
    files = [*flat("bolus tracking", 1), *flat("single image", 2), *flat("single image", 3), *flat("scouts", 4)]
    for ask in (load_study, list_series):
        with pytest.raises(UserFacingError, match="No series of the source can be a volume") as caught:
            ask(files)
        assert "2 series of 1 image; 1 series of 10 images at one place; 1 series of 2 local" in caught.value.found
        assert not any(term in str(caught.value) for term in IDENTIFIERS)


def test_damage_is_said_before_what_is_left() -> None:
    files = [*flat("single image", 2), *flat("single image", 3), ("broken.dcm", dicom_files()[0][1][:700])]
    with pytest.raises(UserFacingError, match="Damaged"):
        load_study(files)
    assert len(list_series(files)) == 2


def on_a_disc(*lost: int, modality: str = "CT") -> list[NamedBytes]:
    """A disc with a DICOMDIR that lists every slice, some of them lost."""
    records = [item(DirectoryRecordType="PATIENT")[0], item(DirectoryRecordType="SERIES", Modality=modality)[0]]
    files = []
    for index, (_, data) in enumerate(dicom_files()):
        records += item(DirectoryRecordType="IMAGE", ReferencedFileID=["DICOM", f"IM{index:04d}"])
        files += [] if index in lost else [(f"disc/dicom/im{index:04d}.;1", data)]
    listing = Dataset()
    listing.SOPClassUID, listing.SOPInstanceUID = "1.2.840.10008.1.3.10", "1.2.11"
    listing.DirectoryRecordSequence = records
    return [("disc/DICOMDIR", to_bytes(listing)), *files]


def test_images_that_the_disc_lists_but_does_not_hold_are_noted() -> None:
    note = "Listed in the DICOMDIR but not here: 3 images of a CT series."
    assert note in load_study(on_a_disc(13, 14, 15)).notes
    for whole in (on_a_disc(), on_a_disc(15, modality="SR"), [*on_a_disc(*range(16)), *dicom_files()]):
        assert not any("DICOMDIR" in said for said in load_study(whole).notes)


def test_a_damaged_list_of_a_disc_changes_nothing() -> None:
    (_, listing), *slices = on_a_disc()
    nested = listing + b"\x04\x00\x20\x12SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 100_000
    for damaged in (listing[: len(listing) // 2], b"\0" * 500, listing.replace(b"SERIES", b"\xff\0\xfe\1\2\3"), nested):
        assert_right(load_study([("disc/DICOMDIR", damaged), *slices]))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [("a.nrrd", b"NRRD0004\ntype: short\n", "NRRD"), ("a.mha", b"ObjectType = Image\nNDims = 3\n", "MetaImage")],
)
def test_other_volume_files_are_called_by_their_names(name: str, data: bytes, kind: str) -> None:
    with pytest.raises(UserFacingError, match=f"{kind}.*Save it as NIfTI"):
        load_study((name, data + bytes(400)))


def test_eight_bits_are_noted() -> None:
    slices = dicom_slices(GRID, edit=setter(BitsAllocated=8, BitsStored=8, HighBit=7, RescaleSlope=10))
    for dataset in slices:
        dataset.PixelData = dataset.PixelData[::2]
        dataset["PixelData"].VR = "OB"
    assert any("8 bits" in note for note in load_study(named(slices)).notes)
    assert not any("8 bits" in note for note in load_study(dicom_files()).notes)


@pytest.mark.parametrize("path", ["QUARTZSON/" * 2000, "QUARTZSON" * 100, "a\0b"], ids=["long", "long name", "NUL"])
def test_a_path_that_no_system_takes_is_refused_without_its_words(path: str) -> None:
    for read in (load_study, list_series, load_timeline):
        with pytest.raises(UserFacingError, match="no file or folder at this path") as refusal:
            read(path)
        assert "QUARTZSON" not in str(refusal.value)


def test_the_directory_of_a_disc_alone_points_to_its_folder(tmp_path: Path) -> None:
    files = FileSet()
    for image in dicom_slices(Grid((8, 8, 4))):
        put_pixels(image, np.zeros((8, 8)))
        image.StudyDate, image.StudyTime, image.StudyID, image.SeriesNumber = "20200101", "10", "1", 1
        files.add(dcmread(BytesIO(to_bytes(image))))
    files.write(tmp_path)
    with pytest.raises(UserFacingError, match="the folder in which it lies"):
        load_study(tmp_path / "DICOMDIR")


NAMES = {
    "two character sets": (("ISO_IR 192", "Quartz^Jörg".encode()), ("ISO_IR 100", "Quartz^Jörg".encode("latin-1"))),
    "ideographic group": (("ISO_IR 192", "Wang^Li=王^麗".encode()), ("ISO_IR 192", b"Wang^Li")),
    "composed or not": (("ISO_IR 192", "Quartz^Jörg".encode()), ("ISO_IR 192", "Quartz^Jo\u0308rg".encode())),
}


@pytest.mark.parametrize("name", NAMES)
def test_one_name_written_in_two_ways_is_one_patient(name: str) -> None:
    def write(index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet, raw = NAMES[name][index % 2]
        tag = Tag("PatientName")
        dataset[tag] = RawDataElement(tag, "PN", len(raw), raw, 0, False, True)

    assert_right(load_study(dicom_files(edit=write)))


def test_two_names_are_two_patients_in_any_character_set() -> None:
    def write(index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet, raw = "ISO_IR 192", ("Quartz^Jürg" if index % 2 else "Quartz^Jörg").encode()
        dataset[Tag("PatientName")] = RawDataElement(Tag("PatientName"), "PN", len(raw), raw, 0, False, True)

    with pytest.raises(UserFacingError, match="2 different patient names"):
        load_study(dicom_files(edit=write))


def test_where_there_are_masks_only_one_of_them_can_be_chosen() -> None:
    mask = nifti_file(dtype="u1", data=np.ones(GRID.shape, np.uint8))
    with pytest.raises(UserFacingError, match="2 CT series"):
        load_study([("a.nii", mask), ("b.nii", mask)])


@pytest.mark.parametrize(
    ("data", "words"), [(b"%PDF-1.7 report", "a PDF document"), (b"\xff\xd8\xff\xe0 photo", "a picture (JPEG)")]
)
def test_a_document_or_a_photo_given_as_the_ct_is_called_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(UserFacingError, match=re.escape(words)):
        load_study([("x", data)])


@pytest.mark.parametrize("name", ["a.dcm", "a.nii.gz", "a.zip", "a"])
def test_files_without_a_byte_are_called_empty(name: str) -> None:
    with pytest.raises(UserFacingError, match=r"^The file is empty\."):
        load_study((name, b""))
    with pytest.raises(UserFacingError, match="All 2 files are empty"):
        load_study([(name, b""), ("b", b"")])
    with pytest.raises(UserFacingError, match="1 DICOM file, 1 of them empty"):
        load_study([*dicom_files(), ("empty.dcm", b"")])


def test_files_that_cannot_be_read_are_placed_and_left_out_where_the_reader_says_so() -> None:
    source = [*dicom_files(), ("zz.dcm", b""), ("aa.dcm", b"junk" * 100)]
    with pytest.raises(
        RepairableError, match=r"2 DICOM files, 1 of them empty .by name, number 1 and 18 of 18\)"
    ) as seen:
        load_study(source)
    assert seen.value.repairs == ("leave_out_unreadable",)
    study = load_study(source, repairs=["leave_out_unreadable"])
    assert_right(study)
    assert any(note.startswith("Repaired: left out, as damaged and unreadable: 2") for note in study.notes)


def test_a_damaged_slice_that_is_left_out_leaves_a_gap_that_is_refused() -> None:
    files = dicom_files()
    files[5] = (files[5][0] + ".dcm", files[5][1][:200])
    with pytest.raises(RepairableError, match="1 slice is missing"):
        load_study(files, repairs=["leave_out_unreadable"])
    with pytest.raises(RepairableError) as caught:
        load_study([("a.dcm", b"junk" * 100)], repairs=["leave_out_unreadable"])
    assert caught.value.repairs == ()
