"""When events were recorded, as columns beside the times of the events say: from then on an event is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from core.errors import UserFacingError
from core.events.cut import KNOWN_FROM
from core.intake.record.columns.names import alike
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.columns.times import parse_times
from core.intake.record.columns.unknown import count_dates, holds_clocks
from core.wording import count_of

RECORDED = "A column says when events were recorded: each stands at its own time, and is known from its recording on."
SEVERAL_RECORDED = "Several columns say when an event was recorded; it is known from the latest of them."
RECORDED_AS_TIME = (
    "The column chosen for the time is, by its name, that of when events were recorded; they may have happened earlier."
)
_NO_DATES = "Not read, as they hold no dates, though their names say when events were recorded"


def recorded_columns(names: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """The columns that say when events were recorded, but for those that are taken for something else.

    Where the first of them is no field, a reader has answered that there is none.
    """
    others = {name for field, name in fields.items() if field != KNOWN_FROM}
    if KNOWN_FROM not in fields:
        return []
    first = fields[KNOWN_FROM]
    return [first, *(name for name in alike(names, KNOWN_FROM) if name not in (first, *others))]


def known_from(columns: pd.DataFrame, is_answered: bool, notes: list[str]) -> pd.DataFrame:
    """The latest of the columns, as ISO 8601, in one column `known_from`; no column where none holds dates.

    Raises UserFacingError where some are no dates, and for times of day alone, unless a reader has answered on them.
    """
    dated = [name for name in columns if count_dates(columns[name])[0]]
    if not is_answered and any(holds_clocks(columns[name]) for name in columns):
        raise UserFacingError(
            "The column that says when events were recorded holds times of day alone.",
            "date and time in it; the time of day of the event itself in a column called time",
            "Rename or complete it, or map the columns where the Load page asks.",
        )
    if empty := sum(name not in dated and bool((plain_texts(columns[name]) != "").any()) for name in columns):
        notes.append(f"{_NO_DATES}: {count_of(empty, 'column')}.")
    if not dated:
        return pd.DataFrame(index=columns.index)
    notes += [RECORDED, SEVERAL_RECORDED][: len(dated)]
    return pd.DataFrame({KNOWN_FROM: latest([columns[name] for name in dated])})


def latest(columns: Sequence[pd.Series[str]]) -> pd.Series[str]:
    """Row by row, the text of the latest time. Raises UserFacingError where one is none."""
    texts, times = plain_texts(columns[0]), _times(columns[0])
    for other in columns[1:]:
        moments = _times(other)
        later = moments.notna() & ~(moments <= times)
        texts, times = texts.where(~later, plain_texts(other)), times.where(~later, moments)
    return texts


def _times(column: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    try:
        return parse_times(column, [])
    except UserFacingError as error:
        raise error.where("Where the table says when events were recorded") from error
