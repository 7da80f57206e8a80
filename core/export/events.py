"""Events in words, and which of them moved a prediction most: the same on screen and in every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.concepts import concept_of
from core.events.descriptions import describe, usual_words
from core.events.standard_codes import standard_code
from core.records import BIRTH, EventAttribution, Timeline
from core.wording import OLDEST_YEARS, true_minus

TOP_EVENTS = 8
LEAST_CHANGE = 0.01
"""Of the log cumulative hazard: what changes it by less, about 1%, is not called strong."""
NONE_STRONG = "No event changes the risk by 1% or more"
TIMES = "\u00d7 "
LONGEST_NAME = 34
SHORT_DAYS = 90
"""Times shorter than this are told in days alone."""
UNIT_WORDS = {
    "mm[Hg]": "mmHg",
    "10*3/uL": "\u00d710\u00b3/\u00b5L",
    "Cel": "\u00b0C",
    "/min": "per min",
    "kg/m2": "kg/m\u00b2",
}
"""Everyday spelling of UCUM units that read oddly."""


def unit_words(unit: str) -> str:
    """A unit as clinicians write it.

    >>> unit_words("mm[Hg]"), unit_words("mg/dL")
    ('mmHg', 'mg/dL')
    """
    return UNIT_WORDS.get(unit, unit)


def value_words(value: float, text: object, unit: object) -> str:
    """Number with unit, beside it a text that says more than the number; or text, or nothing.

    >>> value_words(2310.0, None, "pg/mL"), value_words(float("nan"), "Ever smoker", None), value_words(-2.5, None, "")
    ('2,310 pg/mL', 'Ever smoker', '−2.5')
    >>> value_words(5.0, "<5", "mg/L"), value_words(5.0, "5.0 mg/L", "mg/L"), value_words(6.1, "hemolysed", None)
    ('5 mg/L (<5)', '5 mg/L', '6.1 (hemolysed)')
    """
    said = text.strip() if isinstance(text, str) else ""
    if not np.isfinite(value):
        return said
    suffix = unit if isinstance(unit, str) else ""
    digits = true_minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}")
    number = f"{digits} {unit_words(suffix)}" if suffix else digits
    return f"{number} ({said})" if said and not _repeats(said, value, suffix) else number


def _repeats(text: str, value: float, unit: str) -> bool:
    """Whether a text is the number itself, with or without its unit."""
    try:
        return bool(np.isclose(float(text.removesuffix(unit).strip().replace(",", "")), value))
    except ValueError:
        return False


def day_words(day: float) -> str:
    """Time before the prediction in words; a long one also as the axis says it.

    >>> day_words(0.0), day_words(-0.2), day_words(-1), day_words(-1400), day_words(float("nan"))
    ('day 0', 'day 0', 'day −1', 'day −1,400 (−3.8 y)', 'no day of its own')
    """
    if np.isnan(day):
        return "no day of its own"
    whole = round(day)
    if whole == 0:
        return "day 0"
    return f"day \u2212{-whole:,}" + (f" ({before_words(day)})" if -whole >= SHORT_DAYS else "")


def before_words(day: float) -> str:
    """How long before day 0, short, as the axis says it.

    >>> before_words(-0.2), before_words(-3), before_words(-200), before_words(-1640)
    ('day 0', '−3 d', '−6.6 mo', '−4.5 y')
    """
    days = round(-day)
    if days < 1:
        return "day 0"
    if days < SHORT_DAYS:
        return f"\u2212{days} d"
    return f"\u2212{days / 30.4375:.2g} mo" if days < 365 else f"\u2212{days / 365.25:.2g} y"


def is_undated(timeline: Timeline) -> npt.NDArray[np.bool_]:
    """Which events stand for the person and not for a day: birth, and whatever has no time."""
    return np.asarray(timeline.events["time"].isna() | (timeline.events["code"] == BIRTH))


def words_of(timeline: Timeline, code: str) -> str:
    """What a code means for this patient; birth reads as the age on day 0."""
    if code == BIRTH and timeline.age_years is not None:
        return "Age 90 or more" if timeline.age_years >= OLDEST_YEARS else f"Age {int(timeline.age_years)}"
    words = describe(code, timeline.code_descriptions)
    return code if _is_recased(words, code) else words


def _is_recased(words: str, code: str) -> bool:
    """Are these words but the code in other letters? One that is no word by itself stands as it is written.

    >>> _is_recased("Icd10/i26.99", "ICD10/I26.99"), _is_recased("Heart rate", "HEART_RATE")
    (True, False)
    """
    is_word = code.replace("_", "").replace(" ", "").isalpha()
    return not is_word and words.casefold() == code.replace("_", " ").strip("/ ").casefold()


def event_name(timeline: Timeline, event_id: int) -> str:
    """What an event is, its value with unit, and how long before day 0: "NT-proBNP 2,310 pg/mL, −1 d"."""
    event = timeline.events.iloc[event_id]
    name = _short(words_of(timeline, event["code"]))
    if pd.notna(event["numeric_value"]):
        name += f" {value_words(float(event['numeric_value']), None, event['unit'])}"
    if is_undated(timeline)[event_id]:
        return name
    return f"{name}, {before_words((event['time'] - timeline.prediction_time) / pd.Timedelta(days=1))}"


def strongest_places(values: npt.ArrayLike, codes: Sequence[str], count: int = TOP_EVENTS) -> list[int]:
    """Where the values of largest magnitude stand, largest first, one a code; zeros and what was not given never.

    >>> strongest_places([0.1, -0.5, float("nan"), 0.3, 0.0], ["a", "b", "b", "a", "c"])
    [1, 3]
    """
    sizes = np.nan_to_num(np.abs(np.asarray(values, np.float64)))
    kept: dict[str, int] = {}
    for place in np.argsort(-sizes, kind="stable"):
        if not sizes[place] or len(kept) == count:
            break
        kept.setdefault(codes[place], int(place))
    return list(kept.values())


@dataclass(frozen=True)
class ToldEntry:
    """What is told as one of a record: the events of one concept, or a single event.

    event_ids: all of them. event: the one that contributes most by itself. change: of the log cumulative hazard, all of
    them together.
    """

    event_ids: tuple[int, ...]
    event: int
    change: float


def strongest_entries(attribution: EventAttribution, count: int = TOP_EVENTS) -> list[ToldEntry]:
    """What changed the risk most, largest first; nothing that changes it by less than 1%."""
    alone = dict(zip(attribution.event_ids.tolist(), np.abs(attribution.values).tolist(), strict=True))
    strong = [group for group in attribution.groups if abs(group.contribution) >= LEAST_CHANGE]
    strong.sort(key=lambda group: -abs(group.contribution))
    told = [(tuple(group.event_ids.tolist()), float(group.contribution)) for group in strong[:count]]
    # Of equals the latest.
    return [ToldEntry(ids, max(ids, key=lambda event: (alone.get(event, 0.0), event)), change) for ids, change in told]


def entry_name(timeline: Timeline, entry: ToldEntry) -> str:
    """An entry on one line of a figure: its event, or what its events are about and how many there are."""
    return (
        event_name(timeline, entry.event) if len(entry.event_ids) == 1 else entries_name(timeline, entry, LONGEST_NAME)
    )


def entries_name(timeline: Timeline, entry: ToldEntry, longest: int | None = None) -> str:
    """What several events are about, and how many there are."""
    words = concept_words(timeline, entry.event_ids)
    words = words if longest is None else _short(words)
    return f"{words}, {len(entry.event_ids):,} entries"


def concept_words(timeline: Timeline, event_ids: Sequence[int]) -> str:
    """What events of one concept are about: the words they share, else those of their category, else the latest's."""
    codes = timeline.events["code"].to_numpy()[list(event_ids)].tolist()
    words = [words_of(timeline, code) for code in codes]
    if len(set(words)) == 1 or len({standard_code(code) for code in codes}) == 1:
        return words[-1]
    category = concept_of(codes[-1])
    return usual_words(category) or words[-1]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "\u2026"


def hazard_factor(change: float) -> str:
    """By what a change of the log cumulative hazard multiplies that hazard; "" for NaN.

    >>> hazard_factor(0.693), hazard_factor(-0.357), hazard_factor(0.001), hazard_factor(4.0), hazard_factor(0.0)
    ('× 2.00', '× 0.70', '× 1.001', '× 54.6', 'none')
    """
    if np.isnan(change) or not change:
        return "" if np.isnan(change) else "none"
    factor = float(np.exp(change))
    if abs(factor - 1) < 0.01:
        return f"{TIMES}{factor:.3f}"
    return f"{TIMES}{factor:.2f}" if factor < 10 else f"{TIMES}{factor:.3g}"
