"""Samples of long lists of cases: `make test` runs the first case of each kind and one in some of the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pytest

WHOLE = pytest.mark.whole
"""Outside the sample: only `make test-all` runs it."""
T = TypeVar("T")
Kinds = Callable[[T], Collection[Hashable]]


def in_sample(cases: Sequence[T], kinds: Kinds[T], one_in: int = 10) -> list[bool]:
    """For each case whether it is the first of one of its kinds, or every `one_in`th."""
    seen: set[Hashable] = set()
    chosen = []
    for number, case in enumerate(cases):
        new = set(kinds(case)) - seen
        seen |= new
        chosen.append(bool(new) or number % one_in == 0)
    return chosen


def sampled(
    cases: Iterable[T], kinds: Kinds[T], *, name: Callable[[T], str] | None = None, one_in: int = 10
) -> list[Any]:
    """Every case as what `parametrize` takes, marked `whole` where it is outside the sample.

    kinds: what a case stands for (the reason of a refusal, the note of a repair); each is in the sample. A tuple is
    the values of several arguments.
    """
    listed = list(cases)
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            id=name(case) if name else None,
            marks=() if chosen else (WHOLE,),
        )
        for case, chosen in zip(listed, in_sample(listed, kinds, one_in), strict=True)
    ]


def kinds_left_out(parameters: Iterable[Any], kinds: Kinds[Any]) -> set[Hashable]:
    """Kinds that occur among parameters, and in none that `make test` runs."""
    every: set[Hashable] = set()
    run: set[Hashable] = set()
    for parameter in parameters:
        found = set(kinds(parameter.values[0] if len(parameter.values) == 1 else parameter.values))
        every |= found
        if not any(mark.name == WHOLE.name for mark in parameter.marks):
            run |= found
    return every - run


def left_out(tests: Iterable[tuple[str, str]], long: Mapping[str, Mapping[str, int]]) -> list[bool]:
    """For each (file, function) in turn whether `make test` leaves that case out, as `LONG_TESTS` says."""
    counted: dict[tuple[str, str], int] = {}
    found = []
    for file, function in tests:
        one_in = long.get(file, {}).get(function, 1)
        number = counted[file, function] = counted.get((file, function), -1) + 1
        found.append(one_in == 0 or number % one_in != 0)
    return found
