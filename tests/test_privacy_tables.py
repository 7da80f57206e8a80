"""Identifiers in timelines and in archive headers are found by column and by content; clean ones stay silent."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pandas as pd
import pytest

from core.privacy import Finding, find_identifiers

CLEAN = (
    "subject_id,time,code,numeric_value,unit\n7,2020-01-01,LOINC//2345-7,5.4,mmol/L\n7,2020-02-01,ICD10CM//I26.99,,\n"
)
DIRTY = (
    "mrn,first_name,time,code,note,x\n"
    'Q123,Zqxada,2020-01-01,LOINC//1-2,"Seen by Dr Zqxberg, a 93-year-old woman, call 555-010-1234",zqx@host.org\n'
)


def categories(found: tuple[Finding, ...]) -> set[str]:
    return {item.category for item in found}


def test_columns_and_values_of_a_csv_are_judged() -> None:
    found = find_identifiers(("t.csv", DIRTY.encode()))
    assert {"identifier", "name", "date", "contact", "age over 89", "free text"} <= categories(found)
    assert any(item.where == "column first_name" for item in found)
    assert any(item.where == "column 6" and item.category == "contact" for item in found)
    assert "qx" not in str(found)


def test_a_plain_table_holds_a_pseudonym_and_dates_only() -> None:
    assert categories(find_identifiers(("t.csv", CLEAN.encode()))) == {"identifier", "date"}


def test_json_lines_and_fhir_bundles_are_walked() -> None:
    patient = {
        "resourceType": "Patient",
        "name": [{"family": "Zqxberg", "given": ["Ada"]}],
        "telecom": [{"value": "555-010-1234"}],
        "birthDate": "1945-01-01",
        "text": {"div": "<div>Zqx narrative</div>"},
        "identifier": [{"value": "Zqx1"}],
    }
    bundle = json.dumps({"resourceType": "Bundle", "entry": [{"resource": patient}]}).encode()
    lines = (json.dumps(patient) + "\n").encode() * 2
    for data in (bundle, lines):
        found = find_identifiers(("b.json", data))
        assert {"name", "contact", "date", "free text", "identifier"} <= categories(found)
        assert "Zqx" not in str(found)


def test_meds_parquet_with_a_patient_over_89() -> None:
    times = pd.to_datetime(["1920-01-01", "2015-01-01"]).astype("datetime64[us]")
    table = pd.DataFrame({"subject_id": [1, 1], "time": times, "code": ["MEDS_BIRTH", "LAB//1"]})
    table["text_value"] = [None, "call Mr Zqxberg"]
    out = io.BytesIO()
    table.to_parquet(out)
    found = categories(find_identifiers(("m.parquet", out.getvalue())))
    assert {"age over 89", "name", "date", "identifier"} <= found
    table.loc[0, "time"], table["text_value"] = pd.Timestamp("1950-01-01"), None
    out = io.BytesIO()
    table.to_parquet(out)
    assert categories(find_identifiers(("m.parquet", out.getvalue()))) == {"date", "identifier"}


def test_archive_comments_and_owners_are_found() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", CLEAN)
        archive.comment = b"Zqxberg 1945"
    found = find_identifiers(("a.zip", packed.getvalue()))
    assert "archive comment" in categories(found)
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode="w") as tape:
        info = tarfile.TarInfo("a.csv")
        info.size, info.uname = len(CLEAN), "zqxberg"
        tape.addfile(info, io.BytesIO(CLEAN.encode()))
    found = find_identifiers(("a.tar", taped.getvalue()))
    assert "archive comment" in categories(found)
    assert "qxberg" not in str(found)


def zipped(name: str, data: bytes | str, comment: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, data)
        archive.comment = comment
    return packed.getvalue()


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("owner", ["zqxberg", "root"])
def test_owners_in_packed_tars_are_found_even_inside_a_zip(mode: str, owner: str) -> None:
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode=f"w:{mode}") as tape:  # type: ignore[call-overload]
        info = tarfile.TarInfo("a.csv")
        info.size, info.uname = len(CLEAN), owner
        tape.addfile(info, io.BytesIO(CLEAN.encode()))
    for source in (taped.getvalue(), zipped(f"a.tar.{mode}", taped.getvalue())):
        name = f"a.tar.{mode}" if source == taped.getvalue() else "b.zip"
        assert ("archive comment" in categories(find_identifiers((name, source)))) == (owner == "zqxberg")


@pytest.mark.parametrize("comment", [b"Zqxberg 1945", b""])
def test_a_comment_of_a_zip_inside_a_zip_is_found(comment: bytes) -> None:
    found = find_identifiers(("a.zip", zipped("inner.zip", zipped("a.csv", CLEAN, comment))))
    assert ("archive comment" in categories(found)) == bool(comment)


@pytest.mark.parametrize("data", [b'{"a": [', b"a,b\n\0\0,\n", b"PAR1 nothing", b"[" * 100_000])
def test_broken_tables_are_said_to_be_unsearched_or_hold_nothing(data: bytes) -> None:
    assert categories(find_identifiers(("t.json", data))) <= {"unreadable"}
