"""The whole corpus: never silently wrong, every refusal in words without an identifier, within time and memory."""

from __future__ import annotations

import re
import time
import warnings

import pytest
from corpus import Case, Files, what_is_wrong
from corpus_all import CORPUS
from ct_factory import IDENTIFIERS
from memory_support import high_water_mib
from sampling import WHOLE, kinds_left_out, sampled

from core.errors import UserFacingError
from core.load import list_series, load_study
from core.records import CtStudy

LONGEST_S, MOST_MIB = 5.0, 1024.0
INTERNALS = re.compile(r"Error\b|Traceback|\bNone\b|dtype|ndarray|0x[0-9a-f]|\bnan\b")


def outcome(files: Files, series: str | None = None) -> CtStudy | UserFacingError:
    try:
        return load_study(files, series=series)
    except UserFacingError as error:
        return error


def assert_clear(error: UserFacingError) -> None:
    """Found, expected and next step are there, without identifiers and without internals."""
    for part in (error.found, error.expected, error.next_step):
        assert len(part) > 5
    said = str(error)
    assert not any(term in said for term in IDENTIFIERS), said
    assert not INTERNALS.search(said), said


def assert_right_volume(case: Case, study: CtStudy) -> None:
    wrong = what_is_wrong(case, study.voxels_hu, study.affine_mm)
    assert not wrong, f"silently wrong: {wrong}; notes: {study.notes}"
    said = " ".join((*study.notes, study.description))
    assert not any(term in said for term in IDENTIFIERS), said


def assert_choice(case: Case, files: Files) -> None:
    """Each series of the list is one of the case's volumes, and all of them are listed."""
    listed = list_series(files)
    assert len(listed) == len(case.grids)
    shapes = set()
    for item in listed:
        study = load_study(files, series=item.key)
        assert_right_volume(case, study)
        shapes.add(study.affine_mm.tobytes())
        assert not any(term in f"{item}" for term in IDENTIFIERS)
    assert len(shapes) == len(case.grids)


def told(case: Case) -> list[tuple[str, str, str]]:
    """What a case stands for: the part of the corpus, what must become of it, and for what reason."""
    return [(case.name.split("/")[0], case.expect, case.words)]


SAMPLED = sampled(CORPUS, told, name=lambda case: case.name.replace(" ", "-"))


@pytest.mark.parametrize("case", SAMPLED)
def test_read_right_or_refused(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = case.make()
    before = high_water_mib(reset=True)
    start = time.process_time()
    found = outcome(files)
    assert time.process_time() - start < LONGEST_S
    assert high_water_mib() - before < MOST_MIB
    if isinstance(found, CtStudy):
        assert case.expect in ("right", "either"), f"accepted; notes: {found.notes}"
        assert_right_volume(case, found)
        return
    assert case.expect in ("refuse", "either", "choose"), f"falsely refused: {found}"
    assert_clear(found)
    assert re.search(case.words, str(found)), f"another reason: {found}"
    if case.expect == "choose":
        assert_choice(case, files)


def test_every_reason_of_the_corpus_is_in_the_sample() -> None:
    assert kinds_left_out(SAMPLED, told) == set()
    assert 200 < sum(WHOLE not in parameter.marks for parameter in SAMPLED) < len(SAMPLED) / 2


def test_a_reason_that_is_not_in_the_sample_is_seen() -> None:
    """The negative control: the only case of a reason, outside the sample."""
    kinds = [told(case)[0] for case in CORPUS]
    alone = next(number for number, kind in enumerate(kinds) if kinds.count(kind) == 1)
    without = [*SAMPLED[:alone], pytest.param(CORPUS[alone], marks=WHOLE), *SAMPLED[alone + 1 :]]
    assert kinds_left_out(without, told) == {kinds[alone]}


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CORPUS) >= 150
    assert len({case.name for case in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("change", ["flip", "order", "spacing", "rescale", "missing"])
def test_the_judge_sees_every_kind_of_wrong_volume(change: str) -> None:
    """The corpus's judge is right on a right volume and objects to each planted fault."""
    case = CORPUS[0]
    study = load_study(case.make())
    voxels, affine = study.voxels_hu.copy(), study.affine_mm.copy()
    assert what_is_wrong(case, voxels, affine) == ""
    if change == "flip":
        voxels = voxels[::-1]
    elif change == "order":
        voxels[:, :, [4, 5]] = voxels[:, :, [5, 4]]
    elif change == "spacing":
        affine[2, 2] *= 1.05
    elif change == "rescale":
        voxels += 3
    else:
        voxels = voxels[:, :, :-1]
    assert what_is_wrong(case, voxels, affine) != ""
