"""Forms of identifiers that an outsider's corpus brought past the search, and everyday texts most like them."""

from __future__ import annotations

import pytest

from core.intake.identifiers.text.free_text import in_free_text

FOUND = {
    "Hr. Müller stellte sich vor": "name",
    "Sig.ra Rossi": "name",
    "patient name: o'brien, sean": "name",
    "attending Okonkwo": "name",
    "Ordering MD: Patel": "name",
    "Vater: Heinz Kowalski": "name",
    "told by dr ng": "name",
    "Ｍｒ Ｓｍｉｔｈ": "name",
    "M\u200br Smi\u200bth": "name",
    "anna_b＠example.org": "contact",
    "pager 5521": "contact",
    "beeper 4471": "contact",
    "please call 4471": "contact",
    "MRN p-88-34": "identifier",
    "patient_id: p-88-34": "identifier",
    "MRN: AB-12": "identifier",
    "ID: 12-34-5": "identifier",
    "last 4: 6789": "identifier",
    "year of birth 1921": "date",
    "Geburtsjahr: 1921": "date",
    "ext. 4411": "contact",
    "P.O. Box 1234": "contact",
    "ZIP 02139": "contact",
    "2001:db8::ff00:42:8329": "contact",
    "MAC 00:1B:44:11:3A:B7": "contact",
    "\\\\server\\share\\gonzalez_m\\ct.dcm": "contact",
    "/home/mgonzalez/scan": "contact",
    "C:\\Users\\mgonzalez\\scan.csv": "contact",
    "CPF 123.456.789-09": "identifier",
    "passport C01X00T47": "identifier",
    "pacemaker SN 8837-22-1A": "identifier",
    "med rec # 48-29-13": "identifier",
    "生年月日 1952年3月14日": "date",
    "昭和27年3月14日": "date",
    "14MAR1952": "date",
    "b. 1952/3/14": "date",
    "on March 14th": "date",
    "12 mars": "date",
    "ninety-four year old": "age over 89",
    "nonagenarian": "age over 89",
    "094Y": "age over 89",
    "محمد الأحمد": "free text",
    "Παπαδόπουλος Γεώργιος": "free text",
    "כהן דוד": "free text",
    "राजेश कुमार": "free text",
    "นายสมชาย ใจดี": "free text",
}


@pytest.mark.parametrize("text", FOUND)
def test_what_an_outsider_brought_past_is_found(text: str) -> None:
    assert FOUND[text] in in_free_text(text)


CARE = {
    "seen 21 November": "date", "Nov 21st": "date", "2 févr": "date", "3. Dez": "date", "OP am 09.08": "date",
    "follow-up 28/02": "date", "geb. 1944": "date", "née 1939": "date", "*1928": "date", "97y f": "age over 89",
    "92 J. alt": "age over 89", "rm 214": "institution", "Bett 3": "institution", "SICU 4": "institution",
    "Florence ward": "institution", "12 East": "institution", "chambre 118": "institution",
    "111.444.777-35": "identifier", "MRTMTT91D08F205J": "identifier", "AB 12 34 56 C": "identifier",
    "110105194912310025": "identifier", "case 55123": "identifier", "#90412": "identifier", "N° 51207": "identifier",
    "01 42 68 53 00": "contact", "bleep 2214": "contact", "sister Grace": "name", "W. Moss": "name",
    "HUNTER, B.": "name", "Nurse Sharp": "name",
}  # fmt: skip


@pytest.mark.parametrize("text", CARE)
def test_notes_of_wards_are_found(text: str) -> None:
    assert CARE[text] in in_free_text(text)


OLD = [
    "97F", "91 M", "102/F", "M/95", "F, 90", "95, M", "pt 92 M with cough", "Alter 97", "edad: 91", "91歳", "92 лет",
    "96 female",
]  # fmt: skip


@pytest.mark.parametrize("text", OLD)
def test_ages_of_90_and_more_are_found_beside_sex_unit_or_label(text: str) -> None:
    assert "age over 89" in in_free_text(text)


EVERYDAY = [
    "Temp 101 F",
    "98.6 F",
    "100 m",
    "HR 92/m",
    "90/h",
    "P/F 94",
    "0120/80",
    "89/F",
    "F, 88",
    "Alter 89",
    "ICU 3 days",
    "PT 12.5",
    "Pt 1200 ml",
    "10 x 1000",
    "pH 7.35",
    "K 7.03 mmol/L",
    "Mar 5 mg",
    "room air",
    "bed rest",
    "ward round",
    "Medical Ward",
    "120/80",
    "24/7",
    "case 3",
    "patient 12",
    "ID 5",
    "ID 5-6 mm",
    "call bell in reach",
    "roll call 2019 patients",
    "last 4 days",
    "patient no 3",
    "T12/L1",
    "Vitamin K",
    "E. coli",
    "S. aureus",
    "Sr. Creatinine",
    "16 Fr. Foley catheter",
    "Sig. Take one tablet",
    "Station 4R node",
    "M. Crohn",
    "RM 3T",
    "Cardiac Ward",
    "Pediatric ward",
    "ward Sister",
    "SNOMED//999002281000000103",
    "T Wave",
    "Hepatitis B Surface",
    "94%",
    "94 mg/dL",
    "stage 3/4",
    "B. Cell",
    "24 Hr Urine",
    "24 hr. urine",
    "attending physician",
    "Nurse visit",
    "visit in ext. wards 12",
    "10:15:30",
    "1:160:3",
    "α-fetoprotein",
    "β2 microglobulin",
    "µg/L",
    "MAY 5",
    "trial b. 12",
    "SNR 8.8",
    "serial troponins 3",
    "in home/garden",
    "CPF positive",
    "64Y",
    "085Y",
    "3 years",
    "box 12",
    "12 marks",
    "S/N 12",
    "ZIP",
    "Users of tobacco",
    "1/2",
    "E:10:20",
]


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_texts_that_look_like_them_stay(text: str) -> None:
    assert in_free_text(text) == set()
