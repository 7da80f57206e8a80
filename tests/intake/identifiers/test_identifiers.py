"""Identifiers planted everywhere are found; none of them is ever repeated."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from ct_factory import Grid, dicom_files, dicom_slices, enhanced_file, named, nifti_file, to_bytes
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core.errors import UserFacingError
from core.intake.identifiers.clean.nifti import rebuild_nifti
from core.load import list_series, load_study
from core.privacy import Finding, find_identifiers

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the real test files in ../shared/data are not here")
MARK = "Zqx"


def marker(number: int) -> str:
    return f"{MARK}{number:03d}^Vwk"


def test_files_that_can_be_gone_through_only_once_are_searched() -> None:
    files = [("a.csv", b"name,patient_id\nJane Roe,12\n"), ("b.csv", b"patient_name\nJane Roe\n")]
    assert find_identifiers(iter(files)) == find_identifiers(files) != ()


STANDARD = [
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "PatientComments",
    "ImageComments",
    "AdditionalPatientHistory",
    "ProtocolName",
    "StationName",
    "DeviceSerialNumber",
    "Occupation",
    "CountryOfResidence",
    "RegionOfResidence",
    "MedicalAlerts",
    "Allergies",
    "AdmissionID",
    "CurrentPatientLocation",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "DerivationDescription",
    "PerformedProcedureStepID",
    "RequestedProcedureID",
    "ContentCreatorName",
    "DeviceID",
    "ResponsiblePerson",
    "ResponsibleOrganization",
    "ContrastBolusAgent",
    "Manufacturer",
    "ReasonForStudy",
]


def planted(dataset: Dataset) -> dict[str, str]:
    """Write one marker into every kind of place of a data set; return place -> marker."""
    places = {}
    for number, keyword in enumerate(STANDARD):
        setattr(dataset, keyword, marker(number))
        places[keyword] = marker(number)
    dataset.PatientIdentityRemoved = "YES"
    dataset.PatientAge = "097Y"
    dataset.AcquisitionDate, dataset.StudyTime = "20200131", "081530"
    block = dataset.private_block(0x0009, "SECRET MAKER", create=True)
    block.add_new(0x01, "LO", marker(100))
    block.add_new(0x02, "OB", marker(101).encode())
    inner = Dataset()
    inner.PatientID = marker(102)
    outer = Dataset()
    outer.OtherPatientIDsSequence = Sequence([inner])
    dataset.ReferencedPatientSequence = Sequence([outer])
    dataset.add(DataElement(0x60003000, "OW", b"\1\2" * 60))
    dataset.add(DataElement(0x60000022, "LO", marker(103)))
    return places


@pytest.fixture(scope="module")
def planted_file() -> bytes:
    dataset = dicom_slices(Grid())[0]
    planted(dataset)
    data = bytearray(to_bytes(dataset))
    data[:12] = marker(110).encode().ljust(12)
    tail = marker(111).encode() + b" "
    return bytes(data) + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, len(tail)) + tail


def test_every_planted_place_is_found_and_masked(planted_file: bytes) -> None:
    found = find_identifiers((f"{marker(120)}.dcm", planted_file))
    places = " ".join(finding.where for finding in found)
    missed = [keyword for keyword in STANDARD if keyword not in places]
    assert not missed
    for place in ("(0009,1001)", "(0009,1002)", "OtherPatientIDsSequence > (0010,0020)", "preamble", "(6000,3000)",
                  "(6000,0022)", "behind the pixel data", "file or folder name", "PatientAge", "AcquisitionDate",
                  ):  # fmt: skip
        assert place in places, place
    assert not any(MARK in str(finding) or "Vwk" in str(finding) for finding in found)
    assert not any("Modality" in finding.where or "PixelSpacing" in finding.where for finding in found)


def test_a_clean_file_has_few_findings() -> None:
    """What is needed for geometry and HU is not reported; the factory's own name, id, dates and UIDs are."""
    found = find_identifiers(dicom_files()[:3])
    keywords = {finding.where.split()[-1] for finding in found if finding.category != "unique identifier"}
    assert keywords == {"PatientName", "PatientID", "PatientBirthDate"}


def test_each_place_is_reported_once_for_a_series() -> None:
    found = find_identifiers(dicom_files())
    assert len(found) == len(set(found))
    assert sum("PatientName" in finding.where for finding in found) == 1


def test_captures_are_suspected_of_burned_in_text() -> None:
    dataset = dicom_slices(Grid())[0]
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    del dataset.ImagePositionPatient
    assert any(finding.category == "burned-in text" for finding in find_identifiers(("a.dcm", to_bytes(dataset))))


def test_a_reformatted_slice_with_its_place_is_no_capture() -> None:
    dataset = dicom_slices(Grid())[0]
    dataset.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
    assert not any(finding.category == "burned-in text" for finding in find_identifiers(("a.dcm", to_bytes(dataset))))


def test_nifti_texts_extensions_and_gzip_headers_are_found() -> None:
    texts = [(4, "10s", b"Zqx001abc"), (14, "18s", b"Zqx002"), (148, "80s", b"Zqx003^Vwk 19450101"),
             (228, "24s", b"Zqx004"), (328, "16s", b"Zqx005")]  # fmt: skip
    plain = nifti_file(patch=texts)
    extension = b"\1\0\0\0" + struct.pack("<ii", 32, 6) + b"Zqx006^Vwk".ljust(24, b"\0")
    data = bytearray(plain[:348] + extension + plain[352:])
    struct.pack_into("<f", data, 108, 352 + 32)
    out = io.BytesIO()
    with gzip.GzipFile("Zqx007^Vwk.nii", "wb", fileobj=out) as packed:
        packed.write(bytes(data))
    found = find_identifiers(("scan.nii.gz", out.getvalue()))
    places = " ".join(finding.where for finding in found)
    for place in ("data_type", "db_name", "descrip", "aux_file", "intent_name", "extension", "gzip header"):
        assert place in places, place
    assert not any(MARK in str(finding) for finding in found)
    assert find_identifiers(("scan.nii", nifti_file())) == ()


@pytest.mark.parametrize("text", [b"DOE", "Петров".encode(), "Jörg".encode(), zlib.compress(b"Quillfeather"), b"\0\0"])
def test_whatever_lies_before_and_behind_the_voxels_is_found(text: bytes) -> None:
    plain = nifti_file()
    apart = bytearray(plain[:352] + text.ljust(32, b"\0") + plain[352:])
    struct.pack_into("<f", apart, 108, 352 + 32)
    for data, place in ((plain + text, "behind the voxels"), (bytes(apart), "NIfTI header extension")):
        found = [item.where for item in find_identifiers(("scan.nii", data), pixels=False)]
        assert found == ([place] if text.strip(b"\0") else [])


HIDDEN = [(136, "4s", b"Quil"), (96, "12s", b"Quillfeather"), (140, "4s", b"QUIL"), (50, "6s", b"QuillF")]
"""toffset, pixdim, glmax and dim of a NIfTI-1 header, beyond what three dimensions use."""


@pytest.mark.parametrize("patch", HIDDEN)
@pytest.mark.parametrize("dtype", ["<i2", ">i2"])
def test_letters_in_the_numbers_of_a_header_are_found(patch: tuple[int, str, bytes], dtype: str) -> None:
    order = dtype[0]
    usual = [(76, f"{order}8f", (1, 0.7421875, 0.7421875, 1.25, 1, 0, 0, 0)), (124, f"{order}2f", (3071, -1024))]
    usual_patch = [(start, f"{len(data)}s", data) for start, data in ((at, struct.pack(k, *v)) for at, k, v in usual)]
    assert find_identifiers(("scan.nii", nifti_file(dtype=dtype, patch=usual_patch)), pixels=False) == ()
    found = find_identifiers(("scan.nii", nifti_file(dtype=dtype, patch=[patch])), pixels=False)
    assert [item.where for item in found] == ["numbers of the NIfTI header"]


@pytest.mark.parametrize("patch", HIDDEN)
def test_a_rebuilt_nifti_file_carries_no_letters_in_its_numbers(patch: tuple[int, str, bytes]) -> None:
    data, _ = rebuild_nifti(nifti_file(patch=[patch]))
    plain = gzip.decompress(data)
    assert patch[2] not in plain
    assert find_identifiers(("scan.nii", plain), pixels=False) == ()
    assert load_study(("a.nii", plain)).spacing_mm == load_study(("a.nii", nifti_file())).spacing_mm


@pytest.mark.parametrize("kind", [b"ni2", b"n+2", b"ni1"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2"])
def test_a_nifti_1_file_is_searched_as_one_whatever_its_texts_begin_with(kind: bytes, dtype: str) -> None:
    data = nifti_file(dtype=dtype, patch=[(4, "10s", kind), (148, "80s", b"DOE^JOHN 19450101")])
    assert load_study(("scan.nii", data)).shape
    found = find_identifiers(("scan.nii", data))
    assert {item.where for item in found} == {"NIfTI field data_type", "NIfTI field descrip"}
    plain = nifti_file(dtype=dtype, patch=[(148, "80s", b"DOE^JOHN 19450101")])
    assert {item.where for item in find_identifiers(("scan.nii", plain))} == {"NIfTI field descrip"}


def test_unreadable_files_are_said_to_be_unsearched() -> None:
    data = to_bytes(dicom_slices(Grid())[0])
    found = find_identifiers(("a.dcm", data[:300]))
    assert isinstance(found, tuple)
    assert all(isinstance(finding, Finding) for finding in found)


def bad_versions(slices: list[Dataset]) -> list[list[Dataset]]:
    """Series that are refused for different reasons, with markers in every text attribute."""
    without_gap = [item for index, item in enumerate(slices) if index != 5]
    return [without_gap, slices[:1], [*slices, slices[0]], slices[::2] + slices[1:4]]


def test_no_message_note_or_summary_repeats_a_marker() -> None:
    """Markers in every text attribute and in names: errors, notes, descriptions and summaries stay free of them."""

    def edit(index: int, dataset: Dataset) -> None:
        planted(dataset)
        dataset.ConvolutionKernel = marker(130)[:16]
        dataset.BodyPartExamined = marker(131)[:16]

    slices = dicom_slices(Grid(), edit=edit)
    said = []
    for version in bad_versions(slices):
        try:
            said += list(load_study([(f"{marker(140)}_{n}", data) for n, (_, data) in enumerate(named(version))]).notes)
        except UserFacingError as error:
            said.append(str(error))
    study = load_study(named(slices))
    said += [*study.notes, study.description, repr(list_series(named(slices)))]
    for keyword in ("Modality", "PhotometricInterpretation", "RescaleType", "ImageType"):
        changed = dicom_slices(Grid(), edit=lambda index, dataset, name=keyword: setattr(dataset, name, "ZQXMARK"))
        try:
            said += list(load_study(named(changed)).notes)
        except UserFacingError as error:
            said.append(str(error))
    for name in ("SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        changed = dicom_slices(Grid())
        for number, dataset in enumerate(changed):
            setattr(dataset, name, f"1.2.99999.{number % 2}")
        try:
            load_study(named(changed))
        except UserFacingError as error:
            said.append(str(error))
    text = " ".join(said)
    assert len(said) > 8
    for secret in (MARK, "Vwk", "ZQXMARK", "99999", "SECRET"):
        assert secret not in text


@needs_data
@pytest.mark.parametrize("path", sorted((SHARED / "dicom_odd").glob("presidio*")), ids=lambda path: path.name)
def test_fake_identifiers_of_real_files_are_found(path: Path) -> None:
    found = find_identifiers(path)
    categories = {finding.category for finding in found}
    assert {"name", "date", "institution", "identifier"} <= categories
    import pydicom

    dataset = pydicom.dcmread(path, force=True)
    said = " ".join(f"{finding.category} {finding.where} {finding.masked}" for finding in found).casefold()
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "InstitutionName", "ReferringPhysicianName"):
        value = str(dataset.get(keyword, ""))
        if value:
            assert keyword.casefold() in said
            assert value.casefold() not in said


def test_nothing_identifying_reaches_the_output_streams(planted_file: bytes, tmp_path: Path) -> None:
    """A fresh process that reads and searches odd files prints no value, not even in warnings or logs."""
    broken = planted_file.replace(b"1.2.826.0.1", b"Zqx.Vwk.0.1")
    (tmp_path / "a.dcm").write_bytes(broken)
    (tmp_path / "b.dcm").write_bytes(planted_file[:1500])
    (tmp_path / "c.dcm").write_bytes(enhanced_file(edit=lambda dataset: setattr(dataset, "PatientName", marker(1))))
    script = (
        "import sys, logging, pathlib; logging.basicConfig(level=0)\n"
        "from core.load import load_study; from core.privacy import find_identifiers\n"
        "from core.errors import UserFacingError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    find_identifiers(path)\n"
        "    try: load_study(path)\n"
        "    except UserFacingError as error: print(error)\n"
    )
    command = [sys.executable, "-W", "default", "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0, done.stderr
    assert "Expected" in done.stdout
    assert MARK not in done.stdout + done.stderr
    assert "Vwk" not in done.stdout + done.stderr


def test_a_source_without_a_file_is_not_called_clean(tmp_path: Path) -> None:
    for source in ([], tmp_path):
        with pytest.raises(UserFacingError, match="holds no file"):
            find_identifiers(source)
    (tmp_path / "plain.csv").write_text("code\nA\n")
    assert find_identifiers(tmp_path) == ()
