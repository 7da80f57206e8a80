"""What the judgement of words remembers while a search lasts, and forgets with it: no cache keeps a patient's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper, lru_cache, wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_KEPT: list[_lru_cache_wrapper[Any]] = []
_LOCK = Lock()
_under_way = 0


def remembered(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Keep up to `most` results of a function of text while a search is under way, and none outside of one."""

    def decorate(judge: Callable[P, T]) -> Callable[P, T]:
        cached = lru_cache(most)(judge)
        _KEPT.append(cached)
        kept = cast("Callable[P, T]", cached)

        @wraps(judge)
        def judged(*args: P.args, **kwargs: P.kwargs) -> T:
            return kept(*args, **kwargs) if _under_way else judge(*args, **kwargs)

        return judged

    return decorate


@contextmanager
def search_under_way() -> Iterator[None]:
    """While one or several of these last, results are remembered; all are forgotten when the last ends."""
    global _under_way
    with _LOCK:
        _under_way += 1
    try:
        yield
    finally:
        with _LOCK:
            _under_way -= 1
            for cached in () if _under_way else _KEPT:
                cached.cache_clear()
