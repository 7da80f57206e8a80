"""The true record of the corpus of tables, as CSV and as OMOP tables."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

PATIENT = "48151623"
NAMES = ("subject_id", "time", "code", "numeric_value", "text_value", "unit")
Row = tuple[str, str, str, str, str, str]
TRUE: tuple[Row, ...] = (
    (PATIENT, "", "GENDER//F", "", "", ""),
    (PATIENT, "1950-05-01T00:00:00", "MEDS_BIRTH", "", "", ""),
    (PATIENT, "2020-01-03T08:30:00", "LOINC//2160-0", "1.25", "", "mg/dL"),
    (PATIENT, "2020-02-01T10:00:00", "ICD10CM//I26.99", "", "", ""),
    (PATIENT, "2020-03-01T10:00:00", "LOINC//2160-0", "", "<0.5", "mg/dL"),
)


def csv_text(
    rows: Sequence[Sequence[str]] = TRUE, names: Sequence[str] = NAMES, sep: str = ",", end: str = "\n"
) -> str:
    return end.join(sep.join(row) for row in (names, *rows)) + end


def zipped(**files: bytes | str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv").replace("_parquet", ".parquet"), data)
    return out.getvalue()


OMOP = {
    "PERSON_csv": f"person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth\n{PATIENT},8532,1950,5,1\n",
    "MEASUREMENT_csv": "person_id,measurement_concept_id,measurement_datetime,operator_concept_id,value_as_number,"
    f"unit_source_value\n{PATIENT},3016723,2020-01-03 08:30:00,0,1.25,mg/dL\n"
    f"{PATIENT},3016723,2020-03-01 10:00:00,4171756,0.5,mg/dL\n",
    "CONDITION_OCCURRENCE_csv": "person_id,condition_concept_id,condition_start_datetime\n"
    f"{PATIENT},440417,2020-02-01 10:00:00\n",
    "CONCEPT_csv": "concept_id,concept_name,vocabulary_id,concept_code\n3016723,Creatinine,LOINC,2160-0\n"
    "440417,Pulmonary embolism,ICD10CM,I26.99\n",
}


def omop(**changes: str) -> bytes:
    return zipped(**{name: text for name, text in (OMOP | changes).items() if text})
