"""Columns that change what a row says: bounds, states of withdrawn rows, and what spreadsheets make of codes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from itertools import product

import pandas as pd
import pytest
from sampling import sampled

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import list_subjects, load_timeline

ROWS = (
    ("7", "2020-01-03T08:30:00", "LOINC//2160-0", "1.25", "mg/dL"),
    ("7", "2020-01-04T10:00:00", "LOINC//2345-7", "101", "mg/dL"),
    ("7", "2020-01-05T10:00:00", "LOINC//718-7", "13.5", "g/dL"),
)
HEADER = ("subject_id", "time", "code", "value", "unit")
FORMS = ("csv", "jsonl", "parquet")


def source(name: str, cells: Sequence[str], form: str) -> tuple[str, bytes]:
    """The rows with one more column; in parquet the patient, the time and the value have types of their own."""
    rows = [dict(zip((*HEADER, name), (*row, cell))) for row, cell in zip(ROWS, cells)]
    if form == "jsonl":
        return "t.jsonl", "\n".join(map(json.dumps, rows)).encode()
    frame = pd.DataFrame(rows)
    if form == "csv":
        return "t.csv", frame.to_csv(index=False).encode()
    out = io.BytesIO()
    times = pd.to_datetime(frame["time"]).astype("datetime64[us]")
    frame.assign(subject_id=7, time=times, value=frame["value"].astype(float)).to_parquet(out)
    return "t.parquet", out.getvalue()


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["operator", "comparator", "Result-Prefix", "VZ"])
def test_a_sign_in_a_column_of_its_own_makes_a_bound_of_the_number(name: str, form: str) -> None:
    timeline = load_timeline(source(name, ["<", "=", ""], form))
    assert timeline.events["numeric_value"].isna().tolist() == [True, False, False]
    assert timeline.events["text_value"].iloc[0].startswith("<1.25")
    assert "a sign such as <: 1 value" in said(timeline)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "cells"), [("operator", ["=", "", "="]), ("flag", ["<", "H", ""]), ("x", ["", "", ""])]
)
def test_other_signs_leave_the_numbers_alone(name: str, cells: list[str], form: str) -> None:
    timeline = load_timeline(source(name, cells, form))
    assert timeline.events["numeric_value"].notna().all()
    assert "such as <" not in said(timeline)


WITHDRAWN = {
    "status": "cancelled", "Record Status": "Entered-in-error", "order_state": "not done", "STATUS": "Storniert",
    "deleted": "1", "is_deleted": "true", "negated": "yes", "entered_in_error": "Y", "error": "1",
    "Diagnosesicherheit": "A",
}  # fmt: skip


@pytest.mark.parametrize(("name", "form"), sampled(product(WITHDRAWN, FORMS), list))
def test_withdrawn_rows_are_left_out_and_counted(name: str, form: str) -> None:
    given = source(name, ["", WITHDRAWN[name], ""], form)
    timeline = load_timeline(given)
    assert timeline.events["code"].tolist() == ["LOINC//2160-0", "LOINC//718-7"]
    assert "Left out, as entered in error, cancelled, refuted or not done: 1 event." in said(timeline)
    assert list_subjects(given)["events"].tolist() == [2]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "cell"),
    [("status", "final"), ("deleted", "0"), ("is_deleted", "false"), ("negated", "no"), ("remark", "cancelled"),
     ("marital_status", "single"), ("Diagnosesicherheit", "G")],
)  # fmt: skip
def test_rows_that_stand_are_kept(name: str, cell: str, form: str) -> None:
    timeline = load_timeline(source(name, [cell] * 3, form))
    assert len(timeline.events) == 3
    assert "Left out" not in said(timeline)


def test_decimal_signs_in_doubt_are_asked_about_beside_withdrawn_rows_too() -> None:
    text = source("status", ["final", "cancelled", "final"], "csv")[1].decode().replace("13.5", '"13,5"')
    with pytest.raises(UserFacingError, match="decimal comma"):
        list_subjects(("t.csv", text.encode()))


def with_code(code: str, subject: str = "7") -> tuple[str, bytes]:
    rows = [*ROWS, (subject, "2020-01-09T00:00:00", code, "5", "mg/L")]
    return "t.csv", "\n".join(";".join(row) for row in (HEADER, *rows)).encode()


@pytest.mark.parametrize("rounded", ["7.3211E+07", "7,3211E+07", "1.2345678901234568e+17", "5E+07"])
def test_codes_and_patients_rounded_by_a_spreadsheet_are_refused(rounded: str) -> None:
    for given in (with_code(rounded), with_code(f"SNOMED//{rounded}")):
        with pytest.raises(UserFacingError, match="codes of 1 event"):
            load_timeline(given)
    with pytest.raises(UserFacingError, match="patient identifiers of 1 event"):
        load_timeline(with_code("X//1", rounded))


@pytest.mark.parametrize("code", ["May-88", "Mai 88", "1988-05-01 00:00:00", "05.1988", "LOINC//01.05.1988"])
def test_codes_that_look_like_dates_are_said(code: str) -> None:
    timeline = load_timeline(with_code(code))
    assert len(timeline.events) == 4
    assert "looks like a date, as spreadsheets make of LOINC codes: 1 event" in said(timeline)


@pytest.mark.parametrize(
    "code", ["E11.9", "4E5", "LOINC//1988-5", "50912", "MAY", "5E10", "ICD9CM//250.00", "Mar-1 gene"]
)
def test_other_codes_raise_no_doubt(code: str) -> None:
    timeline = load_timeline(with_code(code))
    assert timeline.events["code"].iloc[-1] == code
    assert "spreadsheet" not in said(timeline)


def test_letters_that_were_lost_are_said() -> None:
    name, data = with_code("X//1")
    assert "lost in an earlier change" not in said(load_timeline((name, data)))
    assert "(\ufffd): 2 events" in said(load_timeline((name, data.decode().replace("mg/dL", "\ufffdg/dL").encode())))


def test_numbers_in_a_second_column_of_values_are_said() -> None:
    assert "Not read, though they hold numbers: 1 column" in said(
        load_timeline(source("value2", ["80", "81", "82"], "csv"))
    )
    assert "ot read" not in said(load_timeline(source("row", ["1", "2", "3"], "csv")))


def test_a_refusal_says_where_it_is_of_one_of_several_tables() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("labs.csv", with_code("X//1")[1])
        archive.writestr("people.csv", "subject_id,ward\n7,A\n")
    with pytest.raises(UserFacingError, match=r"File [12] of 2, by name: the table has no column for the time"):
        load_timeline(("x.zip", out.getvalue()))


def test_delimiters_within_quotes_of_the_header_do_not_count() -> None:
    text = with_code("X//1")[1].decode().replace("unit\n", 'unit;"note, or remark, or text, or any, or all"\n')
    rows = text.replace("/dL\n", "/dL;a\n") + ";a"
    assert len(load_timeline(("t.csv", rows.encode())).events) == 4


STATES = {
    "draft": "planned or proposed", "scheduled": "planned or proposed", "declined": "not done", "Held": "not done",
    "not_done": "not done", "Entered in Error": "not done", "Cancelled - duplicate": "not done",
    "refused by patient": "not done", "no-show": "not done", "Specimen rejected": "not done",
    "Test not performed": "not done",
}  # fmt: skip


@pytest.mark.parametrize(("state", "form"), sampled(product(STATES, FORMS), list))
def test_rows_that_did_not_happen_are_left_out_with_the_reason(state: str, form: str) -> None:
    timeline = load_timeline(source("result status", ["final", state, "amended"], form))
    assert timeline.events["code"].tolist() == ["LOINC//2160-0", "LOINC//718-7"]
    assert f"{STATES[state]}" in said(timeline)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("smoking_status", ["never", "refused", "former"]),
        ("consent_status", ["given", "refused", "given"]),
        ("status", ["current smoker", "refused", "never smoker"]),
        ("trial_state", ["excluded", "excluded", "excluded"]),
    ],
)
def test_states_of_something_else_leave_rows_in_and_are_said(name: str, cells: list[str], form: str) -> None:
    timeline = load_timeline(source(name, cells, form))
    assert len(timeline.events) == 3
    assert "Kept, though a column of states" in said(timeline)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "cells"), [("status", ["F", "W", "C"]), ("performed", ["yes", "no", "yes"])])
def test_letters_of_hl7_and_flags_of_what_was_done_count(name: str, cells: list[str], form: str) -> None:
    assert len(load_timeline(source(name, cells, form)).events) == 2


def test_an_awaited_result_is_left_out_only_without_a_value() -> None:
    rows = ("1,2020-01-01,A,,pending", "1,2020-01-02,B,5,pending", "1,2020-01-03,C,6,final")
    text = "\n".join(("subject_id,time,code,value,status", *rows))
    timeline = load_timeline(("t.csv", text.encode()))
    assert timeline.events["code"].tolist() == ["B", "C"]
    assert "registered only" in said(timeline)


def test_a_refusal_that_is_the_answer_itself_stays() -> None:
    text = "subject_id,time,code,value,status\n1,2020-01-01,A,refused,final\n1,2020-01-02,B,excluded,completed\n"
    assert load_timeline(("t.csv", text.encode())).events["text_value"].tolist() == ["refused", "excluded"]


def test_an_amount_that_was_given_is_no_flag() -> None:
    assert len(load_timeline(source("given", ["0", "5", "10"], "csv")).events) == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("comparator", ("lt", "", "eq")), ("operator", ("unter", "", "gleich")), ("qualifier", ("less than", "", "")),
        ("flag", ("at least", "", "")),
    ],
)  # fmt: skip
def test_a_number_beside_a_comparison_in_words_is_a_bound(name: str, cells: Sequence[str], form: str) -> None:
    timeline = load_timeline(source(name, cells, form))
    assert timeline.events["numeric_value"].notna().tolist() == [False, True, True]
    assert timeline.events["text_value"].iloc[0] in ("<1.25", ">=1.25")


@pytest.mark.parametrize("form", FORMS)
def test_above_and_below_in_other_columns_are_said_of_the_normal(form: str) -> None:
    assert load_timeline(source("abnormal", ("below", "", "above"), form)).events["numeric_value"].notna().all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["op", "_change_type", "operation"])
def test_a_log_of_changes_is_no_record(name: str, form: str) -> None:
    for cells in (("I", "U", "D"), ("insert", "update_preimage", "update_postimage"), ("c", "r", "delete")):
        with pytest.raises(UserFacingError, match="log of changes"):
            load_timeline(source(name, cells, form))
    for cells in (("I", "I", "U"), ("D", "biopsy", "resection")):
        assert len(load_timeline(source(name, cells, form)).events) == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "cells"),
    [("valid", ("yes", "no", "yes")), ("ungueltig", ("nein", "ja", "nein")), ("assertion", ("", "absent", "present"))],
)
def test_rows_that_are_said_to_be_invalid_or_absent_are_left_out(name: str, cells: Sequence[str], form: str) -> None:
    timeline = load_timeline(source(name, cells, form))
    assert timeline.events["numeric_value"].round(2).tolist() == [1.25, 13.5]
    assert "1 event" in said(timeline)


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_no_longer_count_and_rows_of_relatives_are_said(form: str) -> None:
    assert "Kept, though a column" in said(load_timeline(source("active", ("true", "false", "true"), form)))
    assert "Kept, though" not in said(load_timeline(source("active", ("true", "true", "true"), form)))
    assert "Of a relative" in said(load_timeline(source("person", ("patient", "mother", "patient"), form)))
    assert "Of a relative" not in said(load_timeline(source("ward", ("patient", "mother and child", "ICU"), form)))


@pytest.mark.parametrize("form", FORMS)
def test_words_that_are_not_read_are_counted(form: str) -> None:
    words = "Not read, though they hold words, as they are neither mapped nor known by name: 1 column."
    assert words in said(load_timeline(source("remark", ("", "haemolytic, disregard", ""), form)))
    for cells in (("ICU", "ICU", "ICU"), ("", "", ""), ("1", "2.5", ""), ("2020-01-01", "", "2020-01-02")):
        assert "With words" not in said(load_timeline(source("remark", cells, form)))
