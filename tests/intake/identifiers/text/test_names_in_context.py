"""Everyday names beside roles, places, dates and cases in texts, codes that say whose they are, and what stays."""

from __future__ import annotations

import base64
import json

import pytest
from strip_support import looked_at, said, stripped, table

from core.events.standard_codes import standard_code
from core.intake.identifiers.text.codes import categories_of_code
from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.unknown_words import are_known_words
from core.privacy import find_identifiers

NAMED = {
    "reviewed by Lake": "name", "ordered by Joy": "name", "placed by Potter": "name", "d/w Knight": "name",
    "GP: Carter": "name", "surgeon Moss": "name", "signed: fox": "name", "gez. Hunter": "name", "Potter T.": "name",
    "King R. seen again": "name", "Hunter informed": "name", "Ivy phoned": "name", "walked with Hazel": "name",
    "better today (Glen)": "name", "gez. Prof. Dr. med. Xaver Huber": "name", "Sig. Bianchi": "name",
    "Pani Zielińska": "name", "Elif Hanım": "name", "d/o Suresh": "name", "Next of kin: Hazel": "name",
    "Transcribed by: QF/rt": "name", "figlia Chiara": "name", "asthma - Mendoza": "name",
    "cough (Ferguson, Ada)": "name",
    "lives in Hull": "institution", "moved from Cork": "institution", "works at Acme": "institution",
    "Oakdale Clinic": "institution", "Faith Hospital": "institution", "Klinikum Passau": "institution",
    "CHU Purpan": "institution", "Hospital Quironsalud": "institution", "Park Street": "institution",
    "echo on 4/17": "date", "on 28/2": "date", "07/2018": "date", "stent in 9/2016": "date", "07.FEB.18": "date",
    "case 381": "identifier", "lot QX4471": "identifier",
}  # fmt: skip


@pytest.mark.parametrize("text", NAMED)
def test_names_places_days_and_cases_are_found_in_texts(text: str) -> None:
    assert NAMED[text] in in_free_text(text)


EVERYDAY = (
    "Factor V Leiden", "Philadelphia chromosome", "Bence Jones protein",
    "reviewed by Cardiology", "ordered by protocol", "given by mouth", "seen by Physio", "d/w Family", "GP: none",
    "surgeon on call", "signed: electronically", "Vitamin K.", "Stanford B.", "Child C.", "Wife informed",
    "Family called", "Patient informed", "Team informed", "since May", "S/o sepsis", "w/o Fever",
    "Contact precautions", "Contact Dermatitis", "MD Aware", "GP Letter", "Attending Note",
    "lives in Nursing home", "moved from Bed to chair", "moved from ICU", "Pain Clinic", "Heart Failure Clinic",
    "Outpatient Clinic", "General Hospital", "Hospital Course", "Day Hospital", "street drugs", "on 1/2 NS",
    "on 3/4 strength", "1/2000", "case 3", "case 120 kg", "a lot 1000", "Murphy's sign", "Wilson disease",
    "Baker's cyst", "dilution 1/100", "Cheyne-Stokes breathing", "Virchow triad", "afebrile, HR 68, BP 118/76",
    "SpO2 97% on RA", "FiO2 0.4", "EF 40%", "PVCs", "D-dimer 900 ng/mL FEU", "K+ 4.1", "tachypneic", "DOAC",
    "Lungenembolie rechts", "akute Lungenembolie ausgeschlossen", "épanchement pleural gauche", "embolie pulmonaire",
    "embolia pulmonar", "versamento pleurico destro", "geen longembolie", "African American",
)  # fmt: skip


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_texts_most_like_them_stay(text: str) -> None:
    assert in_free_text(text) == set()
    assert are_known_words(text)


CODES = {
    "DIAG//Mendoza": "name", "LAB//simmons": "name", "PROVIDER//QZ31": "name", "DR//ANYBODY": "name",
    "FACILITY//Oakdale": "institution", "SITE//Passau": "institution", "HOSPITAL//Quironsalud": "institution",
    "PATIENT//12": "identifier", "ACCESSION//77": "identifier", "ORDER//88213": "identifier",
    "ENC//0081324": "identifier", "RELIGION//QUAKER": "free text", "LANGUAGE//Quechua": "free text",
    "OCCUPATION//Beekeeper": "free text", "X//8305127": "identifier", "08305127": "identifier",
    "CONDITION//08305127": "identifier", "CONDITION//K8305127": "identifier", "ICD10CM//ZORBLAT": "identifier",
    "RxNorm//QUELLWITZ": "identifier", "SNOMED//Quellwitz": "identifier", "PHYS//OKONKWO": "name",
    "SIGNED//K. OBERMOSER": "name", "NPI//1234567893": "identifier", "pacemaker PJN739201H": "identifier",
    "DEVICE//SN62837465": "identifier",
    "ICD10CM//J45.9.8305127": "identifier", "ICD9CM//Zorblat": "identifier", "LOINC//8305127-4": "identifier",
}  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_codes_that_say_whose_they_are_go(code: str) -> None:
    assert CODES[code] in categories_of_code(code)
    found, study, timeline = looked_at(table(f"7,2020-01-03,{code},1,,,"))
    assert any(item.where == "record, code of 1 event" for item in found.findings)
    assert code not in said(stripped(found, study, timeline)[1])


PLAIN = (
    "ICD10CM//J45.909", "ICD10CM//S72.001A", "ICD10CM//A00-B99", "ICD9CM//E812.0", "ICD9CM//V45.81", "LOINC//104242-3",
    "LOINC//LP14449-0", "LOINC//5089AAAAAAAA",
    "SNOMED//233604007", "SNOMED//112141AAAAAAAA", "DEVICE//4051234", "DEVICE//CPAP", "CVX//140",
    "59282003", "RxNorm//1049221", "NDC//00071015", "CONDITION//40481087",
    "DRUG//04711283", "FHIR//08305127", "LAB//51149//min", "SITE//LEFT ARM", "ENCOUNTER//INPATIENT",
    "ORDER//CT chest", "HOSPITAL_ADMISSION//URGENT", "TRANSFER_TO//admit//Cardiology", "LAB//220277", "ICD10CM//UNK",
    "DRG//HCFA//23//CRANIO W MAJOR DEV IMPL", "NURSE_VISIT", "PROCEDURE//Swan-Ganz catheter",
)  # fmt: skip


@pytest.mark.parametrize("code", PLAIN)
def test_codes_of_vocabularies_and_their_like_stay(code: str) -> None:
    assert categories_of_code(code) == set()
    assert categories_of_code(standard_code(code)) == set()


def test_a_report_inside_fhir_and_the_title_of_a_note_of_omop_are_told() -> None:
    def report(text: str) -> set[str]:
        form = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
        resource = {"resourceType": "DiagnosticReport", "presentedForm": [form]}
        found = find_identifiers(("r.json", json.dumps(resource).encode()))
        return {item.category for item in found if "presented_form" in item.where}

    assert report("Told Frau Mendoza") == {"free text", "name"}
    assert report("no effusion") == {"free text"}
    titled = find_identifiers(("note.csv", b"note_id,note_title\n1,Letter Mendoza\n2,Letter\n"))
    assert {item.category for item in titled if "note_title" in item.where} == {"free text", "name"}
