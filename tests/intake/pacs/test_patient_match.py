"""A row of a server's list and the images behind it: of one patient, or said in words that tell nobody."""

from __future__ import annotations

import pytest
from ct_factory import Grid
from intake_support import nobody, patient, series
from pydicom.dataset import Dataset

from core.intake.files.sources import NamedBytes
from core.intake.pacs.client import StudyRow
from core.intake.pacs.patient_match import other_patient

GRID = Grid((48, 40, 3), (6.0, 6.0, 8.0))


def row(name: str, number: str) -> StudyRow:
    return StudyRow("1.2.1", name, number, "", "", "Thorax", ("CT",), 1)


def images(name: str, number: str) -> list[NamedBytes]:
    return series(GRID, edit=patient(name, number))


@pytest.mark.parametrize(
    ("name", "number", "words"),
    [
        ("ROE^RICHARD", "A1234567", "another patient name than"),
        ("DOE^JANE", "B7654321", "another patient number than"),
        ("ROE^RICHARD", "B7654321", "another patient number and another name than"),
        ("DOE^JOHN", "A1234567", "another patient name than"),
        ("", "B7654321", "another patient number than"),
    ],
)
def test_another_patient_is_said_without_a_name_or_a_number(name: str, number: str, words: str) -> None:
    (said,) = other_patient(row("DOE^JANE", "A1234567"), images(name, number))
    assert words in said
    assert "server's list" in said
    assert not [part for part in ("DOE", "JANE", "ROE", "RICHARD", "A123", "B765") if part in said.upper()]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("DOE^JANE", "A1234567"),
        ("Doe^Jane", " a1234567"),
        ("DOE JANE", "A1234567"),
        ("DOE^JANE^MARY^DR", "A1234567"),
        ("DOE^JANE=X^Y", "A1234567"),
        ("DOE", ""),
        ("", ""),
    ],
)
def test_one_patient_written_in_two_ways_is_no_other(name: str, number: str) -> None:
    assert other_patient(row("DOE^JANE", "A1234567"), images(name, number)) == ()


def test_a_row_that_names_nobody_speaks_against_nobody() -> None:
    assert other_patient(row("", ""), images("DOE^JANE", "A1234567")) == ()
    assert other_patient(row("DOE^JANE", "A1234567"), series(GRID, edit=nobody)) == ()
    assert other_patient(row("DOE^JANE", "A1234567"), [("a.dcm", b"\0" * 300)]) == ()


def test_names_are_compared_in_the_files_own_character_set() -> None:
    def umlaut(index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "MÜLLER^ÄNNE"
        dataset.PatientID = "A1"

    made = series(GRID, edit=umlaut)
    assert other_patient(row("Müller^Änne", "A1"), made) == ()
    assert other_patient(row("Mu\u0308ller^A\u0308nne", "A1"), made) == (), "accents of their own"
    assert other_patient(row("Möller^Änne", "A1"), made)


def test_one_image_of_another_patient_is_enough() -> None:
    mixed = [*images("DOE^JANE", "A1234567"), images("DOE^JANE", "B7654321")[0]]
    assert other_patient(row("DOE^JANE", "A1234567"), mixed)
