"""A judge of texts: tells what the judgement of each text tells, and keeps nothing when its search is over."""

from __future__ import annotations

import gc
import json

import pytest

from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.judge import Judge
from core.intake.identifiers.where.json_fields import FieldSearch
from core.privacy import find_identifiers

TEXTS = [
    "seen by Dr Quartzson", "Pleural effusion", "quartzson", "Quartzson, Ada", "97 F", "1944", "19440312", "55123", "7",
    "2019-03-04 10:15:00", "12.03.1944", "03/12", "555-010-1234", "10.12.4.7", "#90412", "-0.5", "", "  ", "²", "٣٤",
    "Creatinine in serum", "MAPLE, RUTH", "110105194912310025",
]  # fmt: skip


@pytest.mark.parametrize("words", [frozenset(), frozenset({"quartzson", "55123"})])
def test_a_judge_tells_what_each_text_tells_the_first_time_and_again(words: frozenset[str]) -> None:
    judge = Judge(words)
    numbers = [str(number) for number in (*range(1800, 2101, 7), *range(0, 1_000_000, 9973), *range(90, 130))]
    for text in (*TEXTS, *numbers, *TEXTS):
        for is_term in (False, True):
            assert judge.categories(text, is_term=is_term) == in_free_text(text, words, is_term=is_term), text


def test_a_judge_that_knows_other_words_is_another_one() -> None:
    judge = Judge()
    assert judge.categories("quartzson") == set()
    assert judge.knowing(frozenset()) is judge
    assert judge.knowing(frozenset({"quartzson"})).categories("quartzson") == {"name"}


@pytest.mark.parametrize(("name", "expected"), [("7731 4482 19", True), ("S_4482771", True), ("value_2", False)])
def test_a_name_of_a_field_that_is_a_number_is_told_each_time(name: str, expected: bool) -> None:
    judge = Judge()
    assert [judge.is_number(name), judge.is_number(name)] == [expected] * 2


def test_nothing_that_was_read_is_kept_when_a_search_is_over() -> None:
    """The negative control: while a judge is held, its texts are."""
    secret = "Quartzson Malachite of Feldspar Road"
    record = json.dumps({"note": secret, "code": "X", "subject_id": 1, "time": "2019-03-04"}).encode()
    table = f"subject_id,time,code,text_value\n1,2019-03-04,X,{secret}\n".encode()
    held = Judge()
    held.categories(secret)
    assert secret in str(held.__dict__)
    del held
    assert find_identifiers([("a.json", record), ("a.csv", table)], pixels=False)
    gc.collect()
    assert not [item for item in gc.get_objects() if isinstance(item, (Judge, FieldSearch))]


def test_a_repeated_value_is_found_once_in_each_place() -> None:
    resources = [
        {"resourceType": kind, "note": [{"text": "seen by Dr Quartzson"}] * 3} for kind in ("Condition", "Goal")
    ]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources * 2]}
    found = find_identifiers(("b.json", json.dumps(bundle).encode()), pixels=False)
    assert len({(item.category, item.where) for item in found}) == len(found)
    assert sum(item.category == "name" for item in found) == 2
