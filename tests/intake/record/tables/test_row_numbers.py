"""Refusals about rows say in which lines of a text, or rows of a parquet file, these stand, and no content."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserFacingError
from core.timeline import list_subjects, load_timeline, suggest_mapping

HEADER = "subject_id,time,code,value,unit"
GOOD = "7,2020-01-0{},LAB//K,4.1,mmol/L"


def refusal(source: object) -> str:
    """What was found, told alike when patients are listed, where that refuses, and when one is read."""
    with pytest.raises(UserFacingError) as refused:
        load_timeline(source, subject_id=7)
    assert listing(source) in ("", refused.value.found)
    return str(refused.value.found)


def listing(source: object) -> str:
    """Why the patients of a source are not listed, "" where they are."""
    try:
        list_subjects(source)
    except UserFacingError as error:
        return str(error.found)
    return ""


def table(rows: Sequence[str], *, before: str = "", end: str = "\n") -> list[tuple[str, bytes]]:
    return [("t.csv", (before + end.join((HEADER, *rows, ""))).encode())]


def good(count: int) -> list[str]:
    return [GOOD.format(1 + row % 9) for row in range(count)]


ODD = {
    "ragged": ("7,2020-01-01,LAB//K,4.1", "With another number of fields than the header: {} row{s}{}."),
    "long": ("7,2020-01-01,LAB//K,4,1,mmol/L", "With another number of fields than the header: {} row{s}{}."),
    "february": ("7,2020-02-30,LAB//K,4.1,mmol/L", "Impossible, such as a 30th of February or 25:10: {} time{s}{}."),
    "clock": ("7,2020-02-03 25:10,LAB//K,4.1,", "Impossible, such as a 30th of February or 25:10: {} time{s}{}."),
    "no date": ("7,yesterday,LAB//K,4.1,mmol/L", "Not written as year-month-day: {} time{s}{}."),
    "year": ("7,2020,LAB//K,4.1,mmol/L", "Years alone, without month and day: {} time{s}{}."),
    "ancient": ("7,1066-10-14,LAB//K,4.1,mmol/L", "Before 1850 or after 2261: {} time{s}{}."),
    "no code": ("7,2020-01-01, ,4.1,mmol/L", "Without a code: {} event{s}{}."),
    "infinite": ("7,2020-01-01,LAB//K,inf,mmol/L", "Some numeric values are infinite{}."),
    "too large": ("7,2020-01-01,LAB//K,1e60,mmol/L", "Some numeric values are infinite{}."),
    "too small": ("7,2020-01-01,LAB//K,1e-60,mmol/L", "Too small to be told from 0: {} value{s}{}."),
    "unit": (
        "7,2020-01-01,LAB//K,4.1,4.1-5.2",
        "With a number, a range or a date in place of the unit: {} value{s}{}.",
    ),
    "nobody": (",2020-01-01,LAB//K,4.1,mmol/L", "Naming no patient: {} event{s}{}."),
    "header": (HEADER, "The header stands among the rows again: {} time{s}{}."),
}
PLACES = {
    (323,): ", in line 323",
    (12, 40): ", in lines 12 and 40",
    (12, 40, 323): ", in lines 12, 40 and 323",
    (3, 12, 40, 323): ", first in lines 3, 12 and 40",
}


@pytest.mark.parametrize("lines", PLACES)
@pytest.mark.parametrize("case", ODD)
def test_rows_that_are_refused_are_named_by_their_lines(case: str, lines: tuple[int, ...]) -> None:
    row, words = ODD[case]
    rows = good(400)
    for line in lines:
        rows[line - 2] = row
    words = words.replace("{}", str(len(lines)), 1) if "{s}" in words else words
    assert refusal(table(rows)) == words.replace("{s}", "s" if len(lines) > 1 else "").replace("{}", PLACES[lines])


@settings(max_examples=60, deadline=None)
@given(
    lead=st.sampled_from(["", "\n", "sep=,\n", "\n \nsep=,\n\n", "\ufeff", "\ufeffsep=,\n"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    rows=st.lists(st.sampled_from(["good", "blank", "commas", "two lines", "three lines", "bad"]), max_size=12),
    odd=st.sampled_from(["ragged", "february", "no code", "infinite"]),
)
def test_lines_are_counted_as_an_editor_shows_them(lead: str, end: str, rows: list[str], odd: str) -> None:
    """Whatever stands before: blank lines, a line for Excel, and lines within quotes."""
    kinds = {
        "good": GOOD.format(1), "blank": "", "commas": ",,,,", "two lines": '7,2020-01-02,"LAB\n//K",4.1,',
        "three lines": '7,2020-01-02,LAB//K,"a\n\nb",', "bad": ODD[odd][0],
    }  # fmt: skip
    lines = [*lead.split("\n")[:-1], lead.split("\n")[-1] + HEADER]
    bad = []
    for kind in [*rows, "bad"]:
        bad += [len(lines) + 1] if kind == "bad" else []
        lines += kinds[kind].split("\n")
    found = refusal([("t.csv", (end.join(lines) + end).encode())])
    named = [
        int(word) for word in found.rpartition(" in line")[2].strip("s.").replace("and", "").replace(",", "").split()
    ]
    assert named == bad[:3]
    assert ("first in" in found) is (len(bad) > 3)


def test_json_lines_are_counted_likewise_and_an_array_has_none() -> None:
    rows = [{"subject_id": 7, "time": "2020-01-01", "code": "K"} for _ in range(5)]
    rows[3]["time"] = "2020-02-30"
    texts = [json.dumps(row) for row in rows]
    assert refusal([("t.jsonl", "\n".join(texts).encode())]).endswith("1 time, in line 4.")
    assert refusal([("t.jsonl", "\n\n".join(texts).encode())]).endswith("1 time, in line 7.")
    assert refusal([("t.json", f"[{','.join(texts)}]".encode())]).endswith("1 time.")


def test_of_parquet_the_rows_are_counted() -> None:
    """Identifiers in words make a table that is read as text is."""
    out, days = io.BytesIO(), ["2020-01-01", "2020-02-30", "2020-01-03"]
    pd.DataFrame({"patient": ["a", "a", "a"], "time": days, "code": "K"}).to_parquet(out)
    with pytest.raises(UserFacingError, match="1 time, in row 2"):
        load_timeline([("t.parquet", out.getvalue())])


def test_of_several_files_the_file_and_the_line_are_named() -> None:
    for odd in ("ragged", "february", "no code", "infinite"):
        parts = [("a.csv", table([*good(3), ODD[odd][0]])[0][1]), ("b.csv", table(good(3))[0][1])]
        for order, file in ((parts, 1), ([("z.csv", parts[0][1]), parts[1]], 2)):
            found = refusal(order)
            assert "in line 5" in found, odd
            assert f"file {file}" in found.lower(), odd
            assert found.endswith(("by name.", "in line 5.")), odd


def test_beside_another_patient_and_rows_left_out_the_lines_stay() -> None:
    rows = ["8,2020-01-01,LAB//K,4.1,mmol/L,F,final", "7,2020-01-01,LAB//K,4.1,,F,cancelled"] * 3
    source = [("t.csv", "\n".join((f"{HEADER},sex,status", *rows, "7,2020-01-01,,4.1,,F,final")).encode())]
    assert refusal(source) == "Without a code: 1 event, in line 8."


def test_a_mapped_table_says_the_same() -> None:
    rows = "".join(f"7;{day};Kalium;4.1\n" for day in ("2020-01-01", "2020-02-30", "2020-01-03"))
    source = [("t.csv", f"mrn;wann;was;wert\n{rows}".encode())]
    answer = {"subject_id": "mrn", "time": "wann", "code": "was", "value": "wert"}
    with pytest.raises(UserFacingError, match="1 time, in line 3"):
        load_timeline(source, mapping=answer)
    question = suggest_mapping(source, mapping={suggest_mapping(source).layout: answer})
    assert question.doubts == ("Impossible, such as a 30th of February or 25:10: 1 time, in line 3.",)
