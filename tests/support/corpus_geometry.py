"""Corpus: slice order, completeness, geometry, and what else lies in the same folder."""

from __future__ import annotations

import numpy as np
from corpus import Files, at_places, cases, changed, filled, series, with_raw
from ct_factory import Grid, at, base_dataset, dicom_slices, enhanced_file, named, nifti_file, rotated, setter, to_bytes
from pydicom.dataset import Dataset

GRID = Grid()
COUNT = GRID.shape[2]
SAGITTAL = Grid(rotation=((0, 1, 0), (0, 0, -1), (-1, 0, 0)))
CORONAL = Grid(rotation=((1, 0, 0), (0, 0, -1), (0, 1, 0)))
FEET_FIRST = Grid(rotation=((1, 0, 0), (0, 1, 0), (0, 0, -1)))
PRONE = Grid(rotation=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
DECUBITUS = Grid(rotation=((0, 1, 0), (-1, 0, 0), (0, 0, 1)))
CLOSE = Grid(spacing_mm=(1.5, 1.25, 0.15))
OBLONG = Grid(spacing_mm=(1.5, 1.0, 2.0))
SAGITTAL_THICK = Grid(spacing_mm=(0.8, 2.5, 2.0), rotation=((0, 1, 0), (0, 0, -1), (-1, 0, 0)))
OBLIQUE = Grid(rotation=rotated((12.0, -7.0, 20.0)))
HALF_WAY = Grid(rotation=rotated((0.0, 0.0, 44.9)))
SMALL = Grid(shape=(48, 40, 16), spacing_mm=(0.9, 0.8, 1.2))
FINE = Grid(spacing_mm=(1.5, 1.25, 1.0), shape=(24, 20, 20))


def renamed(name) -> Files:
    return [(name(index), data) for index, (_, data) in enumerate(series())]


def kept(*indices: int) -> Files:
    return changed(lambda slices: [slices[index] for index in indices])


def tail_of(grid: Grid, first: int, count: int) -> Grid:
    """The grid of `count` slices from `first`."""
    middle = grid.affine_lps[:3, :3] @ np.array([0, 0, first + (count - 1) / 2 - (grid.shape[2] - 1) / 2])
    return Grid((*grid.shape[:2], count), grid.spacing_mm, grid.rotation, tuple(np.array(grid.centre_mm) + middle))


def cosines(vector: list[float]):
    return lambda: series(setter(ImageOrientationPatient=vector))


def spacing(*values: float):
    return lambda: series(setter(PixelSpacing=list(values)))


ORDER = cases("order", {
    "names as positions": (lambda: renamed(lambda i: f"{i:03d}.dcm"), "right"),
    "names against positions": (lambda: renamed(lambda i: f"{99 - i:03d}.dcm"), "right"),
    "names without ending": (lambda: renamed(lambda i: f"IM{(i * 5) % 97}"), "right"),
    "nested folders": (lambda: renamed(lambda i: f"a{i % 3}/b{i % 2}/{i}.dcm"), "right"),
    "names beyond ASCII": (lambda: renamed(lambda i: f"Schädel {i * 7 % 16} ümlaut.dcm"), "right"),
    "numbers reversed": (lambda: series(lambda i, d: setattr(d, "InstanceNumber", COUNT - i)), "right"),
    "numbers all one": (lambda: series(setter(InstanceNumber=1)), "right"),
    "numbers absent": (lambda: series(setter(InstanceNumber=None)), "right"),
    "slice locations against positions": (lambda: series(lambda i, d: setattr(d, "SliceLocation", -9.0 * i)), "right"),
    "times against positions": (
        lambda: series(lambda i, d: setattr(d, "AcquisitionTime", f"12{59 - i:02d}00")), "right"),
    "two far slices exchanged": (
        lambda: changed(lambda s: exchange(s, 2, 12)), "refuse", {"words": "neighbours|differ"}),
})  # fmt: skip


def exchange(slices: list[Dataset], one: int, other: int) -> None:
    slices[one].PixelData, slices[other].PixelData = slices[other].PixelData, slices[one].PixelData


def halves_of_two_spacings() -> Files:
    return at_places(lambda i, p: [p[0], p[1], p[2] + max(0, i - 7) * 1.0])


def two_phases() -> Files:
    def second(index: int, dataset: Dataset) -> None:
        dataset.SOPInstanceUID += ".2"
        dataset.AcquisitionNumber = 2

    return series(setter(AcquisitionNumber=1)) + named([*map(brighter, dicom_slices(GRID, edit=second))])


def brighter(dataset: Dataset) -> Dataset:
    dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") + 90).astype("<u2").tobytes()
    return dataset


def again(edit=None, change=None) -> Files:
    """The series and slice 5 once more, edited or with changed contents."""
    more = dicom_slices(GRID)[5]
    if edit:
        edit(more)
    if change:
        change(more)
    return [*series(), ("Quillon_again.dcm", to_bytes(more))]


COMPLETENESS = cases("completeness", {
    "one slice missing": (lambda: kept(*range(6), *range(7, 16)), "refuse", {"words": "missing"}),
    "second slice missing": (lambda: kept(0, *range(2, 16)), "refuse", {"words": "missing"}),
    "several missing": (lambda: kept(0, 1, 2, 3, 5, 6, 9, 10, 11, 12, 13, 14, 15), "refuse", {"words": "missing"}),
    "every second missing in one half": (
        lambda: kept(0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15), "refuse", {"words": "missing"}),
    "every second missing throughout": (
        lambda: kept(*range(0, 16, 2)), "right",
        {"grids": (Grid((24, 20, 8), (1.5, 1.25, 4.0), centre_mm=(4.0, -3.0, 4.0)),)}),
    "last slices missing": (lambda: kept(*range(12)), "right", {"grids": (tail_of(GRID, 0, 12),)}),
    "irregular distances": (lambda: at_places(lambda i, p: p + [0, 0, 0.3 * (i % 3)]), "refuse", {"words": "varies"}),
    "distances grow": (lambda: at_places(lambda i, p: p + [0, 0, 0.02 * i * i]), "refuse", {"words": "varies"}),
    "two distances": (halves_of_two_spacings, "refuse", {"words": "varies|missing"}),
    "distances jitter by microns": (lambda: at_places(lambda i, p: p + [0, 0, 0.004 * (-1) ** i]), "right"),
    "all slices at one place": (lambda: at_places(lambda i, p: [0, 0, 5], contents=False), "refuse", {"words": "same"}),
    "single slice": (lambda: kept(4), "refuse", {"words": "single slice"}),
    "two slices": (lambda: kept(4, 5), "right", {"grids": (tail_of(GRID, 4, 2),)}),
    "identical copies": (lambda: series() + series()[3:6], "right"),
    "every file twice": (lambda: [*series(), *((f"copy/{name}", data) for name, data in series())], "right"),
    "copy with another identity": (lambda: again(lambda d: setattr(d, "SOPInstanceUID", "1.2.3.9")), "either"),
    "copy with another header": (lambda: again(lambda d: setattr(d, "InstanceNumber", 77)), "right"),
    "same identity other pixels": (lambda: again(change=brighter), "refuse", {"words": "differ"}),
    "same identity other place": (
        lambda: again(lambda d: setattr(d, "ImagePositionPatient", [0, 0, 90])), "refuse", {"words": "differ"}),
    "same identity other rescale": (
        lambda: again(lambda d: setattr(d, "RescaleIntercept", -1000)), "refuse", {"words": "differ"}),
    "same place other pixels": (
        lambda: again(lambda d: setattr(d, "SOPInstanceUID", "1.2.3.9"), brighter), "refuse", {"words": "same place"}),
    "same identity in every file": (lambda: series(setter(SOPInstanceUID="1.2.3")), "either"),
    "no identity in any file": (lambda: without_identity(), "either"),
    "two phases in one series": (two_phases, "refuse", {"words": "2 acquisitions"}),
    "two phases by time": (
        lambda: [*series(setter(TemporalPositionIdentifier=1)),
                 *named([brighter(d) for d in dicom_slices(GRID, edit=lambda i, d: (
                     setattr(d, "TemporalPositionIdentifier", 2), setattr(d, "SOPInstanceUID", f"1.2.4.{i}")))])],
        "refuse", {"words": "same place"}),
    "two scans interleaved": (
        lambda: [*series(), *series(lambda i, d: setattr(d, "SOPInstanceUID", f"1.2.4.{i}"),
                                    grid=Grid(centre_mm=(4.0, -3.0, 5.7)))], "refuse"),
})  # fmt: skip


def without_identity() -> Files:
    return [(name, data.replace(b"\x08\x00\x18\x00UI", b"\x08\x00\x19\x00UI")) for name, data in series()]


GEOMETRY = cases("geometry", {
    "sagittal": (lambda: series(grid=SAGITTAL), "right", {"grids": (SAGITTAL,)}),
    "coronal": (lambda: series(grid=CORONAL), "right", {"grids": (CORONAL,)}),
    "feet first": (lambda: series(grid=FEET_FIRST), "right", {"grids": (FEET_FIRST,)}),
    "prone": (lambda: series(grid=PRONE), "right", {"grids": (PRONE,)}),
    "decubitus": (lambda: series(grid=DECUBITUS), "right", {"grids": (DECUBITUS,)}),
    "oblique": (lambda: series(grid=OBLIQUE), "right", {"grids": (OBLIQUE,)}),
    "half way between axes": (lambda: series(grid=HALF_WAY), "right", {"grids": (HALF_WAY,)}),
    "small volume": (lambda: series(grid=SMALL), "right", {"grids": (SMALL,)}),
    "gantry tilt": (lambda: at_places(lambda i, p: p + [0, 0.65 * i, 0]), "refuse", {"words": "slant"}),
    "slight gantry tilt": (lambda: at_places(lambda i, p: p + [0, 0.05 * i, 0]), "refuse", {"words": "slant"}),
    "sideways drift": (lambda: at_places(lambda i, p: p + [0.4 * i, 0, 0]), "refuse", {"words": "slant"}),
    "tilt in the header only": (lambda: series(setter(GantryDetectorTilt=18.0)), "refuse", {"words": "tilt"}),
    "tilt infinite on one slice": (
        lambda: with_raw(series(setter(GantryDetectorTilt=0)), 0x00181120, b"inf", only=2), "either"),
    "no images counted of the acquisition": (lambda: series(setter(ImagesInAcquisition=0)), "right"),
    "tilt not a number": (lambda: with_raw(series(setter(GantryDetectorTilt=0)), 0x00181120, b"nan"), "either"),
    "one slice beside the stack": (
        lambda: at_places(lambda i, p: p + [2.0 * (i == 7), 0, 0]), "refuse", {"words": "straight line"}),
    "slices on a curve": (
        lambda: at_places(lambda i, p: p + [0.02 * i * i, 0, 0]), "refuse", {"words": "straight line|slant"}),
    "slices of two directions": (
        lambda: changed(lambda s: s[:8] + dicom_slices(SAGITTAL)[8:]), "refuse", {"words": "directions"}),
    "slices fanned out": (lambda: series(fan), "refuse", {"words": "directions"}),
    "one slice turned over": (
        lambda: series(at(7, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])), "refuse", {"words": "directions"}),
    "no orientation": (lambda: series(setter(ImageOrientationPatient=None)), "refuse", {"words": "oriented"}),
    "no orientation in one": (lambda: series(at(7, ImageOrientationPatient=None)), "refuse", {"words": "oriented"}),
    "zero orientation": (cosines([0, 0, 0, 0, 0, 0]), "refuse", {"words": "perpendicular"}),
    "parallel directions": (cosines([1, 0, 0, 1, 0, 0]), "refuse", {"words": "perpendicular"}),
    "skewed directions": (cosines([1, 0, 0, 0.5, 0.8, 0]), "refuse", {"words": "perpendicular"}),
    "directions twice too long": (cosines([2, 0, 0, 0, 2, 0]), "refuse", {"words": "perpendicular"}),
    "five cosines": (
        lambda: with_raw(series(), 0x00200037, b"1\\0\\0\\0\\1"), "refuse", {"words": "oriented"}),
    "orientation not a number": (
        lambda: with_raw(series(), 0x00200037, b"1\\0\\0\\0\\nan\\0"), "refuse", {"words": "oriented"}),
    "no position": (lambda: series(setter(ImagePositionPatient=None)), "refuse", {"words": "where in the patient"}),
    "no position in one": (
        lambda: series(at(3, ImagePositionPatient=None)), "refuse", {"words": "where in the patient"}),
    "position not a number": (
        lambda: with_raw(series(), 0x00200032, b"0\\0\\nan", only=4), "refuse", {"words": "where in the patient"}),
    "two position values": (
        lambda: with_raw(series(), 0x00200032, b"0\\4", only=4), "refuse", {"words": "where in the patient"}),
    "decimal commas": (
        lambda: with_raw(series(), 0x00200032, b"0,5\\1,5\\2,5"), "refuse", {"words": "where in the patient"}),
    "position in scientific notation": (lambda: scientific_positions(), "right"),
    "position absurdly far": (lambda: series(grid=Grid(centre_mm=(4.0, -3.0, 9e6))), "refuse"),
    "no pixel spacing": (lambda: series(setter(PixelSpacing=None)), "refuse", {"words": "pixel spacing"}),
    "imager spacing only": (
        lambda: series(setter(PixelSpacing=None, ImagerPixelSpacing=[1.25, 1.5])), "refuse",
        {"words": "pixel spacing"}),
    "zero spacing": (spacing(0, 1.5), "refuse", {"words": "pixel spacing"}),
    "negative spacing": (spacing(-1.25, 1.5), "refuse", {"words": "pixel spacing"}),
    "spacing in metres": (spacing(0.00125, 0.0015), "refuse", {"words": "voxel size"}),
    "spacing in micrometres": (spacing(1250, 1500), "refuse", {"words": "voxel size"}),
    "one spacing value": (lambda: with_raw(series(), 0x00280030, b"1.25"), "refuse", {"words": "pixel spacing"}),
    "spacing not a number": (
        lambda: with_raw(series(), 0x00280030, b"nan\\nan"), "refuse", {"words": "pixel spacing"}),
    "infinite spacing": (lambda: with_raw(series(), 0x00280030, b"inf\\inf"), "refuse", {"words": "pixel spacing"}),
    "spacing differs in one": (lambda: series(at(5, PixelSpacing=[1.25, 1.6])), "refuse", {"words": "pixel sizes"}),
    "slice step absurd": (
        lambda: series(grid=Grid(spacing_mm=(1.5, 1.25, 45.0))), "refuse", {"words": "voxel size|apart"}),
    "slices closer than a fiftieth of a pixel": (
        lambda: series(grid=Grid(spacing_mm=(1.5, 1.25, 0.025))), "refuse", {"words": "apart"}),
    "slices of a tenth of a pixel": (lambda: series(grid=CLOSE), "right", {"grids": (CLOSE,)}),
    "thickness contradicts positions": (lambda: series(setter(SliceThickness=7.5)), "right"),
    "thickness absent": (lambda: series(setter(SliceThickness=None)), "right"),
    "oblong pixels": (
        lambda: series(grid=Grid(spacing_mm=(3.5, 1.25, 2.0))), "refuse", {"words": "nearly square"}),
    "oblong pixels the other way": (spacing(1.25, 3.5), "refuse", {"words": "nearly square"}),
    "pixels of half again": (lambda: series(grid=OBLONG), "right", {"grids": (OBLONG,)}),
    "sagittal reformat of thick slices": (lambda: series(grid=SAGITTAL_THICK), "right", {"grids": (SAGITTAL_THICK,)}),
    "wide pixels": (spacing(25, 25), "refuse", {"words": "nearly square"}),
    "negative step in the header": (lambda: series(setter(SpacingBetweenSlices=-2.0)), "right"),
    "step in the header contradicts": (lambda: series(setter(SpacingBetweenSlices=5.0)), "right"),
})  # fmt: skip


def fan(index: int, dataset: Dataset) -> None:
    angle = np.radians(0.7 * index)
    dataset.ImageOrientationPatient = [1, 0, 0, 0, round(float(np.cos(angle)), 9), round(float(np.sin(angle)), 9)]


def scientific_positions() -> Files:
    slices = dicom_slices(GRID)
    files = named(slices)
    for index, dataset in enumerate(slices):
        value = "\\".join(f"{float(v):.9e}" for v in dataset.ImagePositionPatient).encode()
        files = with_raw(files, 0x00200032, value, only=index)
    return files


def screen(seed: int = 0, **values: object) -> tuple[str, bytes]:
    """A dose screen of the same patient: colour, secondary capture, modality CT."""
    dataset = base_dataset(GRID, seed)
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", f"1.2.9.{seed}"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelSpacing"):
        delattr(dataset, keyword)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = bytes(24 * 20 * 3)
    return ("Quillon_dose.dcm", to_bytes(dataset))


def report() -> tuple[str, bytes]:
    """A structured dose report of the same patient: no pixels."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.67", "1.2.9.88"
    dataset.Modality, dataset.PatientName, dataset.PatientID = "SR", "Quillon^Zyxwv", "PID774411"
    return ("Quillon_report.dcm", to_bytes(dataset))


def scout(index: int, dataset: Dataset) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    dataset.SOPInstanceUID += ".77"


def unmarked_scout(index: int, dataset: Dataset) -> None:
    scout(index, dataset)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]


def half(**values: object) -> Files:
    change = setter(**values)
    return series(lambda index, dataset: change(index, dataset) if index % 2 else None)


STRAY = [("notes.txt", b"seen by Quillon"), ("Thumbs.db", b"\xd0\xcf\x11\xe0" * 99), (".DS_Store", b"\0\0\0\1Bud1"),
         ("empty", b""), ("._Quillon1.dcm", b"\0\5\x16\7" * 40), ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(300)),
         ("VERSION", b"1"), ("data.json", b"{}")]  # fmt: skip


def named_in(charset: str, name: str) -> Files:
    """The series with the patient's name in a character set."""
    return series(setter(SpecificCharacterSet=charset, PatientName=name))


LATIN, UTF_8 = "ISO_IR 100", "ISO_IR 192"
MIXED = cases("mixed", {
    "stray files": (lambda: [*series(), *STRAY], "right"),
    "dose screen in the series": (lambda: [*series(), screen()], "right"),
    "dose screen with axial class": (
        lambda: [*series(), screen(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")], "either"),
    "dose report": (lambda: [*series(), report()], "right"),
    "localizers in the series": (lambda: series() + series(scout)[:2], "right"),
    "unmarked localizer in the series": (lambda: series() + series(unmarked_scout)[:1], "refuse"),
    "localizer of its own": (lambda: series() + series(scout, seed=4)[:1], "right"),
    "localizers only": (lambda: series(scout), "refuse", {"words": "localizer"}),
    "two patients by number": (lambda: half(PatientID="PID774412"), "refuse", {"words": "different patient"}),
    "two patients by name": (lambda: half(PatientName="Other^One"), "refuse", {"words": "different patient"}),
    "two patients by birth date": (lambda: half(PatientBirthDate="19500102"), "refuse", {"words": "different patient"}),
    "two patients in two series": (
        lambda: series() + series(setter(PatientID="PID9"), seed=3), "refuse", {"words": "different patient"}),
    "one name in two character sets": (
        lambda: named_in(LATIN, "Zyxw\u00f6v")[:8] + named_in(UTF_8, "Zyxw\u00f6v")[8:], "right"),
    "two names in two character sets": (
        lambda: named_in(LATIN, "Zyxw\u00f6v")[:8] + named_in(UTF_8, "Zyxw\u00e4v")[8:],
        "refuse", {"words": "different patient names"}),
    "a name in a second script in one half": (
        lambda: named_in(UTF_8, "Zyxwv=\u738b^\u5c0f")[:8] + named_in(UTF_8, "Zyxwv")[8:], "right"),
    "two names in a second script": (
        lambda: named_in(UTF_8, "Zyxwv=\u738b")[:8] + named_in(UTF_8, "Zyxwv=\u674e")[8:],
        "refuse", {"words": "different patient names"}),
    "one name in two spellings": (lambda: half(PatientName="QUILLON^ZYXWV^"), "right"),
    "name missing in one": (lambda: series(at(3, PatientName="")), "right"),
    "no identity": (lambda: series(setter(PatientName="", PatientID="", PatientBirthDate="")), "right"),
    "two series": (lambda: series() + series(grid=FINE, seed=1), "choose", {"grids": (GRID, FINE)}),
    "two studies of one patient": (
        lambda: series() + series(setter(StudyInstanceUID="1.2.77"), grid=FINE), "choose", {"grids": (GRID, FINE)}),
    "series and enhanced": (
        lambda: [*series(grid=FINE, seed=1), ("frames.dcm", enhanced_file())], "choose", {"grids": (GRID, FINE)}),
    "series and NIfTI": (
        lambda: [*series(grid=FINE, seed=1), ("scan.nii", nifti_file())], "choose", {"grids": (GRID, FINE)}),
    "magnetic resonance beside it": (lambda: series() + series(setter(Modality="MR"), seed=2), "right"),
    "magnetic resonance only": (lambda: series(setter(Modality="MR")), "refuse", {"words": "magnetic"}),
    "no modality": (lambda: series(setter(Modality=None)), "right"),
    "modality differs in one half": (
        lambda: series(lambda i, d: setattr(d, "Modality", ["CT", "PT"][i // 8])), "refuse", {"words": "modalit"}),
    "two study dates": (
        lambda: series(lambda i, d: setattr(d, "StudyDate", f"202{i // 8}0101")), "refuse", {"words": "study dates"}),
    "modality differs in one": (lambda: series(at(4, Modality="MR")), "refuse"),
    "frames of reference mixed": (lambda: half(FrameOfReferenceUID="1.2.3"), "refuse", {"words": "reference"}),
    "frame of reference absent": (lambda: series(setter(FrameOfReferenceUID=None)), "right"),
    "sizes mixed": (
        lambda: changed(lambda s: s[:8] + dicom_slices(Grid(shape=(20, 24, 16)))[8:]), "refuse", {"words": "sizes"}),
    "storage mixed": (lambda: changed(lambda s: s[:8] + filled(GRID.hu())[8:]), "right"),
    "series identity missing in one": (lambda: series(at(4, SeriesInstanceUID=None)), "refuse"),
    "series identity missing in all": (lambda: series(setter(SeriesInstanceUID=None)), "either"),
    "dose report only": (lambda: [report()], "refuse"),
    "captured slices": (
        lambda: series(setter(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")), "refuse"),
    "other class, modality CT": (
        lambda: series(setter(SOPClassUID="1.2.840.10008.5.1.4.1.1.4")), "refuse", {"words": "no CT slices"}),
    "other sex in one half": (
        lambda: series(lambda i, d: setattr(d, "PatientSex", "FM"[i // 8])), "refuse", {"words": "different patient"}),
    "two kernels alternating": (lambda: half(ConvolutionKernel="B70f"), "refuse", {"words": "kernels"}),
    "two kernels, one half each": (
        lambda: series(lambda i, d: setattr(d, "ConvolutionKernel", "B31f" if i < 8 else "B70f")),
        "refuse", {"words": "kernels"}),
    "two tube voltages": (lambda: half(KVP=80), "refuse", {"words": "voltages"}),
    "two manufacturers": (lambda: half(Manufacturer="Other"), "refuse", {"words": "manufacturers"}),
    "two patient positions": (lambda: half(PatientPosition="FFS"), "refuse", {"words": "patient positions"}),
    "time points one after the other": (
        lambda: series(lambda i, d: setattr(d, "TemporalPositionIdentifier", 1 + i // 8)),
        "refuse", {"words": "time points"}),
    "heart phases alternating": (
        lambda: series(lambda i, d: setattr(d, "NominalPercentageOfCardiacPhase", 40.0 + 35 * (i % 2))),
        "refuse", {"words": "phases of the heart"}),
    "acquisitions one after the other": (
        lambda: series(lambda i, d: setattr(d, "AcquisitionNumber", 1 + i // 8)), "right"),
    "maximum intensity projection": (
        lambda: series(setter(ImageType=["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"])),
        "refuse", {"words": "projections"}),
    "volume rendering": (
        lambda: series(setter(ImageType=["DERIVED", "SECONDARY", "VRT"])), "refuse", {"words": "renderings"}),
    "atomic numbers": (
        lambda: series(setter(ImageType=["DERIVED", "PRIMARY", "AXIAL", "Z_EFF"])), "refuse", {"words": "maps"}),
    "derived reformat": (lambda: series(setter(ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])), "right"),
})  # fmt: skip

CASES = [*ORDER, *COMPLETENESS, *GEOMETRY, *MIXED]
