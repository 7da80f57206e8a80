"""Tables as hospital systems export them: what stands for no number, no date and no text."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import load_timeline, suggest_mapping

Reader = Callable[[str], Timeline]
BESIDE = "patient_id,time,code,numeric_value,text_value,unit\n"
PLAIN = "patient_id,time,code,value,unit\n"
BOUND = "the text beside the number says that it is a bound"
FILLER = "the number beside the text is of nines alone"
OTHER = "another number in the text beside it"
NINES = "Of nines alone"
FAR = "Far from every other value of its code"
UNKNOWN_DAY = "On a day that systems write for an unknown one"


def loaded(text: str, mapping: dict[str, str] | None = None, prediction_time: str | None = None) -> Timeline:
    return load_timeline([("export.csv", text.encode())], mapping=mapping, prediction_time=prediction_time)


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


def parquet(text: str) -> Timeline:
    """The same rows in the columns of MEDS."""
    types = {"text_value": str, "unit": str}
    frame = pd.read_csv(io.StringIO(text), dtype=types, parse_dates=["time"], keep_default_na=False, na_values=[""])
    out = io.BytesIO()
    frame.rename(columns={"patient_id": "subject_id"}).to_parquet(out)
    return load_timeline([("0.parquet", out.getvalue())])


@pytest.mark.parametrize("read", [loaded, parquet])
@pytest.mark.parametrize("text", ["<0.01", "< 0.01 ng/mL", ">=35", "≤ 2,5"])
def test_a_number_whose_text_names_a_bound_is_no_measured_value(text: str, read: Reader) -> None:
    rows = f'7,2021-03-01 08:00,TNT,0.01,"{text}",ng/mL\n7,2021-03-01 08:00,K,4.1,4.1,mmol/L\n'
    timeline = read(BESIDE + rows)
    numbers = timeline.events.set_index("code")["numeric_value"]
    assert np.isnan(numbers["TNT"])
    assert numbers["K"] == np.float32(4.1)
    assert timeline.events["text_value"].tolist()[0] == text
    assert f"{BOUND}: 1 value." in said(timeline)


def test_a_filler_of_nines_gives_way_to_the_text_beside_it() -> None:
    rows = "7,2021-03-01 08:00,HIV,9999999,NON-REACTIVE,\n7,2021-03-01 09:00,FERRITIN,9999,9999,\n"
    timeline = loaded(BESIDE + rows)
    assert np.isnan(timeline.events["numeric_value"][0])
    assert timeline.events["numeric_value"][1] == 9999
    assert f"{FILLER}, which stands for none: 1 value." in said(timeline)
    assert NINES not in said(timeline)


def test_a_filler_without_a_text_is_said() -> None:
    rows = "7,2021-03-01 08:00,HR,-999,bpm\n7,2021-03-01 09:00,K,99999,mmol/L\n7,2021-03-01 10:00,BE,-2.5,\n"
    assert "a value that is not there, and read as a number: 2 values." in said(loaded(PLAIN + rows))
    real = "7,2021-03-01 08:00,FERRITIN,999,ng/mL\n7,2021-03-01 09:00,BNP,9999,pg/mL\n"
    assert NINES not in said(loaded(PLAIN + real))


@pytest.mark.parametrize(
    ("usual", "suspect", "is_said"),
    [
        (71, 9999, True), (36.6, 99.99, True), (36.6, -99.99, True), (71, 65535, True), (-2.5, -999.9, True),
        (4.1, -99, True), (71, 2147483647, True),
        (97, 99.9, False), (850, 999, False), (5200, 9999, False), (40000, 65535, False), (-2.5, 99.5, False),
    ],
)  # fmt: skip
def test_a_number_far_from_all_others_that_systems_write_for_none_is_said(
    usual: float, suspect: float, is_said: bool
) -> None:
    rows = f"7,2021-03-01 08:00,X,{usual},\n7,2021-03-02 08:00,X,{suspect},\n7,2021-03-03 08:00,Y,3,\n"
    timeline = loaded(PLAIN + rows)
    assert (FAR in said(timeline)) == is_said
    assert timeline.events["numeric_value"].iloc[1] == np.float32(suspect)


def test_the_ends_of_whole_numbers_are_said_alone_and_other_numbers_are_not() -> None:
    assert "yet read as a number: 1 value." in said(loaded(PLAIN + "7,2021-03-01 08:00,X,2147483647,\n"))
    assert FAR not in said(loaded(PLAIN + "7,2021-03-01 08:00,X,9999,\n7,2021-03-01 08:00,Y,2,\n"))


@pytest.mark.parametrize("unit", ["4.1", "3,9", "3.5-5.1", "3.5 – 5.1", "2021-03-01", "2021-03-01 08:00", "1.3.2021"])
def test_a_number_a_range_or_a_date_in_place_of_a_unit_is_refused(unit: str) -> None:
    with pytest.raises(UserFacingError, match="in place of the unit: 1 value"):
        loaded(PLAIN + f'7,2021-03-01 08:00,K,4.1,mmol/L\n7,2021-03-02 08:00,K,4.1,"{unit}"\n')


@pytest.mark.parametrize("unit", ["10*3/uL", "10^9/L", "x10E9/L", "m2", "mL/min/1.73m2", "1", "%", "1:2"])
def test_units_with_numbers_are_units(unit: str) -> None:
    assert loaded(PLAIN + f"7,2021-03-01 08:00,X,4.1,{unit}\n").events["unit"].tolist() == [unit]


@pytest.mark.parametrize("code", ["7-Mar", "07-Mar", "2-Sep", "1-Mrz", "01. Mrz", "7-Mar-20", "5-Okt", "Mar-07"])
def test_a_code_that_a_spreadsheet_made_a_date_is_said(code: str) -> None:
    words = "With a code that looks like a date"
    assert words in said(loaded(PLAIN + f"7,2021-03-01 08:00,{code},4.1,\n"))
    plain = "".join(f"7,2021-03-01 08:00,{name},4.1,\n" for name in ("March", "2951-2", "MAR", "B7-Mar", "44-Mar"))
    assert words not in said(loaded(PLAIN + plain))


@pytest.mark.parametrize("text", ["less than 5", "Unter 5", "greater than 5 ng/L", "at least 5", "below 5", "über 5"])
def test_a_bound_in_words_beside_a_number_is_no_measured_value(text: str) -> None:
    timeline = loaded(BESIDE + f"7,2021-03-01 08:00,TNT,5,{text},\n7,2021-03-01 08:00,GCS,5,le 5 mai,\n")
    assert timeline.events["numeric_value"].isna().tolist() == [True, False]
    assert f"{BOUND}: 1 value." in said(timeline)


@pytest.mark.parametrize(
    ("units", "is_mixed"),
    [
        (("mmol / L", "mmol/L"), False), (("1/min", "bpm"), False), (("°C", "deg C"), False), (("G/L", "10^9/L"), True),
        (("G/L", "g/L"), True), (("mU/L", "MU/L"), True), (("MG/DL", "mg/dL"), False), (("g/L", "g/L"), False),
    ],
)  # fmt: skip
def test_spellings_of_one_unit_are_one_but_a_capital_may_make_another(units: tuple[str, str], is_mixed: bool) -> None:
    timeline = loaded(PLAIN + "".join(f"7,2021-03-0{day} 08:00,X,4.1,{unit}\n" for day, unit in enumerate(units, 1)))
    assert ("With more than one unit: 1 code" in said(timeline)) == is_mixed


@pytest.mark.parametrize(
    ("code", "unit", "is_said"),
    [
        ("Glucose [mg/dL]", "mmol/L", True), ("Hematocrit (%)", "g/L", True), ("Glucose [mg/dL]", "MG/DL", False),
        ("LAB//50912//mg/dL", "umol/L", True), ("LAB//50912//mg/dL", "mg/dl", False),
        ("Potassium (K)", "mmol/L", False), ("Glucose [Mass/volume]", "mg/dL", False), ("BMI (kg/m2)", "kg/m^2", False),
    ],
)  # fmt: skip
def test_a_unit_that_is_not_the_one_in_the_name_of_its_code_is_said(code: str, unit: str, is_said: bool) -> None:
    timeline = loaded(PLAIN + f"7,2021-03-01 08:00,{code},4.1,{unit}\n")
    assert ("not the one in the code, its name or description: 1 code" in said(timeline)) == is_said


@pytest.mark.parametrize(
    ("days", "is_said"),
    [
        (("1970-01-19 06:19:12", "1970-01-19 06:19:15"), True),
        (("1970-01-19 06:19:12", "2020-01-19 06:19:15"), False),
        (("1970-01-01", "1970-01-03"), False),
    ],
)
def test_times_that_all_lie_in_the_first_month_of_a_computers_calendar_are_said(
    days: tuple[str, str], is_said: bool
) -> None:
    timeline = loaded(PLAIN + "".join(f"7,{day},X,4.1,\n" for day in days))
    assert ("All times lie in January 1970" in said(timeline)) == is_said


@pytest.mark.parametrize("number", ["1e-400", "-3.2E-330", "0.5e-999"])
def test_a_number_of_json_that_would_become_zero_is_refused(number: str) -> None:
    row = '{"subject_id": 7, "time": "2020-01-02", "code": "K", "numeric_value": %s}\n'
    with pytest.raises(UserFacingError, match="Too small to be told from 0"):
        load_timeline([("rows.jsonl", (row % number).encode())])
    assert load_timeline([("rows.jsonl", (row % "0.0e-5").encode())]).events["numeric_value"].tolist() == [0]


def test_a_remark_that_stands_in_all_rows_is_said() -> None:
    head, words = PLAIN.replace("unit", "remark"), "Not read, though they hold words"
    assert words in said(loaded(head + "7,2021-03-01 08:00,K,9.1,haemolytic - disregard\n"))
    assert words not in said(loaded(head.replace("remark", "ward") + "7,2021-03-01 08:00,K,9.1,Ward 3 West\n"))


def test_files_that_office_programs_leave_beside_a_table_are_passed_over() -> None:
    table = (PLAIN + "7,2021-03-01 08:00,K,4.1,\n").encode()
    assert len(load_timeline([("a.csv", table), ("~$a.csv", b"\x04owner" + b" " * 50)]).events) == 1


def test_a_spreadsheet_of_openoffice_is_refused_by_what_it_is() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "<office:document-content/>")
    with pytest.raises(UserFacingError, match="is a spreadsheet"):
        load_timeline([("a.ods", out.getvalue())])


def test_tables_of_parquet_in_folders_of_patients_are_not_taken_as_one_patients() -> None:
    frame = pd.DataFrame({"time": pd.to_datetime(["2020-01-02"]), "code": ["K"], "numeric_value": [4.1]})
    out = io.BytesIO()
    frame.to_parquet(out)
    folders = [(f"subject_id={number}/0.parquet", out.getvalue()) for number in (7, 8)]
    with pytest.raises(UserFacingError, match="Naming no patient: 2 of 2 tables"):
        load_timeline(folders)
    assert len(load_timeline(folders[:1]).events) == 1


def test_a_patient_of_a_number_beyond_all_is_none_of_the_source() -> None:
    with pytest.raises(UserFacingError, match="no events of the chosen patient"):
        load_timeline([("a.csv", (PLAIN + "7,2021-03-01 08:00,K,4.1,\n").encode())], subject_id=10**30)


def test_words_and_the_same_number_beside_a_number_are_no_doubt() -> None:
    rows = (
        "7,2021-03-01 08:00,PAIN,3,moderate,\n7,2021-03-01 08:00,GCS,4,Spontaneously,\n"
        '7,2021-03-01 08:00,GLU,105,105.0,mg/dL\n7,2021-03-01 08:00,PLT,1250,"1,250",\n'
        '7,2021-03-01 08:00,CRP,1.4,"1,4",\n'
    )
    timeline = loaded(BESIDE + rows)
    assert timeline.events["numeric_value"].tolist() == pytest.approx([3, 4, 105, 1250, 1.4])
    assert not any(words in said(timeline) for words in (BOUND, FILLER, OTHER))


def test_another_number_in_the_text_beside_a_number_is_said() -> None:
    timeline = loaded(BESIDE + "7,2021-03-01 08:00,K,4.1,4.9,mmol/L\n")
    assert timeline.events["numeric_value"].tolist() == pytest.approx([4.1])
    assert f"{OTHER}; both are shown, and models read the number: 1 value." in said(timeline)


@pytest.mark.parametrize("day", ["1900-01-01", "1899-12-30 08:15", "1970-01-01 00:00:00"])
def test_a_day_that_stands_for_an_unknown_one_is_said(day: str) -> None:
    rows = f"7,{day},CRP,14,mg/L\n7,2021-03-13 08:00,CRP,9,mg/L\n"
    assert "1 January 1970): 1 event." in said(loaded(PLAIN + rows))
    assert UNKNOWN_DAY in said(loaded(PLAIN + rows))
    usual = rows.replace(day, "1970-01-01 08:15") + "7,1970-01-01,MEDS_BIRTH,,\n"
    assert UNKNOWN_DAY not in said(loaded(PLAIN + usual))


I2B2 = "patient_num,concept_cd,start_date,modifier_cd,valtype_cd,tval_char,nval_num,valueflag_cd,units_cd\n"
FACTS = (
    "77,LOINC:2345-7,2010-03-01 08:00:00,@,N,E,105,H,mg/dL\n"
    "77,LOINC:6598-7,2010-03-01 08:05:00,@,N,L,0.01,@,ng/mL\n"
    "77,LOINC:5778-6,2010-03-01 08:10:00,@,T,YELLOW,,@,@\n"
)


def i2b2_frame() -> bytes:
    out = io.BytesIO()
    frame = pd.read_csv(io.StringIO(I2B2 + FACTS), parse_dates=["start_date"])
    frame.to_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize("source", [("f.csv", (I2B2 + FACTS).encode()), ("f.parquet", i2b2_frame())])
def test_facts_of_i2b2_keep_bounds_as_text_and_read_nothing_where_it_writes_at(source: tuple[str, bytes]) -> None:
    timeline = load_timeline([source], mapping={"time": "start_date"})
    assert timeline.events["numeric_value"].tolist() == pytest.approx([105, np.nan, np.nan], nan_ok=True)
    assert timeline.events["text_value"].tolist() == [None, "<0.01", "YELLOW"]
    assert timeline.events["unit"].tolist() == ["mg/dL", "ng/mL", None]
    assert "i2b2 marks the number as a bound: 1 value." in said(timeline)
    assert "modifier" not in said(timeline)


def test_modifiers_of_i2b2_are_said() -> None:
    timeline = loaded(I2B2 + FACTS.replace(",@,T", ",MED:ROUTE,T"), {"time": "start_date"})
    assert "With a modifier that is not read, though it may change what is meant: 1 event." in said(timeline)


@pytest.mark.parametrize("clock", ["1899-12-30 08:15:00", "1900-01-01 08:15:00.000", "1970-01-01T08:15:00", "08:15"])
@pytest.mark.parametrize("day", ["2021-03-01", "2021-03-01 00:00:00", "2021-03-01T00:00:00.000"])
def test_a_time_of_day_stored_on_the_day_from_which_a_database_counts_joins_its_date(day: str, clock: str) -> None:
    timeline = loaded(f"patient_id,date,time,code,value\n7,{day},{clock},HR,80\n")
    assert timeline.events["time"].tolist() == [pd.Timestamp("2021-03-01 08:15")]
    assert UNKNOWN_DAY not in said(timeline)


def test_a_second_time_on_a_day_of_its_own_is_no_time_of_day() -> None:
    rows = "7,2021-03-01,2021-03-01 08:15,HR,80\n7,2021-03-02,1970-01-01 08:15,HR,81\n"
    assert loaded("patient_id,date,time,code,value\n" + rows).events["time"].dt.year.tolist() == [1970, 2021]


@pytest.mark.parametrize("null", ["NULL", "(null)", "[NULL]", "<null>", r"\N", "nan", "#N/A"])
def test_what_databases_write_for_an_empty_cell_is_empty_in_every_column(null: str) -> None:
    rows = f"7,2021-03-01 08:00,K,4.1,{null},{null}\n7,{null},SEX,{null},F,mmol\n7,2021-03-01 09:00,NA,{null},low,N/A\n"
    events = loaded(BESIDE + rows).events.set_index("code")
    assert events["text_value"].to_dict() == {"SEX": "F", "K": None, "NA": "low"}
    assert events["unit"].to_dict() == {"SEX": "mmol", "K": None, "NA": None}
    assert events["numeric_value"].notna().to_dict() == {"SEX": False, "K": True, "NA": False}
    assert events["time"].isna().to_dict() == {"SEX": True, "K": False, "NA": False}


def test_an_empty_cell_in_words_is_no_patient_and_no_code_but_other_short_codes_are() -> None:
    with pytest.raises(UserFacingError, match="Naming no patient: 1 event"):
        loaded(PLAIN + "7,2021-03-01,K,4.1,\nNULL,2021-03-01,K,4.1,\n")
    with pytest.raises(UserFacingError, match="Without a code: 1 event"):
        loaded(PLAIN + "7,2021-03-01,(null),4.1,\n7,2021-03-01,K,4.1,\n")
    codes = ["NA", "NAT", "NAN", "UNK", "NONE"]
    rows = "".join(f"7,2021-03-01,{code},1,\n" for code in codes)
    assert sorted(loaded(PLAIN + rows).events["code"]) == sorted(codes)


def test_errors_of_a_spreadsheet_are_said() -> None:
    timeline = loaded(PLAIN + "7,2021-03-01,K,#DIV/0!,\n7,2021-03-01,NA,####,\n7,2021-03-01,CL,#3,\n")
    assert "a spreadsheet's error (#VALUE!, ####) stands in place of the value: 2 values." in said(timeline)


@pytest.mark.parametrize(
    ("values", "is_said"),
    [(("250.000", "198.000"), True), (("250.000", "4.1"), False), (("7.352", "1.025"), False), (("250", "4"), False)],
)
def test_points_that_may_part_thousands_are_said(values: tuple[str, str], is_said: bool) -> None:
    rows = "".join(f"7;2021-03-01 08:0{place};PLT;{value}\n" for place, value in enumerate(values))
    timeline = loaded("patient_id;time;code;value\n" + rows)
    assert timeline.events["numeric_value"].tolist() == pytest.approx([float(value) for value in values])
    assert ("which is wrong if the point parts thousands: 2 values." in said(timeline)) == is_said


@pytest.mark.parametrize("read", [loaded, parquet])
def test_measurements_in_columns_of_their_own_beside_a_value_are_said(read: Reader) -> None:
    header = "patient_id,time,code,numeric_value,unit,{},{}\n"
    rows = "7,2021-01-01 08:00,T,37.2,Cel,97,1.2\n7,2021-01-01 09:00,T,37.3,Cel,96,1.3\n"
    unread = "Not read, though they hold numbers: 2 columns; a row gives one event with one value"
    assert unread in said(read(header.format("spo2", "lactate") + rows))
    assert "ot read" not in said(read(header.format("encounter_id", "ref_range_low") + rows))


SPECIMEN = "Of more than one specimen or body site, which is not read"
RELATIVE = "Of a relative, as a column says that is not read"
PERSONS = "more than one name or number of a person"
TAKEN_BACK = "Kept, though a column that is not read says"


def with_column(name: str, cells: tuple[str, str], codes: tuple[str, str] = ("GLU", "GLU")) -> str:
    rows = (f"7,2021-01-0{day},{code},10{day},{cell}\n" for day, (code, cell) in enumerate(zip(codes, cells), 1))
    return f"patient_id,time,code,numeric_value,{name}\n" + "".join(rows)


@pytest.mark.parametrize("read", [loaded, parquet])
@pytest.mark.parametrize(
    ("name", "cells", "words"),
    [
        ("specimen", ("blood", "urine"), f"{SPECIMEN}: 1 code."),
        ("Probenmaterial", ("Blut", "Urin"), f"{SPECIMEN}: 1 code."),
        ("relation", ("mother", "self"), f"{RELATIVE}: 1 event."),
        ("family_history", ("1", "0"), f"{RELATIVE}: 1 event."),
        ("mrn", ("A1", "A2"), f"{PERSONS} in a column that is not read, so that events may be of several: 1 patient."),
        ("patient_name", ("Doe", "Roe"), PERSONS),
        ("dx_type", ("Ruled out", "Final"), f"{TAKEN_BACK} “ruled out”, “cancelled” or the like: 1 event."),
    ],
)
def test_columns_that_set_rows_apart_are_said(read: Reader, name: str, cells: tuple[str, str], words: str) -> None:
    timeline = read(with_column(name, cells))
    assert len(timeline.events) == 2
    assert words in said(timeline)


@pytest.mark.parametrize("read", [loaded, parquet])
@pytest.mark.parametrize(
    ("name", "cells", "codes"),
    [
        ("specimen", ("blood", "urine"), ("GLU", "UGLU")),
        ("specimen", ("blood", ""), ("GLU", "GLU")),
        ("relation", ("self", "NULL"), ("GLU", "GLU")),
        ("mrn", ("A1", "A1"), ("GLU", "GLU")),
        ("name", ("Glucose", "Sodium"), ("GLU", "NA")),
        ("comment", ("PE was ruled out", "sample held"), ("GLU", "GLU")),
        ("shift", ("a", "error"), ("GLU", "GLU")),
    ],
)
def test_columns_that_set_no_rows_apart_are_no_doubt(
    read: Reader, name: str, cells: tuple[str, str], codes: tuple[str, str]
) -> None:
    timeline = read(with_column(name, cells, codes))
    assert len(timeline.events) == 2
    assert not any(words in said(timeline) for words in (SPECIMEN, RELATIVE, PERSONS, TAKEN_BACK))


def test_letters_that_were_read_in_a_wrong_encoding_are_said() -> None:
    rows = "7,2021-01-01,TNT,0.1,Âµg/l\n7,2021-01-01,GrÃ¶ÃŸe,170,cm\n7,2021-01-01,Köper,1,µg/l\n"
    assert "made of others (Ã¼ of ü, Âµ of µ): 2 events." in said(loaded(PLAIN + rows))
    usual = "7,2021-01-01,NÃO REATIVO,1,µg/l\n7,2021-01-01,Âge,70,a\n"
    assert "encoding" not in said(loaded(PLAIN + usual))


@pytest.mark.parametrize(
    ("time", "words"),
    [("44197.5", "but as a count of days"), ("-120", "count of days, minutes"), ("########", "too narrow: 1 time")],
)
def test_counts_and_hidden_dates_are_refused_by_name(time: str, words: str) -> None:
    with pytest.raises(UserFacingError, match=words):
        loaded(PLAIN + f"7,{time},HR,80,bpm\n7,2021-01-01,HR,81,bpm\n")


SAS = b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00" + b"\0" * 80
OUTCOME = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden"}]}'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"MSH|^~\\&|LAB|H|||202103010810||ORU^R01|1|P|2.5\rPID|1||7\r", "an HL7 version 2 message"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "a PDF document"),
        (b"SQLite format 3\0" + b"\0" * 80, "an SQLite database"),
        (b"<stata_dta><header>", "a Stata table"),
        (b"ARROW1\0\0", "an Arrow or Feather file"),
        (b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!0000", "a SAS transport file"),
        (SAS, "a SAS table"),
        (b"\0" * 128 + b"DICM\x02\0", "a DICOM file"),
        (b"ORC\x08\x03\x10\0", "an ORC file"),
        (OUTCOME, "an error message of a FHIR server"),
        (b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":' + OUTCOME + b"}]}", "a FHIR server"),
    ],
)
def test_files_that_are_no_tables_are_refused_by_what_they_are(data: bytes, words: str) -> None:
    with pytest.raises(UserFacingError, match=words):
        load_timeline([("export.dat", data)])


@pytest.mark.parametrize(
    "above", ["Befundbericht Station 3\nErstellt am 01.04.2021\n\n", "Lab report,,,,\n,,,,\n", "# of 2021\n"]
)
@pytest.mark.parametrize("sign", [",", ";"])
def test_lines_above_the_header_are_named(above: str, sign: str) -> None:
    table = (PLAIN + "7,2021-01-01 08:00,HR,80,bpm\n").replace(",", sign)
    with pytest.raises(UserFacingError, match="a title or other lines stand above it"):
        loaded(above.replace(",", sign) + table)
    assert len(loaded("\n\n" + table).events) == 1
    with pytest.raises(UserFacingError, match="The header stands among the rows again"):
        loaded(table + table)


def test_a_table_whose_first_name_begins_as_another_format_does_is_read() -> None:
    assert len(loaded("ORC,time,code\n1,2021-01-01 08:00,HR\n").events) == 1


def test_rows_that_all_differ_from_the_first_line_point_to_what_stands_above() -> None:
    with pytest.raises(UserFacingError, match="Remove what stands above the header"):
        loaded("Bericht\nPatNr,Datum,Test\n7,2021-01-01,HR\n")
    with pytest.raises(UserFacingError, match=r"in every row\. Correct them"):
        loaded(PLAIN + "7,2021-01-01,HR,80,bpm\n7,2021-01-01,HR,80\n")


def test_cells_kept_from_a_spreadsheet_by_a_formula_are_read_without_it() -> None:
    rows = '"=""007""","=""2021-03-01 08:00""","=""00409488734""","=""138""",\n'
    events = loaded(PLAIN + rows).events
    assert events.loc[0, ["subject_id", "code", "numeric_value"]].tolist() == [7, "00409488734", 138]
    formula = loaded(PLAIN + "7,2021-03-01 08:00,K,=4.1,\n7,2021-03-01 08:00,SEX,=,\n")
    assert formula.events["numeric_value"].isna().all()
    assert "Kept as text, as a formula of a spreadsheet stands in place of the value: 1 value." in said(formula)


def test_signs_of_no_width_around_a_cell_are_no_part_of_it() -> None:
    timeline = loaded("\u200bpatient_id,time\u2060,code,value\n7,2021-03-01 08:00\u200e,K\u200b,\ufeff4.1\u200b\n")
    assert timeline.events.loc[0, "code"] == "K"
    assert timeline.events["numeric_value"].tolist() == pytest.approx([4.1])
    assert "names no patient" not in said(timeline)


def test_whole_numbers_as_codes_lose_the_point_that_a_program_gave_them() -> None:
    codes = ["50912.0", "401.0", "250.00", "4019.1"]
    rows = "".join(f"7,2021-03-01 08:00,{code},1,\n" for code in codes)
    assert sorted(loaded(PLAIN + rows).events["code"]) == sorted(["50912", "401.0", "250.00", "4019.1"])


def test_a_status_shown_in_words_leaves_out_what_it_withdraws() -> None:
    header = "patient_id,time,code,value,Result Status Disp\n"
    rows = "7,2021-03-01 08:00,K,4.1,Auth (Verified)\n7,2021-03-01 09:00,K,9.9,In Error\n"
    assert loaded(header + rows).events["numeric_value"].tolist() == pytest.approx([4.1])


def test_results_of_epic_are_read_once_time_and_code_are_answered() -> None:
    header = "PAT_ID,RESULT_TIME,SPECIMN_TAKEN_TIME,COMPONENT_NAME,ORD_VALUE,ORD_NUM_VALUE,REFERENCE_UNIT\n"
    rows = (
        "Z1,2021-03-01 11:00,2021-03-01 08:10,CREATININE,1.4,1.4,mg/dL\n"
        "Z1,2021-03-01 11:00,2021-03-01 08:20,HIV,NON-REACTIVE,9999999,\n"
        "Z1,2021-03-01 11:00,2021-03-01 08:30,TROPONIN,<0.01,9999999,ng/mL\n"
    )
    answers = {"time": "SPECIMN_TAKEN_TIME", "code": "COMPONENT_NAME", "unit": "REFERENCE_UNIT"}
    answers["subject_id"] = "PAT_ID"
    assert suggest_mapping([("r.csv", (header + rows).encode())]).guesses["value"].column == "ORD_VALUE"
    timeline = loaded(header + rows, answers, "2021-03-01 12:00")
    assert timeline.events["numeric_value"].tolist() == pytest.approx([1.4, np.nan, np.nan], nan_ok=True)
    assert timeline.events["text_value"].tolist()[1:] == ["NON-REACTIVE", "<0.01"]
    assert loaded(header + rows, answers, "2021-03-01 11:00").events["code"].size == 3
    with pytest.raises(UserFacingError, match="recorded after it"):
        loaded(header + rows, answers, "2021-03-01 10:00")


def test_bounds_of_eicu_stand_in_the_text_beside_the_number() -> None:
    header = "patientunitstayid,drawn,labname,labresult,labresulttext,labmeasurenamesystem\n"
    rows = "1,2021-03-01,TROPONIN,0.01,<0.01,ng/mL\n1,2021-03-02,K,4.1,4.1,mmol/L\n"
    timeline = loaded(header + rows, {"subject_id": "patientunitstayid", "time": "drawn", "code": "labname"})
    assert timeline.events["numeric_value"].tolist() == pytest.approx([np.nan, 4.1], nan_ok=True)
    assert timeline.events["unit"].tolist() == ["ng/mL", "mmol/L"]
