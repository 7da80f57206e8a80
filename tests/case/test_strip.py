"""What the search shows before "Strip and go on" is what is gone afterwards, of scan and record, and no more."""

from __future__ import annotations

import io
import json

import intake_support as files
import pandas as pd
import pytest
from sampling import sampled
from strip_support import bundle, looked_at, said, stripped, table

from core.case import Intake
from core.case.search import Found
from core.errors import UserFacingError
from core.intake.files.sources import Source
from core.intake.identifiers.where.events import doubts_of, search_timeline
from core.load import load_study
from core.privacy import find_identifiers
from core.records import Timeline

REFERRED = "Referred by Dr. Jane Doe, 555-010-1234"
IDENTIFYING = {
    "a name and a number": "Mr John Smith tel 555-010-1234", "a title": "Dr.Smith", "a signature": "Signed Doe, Jane",
    "capitals": "DOE, JANE", "a date": "12.05.1945", "a date in words": "since 12.05.1945",
    "an id": "MRN 4711234", "an address": "jane@doe.org",
    "an age": "woman aged 94", "a month in words": "12 May 1945", "a title in German": "Frau Müller",
    "a telephone": "call 030-1234567", "a sentence": "she walks with her daughter every day",
}  # fmt: skip


def shown(found: Found) -> set[str]:
    return {item.where for item in found.findings if item.where.startswith("record, ")}


ROWS = {
    "code": ('7,2020-01-03,"{}",1,mg/dL,,', "record, code of 1 event", "the code of 1 event"),
    "unit": ('7,2020-01-03,LAB//1,5,"{}",,', "record, unit of 1 event", "the unit of 1 event"),
    "text": ('7,2020-01-03,LAB//1,,,"{}",', "record, text of 1 event", "the free text of 1 event"),
    "description": ('7,2020-01-03,LAB//1,,,,"{}"', "record, description of 1 code", "the description of 1 code"),
}


READ = [(part, kind) for part in ROWS for kind in IDENTIFYING if (part, kind) != ("unit", "a date")]


@pytest.mark.parametrize(("part", "kind"), sampled(READ, list, one_in=4))
def test_what_is_shown_is_gone_and_counted(part: str, kind: str) -> None:
    row, where, note = ROWS[part]
    found, study, timeline = looked_at(table(row.format(IDENTIFYING[kind])))
    assert where in shown(found)
    _, after = stripped(found, study, timeline)
    assert IDENTIFYING[kind] not in said(after)
    assert any(note in line for line in after.notes)
    assert len(after.events) == len(timeline.events)
    assert "LOINC//2160-0" in set(after.events["code"])
    assert looked_again(found, after) == set(), "a second search finds nothing to strip"


def test_a_date_alone_in_place_of_a_unit_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserFacingError, match="date in place of the unit") as told:
        looked_at(table(ROWS["unit"][0].format(IDENTIFYING["a date"])))
    assert "1945" not in str(told.value)


def looked_again(found: Found, after: Timeline) -> set[str]:
    return {item.where for item in search_timeline(after, doubts_of(after, found.words, found.columns))}


EVERYDAY = [
    "LOINC//2160-0", "ICD10CM//I26.99", "FHIR//Acute pulmonary embolism", "SNOMED//233604007", "RxNorm//197361",
    "FHIR//Malignant neoplasm of upper lobe of right lung", "NDC//00071015523", "NDC//00071-0155-23", "CPT//71275",
    "DRG//APR//468//OTHER KIDNEY & URINARY TRACT DIAGNOSES, SIGNS & SYMPTOMS", "LAB//50912//mg/dL", "BNP",
    "MEDICATION//START//Potassium Chloride Replacement (Critical Care and Oncology)", "LAB//SODIUM, URINE",
    "FHIR//Torus fracture of lower end of left fibula", "http://loinc.org|2160-0", "http://snomed.info/sct|59282003", "http://www.nlm.nih.gov/research/umls/rxnorm|197361",
    "FHIR//Encounter for general adult medical examination without abnormal findings", "CALCIUM, IONIZED",
    "TRANSFER_TO//admit//Med/Surg/Trauma", "ATC//B01AF02",
]  # fmt: skip


@pytest.mark.parametrize("code", EVERYDAY)
def test_everyday_codes_stay(code: str) -> None:
    found, study, timeline = looked_at(table(f'7,2020-01-03,"{code}",5.1,10*3/uL,negative,'))
    assert shown(found) == set()
    assert stripped(found, study, timeline)[1] is timeline


@pytest.mark.parametrize(
    "words",
    ["Creatinine [Mass/volume] in Serum or Plasma", "Pulmonary embolism without acute cor pulmonale", "Never smoker",
     "Have you spent more than 2 nights in a row in a jail, prison, detention center", "HIV RAPID TEST, QUALITATIVE",
     "Erythrocyte distribution width [Entitic volume] by Automated count", "120/80", "positive"],
)  # fmt: skip
def test_everyday_descriptions_and_results_stay(words: str) -> None:
    found, study, timeline = looked_at(table(f'7,2020-01-03,LOINC//2160-0,,,,"{words}"'))
    assert {item.category for item in found.findings} == {"identifier", "date"}
    assert stripped(found, study, timeline)[1] is timeline
    if len(words.split()) < 6:
        found, study, timeline = looked_at(table(f'7,2020-01-03,LOINC//2160-0,,,"{words}",'))
        assert stripped(found, study, timeline)[1] is timeline


def test_words_in_place_of_a_code_are_searched_shown_and_replaced() -> None:
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "59282003", "display": "Pulmonary embolism"}]}
    found, study, timeline = looked_at(bundle({"text": REFERRED}, coded, {"text": "Acute pulmonary embolism"}))
    assert {"name", "contact"} <= {item.category for item in found.findings if item.where.startswith("record, code")}
    _, after = stripped(found, study, timeline)
    assert "Doe" not in said(after)
    assert "1234" not in said(after)
    assert set(after.events["code"]) == {"REMOVED//1", "SNOMED//59282003", "FHIR//Acute pulmonary embolism"}
    assert after.code_descriptions["SNOMED//59282003"] == "Pulmonary embolism"


def test_two_replaced_codes_are_never_mixed_and_keep_their_kind() -> None:
    found, study, timeline = looked_at(
        table("7,2020-01-03,LAB//Dr Smith panel A,1,,,", "7,2020-01-04,ICD10CM//Dr Smith panel B,2,,,")
    )
    _, after = stripped(found, study, timeline)
    assert {"REMOVED//1", "REMOVED//2"} <= set(after.events["code"])
    assert {after.code_kinds["REMOVED//1"], after.code_kinds["REMOVED//2"]} == {"labs", "diagnoses"}


def test_a_removed_unit_is_still_no_unit_that_a_model_knows() -> None:
    """An empty unit counts as the usual one, so a number whose unit was taken out would be read as a measurement."""
    found, study, timeline = looked_at(table("7,2020-01-03,LOINC//2160-0,97,Dr Smith,,"))
    _, after = stripped(found, study, timeline)
    assert after.events["unit"].tolist() == ["mg/dL", "removed"]


def named_scan(description: str = "Thorax 2.0 B40f") -> Source:
    return files.series(edit=files.patient("QUARTZSON^JANE", "Q4711234", SeriesDescription=description))


@pytest.mark.parametrize("as_one", [False, True], ids=["record and scan apart", "record before scan in one source"])
def test_the_name_on_the_scan_is_looked_for_in_the_record(as_one: bool) -> None:
    record = table("7,2020-01-03,LAB//1,,,discussed with Quartzson,", "7,2020-01-04,LAB//Quartzson panel,1,,,")
    scan = named_scan()
    if as_one:
        everywhere = find_identifiers([record, *scan], pixels=False)  # type: ignore[list-item, misc]
        assert ("name", 'column 6, "text_value"') in {(item.category, item.where) for item in everywhere}
    found, study, timeline = looked_at(record, scan)
    assert {"record, text of 1 event", "record, code of 1 event"} <= shown(found)
    assert ("name", 'column 6, "text_value"') in {(item.category, item.where) for item in found.findings}
    assert "quartzson" not in said(stripped(found, study, timeline)[1]).casefold()
    assert "quartzson" not in repr(found).casefold()


def test_a_short_patient_number_is_not_taken_for_a_code_or_a_value() -> None:
    scan = files.series(edit=files.patient("QUARTZSON^JANE", "2160"))
    record = table("7,2020-01-03,HR,2160,/min,,", "7,2020-01-04,CPT//2160,,,,", "7,2020-01-05,LAB//1,,,seen as 2160,")
    found, study, timeline = looked_at(record, scan)
    assert shown(found) == {"record, text of 1 event"}
    _, after = stripped(found, study, timeline)
    assert after.events["code"].tolist() == timeline.events["code"].tolist()
    assert after.events["text_value"].isna().all()


def test_the_description_of_the_scan_keeps_no_date_and_no_name() -> None:
    dated = load_study(named_scan("Chest 12.05.45"))
    assert "12" not in dated.description
    found, study, timeline = looked_at(table(), files.series(edit=files.patient("CHEST^JANE", "Q1",
                                       SeriesDescription="Chest routine")))  # fmt: skip
    cleaned, _ = stripped(found, study, timeline)
    assert study is not None
    assert cleaned is not None
    assert "Chest" in study.description
    assert "Chest" not in cleaned.description
    assert any("1 word" in note for note in cleaned.notes)


def test_a_mapped_column_that_is_called_a_note_is_shown_and_gone() -> None:
    record = "odd.csv", b"wann;was;note\n2020-03-01;I50.9;walks well\n2020-03-02;I50.9;\n"
    found, study, timeline = looked_at(record, columns={"time": "wann", "code": "was", "text_value": "note"})
    assert {"column note", "record, text of 1 event"} <= {item.where for item in found.findings}
    assert "walks well" not in said(stripped(found, study, timeline)[1])


def test_a_mapped_column_that_is_called_a_name_holds_codes_where_the_reader_says_so() -> None:
    record = "lab.csv", b"wann;name;wert\n2020-03-01;Creatinine;1.1\n2020-03-02;Dr Smith;2\n"
    found, study, timeline = looked_at(record, columns={"time": "wann", "code": "name", "value": "wert"})
    assert "record, code of 1 event" in shown(found)
    assert stripped(found, study, timeline)[1].events["code"].tolist() == ["Creatinine", "REMOVED//1"]


def test_parquet_is_judged_like_text() -> None:
    events = pd.DataFrame({"subject_id": [1, 1], "time": pd.to_datetime(["2020-01-01", "2020-01-02"]),
                           "code": ["LOINC//2160-0", REFERRED], "unit": ["mg/dL", "Dr Smith"]})  # fmt: skip
    out = io.BytesIO()
    events.to_parquet(out)
    found, study, timeline = looked_at(("m.parquet", out.getvalue()))
    _, after = stripped(found, study, timeline)
    assert after.events["code"].tolist() == ["LOINC//2160-0", "REMOVED//1"]
    assert after.events["unit"].tolist() == ["mg/dL", "removed"]


@pytest.mark.parametrize("kind", ["FHIR", "CSV", "JSON lines", "many patients"])
def test_the_name_that_a_record_gives_its_patient_is_looked_for_in_its_texts(kind: str) -> None:
    if kind == "FHIR":
        person = {"resourceType": "Patient", "id": "1", "name": [{"family": "Quartzson", "given": ["Jane"]}]}
        events = bundle({"text": "Quartzson fell"}, {"text": "Acute pulmonary embolism"})
        record: Source = [events, ("p.json", json.dumps(person).encode())]
    elif kind == "JSON lines":
        rows = [{"time": "2020-01-02", "code": "Quartzson fell", "lastName": "Quartzson"},
                {"time": "2020-01-03", "code": "Acute pulmonary embolism", "lastName": "Quartzson"}]  # fmt: skip
        record = "b.jsonl", "\n".join(map(json.dumps, rows)).encode()
    else:
        others = "".join(f"2,2020-01-02,A,Other{number}\n" for number in range(30 * (kind == "many patients")))
        head = "subject_id,time,code,last_name\n1,2020-01-02,Quartzson fell,Quartzson\n"
        rest = "".join(f"1,2020-01-0{day},Acute pulmonary embolism,Quartzson\n" for day in range(3, 10))
        record = "b.csv", (head + rest * 5 + others).encode()
    found, study, timeline = looked_at(record)
    codes = set(stripped(found, study, timeline)[1].events["code"])
    assert any("Acute pulmonary embolism" in code for code in codes)
    assert any("Quartzson" in code for code in codes) == (kind == "many patients")
    assert ("record, code of 1 event" in shown(found)) == (kind != "many patients")


def test_a_name_that_is_a_word_of_terms_takes_no_code_away() -> None:
    scan = files.series(edit=files.patient("WHITE^JOHN", "Q4711234"))
    record = table("7,,RACE//WHITE,,,,", "7,2020-01-05,LAB//1,,,White cells,", "7,2020-01-05,FHIR//White came,,,,")
    found, study, timeline = looked_at(record, scan)
    assert shown(found) == {"record, text of 1 event", "record, code of 1 event"}
    assert "RACE//WHITE" in set(stripped(found, study, timeline)[1].events["code"])


def test_what_is_left_of_a_record_shows_the_search_its_number_and_its_times_only() -> None:
    rows = [ROWS[part][0].format(IDENTIFYING[kind]) for part, kind in READ]
    found, study, timeline = looked_at(table(*rows))
    _, after = stripped(found, study, timeline)
    described = after.events.assign(description=after.events["code"].map(after.code_descriptions))
    again = find_identifiers(("again.csv", described.to_csv(index=False).encode()))
    assert {(item.category, item.where) for item in again} == {
        ("identifier", "column subject_id"), ("date", "column time")
    }  # fmt: skip


def test_the_desk_opens_what_is_left() -> None:
    """From the files to the case: the name on the scan, the words in place of a code, the mapped columns."""
    record = "odd.csv", b"wann;was;note\n2020-03-01;Acute pulmonary embolism;walks well\n2020-03-02;Quartzson fell;\n"
    read = Intake(scan=named_scan(), record=record, columns={"time": "wann", "code": "was", "text_value": "note"})
    while read.advance():
        assert all(job.wait(60) for job in read.running)
    assert read.findings
    assert not read.released
    before, _ = read.open_parts()[::-1]
    assert before is not None
    assert "Quartzson fell" in set(before.events["code"])
    read.decided = True
    while read.advance():
        assert all(job.wait(60) for job in read.running)
    study, after = read.open_parts()
    assert study is not None
    assert after is not None
    assert after.events["code"].tolist() == ["Acute pulmonary embolism", "REMOVED//1"]
    assert "walks well" not in said(after)
    assert sum("1 event" in note and "identifying" in note for note in after.notes) == 2
    assert read.changes == after.notes[-2:], "the CT is left as it was"
