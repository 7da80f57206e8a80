"""Columns that no name makes known: asked about where they hold the patient, a clock or a unit, else left alone."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pandas as pd
import pytest

from core.errors import UserFacingError
from core.intake.record.columns.roles import NO_COLUMN
from core.timeline import list_subjects, load_timeline, suggest_mapping

HEADER = ("subject_id", "time", "code", "value", "unit")
ROWS = (
    ("7", "2020-01-03T08:30:00", "LOINC//2160-0", "1.25", "mg/dL"),
    ("7", "2020-01-04T10:00:00", "LOINC//2345-7", "101", "mg/dL"),
    ("8", "2020-01-05T10:00:00", "LOINC//2345-7", "99", "mg/dL"),
)
FORMS = ("csv", "jsonl", "parquet")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], form: str) -> tuple[str, bytes]:
    """A table in one of `FORMS`; in parquet, whole numbers are numbers and ISO days are days."""
    if form == "csv":
        return "t.csv", "\n".join(",".join(row) for row in (header, *rows)).encode()
    if form == "jsonl":
        return "t.jsonl", "\n".join(json.dumps(dict(zip(header, row))) for row in rows).encode()
    frame = pd.DataFrame(rows, columns=list(header))
    for name in frame.columns:
        if frame[name].str.fullmatch(r"\d+").all():
            frame[name] = frame[name].astype("int64")
        elif frame[name].str.fullmatch(r"\d{4}-\d{2}-\d{2}").all():
            frame[name] = pd.to_datetime(frame[name]).dt.date
        elif frame[name].str.fullmatch(r"\d{4}-\d{2}-\d{2}T.*").all():
            frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]")
    out = io.BytesIO()
    frame.to_parquet(out)
    return "t.parquet", out.getvalue()


def refused(source: tuple[str, bytes], words: str, mapping: dict[str, str] | None = None) -> None:
    """Refused when read and when patients are looked for, and asked about by the mapping."""
    for read in (load_timeline, list_subjects):
        with pytest.raises(UserFacingError, match=words):
            read(source, mapping=mapping)
    assert suggest_mapping(source, mapping=mapping).is_needed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name",
    [
        "MRN", "pid", "Case", "Fallnummer", "hadm_id", "Chart No", "subjectkey", "Pseudonym", "PSN", "ID_pat", "MPI",
        "Versichertennummer", "screening_no", "Proband", "stay_id", "KIS-Nr", "donor", "Aufnahmenummer",
    ],
)  # fmt: skip
def test_patients_under_an_unknown_name_are_asked_about_not_merged(name: str, form: str) -> None:
    refused(table((name, *HEADER[1:]), ROWS, form), "told apart by a column")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["Patient-ID", "patient.id", "Patient No", "PatNr", "subject/id", "Patientennummer"])
def test_usual_names_of_patients_are_known_in_other_spellings(name: str, form: str) -> None:
    source = table((name, *HEADER[1:]), ROWS, form)
    assert list_subjects(source)["subject_id"].tolist() == [7, 8]
    assert len(load_timeline(source, subject_id=7).events) == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["MRN", "pid", "patient_class", "case_mix", "sample_id"])
def test_a_column_that_tells_no_patients_apart_is_left_alone(name: str, form: str) -> None:
    one = [("7", *row[1:]) for row in ROWS]
    header, rows = (
        ((name, *HEADER[1:]), one) if name in ("MRN", "pid") else ((*HEADER, name), [(*r, r[3]) for r in one])
    )
    assert len(load_timeline(table(header, rows, form)).events) == 3


def test_an_answer_settles_who_the_patient_is() -> None:
    source = table(("MRN", *HEADER[1:]), ROWS, "csv")
    answer = {"time": "time", "code": "code", "value": "value", "unit": "unit"}
    assert suggest_mapping(source).guesses["subject_id"].column == "MRN"
    assert len(load_timeline(source, mapping={**answer, "subject_id": "MRN"}, subject_id=7).events) == 2
    refused(source, "told apart by a column", mapping=answer)
    assert len(load_timeline(source, mapping={**answer, "subject_id": NO_COLUMN}).events) == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["unit_name", "Si-Unit", "Messeinheit"])
def test_units_under_an_unknown_name_are_asked_about(name: str, form: str) -> None:
    refused(table((*HEADER[:4], name), [("7", *row[1:]) for row in ROWS], form), "units seem to stand")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "text"), [("care_unit", "MICU"), ("unit_name", "Ward 3 North"), ("flag", "mg/dL")])
def test_wards_are_no_units_and_other_columns_are_left_alone(name: str, text: str, form: str) -> None:
    rows = [("7", *row[1:4], text) for row in ROWS]
    assert load_timeline(table((*HEADER[:4], name), rows, form)).events["unit"].isna().all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["Result Unit", "unit-of-measure", "UCUM", "Einheiten"])
def test_usual_names_of_units_are_known(name: str, form: str) -> None:
    rows = [("7", *row[1:]) for row in ROWS]
    assert load_timeline(table((*HEADER[:4], name), rows, form)).events["unit"].eq("mg/dL").all()


CLOCKED = [("7", "2020-01-09", "08:30", "A"), ("7", "2020-01-09", "18:05", "B")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["clock", "drawn", "tod"])
def test_times_of_day_under_an_unknown_name_are_asked_about(name: str, form: str) -> None:
    refused(table(("subject_id", "date", name, "code"), CLOCKED, form), "times of day seem to stand")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("day", "clock"), [("date", "time"), ("Datum", "Uhrzeit"), ("fecha", "hora")])
def test_a_date_and_a_time_of_day_become_one_time(day: str, clock: str, form: str) -> None:
    timeline = load_timeline(
        table(("subject_id", day, clock, "code"), CLOCKED, form), prediction_time="2020-01-09T12:00"
    )
    assert timeline.events["time"].tolist() == [pd.Timestamp("2020-01-09T08:30")]
    assert timeline.later_event_count == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_clock_beside_whole_times_is_left_alone(form: str) -> None:
    rows = [("7", "2020-01-09T10:00:00", "08:30", "A"), ("7", "2020-01-10T10:00:00", "18:05", "B")]
    assert len(load_timeline(table(("subject_id", "time", "shift", "code"), rows, form)).events) == 2


@pytest.mark.parametrize("name", ["result_time", "Resulted-Time", "verified_at", "entry time"])
def test_what_was_reported_after_the_prediction_time_is_left_out(name: str) -> None:
    rows = [
        ("7", "2020-01-09T10:00:00", "A", "2020-01-09T11:00:00"),
        ("7", "2020-01-09T10:00:00", "B", "2020-01-12T10:00:00"),
    ]
    source = table(("subject_id", "time", "code", name), rows, "csv")
    timeline = load_timeline(source, prediction_time="2020-01-10")
    assert timeline.events["code"].tolist() == ["A"]
    assert any("not yet known" in note for note in timeline.notes)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2020-02-28T24:00:00", "2020-02-29"),
        ("2019-12-31 24:00", "2020-01-01"),
        ("2020-01-09T24:00:00.000Z", "2020-01-10"),
    ],
)
def test_midnight_may_end_a_day(written: str, meant: str) -> None:
    events = load_timeline(table(HEADER, [("7", written, "A", "", "")], "csv")).events
    assert events["time"].tolist() == [pd.Timestamp(meant)]


@pytest.mark.parametrize("written", ["2020-01-09T24:30:00", "2020-01-09T24:00:01", "2020-01-09T25:00:00"])
def test_no_other_time_of_day_lies_behind_midnight(written: str) -> None:
    with pytest.raises(UserFacingError, match="Impossible"):
        load_timeline(table(HEADER, [("7", written, "A", "", "")], "csv"))


def test_a_unit_beside_its_number_and_a_missing_unit_are_said() -> None:
    rows = [*ROWS[:2], ("7", "2020-01-06T10:00:00", "DRUG//1", "5 mg", ""), ("7", *ROWS[2][1:4], "")]
    timeline = load_timeline(table(HEADER, rows, "csv"))
    notes = " ".join(timeline.notes)
    assert timeline.events["text_value"].dropna().tolist() == ["5 mg"]
    assert "the unit stands in the cell of the number: 1 value" in notes
    assert "Without a unit, though others of the same code have one: 1 value" in notes
    plain = " ".join(load_timeline(table(HEADER, [("7", *row[1:]) for row in ROWS], "csv")).notes)
    assert "Without a unit" not in plain
    assert "Kept as text" not in plain


def test_numbers_that_single_floats_cannot_tell_from_0_are_refused_in_parquet_too() -> None:
    frame = pd.DataFrame(
        {"subject_id": [7, 7], "time": pd.to_datetime(["2020-01-09", "2020-01-10"]), "code": ["A", "B"]}
    )
    for small, kept in ((1e-300, False), (0.0, True), (1e-30, True)):
        out = io.BytesIO()
        frame.assign(numeric_value=[1.0, small]).to_parquet(out)
        if kept:
            assert load_timeline(("t.parquet", out.getvalue())).events["numeric_value"].iloc[1] == pytest.approx(small)
            continue
        with pytest.raises(UserFacingError, match="told from 0: 1 value"):
            load_timeline(("t.parquet", out.getvalue()))
