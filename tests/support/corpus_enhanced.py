"""Corpus: enhanced multi-frame CT."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from corpus import GRID, Files, cases, series
from ct_factory import BIG_ENDIAN, DEFLATED, IMPLICIT, Grid, enhanced_file, rotated, to_bytes
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

SIZE = 24 * 20 * 2
WIDE = Grid(shape=(32, 32, 12), spacing_mm=(1.1, 1.1, 2.5))
OBLIQUE = Grid(rotation=rotated((10.0, 5.0, -15.0)))


def file(edit: Callable[[Dataset], object] | None = None, grid: Grid = GRID) -> Files:
    return [("Quillon_frames.dcm", enhanced_file(grid, edit=edit))]


def item(**values: object) -> list[Dataset]:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return [found]


def shared(dataset: Dataset) -> Dataset:
    return dataset.SharedFunctionalGroupsSequence[0]


def frames(dataset: Dataset) -> list[Dataset]:
    return list(dataset.PerFrameFunctionalGroupsSequence)


def into_frames(dataset: Dataset, *keywords: str) -> None:
    """Shared groups moved into every frame."""
    for keyword in keywords:
        for frame in frames(dataset):
            setattr(frame, keyword, getattr(shared(dataset), keyword))
        delattr(shared(dataset), keyword)


def all_into_frames(dataset: Dataset) -> None:
    into_frames(dataset, "PixelMeasuresSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence")


def drop(dataset: Dataset, index: int) -> None:
    """One frame out, with its pixels."""
    del dataset.PerFrameFunctionalGroupsSequence[index]
    dataset.NumberOfFrames = len(dataset.PerFrameFunctionalGroupsSequence)
    dataset.PixelData = dataset.PixelData[: index * SIZE] + dataset.PixelData[(index + 1) * SIZE :]


def by_height(dataset: Dataset) -> list[int]:
    return [
        int(i) for i in np.argsort([float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in frames(dataset)])
    ]


def varying_rescale(dataset: Dataset) -> None:
    """Each frame stored with its own intercept."""
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(-1, 20, 24).copy()
    for number, frame in enumerate(frames(dataset)):
        frame.PixelValueTransformationSequence = item(
            RescaleSlope=1, RescaleIntercept=-1024 - 3 * number, RescaleType="HU")  # fmt: skip
        pixels[number] += 3 * number
    del shared(dataset).PixelValueTransformationSequence
    dataset.PixelData = pixels.tobytes()


def rescale_of(dataset: Dataset, number: int, **values: object) -> None:
    into_frames(dataset, "PixelValueTransformationSequence")
    frames(dataset)[number].PixelValueTransformationSequence = item(
        **{"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU", **values})  # fmt: skip


def tilt(dataset: Dataset) -> None:
    for rank, index in enumerate(by_height(dataset)):
        place = frames(dataset)[index].PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x, y + 0.65 * rank, z]


def stretch(dataset: Dataset) -> None:
    for rank, index in enumerate(by_height(dataset)):
        place = frames(dataset)[index].PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x, y, z + (rank % 3) * 0.4]


def one_place(dataset: Dataset) -> None:
    for frame in frames(dataset):
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5]


def two_phases(dataset: Dataset) -> None:
    again = []
    for frame in frames(dataset):
        frame.FrameContentSequence = item(TemporalPositionIndex=1)
        twin = Dataset()
        twin.PlanePositionSequence = frame.PlanePositionSequence
        twin.FrameContentSequence = item(TemporalPositionIndex=2)
        again.append(twin)
    dataset.PerFrameFunctionalGroupsSequence = frames(dataset) + again
    dataset.NumberOfFrames = 2 * len(again)
    later = np.frombuffer(dataset.PixelData, "<u2") + 80
    dataset.PixelData += later.astype("<u2").tobytes()


def scout_frame(dataset: Dataset) -> None:
    for frame in frames(dataset):
        frame.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    scout = Dataset()
    scout.PlanePositionSequence = item(ImagePositionPatient=[0, 0, 0])
    scout.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    scout.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    dataset.PerFrameFunctionalGroupsSequence = [scout, *frames(dataset)]
    dataset.NumberOfFrames = len(dataset.PerFrameFunctionalGroupsSequence)
    dataset.PixelData = bytes(SIZE) + dataset.PixelData


def split_in_two() -> Files:
    """A concatenation: one acquisition in two files (PS3.3 C.7.6.16.2.2.4)."""
    whole = dcmread(io.BytesIO(enhanced_file()))
    parts = []
    for number in range(2):
        part = dcmread(io.BytesIO(enhanced_file()))
        part.SOPInstanceUID = f"1.2.5.{number}"
        part.ConcatenationUID, part.InConcatenationNumber = "1.2.5.9", number + 1
        part.PerFrameFunctionalGroupsSequence = list(whole.PerFrameFunctionalGroupsSequence)[
            8 * number : 8 * number + 8
        ]
        part.NumberOfFrames = 8
        part.PixelData = whole.PixelData[8 * number * SIZE : (8 * number + 8) * SIZE]
        parts.append((f"Quillon_{number}.dcm", to_bytes(part)))
    return parts


def one_frame_a_file() -> Files:
    """Each slice an enhanced image of its own."""
    made = []
    for number in range(GRID.shape[2]):
        whole = dcmread(io.BytesIO(enhanced_file()))
        whole.PerFrameFunctionalGroupsSequence = [frames(whole)[number]]
        whole.PixelData = whole.PixelData[number * SIZE : (number + 1) * SIZE]
        whole.NumberOfFrames, whole.SOPInstanceUID = 1, f"1.2.6.{number}"
        made.append((f"Quillon_{number}.dcm", to_bytes(whole)))
    return made


def slices_of_the_enhanced_class() -> Files:
    """Slices as a converter writes them that names the legacy converted class but describes each as a plain slice."""
    return series(set_each(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.2"))


def set_each(**values: object) -> Callable[[int, Dataset], None]:
    change = set_to(**values)
    return lambda index, dataset: change(dataset)


def compressed(syntax: str, change: Callable[[bytes], bytes] = bytes) -> Files:
    made = dcmread(io.BytesIO(enhanced_file(WIDE)))
    made.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    made.save_as(out)
    return [("Quillon_frames.dcm", change(out.getvalue()))]


def stored_as(syntax: str) -> Files:
    plain = dcmread(io.BytesIO(enhanced_file()))
    del plain.file_meta
    return [("Quillon_frames.dcm", to_bytes(plain, syntax))]


def both_places(dataset: Dataset) -> None:
    """An orientation among the shared groups that the frames overrule."""
    into_frames(dataset, "PlaneOrientationSequence")
    shared(dataset).PlaneOrientationSequence = item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])


def by_rank(dataset: Dataset, groups: Callable[[int], dict[str, object]]) -> None:
    """Functional groups set in every frame, counted from the lowest."""
    for rank, index in enumerate(by_height(dataset)):
        for keyword, value in groups(rank).items():
            setattr(frames(dataset)[index], keyword, value)


def own_rescale(dataset: Dataset) -> None:
    frames(dataset)[4].PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=-1000, RescaleType="HU")


def repeated_measures(dataset: Dataset) -> None:
    for frame in frames(dataset):
        frame.PixelMeasuresSequence = shared(dataset).PixelMeasuresSequence


def first_part(dataset: Dataset) -> None:
    """The lower half of the frames, as the first of two files: nothing but its number tells that there are more."""
    for index in sorted(by_height(dataset)[8:], reverse=True):
        drop(dataset, index)
    dataset.ConcatenationUID, dataset.InConcatenationNumber, dataset.InConcatenationTotalNumber = "1.2.5.9", 1, 2


def set_to(**values: object) -> Callable[[Dataset], None]:
    def edit(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def without(*keywords: str) -> Callable[[Dataset], None]:
    return lambda dataset: [delattr(shared(dataset), keyword) for keyword in keywords] and None


CASES = cases("enhanced", {
    "frames shuffled": (lambda: file(), "right"),
    "oblique": (lambda: file(grid=OBLIQUE), "right", {"grids": (OBLIQUE,)}),
    "everything per frame": (lambda: file(all_into_frames), "right"),
    "rescale per frame": (lambda: file(lambda d: into_frames(d, "PixelValueTransformationSequence")), "right"),
    "rescale varies by frame": (lambda: file(varying_rescale), "right"),
    "frames contradict shared": (lambda: file(both_places), "refuse", {"words": "contradict"}),
    "rescale of one frame contradicts shared": (lambda: file(own_rescale), "refuse", {"words": "contradict"}),
    "frames repeat shared": (lambda: file(repeated_measures), "right"),
    "two time points side by side": (
        lambda: file(lambda d: by_rank(d, lambda k: {"FrameContentSequence": item(TemporalPositionIndex=1 + k // 8)})),
        "refuse", {"words": "time points"}),
    "two phases of the heart": (
        lambda: file(lambda d: by_rank(d, lambda k: {
            "CardiacSynchronizationSequence": item(NominalPercentageOfCardiacPhase=40.0 + 35 * (k % 2))})),
        "refuse", {"words": "phases of the heart"}),
    "two kernels": (
        lambda: file(lambda d: by_rank(d, lambda k: {
            "CTReconstructionSequence": item(ConvolutionKernel=f"B{30 + 40 * (k % 2)}f")})),
        "refuse", {"words": "kernels"}),
    "maximum intensity projection": (
        lambda: file(set_to(ImageType=["DERIVED", "PRIMARY", "VOLUME", "MAX_IP"])), "refuse", {"words": "projections"}),
    "distorted": (lambda: file(set_to(VolumetricProperties="DISTORTED")), "refuse", {"words": "distorted"}),
    "first part of two": (lambda: file(first_part), "refuse", {"words": "not complete"}),
    "implicit": (lambda: stored_as(IMPLICIT), "right"),
    "big endian": (lambda: stored_as(BIG_ENDIAN), "right"),
    "deflated": (lambda: stored_as(DEFLATED), "right"),
    "RLE": (lambda: compressed(RLELossless), "right", {"grids": (WIDE,)}),
    "JPEG 2000": (lambda: compressed(JPEG2000Lossless), "right", {"grids": (WIDE,)}),
    "JPEG-LS": (lambda: compressed(JPEGLSLossless), "right", {"grids": (WIDE,)}),
    "RLE cut short": (lambda: compressed(RLELossless, lambda b: b[:-900]), "refuse"),
    "JPEG-LS cut short": (lambda: compressed(JPEGLSLossless, lambda b: b[:-60]), "refuse"),
    "legacy converted": (lambda: file(set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.2")), "right"),
    "one frame a file": (one_frame_a_file, "right"),
    "plain slices of the enhanced class": (slices_of_the_enhanced_class, "right"),
    "two files of one acquisition": (split_in_two, "either"),
    "one of two files": (lambda: split_in_two()[:1], "refuse"),
    "localizer among the frames": (lambda: file(scout_frame), "right"),
    "two phases": (lambda: file(two_phases), "refuse", {"words": "same place"}),
    "all frames at one place": (lambda: file(one_place), "refuse", {"words": "same place"}),
    "a frame missing": (lambda: file(lambda d: drop(d, by_height(d)[7])), "refuse", {"words": "missing"}),
    "tilt": (lambda: file(tilt), "refuse", {"words": "slant"}),
    "uneven": (lambda: file(stretch), "refuse", {"words": "varies"}),
    "too few descriptions": (
        lambda: file(lambda d: d.PerFrameFunctionalGroupsSequence.pop()), "refuse", {"words": "number of frames"}),
    "no descriptions": (
        lambda: file(set_to(PerFrameFunctionalGroupsSequence=[])), "refuse", {"words": "number of frames"}),
    "no position in one": (
        lambda: file(lambda d: delattr(frames(d)[3], "PlanePositionSequence")), "refuse", {"words": "where"}),
    "empty position sequence": (
        lambda: file(lambda d: setattr(frames(d)[3], "PlanePositionSequence", [])), "refuse", {"words": "where"}),
    "no orientation": (lambda: file(without("PlaneOrientationSequence")), "refuse", {"words": "oriented"}),
    "thickness zero": (
        lambda: file(lambda data: setattr(shared(data).PixelMeasuresSequence[0], "SliceThickness", 0)), "right"),
    "no pixel measures": (lambda: file(without("PixelMeasuresSequence")), "refuse", {"words": "spacing"}),
    "no rescale": (lambda: file(without("PixelValueTransformationSequence")), "refuse", {"words": "rescale"}),
    "rescale zero in one": (lambda: file(lambda d: rescale_of(d, 5, RescaleSlope=0)), "refuse", {"words": "rescale"}),
    "rescale wrong in one": (
        lambda: file(lambda d: rescale_of(d, 5, RescaleIntercept=-700)), "refuse", {"words": "neighbours"}),
    "rescale type differs in one": (lambda: file(lambda d: rescale_of(d, 5, RescaleType="MGML")), "refuse"),
    "more frames than pixels": (
        lambda: file(lambda d: setattr(d, "PixelData", d.PixelData[:-SIZE])), "refuse", {"words": "too early"}),
    "more pixels than frames": (
        lambda: file(lambda d: setattr(d, "PixelData", d.PixelData + bytes(SIZE))), "refuse", {"words": "more pixel"}),
    "100,000 frames declared": (lambda: file(set_to(NumberOfFrames=100_000)), "refuse"),
    "no number of frames": (lambda: file(lambda d: delattr(d, "NumberOfFrames")), "refuse"),
    "one frame declared": (lambda: file(set_to(NumberOfFrames=1)), "refuse"),
    "colour": (lambda: file(set_to(PhotometricInterpretation="RGB", SamplesPerPixel=3)), "refuse"),
    "inverted": (lambda: file(set_to(PhotometricInterpretation="MONOCHROME1")), "either"),
    "magnetic resonance": (lambda: file(set_to(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1")), "refuse"),
    "multi-frame capture": (
        lambda: file(set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3")), "refuse"),
    "classic class with many frames": (lambda: file(set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")), "either"),
    "the same file twice": (lambda: [*file(), ("copy.dcm", file()[0][1])], "right"),
    "cut inside the descriptions": (
        lambda: [(name, data[: data.index(b"\x00\x52\x30\x92") + 700]) for name, data in file()], "refuse"),
    "cut inside the pixels": (lambda: [(name, data[:-5000]) for name, data in file()], "refuse"),
})  # fmt: skip
