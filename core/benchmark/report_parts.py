"""What every section of an evaluation report is made of: numbers in words, tables and drawings as HTML."""

from __future__ import annotations

import io
from collections.abc import Callable
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.fuse import FUSIONS
from core.records.modalities import FUSED_COLOUR

COHORT_GREY = "#767676"
NONE = "–"


def colour_of(model: str) -> str:
    """The colour of a model named after its fusion; of another, that of fused models.

    >>> colour_of("pe_mortality_image_only"), colour_of("concat") == colour_of("mine")
    ('#E69F00', True)
    """
    return next((card.colour for name, card in FUSIONS.items() if model.endswith(name)), FUSED_COLOUR)


def number(value: float | None, digits: int = 3) -> str:
    """A number for people, or a dash.

    >>> number(0.73449), number(None)
    ('0.734', '–')
    """
    return NONE if value is None else f"{value:.{digits}f}"


def with_interval(entry: dict[str, Any], key: str = "value", digits: int = 3) -> str:
    """A value with its interval, or the value alone, or a dash.

    >>> with_interval({"value": 0.734, "lower": 0.7, "upper": 0.77})
    '0.734 (0.700 to 0.770)'
    """
    if entry.get(key) is None or entry.get("lower") is None:
        return number(entry.get(key), digits)
    return f"{entry[key]:.{digits}f} ({entry['lower']:.{digits}f} to {entry['upper']:.{digits}f})"


def picture(draw: Callable[[Axes], None], words: str, *, height: float = 3.2) -> str:
    """One drawing as inline SVG with its alternative text."""
    figure = Figure(figsize=(7.5, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    return inline(figure, words)


def inline(figure: Figure, words: str) -> str:
    """A figure as inline SVG with its alternative text."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(words)}"', 1)
    return f"<figure>{drawing}<figcaption><small>{escape(words)}</small></figcaption></figure>"


def table(caption: str, header: list[str], rows: list[list[str]]) -> str:
    """A table; cells are HTML."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def percent(share: float | None) -> str:
    """A share 0 to 1 as a percentage, or a dash."""
    return NONE if share is None else f"{100 * share:.1f}%"


def percent_range(upper: float | None, lower: float | None) -> str:
    """Of a survival's upper and lower bound, the range of the risk."""
    return NONE if upper is None or lower is None else f"{100 * (1 - upper):.1f} to {100 * (1 - lower):.1f}%"


def key_words(key: str) -> str:
    """A key of the report as words."""
    return key.replace("_", " ").capitalize()
