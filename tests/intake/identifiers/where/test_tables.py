"""Identifiers in timelines and in archive headers are found by column and by content; clean ones stay silent."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence

import pandas as pd
import pytest
from ct_factory import Grid
from intake_support import patient, series

from core.events.descriptions import labels
from core.events.icd10 import icd10_descriptions
from core.intake.identifiers.text.names_alone import is_bare_name
from core.privacy import Finding, find_identifiers

CLEAN = (
    "subject_id,time,code,numeric_value,unit\n7,2020-01-01,LOINC//2345-7,5.4,mmol/L\n7,2020-02-01,ICD10CM//I26.99,,\n"
)
DIRTY = (
    "mrn,first_name,time,code,note,x\n"
    'Q123,Zqxada,2020-01-01,LOINC//1-2,"Seen by Dr Zqxberg, a 93-year-old woman, call 555-010-1234",zqx@host.org\n'
)


def categories(found: tuple[Finding, ...]) -> set[str]:
    return {item.category for item in found}


def test_columns_and_values_of_a_csv_are_judged() -> None:
    found = find_identifiers(("t.csv", DIRTY.encode()))
    assert {"identifier", "name", "date", "contact", "age over 89", "free text"} <= categories(found)
    assert any(item.where == "column first_name" for item in found)
    assert any(item.where == "column 6" and item.category == "contact" for item in found)
    assert "qx" not in str(found)


def test_a_plain_table_holds_a_pseudonym_and_dates_only() -> None:
    assert categories(find_identifiers(("t.csv", CLEAN.encode()))) == {"identifier", "date"}


def test_json_lines_and_fhir_bundles_are_walked() -> None:
    patient = {
        "resourceType": "Patient",
        "name": [{"family": "Zqxberg", "given": ["Ada"]}],
        "telecom": [{"value": "555-010-1234"}],
        "birthDate": "1945-01-01",
        "text": {"div": "<div>Zqx narrative</div>"},
        "identifier": [{"value": "Zqx1"}],
    }
    bundle = json.dumps({"resourceType": "Bundle", "entry": [{"resource": patient}]}).encode()
    lines = (json.dumps(patient) + "\n").encode() * 2
    for data in (bundle, lines):
        found = find_identifiers(("b.json", data))
        assert {"name", "contact", "date", "free text", "identifier"} <= categories(found)
        assert "Zqx" not in str(found)


def test_places_are_named_by_resource_of_fhir_and_table_of_omop() -> None:
    patient = {"resourceType": "Patient", "birthDate": "1945-01-01"}
    other = {"resourceType": "Zqxberg", "onset": "2011-02-03", "birthDate": "1945-01-01"}
    entry = [
        {"fullUrl": "x", "resource": patient},
        {"resource": other},
        {"resource": "call 555-010-1234"},
        "2011-02-03",
    ]
    found = find_identifiers(("b.json", json.dumps({"resourceType": "Bundle", "entry": entry}).encode()))
    places = {(item.category, item.where) for item in found}
    assert {("date", "Patient, field birth_date"), ("date", "field birth_date")} <= places
    assert {("contact", "a field of a record"), ("date", "a field of a record")} <= places
    assert "Zqx" not in str(found)
    table = b"person_id,condition_concept_id,condition_source_value\n1,19080128,19080128\n"
    found = find_identifiers(("out/condition_occurrence_2.csv", table))
    dates = {item.where for item in found if item.category == "date"}
    assert dates == {'condition_occurrence, column 3, "condition_source_value"'}


def test_meds_parquet_with_a_patient_over_89() -> None:
    times = pd.to_datetime(["1920-01-01", "2015-01-01"]).astype("datetime64[us]")
    table = pd.DataFrame({"subject_id": [1, 1], "time": times, "code": ["MEDS_BIRTH", "LAB//1"]})
    table["text_value"] = [None, "call Mr Zqxberg"]
    out = io.BytesIO()
    table.to_parquet(out)
    found = categories(find_identifiers(("m.parquet", out.getvalue())))
    assert {"age over 89", "name", "date", "identifier"} <= found
    table.loc[0, "time"], table["text_value"] = pd.Timestamp("1950-01-01"), None
    out = io.BytesIO()
    table.to_parquet(out)
    assert categories(find_identifiers(("m.parquet", out.getvalue()))) == {"date", "identifier"}


@pytest.mark.parametrize(("born", "found"), [("1920-01-01", True), ("1950-01-01", False), ("unknown", False)])
@pytest.mark.parametrize("subject", ["subject_id", "patient_id"])
def test_a_birth_90_years_before_an_event_of_the_same_patient(born: str, found: bool, subject: str) -> None:
    rows = [("1", born, "MEDS_BIRTH"), ("1", "2015-01-01 10:11", "LAB//1"), ("2", "1915-01-01", "MEDS_BIRTH")]
    records = [dict(zip((subject, "time", "code"), row, strict=True)) for row in rows]
    lines = "\n".join(json.dumps(record) for record in records)
    table = pd.DataFrame(records).to_csv(index=False)
    for source in (("t.csv", table), ("t.jsonl", lines), ("t.json", json.dumps(records))):
        assert ("age over 89" in categories(find_identifiers((source[0], source[1].encode())))) == found


AGES = {
    ("LOINC//30525-0", 95, "a"): True, ("AGE", 95, ""): True, ("SNOMED//397669002", 101, "years"): True,
    ("LOINC//30525-0", 89, "a"): False, ("LOINC//30525-0", 95, "mo"): False, ("LOINC//8867-4", 101, "/min"): False,
    ("LAB//average", 95, ""): False,
}  # fmt: skip


@pytest.mark.parametrize("event", AGES)
def test_an_age_that_is_the_value_of_an_event(event: tuple[str, int, str]) -> None:
    code, years, unit = event
    row = {"subject_id": 1, "time": "2020-01-01", "code": code, "numeric_value": years, "unit": unit}
    out = io.BytesIO()
    pd.DataFrame([row]).assign(time=pd.Timestamp("2020-01-01")).to_parquet(out)
    coding = {"coding": [{"code": code.rpartition("//")[2]}]}
    quantity = {"value": years, "unit": unit}
    bundle = {"resource": {"resourceType": "Observation", "code": coding, "valueQuantity": quantity}}
    for name, data in (
        ("t.csv", pd.DataFrame([row]).to_csv(index=False).encode()),
        ("t.jsonl", json.dumps(row).encode()),
        ("t.parquet", out.getvalue()),
        ("b.json", json.dumps({"resourceType": "Bundle", "entry": [bundle]}).encode()),
    ):
        assert ("age over 89" in categories(find_identifiers((name, data)))) == AGES[event], name


@pytest.mark.parametrize(
    ("url", "value", "category"),
    [
        ("patient-mothersMaidenName", {"valueString": "Janett Zqxberg"}, "name"),
        ("patient-birthPlace", {"valueAddress": {"state": "Zqx"}}, "contact"),
        ("patient-disability", {"valueString": "walking"}, None),
    ],
)
def test_extensions_of_fhir_are_told_by_their_addresses(
    url: str, value: dict[str, object], category: str | None
) -> None:
    extension = {"url": f"http://hl7.org/fhir/StructureDefinition/{url}", **value}
    found = find_identifiers(("p.json", json.dumps({"resourceType": "Patient", "extension": [extension]}).encode()))
    assert categories(found) == {category} - {None}
    assert "zqx" not in str(found).lower()


@pytest.mark.parametrize(("url", "found"), [("https://pacs.example.org/p/1", True), ("http://loinc.org/1-8", False)])
def test_addresses_of_publishers_are_no_contacts(url: str, found: bool) -> None:
    data = json.dumps({"resourceType": "Basic", "extension": [{"url": url, "valueBoolean": True}]}).encode()
    assert ("contact" in categories(find_identifiers(("p.json", data)))) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Ada Quillfeather 84417733", True),
        ("84417733", True),
        ("MRN 844", True),
        ("heart rate", False),
        ("8480-6", False),
    ],
)
def test_names_of_columns_that_are_values(name: str, found: bool) -> None:
    places = [item.where for item in find_identifiers(("t.csv", f"code,{name}\nA,1\n".encode()))]
    assert ("name of column 2" in places) == found


CALL = "please call 555-010-1234"


@pytest.mark.parametrize(
    "header",
    ["Bemerkung", "text_value", "Ward remark", "befundText", "observaciones", "comment_2", "col7", "Kommentar (Labor)"],
)
def test_a_column_is_told_by_its_number_and_its_header(header: str) -> None:
    found = find_identifiers(("t.csv", f"code;{header}\nA;{CALL}\n".encode()))
    assert ("contact", f'column 2, "{header}"') in {(item.category, item.where) for item in found}


@pytest.mark.parametrize(
    "header",
    [
        *("Quillfeather", "note Quillfeather", "ZoeQuillfeather", "White", "remark 84417733", "remark 2020-01-02"),
        *("visit 12 03 54", "lab_12_3_19_54"),
        *("", "x", "555-010-1234", "a@b.org", "remark " * 9),
    ],
)
def test_a_header_that_may_tell_of_somebody_is_a_number_only(header: str) -> None:
    found = find_identifiers(("t.csv", f"code;{header}\nA;{CALL}\n".encode()))
    assert ("contact", "column 2") in {(item.category, item.where) for item in found}
    assert not header.strip() or header == "x" or all(header.strip() not in str(item) for item in found)


def test_a_header_with_the_patients_own_word_is_a_number_only() -> None:
    table = ("t.csv", f"time;code;remark ward;remark\n2020-01-01;A;{CALL};{CALL}\n".encode())
    for name, shown in (("WARD^JANE", "column 3"), ("DOE^JANE", 'column 3, "remark ward"')):
        scan = series(Grid((48, 40, 4), (6.0, 6.0, 8.0)), edit=patient(name, "Q4711234"))
        assert {shown, 'column 4, "remark"'} <= {item.where for item in find_identifiers([table, *scan], pixels=False)}


@pytest.mark.parametrize(
    ("name", "found"), [("Ada Quillfeather 84417733", True), ("heart rate", False), ("x_2345", False)]
)
def test_names_of_fields_that_are_values(name: str, found: bool) -> None:
    places = [item.where for item in find_identifiers(("t.jsonl", json.dumps({"code": "A", name: 1}).encode()))]
    assert ("name of a field" in places) == found


@pytest.mark.parametrize(("years", "found"), [(95, True), (45, False)])
def test_ages_at_which_something_began(years: int, found: bool) -> None:
    record = {"resourceType": "Condition", "onsetAge": {"value": years, "unit": "a"}}
    assert ("age over 89" in categories(find_identifiers(("b.json", json.dumps(record).encode())))) == found


def test_archive_comments_and_owners_are_found() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", CLEAN)
        archive.comment = b"Zqxberg 1945"
    found = find_identifiers(("a.zip", packed.getvalue()))
    assert "archive comment" in categories(found)
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode="w") as tape:
        info = tarfile.TarInfo("a.csv")
        info.size, info.uname = len(CLEAN), "zqxberg"
        tape.addfile(info, io.BytesIO(CLEAN.encode()))
    found = find_identifiers(("a.tar", taped.getvalue()))
    assert "archive comment" in categories(found)
    assert "qxberg" not in str(found)


def zipped(name: str, data: bytes | str, comment: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, data)
        archive.comment = comment
    return packed.getvalue()


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("owner", ["zqxberg", "root"])
def test_owners_in_packed_tars_are_found_even_inside_a_zip(mode: str, owner: str) -> None:
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode=f"w:{mode}") as tape:  # type: ignore[call-overload]
        info = tarfile.TarInfo("a.csv")
        info.size, info.uname = len(CLEAN), owner
        tape.addfile(info, io.BytesIO(CLEAN.encode()))
    for source in (taped.getvalue(), zipped(f"a.tar.{mode}", taped.getvalue())):
        name = f"a.tar.{mode}" if source == taped.getvalue() else "b.zip"
        assert ("archive comment" in categories(find_identifiers((name, source)))) == (owner == "zqxberg")


@pytest.mark.parametrize("comment", [b"Zqxberg 1945", b""])
def test_a_comment_of_a_zip_inside_a_zip_is_found(comment: bytes) -> None:
    found = find_identifiers(("a.zip", zipped("inner.zip", zipped("a.csv", CLEAN, comment))))
    assert ("archive comment" in categories(found)) == bool(comment)


@pytest.mark.parametrize("data", [b'{"a": [', b"a,b\n\0\0,\n", b"PAR1 nothing", b"[" * 100_000])
def test_broken_tables_are_said_to_be_unsearched_or_hold_nothing(data: bytes) -> None:
    assert categories(find_identifiers(("t.json", data))) <= {"unreadable"}


NAMED = "subject_id,time,code,first_name\n7,2020-01-01,A,Zqxberg\n"
BUNDLE = json.dumps({"resourceType": "Patient", "name": [{"family": "Zqxberg"}], "birthDate": "1957-03-02"})
ENCODED = {
    "utf-16": NAMED.encode("utf-16"),
    "utf-16 without a mark": NAMED.encode("utf-16-le"),
    "utf-8 with a mark": NAMED.encode("utf-8-sig"),
    "carriage returns": NAMED.replace("\n", "\r").encode(),
    "a line end in a quoted name": b'"first\nname",code\nZqxberg,A\n',
    "one column": b"patient_name\nZqxberg\n",
    "FHIR in utf-16": BUNDLE.encode("utf-16"),
    "FHIR with a mark": BUNDLE.encode("utf-8-sig"),
    "JSON lines with a mark": (json.dumps({"first_name": "Zqxberg", "code": "A"}) + "\n").encode("utf-8-sig"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_whatever_the_loader_can_read_is_searched(name: str) -> None:
    found = find_identifiers(("t.csv", ENCODED[name]))
    assert "name" in categories(found)
    assert "unreadable" not in categories(found)


VALUES = {
    "DOB 03/02/1957": "date", "born 1957-03-02": "date", "geb. 02.03.57": "date", "19570302": "date",
    "MRN7788123": "identifier", "MRN_7788123": "identifier", "SSN 078051120": "identifier",
    "tel 0049 30 1234567": "contact", "94 y.o.": "age over 89",
    "ICD10CM//I26.99": None, "LOINC//2345-7": None, "1.2.840": None, "5.4": None, "120/80": None, "8.0.0": None,
    "1.25": None, "89 y.o.": None, "B40f": None, "mmol/L": None,
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_dates_and_labelled_numbers_in_values(value: str) -> None:
    wanted = {VALUES[value]} - {None}
    assert categories(find_identifiers(("t.csv", f"x,memo\n1,{value}\n".encode()))) == wanted
    assert categories(find_identifiers(("t.jsonl", json.dumps({"x": 1, "memo": value}).encode()))) == wanted


WORDED = {
    "May 3rd, 2019": "date", "3rd of May 2019": "date", "3 de mayo de 2019": "date", "1er juillet 2019": "date",
    "Mai 2019": "date", "93-jaehrig": "age over 89", "93 jährige": "age over 89", "age: 94": "age over 89",
    "Case #4711-19": "identifier", "Fall-Nr. 123": "identifier", "ACC5551212": "identifier", "0711/123456": "contact",
    "Hauptstrasse 12": "contact", "Berliner Straße 7": "contact", "12 rue de Rivoli": "contact",
    "Calle Mayor 5": "contact",
    "Via Garibaldi 12": "contact", "Kerkstraat 12": "contact", "Boston MA 02115": "contact",
    "may 3": None, "89-jährig": None, "0.95 years": None, "case 3": None, "record no change": None, "0120/80": None,
    "Accession number 20-1234567": "identifier", "driver's license S1234567": "identifier",
    "Versichertennr. A123456780": "identifier", "PESEL 50020312345": "identifier", "AHV 756.9217.0769.85": "identifier",
    "address SW1A 1AA": "contact", "host 192.168.14.7": "contact", "93F with dyspnoea": "age over 89",
    "study 1.3.12.2.1107.5.1.4.12345": "unique identifier",
    "CT Image 1.2.840.10008.5.1.4.1.1.2": None, "SNOMED 2.16.840.1.113883.6.96": None, "temp 101F with chills": None,
    "walks 100 m with a stick": None, "vitamin B12 5UG": None, "licensed 5 mg": None, "policy number 3": None,
    "hospital day no. 12": None,
    "via PEG 20": None, "Atemweg 12": None, "1000 ML Sodium": None, "71275 Angiography": None, "rue 3": None,
}  # fmt: skip


@pytest.mark.parametrize("value", WORDED)
def test_dates_ages_places_and_numbers_as_people_write_them(value: str) -> None:
    wanted = {WORDED[value]} - {None}
    for source in (("t.csv", f'x,memo\n1,"{value}"\n'.encode()), ("t.jsonl", json.dumps({"memo": value}).encode())):
        assert categories(find_identifiers(source)) - {"free text"} == wanted


NAMES_BESIDE = [
    "mrs quillfeather", "frau quillfeather", "seen by dr quillfeather", "DR QUILLFEATHER", "K. Quillfeather MD",
    "Quillfeather MD, PhD", "signed: K. Quillfeather", "reviewed by Kim Quillfeather", "son Peter", "her husband Karl",
    "Ehemann Karl", "Quillfeather, Kim", "Quillfeather, Kim J.", "DOE, JANE", "SEEN BY DOE, JANE",
    "COUGH, SEEN BY DOE, JANE",
]  # fmt: skip
NO_NAMES_BESIDE = [
    "mr angiography", "mrs brain", "dr notified", "DR CHEST", "Attending MD", "Notified MD", "Cardiology MD",
    "reviewed by Infectious Disease", "her husband died", "mother Diabetic", "Sodium, Urine", "Aspirin, Ibuprofen",
    "Clear, Yellow", "Vancomycin, Trough", "ACUTE MYOCARDIAL INFARCTION, EXPIRED",
    "HIV DNA polymerase chain reaction, qualitative", "CHOLERA, UNSPECIFIED",
]  # fmt: skip


@pytest.mark.parametrize("value", [*NAMES_BESIDE, *NO_NAMES_BESIDE])
def test_names_stand_beside_titles_degrees_and_relatives_or_alone(value: str) -> None:
    wanted = {"name"} if value in NAMES_BESIDE else set()
    assert categories(find_identifiers(("t.csv", f'x,memo\n1,"{value}"\n'.encode()))) - {"free text"} == wanted
    if not wanted:
        assert categories(find_identifiers(("t.jsonl", json.dumps({"x": 1, "memo": value}).encode()))) == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("DRG//HCFA//283//ACUTE MYOCARDIAL INFARCTION, EXPIRED W MCC", False),
        ("DRG//APR//264//OTHER HEPATOBILIARY, PANCREAS & ABDOMINAL PROCEDURES", False),
        ("DRG//HCFA//391//ESOPHAGITIS, GASTROENT & MISC DIGEST DISORDERS W MCC", False),
        ("OBS//SEEN BY DOE, JANE", True), ("OBS//DOE, JANE", True), ("OBS//CHEST PAIN OF BROWN, JANE", True),
    ],
)  # fmt: skip
def test_names_of_diagnosis_related_groups_are_no_names_of_people(code: str, found: bool) -> None:
    table = f'subject_id,time,code\n7,2020-01-01,"{code}"\n'
    assert ("name" in categories(find_identifiers(("t.csv", table.encode())))) == found


WRITTEN_SURNAME_FIRST = [
    "Pt Zqxberg, Ada", "signed Zqxberg, Ada", "Name: O'Zqx, Ada", "read by Zqxberg,Ada", "Patientin: Özqx, Ada",
    "Attending: Zqx-Vwk, Ada", "Patient's name: Zqxberg, Ada", "RE: Zqxberg, Ada", "patient name: ada zqxberg",
    "Name of patient = ZQXBERG, ADA", "my name is Ada Zqxberg",
]  # fmt: skip
WRITTEN_LIKE_A_NAME = [
    "Sodium, Urine", "Aspirin, Ibuprofen", "Pneumonia, bacterial", "Protein, Total", "Patient, Female",
    "Patient Health Questionnaire", "reviewed by Radiology", "signed off, Monday", "trade name: Glucophage retard",
]  # fmt: skip


@pytest.mark.parametrize("value", [*WRITTEN_SURNAME_FIRST, *WRITTEN_LIKE_A_NAME])
def test_a_surname_before_a_first_name_is_found_behind_a_word_that_tells_a_person(value: str) -> None:
    """Without such a word laboratory tests and drugs in a row have the same form."""
    wanted = {"name"} if value in WRITTEN_SURNAME_FIRST else set()
    table = f'x,memo\n1,"{value}"\n'
    for source in (("t.csv", table.encode()), ("t.jsonl", json.dumps({"x": 1, "memo": value}).encode())):
        assert categories(find_identifiers(source)) - {"free text"} == wanted


@pytest.mark.parametrize(
    ("column", "category"),
    [
        ("Geburtsdatum", "date"),
        ("Nachname", "name"),
        ("pat_no", "identifier"),
        ("Befund", None),
        ("caregiver_name", "name"),
        ("Emergency Contact Phone", "contact"),
        ("insurance_number", "identifier"),
        ("policyNo", "identifier"),
        ("drug_name", None),
        ("test_number", None),
        ("specimen_address", None),
    ],
)
def test_columns_by_their_names(column: str, category: str | None) -> None:
    assert categories(find_identifiers(("t.csv", f"{column};x\nq;1\n".encode()))) == {category} - {None}


@pytest.mark.parametrize("field", ["subject", "participant", "recorder", "asserter", "generalPractitioner"])
def test_names_shown_by_references_are_found_and_names_of_codes_are_not(field: str) -> None:
    person = {field: {"reference": "urn:uuid:1", "display": "Zqx Vwk"}}
    coded = {"code": {"coding": [{"code": "I26", "display": "Pulmonary embolism"}]}}
    assert categories(find_identifiers(("b.json", json.dumps(person).encode()))) == {"name"}
    assert categories(find_identifiers(("b.json", json.dumps(coded).encode()))) == set()


def test_sidecars_of_converted_scans() -> None:
    sidecar = {"InstitutionName": "Zqx", "DeviceSerialNumber": "77", "StationName": "CT1", "Modality": "CT", "KVP": 120}
    assert categories(find_identifiers(("a.json", json.dumps(sidecar).encode()))) == {"institution", "device"}


def test_fields_beyond_the_header_are_searched_without_a_word_on_the_error_stream(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    data = b"subject_id,code\n1,A\n1,B,call 555-010-1234,x\n1\n"
    found = find_identifiers(("t.csv", data))
    assert any(item.category == "contact" and item.where == "column 3" for item in found)
    assert not recwarn.list
    assert capsys.readouterr().err == ""


def test_text_far_inside_another_file_is_found_and_what_is_not_searched_is_said() -> None:
    filler = b"a b c d e.\n" * 150_000
    assert categories(find_identifiers(("a.txt", filler))) == set()
    assert {"contact", "name"} <= categories(find_identifiers(("a.txt", filler + b"Dr Zqxberg 555-010-7788")))
    assert categories(find_identifiers(("a.bin", b"\0" * (33 << 20)))) == {"unreadable"}


NAMES = {
    "CT_7788123_001.dcm": True, "7788123_CT.dcm": True, "IM_19570302.dcm": True, "X_02.03.1957_.dcm": True,
    "ZqxJ19570302.dcm": True, "078-05-1120_a.dcm": True,
    "Zqxberg_Kim.dcm": True, "kim.zqxberg.csv": True, "CT-chest SMITH 2": True, "Mu\u0308ller.csv": True,
    "Ljupcho^Zqxberg": True, "New_Folder": False, "NSCLC-Radiogenomics_R01": False, "brown_fat": False,
    "PE protocol": False, "condition_occurrence.csv": False, "MR Head.dcm": False,
    "IM_0001.dcm": False, "slice_000123.dcm": False, "CT_2_12.dcm": False, "Thorax_1.0_B40f": False,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["file", "empty folder of a zip", "empty folder of a tar"])
def test_names_with_underscores_and_of_empty_folders(name: str, form: str) -> None:
    packed = io.BytesIO()
    if form == "empty folder of a zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"{name}/", b"")
            archive.writestr("a.csv", CLEAN)
        source = ("a.zip", packed.getvalue())
    elif form == "empty folder of a tar":
        with tarfile.open(fileobj=packed, mode="w") as tape:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            tape.addfile(info)
        source = ("a.tar", packed.getvalue())
    else:
        source = (name, CLEAN.encode())
    found = [item for item in find_identifiers(source) if item.category.startswith("file name")]
    assert bool(found) == NAMES[name]


@pytest.mark.parametrize("comment", [b"Zqxberg", b""])
def test_headers_of_later_gzip_members(comment: bytes) -> None:
    packed = gzip.compress(CLEAN.encode(), mtime=0)
    flags, kept = (0x10, comment + b"\0") if comment else (0, b"")
    later = packed[:3] + bytes([flags]) + packed[4:10] + kept + packed[10:]
    found = find_identifiers(("t.csv.gz", packed + later))
    assert any(item.where == "gzip header, comment" for item in found) == bool(comment)


def test_records_inside_a_parquet_column_are_walked() -> None:
    out = io.BytesIO()
    pd.DataFrame({"code": ["A"], "who": [{"name": "Zqxberg", "unit": "mg"}], "phone": ["1"]}).to_parquet(out)
    found = find_identifiers(("m.parquet", out.getvalue()))
    assert categories(found) == {"name", "contact"}
    out = io.BytesIO()
    pd.DataFrame({"code": ["A"], "what": [{"low": 1.0, "unit": "mg"}]}).to_parquet(out)
    assert find_identifiers(("m.parquet", out.getvalue())) == ()


PLAIN = ("7", "2020-01-03", "LOINC//2160-0", "1.25", "mg/dL")
PEOPLE = ("Kim Zqxblat", "Ada Zqxenmeister", "Jonas Zqxbukowski")


def with_column(name: str, values: Sequence[str], form: str) -> tuple[str, bytes]:
    """A plain table with one more column, in one of several forms."""
    header = ("subject_id", "time", "code", "value", "unit", name)
    rows = [dict(zip(header, (*PLAIN, value), strict=True)) for value in values]
    if form == "jsonl":
        return "t.jsonl", "\n".join(map(json.dumps, rows)).encode()
    if form == "parquet":
        out = io.BytesIO()
        pd.DataFrame(rows).to_parquet(out)
        return "t.parquet", out.getvalue()
    text = pd.DataFrame(rows).to_csv(index=False, sep=";" if form == "excel" else ",")
    return "t.csv", f"sep=;\n{text}".encode() if form == "excel" else text.encode()


def beside(found: tuple[Finding, ...]) -> set[str]:
    """Categories of what is found in other columns than those of the patient and the time."""
    usual = ("column subject_id", "column time", "field subject_id", "field time")
    return {item.category for item in found if item.where not in usual}


@pytest.mark.parametrize("form", ["csv", "excel", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["col7", "entered_by", "x", "Unnamed: 5", "Bearbeiter", "who", "text_value"])
def test_bare_names_are_found_in_whatever_column(name: str, form: str) -> None:
    found = find_identifiers(with_column(name, PEOPLE, form))
    assert "name" in beside(found)
    assert "qx" not in str(found)


@pytest.mark.parametrize(
    "value",
    [
        "Zqxblat Kim",
        "KIM ZQXBLAT",
        "kim zqxblat",
        "Kim A. Zqxblat",
        "Kim van der Zqxblat",
        "Anne-Marie O'Zqxblat",
        "José Zqxñez",
    ],
)
def test_a_name_with_a_usual_given_name_is_found_however_it_is_written(value: str) -> None:
    assert "name" in beside(find_identifiers(with_column("text_value", ["", value], "csv")))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("values", "category"), [(["Xiulan Zqxberg", "O. Zqxen"], "name"), (["A1234567", "B1234567"], "number")]
)
def test_a_column_whose_name_tells_nothing_is_judged_by_its_values(values: list[str], category: str, form: str) -> None:
    assert category in beside(find_identifiers(with_column("col7", values, form)))
    assert beside(find_identifiers(with_column("batch", values, form))) == set()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["col7", "text_value", "drug", "status"])
@pytest.mark.parametrize(
    "values",
    [
        ["Metoprolol Tartrate", "Insulin Glargine", "Heparin Sodium"],
        ["Pulmonary Embolism", "Atrial Fibrillation", "Parkinson Disease"],
        ["Escherichia Coli", "Candida Albicans", "Staphylococcus Aureus"],
        ["Not Detected", "Light Yellow", "Gram Positive Cocci"],
        ["Intensive Care", "Medical Ward", "Whole Blood"],
        ["umol/L", "10*3/uL", "2160-0"],
        ["H", "L", "5.4"],
    ],
)
def test_drugs_diagnoses_organisms_results_and_units_are_no_names(values: list[str], name: str, form: str) -> None:
    assert beside(find_identifiers(with_column(name, values, form))) == set()


@pytest.mark.parametrize("name", ["Alter", "age_in_years", "anchor_age", "edad"])
def test_ages_over_89_are_found_under_other_names(name: str) -> None:
    assert "age over 89" in beside(find_identifiers(with_column(name, ["92", "93"], "csv")))
    assert beside(find_identifiers(with_column(name, ["45", "46"], "csv"))) == set()


def test_no_diagnosis_or_measurement_is_taken_for_a_name() -> None:
    terms = {*icd10_descriptions().values(), *labels().values()}
    assert [term for term in terms if is_bare_name(term) or is_bare_name(term.title())] == []
