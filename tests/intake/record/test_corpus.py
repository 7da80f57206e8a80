"""Odd and hostile tables of events, each with its oracle: read right, refused in words, or one of the two; never wrong.

The record's true events are known, so a case that is read judges itself: the same codes, times, numbers, texts, units.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import WHOLE, kinds_left_out, sampled
from tables_support import NAMES, OMOP, PATIENT, TRUE, Row, csv_text, omop, zipped

from core.errors import UserFacingError
from core.events.death import outcomes
from core.records import Timeline
from core.timeline import MappingQuestion, list_subjects, load_timeline, suggest_mapping


def with_row(**changes: str) -> str:
    """The record as CSV with one more event."""
    row = dict(zip(NAMES, (PATIENT, "2020-01-05T00:00:00", "LOINC//718-7", "13.5", "", "g/dL"))) | changes
    return csv_text((*TRUE, tuple(row[name] for name in NAMES)))


def objects(rows: Sequence[Sequence[str]] = TRUE) -> list[dict[str, object]]:
    return [{name: text or None for name, text in zip(NAMES, row)} for row in rows]


def typed(rows: Sequence[Row] = TRUE) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(NAMES))
    return table.assign(
        subject_id=table["subject_id"].astype(np.int64),
        time=pd.to_datetime(table["time"]).astype("datetime64[us]"),
        numeric_value=pd.to_numeric(table["numeric_value"]).astype(np.float32),
        text_value=table["text_value"].replace("", None),
        unit=table["unit"].replace("", None),
    )


def parquet(table: pd.DataFrame | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(typed() if table is None else table, preserve_index=False), out, **options)
    return out.getvalue()


def tarred(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def bomb() -> bytes:
    return zipped(events_csv=csv_text().encode() + b" " * (200 << 20))


def fhir(**patient: object) -> bytes:
    coding = {"LOINC": "http://loinc.org", "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm"}
    parts: list[dict[str, object]] = [
        {"resourceType": "Patient", "id": PATIENT, "gender": "female", "birthDate": "1950-05-01", **patient}
    ]
    for _, time, code, number, text, unit in TRUE[2:]:
        system, _, item = code.partition("//")
        part: dict[str, object] = {
            "resourceType": "Observation" if system == "LOINC" else "Condition",
            "subject": {"reference": f"Patient/{PATIENT}"},
            "code": {"coding": [{"system": coding[system], "code": item}]},
            "effectiveDateTime" if system == "LOINC" else "onsetDateTime": f"{time}Z",
        }
        if number:
            part["valueQuantity"] = {"value": float(number), "unit": unit}
        elif text:
            part["valueQuantity"] = {"value": 0.5, "comparator": "<", "unit": unit}
        parts.append(part)
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": part} for part in parts]}).encode()


Oracle = Literal["right", "refuse", "right or refuse"]


@dataclass(frozen=True)
class Case:
    """A file, what must become of it, words that the refusal or a note must hold, and extra rows of the true record."""

    name: str
    data: Callable[[], bytes]
    oracle: Oracle
    words: str = ""
    rows: tuple[Row, ...] = TRUE
    file: str = "events.csv"


def text(content: str, encoding: str = "utf-8") -> Callable[[], bytes]:
    return lambda: content.encode(encoding)


def added(**changes: str) -> tuple[Row, ...]:
    row = dict(zip(NAMES, (PATIENT, "2020-01-05T00:00:00", "LOINC//718-7", "13.5", "", "g/dL"))) | changes
    return (*TRUE, tuple(row[name] for name in NAMES))  # type: ignore[return-value]


def renamed(*names: str) -> Callable[[], bytes]:
    return text(csv_text(names=names))


def at(time: str) -> Callable[[], bytes]:
    return text(with_row(time=time))


def valued(value: str) -> Callable[[], bytes]:
    return text(with_row(numeric_value=value))


LATE: tuple[Row, ...] = (
    (PATIENT, "2020-02-01T00:00:00", "ICD10CM//I26.99", "", "", ""),
    (PATIENT, "2020-03-24T00:00:00", "LOINC//2160-0", "1.25", "", "mg/dL"),
    (PATIENT, "2020-05-04T00:00:00", "LOINC//2160-0", "1.5", "", "mg/dL"),
    (PATIENT, "2020-06-25T00:00:00", "LOINC//2160-0", "1.75", "", "mg/dL"),
)
"""Days alone, two of them past the twelfth of a month."""


def zoned(sign: str, zone: str) -> Callable[[], bytes]:
    """The record with its times, in UTC, written in another way."""
    return text(
        csv_text([(row[0], row[1].replace("T", sign) + zone if row[1] else "", *row[2:]) for row in TRUE], sep=";")
    )


def ordered(*styles: str) -> Callable[[], bytes]:
    """`LATE` with its days written in these styles, in turn."""
    rows = [(row[0], pd.Timestamp(row[1]).strftime(styles[at % len(styles)]), *row[2:]) for at, row in enumerate(LATE)]
    return text(csv_text(rows))


ZONED = tuple((who, time and f"{time}+01:00", *rest) for who, time, *rest in TRUE)
SPLIT = "subject_id,date,time,code,numeric_value,text_value,unit\n" + "".join(
    ",".join((row[0], *(row[1].split("T") if row[1] else ("", "")), *row[2:])) + "\n" for row in TRUE
)
HEADER = ",".join(NAMES)
CASES = [
    # formats
    Case("csv", text(csv_text()), "right"),
    Case("csv-semicolon", text(csv_text(sep=";")), "right"),
    Case("csv-tab", text(csv_text(sep="\t")), "right"),
    Case("csv-bar", text(csv_text(sep="|")), "right"),
    Case("csv-windows-lines", text(csv_text(end="\r\n")), "right"),
    Case("csv-old-mac-lines", text(csv_text(end="\r")), "right or refuse"),
    Case("csv-byte-order-mark", text(csv_text(), "utf-8-sig"), "right"),
    Case("csv-utf-16", text(csv_text(), "utf-16"), "right"),
    Case("csv-utf-16-big-endian", lambda: b"\xfe\xff" + csv_text().encode("utf-16-be"), "right"),
    Case("csv-utf-16-without-mark", text(csv_text(), "utf-16-le"), "right"),
    Case("csv-utf-32", text(csv_text(), "utf-32"), "refuse"),
    Case("csv-latin-1", text(with_row(text_value="Müller"), "latin-1"), "refuse", "UTF-8"),
    Case("csv-gzip", lambda: gzip.compress(csv_text().encode()), "right"),
    Case("csv-gzip-cut", lambda: gzip.compress(csv_text().encode())[:-9], "refuse", "damaged"),
    Case("csv-zip", lambda: zipped(events_csv=csv_text()), "right"),
    Case("csv-tar-gzip", lambda: tarred("events.csv", csv_text().encode()), "right"),
    Case("csv-blank-lines", text(csv_text(end="\n\n")), "right"),
    Case("csv-no-last-newline", text(csv_text().rstrip("\n")), "right"),
    Case("csv-quoted", text(csv_text([tuple(f'"{cell}"' for cell in row) for row in TRUE])), "right"),
    Case("csv-line-break-in-quotes", text(with_row(text_value='"two\nlines"')),
        "right", "", added(text_value="two\nlines")),
    Case("csv-comma-in-quotes", text(with_row(text_value='"a, b"')), "right", "", added(text_value="a, b")),
    Case("json-lines", lambda: "\n".join(json.dumps(row) for row in objects()).encode(), "right"),
    Case("json-array", lambda: json.dumps(objects()).encode(), "right"),
    Case("json-pretty", lambda: json.dumps(objects(), indent=1).encode(), "right"),
    Case("json-byte-order-mark", lambda: b"\xef\xbb\xbf" + json.dumps(objects()).encode(), "right"),
    Case("parquet", parquet, "right", file="events.parquet"),
    Case("parquet-small-row-groups", lambda: parquet(row_group_size=2), "right"),
    Case("parquet-nanoseconds", lambda: parquet(typed().astype({"time": "datetime64[ns]"})), "right"),
    Case("parquet-text-columns", lambda: parquet(pd.DataFrame(TRUE, columns=list(NAMES))), "right"),
    Case("parquet-in-zip", lambda: zipped(data__train__0_parquet=parquet()), "right"),
    Case("parquet-double-values", lambda: parquet(typed().astype({"numeric_value": np.float64})), "right"),
    Case("fhir-bundle", fhir, "right", file="bundle.json"),
    Case("fhir-lines", lambda: b"\n".join(json.dumps(e["resource"]).encode() for e in json.loads(fhir())["entry"]),
        "right"),
    Case("omop-zip", omop, "right"),
    Case("omop-zip-with-system-files", lambda: omop(__MACOSX___PERSON_csv="\0\1"), "right"),
    # column names
    Case("names-in-capitals", renamed(*(name.upper() for name in NAMES)), "right"),
    Case("names-usual-others", renamed("Patient ID", "Date", "Event", "value", "text", "units"), "right"),
    Case("names-date-and-clock", text(SPLIT), "right"),
    Case("names-twice", renamed("subject_id", "time", "code", "code", "text_value", "unit"), "refuse", "same name"),
    Case("names-twice-by-case", renamed("subject_id", "time", "code", "Code", "text", "unit"), "refuse", "same name"),
    Case("names-missing-header", text(csv_text().partition("\n")[2]), "refuse"),
    Case("names-title-line-first", text("Export of 2020\n" + csv_text()), "refuse"),
    Case("names-excel-separator-line", text("sep=;\r\n" + csv_text(sep=";", end="\r\n")), "right"),
    Case("names-blank-lines-first", text("\n\n" + csv_text(sep=";")), "right"),
    Case("names-blank-lines-among", text(csv_text().replace("\n", "\n\n")), "right"),
    Case("names-empty-columns-last", text(csv_text([(*row, "", "") for row in TRUE], (*NAMES, "", ""))), "right"),
    Case("names-filled-columns-last", text(csv_text([(*row, "a", "b") for row in TRUE], (*NAMES, "", ""))), "refuse",
        "same name"),
    Case("names-with-hyphens", text(csv_text(names=("Subject-ID", "Date/Time", *NAMES[2:]))), "right"),
    Case("markup", text("<html><body><table></table></body></html>\n"), "refuse", "XML or HTML"),
    Case("utf-32", lambda: csv_text().encode("utf-32"), "refuse", "UTF-8"),
    Case("names-two-patients-columns", text(
        csv_text([(*row, str(n)) for n, row in enumerate(TRUE)], (*NAMES, "patient_id"))), "refuse", "disagree"),
    Case("names-two-patients-columns-parquet", lambda: parquet(typed().assign(patient_id=range(len(TRUE)))),
        "refuse", "disagree"),
    Case("names-date-and-empty-clock", text(csv_text([(row[0], row[1][:10], "", *row[2:]) for row in TRUE],
        ("subject_id", "date", "time", *NAMES[2:]))), "right", "", tuple(
        (row[0], row[1] and row[1][:10] + "T00:00:00", *row[2:]) for row in TRUE)),
    Case("names-two-times-one-empty", lambda: parquet(typed().assign(date=typed()["time"], time=pd.NaT)), "right",
        "the other where it is empty"),
    Case("names-end-without-a-start", text(csv_text(
        [(*row, "2021-06-01" if n == 2 else "") for n, row in enumerate((*TRUE[:2], (PATIENT, "", *TRUE[2][2:])))],
        (*NAMES, "end_time"))), "refuse", "another column holds a date"),
    Case("names-end-without-a-start-parquet", lambda: parquet(typed().assign(
        time=typed()["time"].where(typed().index > 2), end_time=typed()["time"])), "refuse", "another column holds a"),
    Case("names-static-fact-beside-a-date", text(csv_text([(*row, "1950-05-01") for row in TRUE],
        (*NAMES, "birth_date"))), "right"),
    Case("names-static-fact-beside-a-date-parquet", lambda: parquet(typed().assign(
        birth_date=pd.Timestamp("1950-05-01"))), "right"),
    Case("names-end-with-a-start", lambda: parquet(typed().assign(end_time=typed()["time"])), "right"),
    Case("names-of-mimic", renamed("subject_id", "charttime", "code", "valuenum", "value", "valueuom"), "right"),
    Case("names-of-a-value-unknown", renamed("subject_id", "time", "code", "lab_reading", "text", "unit"),
        "refuse", "not recognised"),
    Case("names-of-a-value-unknown-json", lambda: json.dumps(
        [{**row, "numeric_value": None, "lab_reading": row["numeric_value"]} for row in objects()]).encode(),
        "refuse", "not recognised"),
    Case("names-of-a-value-unknown-parquet", lambda: parquet(typed().rename(columns={"numeric_value": "lab_reading"})),
        "refuse", "not recognised"),
    Case("names-of-a-value-german", renamed("patient_id", "time", "code", "Wert", "text", "Einheit"), "right"),
    Case("names-value-and-result", text(csv_text([(*row[:3], row[3] if n == 2 else "", *row[4:], row[3] and "1.25")
        for n, row in enumerate(TRUE)], (*NAMES[:3], "value", *NAMES[4:], "result"))), "right"),
    Case("names-value-in-second-column", text(csv_text([(*row[:3], "", *row[4:], row[3]) for row in TRUE],
        (*NAMES[:3], "value", *NAMES[4:], "result"))), "right"),
    Case("names-value-and-result-disagree", text(csv_text([(*row, row[3] and "7") for row in TRUE],
        (*NAMES[:3], "value", *NAMES[4:], "result"))), "refuse", "disagree"),
    Case("names-text-twice", text(csv_text([(*row, "a") for row in TRUE], (*NAMES, "text"))), "right", "", tuple(
        (*row[:4], f"{row[4]}; a" if row[4] else "a", row[5]) for row in TRUE)),
    Case("names-value-twice-parquet", lambda: parquet(typed().assign(number=1.0)), "right", "More than one column"),
    Case("names-numbers-of-another-kind", text(csv_text([(*row[:3], "77", *row[4:]) for row in (*TRUE[:2], TRUE[3])],
        ("subject_id", "time", "code", "hadm_id", "text", "unit"))), "right",
        "though they hold numbers: 1 column", (*TRUE[:2], TRUE[3])),
    # structure
    Case("empty", text(""), "refuse", "empty"),
    Case("empty-white-space", text(" \n\t\n"), "refuse", "empty"),
    Case("empty-only-mark", text("", "utf-8-sig"), "refuse", "empty"),
    Case("empty-header-only", text(HEADER + "\n"), "refuse", "no event"),
    Case("empty-json", text("[]"), "refuse"),
    Case("empty-parquet", lambda: parquet(typed().head(0)), "refuse"),
    Case("empty-zip", lambda: zipped(), "refuse"),
    Case("ragged-short-row", text(csv_text() + f"{PATIENT},2020-01-01,A\n"), "refuse", "number of fields"),
    Case("ragged-long-row", text(csv_text() + f"{PATIENT},2020-01-01,A,1,,mg,x\n"), "refuse", "number of fields"),
    Case("ragged-cut-short", text(csv_text()[:-20]), "refuse"),
    Case("nul-byte", text(csv_text().replace("I26.99", "I26\0.99")), "refuse", "NUL"),
    Case("open-quote", text(csv_text() + f'{PATIENT},2020-01-01,"A,1,,mg\n'), "refuse"),
    Case("field-of-a-megabyte", text(with_row(text_value="x" * (1 << 20), numeric_value="")), "right",
         rows=(*TRUE, (PATIENT, "2020-01-05T00:00:00", "LOINC//718-7", "", "x" * (1 << 20), "g/dL"))),
    Case("json-key-twice", text('{"time":"2020-01-01","code":"A","code":"B"}'), "refuse", "twice"),
    Case("json-key-twice-by-case", text('{"time":"2020-01-01","code":"A","Code":"B"}'), "refuse", "same name"),
    Case("json-key-renamed-midway", lambda: "\n".join(json.dumps(row) for row in [
        *objects(), {"subject_id": PATIENT, "time": "2020-01-05", "code": "A", "numericvalue": 3}]).encode(),
        "refuse", "change from row to row"),
    Case("json-nested", text('{"time":"2020-01-01","code":{"x":1}}'), "refuse", "nested"),
    Case("json-nested-deeply", text('{"a":' * 200_000), "refuse", "nested"),
    Case("json-array-nested-deeply", text("[" * 200_000), "refuse", "nested"),
    Case("json-cut", lambda: json.dumps(objects()).encode()[:-30], "refuse"),
    Case("json-two-arrays", lambda: json.dumps(objects()).encode() * 2, "refuse"),
    Case("json-infinity", text('{"time":"2020-01-01","code":"A","value":Infinity}'), "refuse", "infinite"),
    Case("json-huge-number", text('{"time":"2020-01-01","code":"A","value":1e999}'), "refuse", "infinite"),
    Case("json-columns", lambda: json.dumps(pd.DataFrame(objects()).to_dict("list")).encode(), "refuse", "nested"),
    Case("json-half-a-character", text('{"time":"2020-01-01","code":"A","text":"\\ud800"}'), "refuse", "half a char"),
    Case("json-half-a-character-in-a-name", text('{"time":"2020-01-01","code":"A","\\udc00":"1"}'), "refuse", "half"),
    Case("json-escaped-nul", text('{"time":"2020-01-01","code":"A","text":"a\\u0000b"}'), "refuse", "NUL"),
    Case("json-whole-character", lambda: json.dumps(objects(added(text_value="\U0001f9e0"))).encode(), "right", "",
        added(text_value="\U0001f9e0")),
    Case("parquet-nested-value", lambda: parquet(typed().drop(columns="numeric_value").assign(
        value=[{"number": 5.0}] * len(TRUE))), "refuse", "nested"),
    Case("parquet-categories", lambda: parquet(typed().astype({"text_value": "category", "unit": "category"}).assign(
        value=pd.Categorical([row[3] or None for row in TRUE])).drop(columns="numeric_value")), "right"),
    Case("parquet-truth-values", lambda: parquet(typed().drop(columns="text_value").assign(
        value=[None, None, None, True, False])), "right", "", (
        *TRUE[:3], (*TRUE[3][:4], "true", TRUE[3][5]), (*TRUE[4][:4], "false", TRUE[4][5]))),
    Case("parquet-cut", lambda: parquet()[:-40], "refuse"),
    Case("parquet-only-magic", text("PAR1PAR1"), "refuse"),
    Case("zip-bomb", bomb, "refuse", "expand"),
    Case("zip-in-zip", lambda: zipped(inner_zip=zipped(events_csv=csv_text())), "right"),
    Case("not-a-table-pdf", lambda: b"%PDF-1.7\n" + bytes(range(256)) * 10, "refuse"),
    Case("not-a-table-spreadsheet", lambda: zipped(**{"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<w/>"}),
        "refuse", "as CSV", file="events.xlsx"),
    Case("not-a-table-old-spreadsheet", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "refuse", "as CSV"),
    Case("header-again", text(csv_text() + csv_text()), "refuse", "header stands among the rows again: 1 time"),
    Case("not-a-table-prose", text("The patient came on Monday.\nShe was well.\n"), "refuse"),
    Case("not-a-table-html", text("<html><table><tr><td>time</td></tr></table></html>"), "refuse"),
    # patients
    Case("two-patients", text(with_row(subject_id="999")), "refuse", "2 patients"),
    Case("two-patients-by-leading-zero", text(with_row(subject_id="0" + PATIENT)), "refuse", "2 patients"),
    Case("two-patients-parquet", lambda: parquet(typed(added(subject_id="999"))), "refuse", "2 patients"),
    Case("two-patients-fhir", lambda: fhir(id="someone-else"), "refuse", "2 patients"),
    Case("patient-with-a-decimal", text(csv_text([*TRUE[:3], *((f"{PATIENT}.0", *row[1:]) for row in TRUE[3:])])),
        "right"),
    Case("patient-older-than-any", text(with_row(code="MEDS_BIRTH", time="1850-05-01", numeric_value="", unit="")
        .replace(",".join(TRUE[1]) + "\n", "")), "right", "older than 120 years", (TRUE[0], *TRUE[2:],
        (PATIENT, "1850-05-01T00:00:00", "MEDS_BIRTH", "", "", ""))),
    Case("two-births", text(with_row(code="MEDS_BIRTH", time="1960-01-01", numeric_value="", unit="")),
        "refuse", "birth"),
    Case("no-patient-in-a-row", text(with_row(subject_id="")), "refuse", "no patient"),
    Case("null-patient-parquet", lambda: parquet(typed().astype({"subject_id": "Int64"}).assign(
        subject_id=lambda table: table["subject_id"].where(table.index > 0))), "refuse", "no patient"),
    # times
    Case("time-zones", text(csv_text(ZONED)), "right", "UTC", tuple(
        (row[0], row[1] and (pd.Timestamp(row[1]) - pd.Timedelta(hours=1)).isoformat(), *row[2:]) for row in TRUE)),
    Case("time-zones-mixed", at("2020-01-05T10:00:00Z"), "refuse", "time zone"),
    Case("time-date-only", at("2020-01-05"), "right", "00:00", added()),
    Case("time-with-space", at("2020-01-05 00:00"), "right", "", added()),
    Case("time-30-february", at("2020-02-30"), "refuse", "Impossible"),
    Case("time-25-hours", at("2020-02-03T25:00"), "refuse", "Impossible"),
    Case("time-24-hours", at("2020-01-04T24:00"), "right or refuse", "", added()),
    Case("time-leap-second", at("2016-12-31T23:59:60"), "refuse"),
    Case("time-day-first", at("05/01/2020"), "refuse", "year-month-day"),
    Case("time-dotted", at("05.01.2020"), "refuse", "year-month-day"),
    Case("time-two-digit-year", at("20-01-05"), "refuse", "year-month-day"),
    Case("time-compact", at("20200105"), "right", "", added()),
    Case("time-compact-clock", at("20200105T000000"), "right", "", added()),
    Case("time-fourteen-digits", at("20200105000000"), "right", "", added()),
    Case("time-slashes-year-first", at("2020/01/05"), "right", "", added()),
    Case("time-single-digits", at("2020-1-5 0:00"), "right", "", added()),
    Case("time-spreadsheet", at("2020-01-05 9:05"), "right", "", added(time="2020-01-05T09:05:00")),
    Case("time-after-noon", at("2020-01-05 01:30 PM"), "right", "", added(time="2020-01-05T13:30:00")),
    Case("time-13-pm", at("2020-01-05 13:30 PM"), "refuse", "year-month-day"),
    Case("time-month-in-letters", at("05-Jan-2020"), "right", "", added()),
    Case("time-oracle", at("05-JAN-2020 00:00:00"), "right", "", added()),
    Case("time-sas", at("05JAN2020:08:15:00"), "right", "", added(time="2020-01-05T08:15:00")),
    Case("time-month-first-in-letters", at('"January 5, 2020"'), "right", "", added()),
    Case("time-german-month", at("5. Januar 2020"), "right", "", added()),
    Case("time-no-month", at("05-Kit-2020"), "refuse", "year-month-day"),
    Case("time-postgresql", zoned(" ", "+00"), "right", "UTC"),
    Case("time-bigquery", zoned(" ", " UTC"), "right", "UTC"),
    Case("time-java", zoned("T", ".000+0000"), "right", "UTC"),
    Case("time-comma-fraction", zoned("T", ",000Z"), "right", "UTC"),
    Case("time-dotted-day-first", ordered("%d.%m.%Y"), "right", "read day first", LATE),
    Case("time-slashes-day-first", ordered("%d/%m/%Y %H:%M"), "right", "read day first", LATE),
    Case("time-slashes-month-first", ordered("%m/%d/%Y"), "right", "read month first", LATE),
    Case("time-orders-mixed", ordered(*2 * ["%m/%d/%Y"], *2 * ["%d/%m/%Y"]), "refuse", "order"),
    Case("time-signs-mixed", ordered("%d/%m/%Y", "%d.%m.%Y"), "refuse", "order"),
    Case("time-orders-turned-by-a-spreadsheet", ordered("%d/%m/%Y", "%Y-%m-%d"), "refuse", "order"),
    Case("time-in-two-columns-day-first", text(
        "subject_id,date,time,code\n1,24.05.2019,9:05,A\n1,04.05.2019,10:30,B\n"), "right", "read day first",
        (("1", "2019-05-04T10:30:00", "B", "", "", ""), ("1", "2019-05-24T09:05:00", "A", "", "", ""))),
    Case("time-elsewhere-day-first", text("subject_id,time,code,noted\n1,,A,24.05.2019\n1,2019-05-01,B,\n"),
        "refuse", "another column"),
    Case("time-epoch-seconds", at("1578182400"), "refuse", "year-month-day"),
    Case("time-spreadsheet-number", at("43835"), "refuse", "year-month-day"),
    Case("time-in-words", at("5 January 2020"), "right", "", added()),
    Case("time-relative", at("yesterday"), "refuse", "year-month-day"),
    Case("time-year-zero", at("0000-01-01"), "refuse"),
    Case("time-year-9999", at("9999-12-31"), "refuse"),
    Case("time-in-the-future", at("2098-01-01"), "refuse", "future"),
    Case("time-missing-for-a-lab", at(""), "right", "Without a time", added(time="")),
    Case("time-before-birth", at("1940-01-01T00:00:00"),
        "right", "Before the date of birth", added(time="1940-01-01T00:00:00")),
    Case("time-after-death", text(csv_text((*added(), (PATIENT, "2020-01-04T00:00:00", "MEDS_DEATH", "", "", "")))),
        "right", "After the recorded death", (*added(), (PATIENT, "2020-01-04T00:00:00", "MEDS_DEATH", "", "", ""))),
    Case("time-parquet-overflow", lambda: parquet(typed().assign(
        time=np.array([2**40] * len(TRUE), "datetime64[s]"))), "refuse"),
    # values
    Case("value-decimal-comma", text(with_row(numeric_value='"13,5"')), "refuse", "decimal comma"),
    Case("value-decimal-comma-semicolons", text(csv_text(added(numeric_value="13,5"), sep=";")),
        "refuse", "decimal comma"),
    Case("value-decimal-comma-split", text(
        "time,code,value,unit\n2020-01-01,A,1,5\n2020-01-02,A,2,5\n"), "refuse", "decimal comma"),
    Case("value-thousands-comma", text(with_row(numeric_value='"1,234,567"')), "refuse", "comma"),
    Case("value-thousands-and-decimal", text(with_row(numeric_value='"1.234,5"')), "refuse", "comma"),
    Case("value-decimal-comma-first", text(with_row(numeric_value='",04"')), "refuse", "decimal comma"),
    Case("value-minus-sign", valued("\u22124.5"), "right", "", added(numeric_value="-4.5")),
    Case("value-no-break-thousands", valued("250\u00a0000"), "right", "", added(numeric_value="250000")),
    Case("value-narrow-thousands", valued("1\u202f250\u202f000.5"), "right", "", added(numeric_value="1250000.5")),
    Case("value-spaced-thousands", valued("250 000"), "right", "Kept as text",
        added(numeric_value="", text_value="250 000")),
    Case("value-swiss-thousands", valued("1'250"), "right", "Kept as text",
        added(numeric_value="", text_value="1'250")),
    Case("value-near-zero", valued("1e-60"), "refuse", "Too small"),
    Case("value-zero", valued("0.0e5"), "right", "", added(numeric_value="0")),
    Case("value-none-as-a-result", text(csv_text(
        [(*row[:3], row[3], row[4] or "", row[5]) for row in added(numeric_value="None")],
        (*NAMES[:3], "value", *NAMES[4:]))), "right", "", added(numeric_value="", text_value="None")),
    Case("value-none-among-numbers", valued("None"), "right", "", added(numeric_value="")),
    Case("unit-one", text(with_row(unit="1")), "right", "", added(unit="1")),
    Case("unit-one-of-a-whole-number", text(with_row(numeric_value="13", unit="1")), "right",
        "unit 1, read as that of plain numbers: 1 value", added(numeric_value="13", unit="1")),
    Case("unit-one-json", lambda: json.dumps(objects(added(numeric_value="13", unit="1"))).encode(), "right", "",
        added(numeric_value="13", unit="1")),
    Case("unit-one-beside-a-split-comma", text("time,code,value,unit\n2020-01-01,A,1,5\n2020-01-02,A,2,1\n"),
        "refuse", "decimal comma"),
    Case("unit-one-and-an-annotation", text(csv_text((*added(unit="{ratio}"), (PATIENT, "2020-01-06T00:00:00",
        "LOINC//718-7", "14.5", "", "1")))), "right", "", (*added(unit="{ratio}"), (PATIENT, "2020-01-06T00:00:00",
        "LOINC//718-7", "14.5", "", "1"))),
    Case("description-of-two-kinds", text("subject_id,time,code,description\n" + "".join(
        f"{row[0]},{row[1]},{code},{words}\n" for row, code, words in zip(TRUE, "XXYYY", "abccc"))), "right",
        "more than one description: 1 code", tuple(
        (row[0], row[1], code, "", "", "") for row, code in zip(TRUE, "XXYYY"))),
    Case("value-infinite", valued("inf"), "refuse", "infinite"),
    Case("value-minus-infinite", valued("-Infinity"), "refuse", "infinite"),
    Case("value-too-large", valued("1e60"), "refuse", "infinite"),
    Case("value-not-a-number", valued("NaN"), "right", "", added(numeric_value="")),
    Case("value-bound", valued("<13.5"), "right", "", added(numeric_value="", text_value="<13.5")),
    Case("value-with-unit", valued("13.5 g"), "right", "", added(numeric_value="", text_value="13.5 g")),
    Case("value-percent", valued("45%"), "right", "", added(numeric_value="", text_value="45%")),
    Case("value-hexadecimal", valued("0x10"), "right", "", added(numeric_value="", text_value="0x10")),
    Case("value-underscored", valued("1_000"), "right", "", added(numeric_value="", text_value="1_000")),
    Case("value-fraction-sign", valued("½"), "right", "", added(numeric_value="", text_value="½")),
    Case("value-exponent", valued("1.35E1"), "right", "", added()),
    Case("value-columns-disagree", text(
        "time,code,numeric_value,value\n2020-01-01,A,1,2\n"), "refuse", "different numbers"),
    Case("unit-mixture", text(with_row(code="LOINC//2160-0", unit="umol/L")), "right", "more than one unit",
        added(code="LOINC//2160-0", unit="umol/L")),
    Case("no-code", text(with_row(code=" ")), "refuse", "Without a code"),
    Case("repeated-event", text(csv_text((*TRUE, TRUE[2]))), "right", "Recorded twice", (*TRUE, TRUE[2])),
    Case("conflicting-event", text(with_row(code="LOINC//2160-0", time=TRUE[2][1], unit="mg/dL")), "right",
        "different values at the same time", added(code="LOINC//2160-0", time=TRUE[2][1], unit="mg/dL")),
    # OMOP and FHIR
    Case("omop-no-times", lambda: omop(MEASUREMENT_csv=f"person_id,measurement_concept_id\n{PATIENT},3016723\n"),
        "refuse", "no column for the time"),
    Case("omop-no-person-column", lambda: omop(CONDITION_OCCURRENCE_csv="condition_concept_id\n1\n"),
        "refuse", "person_id"),
    Case("omop-ragged", lambda: omop(MEASUREMENT_csv=OMOP["MEASUREMENT_csv"] + "1,2\n"), "refuse", "number of fields"),
    Case("fhir-month-of-birth", lambda: fhir(birthDate="1950-05"), "right", "year or month only"),
    Case("fhir-birth-out-of-calendar", lambda: fhir(birthDate="1950-13-01"), "refuse"),
]  # fmt: skip


def same_events(timeline: Timeline, rows: Sequence[Row]) -> bool:
    """Whether the timeline holds exactly these events, in time order."""
    true = typed(rows).sort_values("time", kind="stable", na_position="first", ignore_index=True)
    events = timeline.events
    pairs = [(events[name].tolist(), true[name].tolist()) for name in ("code", "text_value", "unit")]
    return (
        all(left == right for left, right in pairs)
        and events["time"].equals(true["time"])
        and np.array_equal(events["numeric_value"], true["numeric_value"], equal_nan=True)
    )


def check_refusal(error: UserFacingError, words: str) -> None:
    shown = str(error)
    assert words in shown
    assert error.found
    assert error.expected
    assert error.next_step
    assert not any(word in shown for word in (PATIENT, "Error", "Traceback", "<class", "NoneType", "dtype"))


def loaded(case: Case) -> Timeline | UserFacingError:
    try:
        return load_timeline((case.file, case.data()))
    except UserFacingError as error:
        return error


def told_of(case: Case) -> list[tuple[str, str, str]]:
    """What a case stands for: the part of a table it is about, what must become of it, and what is said then."""
    return [(case.name.split("-")[0], case.oracle, case.words)]


SAMPLED = sampled(CASES, told_of, name=lambda case: case.name)


def test_every_reason_and_note_of_the_corpus_is_in_the_sample() -> None:
    assert kinds_left_out(SAMPLED, told_of) == set()
    kinds = [told_of(case)[0] for case in CASES]
    alone = next(number for number, kind in enumerate(kinds) if kinds.count(kind) == 1)
    without = [*SAMPLED[:alone], pytest.param(CASES[alone], marks=WHOLE), *SAMPLED[alone + 1 :]]
    assert kinds_left_out(without, told_of) == {kinds[alone]}


@pytest.mark.parametrize("case", SAMPLED)
def test_the_case_meets_its_oracle(case: Case) -> None:
    timeline = loaded(case)
    if isinstance(timeline, UserFacingError):
        assert case.oracle != "right", str(timeline)
        check_refusal(timeline, case.words)
        return
    assert case.oracle != "refuse", timeline.events
    assert same_events(timeline, case.rows)
    assert case.words in " ".join(timeline.notes)


def test_the_corpus_is_large_and_judges_itself() -> None:
    """At least 60 cases of each sort of ending, distinct names, and an oracle that sees a changed number."""
    assert len({case.name for case in CASES}) == len(CASES) >= 120
    timeline = load_timeline(("events.csv", csv_text().encode()))
    assert same_events(timeline, TRUE)
    for changed in (TRUE[:-1], added(), (*TRUE[:2], (*TRUE[2][:3], "1.26", "", "mg/dL"), *TRUE[3:])):
        assert not same_events(timeline, changed)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
codes = st.builds(lambda head, rest: f"{head}//{rest}", st.sampled_from(["LOINC", "ATC", "LOCAL"]), texts).filter(
    lambda code: not outcomes([code])[0]
)
"""None that tells of a death: without a time it is left out, by rule."""
events = st.tuples(
    st.one_of(st.none(), st.integers(0, 40 * 365 * 86_400)),
    codes,
    st.one_of(st.none(), st.floats(-1e6, 1e6, width=32, allow_subnormal=False)),
    st.sampled_from(["", "mg/dL", "mmol/L", "10*3/uL"]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(events, min_size=1, max_size=12).filter(lambda rows: any(row[0] is not None for row in rows)))
def test_every_format_gives_back_what_was_written(rows: list[tuple[int | None, str, float | None, str]]) -> None:
    base = pd.Timestamp("1980-01-01")
    table = [
        (
            PATIENT,
            "" if seconds is None else (base + pd.Timedelta(seconds=seconds)).isoformat(),
            code,
            "" if number is None else repr(float(number)),
            "",
            unit,
        )
        for seconds, code, number, unit in rows
    ]
    frame = pd.DataFrame(table, columns=list(NAMES))
    sources = {
        "events.csv": frame.to_csv(index=False).encode(),
        "events.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "wide.csv": frame.to_csv(index=False).encode("utf-16"),
        "events.jsonl": "\n".join(json.dumps(row) for row in objects(table)).encode(),
        "events.json": json.dumps(objects(table)).encode(),
        "events.parquet": parquet(typed(table)),
    }
    digests = {load_timeline((name, data)).digest for name, data in sources.items()}
    assert len(digests) == 1
    assert same_events(load_timeline(("events.csv", sources["events.csv"])), table)


def guessed(question: MappingQuestion) -> dict[str, str]:
    """The answer of a reader who takes every guess."""
    return {role: guess.column for role, guess in question.guesses.items()}


@pytest.mark.parametrize(("name", "number"), [("lab_reading", "7"), ("finding_val", "<5"), ("qty", ">= 3,5")])
def test_the_names_that_are_asked_about_are_also_guessed(name: str, number: str) -> None:
    """Numbers with limits or commas are numbers to the question as they are to the refusal."""
    lines = [f"patient;time;code;{name};other", *[f"1;2020-01-0{day};A;{number};{number}" for day in (1, 2, 3)]]
    guess = suggest_mapping(("a.csv", "\n".join(lines).encode())).guesses["value"]
    assert guess.column == name


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ("labevent_id,subject_id,hadm_id,itemid,charttime,value,valuenum,valueuom", "itemid"),
        ("MRN,COLLECTION_DTTM,COMPONENT_NAME,RESULT_VALUE,REFERENCE_UNIT", "COMPONENT_NAME"),
        ("Patientennummer,Datum,Bezeichnung,Ergebnis,Einh", "Bezeichnung"),
    ],
    ids=["mimic", "mrn", "german"],
)
def test_the_columns_of_laboratories_are_guessed(names: str, code: str) -> None:
    values = {"MRN": "10", "itemid": "50931", "Einh": "mg/dL", "valueuom": "mg/dL", "REFERENCE_UNIT": "mg/dL"}
    values |= dict.fromkeys(("charttime", "Datum", "COLLECTION_DTTM"), "2019-01-02 08:30")
    values |= dict.fromkeys(("COMPONENT_NAME", "Bezeichnung"), "GLU")
    row = ",".join(values.get(name, "105") for name in names.split(","))
    source = ("labs.csv", f"{names}\n{row}\n".encode())
    mapping = guessed(suggest_mapping(source))
    assert mapping["code"] == code
    events = load_timeline(source, mapping=mapping).events
    assert events[["numeric_value", "unit"]].values.tolist() == [[105.0, "mg/dL"]]


def test_a_refused_table_of_strange_columns_is_read_once_it_is_mapped() -> None:
    """No value of the table is in the question, and the guesses read the same events."""
    strange = csv_text([row[:4] + row[5:] for row in TRUE[2:]], ("fall", "wann", "was", "wieviel", "einheit"), ";")
    source = ("export.csv", strange.encode())
    with pytest.raises(UserFacingError, match="map them"):
        load_timeline(source)
    question = suggest_mapping(source)
    assert question.is_needed
    mapping = guessed(question)
    assert mapping == {
        "subject_id": "fall", "time": "wann", "code": "was", "value": "wieviel", "unit": "einheit",
    }  # fmt: skip
    shown = repr(question)
    assert not any(value in shown for value in (PATIENT, "2020", "I26", "2160"))
    timeline = load_timeline(source, mapping=mapping)
    assert same_events(timeline, [(*row[:4], "", row[5]) for row in TRUE[2:]])
    assert list_subjects(source, mapping=mapping)["events"].tolist() == [3]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"when": "time"}, "no role"),
        ({"time": "nowhere"}, "not in the table"),
        ({"time": "time", "code": "time"}, "two roles"),
    ],
)
def test_a_wrong_mapping_is_refused(mapping: dict[str, str], words: str) -> None:
    with pytest.raises(UserFacingError, match=words):
        load_timeline(("events.csv", csv_text().encode()), mapping=mapping)


GERMAN = "subject_id;time;code;value;unit\n1;04.05.2019;GLU;5,5;mmol/L\n1;03.02.2019;PLT;1.250,5;/nL\n"
ANSWERS = {"dates": "day first", "decimals": "comma"}


def test_day_month_and_decimal_sign_are_asked_for_and_never_guessed() -> None:
    """By default refused in words; the question says what to answer; the answers read the table, with a note each."""
    source = ("labs.csv", GERMAN.encode())
    for ask, words in ((list_subjects, "Unclear whether the day"), (load_timeline, "decimal comma")):
        with pytest.raises(UserFacingError, match=words) as caught:
            ask(source)
        assert "Load page" in caught.value.next_step
    with pytest.raises(UserFacingError, match="decimal comma") as caught:
        list_subjects(source, mapping={"dates": "day first"})
    assert "Load page" in caught.value.next_step
    question = suggest_mapping(source)
    assert question.is_needed
    assert question.ways == ("dates", "decimals")
    for mapping in (ANSWERS, guessed(question) | ANSWERS):
        assert list_subjects(source, mapping=mapping)["first"].tolist() == [pd.Timestamp("2019-02-03")]
        timeline = load_timeline(source, mapping=mapping)
        assert timeline.events["time"].tolist() == [pd.Timestamp("2019-02-03"), pd.Timestamp("2019-05-04")]
        assert timeline.events["numeric_value"].tolist() == [1250.5, 5.5]
        assert timeline.events["text_value"].tolist() == [None, None]
        notes = " ".join(timeline.notes)
        assert "read day first, as answered" in notes
        assert "The comma was read as the decimal sign" in notes
    other = load_timeline(source, mapping=ANSWERS | {"dates": "month first"})
    assert other.events["time"].tolist() == [pd.Timestamp("2019-03-02"), pd.Timestamp("2019-04-05")]


@pytest.mark.parametrize("stored", ["05.06.2019", "2019-06-05", "05.25.2019"])
def test_the_columns_of_times_of_a_table_have_one_order(stored: str) -> None:
    """What one column tells holds for the other; where they contradict each other, neither is read."""
    source = ("a.csv", f"subject_id,time,storetime,code\n1,24.05.2019,{stored},A\n1,23.05.2019,,B\n".encode())
    if stored == "05.25.2019":
        with pytest.raises(UserFacingError, match="nclear whether the day"):
            load_timeline(source)
        return
    timeline = load_timeline(source, prediction_time="2019-06-04")
    assert "read day first" in " ".join(timeline.notes)
    assert timeline.events["code"].tolist() == ["B"]


def test_answers_read_texts_in_parquet_too() -> None:
    table = pd.DataFrame({"subject_id": [1], "time": ["04.05.2019"], "code": ["GLU"], "value": ["5,5"]})
    timeline = load_timeline(("a.parquet", parquet(table)), mapping=ANSWERS)
    assert timeline.events[["time", "numeric_value"]].values.tolist() == [[pd.Timestamp("2019-05-04"), 5.5]]


@pytest.mark.parametrize(
    ("value", "decimals", "number"),
    [
        ("5,5", "comma", 5.5), (",5", "comma", 0.5), ("-1.234.567,5", "comma", -1234567.5),
        ("1 250,5", "comma", 1250.5),
        ("1.250", "comma", 1250), ("12", "comma", 12), ("1,5e3", "comma", 1500),
        ("1,250", "point", 1250), ("1,250,000.5", "point", 1250000.5), ("13.5", "point", 13.5),
        ("5.5", "comma", None), ("0.125", "comma", None), ("5,5", "point", None), ("0,125", "point", None),
    ],
)  # fmt: skip
def test_numbers_are_read_by_the_sign_that_was_answered_or_refused(
    value: str, decimals: str, number: float | None
) -> None:
    source = ("a.csv", f"subject_id;time;code;value\n1;2020-01-01;A;{value}\n".encode())
    if number is not None:
        events = load_timeline(source, mapping={"decimals": decimals}).events
        assert events["numeric_value"].tolist() == [np.float32(number)]
        return
    with pytest.raises(UserFacingError, match="decimal"):
        load_timeline(source, mapping={"decimals": decimals})


def test_a_date_that_the_answered_order_does_not_allow_is_refused() -> None:
    source = ("a.csv", b"subject_id,time,code\n1,24/05/2019,A\n")
    assert "read day first, as only" in " ".join(load_timeline(source).notes)
    with pytest.raises(UserFacingError, match="order"):
        load_timeline(source, mapping={"dates": "month first"})
    with pytest.raises(UserFacingError, match="no answer on the dates"):
        load_timeline(source, mapping={"dates": "year first"})


def test_a_usual_table_asks_nothing() -> None:
    question = suggest_mapping(("events.csv", csv_text().encode()))
    assert not question.is_needed
    assert question.doubts == ()
    assert all(guess.sure for guess in question.guesses.values())


@pytest.mark.parametrize("name", ["names-of-a-value-unknown", "names-value-and-result-disagree"])
def test_what_is_refused_for_its_columns_is_asked_for(name: str) -> None:
    """The Load page asks, with the reason; the answer reads the table."""
    case = next(case for case in CASES if case.name == name)
    source = (case.file, case.data())
    with pytest.raises(UserFacingError) as caught:
        list_subjects(source)
    question = suggest_mapping(source)
    assert question.is_needed
    assert caught.value.found in question.doubts
    assert same_events(load_timeline(source, mapping=guessed(question)), TRUE)
