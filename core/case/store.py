"""Values kept for one session: made once, the least recently used dropped where there is no more room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


class Kept:
    """Named stores of bounded size.

    >>> kept = Kept()
    >>> [kept.of("squares", n, 2, lambda n=n: n * n) for n in (1, 2, 3)]
    [1, 4, 9]
    >>> kept.of("squares", 3, 2, lambda: -1), kept.of("squares", 1, 2, lambda: -1)
    (9, -1)
    >>> kept.of("squares", 3, 2, lambda: -1), kept.of("squares", 4, 2, lambda: 16), kept.get("squares", 3)
    (9, 16, 9)
    """

    def __init__(self) -> None:
        self._stores: dict[str, OrderedDict[object, object]] = {}

    def of(self, store: str, key: object, limit: int, make: Callable[[], T]) -> T:
        """The value of `key` in a store: made where it is not there, in the place of the one unused longest beyond
        `limit`."""
        values = self._stores.setdefault(store, OrderedDict())
        if key in values:
            values.move_to_end(key)
            return cast("T", values[key])
        value = make()
        values[key] = value
        while len(values) > limit:
            values.popitem(last=False)
        return value

    def get(self, store: str, key: object) -> object | None:
        """The value of `key` where it is kept, else None."""
        values = self._stores.get(store)
        return None if values is None else values.get(key)
