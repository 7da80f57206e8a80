"""What is shown of a series' own words: terms of the allow-list, never what may be a date, an id or a name."""

from __future__ import annotations

import pytest

from core.intake.terms.identifier_patterns import spans_of_identifiers
from core.intake.terms.safe_description import describe_series


@pytest.mark.parametrize(
    "dated",
    [
        "Chest 12.05.45", "Chest 12/05/45", "Chest 12-05-45", "Chest 12 05 45", "Chest_12_05_45", "Chest 5.12.45",
        "Chest 12x05x45", "Chest 12 Quartz 05 Quartz 45", "Chest 48-15-23", "Chest 4.5.1945",
    ],
)  # fmt: skip
def test_no_date_and_no_grouped_number_comes_through(dated: str) -> None:
    assert describe_series(dated) == "Chest"


@pytest.mark.parametrize(
    "plain",
    [
        "Thorax 2.0 B40f",
        "CTA Chest 1.25 0.625 2.5mm",
        "Chest 5 mm lung",
        "Lung 1.0 I70f 3",
        "Thorax Routine 8.0.0 B40f",
        "VEN 3.0",
        "Thorax venös nativ",
        "COR MPR",
        "30% Phase",
        "80kV",
        "Mono 40 keV",
        "iDose 4",
    ],
)
def test_thickness_kernel_and_protocol_stay(plain: str) -> None:
    assert describe_series(plain) == plain
    assert spans_of_identifiers(plain) == []


@pytest.mark.parametrize(
    "known",
    [
        "CBCT", "CBCT Mandible 0.3", "LDCT screening", "NCCT Head", "CT Perfusion Head", "Topogram 0.6 T20f",
        "DECT Mono 70 keV", "CT Venography", "CTV 1.0", "CCTA 75% diast", "Dual energy", "Thoracoabdominal aorta",
        "Petrous bone 0.6", "Cervical spine bone", "Scout", "Iodine map 1.5", "胸部 造影", "単純 5.0",
        "Lung Window 1.25MM", "AKCİĞER 2.0", "Brust 3.0", "Sharp 1.0",
    ],
)  # fmt: skip
def test_terms_of_a_radiology_department_stay(known: str) -> None:
    assert describe_series(known) == known


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("Cone-beam CT jaw", "CBCT"), ("ConeBeam", "CBCT"), ("CONE_BEAM_CT", "CBCT"), ("CBCT_Quillfeather", "CBCT"),
        ("Cone^Mary", "CT series"), ("Mary Beam", "CT series"), ("BEAM^CONE", "CT series"),
        ("Scout Quillfeather", "CT series"),
        ("Evar^Swanson", "CT series"), ("Tavi", "CT series"), ("Colon", "CT series"), ("Hand", "CT series"),
        ("Temple", "CT series"), ("CBCTs", "CT series"), ("Dent", "CT series"), ("Orbita 12 05 45", "CT series"),
    ],
)  # fmt: skip
def test_what_may_be_a_name_goes_beside_new_terms_too(named: str, shown: str) -> None:
    assert describe_series(named) == shown


@pytest.mark.parametrize(
    ("text", "body_part", "shown"),
    [("Thorax 3.0", "THORAX", "Thorax 3.0"), ("lung abdomen", "ABDOMEN", "lung abdomen"),
     ("2.0", "PELVIS", "2.0 PELVIS"),
     ("Lung 1.0", "CHEST", "Lung 1.0 CHEST"), ("Quillfeather", "HEAD", "HEAD"), ("", "", "CT series"),
     ("STONE^MAX", "LUNG", "LUNG"), ("Head, Ada", "CHEST", "CHEST"), ("Kopf Quillfeather 2.0", "HEAD", "2.0 HEAD"),
     ("Brust^Mia", "LUNG", "LUNG"), ("AGE 98 LUNG", "LUNG", "LUNG"), ("Head 1.0 sharp", "HEAD", "Head 1.0 sharp")],
)  # fmt: skip
def test_the_body_part_stands_once_and_names_that_are_terms_go_with_what_is_beside_them(
    text: str, body_part: str, shown: str
) -> None:
    assert describe_series(text, body_part) == shown
