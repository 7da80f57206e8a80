"""Codes and units under their standard spelling, kinds by table of origin, and what a record then says to a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from review_support import bundle
from tables_support import OMOP, PATIENT, csv_text, omop

from core.bundle import load_bundle, shipped_bundles
from core.events.descriptions import describe
from core.events.kinds import kind_in_table, kind_of
from core.events.standard_codes import standard_code, standard_unit
from core.records import Timeline
from core.review import review_case
from core.timeline import list_subjects, load_timeline
from core.view.lanes import event_rows
from core.view.timeline import trends_figure

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "ehr"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the real test files in ../shared/data are not here")

SPELLINGS = {
    "DIAGNOSIS//ICD//10//I2699": "ICD10CM//I26.99",
    "DIAGNOSIS//ICD//10//I10": "ICD10CM//I10",
    "DIAGNOSIS//ICD//10//S52501A": "ICD10CM//S52.501A",
    "DIAGNOSIS//ICD//9//4019": "ICD9CM//401.9",
    "DIAGNOSIS//ICD//9//V1582": "ICD9CM//V15.82",
    "DIAGNOSIS//ICD//9//E8120": "ICD9CM//E812.0",
    "DIAGNOSIS//ICD//10//4019": "DIAGNOSIS//ICD//10//4019",
    "DIAGNOSIS//ICD//11//I2699": "DIAGNOSIS//ICD//11//I2699",
    "ICD10CM//I2699": "ICD10CM//I26.99",
    "ICD10CM//I26.99": "ICD10CM//I26.99",
    "LAB//50912//mg/dL": "LOINC//2160-0",
    "LAB//220045//bpm": "LOINC//8867-4",
    "LAB//999999//mg/dL": "LAB//999999//mg/dL",
    "MEDICATION//Heparin//Administered": "MEDICATION//Heparin//Administered",
    "HOSPITAL_ADMISSION//EW EMER.//EMERGENCY ROOM": "VISIT//INPATIENT",
    "HOSPITAL_ADMISSION//EU OBSERVATION//X": "HOSPITAL_ADMISSION//EU OBSERVATION//X",
    "Gender//female": "GENDER//F",
    "LOINC//2160-0": "LOINC//2160-0",
}


@pytest.mark.parametrize("code", SPELLINGS)
def test_standard_spelling(code: str) -> None:
    assert standard_code(code) == SPELLINGS[code]
    assert standard_code(standard_code(code)) == standard_code(code)


def test_units_are_equal_only_where_they_are_the_same_by_definition() -> None:
    assert standard_unit("K/uL") == standard_unit("10*3/uL")
    assert standard_unit("mmHg") == standard_unit("mm[Hg]")
    assert standard_unit("mEq/L", "LOINC//2951-2") == standard_unit("mmol/L", "LOINC//2951-2")
    assert standard_unit("mEq/L", "LOINC//2000-8") != standard_unit("mmol/L", "LOINC//2000-8")
    assert standard_unit("°F") != standard_unit("Cel")
    assert standard_unit("mg/dL") != standard_unit("mg/L")


@pytest.mark.parametrize(
    ("code", "table", "kind"),
    [
        ("SNOMED//430193006", "procedure_occurrence", "procedures"),
        ("SNOMED//430193006", "Procedure", "procedures"),
        ("CPT//71275", "procedure_occurrence", "imaging"),
        ("SNOMED//44054006", "condition_occurrence", "diagnoses"),
        ("SNOMED//160903007", "observation", "other"),
        ("LOINC//67875-5", "observation", "other"),
        ("LOINC//72166-2", "Observation/social-history", "demographics"),
        ("LOINC//8867-4", "measurement", "vitals"),
        ("LOINC//2160-0", "measurement", "labs"),
        ("SNOMED//371883000", "measurement", "labs"),
        ("SNOMED//44054006", "", "diagnoses"),
    ],
)
def test_kinds_by_table_of_origin(code: str, table: str, kind: str) -> None:
    assert kind_in_table(code, table) == kind


def test_omop_procedures_stand_in_the_procedures_lane() -> None:
    procedures = f"person_id,procedure_concept_id,procedure_datetime\n{PATIENT},77,2020-02-02 10:00:00\n"
    concepts = OMOP["CONCEPT_csv"] + "77,Medication reconciliation,SNOMED,430193006\n"
    source = ("omop.zip", omop(PROCEDURE_OCCURRENCE_csv=procedures, CONCEPT_csv=concepts))
    timeline = load_timeline(source, prediction_time="2020-06-01")
    rows = event_rows(timeline, None).set_index("code")
    assert rows.loc["SNOMED//430193006", "lane"] == "procedures"
    assert rows.loc["SNOMED//430193006", "words"] == "Medication reconciliation"
    assert rows.loc["ICD10CM//I26.99", "lane"] == "diagnoses"
    assert kind_of("SNOMED//430193006") == "diagnoses"


def test_a_concept_table_beside_a_csv_describes_its_codes() -> None:
    concepts = b'concept_id\tconcept_name\tvocabulary_id\tconcept_code\n1\t5" tube, PE\tICD10CM\tI26.99\n'
    timeline = load_timeline([("events.csv", csv_text().encode()), ("CONCEPT.csv", concepts)])
    assert timeline.code_descriptions["ICD10CM//I26.99"] == '5" tube, PE'


def test_trends_never_join_two_units() -> None:
    table = "time,code,value,unit\n" + "".join(
        f"2020-01-0{day},LOINC//2160-0,{value},{unit}\n"
        for day, value, unit in ((1, 1.1, "mg/dL"), (2, 97, "umol/L"), (3, 1.3, "mg/dL"), (4, 1.2, "mg/dL"))
    )
    rows = event_rows(load_timeline(("events.csv", table.encode())), None)
    figure = trends_figure(rows, ["LOINC//2160-0"], span_days=30.0)
    assert tuple(figure.data[-1].y) == pytest.approx((1.1, 1.3, 1.2)), "the usual range stands behind it"
    title = str(figure.layout.annotations[0].text)
    assert "mg/dL" in title
    assert "1 in another unit left out" in title


def test_a_record_without_a_known_code_is_said_in_words() -> None:
    small = bundle()
    events = pd.DataFrame(
        {
            "subject_id": np.int64(1),
            "time": pd.to_datetime(["2020-01-01"]).astype("datetime64[us]"),
            "code": ["NOBODY//KNOWS"],
            "numeric_value": np.array([np.nan], np.float32),
            "text_value": [None],
            "unit": [None],
        }
    )
    strange = Timeline(events, 1, pd.Timestamp("2020-02-01"))
    review = review_case(None, strange, replace(small, encoders={"ehr": small.encoders["ehr"]}), explain=None)
    assert {"no_known_code"} <= {notice.key for notice in review.notices}
    assert "missing_timeline" not in {notice.key for notice in review.notices}
    assert review.event_attribution is None


@needs_data
def test_a_real_record_gives_event_attributions() -> None:
    source = SHARED / "mimic_iv_demo_meds_events.parquet"
    subject = int(list_subjects(source)["subject_id"].iloc[50])
    timeline = load_timeline(source, subject_id=subject)
    assert any("standard spelling" in note for note in timeline.notes)
    assert timeline.events["code"].str.startswith("DIAGNOSIS//ICD//").any()
    review = review_case(None, timeline, load_bundle(shipped_bundles()["pe_mortality/ehr_only"]), explain=None)
    assert review.event_attribution is not None
    shown = event_rows(timeline, review)
    assert (shown["attribution"].fillna(0) != 0).sum() > 20
    assert {"labs", "vitals"} <= set(shown.loc[shown["attribution"].notna(), "lane"])


@needs_data
def test_the_real_omop_sample_has_its_procedures() -> None:
    timeline = load_timeline(SHARED / "Synthea27Nj_5.4.zip", subject_id=7)
    lanes = event_rows(timeline, None)["lane"].value_counts()
    assert lanes["procedures"] > 50
    assert 5 < lanes["diagnoses"] < 60


@pytest.mark.parametrize(
    ("code", "named"),
    [("33762-6", "LOINC//33762-6"), ("33762-5", "33762-5"), ("S72.001A", "ICD10CM//S72.001A"), ("I26.999", "I26.999"),
     ("Q1.5", "Q1.5"), ("X//718-7", "X//718-7"), ("2020-1", "2020-1")],
)  # fmt: skip
def test_a_bare_code_that_can_be_of_one_vocabulary_only_is_read_as_that(code: str, named: str) -> None:
    assert standard_code(code) == named
    assert (describe(code) == describe(named)) or named == code


def test_bare_codes_are_read_by_models_and_shown_as_recorded() -> None:
    rows = "subject_id,time,code,value,unit\n7,2020-01-01,718-7,13,g/dL\n7,2020-01-02,I26.99,,\n"
    timeline = load_timeline(("a.csv", rows.encode()))
    assert timeline.events["code"].tolist() == ["718-7", "I26.99"]
    assert any("standard spelling of their code" in note and "2 events" in note for note in timeline.notes)
