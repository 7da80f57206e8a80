"""Usual ranges of common laboratory values and vital signs in adults, to read a number by; none is a diagnosis.

Source: American Board of Internal Medicine, Laboratory Test Reference Ranges (2024), for women and men together where
they differ by little; vital signs at rest as in Bates' Guide to Physical Examination, 13th edition. A laboratory's own
range goes before these. Values in other units have none: numbers of two units are never compared.
"""

from __future__ import annotations

from typing import Literal

from core.events.standard_codes import standard_code

Range = tuple[float | None, float | None]

_RANGES: dict[tuple[str, str], Range | dict[str, Range]] = {
    ("LOINC//1742-6", "U/L"): (10, 40),
    ("LOINC//1751-7", "g/dL"): (3.5, 5.5),
    ("LOINC//61151-7", "g/dL"): (3.5, 5.5),
    ("LOINC//17861-6", "mg/dL"): (8.6, 10.2),
    ("LOINC//1920-8", "U/L"): (10, 40),
    ("LOINC//1975-2", "mg/dL"): (0.3, 1.0),
    ("LOINC//1988-5", "mg/L"): (None, 8),
    ("LOINC//2075-0", "mmol/L"): (98, 106),
    ("LOINC//2160-0", "mg/dL"): {"F": (0.5, 1.1), "M": (0.7, 1.3)},
    ("LOINC//2345-7", "mg/dL"): (70, 99),
    ("LOINC//2524-7", "mmol/L"): (0.67, 1.8),
    ("LOINC//2823-3", "mmol/L"): (3.5, 5.0),
    ("LOINC//2951-2", "mmol/L"): (136, 145),
    ("LOINC//30934-4", "pg/mL"): (None, 100),
    ("LOINC//4544-3", "%"): {"F": (36, 47), "M": (41, 51)},
    ("LOINC//4548-4", "%"): (4.0, 5.6),
    ("LOINC//6690-2", "10*3/uL"): (4.0, 11.0),
    ("LOINC//718-7", "g/dL"): {"F": (12, 16), "M": (14, 18)},
    ("LOINC//777-3", "10*3/uL"): (150, 450),
    ("LOINC//59408-5", "%"): (95, None),
    ("LOINC//8310-5", "Cel"): (36.1, 37.8),
    ("LOINC//8480-6", "mm[Hg]"): (90, 120),
    ("LOINC//8462-4", "mm[Hg]"): (60, 80),
    ("LOINC//8867-4", "/min"): (60, 100),
    ("LOINC//9279-1", "/min"): (12, 20),
}


def reference_range(code: str, unit: str, sex: str | None = None) -> Range | None:
    """(lowest, highest) usual value of a code in a unit, either end None where there is none; None where not known.

    sex: of the patient; without it, where women and men differ, what is usual in either.

    >>> reference_range("LOINC//718-7", "g/dL", "F"), reference_range("LOINC//718-7", "g/dL")
    ((12, 16), (12, 18))
    >>> reference_range("LOINC//1988-5", "mg/L"), reference_range("LOINC//1988-5", "mg/dL")
    ((None, 8), None)
    """
    found = _RANGES.get((standard_code(code), unit))
    if not isinstance(found, dict):
        return found
    if sex in found:
        return found[sex]
    (low, high), (other_low, other_high) = found["F"], found["M"]
    return min(low or 0.0, other_low or 0.0), max(high or 0.0, other_high or 0.0)


def flag(value: float, usual: Range | None) -> Literal["", "L", "H"]:
    """L below what is usual, H above it.

    >>> flag(2.9, (3.5, 5.5)), flag(4.0, (3.5, 5.5)), flag(9.0, (None, 8)), flag(1.0, None)
    ('L', '', 'H', '')
    """
    low, high = usual or (None, None)
    if low is not None and value < low:
        return "L"
    return "H" if high is not None and value > high else ""
