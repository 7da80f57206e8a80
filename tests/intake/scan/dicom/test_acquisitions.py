"""Several acquisitions in one series: never mixed, told apart where it is certain, and followed where they follow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from corpus_enhanced import by_rank, file, item
from ct_factory import (
    Edit,
    Grid,
    NamedBytes,
    assert_right,
    dicom_slices,
    enhanced_file,
    named,
    put_pixels,
    setter,
)
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.intake.scan.dicom import acquisitions
from core.load import RepairableError, load_study

GRID = Grid()
COUNT = GRID.shape[2]
Tag = Callable[[Dataset, int, int], None]


def series(edit: Edit) -> list[NamedBytes]:
    return named(dicom_slices(GRID, edit=edit))


def differing(**values: tuple[object, object]) -> Edit:
    """Every second slice is of another acquisition."""
    return lambda index, dataset: [setattr(dataset, name, two[index % 2]) for name, two in values.items()] and None


IN_TURNS: dict[str, tuple[Edit, str]] = {
    "numbers": (differing(AcquisitionNumber=(1, 2)), "acquisition numbers"),
    "numbers of a third scan": (lambda i, d: setattr(d, "AcquisitionNumber", 1 + i % 3), "acquisition numbers"),
    "numbers in pairs": (lambda i, d: setattr(d, "AcquisitionNumber", 1 + i // 2 % 2), "acquisition numbers"),
    "times": (differing(AcquisitionTime=("101500", "101700")), "times"),
    "times of each slice": (lambda i, d: setattr(d, "AcquisitionTime", f"10{15 + i % 2}{i:02d}.25"), "times"),
    "dates and times": (
        differing(AcquisitionDateTime=("20190504101500.0+0100", "20190504101545.0+0100")), "times"),
    "days": (differing(AcquisitionDate=("20190504", "20190704")), "days"),
    "numbers and times of images counted through": (
        lambda i, d: setter(AcquisitionNumber=1 + i % 2, InstanceNumber=i, AcquisitionTime=f"10{15 + i % 2}00")(i, d),
        "times"),
}  # fmt: skip


def test_only_so_many_acquisitions_are_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands that come in turns every pair would take hours."""
    asked: list[object] = []
    monkeypatch.setattr(acquisitions, "_returns", lambda row, one, other: asked.append((one, other)) or 0)
    assert not acquisitions._take_turns([number % 2000 for number in range(6000)])
    assert 0 < len(asked) <= 32 * 31 / 2


def test_an_image_number_without_end_counts_nothing() -> None:
    """As a float it is infinite, and so would be the images that it leaves out."""
    files = dicom_slices(GRID, edit=lambda index, dataset: setattr(dataset, "InstanceNumber", index + 1))
    for dataset in files:
        number = "9" * 320 if dataset.InstanceNumber == COUNT else str(dataset.InstanceNumber)
        dataset.add_new(0x00200013, "LO", number)  # an integer string is refused by the writer
    notes = load_study(named(files)).notes
    assert not any("leave out" in note for note in notes)


@pytest.mark.parametrize("case", IN_TURNS)
def test_acquisitions_in_turns_are_refused(case: str) -> None:
    edit, words = IN_TURNS[case]
    with pytest.raises(UserFacingError, match=f"take turns: their {words}"):
        load_study(series(edit))


RECONSTRUCTIONS: dict[str, Edit] = {
    "slice thicknesses": differing(SliceThickness=(5, 3)),
    "reconstructed diameters": differing(ReconstructionDiameter=("352", "360")),
    "filters": differing(FilterType=("BODY", "HEAD")),
    "series numbers": differing(SeriesNumber=(3, 4)),
    "series descriptions": differing(SeriesDescription=("arterial", "venous")),
    "series times": differing(SeriesTime=("101112", "103112")),
    "protocols": differing(ProtocolName=("thorax", "abdomen")),
    "scanners": differing(StationName=("CT1", "CT2")),
}


@pytest.mark.parametrize("what", RECONSTRUCTIONS)
def test_reconstructions_in_turns_are_refused(what: str) -> None:
    with pytest.raises(UserFacingError, match=f"reconstructions take turns: their {what} differ"):
        load_study(series(RECONSTRUCTIONS[what]))


def test_reconstructions_that_follow_each_other_are_told_without_their_words() -> None:
    notes = load_study(series(lambda i, d: setattr(d, "SeriesDescription", "Quillon" if i < 6 else "thorax"))).notes
    assert "The slices have 2 series descriptions (10 and 6 images), as those of several scans do." in notes
    assert "Quillon" not in " ".join(notes)


@pytest.mark.parametrize(("day", "told"), [("20190505", False), ("20190704", True)])
def test_days_that_follow_each_other_are_told_where_they_are_those_of_two_scans(day: str, told: bool) -> None:
    notes = load_study(series(lambda i, d: setattr(d, "AcquisitionDate", "20190504" if i < 8 else day))).notes
    assert ("The slices were taken on 2 days, up to 61 days apart, as those of two scans are." in notes) == told


def multiframe(number: int, step_mm: float, above_mm: float) -> NamedBytes:
    """One of two enhanced images of a series, its slices `step_mm` apart."""
    grid = Grid((24, 20, 8), (1.5, 1.25, step_mm), centre_mm=(4.0, -3.0, 5.0 + number * above_mm))
    data = enhanced_file(grid, lambda dataset: setattr(dataset, "SOPInstanceUID", f"1.2.7.{number}"))
    return f"{number}.dcm", data


def test_slices_of_two_multiframe_images_in_turns_are_refused() -> None:
    """Each is a volume of its own, as of two phases; half a step apart they look like one with thinner slices."""
    with pytest.raises(UserFacingError, match="take turns: their files"):
        load_study([multiframe(number, 4.0, 2.0) for number in range(2)])


def test_multiframe_images_that_follow_each_other_are_read_and_told() -> None:
    study = load_study([multiframe(number, 2.0, 16.0) for number in range(2)])
    assert_right(study)
    assert study.shape == (24, 20, 16)
    assert "The slices come from 2 images of many slices, which follow each other." in study.notes


def test_frames_of_two_reconstructions_in_turns_are_refused() -> None:
    def sizes(rank: int) -> dict[str, object]:
        return {"CTReconstructionSequence": item(ReconstructionDiameter=350.0 + 10 * (rank % 2))}

    with pytest.raises(UserFacingError, match="take turns: their reconstructed diameters"):
        load_study(file(lambda dataset: by_rank(dataset, sizes)))


DIFFERENT_AGENTS: dict[str, Edit] = {
    "in turns": differing(ContrastBolusAgent=("", "Iomeron 400")),
    "one number after the other": lambda i, d: setter(
        AcquisitionNumber=1 + i // 8, ContrastBolusAgent="Iomeron" * (i // 8)
    )(i, d),
    "one time after the other": lambda i, d: setter(
        AcquisitionTime=f"10{15 + i // 8}00", ContrastBolusAgent="Iomeron" * (i // 8)
    )(i, d),
}


@pytest.mark.parametrize("case", DIFFERENT_AGENTS)
def test_acquisitions_with_and_without_contrast_are_refused(case: str) -> None:
    with pytest.raises(UserFacingError, match="differ in the contrast agent"):
        load_study(series(DIFFERENT_AGENTS[case]))


@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_in_turns_are_one_scan_where_the_images_are_counted_through(sign: int) -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber, dataset.InstanceNumber = 1 + index % 2, 100 + sign * index

    study = load_study(series(edit))
    assert_right(study)
    assert any("2 acquisitions, in turns; they were read as one" in note for note in study.notes)


def test_acquisitions_in_turns_are_not_offered_for_resampling() -> None:
    """The second scan lies a quarter of a step above the first: no repair of the steps makes one scan of the two."""
    edit = differing(AcquisitionNumber=(1, 2))
    slices = dicom_slices(GRID, edit=edit)
    for dataset in slices[1::2]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z - 1.0]
    with pytest.raises(UserFacingError, match="take turns") as caught:
        load_study(named(slices))
    assert not isinstance(caught.value, RepairableError)


def test_frames_of_two_acquisitions_in_turns_are_refused() -> None:
    def numbers(rank: int) -> dict[str, object]:
        return {"FrameContentSequence": item(FrameAcquisitionNumber=1 + rank % 2)}

    with pytest.raises(UserFacingError, match="take turns"):
        load_study(file(lambda dataset: by_rank(dataset, numbers)))


def slabs(size: int, pause_s: int, order: Callable[[int], int]) -> Edit:
    """Step and shoot: slabs of so many slices, each with a number and a pause of its own."""

    def edit(index: int, dataset: Dataset) -> None:
        turn = order(index // size)
        dataset.AcquisitionNumber = turn + 1
        taken = 36900 + turn * (pause_s + 1) + (index % size) / 10
        dataset.AcquisitionTime = f"{int(taken // 3600):02d}{int(taken // 60 % 60):02d}{taken % 60:05.2f}"

    return edit


ORDINARY: dict[str, Edit] = {
    "one after the other": lambda i, d: setattr(d, "AcquisitionNumber", 1 + i // 8),
    "overlap of a slice": lambda i, d: setattr(d, "AcquisitionNumber", 2 if i == 7 or i > 8 else 1),
    "overlap of two slices": lambda i, d: setattr(d, "AcquisitionNumber", 2 if i in (6, 8) or i > 9 else 1),
    "a number a slice": lambda i, d: setattr(d, "AcquisitionNumber", COUNT - i),
    "a number a slice in no order": lambda i, d: setattr(d, "AcquisitionNumber", i * 7 % COUNT + 1),
    "step and shoot": slabs(4, 12, lambda slab: slab),
    "step and shoot downwards": slabs(4, 12, lambda slab: 3 - slab),
    "step and shoot in no order": slabs(4, 12, lambda slab: (2, 0, 3, 1)[slab]),
    "step and shoot without a pause": slabs(2, 0, lambda slab: slab * 5 % 8),
    "times in no order": lambda i, d: setattr(d, "AcquisitionTime", f"101500.{i * 7 % COUNT:02d}"),
    "there and back": lambda i, d: setattr(d, "AcquisitionTime", f"1015{i * 2 if i % 2 else 40 - i * 2:02d}"),
    "a minute between slices": lambda i, d: setattr(d, "AcquisitionTime", f"10{59 - i:02d}00"),
    "over midnight": lambda i, d: setattr(d, "AcquisitionTime", f"2359{50 + i:02d}" if i < 8 else f"0000{i:02d}"),
    "days over midnight": lambda i, d: setattr(d, "AcquisitionDate", "20190504" if i < 8 else "20190505"),
    "a day of each image": lambda i, d: setattr(d, "AcquisitionDate", f"201905{1 + i * 7 % COUNT:02d}"),
    "times rounded": lambda i, d: setattr(d, "AcquisitionTime", "101500" if i % 3 else "101501"),
    "numbers missing in some": lambda i, d: setattr(d, "AcquisitionNumber", "" if i % 2 else 1),
    "times missing in some": lambda i, d: setattr(d, "AcquisitionTime", "" if i % 2 else "101500"),
    "times without seconds": lambda i, d: setattr(d, "AcquisitionTime", "1015" if i % 2 else "1017"),
    "agent missing in some": lambda i, d: setattr(d, "ContrastBolusAgent", "" if i < 3 else "Iomeron"),
    "contents made in no order": lambda i, d: setattr(d, "ContentTime", f"10{15 + i % 2}00"),
    "comments in no order": lambda i, d: setattr(d, "ImageComments", "AB"[i % 2]),
    "numbers written in two ways": lambda i, d: setter(
        SliceThickness=("2", "2.000")[i % 2], SeriesTime=("101112", "101112.000000")[i % 2]
    )(i, d),
    "description missing in some": lambda i, d: setattr(d, "SeriesDescription", "" if i % 2 else "thorax"),
    "a diameter of one image": lambda i, d: setattr(d, "ReconstructionDiameter", 350 + (i == 5)),
    "a time of the series in each image": lambda i, d: setattr(d, "SeriesTime", f"1011{i * 7 % COUNT:02d}"),
    "exposure that follows the body": lambda i, d: setter(XRayTubeCurrent=100 + 50 * (i % 2), Exposure=i % 3)(i, d),
}


@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_series_are_read_whatever_their_numbers_and_times(case: str) -> None:
    study = load_study(series(ORDINARY[case]))
    assert_right(study)
    assert study.shape == GRID.shape


def test_acquisitions_that_follow_each_other_are_noted() -> None:
    notes = load_study(series(ORDINARY["one after the other"])).notes
    assert "The slices were taken in 2 acquisitions." in notes


def twice(tag: Tag, *, higher: float = 90.0, slices: int = COUNT) -> list[Dataset]:
    """Two scans of one place in one series, their identities and image numbers in zigzag."""
    first, second = dicom_slices(GRID), dicom_slices(GRID)
    for index, pair in enumerate(zip(first, second, strict=True)):
        for phase, dataset in enumerate(pair):
            dataset.SOPInstanceUID = f"1.2.{5 + (index + phase) % 2}.{index}"
            dataset.InstanceNumber = 2 * index + 1 + (index + phase) % 2
            tag(dataset, phase, index)
        put_pixels(pair[1], np.clip(GRID.hu()[:, :, index].T + higher, -1000, 1500))
    return [*second[:slices], *first]


TOLD_APART: dict[str, tuple[Tag, str]] = {
    "number": (lambda d, phase, i: setattr(d, "AcquisitionNumber", phase + 1), "acquisition number"),
    "number that counts on": (
        lambda d, phase, i: setattr(d, "AcquisitionNumber", phase * COUNT + i + 1), "acquisition number"),
    "time of contents": (lambda d, phase, i: setattr(d, "ContentTime", f"10{15 + phase}{i:02d}"), "time"),
    "time of the file": (lambda d, phase, i: setattr(d, "InstanceCreationTime", f"10{15 + phase}{i:02d}"), "time"),
    "time since the heart beat": (lambda d, phase, i: setattr(d, "TriggerTime", 50 * phase), "heart beat"),
    "thickness": (lambda d, phase, i: setattr(d, "SliceThickness", 1 + 4 * phase), "slice thickness"),
    "contrast agent": (
        lambda d, phase, i: setattr(d, "ContrastBolusAgent", "Iomeprol" * phase), "contrast agent"),
    "comments": (lambda d, phase, i: setattr(d, "ImageComments", f"Quillon {phase}"), "comments"),
    "derivation": (lambda d, phase, i: setattr(d, "DerivationDescription", f"{40 + phase} keV"), "derivation"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD_APART)
def test_the_first_of_two_acquisitions_is_kept_whole(case: str) -> None:
    tag, what = TOLD_APART[case]
    files = named(twice(tag))
    with pytest.raises(RepairableError, match="2 acquisitions") as caught:
        load_study(files)
    assert caught.value.repairs == ("first_of_repeats",)
    study = load_study(files, repairs=["first_of_repeats"])
    assert_right(study)
    assert any(what in note and "16 were dropped" in note for note in study.notes)
    assert "Quillon" not in " ".join(study.notes)


def zigzag(keyword: str, value: Callable[[int], object]) -> Tag:
    """Values that the two scans share out place by place, in turns."""
    return lambda dataset, phase, index: setattr(dataset, keyword, value(2 * index + (index + phase) % 2))


UNCERTAIN: dict[str, Tag] = {
    "nothing": lambda d, phase, i: None,
    "equal image numbers": lambda d, phase, i: setattr(d, "InstanceNumber", i + 1),
    "no image numbers": lambda d, phase, i: delattr(d, "InstanceNumber"),
    "acquisition numbers in zigzag": zigzag("AcquisitionNumber", lambda turn: turn + 1),
    "times in zigzag": zigzag("AcquisitionTime", lambda turn: f"1015{turn:02d}"),
    "times of contents in zigzag": zigzag("ContentTime", lambda turn: f"10{15 + turn:02d}00"),
    "comments of each image": zigzag("ImageComments", lambda turn: f"image {turn}"),
    "an agent at every second place": zigzag("ContrastBolusAgent", lambda turn: "Iomeprol" * (turn // 2 % 2)),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_the_repair_is_withheld_where_two_acquisitions_might_be_mixed(case: str) -> None:
    files = named(twice(UNCERTAIN[case]))
    for repairs in ([], ["first_of_repeats"]):
        with pytest.raises(UserFacingError, match=r"same place.*nothing tells for certain") as caught:
            load_study(files, repairs=repairs)
        assert not isinstance(caught.value, RepairableError)


@pytest.mark.parametrize(("number", "certain"), [(40, True), (0, False), (6, False)])
def test_a_single_image_too_many_is_dropped_only_where_it_surely_came_later(number: int, certain: bool) -> None:
    slices = dicom_slices(GRID, edit=lambda index, dataset: setattr(dataset, "InstanceNumber", index + 1))
    extra = dicom_slices(GRID, edit=setter(InstanceNumber=number, SOPInstanceUID="1.2.9"))[5]
    put_pixels(extra, np.clip(GRID.hu()[:, :, 5].T + 90, -1000, 1500))
    if certain:
        assert_right(load_study(named([*slices, extra]), repairs=["first_of_repeats"]))
        return
    with pytest.raises(UserFacingError, match="nothing tells for certain"):
        load_study(named([*slices, extra]), repairs=["first_of_repeats"])


def test_beds_that_overlap_are_joined_with_a_note() -> None:
    """The second bed begins four slices before the first one ends; its slices there are dropped."""

    def bed(number: int) -> list[Dataset]:
        return dicom_slices(GRID, edit=setter(AcquisitionNumber=number))

    upper = bed(2)[6:]
    for dataset in upper:
        dataset.SOPInstanceUID += ".2"
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") ^ 1).tobytes()
    study = load_study(named([*bed(1)[:10], *upper]), repairs=["first_of_repeats"])
    assert_right(study, 1.01)
    assert any("4 were dropped" in note for note in study.notes)
    assert "The slices were taken in 2 acquisitions." in study.notes
