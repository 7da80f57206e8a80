"""Texts that no pattern speaks against, judged by their words: who is named is gone, what is everyday stays."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strip_support import looked_at, said, table

from core.case.search import Found
from core.case.strip import strip
from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.unknown_words import are_known_words
from core.intake.identifiers.where.events import UNKNOWN_WORDS
from core.records import Timeline
from scripts.measure_names import shares

NAMED = (
    "Tran Thi Mai", "tran thi mai", "Oluwaseun Adeyemi", "Siobhan ni Dhomhnaill", "Zhou Xiaoming", "Vigdis Finnboga",
    "Rajesh Venkataraman", "sukran oztürk", "Kwame", "Iris Young", "Nurse Black", "Wladyslaw Szpil", "kwabena called",
    "at Oxley Manor", "Lyceum Alpina", "Kettering School", "Penny Wood", "plate HH-KX 482913", "ref 48 29 13 7",
    "HZ-482-913", "王小明 复查", "daughter Joy", "fell in Aberystwyth", "wohnt in Bottrop",
    "at Lincoln High School", "Ruby called", "Penny Lane", "told Mark", "spoke with Grace", "Daisy Meadows",
)  # fmt: skip
EVERYDAY = (
    "Never smoker", "Gram stain negative", "Frank hematuria", "Hodgkin lymphoma", "Trendelenburg sign positive",
    "Whipple procedure", "Wolff-Parkinson-White syndrome", "Amoxicillin 500 mg", "Rivaroxaban", "Nitrite negative",
    "walks unaided", "patient's own supply", "Pain Clinic", "Skilled nursing facility", "grade 2", "135-145", "L4/L5",
    "1:160", "<0.01", "123.4567", "Staphylococcus aureus", "APACHE II", "NSTEMI", "VDRL", "cloudy, yellow",
    "MRSA screen", "", "mild cardiomegaly", "pneumomediastinum", "thrombocytopenia", "Crohn's disease", "light brown",
    "range 0.5 - 120.25", "every 8 hours", "BI-RADS 4", "HH", "hemolyzed", "Klebsiella pneumoniae", "FOLFIRI",
    "A Rh negative", "Guillain-Barré syndrome", "May require repeat", "with brown sputum", "will follow up",
)  # fmt: skip


@pytest.mark.parametrize("text", NAMED)
def test_names_of_people_and_places_are_in_no_vocabulary(text: str) -> None:
    assert not are_known_words(text)
    assert not are_known_words(f"seen: {text}")


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_texts_are_known(text: str) -> None:
    assert are_known_words(text)
    assert not in_free_text(text)


@given(st.text("bcdfghjklmnpqrstvwxz", min_size=6, max_size=12), st.sampled_from(EVERYDAY))
@example("zorblat", "negative")
def test_a_word_that_is_none_makes_any_text_unknown(word: str, text: str) -> None:
    assert not are_known_words(f"{text} {word}")
    assert not are_known_words(f"{word.capitalize()}, {text}")


@given(st.integers(10**6, 10**12 - 1), st.sampled_from(("", " ", "-", ".")), st.sampled_from(EVERYDAY[:8]))
def test_long_numbers_are_somebodys_however_they_are_grouped(number: int, between: str, text: str) -> None:
    digits = str(number)
    grouped = between.join(digits[start : start + 3] for start in range(0, len(digits), 3))
    assert not are_known_words(f"{text} {grouped}")


def by_words_alone(found: Found) -> set[str]:
    return {item.where for item in found.findings if item.category == UNKNOWN_WORDS}


def left(found: Found, timeline: Timeline, *, keeps_unknown: bool) -> Timeline:
    _, after = strip(None, timeline, found.boxes, found.words, found.columns, keeps_unknown=keeps_unknown)
    assert after is not None
    assert len(after.events) == len(timeline.events)
    return after


ROWS = {
    "text": ("7,2020-01-03,LAB//1,,,Oluwaseun Adeyemi,", "record, text of 1 event", "free text of 1 event"),
    "note as code": ("7,2020-01-03,NOTE//oluwaseun_adeyemi,,,,", "record, code of 1 event", "code of 1 event"),
    "unit": ("7,2020-01-03,LAB//1,5,oluwaseun,,", "record, unit of 1 event", "unit of 1 event"),
    "words of a code": ("7,2020-01-03,LAB//1,5,,,Oluwaseun", "record, description of 1 code", "description of 1 code"),
    "words as code": ("7,2020-01-03,FHIR//heart rate of Oluwaseun,,,,", "record, code of 1 event", "code of 1 event"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_what_no_vocabulary_knows_is_shown_and_gone_unless_the_reader_keeps_it(kind: str) -> None:
    row, where, note = ROWS[kind]
    found, _, timeline = looked_at(table(row))
    assert by_words_alone(found) == {where}
    assert not any("oluwaseun" in item.masked.casefold() for item in found.findings)
    gone = left(found, timeline, keeps_unknown=False)
    assert "oluwaseun" not in said(gone).casefold()
    assert any("as no vocabulary knows all its words" in line and note in line for line in gone.notes)
    kept = left(found, timeline, keeps_unknown=True)
    assert "oluwaseun" in said(kept).casefold()
    assert any(line.startswith("Kept by choice") and where.partition("of ")[2] in line for line in kept.notes)
    assert (kept.digest != gone.digest) == (kind != "words of a code"), "it tells events apart, not their words"


def test_what_the_search_found_goes_whatever_the_reader_keeps() -> None:
    found, _, timeline = looked_at(table("7,2020-01-03,LAB//1,,,Dr. Adeyemi,", "7,2020-01-04,LAB//1,,,Kwame,"))
    kept = left(found, timeline, keeps_unknown=True)
    assert "Adeyemi" not in said(kept)
    assert "Kwame" in said(kept)


@pytest.mark.parametrize(
    "row",
    ["7,2020-01-03,LOCAL//Zorblatin,5,mg/dL,,", "7,2020-01-03,Zorblatin,5,mg/dL,,", "7,2020-01-03,LAB//1,5,zorb,,",
     "7,2020-01-03,LAB//1,5,beats/min,,", "7,2020-01-03,LOINC//1,5,mg/dL,,Serum Creatinine"],
)  # fmt: skip
def test_codes_and_signs_of_units_are_shared_by_many_and_stay(row: str) -> None:
    found, _, timeline = looked_at(table(row))
    assert by_words_alone(found) == set()
    assert left(found, timeline, keeps_unknown=False) is timeline


@pytest.mark.parametrize("seed", [3, 11])
def test_hardly_any_name_of_the_world_passes(seed: int) -> None:
    """Names of many countries, from lists of another package; single family names are words
    of every day most often ("Wells", "Moss"). The negative controls are the everyday texts above."""
    passed = {form: count / total for form, (count, total) in shares(each=10, seed=seed).items()}
    limits = {"family name alone": 0.05, "given name alone": 0.05, "town": 0.03}
    assert len(passed) == 8
    assert {form: share for form, share in passed.items() if share > limits.get(form, 0.01)} == {}
