"""Corpus: volumes that open without complaint and are wrong all the same, and their harmless doubles.

The body stands for a chest: air, lungs, fat, muscle, vessels and bone with a scanner's noise, all by world position.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from corpus import GRID, Case, Files, cases, filled, series
from corpus_archives import tarred
from corpus_enhanced import file, item
from ct_factory import Grid, dicom_slices, named, nifti_file, positions, setter, world_hu
from pydicom.dataset import Dataset

BODY = Grid((72, 60, 24), (5.0, 5.0, 5.0))
LONG = Grid((24, 20, 60), (1.5, 1.25, 2.0))
THIN = Grid((24, 20, 40), (1.5, 1.25, 0.625))


def body(places: np.ndarray) -> np.ndarray:
    """HU of a chest at RAS positions (..., 3)."""
    x, y, z = places[..., 0] + 4, places[..., 1] - 3, places[..., 2] - 5
    trunk = (x / (150 + 0.2 * z)) ** 2 + (y / 115) ** 2
    hu = np.where(trunk < 1, -105.0, -1000.0)
    hu = np.where(trunk < 0.8, 45.0, hu)
    for side in (-1, 1):
        hu = np.where(((x - 70 * side) / (42 + 0.1 * z)) ** 2 + (y / 72) ** 2 < 1, -850.0, hu)
    hu = np.where(x**2 + (y + 85) ** 2 < 15**2, 420.0, hu)
    hu = np.where(x**2 + (y - 20) ** 2 < 18**2, 160.0, hu)
    noise = np.sin(12.9898 * x + 78.233 * y + 37.719 * z) * 43758.5453
    return np.clip(np.rint(hu + 24 * (noise - np.floor(noise) - 0.5)), -1024, 3071)


def scan(change: Callable[[np.ndarray], np.ndarray] = np.asarray, **header: object) -> Files:
    """The body as a series after `change(HU (columns, rows, slices))`."""
    return named(filled(change(body(positions(BODY.affine_ras, BODY.shape))), BODY, **header))


def scaled(slope: float, offset: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """What a wrong slope, from -1024, and a wrong offset make of HU."""
    return lambda hu: np.rint((hu + 1024) * slope - 1024 + offset)


def airless(hu: np.ndarray) -> np.ndarray:
    """A chest in a made background as light as lung."""
    return np.where(hu < -950, -820.0, hu)


def mellow(hu: np.ndarray) -> np.ndarray:
    """A chest whose lungs and air are so uneven that no value of them stands out."""
    return np.where(hu < -700, hu + 12 * (hu % 24), hu).round()


def bony(hu: np.ndarray) -> np.ndarray:
    """A chest without air around, a quarter of it as dense as the hardest bone."""
    return np.where(hu % 4 == 0, 720 + 15 * (hu % 23), airless(hu)).round()


def wrapped(hu: np.ndarray) -> np.ndarray:
    """A chest whose hard bone did not fit the stored bits and came out far below air."""
    hu = np.where((hu > 380) & (hu < 430), hu + 300, hu)
    return np.where(hu > 725, hu - 4096, hu)


def lungs_cut_out(hu: np.ndarray) -> np.ndarray:
    """A chest with one value below air in place of its lungs."""
    return np.where((hu < -700) & (hu > -900), -2000, hu)


def short_streaks(hu: np.ndarray) -> np.ndarray:
    """A chest with a metal rod and, on both sides of it, streaks far below air, as extended CT scales hold them."""
    i, j, _ = np.indices(hu.shape)
    i, j = i - (hu.shape[0] - 1) / 2, j - (hu.shape[1] - 1) / 2
    hu = np.where((np.abs(j) < 2) & (np.abs(i) < 9), -1900, hu)
    return np.where(i**2 + j**2 < 4**2, 3000, hu)


def equalised(hu: np.ndarray) -> np.ndarray:
    """A chest whose values are as many each, as for display."""
    return np.rint(np.argsort(np.argsort(hu.ravel())).reshape(hu.shape) / hu.size * 2500 - 1024)


def noise(hu: np.ndarray) -> np.ndarray:
    """The values of a chest in no order, as pixels that were decoded wrongly."""
    return np.asarray(np.random.default_rng(0).permutation(hu.ravel()).reshape(hu.shape))


def noisy(hu: np.ndarray) -> np.ndarray:
    """A chest under 100 HU of noise."""
    return np.clip(np.rint(hu + np.random.default_rng(0).normal(0, 100, hu.shape)), -1024, 3071)


def paged(hu: np.ndarray) -> np.ndarray:
    """A chest whose last slice is a page of white text on black."""
    hu = hu.copy()
    hu[:, :, -1] = np.where(np.random.default_rng(0).random(hu.shape[:2]) < 0.4, 2900, -1024)
    return hu


def mirrored(axis: int) -> Callable[[np.ndarray], np.ndarray]:
    """A chest out of the middle, the upper half written in reverse along an axis of the pictures."""

    def halves(hu: np.ndarray) -> np.ndarray:
        moved = np.roll(hu, (3, 2), (0, 1))
        return np.concatenate([moved[:, :, :12], np.flip(moved[:, :, 12:], axis)], 2)

    return halves


def streaked(hu: np.ndarray) -> np.ndarray:
    """A chest with an implant as bright as it is, and starved streaks far below air beside it."""
    hu = hu.copy()
    hu[30:32, 28:32, 6:16] = 9000
    hu[20:30, 29:31, 6:16] = -1900 + 3 * np.arange(10)[:, None, None]
    return hu


def emptied(first_row: int, number: int, value: int = -1024) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of one slice from `first_row` on lost and filled with one value."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu = hu.copy()
        hu[:, first_row:, number] = value
        return hu

    return change


def blank(slices: slice) -> Callable[[np.ndarray], np.ndarray]:
    """Whole slices lost."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu = hu.copy()
        hu[:, :, slices] = -1024
        return hu

    return change


def in_turns(hu: np.ndarray) -> np.ndarray:
    """Every second slice from a scan with more contrast in it."""
    hu = hu.copy()
    hu[:, :, 1::2] = np.where(hu[:, :, 1::2] > 0, hu[:, :, 1::2] + 90, hu[:, :, 1::2])
    return hu


def beside(*slices: slice | int, mm: float = 40.0) -> Callable[[np.ndarray], np.ndarray]:
    """Slices of a second scan, of which the patient lay elsewhere, instead of the first one's."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu, other = hu.copy(), body(positions(BODY.affine_ras, BODY.shape) + [mm, 0, 0])
        for chosen in slices:
            hu[:, :, chosen] = other[:, :, chosen]
        return hu

    return change


def again(number: int, place: int) -> Callable[[np.ndarray], np.ndarray]:
    """A slice once more, in place of another one."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu = hu.copy()
        hu[:, :, place] = hu[:, :, number]
        return hu

    return change


def reordered(*order: int) -> Callable[[np.ndarray], np.ndarray]:
    """The contents of slices 11 and above in another order."""

    def change(hu: np.ndarray) -> np.ndarray:
        out = hu.copy()
        out[:, :, 11 : 11 + len(order)] = hu[:, :, order]
        return out

    return change


def exchanged(slices: list[Dataset]) -> Files:
    """Twelve bits with the two bytes of each pixel exchanged."""
    for dataset in slices:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    return named(slices)


def steps(height: Callable[[int], float], grid: Grid) -> Files:
    """Slices at other heights (mm above the first), each with what lies there."""
    slices = dicom_slices(grid)
    first = np.array(slices[0].ImagePositionPatient, float)
    for index, dataset in enumerate(slices):
        dataset.ImagePositionPatient = [*first[:2], round(first[2] + height(index), 6)]
    return named(slices)


def without_pixels(**values: object) -> list[tuple[str, bytes]]:
    """A structure set beside the scan."""
    dataset = dicom_slices(GRID, edit=setter(**values))[0]
    dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT"
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.840.99.7", "1.2.840.99.8"
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    return named([dataset])


def headers_only() -> Files:
    """The series without its pictures."""
    slices = dicom_slices(GRID)
    for dataset in slices:
        del dataset.PixelData
    return named(slices)


def stacks(dataset: Dataset, count: int = 2) -> None:
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence = item(StackID=str(1 + number % count))


def technique(dataset: Dataset, name: str) -> None:
    dataset.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence = item(
        FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], VolumeBasedCalculationTechnique=name
    )


def linked(name: str) -> Files:
    """An archive in which one slice is a link."""
    files = [*series()]
    return [
        (
            "scan.tar",
            tarred([(name, b"") if number == 4 else entry for number, entry in enumerate(files)], links={name}),
        )
    ]


def volume(change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> Files:
    """The body as NIfTI."""
    return [("scan.nii", nifti_file(BODY, data=change(body(positions(BODY.affine_ras, BODY.shape)))))]


NOT_HU = {"words": "not Hounsfield"}
LOST = {"words": "one value where the next slice"}
MAPS = {"words": "maps"}
JOINED = {"words": "two scans seem to be joined"}
DISORDER = {"words": "out of order"}
CASES: list[Case] = [
    *cases("doubt", {
        "body": (scan, "right"),
        "body as NIfTI": (volume, "right"),
        "body without air around": (lambda: scan(airless), "right", {"field": lambda places: airless(body(places))}),
        "twice the slope": (lambda: scan(scaled(2)), "refuse", NOT_HU),
        "one and a half of the slope": (lambda: scan(scaled(1.5)), "refuse", NOT_HU),
        "half the slope": (lambda: scan(scaled(0.5)), "refuse", NOT_HU),
        "500 too high": (lambda: scan(scaled(1, 500)), "refuse", NOT_HU),
        "200 too low": (lambda: scan(scaled(1, -200)), "refuse", NOT_HU),
        "300 too low as NIfTI": (lambda: volume(scaled(1, -300)), "refuse", NOT_HU),
        "upside down": (lambda: scan(lambda hu: -hu), "refuse", NOT_HU),
        "upside down and uneven": (lambda: volume(lambda hu: -mellow(hu)), "refuse", {"words": "dark as air"}),
        "uneven lungs and air": (lambda: volume(mellow), "right", {"field": lambda places: mellow(body(places))}),
        "a quarter of hard bone, no air": (lambda: volume(bony), "right", {"field": lambda places: bony(body(places))}),
        "bone wrapped below air": (lambda: volume(wrapped), "refuse", {"words": "overflow"}),
        "bone wrapped below air in a series": (lambda: scan(wrapped), "refuse", {"words": "overflow"}),
        "upper half mirrored": (lambda: scan(mirrored(0)), "refuse", {"words": "mirrored against those below"}),
        "upper half upside down": (lambda: volume(mirrored(1)), "refuse", {"words": "mirrored against those below"}),
        "lungs cut out": (
            lambda: volume(lungs_cut_out), "right",
            {"field": lambda places: np.maximum(lungs_cut_out(body(places)), -1024)}),
        "streaks beside metal": (
            lambda: volume(short_streaks), "right",
            {"field": lambda places: np.maximum(short_streaks(body(places)), -1024)}),
        "much noise": (lambda: volume(noisy), "right", {"tolerance": 600.0}),
        "last slice a page of text": (lambda: scan(paged), "refuse", {"words": "last slice.*something else"}),
        "cut off at -500": (lambda: scan(lambda hu: np.maximum(hu, -500)), "refuse", {"words": "at the bottom"}),
        "bone window": (lambda: scan(lambda hu: np.clip(hu, -450, 1050)), "refuse", {"words": "at the bottom"}),
        "three inner slices lost": (lambda: scan(blank(slice(10, 13))), "refuse", {"words": "Blank between"}),
        "three inner slices lost in NIfTI": (
            lambda: volume(blank(slice(10, 13))), "refuse", {"words": "Blank between"}),
        "last slice half lost": (lambda: scan(emptied(28, -1)), "refuse", LOST),
        "first slice half lost": (lambda: scan(emptied(28, 0, 0)), "refuse", LOST),
        "inner slice lost in part": (lambda: scan(emptied(47, 11)), "refuse", LOST),
        "last slice half lost as NIfTI": (lambda: volume(emptied(28, -1, 0)), "refuse", LOST),
        "two scans in turns": (lambda: scan(in_turns), "refuse", {"words": "take turns"}),
        "two scans in turns, the second moved": (
            lambda: scan(beside(slice(1, None, 2), mm=12)), "refuse", {"words": "take turns"}),
        "two scans in turns in a part": (lambda: scan(beside(slice(8, 18, 2))), "refuse", {"words": "take turns"}),
        "two scans in turns as NIfTI": (
            lambda: volume(beside(slice(1, None, 2), mm=12)), "refuse", {"words": "take turns"}),
        "two scans in turns by pairs": (
            lambda: scan(beside(slice(2, None, 4), slice(3, None, 4))), "refuse", {"words": "joined there"}),
        "every third slice of another scan": (
            lambda: scan(beside(slice(1, None, 3))), "refuse", {"words": "Unlike both neighbours|take turns"}),
        "two slices exchanged": (lambda: scan(reordered(12, 11)), "refuse", DISORDER),
        "two slices exchanged as NIfTI": (lambda: volume(reordered(12, 11)), "refuse", DISORDER),
        "one slice moved": (lambda: scan(reordered(12, 13, 11)), "refuse", DISORDER),
        "a part turned round": (lambda: volume(reordered(15, 14, 13, 12, 11)), "refuse", DISORDER),
        "the upper half of another scan": (lambda: scan(beside(slice(12, None))), "refuse", JOINED),
        "the upper half of another scan as NIfTI": (lambda: volume(beside(slice(12, None))), "refuse", JOINED),
        "two slices of another scan": (lambda: scan(beside(slice(11, 13))), "refuse", JOINED),
        "the last two slices of another scan": (lambda: scan(beside(slice(22, None))), "refuse", JOINED),
        "a slice twice": (lambda: scan(again(4, 6)), "refuse", {"words": "Identical to another one"}),
    }, grids=(BODY,), field=body),
    *cases("doubt", {
        "bytes exchanged in twelve bits": (lambda: exchanged(dicom_slices(GRID)), "refuse", {"words": "bytes"}),
        "two kinds of image in turns": (
            lambda: series(lambda i, d: setattr(d, "ImageType", ["DERIVED" if i % 2 else "ORIGINAL", "PRIMARY"])),
            "refuse", {"words": "kinds of image"}),
        "two stacks in one file": (lambda: file(stacks), "refuse", {"words": "stacks"}),
        "one stack in one file": (lambda: file(lambda d: stacks(d, 1)), "right"),
        "map of iodine": (lambda: series(setter(ImageType=["DERIVED", "PRIMARY", "DE_IODINE"])), "refuse", MAPS),
        "quantity of an enhanced image": (
            lambda: series(setter(ImageType=["DERIVED", "PRIMARY", "VOLUME", "QUANTITY"])), "refuse", MAPS),
        "mean of an enhanced image": (
            lambda: series(setter(ImageType=["DERIVED", "PRIMARY", "VOLUME", "MEAN"])), "right"),
        "blood volume": (lambda: series(setter(ImageType=["DERIVED", "PRIMARY", "PBV_LUNG"])), "refuse", MAPS),
        "projection by its technique": (
            lambda: series(setter(VolumeBasedCalculationTechnique="MAX_IP")), "refuse", {"words": "projections"}),
        "projection by the technique of its frames": (
            lambda: file(lambda d: technique(d, "MIN_IP")), "refuse", {"words": "projections"}),
        "no technique": (lambda: file(lambda d: technique(d, "NONE")), "right"),
        "no technique in one half": (
            lambda: series(lambda i, d: setattr(d, "VolumeBasedCalculationTechnique", "NONE" if i < 8 else "")),
            "right"),
        "reformat": (lambda: series(setter(ImageType=["DERIVED", "SECONDARY", "MPR"])), "right"),
        "tube voltage in two spellings": (
            lambda: series(lambda i, d: setattr(d, "KVP", "120" if i % 2 else "120.0")), "right"),
        "structure set of another patient": (
            lambda: series() + without_pixels(PatientID="PID9"), "refuse", {"words": "different patient"}),
        "structure set of the patient": (lambda: series() + without_pixels(), "right"),
        "a slice that is a link": (lambda: linked("IM0004.dcm"), "refuse", {"words": "links replaced"}),
        "headers only": (headers_only, "refuse", {"words": "Without pixel data: 16"}),
        "a .nii that is none": (
            lambda: [("scan.nii", b"not at all a header" * 40)], "refuse", {"words": "without the header of NIfTI"}),
        "units spelt out": (lambda: series(setter(RescaleType="Hounsfield")), "right"),
        "a stray link": (lambda: [("scan.tar", tarred([*series(), ("README", b"")], links={"README"}))], "right"),
    }),
    *cases("doubt", {
        "positions rounded to a tenth": (
            lambda: steps(lambda i: round(0.625 * i, 1), THIN), "right", {"grids": (THIN,), "tolerance": 2.0}),
        "steps that grow in the middle": (
            lambda: steps(lambda i: 2.0 * i + 0.035 * max(0, i - 30), LONG), "refuse", {"words": "even steps"}),
    }, field=world_hu),
]  # fmt: skip
