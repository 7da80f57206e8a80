"""Judging words is quick because results are remembered, and safe because they are forgotten with the search."""

from __future__ import annotations

import threading
from contextlib import suppress

from core.intake.identifiers.text import remembered as memory
from core.intake.identifiers.text.remembered import remembered, search_under_way
from core.intake.identifiers.where.events import doubts_of
from core.privacy import find_identifiers
from core.timeline import load_timeline


def counting() -> tuple[list[str], object]:
    asked: list[str] = []

    @remembered(8)
    def judge(word: str) -> int:
        asked.append(word)
        return len(word)

    return asked, judge


def test_results_are_remembered_while_a_search_is_under_way_and_no_longer() -> None:
    asked, judge = counting()
    assert [judge("quorn"), judge("quorn")] == [5, 5]
    assert asked == ["quorn"] * 2
    with search_under_way():
        assert [judge("quorn"), judge("quorn")] == [5, 5]
    assert asked == ["quorn"] * 3
    with search_under_way():
        judge("quorn")
    assert asked == ["quorn"] * 4


def test_they_are_forgotten_with_the_last_of_several_searches_also_after_a_fault() -> None:
    asked, judge = counting()
    with search_under_way():
        with suppress(ValueError), search_under_way():
            judge("quorn")
            raise ValueError
        judge("quorn")
    with search_under_way():
        judge("quorn")
    assert asked == ["quorn"] * 2


def test_searches_of_two_sessions_at_once_end_with_nothing_remembered() -> None:
    asked, judge = counting()
    both = threading.Barrier(2)

    def search() -> None:
        with search_under_way():
            both.wait()
            judge("quorn")
            both.wait()

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = len(asked)
    with search_under_way():
        judge("quorn")
    assert len(asked) == before + 1


def remembered_results() -> int:
    return sum(cached.cache_info().currsize for cached in memory._KEPT)


def test_nothing_of_a_record_or_the_name_of_a_file_is_left_behind_by_a_search() -> None:
    table = b"subject_id,time,code,text_value\n1,2020-01-01,NOTE,seen with Quellenhauser\n"
    source = ("Quellenmeister.Otto.csv", table)
    assert remembered_results() == 0
    with search_under_way():
        assert find_identifiers(source)
        assert doubts_of(load_timeline(source, prediction_time="2021-01-01"))
        assert remembered_results() > 0
    assert remembered_results() == 0
    find_identifiers(source)
    doubts_of(load_timeline(source, prediction_time="2021-01-01"))
    assert remembered_results() == 0
