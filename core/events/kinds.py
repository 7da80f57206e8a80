"""What kind of thing a code records, judged from its vocabulary prefix and the table it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, cast, get_args

from core.events.code_systems import with_vocabulary

Kind = Literal[
    "encounters", "diagnoses", "labs", "vitals", "medications", "procedures", "imaging", "demographics", "other"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_BY_PREFIX: dict[str, Kind] = {
    "ICD10CM": "diagnoses", "ICD10": "diagnoses", "ICD10GM": "diagnoses", "ICD9CM": "diagnoses", "ICD9": "diagnoses",
    "DIAGNOSIS": "diagnoses", "SNOMED": "diagnoses", "SNOMEDCT": "diagnoses", "CONDITION": "diagnoses",
    "DRG": "diagnoses",
    "LOINC": "labs", "LAB": "labs", "MEASUREMENT": "labs", "OBSERVATION": "labs",
    "VITAL": "vitals", "VITALS": "vitals", "BLOOD PRESSURE": "vitals", "SUBJECT_WEIGHT_AT_INFUSION": "vitals",
    "SUBJECT_FLUID_OUTPUT": "vitals", "BMI (KG/M2)": "vitals", "WEIGHT (LBS)": "vitals", "HEIGHT (INCHES)": "vitals",
    "ATC": "medications", "RXNORM": "medications", "NDC": "medications", "MEDICATION": "medications",
    "INFUSION_START": "medications", "INFUSION_END": "medications", "CVX": "medications", "DRUG": "medications",
    "CPT": "procedures", "CPT4": "procedures", "HCPCS": "procedures", "PROCEDURE": "procedures",
    "ICD10PCS": "procedures", "ICD9PROC": "procedures", "IMAGING": "imaging", "RADIOLOGY": "imaging",
    "VISIT": "encounters", "DISCHARGE": "encounters", "ENCOUNTER": "encounters", "HOSPITAL_ADMISSION": "encounters",
    "HOSPITAL_DISCHARGE": "encounters", "TRANSFER_TO": "encounters", "ICU_ADMISSION": "encounters",
    "ICU_DISCHARGE": "encounters", "ED_REGISTRATION": "encounters", "ED_OUT": "encounters",
    "MEDS_BIRTH": "demographics", "MEDS_DEATH": "demographics", "GENDER": "demographics", "SEX": "demographics",
    "RACE": "demographics", "ETHNICITY": "demographics", "AGE": "demographics",
}  # fmt: skip

_VITAL_LOINC = frozenset(
    ("8867-4", "8480-6", "8462-4", "8478-0", "59408-5", "2708-6", "9279-1", "8310-5", "39156-5", "29463-7", "8302-2",
     "85354-9", "3141-9", "55284-4")
)  # fmt: skip
_SOCIAL_LOINC = frozenset(("72166-2", "11367-0", "74010-0", "82810-3"))
_VITAL_MIMIC = frozenset(
    ("220045", "220050", "220051", "220052", "220179", "220180", "220181", "220210", "220277", "223761", "223762",
     "224690", "220739", "223900", "223901", "226512", "224639", "224642", "220074", "220048")
)  # fmt: skip


_BY_TABLE: dict[str, Kind] = {
    "condition_occurrence": "diagnoses", "drug_exposure": "medications", "procedure_occurrence": "procedures",
    "device_exposure": "procedures", "measurement": "labs", "observation": "other", "visit_occurrence": "encounters",
    "condition": "diagnoses", "procedure": "procedures", "encounter": "encounters", "imagingstudy": "imaging",
    "medicationrequest": "medications", "medicationadministration": "medications", "medicationstatement": "medications",
    "immunization": "medications", "observation/vital-signs": "vitals", "observation/laboratory": "labs",
    "observation/social-history": "other", "observation/survey": "other", "diagnosticreport": "other",
}  # fmt: skip
_FITTING: dict[Kind, frozenset[Kind]] = {
    "labs": frozenset(("labs", "vitals", "demographics")),
    "procedures": frozenset(("procedures", "imaging")),
    "other": frozenset(("vitals", "demographics", "medications", "procedures", "imaging", "encounters")),
}
"""Kinds that a code may have by its own vocabulary within a table of the kind; any other code takes the table's."""


def kind_in_table(code: str, table: str) -> Kind:
    """The kind of a code in an OMOP table or FHIR resource (with its category); by the code alone where unknown.

    >>> kind_in_table("SNOMED//430193006", "procedure_occurrence"), kind_in_table("LOINC//8867-4", "measurement")
    ('procedures', 'vitals')
    """
    by_table, by_code = _BY_TABLE.get(table.lower()), kind_of(code)
    if by_table is None or by_code in _FITTING.get(by_table, frozenset()):
        return by_code
    return by_table


def kind_of(code: str, kinds: Mapping[str, str] | None = None) -> Kind:
    """The kind of event a code stands for; "other" where the vocabulary is unknown.

    kinds: code -> kind that takes precedence (`Timeline.code_kinds`).

    >>> kind_of("ICD10CM//I26.99"), kind_of("LOINC//8867-4"), kind_of("CPT//71275"), kind_of("LAB//50912//mg/dL")
    ('diagnoses', 'vitals', 'imaging', 'labs')
    >>> kind_of("8867-4"), kind_of("I26.99"), kind_of("718-8")
    ('vitals', 'diagnoses', 'other')
    """
    if kinds and kinds.get(code) in KINDS:
        return cast(Kind, kinds[code])
    prefix, _, rest = with_vocabulary(code).partition("//")
    kind = _BY_PREFIX.get(prefix.strip().upper())
    item = rest.partition("//")[0]
    if kind is None:
        return "vitals" if prefix.upper().startswith("BLOOD PRESSURE") else "other"
    if kind == "labs" and (item in _VITAL_LOINC or item in _VITAL_MIMIC):
        return "vitals"
    if prefix.upper() == "LOINC" and item in _SOCIAL_LOINC:
        return "demographics"
    return "imaging" if kind == "procedures" and _is_imaging(item) else kind


def _is_imaging(item: str) -> bool:
    """CPT radiology is 70010 to 79999; echocardiography 93303 to 93355."""
    if not re.fullmatch(r"\d{5}", item):
        return False
    return 70010 <= int(item) <= 79999 or 93303 <= int(item) <= 93355
