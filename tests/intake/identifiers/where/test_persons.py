"""Who is one patient: ids are trusted unless they are placeholders or stand with people who cannot be the same."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from ct_factory import to_bytes
from privacy_support import ct_slice

from core.intake.identifiers.clean.pseudonyms import Pseudonyms
from core.intake.identifiers.deidentify import deidentify
from core.intake.identifiers.pictures.burned_in import slice_axis
from core.intake.identifiers.where.ages import Ages
from core.intake.identifiers.where.persons import Person, identities
from core.privacy import find_identifiers

DOE = Person("A1", "Doe^Jane", "19520302", "1.1")
PAIRS = {
    "the same": (DOE, False),
    "another study, spelt otherwise": (Person("A1", "DOE JANE", "19520302", "1.2"), False),
    "married": (Person("A1", "Smith^Jane", "19520302", "1.2"), False),
    "no birth date": (Person("A1", "Doe^Jane", "", "1.2"), False),
    "no name": (Person("A1", "", "", "1.2"), False),
    "anonymous": (Person("A1", "ANONYMOUS", "19520302", "1.2"), False),
    "another birth date": (Person("A1", "Doe^Jane", "19900101", "1.2"), True),
    "another name": (Person("A1", "Brown^Bob", "19520302", "1.2"), True),
}


@pytest.mark.parametrize("case", PAIRS)
def test_one_id_is_one_person_unless_two_cannot_be_the_same(case: str) -> None:
    other, apart = PAIRS[case]
    (one, two), shared = identities([DOE, other])
    assert (one != two) == apart
    assert shared == apart


@pytest.mark.parametrize("number", ["UNKNOWN", "0", "000000", "", "n/a", "XXX"])
def test_a_placeholder_id_tells_nobody_apart(number: str) -> None:
    people = [
        Person(number, "Adams^Amy", "19400101", "1.1"),
        Person(number, "Brown^Bob", "19900101", "1.2"),
        Person(number, "Adams^Amy", "19400101", "1.3"),
        Person(number, "", "", "1.4"),
        Person(number, "Anonymous", "", "1.5"),
    ]
    found, shared = identities(people)
    assert found[0] == found[2]
    assert len(set(found)) == 4
    assert shared == 0


@pytest.mark.parametrize("number", ["ab1", "UNKNOWN"])
def test_case_and_separators_make_nobody_another(number: str) -> None:
    people = [Person(number, "Doe^Jane", "19520302", "1.1"), Person(number.swapcase(), "DOE JANE ", "19520302", "1.2")]
    for others in ([], [Person(number, "Brown^Bob", "19900101", "1.3")]):
        found, _ = identities([*people, *others])
        assert found[0] == found[1]
        assert found[0] not in found[2:]


def test_two_spellings_of_one_id_share_a_name_and_the_words_that_are_taken_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index, (number, name) in enumerate((("ab1", "Quillon^Jane"), ("AB1", ""))):
        dataset = ct_slice(index, 48)
        dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = number, name, "19400101"
        dataset.SeriesDescription = "Thorax Quillon"
        (tmp_path / "in" / f"{index}").write_bytes(to_bytes(dataset))
    report = deidentify(tmp_path / "in", tmp_path / "out")
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert (report.patients, len(written)) == (1, 2)
    assert not any(b"Quillon" in path.read_bytes() for path in written)


def test_a_name_in_one_file_goes_from_the_description_of_another_of_its_study(tmp_path: Path) -> None:
    """The word is one of anatomy, so that only the name tells that it is somebody's; another study keeps it."""
    (tmp_path / "in").mkdir()
    for index, (number, name, study) in enumerate((("A1", "Hand^Jane", "1.5"), ("A2", "", "1.5"), ("A3", "", "1.6"))):
        dataset = ct_slice(index, 48)
        dataset.PatientID, dataset.PatientName, dataset.StudyInstanceUID = number, name, study
        dataset.SeriesInstanceUID = f"{study}.{index}"
        dataset.SeriesDescription = "Thorax hand"
        (tmp_path / "in" / f"{index}").write_bytes(to_bytes(dataset))
    deidentify(tmp_path / "in", tmp_path / "out")
    sets = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert sorted(item.SeriesDescription for item in sets) == ["Thorax", "Thorax", "Thorax hand"]


def test_a_name_is_told_in_a_file_that_was_searched_before_the_one_that_gives_it() -> None:
    files = []
    for name in ("", "Hand^Jane"):
        dataset = ct_slice(0, 48)
        dataset.PatientName, dataset.SeriesDescription = name, "Thorax" if name else "Thorax hand"
        files.append((f"{len(files)}.dcm", to_bytes(dataset)))
    for order in (files, files[::-1]):
        found = find_identifiers(order, pixels=False)
        assert ("name", "SeriesDescription") in {(item.category, item.where.split()[-1]) for item in found}
    alone = find_identifiers(files[:1], pixels=False)
    assert not any(item.where.endswith("SeriesDescription") for item in alone)


def test_two_people_under_one_id_get_two_names_two_shifts_and_a_line_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index, (name, birth) in enumerate((("Adams^Amy", "19400101"), ("Brown^Bob", "19900101"))):
        dataset = ct_slice(index, 48)
        dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "77", name, birth
        dataset.StudyInstanceUID = f"1.2.{index}"
        (tmp_path / "in" / f"{index}").write_bytes(to_bytes(dataset))
    report = deidentify(tmp_path / "in", tmp_path / "out")
    sets = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert len({item.PatientID for item in sets}) == len({item.StudyDate for item in sets}) == report.patients == 2
    assert any("1 patient id shared by different people" in line for line in report.lines())


def test_the_last_event_tells_how_old_somebody_became() -> None:
    ages = Ages()
    for time, code in (
        ("1910-05-01", "MEDS_BIRTH"),
        ("1990-01-01", "LAB//1"),
        ("2001-01-01", "LAB//1"),
        ("1995-01-01", "LAB//1"),
    ):
        ages.add("1", time, code)
    assert list(ages.findings())


def test_dates_always_move_and_by_ten_years_at_most() -> None:
    days = [Pseudonyms(b"a key of the test").shift_days(str(number)) for number in range(30_000)]
    assert (min(days), max(days)) == (-3650, -1)


def test_slices_lie_along_the_thickest_axis_only_where_it_is_much_thicker() -> None:
    assert slice_axis((0.7, 0.7, 0.8), 0) == 0
    assert slice_axis((0.7, 0.7, 2.5), 0) == 2


def test_numbers_and_names_beside_the_patients_own_go_from_descriptions(tmp_path: Path) -> None:
    dataset = ct_slice(0, 48)
    dataset.AccessionNumber, dataset.OtherPatientIDs, dataset.PatientBirthName = "88-31", ["Q7/12"], "Hand"
    for text, kept in (("Thorax 88-31", "Thorax"), ("Thorax Q7/12", "Thorax"), ("Thorax hand", "Thorax")):
        dataset.SeriesDescription = text
        assert any(item.where.endswith("SeriesDescription") for item in find_identifiers(("a", to_bytes(dataset))))
        (tmp_path / "in").write_bytes(to_bytes(dataset))
        deidentify(tmp_path / "in", tmp_path / kept / text.replace("/", ""))
        written = next((tmp_path / kept / text.replace("/", "")).rglob("*.dcm"))
        assert pydicom.dcmread(written).SeriesDescription == kept
