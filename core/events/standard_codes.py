"""Recorded codes and units under the standard spelling that encoders are trained on; the record itself keeps its own.

Only what is the same thing by definition is mapped: ICD codes inside MIMIC's MEDS codes, MIMIC items that MIT-LCP's
human-curated concept map (mimic-code, mimic-iv/concepts/concept_map) calls exact matches of a LOINC code (cuff
pressures: of the LOINC code without a method), visits, sex, and unit spellings. Names of drugs are not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from core.events.code_systems import with_vocabulary
from core.records import SEXES

_MIMIC_ITEMS: Mapping[str, str] = {
    "50862": "1751-7", "50882": "1963-8", "50902": "2075-0", "50904": "2085-9", "50905": "13457-7", "50907": "2093-3",
    "50912": "2160-0", "50931": "2345-7", "50852": "4548-4", "50960": "19123-9", "50970": "2777-1", "50971": "2823-3",
    "50983": "2951-2", "50993": "3016-3", "51000": "2571-8", "51003": "6598-7", "51006": "3094-0", "51222": "718-7",
    "51237": "6301-6", "51250": "787-2", "51265": "777-3", "51301": "6690-2", "50813": "32693-4", "50885": "1975-2",
    "220045": "8867-4", "220210": "9279-1", "220277": "59408-5", "220179": "8480-6", "220180": "8462-4",
    "220050": "8480-6", "220051": "8462-4", "220052": "8478-0", "223761": "8310-5", "223762": "8310-5",
    "226512": "29463-7", "226730": "8302-2",
}  # fmt: skip
_WHOLE: Mapping[str, str] = {"ED_REGISTRATION": "VISIT//ED", "BMI (kg/m2)": "LOINC//39156-5"}
_UNITS: Mapping[str, str] = {
    "k/ul": "10*3/ul", "10^3/ul": "10*3/ul", "x10^3/ul": "10*3/ul", "10*9/l": "10*3/ul", "10^9/l": "10*3/ul",
    "x10*3/ul": "10*3/ul", "x10^9/l": "10*3/ul", "x10e9/l": "10*3/ul", "mmhg": "mm[hg]", "mm hg": "mm[hg]",
    "1/min": "/min", "bpm": "/min", "insp/min": "/min", "beats/min": "/min", "{beats}/min": "/min",
    "breaths/min": "/min", "{breaths}/min": "/min", "°c": "cel", "degc": "cel", "deg c": "cel", "celsius": "cel",
    "°f": "[degf]", "degf": "[degf]", "deg f": "[degf]", "in": "[in_i]", "inch": "[in_i]", "inches": "[in_i]",
    "lb": "[lb_av]", "lbs": "[lb_av]", "percent": "%", "kg/m^2": "kg/m2", "kg/m²": "kg/m2",
}  # fmt: skip
_MONOVALENT = frozenset(("LOINC//2823-3", "LOINC//2951-2", "LOINC//2075-0", "LOINC//1963-8", "LOINC//6298-4"))
"""Sodium, potassium, chloride, bicarbonate: for ions of one charge 1 mEq/L is 1 mmol/L."""


def standard_code(code: str) -> str:
    """The standard spelling of a code; a code without one is returned unchanged.

    >>> standard_code("DIAGNOSIS//ICD//10//I2699"), standard_code("DIAGNOSIS//ICD//9//E8120")
    ('ICD10CM//I26.99', 'ICD9CM//E812.0')
    >>> standard_code("LAB//50912//mg/dL"), standard_code("Gender//FEMALE"), standard_code("LOINC//2160-0")
    ('LOINC//2160-0', 'GENDER//F', 'LOINC//2160-0')
    >>> standard_code("GENDER//Missing"), standard_code("2160-0"), standard_code("I26.99")
    ('GENDER//Missing', 'LOINC//2160-0', 'ICD10CM//I26.99')
    """
    head, marked, rest = code.partition("//")
    if not marked and (named := with_vocabulary(code)) != code:
        return named
    if head in _PREFIXES:
        return _PREFIXES[head](rest) or code
    if head.upper() in ("GENDER", "SEX") and rest:
        sex = SEXES.get(rest.split("//")[0].strip().casefold())
        return f"GENDER//{sex}" if sex else code
    return _WHOLE.get(code, code)


def _diagnosis(rest: str) -> str | None:
    """ICD//version//code without a dot; the version is part of the code, so nothing is guessed."""
    match = re.fullmatch(r"ICD//(9|10)//([0-9A-Z]{3,8})", rest)
    if match is None:
        return None
    version, code = match.groups()
    shape = r"[A-TV-Z]\d[0-9A-Z][0-9A-Z]{0,4}" if version == "10" else r"\d{3,5}|V\d{2,4}|E\d{3,4}"
    if not re.fullmatch(shape, code):
        return None
    stem = 4 if version == "9" and code[0] == "E" else 3
    dotted = f"{code[:stem]}.{code[stem:]}" if len(code) > stem else code
    return f"ICD{version}CM//{dotted}"


def _icd10(rest: str) -> str | None:
    """ICD-10-CM written without its dot."""
    match = re.fullmatch(r"([A-TV-Z]\d[0-9A-Z])([0-9A-Z]{1,4})", rest)
    return f"ICD10CM//{match[1]}.{match[2]}" if match else None


def _item(rest: str) -> str | None:
    loinc = _MIMIC_ITEMS.get(rest.partition("//")[0])
    return f"LOINC//{loinc}" if loinc else None


def _admission(rest: str) -> str | None:
    """Observation stays are no inpatient visits."""
    return None if "OBSERVATION" in rest.upper() else "VISIT//INPATIENT"


_PREFIXES: Mapping[str, Callable[[str], str | None]] = {
    "DIAGNOSIS": _diagnosis,
    "ICD10CM": _icd10,
    "LAB": _item,
    "HOSPITAL_ADMISSION": _admission,
}


def standard_unit(unit: str, code: str = "") -> str:
    """A unit in lower case under one spelling; `code` (standard) allows mEq/L for ions of one charge.

    An annotation alone is the unit 1, as UCUM defines it.

    >>> standard_unit("K/uL"), standard_unit("mEq/L", "LOINC//2951-2"), standard_unit("mEq/L")
    ('10*3/ul', 'mmol/l', 'meq/l')
    >>> standard_unit("mmol / L"), standard_unit("1/min"), standard_unit("mm Hg")
    ('mmol/l', '/min', 'mm[hg]')
    >>> standard_unit("{ratio}"), standard_unit("1"), standard_unit("{beats}/min")
    ('1', '1', '/min')
    """
    plain = re.sub(r"\s*/\s*", "/", unit.strip().lower()).replace("µ", "u").replace("μ", "u")
    if plain == "meq/l" and code in _MONOVALENT:
        return "mmol/l"
    if re.fullmatch(r"\{[^{}]*\}", plain):
        return "1"
    return _UNITS.get(plain, plain)
