"""What lies in pixel data beside the picture, in icons, tables and preambles: found where it is text, else silent."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_factory import to_bytes
from PIL import Image
from privacy_support import ct_slice
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from core.intake.identifiers.deidentify import deidentify
from core.privacy import find_identifiers


def places(data: bytes) -> list[str]:
    return [f"{item.category}: {item.where}" for item in find_identifiers(("a.dcm", data), pixels=False)]


@pytest.mark.parametrize(("extra", "found"), [(b"Quillfeather", True), (b"\0\0", False), (b"", False)])
def test_bytes_behind_the_picture(extra: bytes, found: bool) -> None:
    dataset = ct_slice(0, 48)
    dataset.PixelData += extra
    assert any("behind the picture" in place for place in places(to_bytes(dataset))) == found


@pytest.mark.parametrize(("padding", "found"), [(None, True), (0x8000 | 24, False)], ids=["overlay", "padding"])
def test_bits_above_the_stored_ones(padding: int | None, found: bool) -> None:
    dataset = ct_slice(0, 48)
    values = np.frombuffer(dataset.PixelData, "<u2").copy()
    dataset.BitsStored, dataset.HighBit = 13, 12
    values[:40] = 0x8000 | 24
    dataset.PixelData = values.tobytes()
    if padding:
        dataset.PixelPaddingValue = padding
        dataset["PixelPaddingValue"].VR = "US"
    assert any("bits above" in place for place in places(to_bytes(dataset))) == found


@pytest.mark.parametrize(("comment", "found"), [(b"Quillfeather John", True), (b"LEAD Technologies Inc. V1.01", False)])
def test_comments_of_compressed_pictures(comment: bytes, found: bool) -> None:
    dataset, packed = ct_slice(0, 48), io.BytesIO()
    grey = (np.frombuffer(dataset.PixelData, "<u2").reshape(48, 48) >> 4).astype(np.uint8)
    Image.fromarray(grey).save(packed, "JPEG", comment=comment)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = encapsulate([packed.getvalue()])
    dataset["PixelData"].VR = "OB"
    data = to_bytes(dataset, JPEGBaseline8Bit)
    assert any("comment of a compressed picture" in place for place in places(data)) == found


def test_icons_are_reported_and_the_picture_itself_is_not() -> None:
    dataset, icon = ct_slice(0, 48), Dataset()
    assert not any("PixelData" in place for place in places(to_bytes(dataset)))
    icon.PixelData = bytes(range(256))
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = Sequence([icon])
    found = [place for place in places(to_bytes(dataset)) if "PixelData" in place]
    assert found == ["icon or nested picture: (0088,0200) IconImageSequence > (7FE0,0010) PixelData"]


def table(dataset: Dataset, values: bytes) -> None:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(values) // 2, 0, 16], values
    item["LUTData"].VR = "OW"
    dataset.VOILUTSequence = Sequence([item])


RAMPS = {
    "even": np.arange(0, 65536, 16),
    "doubled bytes": np.arange(256) * 257,
    "sigmoid": 65535 / (1 + np.exp(-np.linspace(-6, 6, 4096))),
}


@pytest.mark.parametrize("name", RAMPS)
def test_look_up_tables_are_numbers_and_stay(name: str, tmp_path: Path) -> None:
    dataset = ct_slice(0, 48)
    table(dataset, RAMPS[name].astype("<u2").tobytes())
    assert not any("LUTData" in place for place in places(to_bytes(dataset)))
    (tmp_path / "in").write_bytes(to_bytes(dataset))
    assert deidentify(tmp_path / "in", tmp_path / "out").written == 1
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert after.VOILUTSequence[0].LUTData == dataset.VOILUTSequence[0].LUTData


def test_text_in_a_look_up_table_is_found() -> None:
    dataset = ct_slice(0, 48)
    table(dataset, b"\0\0Quillfeather, John\0\0")
    assert any("LUTData" in place for place in places(to_bytes(dataset)))


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be"])
def test_a_preamble_is_read_in_one_and_two_bytes_a_letter(encoding: str) -> None:
    assert in_preamble("Quillfeather".encode(encoding))
    assert not in_preamble(b"")


def in_preamble(text: bytes) -> bool:
    data = bytearray(to_bytes(ct_slice(0, 48)))
    data[: len(text)] = text
    return any("preamble" in place for place in places(bytes(data)))


TEXTS = {
    "three letters": b"DOE", "Cyrillic": "Петров".encode(), "of one byte": "Петров".encode("cp1251"),
    "Japanese": "山田".encode("shift_jis"), "of two bytes": "Петров".encode("utf-16-le"),
    "packed": zlib.compress(b"Quillfeather 1957"), "umlauts": "Jörg Ömür".encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_whatever_stands_in_the_preamble_or_behind_the_data_is_found(name: str) -> None:
    data = to_bytes(ct_slice(0, 48))
    assert in_preamble(TEXTS[name])
    assert any("behind the pixel data" in place for place in places(data + TEXTS[name]))
    assert not any("behind the pixel data" in place for place in places(data + b"\0" * 64))


@pytest.mark.parametrize(
    ("head", "found"),
    [(b"II*\0\x84\0\0\0", False), (b"MM\0*\0\0\1\0", False), (b"II+\0\x08\0\0\0\x84" + b"\0" * 7, False),
     (b"II*\0Doe\0", True), (b"II*\0\x84\0\0\0DOE", True)],
)  # fmt: skip
def test_the_head_of_a_tiff_may_stand_in_the_preamble(head: bytes, found: bool) -> None:
    assert in_preamble(head) == found


@pytest.mark.parametrize(("padding", "found"), [(b"\0" * 8, False), ("Петро".encode(), True)])
def test_padding_behind_the_data_set_is_zero_or_reported(padding: bytes, found: bool) -> None:
    dataset = ct_slice(0, 48)
    dataset.add_new(0xFFFCFFFC, "OB", padding)
    assert any("behind the pixel data" in place for place in places(to_bytes(dataset))) == found


PACKED = {
    "US": np.frombuffer(b"Quillfeather", "<u2").tolist(), "UL": np.frombuffer(b"Quillfeather", "<u4").tolist(),
    "UL of other order": np.frombuffer(b"Quillfeather", ">u4").tolist(),
    "FD": np.frombuffer(b"Quillfeather Joe", "<f8").tolist(), "FL": np.frombuffer(b"Quillfeather", "<f4").tolist(),
    "AT": [0x7551_6C69, 0x666C_6165],
}  # fmt: skip
NUMBERS = {
    "US": [4096, 0, 16], "UL": [0, 527000, 1_054_000], "FD": [0.7421875, 120.1, -733.333, 1.6e9, float("nan")],
    "FL": [500.1, 33.3, 77.7, 0.1], "AT": [0x00280010, 0x7FE00010],
}  # fmt: skip


@pytest.mark.parametrize("name", PACKED)
def test_text_packed_into_numbers_is_found_and_numbers_are_not(name: str) -> None:
    dataset, kind = ct_slice(0, 48), name[:2]
    dataset.add_new(0x00189363, kind, NUMBERS[kind])
    assert not any("(0018,9363)" in place for place in places(to_bytes(dataset)))
    dataset.add_new(0x00189363, kind, PACKED[name])
    assert any("(0018,9363)" in place for place in places(to_bytes(dataset)))


def test_numbers_in_place_of_text_are_found() -> None:
    dataset = ct_slice(0, 48)
    dataset.FilterType = "BOWTIE"
    assert not any("FilterType" in place for place in places(to_bytes(dataset)))
    dataset.add_new(0x00181160, "UL", [2])
    assert any("FilterType" in place for place in places(to_bytes(dataset)))


@pytest.mark.parametrize("text", ["Quillfeather Kimberley", "Петров"])
def test_text_behind_the_first_mebibyte_of_bytes_and_bytes_of_no_known_form(text: str) -> None:
    dataset = ct_slice(0, 48)
    dataset.add_new(0x54001010, "OW", b"\0\0" * (1 << 19))
    assert not any("WaveformData" in place for place in places(to_bytes(dataset)))
    dataset.add_new(0x54001010, "OW", b"\0\1" * (1 << 20) + text.encode())
    assert any("WaveformData" in place for place in places(to_bytes(dataset)))


def test_a_look_up_table_of_numbers_is_judged_as_one_of_bytes() -> None:
    dataset = ct_slice(0, 48)
    for values, found in ((RAMPS["even"].tolist(), False), (PACKED["US"], True)):
        item = Dataset()
        item.LUTDescriptor = [len(values), 0, 16]
        item.add_new(0x00283006, "US", values)
        dataset.VOILUTSequence = Sequence([item])
        assert any("LUTData" in place for place in places(to_bytes(dataset))) == found


@pytest.mark.parametrize(("creator", "found"), [("QUILLFEATHER JOHN 1957", True), ("SIEMENS CSA HEADER", False)])
def test_names_of_private_blocks_are_judged(creator: str, found: bool) -> None:
    dataset = ct_slice(0, 48)
    dataset.add_new(0x00290010, "LO", creator)
    assert any("(0029,0010)" in place for place in places(to_bytes(dataset))) == found


CLASSES = {
    "1.3.12.2.1107.5.9.1": True,
    "1.3.46.670589.11.0.0.12.1": True,
    "1.2.840.10008.5.1.4.1.1.2": True,
    "1.2.826.77881239.5": False,
    "1.3.12.2.1107.5.1.4.77881239": False,
}


@pytest.mark.parametrize("value", CLASSES)
def test_classes_of_makers_stay_and_numbers_in_classes_go(value: str, tmp_path: Path) -> None:
    dataset = ct_slice(0, 48)
    dataset.SOPClassUID = value
    assert any("SOPClassUID" in place for place in places(to_bytes(dataset))) != CLASSES[value]
    (tmp_path / "in").write_bytes(to_bytes(dataset))
    deidentify(tmp_path / "in", tmp_path / "out")
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert (after.SOPClassUID == value) == CLASSES[value]


@pytest.mark.parametrize(("number", "kept"), [(77881239, False), (3, True), (120_001, True)])
def test_counts_with_as_many_digits_as_an_id_go(number: int, kept: bool, tmp_path: Path) -> None:
    dataset = ct_slice(0, 48)
    dataset.AcquisitionNumber = number
    assert any("AcquisitionNumber" in place for place in places(to_bytes(dataset))) != kept
    (tmp_path / "in").write_bytes(to_bytes(dataset))
    deidentify(tmp_path / "in", tmp_path / "out")
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert ("AcquisitionNumber" in after) == kept


@pytest.mark.parametrize(("patient", "kept"), [("84417", False), ("844", True), ("Q84417", True)])
def test_a_number_that_is_the_patient_id_goes(patient: str, kept: bool, tmp_path: Path) -> None:
    dataset = ct_slice(0, 48)
    dataset.PatientID, dataset.ExposureTime, dataset.Exposure = patient, patient.lstrip("Q"), ""
    assert any("ExposureTime" in place for place in places(to_bytes(dataset))) != kept
    (tmp_path / "in").write_bytes(to_bytes(dataset))
    deidentify(tmp_path / "in", tmp_path / "out")
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert ("ExposureTime" in after) == kept
    assert "Exposure" in after, "an empty number stays empty"


@pytest.mark.parametrize(("age", "old"), [("095Y", True), ("1150M", True), ("089Y", False), ("900M", False)])
def test_ages_of_ninety_years_in_any_unit(age: str, old: bool) -> None:
    dataset = ct_slice(0, 48)
    dataset.add_new("PatientAge", "AS", age)
    assert any("age over 89" in place for place in places(to_bytes(dataset))) == old


@pytest.mark.parametrize(
    ("age", "category"),
    [("95y", "age over 89"), ("95", "age over 89"), ("Joe", "free text"), ("45y", None), ("045Y", None), ("45", None)],
)
def test_ages_that_are_not_written_as_the_standard_says(age: str, category: str | None) -> None:
    data = to_bytes(ct_slice(0, 48)).replace(
        b"\x10\0\x10\x10AS\4\0" + b"061Y", b"\x10\0\x10\x10AS\4\0" + age.encode().ljust(4)
    )
    assert [place.partition(":")[0] for place in places(data) if "PatientAge" in place] == [category] * bool(category)


def test_an_age_of_more_digits_than_a_number_may_have_is_text() -> None:
    long = b"9" * 5001 + b"Y"
    written = b"\x10\0\x10\x10AS" + len(long).to_bytes(2, "little") + long
    data = to_bytes(ct_slice(0, 48)).replace(b"\x10\0\x10\x10AS\4\0" + b"061Y", written)
    assert any("PatientAge" in place for place in places(data))
