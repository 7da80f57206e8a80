"""Situations of public bug reports: each record is read right, or refused with what to do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.errors import UserFacingError
from core.intake.record.columns.roles import NO_COLUMN
from core.records import Timeline
from core.timeline import list_subjects, load_timeline, suggest_mapping

CASES = Path(__file__).resolve().parents[4] / "shared" / "data" / "public_cases"
needed = pytest.mark.skipif(not CASES.is_dir(), reason="the public situations are not beside the checkout")


def values(timeline: Timeline) -> list[tuple[str, float | None, str | None]]:
    """(code, number, text) of the events with a value."""
    rows = timeline.events[["code", "numeric_value", "text_value"]].itertuples(index=False)
    told = [(code, None if pd.isna(number) else float(number), text or None) for code, number, text in rows]
    return [row for row in told if row[1:] != (None, None)]


def said(timeline: Timeline, words: str) -> bool:
    return any(words in note for note in timeline.notes)


def written(form: str, **columns: list[Any]) -> tuple[str, bytes]:
    """A table of these columns as a file."""
    table, out = pd.DataFrame(columns), io.BytesIO()
    table.to_csv(out, index=False) if form == "csv" else table.to_parquet(out)
    return f"table.{form}", out.getvalue()


TWO = CASES / "two_people_mapped"
PART = {"time": "LBDTC", "code": "LBTESTCD"}


@needed
def test_two_people_are_not_merged_by_an_answer_on_other_columns() -> None:
    for read in (load_timeline, list_subjects):
        with pytest.raises(UserFacingError, match="told apart by a column whose name is not recognised"):
            read(TWO, mapping=PART)
    question = suggest_mapping(TWO, mapping=PART)
    assert question.is_needed
    assert question.guesses["subject_id"].column == "USUBJID", "asked with the answer that fits"
    assert {role: question.guesses[role].column for role in PART} == PART, "what was answered stays"
    named = {**PART, "subject_id": "USUBJID"}
    assert list_subjects(TWO, mapping=named)["events"].tolist() == [2, 2]
    with pytest.raises(UserFacingError, match="events of 2 patients"):
        load_timeline(TWO, mapping=named)
    full = {**named, "value": "LBORRES", "unit": "LBORRESU"}
    assert values(load_timeline(TWO, mapping=full, subject_id=1)) == [
        ("HGB", pytest.approx(13.2), None),
        ("HGB", pytest.approx(13.1), None),
    ]


@needed
def test_an_answer_on_the_value_leaves_its_unit_to_be_asked() -> None:
    answer = {**PART, "subject_id": "USUBJID", "value": "LBORRES"}
    with pytest.raises(UserFacingError, match="units seem to stand"):
        load_timeline(TWO, mapping=answer, subject_id=1)
    assert suggest_mapping(TWO, mapping=answer).guesses["unit"].column == "LBORRESU"
    one = load_timeline(TWO, mapping={**answer, "unit": NO_COLUMN}, subject_id=1)
    assert one.events["unit"].isna().all()


CLOCKED = {"pid": ["1", "1"], "tag": ["2020-03-01", "2020-03-02"], "uhr": ["08:30", "09:15"], "was": ["BNP", "BNP"],
           "laborwert": ["12.5", "13.5"], "dimension": ["ng/L", "ng/L"]}  # fmt: skip
FULL = {"subject_id": "pid", "time": "tag", "code": "was", "value": "laborwert", "unit": "dimension"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("left", "words"), [("clock", "times of day seem"), ("unit", "units seem"), ("value", "numbers seem")]
)
def test_each_question_on_columns_is_asked_until_it_is_answered(left: str, words: str, form: str) -> None:
    source = [written(form, **CLOCKED)]
    clocked = {**FULL, "date": "tag", "time": "uhr"}
    answer = {role: name for role, name in (FULL if left == "clock" else clocked).items() if role != left}
    with pytest.raises(UserFacingError, match=words):
        load_timeline(source, mapping=answer)
    question = suggest_mapping(source, mapping=answer)
    assert question.is_needed
    assert any(words in doubt for doubt in question.doubts)
    assert load_timeline(source, mapping=clocked).events["time"].tolist() == [
        pd.Timestamp("2020-03-01 08:30"),
        pd.Timestamp("2020-03-02 09:15"),
    ]
    none = {**answer, left: NO_COLUMN} if left != "clock" else {**answer, "date": NO_COLUMN}
    assert len(load_timeline(source, mapping=none).events) == 2


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_page_offers_day_and_time_of_day_of_two_columns(form: str) -> None:
    question = suggest_mapping([written(form, **CLOCKED)])
    guessed = {role: guess.column for role, guess in question.guesses.items()}
    assert guessed == {**FULL, "date": "tag", "time": "uhr"}
    timeline = load_timeline([written(form, **CLOCKED)], mapping=guessed)
    assert timeline.events["time"].tolist()[0] == pd.Timestamp("2020-03-01 08:30")


def test_people_told_apart_by_their_names_are_guessed_to_be_the_patients() -> None:
    source = [written("csv", **{**CLOCKED, "patient_name": ["Roe, A", "Doe, B"], "pid": ["", ""]})]
    assert suggest_mapping(source).guesses["subject_id"].column == "patient_name"
