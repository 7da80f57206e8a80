"""Scan and record held against each other: the day, the sex and the age that both state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest
from ct_factory import dicom_files, enhanced_file
from pydicom.dataset import Dataset
from review_support import DAY_0, RISKY_CODE, study, timeline

from core.case import Case
from core.events.standard_codes import standard_code
from core.export.style import WATERMARK, curve_marks
from core.load import load_study
from core.quality import assess, pair_notices
from core.quality.pair import pair_factors
from core.records import AcquisitionFacts, CtStudy, Notice, Timeline
from core.view.lanes import event_rows
from core.view.timeline import timeline_figure
from core.view.words import case_line, scan_words, time_zero

RECORD = timeline((RISKY_CODE,), origin="unknown")
"""Of a patient of 61, at DAY_0."""


def scan(days: float = 0.0, **facts: object) -> CtStudy:
    """A real patient's scan, taken so many days after day 0."""
    taken = (DAY_0 + timedelta(days=days)).to_pydatetime()
    return replace(study(origin="real"), facts=AcquisitionFacts(**{"taken": taken, **facts}))  # type: ignore[arg-type]


def with_sex(code: str) -> Timeline:
    static = RECORD.events.iloc[[0]].assign(time=pd.NaT, code=code)
    events = pd.concat([static, RECORD.events], ignore_index=True)
    return replace(RECORD, events=events, digest="")


def verdicts(scanned: CtStudy, record: Timeline = RECORD) -> dict[str, str]:
    return {factor.name: factor.verdict for factor in pair_factors(scanned, record)}


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(0, "in"), (-0.4, "in"), (0.9, "in"), (-1, "in"), (-3, "edge"), (-8, "outside"), (2, "outside"), (900, "outside")],
)
def test_a_scan_belongs_to_day_0(days: float, verdict: str) -> None:
    assert verdicts(scan(days)) == {"scan day": verdict}
    assert assess(scan(days), RECORD)["scan day"].verdict == verdict
    said = [notice.key for notice in pair_notices(scan(days), RECORD, put_together=False)]
    assert said == ([] if verdict == "in" else ["other_day"])


def test_dates_that_were_shifted_or_are_missing_settle_nothing() -> None:
    assert verdicts(scan(-800, dates_shifted=True)) == {"scan day": "unknown"}
    assert verdicts(scan(0, dates_shifted=True)) == {"scan day": "in"}, "shifted alike"
    assert verdicts(scan(taken=None)) == {"scan day": "unknown"}


def test_a_scan_whose_day_nothing_shows_is_said_to_be_taken_as_of_day_0() -> None:
    said = {
        days: [(notice.key, notice.level) for notice in pair_notices(scanned, RECORD, put_together=False)]
        for days, scanned in (
            (-800, scan(-800, dates_shifted=True)),
            (None, scan(taken=None)),
            (0, scan(0, dates_shifted=True)),
        )
    }
    in_doubt = "scan_day_unknown"
    assert said == {-800: [(in_doubt, "warning")], None: [(in_doubt, "caution")], 0: []}
    text = pair_notices(scan(-800, dates_shifted=True), RECORD, put_together=False)[0].text
    assert "2.2 years before day 0" in text
    assert "de-identified" in text


def test_a_header_names_both_persons_where_scan_and_record_differ() -> None:
    other, same = scan(sex="M", age_years=30.0), scan(age_years=61.0)
    assert "A man of 30 on the scan, a person of 61 in the record" in case_line("x", "", RECORD, other, "")
    assert "<span>61 y</span>" in case_line("x", "", RECORD, same, "")


def test_words_hold_days_and_no_date() -> None:
    text = pair_notices(scan(-412), RECORD, put_together=False)[0].text
    assert "taken 1.1 years before day 0" in text
    assert "cannot show what happened since" in text
    assert "2020" not in text + repr(scan(-412).facts)
    assert "was not known then" in pair_notices(scan(3), RECORD, put_together=False)[0].text


@pytest.mark.parametrize(
    ("facts", "record", "verdict"),
    [
        ({"sex": "F"}, with_sex("GENDER//F"), "in"),
        ({"sex": "F"}, with_sex("GENDER//M"), "outside"),
        ({"sex": "F", "age_years": 61.0}, with_sex("GENDER//F"), "in"),
        ({"sex": "F", "age_years": 61.0}, with_sex("GENDER//M"), "outside"),
        ({"age_years": 59.5}, RECORD, "in"),
        ({"age_years": 57.0}, RECORD, "edge"),
        ({"age_years": 40.0}, RECORD, "outside"),
        ({"sex": "M"}, RECORD, None),
        ({}, with_sex("GENDER//F"), None),
    ],
)
def test_sex_and_age_tell_two_people_apart(facts: dict[str, object], record: Timeline, verdict: str | None) -> None:
    assert verdicts(scan(**facts), record).get("patient match") == verdict  # type: ignore[arg-type]
    said = [notice.text for notice in pair_notices(scan(**facts), record, put_together=True)]  # type: ignore[arg-type]
    assert len(said) == 1, "one sentence about whose they are"
    assert ("may not be one patient" in said[0]) == (verdict in ("edge", "outside"))


def test_two_people_and_the_dead_stand_across_the_curve() -> None:
    notices = pair_notices(scan(sex="F"), with_sex("GENDER//M"), put_together=True)
    assert curve_marks(notices, virtual=True) == [WATERMARK, "Scan and record may be of two people"]
    assert not curve_marks(pair_notices(scan(sex="F"), with_sex("GENDER//F"), put_together=True), virtual=False)
    dead = Notice("died_before", "warning", "The record says that the patient had died by day 0.")
    assert curve_marks([dead], virtual=False) == ["Patient had died by day 0"]


def test_ages_are_compared_on_the_day_of_the_scan() -> None:
    before = -20 * 365.25
    assert verdicts(scan(before, age_years=41.0))["patient match"] == "in"
    assert verdicts(scan(before, age_years=61.0))["patient match"] == "outside"
    assert verdicts(scan(before, age_years=61.0, dates_shifted=True))["patient match"] == "in"


def test_ages_are_told_as_of_one_day_in_whole_years() -> None:
    before = -20 * 365.25
    told = pair_factors(scan(before, age_years=61.9), RECORD)[1].found
    assert told == "a person of 61 on the scan, a person of 41 in the record at that time"
    told = pair_factors(scan(0, age_years=0.3), with_sex("GENDER//F"))[1].found
    assert told == "a person under 1 year on the scan, a woman of 61 in the record"
    nearly = replace(RECORD, prediction_time=DAY_0 + pd.Timedelta(days=28.6 * 365.25), digest="")
    assert "a person of 89 in the record" in pair_factors(scan(28.6 * 365.25, age_years=30.0), nearly)[1].found


@pytest.mark.parametrize("years", [-165, -63, 165])
def test_a_calendar_that_nobody_can_have_lived_by_tells_no_two_people_apart(years: float) -> None:
    days = years * 365.25
    assert verdicts(scan(days, age_years=61.0)) == {"scan day": "outside"}
    assert verdicts(scan(days, age_years=61.0, sex="F"), with_sex("GENDER//F"))["patient match"] == "in"
    assert verdicts(scan(days, age_years=61.0, sex="F"), with_sex("GENDER//M"))["patient match"] == "outside"


@pytest.mark.parametrize("code", [f"GENDER//{word}" for word in ("Multiple", "Missing", "Mixed", "FTM", "", "O")])
def test_a_sex_in_other_words_is_none_stated(code: str) -> None:
    assert with_sex(code).sex is None
    assert standard_code(code) not in ("GENDER//F", "GENDER//M"), "nor told to a model"
    assert "patient match" not in verdicts(scan(sex="F"), with_sex(code))


@pytest.mark.parametrize("code", ["GENDER//F", "SEX//female", "Gender//FEMALE", "GENDER//Mujer"])
def test_a_sex_in_known_words_is_stated(code: str) -> None:
    assert with_sex(code).sex == "F"
    assert standard_code(code) == "GENDER//F"


def test_the_very_old_are_not_told_apart_nor_named_by_age() -> None:
    old = replace(RECORD, prediction_time=DAY_0 + pd.Timedelta(days=36 * 365.25), digest="")
    assert old.age_years == pytest.approx(97, abs=0.1)
    assert verdicts(scan(36 * 365.25, age_years=90.0), old)["patient match"] == "in"
    young = pair_factors(scan(36 * 365.25, age_years=30.0), old)[1]
    assert young.found == "a person of 30 on the scan, a person over 89 in the record"


def test_the_app_says_when_the_scan_was_taken() -> None:
    assert scan_words(scan(-29), RECORD, own=True) == "CT, 29 days before day 0"
    assert scan_words(scan(0), RECORD, own=True) == "CT shown above"
    for unsure in (scan(taken=None), scan(-29, dates_shifted=True)):
        assert scan_words(unsure, RECORD, own=True) == "CT, taken as of day 0"
    assert len(scan_words(scan(-2345), RECORD, own=True)) <= 31, "one line with three other marks, in 600 pixels"
    assert time_zero(scan(0), RECORD, None) == "the CT"
    assert time_zero(scan(-29), RECORD, None) == "prediction time"
    places = [marked_day(days) for days in (-29, 0, 4)]
    assert places == [[-29], [0], [0]], "the future is hidden"
    assert not marked_day(-400), "before what is shown"


def marked_day(days: int) -> list[float]:
    """Where the chart of a year marks a scan of this day."""
    figure = timeline_figure(event_rows(RECORD, None), span_days=365.0, ct="the CT", ct_day=days)
    return [float(day) for trace in figure.data if trace.name == "the CT" for day in trace.x]


def test_virtual_patients_are_not_judged() -> None:
    assert pair_factors(replace(scan(900), origin="virtual"), RECORD) == ()
    assert pair_factors(scan(900), timeline((RISKY_CODE,))) == ()


def stating(**values: str) -> AcquisitionFacts:
    """What a loaded series says whose files hold these elements."""

    def edit(index: int, dataset: Dataset) -> None:
        for keyword in ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate", "PatientSex", "PatientBirthDate"):
            dataset.pop(keyword, None)
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return load_study(dicom_files(edit=edit)).facts


def test_a_series_states_when_and_of_whom_it_was_taken() -> None:
    facts = stating(AcquisitionDate="20210504", AcquisitionTime="101500.5", PatientSex="F", PatientAge="061Y")
    assert (facts.taken, facts.sex, facts.age_years, facts.dates_shifted) == (
        datetime(2021, 5, 4, 10, 15),
        "F",
        61,
        False,
    )
    assert stating(StudyDate="20210504", PatientAge="018M").age_years == 1.5
    assert stating(StudyDate="20210504").taken == datetime(2021, 5, 4)
    assert stating(StudyDate="20210503", AcquisitionDateTime="20210504101500").taken == datetime(2021, 5, 4, 10, 15)
    assert stating(StudyDate="20210504", PatientBirthDate="19600504").age_years == pytest.approx(61, abs=0.01)
    assert stating(PatientAge="097Y", PatientSex="O") == AcquisitionFacts(**{**vars(stating()), "age_years": 90.0})
    assert stating(LongitudinalTemporalInformationModified="MODIFIED").dates_shifted


def test_nonsense_is_nothing_stated() -> None:
    facts = stating(StudyDate="19000101", PatientAge="61", PatientSex="unknown")
    assert (facts.taken, facts.sex, facts.age_years) == (None, None, None)
    assert stating(StudyDate="20210504", PatientBirthDate="20300101").age_years is None


def test_what_fills_empty_fields_is_nothing_stated() -> None:
    assert stating(PatientAge="000Y").age_years is None
    assert stating(PatientAge="000D", StudyDate="20210504", PatientBirthDate="19610504").age_years == pytest.approx(60)
    assert stating(StudyDate="20050101", PatientBirthDate="19000101").age_years is None
    assert stating(StudyDate="20050101", PatientBirthDate="19200101").age_years == pytest.approx(85, abs=0.01)
    assert stating(StudyDate="20210504", PatientBirthDate="20210504").age_years == 0
    for nothing in ("00000000", "19000101", "20211399"):
        assert stating(AcquisitionDate=nothing, StudyDate="20210504").taken == datetime(2021, 5, 4)


def test_a_date_in_place_of_a_clock_is_no_hour() -> None:
    assert stating(AcquisitionDateTime="20210504").taken == datetime(2021, 5, 4)
    assert stating(AcquisitionDateTime="20210504", StudyDate="20210503").taken == datetime(2021, 5, 4)
    assert stating(AcquisitionDateTime="2021050410").taken == datetime(2021, 5, 4, 10)
    assert stating(AcquisitionDateTime="19000101000000", StudyDate="20210503").taken == datetime(2021, 5, 3)


def test_frames_state_their_own_time() -> None:
    def edit(dataset: Dataset) -> None:
        dataset.AcquisitionDateTime, dataset.PatientSex = "20210504101500", "M"

    facts = load_study([("enhanced.dcm", enhanced_file(edit=edit))]).facts
    assert facts.sex == "M"
    assert facts.taken is not None
    assert facts.taken.date() == datetime(2021, 5, 4).date()


def test_the_same_voxels_of_another_date_or_repair_are_another_case() -> None:
    repaired = replace(scan(0), notes=("Repaired: one slice was made up.",))
    first, again, *others = (Case("Own", scanned, RECORD).digest for scanned in (scan(0), scan(0), scan(-9), repaired))
    assert first == again
    assert len({first, *others}) == 3
