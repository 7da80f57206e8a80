"""Words that a source gives a code: whose they are, what goes, and what the timeline, its table and the figure show."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import product

import pandas as pd
import pytest
from review_support import RISKY_CODE, bundle
from sampling import sampled
from strip_support import bundle as fhir
from strip_support import looked_at

from core.case.search import Found
from core.case.strip import strip
from core.events.descriptions import describe
from core.export import figure_bytes, figure_inputs
from core.intake.files.sources import Source
from core.intake.identifiers.where.events import doubts_of
from core.records import Timeline
from core.review import review_case
from core.timeline import load_timeline
from core.view.lanes import event_rows
from core.view.timeline import timeline_figure

CODE = "C34.9"


def in_csv(words: str) -> Source:
    head = "subject_id,time,code,numeric_value,unit,description\n"
    return "e.csv", f'{head}7,2020-01-02,{RISKY_CODE},,,"{words}"\n7,2020-01-03,LOINC//2160-0,1.1,mg/dL,\n'.encode()


def in_fhir(words: str) -> Source:
    return fhir({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": CODE, "display": words}]})


def in_meds(words: str) -> Source:
    events = pd.DataFrame({"subject_id": [7], "time": pd.to_datetime(["2020-01-02"]), "code": [RISKY_CODE]})
    codes = pd.DataFrame({"code": [RISKY_CODE], "description": [words]})
    return [("data/0.parquet", as_parquet(events)), ("metadata/codes.parquet", as_parquet(codes))]


def in_omop(words: str) -> Source:
    tables = {
        "person": "person_id,gender_concept_id,year_of_birth\n1,8532,1958\n",
        "condition_occurrence": "condition_occurrence_id,person_id,condition_concept_id,condition_start_date\n"
                                "1,1,900,2020-01-02\n",
        "concept": f'concept_id,concept_name,vocabulary_id,concept_code\n900,"{words}",ICD10CM,{CODE}\n',
    }  # fmt: skip
    return [(f"{name}.csv", text.encode()) for name, text in tables.items()]


def as_parquet(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out)
    return out.getvalue()


Route = Callable[[str], Source]
OWN = {"csv": in_csv, "fhir": in_fhir}
SHARED = {"meds": in_meds, "omop": in_omop}
ROUTES = {**OWN, **SHARED}


def shown(timeline: Timeline) -> dict[str, str]:
    """What the timeline, the table of its events and an exported figure say."""
    rows = event_rows(timeline, None)
    review = review_case(None, timeline, bundle("ehr_only"), horizon_days=90)  # type: ignore[arg-type]
    svg = figure_bytes(figure_inputs(None, timeline, review, bundle("ehr_only")), "svg")  # type: ignore[arg-type]
    drawn = timeline_figure(event_rows(timeline, review), span_days=900.0).to_json()
    assert drawn is not None
    return {"timeline": drawn, "table": rows.to_csv(), "figure": svg.decode()}


def cleaned(source: Source, *, keeps_unknown: bool = False) -> tuple[Found, Timeline, Timeline]:
    found, _, timeline = looked_at(source)
    after = strip(None, timeline, (), found.words, found.columns, keeps_unknown=keeps_unknown)[1]
    assert after is not None
    return found, timeline, after


@pytest.mark.parametrize("route", ROUTES)
def test_a_name_among_the_words_of_a_code_is_shown_nowhere(route: str) -> None:
    _, before, after = cleaned(ROUTES[route]("Nodule Mendoza, Lydia"))
    assert all("Mendoza" in words for words in shown(before).values())
    assert not any("Mendoza" in words for words in shown(after).values())
    assert not any("Lydia" in words for words in shown(after).values())


@pytest.mark.parametrize("route", ROUTES)
def test_words_of_a_code_that_name_nobody_are_shown_everywhere(route: str) -> None:
    _, before, after = cleaned(ROUTES[route]("Nodule of the upper lobe"))
    assert after is before
    assert all("Nodule of the" in words for words in shown(after).values())


NAMED = ("Mendoza", "Patel, Rajesh", "Urea Yamamoto", "Ferguson J.", "Oakdale Clinic", "Krankenhaus Moabit", "Lydia",
         "ask Schneider", "Quillfeather, Zorba", "Urea (Simmons)")  # fmt: skip
NAMED_FINDINGS = {"name", "institution"}


@pytest.mark.parametrize(("route", "words"), sampled(product(ROUTES, NAMED), list))
def test_who_or_what_house_is_named_goes_whatever_the_reader_keeps(route: str, words: str) -> None:
    found, _, after = cleaned(ROUTES[route](words), keeps_unknown=True)
    told = {item.category for item in found.findings if item.where == "record, description of 1 code"}
    assert told & NAMED_FINDINGS
    assert describe(RISKY_CODE, after.code_descriptions) == describe(RISKY_CODE), "our own words stand in their place"


EVERYDAY = (
    "Wilson's disease", "Stevens-Johnson syndrome", "Sodium, Urine", "Heparin, Porcine", "Outpatient Clinic", "White",
    "Turner syndrome", "Heart rate --resting", "General Hospital", "Hemoglobin A1c/Hemoglobin.total in Blood",
    "Smith fracture", "Baker's cyst", "Injection of Insulin glargine", "Martin-Bell syndrome",
)  # fmt: skip


@pytest.mark.parametrize("words", EVERYDAY)
@pytest.mark.parametrize("route", SHARED)
def test_words_of_vocabularies_stay(route: str, words: str) -> None:
    _, before, after = cleaned(SHARED[route](words))
    assert after is before
    assert before.described_by_rows == frozenset()


@pytest.mark.parametrize("words", ["Zorblat", "Nodule Quillfeather", "王小明"])
def test_unknown_words_go_where_the_rows_of_the_patient_say_them_and_not_where_many_share_them(words: str) -> None:
    for route in OWN.values():
        _, before, after = cleaned(route(words))
        assert before.described_by_rows == {RISKY_CODE}
        assert RISKY_CODE not in after.code_descriptions
        assert not after.described_by_rows
        assert any("no vocabulary knows all its words: the description of 1 code" in note for note in after.notes)
        _, before, kept = cleaned(route(words), keeps_unknown=True)
        assert kept.code_descriptions == before.code_descriptions
    for route in SHARED.values():
        _, before, after = cleaned(route(words))
        assert after is before


def test_what_we_call_a_code_ourselves_is_known_whoever_says_it() -> None:
    own = describe(RISKY_CODE)
    _, before, after = cleaned(in_csv(own.upper()))
    assert after is before
    assert before.described_by_rows == {RISKY_CODE}


@pytest.mark.parametrize("text", ["8305127", "K8305127", "Zorblat visited", "Mendoza"])
def test_words_in_place_of_a_code_go_where_they_are_told(text: str) -> None:
    found, _, after = cleaned(fhir({"text": text}, {"text": "Acute bronchitis"}))
    assert any(item.where.startswith("record, code") for item in found.findings)
    assert set(after.events["code"]) == {"REMOVED//1", "FHIR//Acute bronchitis"}
    assert text not in json.dumps([*after.code_descriptions.items(), *after.described_by_rows])


def test_a_number_that_a_system_gives_a_thing_stays() -> None:
    coded = {"coding": [{"system": "http://fhir.de/CodeSystem/ifa/pzn", "code": "08305127", "display": "Heparin"}]}
    _, before, after = cleaned(fhir(coded))
    assert after is before
    assert set(after.events["code"]) == {"FHIR//08305127"}


@pytest.mark.parametrize(
    ("text", "is_known"), [("10*3/uL", True), ("mm[Hg]", True), ("Kat", False), ("Zorblat", False)]
)
def test_a_unit_in_a_text_is_known_by_more_than_its_letters(text: str, is_known: bool) -> None:
    record = f"subject_id,time,code,text_value\n7,2020-01-03,LAB//1,{text}\n"
    doubts = doubts_of(load_timeline(("a.csv", record.encode())))
    assert (text in doubts.fields["text_value"]) != is_known
