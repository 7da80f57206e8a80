"""Widgets that are about the case on screen, and about no other.

Whatever is sent from the page carries the values of all its widgets, and what is sent just before another case is drawn
reaches the server after it.
"""

from __future__ import annotations

from collections.abc import Callable

from core import session


def of_case(name: str) -> str:
    """The key of a widget about the case on screen; under a key of its own, its value changes nothing of another."""
    return f"{name}_{session.cases_shown()}"


def for_this_case(deed: Callable[[], None]) -> Callable[[], None]:
    """A widget's callback that does nothing once another case is on screen: Streamlit still calls those of widgets that
    are gone."""
    number = session.cases_shown()

    def guarded() -> None:
        if session.cases_shown() == number:
            deed()

    return guarded
