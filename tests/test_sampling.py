"""What `make test` leaves to `make test-all` is known to the rest: no kind of case is ever left out of a sample."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_tests import LONG_TESTS
from sampling import WHOLE, in_sample, kinds_left_out, left_out, sampled


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc"))), st.integers(1, 9))
def test_every_kind_is_in_the_sample_and_one_in_some_besides(cases: list[tuple[int, str]], one_in: int) -> None:
    chosen = in_sample(cases, list, one_in)
    assert all(chosen[::one_in])
    assert kinds_left_out(sampled(cases, list, one_in=one_in), list) == set()
    kinds = {kind for case in cases for kind in case}
    assert sum(chosen) <= len(kinds) + len(cases[::one_in])


def test_a_kind_that_is_left_out_is_seen() -> None:
    parameters = [pytest.param(1, "a"), pytest.param(2, "a", marks=WHOLE), pytest.param(1, "b", marks=[WHOLE])]
    assert kinds_left_out(parameters, list) == {2, "b"}
    assert kinds_left_out([pytest.param("a", marks=WHOLE)], lambda case: [case]) == {"a"}


def test_the_sample_is_the_same_each_time() -> None:
    cases = [(number % 7, number) for number in range(500)]
    first, second = (in_sample(cases, lambda case: [case[0]]) for _ in range(2))
    assert first == second
    assert sum(first) == 50 + 6


def test_of_a_long_test_the_first_case_and_one_in_some_are_run() -> None:
    tests = [("a.py", "long"), ("a.py", "short"), *[("a.py", "many")] * 5, ("b.py", "many")]
    assert left_out(tests, {"a.py": {"long": 0, "many": 3}}) == [True, False, False, True, True, False, True, False]


@pytest.mark.parametrize("file", LONG_TESTS)
def test_each_test_that_is_called_long_is_there(file: str) -> None:
    tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert set(LONG_TESTS[file]) <= defined
