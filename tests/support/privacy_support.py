"""DICOM files with markers in every place that can hold one, and text drawn into pixels."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from ct_factory import Grid, slice_dataset, to_bytes
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

MARK = "Zqx"
BURNED = "QUARTZ ADA 4711"
TEXTS = [
    "PatientName", "PatientID", "OtherPatientNames", "PatientBirthName", "PatientAddress", "PatientTelephoneNumbers",
    "AccessionNumber", "InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "OperatorsName",
    "RequestingPhysician", "StudyID", "StudyDescription", "SeriesDescription", "PatientComments", "ImageComments",
    "AdditionalPatientHistory", "ProtocolName", "StationName", "DeviceSerialNumber", "DeviceID", "Occupation",
    "MedicalAlerts", "AdmissionID", "RequestedProcedureDescription", "DerivationDescription", "ContentCreatorName",
    "ResponsiblePerson", "ContrastBolusAgent", "TextValue", "RetrieveURL", "Manufacturer",
]  # fmt: skip


def marker(number: int) -> str:
    """A text that occurs nowhere else."""
    return f"{MARK}{number:03d}^Vwk"


def ct_plane(seed: int, size: int = 160) -> npt.NDArray[np.float64]:
    """A noisy disc of soft tissue with two lungs in air, HU (rows, columns)."""
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    hu = np.where(x**2 + (1.2 * y) ** 2 < 0.7, 40.0, -1000.0)
    for centre in (-0.4, 0.4):
        hu[((x - centre) / 0.25) ** 2 + (y / 0.4) ** 2 < 1] = -850.0
    return np.rint(np.clip(hu + np.random.default_rng(seed).normal(0, 12, hu.shape), -1000, 1500))


def draw(plane: npt.NDArray[np.float64], text: str, row: int, column: int, size: int, hu: float) -> None:
    """Write text into a plane as a display would burn it in (anti-aliased), in place."""
    picture = Image.new("L", plane.shape[::-1])
    ImageDraw.Draw(picture).text((column, row), text, font=ImageFont.load_default(size), fill=255)
    cover = np.asarray(picture, np.float64) / 255
    plane[...] = np.rint(plane + cover * (hu - plane))


def ct_slice(index: int, size: int = 160, text: str = "") -> Dataset:
    """One slice of a plausible CT (rows = columns = `size`), with burned-in text where given."""
    dataset = slice_dataset(Grid((size, size, 8)), index)
    dataset.StudyDate, dataset.StudyTime, dataset.PatientSex, dataset.PatientAge = "20200131", "081530", "F", "061Y"
    plane = ct_plane(index, size)
    if text:
        draw(plane, text, 6, 8, 14, 2000)
    dataset.PixelData = (plane + 1024).astype("<u2").tobytes()
    return dataset


def planted_file() -> tuple[bytes, list[str]]:
    """A file with 46 markers: tags, nested and private ones, file meta, overlay, curve, icon, preamble, trailer."""
    dataset = ct_slice(0, text=BURNED)
    for number, keyword in enumerate(TEXTS):
        setattr(dataset, keyword, marker(number))
    dataset.PatientIdentityRemoved, dataset.PatientAge = "YES", "097Y"
    block = dataset.private_block(0x0009, marker(40), create=True)
    block.add_new(0x01, "LO", marker(41))
    block.add_new(0x02, "OB", marker(42).encode())
    inner, outer, icon = Dataset(), Dataset(), Dataset()
    inner.PatientID, outer.TextValue = marker(43), marker(44)
    outer.ReferencedPatientSequence = Sequence([inner])
    dataset.SourceImageSequence = Sequence([outer])
    icon.PixelData, icon.BitsAllocated = marker(45).encode() + b" ", 8
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = Sequence([icon])
    dataset.add(DataElement(0x60003000, "OW", marker(46).encode() + b" "))
    dataset.add(DataElement(0x60000022, "LO", marker(47)))
    dataset.add(DataElement(0x50003000, "OB", marker(48).encode() + b" "))
    dataset.add(DataElement(0x00111020, "LO", marker(49)))
    data = bytearray(to_bytes(dataset))
    data[:10] = marker(50).encode()
    at = data.index(b"PYDICOM 3.0.2")
    data[at : at + 10] = marker(51).encode()
    tail = marker(52).encode()
    trailer = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, len(tail)) + tail
    used = [*range(len(TEXTS)), *range(40, 53)]
    return bytes(data) + trailer, [marker(number) for number in used]
