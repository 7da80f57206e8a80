"""De-identification, judged in both directions: nothing that identifies survives, nothing that is needed is lost."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel as nib
import numpy as np
import pydicom
import pytest
from corpus_values import deflated_frames, jpeg_xl, plain_frames
from ct_factory import DEFLATED, Grid, dicom_files, dicom_slices, enhanced_file, nifti_file, setter, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from privacy_support import BURNED, MARK, ct_slice, marker, planted_file
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless, JPEGLSNearLossless, RLELossless

from core.__main__ import main
from core.errors import UserFacingError
from core.intake.identifiers import deidentify as deidentification
from core.intake.identifiers.clean.dicom_profile import Rules, clean_dataset, mark_cleaned
from core.intake.identifiers.clean.pseudonyms import Pseudonyms, read_key
from core.intake.identifiers.deidentify import SURVIVED, UNREADABLE, deidentify
from core.intake.identifiers.pictures import ocr
from core.intake.identifiers.pictures.planes import encode
from core.load import load_study
from core.privacy import find_identifiers

KEY = Pseudonyms(b"a secret for tests, 32 bytes long")
TEXT_VRS = ("LO", "SH", "ST", "LT", "UT", "UC", "CS", "PN", "AE", "UR", "AS", "DA", "DT", "TM", "DS", "IS", "UI")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def outputs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def everything(folder: Path) -> bytes:
    """Names and contents of all output files, compressed ones unpacked."""
    parts = []
    for path in outputs(folder):
        data = path.read_bytes()
        parts += [
            str(path.relative_to(folder)).encode(),
            data,
            gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b"",
        ]
    return b"\n".join(parts)


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str, list[str]]:
    """(input, output, what was printed and logged, markers) of the command on the planted file and a NIfTI file."""
    base = tmp_path_factory.mktemp("planted")
    data, markers = planted_file()
    assert len(markers) == 46
    assert all(text.encode() in data for text in markers)
    texts = [(4, "10s", b"Zqx001abc"), (148, "80s", b"Zqx003^Vwk 19450101"), (228, "24s", b"Zqx004")]
    extended = bytearray(nifti_file(patch=texts))
    extended[348:352] = b"\1\0\0\0"
    extended[352:352] = struct.pack("<ii", 32, 6) + b"Zqx006^Vwk".ljust(24, b"\0")
    struct.pack_into("<f", extended, 108, 384)
    source = write(base / "in", {f"{marker(60)}/{marker(61)}.dcm": data, f"{marker(62)}.nii": bytes(extended)})
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        assert main(["deidentify", str(source), str(base / "out")]) == 0
    logging.getLogger().removeHandler(handler)
    return source, base / "out", said.getvalue(), markers


def test_no_marker_survives_in_bytes_names_or_words(cleaned: tuple[Path, Path, str, list[str]]) -> None:
    _, out, said, _ = cleaned
    assert len(outputs(out)) == 2
    assert "2 of 2 files written" in said
    for secret in (MARK, "Vwk", "QUARTZ", " 4711", "097Y", "20200131"):  # bare digits are met in new UIDs by chance
        assert secret.encode() not in everything(out), secret
        assert secret not in said


def test_burned_in_text_is_blanked_and_all_else_is_unchanged(cleaned: tuple[Path, Path, str, list[str]]) -> None:
    source, out, said, _ = cleaned
    before = pydicom.dcmread(next(source.rglob("*.dcm")), force=True)
    after = pydicom.dcmread(next(out.rglob("*.dcm")))
    old, new = before.pixel_array.astype(int) - 1024, after.pixel_array.astype(int) - 1024
    changed = old != new
    assert "text blanked in pixels: 0" not in said
    assert (new[changed] == -1024).all()
    assert (new < 1500).all(), "letters at 2000 HU are gone"
    rows, _ = np.nonzero(changed)
    assert rows.max() < 40, "only the line of text changed"
    assert changed[old > 1500].all(), "every letter"
    assert not any(item.category == "burned-in text" for item in find_identifiers(next(out.rglob("*.dcm"))))


def test_no_more_than_the_line_of_text_is_blanked(tmp_path: Path) -> None:
    """The line is written from column 8 to 131; a place is longer than it by its height at both ends."""
    before = ct_slice(0, 320, text=BURNED)
    deidentify(write(tmp_path / "in", {"a": to_bytes(before)}), tmp_path / "out", pseudonyms=KEY)
    after = pydicom.dcmread(outputs(tmp_path / "out")[0])
    rows, columns = np.nonzero(after.pixel_array != np.frombuffer(before.PixelData, "<u2").reshape(320, 320))
    assert rows.max() < 40
    assert 120 < columns.max() < 180


def test_what_is_needed_stays(cleaned: tuple[Path, Path, str, list[str]]) -> None:
    source, out, _, _ = cleaned
    before = pydicom.dcmread(next(source.rglob("*.dcm")), force=True)
    after = pydicom.dcmread(next(out.rglob("*.dcm")))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows",
                    "RescaleSlope", "RescaleIntercept", "RescaleType", "Modality", "ImageType", "PatientSex",
                    "ConvolutionKernel", "SOPClassUID", "StudyTime", "InstanceNumber"):  # fmt: skip
        assert after[keyword].value == before[keyword].value, keyword
    assert after.PatientIdentityRemoved == "YES"
    assert after.BurnedInAnnotation == "NO"
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"
    assert "113100" in [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert after.preamble == b"\0" * 128
    old, new = (nib.load(path) for path in (next(source.rglob("*.nii")), next(out.rglob("*.nii.gz"))))
    assert (np.asarray(old.dataobj) == np.asarray(new.dataobj)).all()
    assert (old.affine == new.affine).all()
    assert new.header.extensions == []
    assert bytes(new.header["descrip"]).strip(b"\0") == b""


@pytest.mark.parametrize("number", [b"7 ", b"12A ", b"\xb2 "])
def test_an_instance_number_that_is_none_keeps_no_file_out(tmp_path: Path, number: bytes) -> None:
    """A superscript two is a digit to Python, and no number."""
    (dataset, *_) = dicom_slices(Grid((48, 40, 2), (6.0, 6.0, 8.0)))
    dataset[Tag(0x00200013)] = RawDataElement(Tag(0x00200013), "IS", len(number), number, 0, False, True)
    report = deidentify(write(tmp_path / "in", {"a.dcm": to_bytes(dataset)}), tmp_path / "out")
    assert (report.written, dict(report.left_out)) == (1, {})


def test_a_series_loads_to_the_same_voxels_and_stays_one_series(tmp_path: Path) -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.ProtocolName, dataset.StudyDescription = "Thorax (Adult) DOE", "CT chest, Praxis Zqxberg 12"
        dataset.SoftwareVersions, dataset.ContrastBolusAgent = "syngo CT 2012B room 7", "Ultravist 300 Zqx"

    files = dict(dicom_files(edit=edit))
    report = deidentify(write(tmp_path / "in", files), tmp_path / "out", pseudonyms=KEY)
    before, after = load_study(tmp_path / "in"), load_study(tmp_path / "out")
    assert report.written == len(files), report.left_out
    assert b"Zqx" not in everything(tmp_path / "out")
    assert (before.voxels_hu == after.voxels_hu).all()
    assert (before.affine_mm == after.affine_mm).all()
    sets = [pydicom.dcmread(path) for path in outputs(tmp_path / "out")]
    assert len({item.SeriesInstanceUID for item in sets}) == len({item.PatientID for item in sets}) == 1
    assert len({item.SOPInstanceUID for item in sets}) == len(files)


@pytest.mark.parametrize(("near", "said"), [(2, "01"), (0, None)])
def test_a_loss_that_only_the_stream_tells_of_is_written_down(tmp_path: Path, near: int, said: str | None) -> None:
    dataset = ct_slice(0, 320)
    plane = np.frombuffer(dataset.PixelData, "<u2").reshape(320, 320)
    dataset.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(plane, level=near))])
    write(tmp_path / "in", {"a": to_bytes(dataset, JPEGLSNearLossless)})
    deidentify(tmp_path / "in", tmp_path / "out", pseudonyms=KEY)
    assert pydicom.dcmread(outputs(tmp_path / "out")[0]).get("LossyImageCompression") == said


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_come_out_bit_for_bit(tmp_path: Path, syntax: str) -> None:
    dataset = pydicom.dcmread(io.BytesIO(to_bytes(ct_slice(1))))
    wanted = dataset.pixel_array.copy()
    dataset.compress(syntax)
    out = io.BytesIO()
    dataset.save_as(out)
    deidentify(write(tmp_path / "in", {"a": out.getvalue()}), tmp_path / "out", pseudonyms=KEY)
    assert (pydicom.dcmread(outputs(tmp_path / "out")[0]).pixel_array == wanted).all()


@pytest.mark.parametrize("series", [jpeg_xl, deflated_frames, plain_frames])
def test_compressions_younger_than_the_dictionary_come_out_bit_for_bit(
    tmp_path: Path, series: Callable[[], list[tuple[str, bytes]]]
) -> None:
    source = write(tmp_path / "in", dict(series()))
    assert not [finding for finding in find_identifiers(source) if finding.category == "trailing bytes"]
    assert deidentify(source, tmp_path / "out", pseudonyms=KEY).written == 12
    before, after = load_study(source), load_study(tmp_path / "out")
    assert (before.voxels_hu == after.voxels_hu).all()


def test_uids_and_dates_are_consistent_per_patient_across_runs_with_one_key(tmp_path: Path) -> None:
    first, second, other = ct_slice(0, 24), ct_slice(1, 24), ct_slice(2, 24)
    second.StudyDate, second.StudyInstanceUID = "20200310", "1.2.3.4"
    other.PatientID, other.PatientName, other.StudyInstanceUID = "T2", "Another^One", "1.2.3.5"
    second.ReferencedImageSequence = Sequence([Dataset()])
    second.ReferencedImageSequence[0].ReferencedSOPInstanceUID = first.SOPInstanceUID
    key = tmp_path / "key"
    key.write_bytes(b"sixteen bytes and more")
    got = []
    for run, files in enumerate(({"a": first, "b": second, "c": other}, {"b": second})):
        source = write(tmp_path / f"in{run}", {name: to_bytes(item) for name, item in files.items()})
        deidentify(source, tmp_path / f"out{run}", pseudonyms=read_key(key))
        got.append([pydicom.dcmread(path) for path in outputs(tmp_path / f"out{run}")])
    ours = [item for item in got[0] if item.PatientID == got[1][0].PatientID]
    assert len(ours) == 2
    assert len({item.PatientID for item in got[0]}) == 2
    one, two = sorted(ours, key=lambda item: item.StudyDate)
    days = [np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in (one.StudyDate, two.StudyDate)]
    assert (days[1] - days[0]).astype(int) == 39
    assert one.StudyDate != "20200131"
    assert two.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert (two.StudyDate, two.SOPInstanceUID) == (got[1][0].StudyDate, got[1][0].SOPInstanceUID)


def test_a_name_within_a_sequence_becomes_the_pseudonym_and_the_image_stays(tmp_path: Path) -> None:
    image, item = ct_slice(0), Dataset()
    item.PatientName, item.PatientID, item.ReferencedSOPInstanceUID = MARK, MARK, "1.2.3"
    image.ReferencedImageSequence = Sequence([item])
    report = deidentify(write(tmp_path / "in", {"a.dcm": to_bytes(image)}), tmp_path / "out", pseudonyms=KEY)
    assert (report.written, dict(report.left_out)) == (1, {})
    assert MARK.encode() not in everything(tmp_path / "out")
    kept = pydicom.dcmread(outputs(tmp_path / "out")[0])
    assert kept.ReferencedImageSequence[0].PatientName == kept.PatientName


@pytest.mark.parametrize("stated", [None, "", "Quartz 4711"])
def test_what_must_not_be_empty_is_not(tmp_path: Path, stated: str | None) -> None:
    """Type 1 attributes: of trials (C.7.1.3), and what multi-frame images say of the scanner (C.7.5.2)."""

    def edit(dataset: Dataset) -> None:
        dataset.ClinicalTrialSponsorName = dataset.ClinicalTrialProtocolID = "Quartz 4711"
        dataset.ManufacturerModelName = "SOMATOM Force"
        for keyword in ("Manufacturer", "DeviceSerialNumber"):
            dataset.pop(keyword, None)
            if stated is not None:
                setattr(dataset, keyword, stated)

    deidentify(write(tmp_path / "in", {"e.dcm": enhanced_file(edit=edit)}), tmp_path / "out", pseudonyms=KEY)
    (path,) = outputs(tmp_path / "out")
    cleaned = pydicom.dcmread(path)
    removed = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "Manufacturer", "DeviceSerialNumber")
    assert [cleaned.get(keyword) for keyword in removed] == ["REMOVED"] * 4
    assert cleaned.ManufacturerModelName == "SOMATOM Force"
    found = {item.where.split()[-1] for item in find_identifiers(path, pixels=False)}
    assert "PatientID" in found
    assert not found & {*removed}


def test_enhanced_files_keep_their_frames(tmp_path: Path) -> None:
    deidentify(write(tmp_path / "in", {"e.dcm": enhanced_file()}), tmp_path / "out", pseudonyms=KEY)
    before, after = load_study(tmp_path / "in"), load_study(tmp_path / "out")
    assert (before.voxels_hu == after.voxels_hu).all()
    assert (before.affine_mm == after.affine_mm).all()


def test_overlay_bits_above_the_stored_ones_are_cleared(tmp_path: Path) -> None:
    dataset = ct_slice(0, 48)
    values = np.frombuffer(dataset.PixelData, "<u2").copy()
    dataset.PixelData = (values | 0x8000).astype("<u2").tobytes()
    deidentify(write(tmp_path / "in", {"a": to_bytes(dataset)}), tmp_path / "out", pseudonyms=KEY)
    data = pydicom.dcmread(outputs(tmp_path / "out")[0]).PixelData
    assert (np.frombuffer(data, "<u2") == values).all()


def test_pictures_of_text_and_documents_are_left_out_with_a_reason(tmp_path: Path) -> None:
    said_yes, report_class, junk = ct_slice(0, 48), ct_slice(1, 48), b"John Doe was here"
    said_yes.BurnedInAnnotation = "YES"
    report_class.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    files = {"a": to_bytes(said_yes), "b": to_bytes(report_class), "c.txt": junk, "d": to_bytes(ct_slice(2, 48))}
    capture = ct_slice(3, 48)
    capture.ImageType = ["DERIVED", "SECONDARY"]
    files["e"], files["f"] = files["d"][:-200], to_bytes(capture)
    report = deidentify(write(tmp_path / "in", files), tmp_path / "out", pseudonyms=KEY)
    assert report.written == 2
    assert sum(report.left_out.values()) == 4
    assert len(report.left_out) == 4, "four different reasons"


def test_folders_are_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in", {"a": to_bytes(ct_slice(0, 24))})
    full = write(tmp_path / "full", {"x": b"1"})
    short = write(tmp_path, {"key": b"short"}) / "key"
    cases = [
        [str(source), str(source / "out")], [str(source), str(source)], [str(source), str(tmp_path)],
        [str(source), str(full)], [str(tmp_path / "none"), str(tmp_path / "out")],
        [str(source), str(tmp_path / "out"), "--key-file", str(short)],
        [str(full), str(tmp_path / "out")],
    ]  # fmt: skip
    for arguments in cases:
        assert main(["deidentify", *arguments]) == 2, arguments
        error = capsys.readouterr().err
        assert "Expected" in error
        assert error.count("\n") <= 2
    assert not (tmp_path / "out").exists()
    assert outputs(source) == [source / "a"]


def test_nothing_is_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(scratch)
    source = write(tmp_path / "in", {"a": to_bytes(ct_slice(0, 48)), "b.nii": nifti_file()})
    before = {path: path.read_bytes() for path in outputs(source)}
    deidentify(source, tmp_path / "out", pseudonyms=KEY)
    assert outputs(scratch) == []
    assert {path: path.read_bytes() for path in outputs(source)} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "scratch"]


def test_a_deflated_bomb_is_left_out_within_the_limits(tmp_path: Path) -> None:
    plain, dataset = to_bytes(ct_slice(1, 24), DEFLATED), ct_slice(0, 24)
    dataset.add(DataElement(0x00420011, "OB", b"\0" * 80_000_000))
    bomb = to_bytes(dataset, DEFLATED)
    assert len(bomb) < 200_000
    report = deidentify(write(tmp_path / "in", {"a": bomb, "b": plain}), tmp_path / "out", pseudonyms=KEY)
    assert report.written == 1
    assert report.left_out == {UNREADABLE: 1}


KEYWORDS = sorted(
    entry[4] for tag, entry in DicomDictionary.items() if entry[0] in TEXT_VRS and tag >> 16 >= 8 and entry[4]
)


@settings(max_examples=60, deadline=None)
@given(
    keyword=st.sampled_from(KEYWORDS),
    secret=st.from_regex(r"[A-Z][a-z]{4,7}[0-9]{3}[a-z]{3}", fullmatch=True),
    depth=st.integers(0, 3),
    private=st.booleans(),
)
def test_a_marker_in_any_text_attribute_never_survives(keyword: str, secret: str, depth: int, private: bool) -> None:
    item = Dataset()
    vr = next(entry[0] for entry in DicomDictionary.values() if entry[4] == keyword)
    value = {"UI": f"1.2.{sum(secret.encode())}.99817"}.get(vr, secret)
    planted = RawDataElement(Tag(keyword), vr, len(value), value.encode(), 0, False, True)
    item[planted.tag] = planted
    if private:
        item.private_block(0x0011, secret, create=True).add_new(0x01, "UT", secret)
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([item])
        item = outer
    dataset = ct_slice_without_pixels()
    dataset.SourceImageSequence = Sequence([item])
    assert value.encode() in raw_bytes(dataset), "it is there to be found"
    clean_dataset(dataset, Rules(KEY, "P1", -40, frozenset()))
    mark_cleaned(dataset, 0)
    data = encode(dataset)
    assert secret.encode() not in data
    assert b".99817" not in data


def raw_bytes(dataset: Dataset) -> bytes:
    """The data set as it would be written, whatever its values."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset)
    return out.getvalue()


def ct_slice_without_pixels() -> Dataset:
    dataset = dicom_slices(Grid((4, 4, 1)))[0]
    del dataset.PixelData
    return dataset


def test_plain_descriptions_stay_and_makers_are_kept() -> None:
    """The other direction: words that identify nobody are not thrown away."""
    dataset = ct_slice_without_pixels()
    dataset.Manufacturer, dataset.ManufacturerModelName = "SIEMENS", "Brilliance64 Definition Flash"
    dataset.SoftwareVersions, dataset.BodyPartExamined, dataset.PatientPosition = "syngo CT VA48A", "CHEST", "HFS"
    dataset.SeriesDescription, dataset.KVP, dataset.PatientWeight = "Thorax 2.0 B40f", "120", "71.5"
    dataset.StudyDescription = "CT chest for DOE JOHN"
    kept = {name: dataset[name].value for name in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions",
            "BodyPartExamined", "PatientPosition", "SeriesDescription", "KVP", "PatientWeight")}  # fmt: skip
    clean_dataset(dataset, Rules(KEY, "P1", -40, frozenset(("doe", "john"))))
    assert {name: dataset[name].value for name in kept} == kept
    assert dataset.StudyDescription == "CT chest"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["DERIVED", "PRIMARY", "AXIAL", "QET_IODINE"], "IODINE"),
        (["DERIVED", "PRIMARY", "AXIAL", "DE_PBV_ZQX"], "PBV"),
        (["DERIVED", "SECONDARY", "OTHER", "STD_DEVIATION"], "STD_DEVIATION"),
        (["DERIVED", "PRIMARY", "AXIAL", "ZQX MIP"], "MIP"),
        (["DERIVED", "PRIMARY", "AXIAL", "DOE_JOHN"], ""),
    ],
)
def test_what_makes_pixels_no_slice_is_still_said(tmp_path: Path, written: list[str], kept: str) -> None:
    """A map of iodine that no longer says so would open as a CT in HU."""
    files = dict(dicom_files(edit=setter(ImageType=written)))
    deidentify(write(tmp_path / "in", files), tmp_path / "out", pseudonyms=KEY)
    assert pydicom.dcmread(outputs(tmp_path / "out")[0]).ImageType[3:] == ([kept] if kept else [""])
    assert not [word for word in (b"ZQX", b"DOE") if word in everything(tmp_path / "out")]
    if kept:
        with pytest.raises(UserFacingError, match="projections, renderings, maps"):
            load_study(tmp_path / "out")
    else:
        assert load_study(tmp_path / "out").notes


@pytest.mark.parametrize(
    ("written", "kept"), [("HU", "HU"), ("MGML", "MGML"), ("SUV ZQX", "US"), ("%", "US"), ("", "")]
)
def test_a_unit_that_does_not_stay_is_an_unspecified_one(written: str, kept: str) -> None:
    dataset = ct_slice_without_pixels()
    dataset.RescaleType = written
    clean_dataset(dataset, Rules(KEY, "P1", -40, frozenset()))
    assert (dataset.RescaleType or "") == kept


def test_errors_of_a_refused_source_hold_no_marker(tmp_path: Path) -> None:
    source = write(tmp_path / marker(70), {f"{marker(71)}.txt": marker(72).encode()})
    with pytest.raises(UserFacingError) as caught:
        deidentify(source, tmp_path / "out")
    assert MARK not in str(caught.value)
    assert BURNED not in str(caught.value)


@pytest.mark.parametrize("version", [1, 2])
def test_a_rebuilt_volume_is_searched_again_and_left_out_where_a_text_survived(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = 148 if version == 1 else 240
    data = nifti_file(version=version, patch=[(offset, "80s", b"Zqx003^Vwk 19450101")])
    source = write(tmp_path / "in", {"a.nii": data, "b": to_bytes(ct_slice(0, 24))})
    assert deidentify(source, tmp_path / "out", pseudonyms=KEY).written == 2
    monkeypatch.setattr(deidentification, "rebuild_nifti", lambda data: (gzip.compress(bytes(data)), 0))
    report = deidentify(source, tmp_path / "again", pseudonyms=KEY)
    assert (report.written, report.left_out) == (1, {SURVIVED: 1})
    assert b"Zqx" not in everything(tmp_path / "again")


def test_progress_is_told_for_volumes_too_and_reaches_the_end(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    files = {"a.nii": nifti_file(), "b.nii": nifti_file(), "c": to_bytes(ct_slice(0, 24)), "d.txt": b"no image"}
    source = write(tmp_path / "in", files)
    report = deidentify(
        source, tmp_path / "out", pseudonyms=KEY, progress=lambda share, words: told.append((share, words))
    )
    assert told[-1] == (1.0, "4 of 4 files")
    assert report.lines()[:2] == ["3 of 4 files written, 1 patient", "left out: 1 file (neither DICOM nor NIfTI)"]
    assert [share for share, _ in told] == sorted(share for share, _ in told)


@pytest.mark.parametrize("name", ["a.nii", "a.dcm"])
def test_a_missing_text_reader_is_said_and_no_file_is_called_damaged(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = nifti_file(Grid((48, 48, 3))) if name == "a.nii" else to_bytes(ct_slice(0, 48))
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    ocr._engine.cache_clear()
    with pytest.raises(UserFacingError, match="text reader does not start"):
        deidentify(write(tmp_path / "in", {name: data}), tmp_path / "out", pseudonyms=KEY)
    with pytest.raises(UserFacingError, match="text reader does not start"):
        find_identifiers(tmp_path / "in")
    ocr._engine.cache_clear()


@pytest.mark.parametrize(("field", "value"), [("vox_offset", 100), ("vox_offset", 0), ("dim", 5)])
def test_a_volume_whose_header_lies_about_its_voxels_is_left_out(tmp_path: Path, field: str, value: int) -> None:
    """Voxels that begin within the header would carry its texts into the picture."""
    plain = nifti_file(Grid((30, 24, 12)))
    header = nib.Nifti1Header(plain[:348], check=False)
    header["descrip"] = b"ZQXBERG JANE"
    good = header.binaryblock + plain[348:]
    if field == "dim":
        header["dim"][3] = value
    else:
        header[field] = value
    bad = header.binaryblock + plain[348:]
    with pytest.raises(UserFacingError, match="could not be searched"):
        deidentify(write(tmp_path / "bad", {"a.nii": bad}), tmp_path / "out", pseudonyms=KEY)
    assert deidentify(write(tmp_path / "good", {"a.nii": good}), tmp_path / "well", pseudonyms=KEY).written == 1


@pytest.mark.parametrize(("code", "kept"), [(1002, 1002), (0, 0), (9999, 0)])
def test_a_declared_meaning_of_the_values_stays(tmp_path: Path, code: int, kept: int) -> None:
    plain = nifti_file(Grid((30, 24, 12)))
    header = nib.Nifti1Header(plain[:348], check=False)
    header["intent_code"] = code
    deidentify(write(tmp_path / "in", {"a.nii": header.binaryblock + plain[348:]}), tmp_path / "out", pseudonyms=KEY)
    assert int(nib.load(next((tmp_path / "out").rglob("*.nii.gz"))).header["intent_code"]) == kept


def test_a_link_to_itself_and_a_name_without_end_are_refused_in_words(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(UserFacingError):
        deidentify(loop, tmp_path / "out")
    source = write(tmp_path / "in", dict(dicom_files()))
    with pytest.raises(UserFacingError, match="output folder cannot be made"):
        deidentify(source, tmp_path / ("x" * 300))


def test_a_rescale_of_nothing_keeps_no_image_out(tmp_path: Path) -> None:
    flat = {}
    for number, dataset in enumerate(dicom_slices()):
        dataset.RescaleSlope = 0
        flat[f"{number}.dcm"] = to_bytes(dataset)
    report = deidentify(write(tmp_path / "in", flat), tmp_path / "out")
    assert report.written == len(flat)
