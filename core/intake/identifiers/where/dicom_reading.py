"""DICOM data sets parsed whole, within the limits."""

from __future__ import annotations

import io

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import dcmread, read_dataset

from core.intake.files.limits import LIMITS, Limits
from core.intake.scan.dicom.elements import DEFLATED, scan

_META_BYTES = 1 << 20


def read_bounded(data: memoryview, *, limits: Limits = LIMITS) -> Dataset:
    """A DICOM data set; a deflated one is inflated within the limits, where pydicom alone would not stop.

    Raises UserFacingError for a stream that is damaged or too large, and what pydicom raises for a malformed one.
    """
    if bytes(data[128:132]) != b"DICM" or DEFLATED.encode() not in bytes(data[132:_META_BYTES]):
        return dcmread(io.BytesIO(data), force=True)
    found = scan(data, (), complete=True, limits=limits)
    if found.data is None:
        return dcmread(io.BytesIO(data), force=True)
    meta = read_dataset(io.BytesIO(data[132:]), False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    body = read_dataset(io.BytesIO(found.data), False, True)
    file = FileDataset("", body, file_meta=FileMetaDataset(meta), preamble=bytes(data[:128]))
    file.set_original_encoding(False, True)
    return file
