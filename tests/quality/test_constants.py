"""Numbers that the quality gate measures with: each is on the page that says how verdicts depend on it."""

from __future__ import annotations

from pathlib import Path

import bench.quality_cases as cases
import bench.quality_constants as constants
from core.encode.ct.lungs import find_lungs
from core.load import load_study
from core.quality import anatomy, limits, measure_scan, motion, voxels

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results" / "quality_constants.md"
FOR_SPEED = {"_MANY_VOXELS", "_STREAK_PLANES"}
FACTS = {"_AIR_HU"}
AT_THE_ENDS = {"_OUTERMOST"}


def test_every_number_of_the_modules_is_a_line_of_the_page_with_its_present_value():
    page = PAGE.read_text(encoding="utf-8")
    for _, names in constants.QUESTIONS.values():
        for number in constants.constants(names):
            assert f"| {number.words} | {number.value:.4g} |" in page, number


def test_no_number_of_the_modules_is_left_out():
    asked = {name for _, names in constants.QUESTIONS.values() for name in names}
    for module in (anatomy, motion, voxels):
        held = {name for name in vars(module) if name.isupper() and name not in vars(limits)}
        assert held - asked - FOR_SPEED - FACTS - AT_THE_ENDS == set(), module


def test_a_changed_number_reaches_every_module_and_goes_back():
    number = next(constants.constants(("LEAST_NEIGHBOURS",)))
    with constants.changed(number, 6):
        assert limits.LEAST_NEIGHBOURS == motion.LEAST_NEIGHBOURS == voxels.LEAST_NEIGHBOURS == 6
    assert limits.LEAST_NEIGHBOURS == motion.LEAST_NEIGHBOURS == voxels.LEAST_NEIGHBOURS == 8
    upper = list(constants.constants(("BONE_HU",)))[1]
    with constants.changed(upper, 1500):
        assert anatomy.BONE_HU == (200, 1500)
    assert anatomy.BONE_HU == (200, 2000)


def test_a_changed_number_changes_an_answer_and_leaves_no_trace():
    study = load_study(cases.DEMO)
    assert find_lungs(study)[2] == "lungs"
    scan = cases.Scan("demo", study, measure_scan(study), "pe_mortality")
    (_, given), (_, mirrored) = list(cases.orientation_cases(scan))[:2]
    before = given()
    assert (before.verdict, mirrored().verdict) == ("in", "outside")
    for name, to in (("BONE_HU", 1900), ("SPINE_SCALE", 4.0), ("LUNG_RANGE_PERCENT", 30.0)):
        with constants.changed(next(constants.constants((name,))), to):
            assert given() != before, name
        assert given() == before, name


def test_counts_of_a_cell_are_those_of_the_answers():
    def never() -> cases.Answer:
        raise AssertionError

    asked = [cases.Case(scan, fault, never) for scan in (0, 1) for fault in (False, True)]
    before = [cases.Answer(verdict, (True,)) for verdict in ("in", "outside", "in", "outside")]
    after = [cases.Answer(verdict, (True,)) for verdict in ("in", "in", "in", "edge")]
    assert constants.cell(asked, before, before, 2) == "0"
    assert constants.cell(asked, before, after, 2).startswith("2 changed, 1 to wrong, 0 signs; 2 of 2 scans, 100.0% (")
