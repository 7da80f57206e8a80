"""Values and times of FHIR R4 elements as text (https://hl7.org/fhir/R4/datatypes.html)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

Row = dict[str, str]
Resource = dict[str, Any]
_SIMPLE = ("valueString", "valueBoolean", "valueDateTime", "valueTime", "valueDate")
_OBJECTS = ("valueQuantity", "valueCodeableConcept", "valueRatio", "valueRange", "valuePeriod", "valueSampledData")
_CONCENTRATION = re.compile(r"([kdcmunpf]?)(g|mol|eq)/([dcmunpf]?)l")
_IN_WORDS = ("valueString", "valueCodeableConcept")
_DATED = re.compile(r"[0-9]{4}(?:-[0-9]{2}){0,2}(?:T|$)")
_READ = frozenset((*_SIMPLE, *_OBJECTS, "valueInteger"))


def as_list(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_dict(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def code_of(coding: Any) -> str:
    """The code of a coding, without spaces around it; "" where it has none."""
    code = as_dict(coding).get("code")
    return "" if code is None or isinstance(code, (dict, list)) else str(code).strip()


def last_part(reference: Any) -> str:
    """The id that a reference ends with: of Patient/x, urn:uuid:x, #x."""
    return re.split(r"[/:#]", str(reference or "").split("/_history/")[0])[-1]


def value_of(holder: dict[str, Any]) -> Row:
    """Number, text, unit and remarks; a number with a comparator ("<5"), or off the scale, is a bound and stays text.

    Ratios, ranges, periods and sampled data are text, as they are no single number. Of a value beside which a reason
    says that there is none, only words are kept.
    """
    if holder.get("dataAbsentReason") and (amounts := [name for name in holder if _is_value(name, _IN_WORDS)]):
        words = value_of({name: value for name, value in holder.items() if name not in (*amounts, "dataAbsentReason")})
        return words | {"remarks": ";".join(filter(None, ("absent", words["remarks"])))}
    quantity = as_dict(holder.get("valueQuantity"))
    number = quantity.get("value", holder.get("valueInteger"))
    shown = _number(number)
    sign = quantity.get("comparator") or _off_scale(holder)
    bound = f"{sign}{shown}" if sign and shown else ""
    said = bound or next((text for text in _texts(holder) if text), "")
    unit = _unit(quantity) or _range_unit(as_dict(holder.get("valueRange")))
    unread = any(_is_value(name, _READ) for name in holder) or (number is not None and not shown)
    unread = unread or any(name in holder and not isinstance(holder[name], dict) for name in _OBJECTS)
    remarks = ("value" if unread else "", "unit" if shown and _units_differ(quantity) else "")
    return {
        "numeric_value": "" if bound else shown,
        "text_value": said,
        "unit": unit,
        "remarks": ";".join(filter(None, remarks)),
    }


def _is_value(name: str, others: Collection[str]) -> bool:
    """Whether an element holds a value, of a type that is none of the others."""
    return re.fullmatch(r"value[A-Z]\w*", name) is not None and name not in others


def _off_scale(holder: dict[str, Any]) -> str:
    """ "<" or ">" where the interpretation says that a number is the end of the scale (HL7 ObservationInterpretation);
    a list of concepts, before R4 one."""
    given = holder.get("interpretation")
    concepts = [as_dict(concept) for concept in as_list(given) or [given]]
    codes = [code_of(coding) for concept in concepts for coding in as_list(concept.get("coding"))]
    said = [str(text or "").strip() for text in (*codes, *(concept.get("text") for concept in concepts))]
    return next((text for text in said if text in ("<", ">")), "")


def is_true(value: Any) -> bool:
    """Whether a boolean is true, or written as text, which programs do by mistake."""
    return value is True or str(value).strip().lower() == "true"


def _number(value: Any) -> str:
    return "" if value is None or isinstance(value, (bool, dict, list)) else str(value)


def _units_differ(quantity: dict[str, Any]) -> bool:
    """Whether the unit in words and the coded one are two concentrations, so that the number is one of two amounts.

    >>> _units_differ({"unit": "mg/dL", "code": "umol/L"}), _units_differ({"unit": "µmol/l", "code": "umol/L"})
    (True, False)
    >>> _units_differ({"unit": "mmHg", "code": "mm[Hg]"}), _units_differ({"unit": "mcg/mL", "code": "ug/mL"})
    (False, False)
    """
    words, code = (re.sub("[µμ]|mc(?=g)", "u", str(quantity.get(name) or "").lower()) for name in ("unit", "code"))
    return words != code and all(map(_CONCENTRATION.fullmatch, (words, code)))


def _unit(quantity: dict[str, Any]) -> str:
    return str(quantity.get("unit") or quantity.get("code") or "")


def _texts(holder: dict[str, Any]) -> list[str]:
    """The value's texts by type, all but one of them empty."""
    period, sampled = as_dict(holder.get("valuePeriod")), as_dict(holder.get("valueSampledData"))
    simple = next((holder[name] for name in _SIMPLE if holder.get(name) is not None), "")
    return [
        _concept_text(as_dict(holder.get("valueCodeableConcept"))),
        _ratio(as_dict(holder.get("valueRatio"))),
        _range(as_dict(holder.get("valueRange"))),
        f"{period.get('start') or ''}/{period.get('end') or ''}" if period else "",
        str(sampled.get("data") or ""),
        simple if isinstance(simple, str) else json.dumps(simple),
    ]


def _concept_text(concept: dict[str, Any]) -> str:
    codings = [as_dict(coding) for coding in as_list(concept.get("coding"))]
    shown = next((coding["display"] for coding in codings if coding.get("display")), "")
    code = next((coding["code"] for coding in codings if coding.get("code")), "")
    return str(concept.get("text") or shown or code)


def _amount(quantity: dict[str, Any], *, unit: bool = False) -> str:
    """A quantity in words, with its comparator and perhaps its unit; "" without a number."""
    shown = _number(quantity.get("value"))
    words = f"{quantity.get('comparator') or ''}{shown}{f' {_unit(quantity)}' if unit else ''}"
    return words.strip() if shown else ""


def _ratio(ratio: dict[str, Any]) -> str:
    """Both parts with their units, which a titer has not ("1:128")."""
    parts = [_amount(as_dict(ratio.get(name)), unit=True) for name in ("numerator", "denominator")]
    return ":".join(parts) if any(parts) else ""


def _range(between: dict[str, Any]) -> str:
    """From low to high; where one of them is missing, a bound."""
    ends = [as_dict(between.get(name)) for name in ("low", "high")]
    low, high = (_amount(end, unit=not _range_unit(between)) for end in ends)
    if low and high:
        return f"{low}-{high}"
    return f">={low}" if low else f"<={high}" if high else ""


def _range_unit(between: dict[str, Any]) -> str:
    """The unit of a range, "" where its ends have different ones."""
    units = {_unit(as_dict(end)) for end in (between.get("low"), between.get("high"))} - {""}
    return units.pop() if len(units) == 1 else ""


def whole_date(text: str) -> Row:
    """FHIR allows a year or a month alone; it stands at its first day, is marked, and is known once it is over."""
    after = _period_end(text)
    missing = {4: "-01-01", 7: "-01"}[len(text)] if after else ""
    return {"time": text + missing, "known_from": after, "remarks": "first day" if after else ""}


def known_by(text: str) -> str:
    """When at the latest a given moment had come: the moment itself, of a year or a month the day after its last.

    >>> known_by("2019-12"), known_by("2019"), known_by("2019-03-05"), known_by("")
    ('2020-01-01', '2020-01-01', '2019-03-05', '')
    """
    return _period_end(text) or text


def _period_end(text: str) -> str:
    """The day after the last one of a year or a month, "" for anything else."""
    match = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2}))?", text)
    if match is None:
        return ""
    year, month = int(match[1]), int(match[2] or 12)
    return f"{year + month // 12:04d}-{month % 12 + 1:02d}-01"


def moments(value: Any) -> tuple[str, str]:
    """(start, end) of a dateTime, Period or Timing, "" where it does not say; of several moments the first and last.

    Where the start lies after the end, the later of the two stands for both, as it was over by then in any case.
    """
    if isinstance(value, str):
        return value, value
    events = sorted(str(event) for event in as_list(as_dict(value).get("event")))
    if events:
        return events[0], events[-1]
    start, end = _ends(value)
    return (start, start) if is_after(start, end) else (start, end)


def is_reversed(value: Any) -> bool:
    """Whether the start of a Period, or of the bounds of a Timing, lies after its end."""
    return is_after(*_ends(value)) and not as_list(as_dict(value).get("event"))


def _ends(value: Any) -> tuple[str, str]:
    timing = as_dict(value)
    period = as_dict(as_dict(timing.get("repeat")).get("boundsPeriod")) or timing
    return str(period.get("start") or ""), str(period.get("end") or "")


def is_after(start: str, end: str) -> bool:
    """Whether one time is later than another, as far as both say.

    >>> is_after("2020-01-03", "2020-01-01T08:00"), is_after("2020-01-03T08:00", "2020-01-03")
    (True, False)
    >>> is_after("2020-01-03T08:00+05:00", "2020-01-03T04:00Z"), is_after("2020-05", "2020"), is_after("x", "2020")
    (False, False, False)
    """
    if not (_DATED.match(start) and _DATED.match(end)):
        return False
    shorter = min(len(start), len(end))
    if shorter <= 10:
        return start[:shorter] > end[:shorter]
    try:
        first, last = (datetime.fromisoformat(text) for text in (start, end))
    except ValueError:
        return False
    return _in_utc(first) > _in_utc(last)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
