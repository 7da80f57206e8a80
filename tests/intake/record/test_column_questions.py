"""Several tables whose columns must be said: each is asked about, none left out, and answers stay with their table."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date

import pandas as pd
import pytest

from core.case import Intake
from core.errors import UserFacingError
from core.intake.record.column_questions import MappingQuestion
from core.intake.record.columns.roles import NO_COLUMN
from core.timeline import list_subjects, load_timeline, suggest_mapping

LABS = (
    "labs.csv",
    b"pid;wann;was;wert;einheit\n1;2020-03-01 08:00;BNP;2310,5;ng/L\n1;2020-03-02 08:00;BNP;99,5;ng/L\n",
)
DRUGS = ("drugs.csv", b"mrn,gegeben_um,mittel\n1,2020-03-01 09:00,Furosemide\n1,2020-03-03 09:00,Bisoprolol\n")
PLAIN = ("plain.csv", b"subject_id,time,code,value\n1,2020-03-01 07:00,LOINC//2160-0,1.2\n")
LABS_ANSWER = {"subject_id": "pid", "time": "wann", "code": "was", "value": "wert", "decimals": "comma"}
DRUGS_ANSWER = {"subject_id": "mrn", "time": "gegeben_um", "code": "mittel"}


def answered(question: MappingQuestion, answer: Mapping[str, str]) -> dict[tuple[str, ...], Mapping[str, str]]:
    return {question.layout: answer}


@pytest.mark.parametrize("order", [(LABS, DRUGS, PLAIN), (PLAIN, DRUGS, LABS), (DRUGS, PLAIN, LABS)])
def test_each_table_that_needs_it_is_asked_about_in_turn(order: tuple[tuple[str, bytes], ...]) -> None:
    source, answers = list(order), {}
    for number in (1, 2):
        question = suggest_mapping(source, mapping=answers)
        assert question.is_needed, number
        assert question.tables == 3
        assert question.required == ("subject_id", "time", "code")
        answer = LABS_ANSWER if "wann" in question.layout else DRUGS_ANSWER
        answers |= answered(question, answer)
    assert not suggest_mapping(source, mapping=answers).is_needed
    assert list_subjects(source, mapping=answers)["events"].tolist() == [5]
    events = load_timeline(source, mapping=answers).events
    assert sorted(events["code"]) == ["BNP", "BNP", "Bisoprolol", "Furosemide", "LOINC//2160-0"]
    assert sorted(events["numeric_value"].dropna()) == pytest.approx([1.2, 99.5, 2310.5])


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["mg/dl", "g/dl", "%"], True),
        (["mmHg", "10*3/uL", "mmHg"], True),
        (["m", "w", "m"], False),
        (["Hb", "INR", "pH"], False),
        (["mg/dl", "Station 3", "Station 4"], False),
    ],
)
def test_a_column_of_units_is_known_by_what_it_holds(values: list[str], *, unit: bool) -> None:
    rows = "".join(f"7,2020-03-0{day},Na,{day}.5,{value}\n" for day, value in enumerate(values, 1))
    guesses = suggest_mapping([("labs.csv", f"mrn,wann,was,wert,dimension\n{rows}".encode())]).guesses
    assert guesses["value"].column == "wert"
    assert ("unit" in guesses) is unit


def test_until_all_are_answered_the_rest_is_refused_not_left_out() -> None:
    source = [LABS, DRUGS]
    answers = answered(suggest_mapping([LABS]), LABS_ANSWER)
    with pytest.raises(UserFacingError, match=r"File [12] of 2, by name"):
        load_timeline(source, mapping=answers)


def test_tables_with_the_same_columns_are_asked_about_once() -> None:
    source = [LABS, ("more.csv", LABS[1])]
    question = suggest_mapping(source)
    assert question.tables == 1
    assert len(load_timeline(source, mapping=answered(question, LABS_ANSWER)).events) == 4


def test_a_table_without_a_patient_among_several_is_asked_about() -> None:
    nameless = ("b.csv", b"time,code,chart\n2020-03-01 07:00,A,1\n")
    question = suggest_mapping([PLAIN, nameless])
    assert question.is_needed
    assert question.layout == ("time", "code", "chart")
    assert any("names the patient" in doubt for doubt in question.doubts)
    answers = answered(question, {"subject_id": "chart", "time": "time", "code": "code"})
    assert len(load_timeline([PLAIN, nameless], mapping=answers).events) == 2


def test_an_answer_that_does_not_do_is_asked_again_with_the_reason() -> None:
    answers = answered(suggest_mapping([LABS]), {**LABS_ANSWER, "decimals": "point"} | {"time": "was", "code": "wann"})
    question = suggest_mapping([LABS], mapping=answers)
    assert question.guesses["time"].column == "was"
    assert question.is_needed
    assert question.doubts == ("Not written as year-month-day: 2 times, in lines 2 and 3.",)
    with pytest.raises(UserFacingError):
        load_timeline([LABS], mapping=answers)


def test_plain_tables_are_not_asked_about() -> None:
    assert not suggest_mapping([PLAIN, ("again.csv", PLAIN[1])]).is_needed


def test_the_desk_keeps_what_was_answered_on_each_table() -> None:
    read = Intake(record=[LABS, DRUGS])
    read.answer_on(("a",), {"time": "a"})
    read.answer_on(("b",), {"time": "b"})
    read.answer_on(("a",), {"time": "a", "code": "a"})
    assert read.columns == {("a",): {"time": "a", "code": "a"}, ("b",): {"time": "b"}}


def test_a_date_alone_is_the_time() -> None:
    days = ("days.csv", b"pid;tag;was\n1;2020-03-01;BNP\n1;2020-03-02;BNP\n")
    answers = answered(suggest_mapping([days]), {"subject_id": "pid", "date": "tag", "code": "was"})
    assert not suggest_mapping([days], mapping=answers).is_needed
    timeline = load_timeline([days], mapping=answers)
    assert timeline.events["time"].tolist() == [pd.Timestamp("2020-03-01"), pd.Timestamp("2020-03-02")]
    assert not [note for note in timeline.notes if "More than one column" in note]


def test_a_date_and_a_time_of_day_are_joined_in_parquet_too() -> None:
    out = io.BytesIO()
    pd.DataFrame({"pid": [1], "tag": [date(2020, 3, 1)], "uhr": ["08:00"], "was": ["BNP"]}).to_parquet(out)
    answer = {"subject_id": "pid", "date": "tag", "time": "uhr", "code": "was"}
    timeline = load_timeline(("t.parquet", out.getvalue()), mapping=answer)
    assert timeline.events["time"].tolist() == [pd.Timestamp("2020-03-01 08:00")]


def test_of_several_tables_the_one_with_the_wrong_answer_is_asked_about_again() -> None:
    """Times that are none are told of their own table, whichever was answered on last."""
    source = [LABS, DRUGS]
    labs, drugs = (suggest_mapping([table]).layout for table in source)
    wrong = {"subject_id": "mrn", "time": "mittel", "code": "gegeben_um"}
    for answers in ({drugs: wrong, labs: LABS_ANSWER}, {labs: LABS_ANSWER, drugs: wrong}):
        question = suggest_mapping(source, mapping=answers)
        assert question.layout == drugs
        assert question.is_needed


def test_where_nothing_is_wrong_with_either_the_latest_answer_is_shown() -> None:
    labs, drugs = (suggest_mapping([table]).layout for table in (LABS, DRUGS))
    for first, second in ((labs, drugs), (drugs, labs)):
        told = {labs: LABS_ANSWER, drugs: DRUGS_ANSWER}
        assert suggest_mapping([LABS, DRUGS], mapping={first: told[first], second: told[second]}).layout == first


def written(form: str, **columns: list[str]) -> tuple[str, bytes]:
    """A table of these columns as a file."""
    table, out = pd.DataFrame(columns), io.BytesIO()
    table.to_csv(out, index=False) if form == "csv" else table.to_parquet(out)
    return f"table.{form}", out.getvalue()


TIMES = ["2020-03-01 08:00", "2020-03-02 08:00"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_is_not_read_where_the_reader_says_that_there_is_none(form: str) -> None:
    """Here `value` holds the price of the test, and what was entered later is a note to the bill."""
    told = {"time": TIMES, "code": ["BNP", "BNP"], "value": ["12.5", "12.5"], "entered_at": ["2020-04-01"] * 2}
    source = [written(form, **told)]
    with pytest.raises(UserFacingError, match="recorded after it: 2 events"):  # by their names, both are read
        load_timeline(source, prediction_time="2020-03-05")
    none = {"time": "time", "code": "code", "value": NO_COLUMN, "known_from": NO_COLUMN}
    timeline = load_timeline(source, mapping=none, prediction_time="2020-03-05")
    assert timeline.events["code"].tolist() == ["BNP", "BNP"]
    assert timeline.events["numeric_value"].isna().all()
    question = suggest_mapping(source, mapping=answered(suggest_mapping(source), none))
    assert set(question.guesses) == {"time", "code"}, "what was answered is shown again"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_patients_are_not_mixed_by_saying_that_no_column_names_them(form: str) -> None:
    source = [written(form, patient_id=["1", "2"], time=TIMES, code=["BNP", "BNP"])]
    assert len(list_subjects(source, mapping={"subject_id": NO_COLUMN, "time": "time", "code": "code"})) == 2


def test_what_is_needed_cannot_be_answered_with_none() -> None:
    with pytest.raises(UserFacingError, match="no column for the code"):
        load_timeline([PLAIN], mapping={"code": NO_COLUMN})


RECORDED = "that of when events were recorded"
RESULTS = {
    "German": ("MRN;Befunddatum;LabCode;Ergebnis;Einheit", "12;2020-03-0{};NA;140.5;mmol/L", "Befunddatum"),
    "clock": ("MRN;Befundzeit;LabCode;Ergebnis", "12;1{}.03.2020 08:30;NA;140.5", "Befundzeit"),
    "English": ("patient_id,result_date,test,result", "1,2020-03-0{},Sodium,140", "result_date"),
    "birth": ("patient_id,dob,test,result,result_date", "1,1960-02-02,Sodium,140,2020-03-0{}", "result_date"),
    "collected": ("patient_id,drawn_date,test,result,result_date", "1,2020-03-0{0},Na,140,2020-03-0{0}", "drawn_date"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_a_sole_column_of_dates_is_guessed_to_be_the_time(case: str) -> None:
    """Though its name says when results were recorded; beside another, it is that of the recording."""
    header, row, column = RESULTS[case]
    table = ("results.csv", "\n".join((header, *(row.format(day) for day in (3, 4)))).encode())
    question = suggest_mapping([table])
    assert question.is_needed
    assert question.guesses["time"].column == column
    assert ("known_from" in question.guesses) is (case == "collected")
    assert any(RECORDED in doubt for doubt in question.doubts) is (case != "collected")
    guessed = {role: guess.column for role, guess in question.guesses.items()}
    notes = " ".join(load_timeline([table], mapping=answered(question, guessed)).notes)
    assert (RECORDED in notes) is (case != "collected")
    assert "as answered" not in notes


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            "patient_id,result_date,test,result",
            "no column for the time, only one for when events were recorded; the co",
        ),
        (
            "patient_id,result_date,thing",
            "no column for the time and the code, only one for when events were recorded.",
        ),
        ("patient_id,wann,was", "^The time and the code may stand in columns whose names are not recognised"),
        ("patient_id,time,test", "^The code may stand in a column whose name is not recognised"),
        ("patient_id,test_date,x", "^The table has no column for the code; the time may stand in a column"),
        ("patient_id,time,description", "^The table has no column for the code. Expected"),
    ],
)
def test_only_what_has_no_column_at_all_is_called_missing(header: str, words: str) -> None:
    row = ",".join("2020-03-01" for _ in header.split(","))
    with pytest.raises(UserFacingError, match=words):
        load_timeline([("t.csv", f"{header}\n{row}\n".encode())])
