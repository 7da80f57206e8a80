"""The model card as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from core.explain.map_trust import PASS_BELOW, MapTrust
from core.explain.methods import CARDS
from core.fuse import FUSIONS
from core.records import MODALITIES
from core.wording import span_words, true_minus

_LABELS = {
    "patients_train": "Training patients",
    "events_train": "Training events",
    "patients_tuning": "Tuning patients",
    "last_supported_days": "Supported to",
    "members": "Members",
    "pooled": "Pooled tokens",
}
_TIME_ZERO = re.compile(r"(?<=\. )Time of (?=[^.]+\.$)")
_NAMES = {
    "fusion": {name: fusion.title for name, fusion in FUSIONS.items()},
    "role": {name: modality.title for name, modality in MODALITIES.items()},
}


def card_html(card: Mapping[str, Any]) -> str:
    """Every entry of a model card, in its own order; nested entries as definition lists."""
    return f'<div class="card">{_entries(card)}</div>'


def _entries(values: Mapping[str, Any]) -> str:
    lines = (f"<dt>{escape(label(key))}</dt><dd>{_value(_named(key, value))}</dd>" for key, value in values.items())
    return f"<dl>{''.join(lines)}</dl>"


def _named(key: str, value: Any) -> Any:
    """Our own names of fusions and roles as the pages say them, and what day 0 is; whatever else as it is."""
    if key == "watermark" and value is None:
        return "none: its training patients were not virtual"
    if key == "population":
        return _TIME_ZERO.sub("Day 0: the time of ", str(value))
    if key == "last_supported_days" and isinstance(value, int | float):
        return span_words(value)
    if key == "calibration":
        return re.sub(r"(?<!\w)-(?=\d)", "\u2212", str(value))
    names = _NAMES.get(key, {})
    return names.get(value, value) if isinstance(value, str) else value


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _entries(value)
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, Mapping) for item in value):
            return _table(value)
        return "<ul>" + "".join(f"<li>{_value(item)}</li>" for item in value) + "</ul>"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value)) if value not in (None, "") else "not stated"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Entries of the same kind as rows; a name is not said again at the start of what follows it."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{escape(label(name))}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(row, name) for name in names)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(row: Mapping[str, Any], key: str) -> str:
    value = _named(key, row.get(key))
    again = f"{row.get('name')}, "
    return f"<td>{_value(value.removeprefix(again) if isinstance(value, str) else value)}</td>"


def label(key: str) -> str:
    """A key as words.

    >>> label("intended_use"), label("patients_train")
    ('Intended use', 'Training patients')
    """
    if key in _LABELS:
        return _LABELS[key]
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def map_check_rows(maps: MapTrust) -> list[dict[str, str]]:
    """The weight-randomisation check of each method as words for a table."""
    return [
        {
            "Map": CARDS[name].title,
            "Check": "passed" if found.passed else "failed",
            "Values": true_minus(f"{found.signed:.2f}"),
            "Magnitudes": true_minus(f"{found.absolute:.2f}"),
        }
        if (found := maps.randomisation.get(name))
        else {"Map": CARDS[name].title, "Check": "not run", "Values": "", "Magnitudes": ""}
        for name in CARDS
    ]


def map_check_words(maps: MapTrust) -> str:
    """What the table of the check shows, and on how many it stands."""
    found = next(iter(maps.randomisation.values()), None)
    ran = "" if found is None else f" Of {found.patients} training patients, the worst of {found.draws} draws."
    return (
        "Rank correlation, inside the body, of the model's maps with those of the same network with random weights: a "
        f"map that tells what the model learned has little (below {PASS_BELOW:g}).{ran}"
    )


def performance_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A card's performance entries (measure, value, lower, upper, split, patients, events) as words for a table."""
    return [
        {
            "Measure": str(row["measure"]).replace(" (95% patient bootstrap)", ""),
            "Value (95% interval)": _with_interval(row),
            "Patients": f"{row['patients']:,}" if row.get("patients") is not None else "",
            "Events": f"{row['events']:,}" if row.get("events") is not None else "",
            "Split": str(row.get("split", "")),
        }
        for row in rows
    ]


def _with_interval(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "not defined: too few patients with the event"
    value = f"{row['value']:.3f}"
    known = row.get("lower") is not None and row.get("upper") is not None
    return f"{value} ({row['lower']:.3f} to {row['upper']:.3f})" if known else value
