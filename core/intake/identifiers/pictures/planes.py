"""Pictures of DICOM files: decoded within the limits, shown as grey planes for reading, written back uncompressed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filewriter import dcmwrite
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.intake.files.limits import LIMITS, Limits, check_grid
from core.intake.identifiers.pictures.line_extent import PlaneBox, Planes
from core.intake.scan.dicom.codecs import can_decode, decode_frame, decoded_photometric
from core.intake.scan.dicom.codestream import loses_detail
from core.intake.scan.dicom.header import PixelFormat
from core.intake.scan.dicom.jpeg import ALWAYS_LOSSY
from core.intake.scan.hounsfield import AIR_HU

_MAKER_UID = UID("2.25.188214353915417921470311935416286511237")
_LEAST_HUE = 0.1
_COLOUR_TABLES = ("RedPaletteColorLookupTableData", "LUTData")


@dataclass(eq=False)
class Frames:
    """Decoded pixels of one file.

    stored: (frames, rows, columns[, samples]), as stored, bits above the stored ones cleared. photometric: what the
    values mean after decoding. planes: (frames, rows, columns) grey, brighter where a display is brighter. hues: of the
    same shape, of pictures with colours: what tells apart two colours that are equally bright. lossy: whether the
    compressed pixels said of themselves that they had lost detail.
    """

    stored: npt.NDArray[Any]
    photometric: str
    planes: Planes
    hues: tuple[Planes, ...] = ()
    lossy: bool = False


def decode(dataset: Dataset, *, limits: Limits = LIMITS) -> Frames | None:
    """Pixels of a data set, or None where it has none.

    Raises UserFacingError where the declared size breaks a limit, and what the decoders raise for damaged pixels.
    """
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        return None
    samples, count = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("NumberOfFrames") or 1)
    check_grid((int(dataset.Columns), int(dataset.Rows), 1), limits)
    if int(dataset.Columns) * int(dataset.Rows) * count * samples > limits.voxels:
        raise ValueError("too many pixels")
    syntax = _syntax(dataset)
    lossy = syntax in ALWAYS_LOSSY
    if can_decode(syntax):
        stored, photometric, loses = _compressed_frames(dataset, syntax, count)
        lossy = lossy or loses
    else:
        stored, facts = get_decoder(syntax).as_array(dataset, raw=True)
        photometric = str(facts.get("photometric_interpretation") or dataset.get("PhotometricInterpretation") or "")
    stored = stored.reshape(count, int(dataset.Rows), int(dataset.Columns), *([samples] if samples > 1 else []))
    stored = _without_unused_bits(np.array(stored), dataset)
    colours = apply_color_lut(stored, dataset) if photometric == "PALETTE COLOR" else stored
    return Frames(stored, photometric, _grey(colours, photometric), _hues(colours, photometric), lossy)


def _compressed_frames(dataset: Dataset, syntax: UID, count: int) -> tuple[npt.NDArray[Any], str, bool]:
    """Compressed frames by the decoders that scans are read with, what their values mean, and whether they say that
    they have lost detail."""
    pixels = PixelFormat(
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        bits_allocated=int(dataset.BitsAllocated),
        bits_stored=int(dataset.BitsStored),
        high_bit=int(dataset.HighBit),
        signed=bool(dataset.PixelRepresentation),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        photometric=str(dataset.PhotometricInterpretation),
        big_endian=False,
        transfer_syntax=str(syntax),
    )
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    stored = np.stack([decode_frame(frame, pixels) for frame in frames])
    return stored, decoded_photometric(pixels), any(map(loses_detail, frames))


def _syntax(dataset: Dataset) -> UID:
    """The transfer syntax, which a file without meta information implies."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return UID(dataset.file_meta.TransferSyntaxUID)


def _without_unused_bits(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    """Values without the bits above the stored ones, where old overlays lie (PS3.5, 8.1.1)."""
    bits, size = int(dataset.get("BitsStored") or 0), stored.dtype.itemsize * 8
    if stored.dtype.kind not in "iu" or not 1 < bits < size:
        return stored
    shift = size - bits
    return np.asarray((stored << shift) >> shift)


def _grey(stored: npt.NDArray[Any], photometric: str) -> Planes:
    if stored.ndim == 4:
        return np.asarray(stored[..., 0] if photometric.startswith("YBR") else stored.mean(axis=-1), np.float32)
    if stored.dtype == np.int16 and photometric != "MONOCHROME1":
        return stored
    return np.asarray(-stored.astype(np.float32) if photometric == "MONOCHROME1" else stored, np.float32)


def _hues(colours: npt.NDArray[Any], photometric: str) -> tuple[Planes, ...]:
    """Cb and Cr, or red less green and blue less both; none where they hardly vary, as in grey pictures of a camera."""
    if colours.ndim != 4 or colours.shape[-1] != 3:
        return ()
    one, two, three = np.moveaxis(colours.astype(np.float32), -1, 0)
    hues = (two, three) if photometric.startswith("YBR") else (one - two, three - (one + two) / 2)
    least = _LEAST_HUE * float(np.ptp(colours))
    return tuple(hue for hue in hues if np.ptp(hue) > least)


def blank(frames: Frames, dataset: Dataset, frame: int, boxes: Sequence[PlaneBox]) -> None:
    """Set boxes of one frame to air (-1024 HU by the image's own rescale) or to the frame's darkest value."""
    if not boxes:
        return
    plane = frames.planes[frame]
    darkest = np.unravel_index(int(np.argmin(plane)), plane.shape)
    value = _air(frames, dataset) if dataset.get("Modality") == "CT" else None
    for box in boxes:
        region = frames.stored[frame, box.top : box.bottom, box.left : box.right]
        region[...] = frames.stored[frame][darkest].copy() if value is None else value


def _air(frames: Frames, dataset: Dataset) -> int | None:
    """The stored value of air where the image has one rescale and room for it."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if not slope or intercept is None or frames.stored.ndim != 3 or frames.stored.dtype.kind not in "iu":
        return None
    bits, signed = int(dataset.BitsStored), frames.stored.dtype.kind == "i"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return int(np.clip(round((AIR_HU - float(intercept)) / float(slope)), low, high))


def put_pixels(dataset: Dataset, frames: Frames) -> None:
    """Write the frames back as native pixels, nothing behind them, and keep in mind what their compression lost.

    Raises ValueError for a big-endian file with colour tables, whose words would come out swapped.
    """
    if not dataset.original_encoding[1] and any(name in dataset for name in _COLOUR_TABLES):
        raise ValueError("big-endian colour tables")
    if frames.lossy:
        dataset.LossyImageCompression = "01"
    stored = frames.stored
    if stored.dtype.kind == "f":
        keyword = "FloatPixelData" if stored.dtype.itemsize == 4 else "DoubleFloatPixelData"
        dataset[keyword].value = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        return
    if int(dataset.BitsAllocated) == 1:
        data = np.packbits(stored.reshape(-1), bitorder="little").tobytes()
    else:
        data = stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()
        dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if int(dataset.BitsAllocated) > 8 else "OB"
    dataset.PhotometricInterpretation = frames.photometric
    if stored.ndim == 4:
        dataset.PlanarConfiguration = 0


def encode(dataset: Dataset) -> bytes:
    """The data set as a DICOM file with its own meta information and an empty preamble (PS3.10, 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(dataset.get("SOPClassUID") or "")
    meta.MediaStorageSOPInstanceUID = UID(dataset.get("SOPInstanceUID") or "")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _MAKER_UID
    plain = Dataset()
    plain.update({element.tag: element for element in dataset})
    out = io.BytesIO()
    file = FileDataset("", plain, file_meta=meta, preamble=b"\0" * 128)
    dcmwrite(out, file, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return out.getvalue()
