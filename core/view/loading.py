"""Pieces of HTML for the Load page: series with their picture, identifiers with their place, what was read."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from pydicom.datadict import dictionary_VR, tag_for_keyword

from core.intake.identifiers.finding import Finding
from core.intake.record.column_questions import ColumnFound
from core.intake.record.tables.encodings import Look
from core.intake.scan.load import SeriesSummary
from core.records import CtStudy
from core.wording import count_of

PLACES_SHOWN = 400
_FIRST = ("name", "contact", "identifier", "age over 89", "burned-in text", "institution", "free text", "private")
_LAST = ("unique identifier", "date")


def picture_html(grey: npt.NDArray[np.uint8] | None, words: str) -> str:
    """A small picture inside the page itself, so that no address of it exists that another session could ask for."""
    if grey is None:
        return '<div class="thumb none" role="img" aria-label="No preview">no preview</div>'
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return f'<img class="thumb" alt="{escape(words)}" src="data:image/png;base64,{data}">'


def size_words(size: int) -> str:
    """Bytes in words.

    >>> size_words(0), size_words(340), size_words(1_200_000)
    ('empty', '340 bytes', '1.2 MB')
    """
    if size == 0:
        return "empty"
    if size < 1000:
        return count_of(size, "byte")
    return f"{size / 1e6:,.1f} MB" if size >= 950_000 else f"{round(size / 1e3)} kB"


def by_study(found: Sequence[SeriesSummary]) -> list[SeriesSummary]:
    """Series of one study beside each other, studies numbered as they are listed.

    >>> found = [SeriesSummary(key, key, "CT", 9, (8, 8, 9), None, "", study=n) for key, n in zip("abc", (1, 3, 1))]
    >>> [(item.key, item.study) for item in by_study([*found, SeriesSummary("d", "", "CT", 1, (8, 8, 1), None, "", 2)])]
    [('a', 1), ('c', 1), ('b', 2), ('d', 3)]
    """
    order = list(dict.fromkeys(item.study for item in found))
    return sorted((replace(item, study=order.index(item.study) + 1) for item in found), key=lambda item: item.study)


def series_words(item: SeriesSummary, made: CtStudy | None = None) -> str:
    """Slices, spacing and kernel of a series in one line; once it was read (`made`), as it was read.

    >>> series_words(SeriesSummary("k", "Thorax", "CT", 64, (512, 512, 64), (0.7, 0.7, 5.0), "B40f"))
    '64 slices, 0.7 × 0.7 × 5 mm, kernel B40f'
    >>> series_words(SeriesSummary("k", "Thorax", "CT", 1, (512, 512, 1), None, ""))
    '1 slice, spacing in doubt, kernel not stated'
    >>> series_words(SeriesSummary("k", "NIfTI file", "CT", 0, (0, 0, 0), None, ""))
    'slices and spacing in doubt, kernel not stated'
    """
    kernel = f"kernel {item.kernel}" if item.kernel else "kernel not stated"
    if made is None and not item.slices:
        return f"slices and spacing in doubt, {kernel}"
    spacing_mm, slices = (item.spacing_mm, item.slices) if made is None else (made.spacing_mm, made.shape[2])
    spacing = "spacing in doubt"
    if spacing_mm is not None:
        spacing = " × ".join(f"{mm:.2g}" for mm in spacing_mm) + " mm"
    from_files = "" if item.slices in (0, slices) else f" from {item.slices:,} images"
    return f"{count_of(slices, 'slice')}{from_files}, {spacing}, {kernel}"


def series_html(item: SeriesSummary, number: int, studies: int, made: CtStudy | None = None) -> str:
    """One series: picture of its middle slice, description, facts; made: what was read of it."""
    name, place = item.description or "CT series", series_name(item, number)
    study = f"Study {item.study}, {place}" if studies > 1 else place.capitalize()
    return (
        f'<div class="series">{picture_html(item.thumbnail, f"Middle slice of {place}")}<div>'
        f"<p><b>{escape(name)}</b></p><p>{escape(series_words(item, made))}</p><p>{study}</p></div></div>"
    )


def series_name(item: SeriesSummary, place: int) -> str:
    """What a reader calls a series: its number in the archive, or its place in the list (0: no other is) without one.

    >>> item = SeriesSummary("k", "Thorax", "CT", 64, (512, 512, 64), None, "")
    >>> series_name(item, 2), series_name(replace(item, series_number=701), 2)
    ('number 2 of the list', 'series 701')
    >>> series_name(item, 0)
    'the only series'
    """
    if item.series_number is not None:
        return f"series {item.series_number}"
    return f"number {place} of the list" if place else "the only series"


def findings_html(findings: Sequence[Finding]) -> str:
    """Table of category, place and masked value."""
    first = sorted(findings, key=lambda f: (_weight(f), _kind(f), f.where, f.masked))[:PLACES_SHOWN]
    found = [(_kind(f), f.where, f.masked) for f in first]
    rows = "".join(f"<tr>{''.join(f'<td>{escape(word)}</td>' for word in words)}</tr>" for words in found)
    more = len(findings) - PLACES_SHOWN
    rest = f"<p>and {more:,} more places</p>" if more > 0 else ""
    head = "<tr><th>What</th><th>Where</th><th>Value, masked</th></tr>"
    return f'<table class="found"><thead>{head}</thead><tbody>{rows}</tbody></table>{rest}'


def _weight(finding: Finding) -> int:
    """What tells most of somebody comes first; UIDs, and dates that the case shows as days, last."""
    return _FIRST.index(finding.category) if finding.category in _FIRST else len(_FIRST) + (finding.category in _LAST)


def _kind(finding: Finding) -> str:
    """What was found; of the dates of a DICOM file, those that tell an hour only are called so.

    >>> _kind(Finding("date", "(0008,0030) StudyTime", "")), _kind(Finding("date", "(0008,0020) StudyDate", ""))
    ('time of day', 'date')
    """
    tag = tag_for_keyword(finding.where.rsplit(" ", 1)[-1]) if finding.category == "date" else None
    return "time of day" if tag is not None and dictionary_VR(tag) == "TM" else finding.category


def columns_html(columns: Sequence[ColumnFound]) -> str:
    """Table of column, kind of its values, masked samples, share of empty cells."""
    rows = "".join(
        f"<tr><td>{escape(c.name)}</td><td>{c.shape}</td><td>{escape(', '.join(c.masked_samples))}</td>"
        f"<td>{c.empty_share:.0%}</td></tr>"
        for c in columns
    )
    head = "<tr><th>Column</th><th>Kind</th><th>Samples, masked</th><th>Empty</th></tr>"
    return f'<table class="found"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def looks_html(looks: Sequence[Look]) -> str:
    """Table of the same lines, a row for each encoding, so that they stand one above the other."""
    rows = "".join(
        f'<tr><th scope="row">{escape(look.title)}</th><td>{"<br>".join(map(escape, look.lines))}</td></tr>'
        for look in looks
    )
    return f'<table class="found looks"><tbody>{rows}</tbody></table>'


def facts_html(lines: Sequence[str]) -> str:
    """What was read, and each note about it, as a list."""
    return f'<ul class="facts">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def rows_html(table: pd.DataFrame) -> str:
    """A numbered table; drawn here and not as a data grid, whose content could be saved as a file."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in ("No.", *table.columns))
    lines = ("".join(map(_cell, (number, *cells))) for number, cells in enumerate(table.itertuples(index=False), 1))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="found"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(value: object) -> str:
    """One cell; a number, a date or a name of one word is never broken in two.

    >>> _cell("2020-01-31"), _cell("CT <Thorax>"), _cell(pd.NA)
    ('<td class="whole">2020-01-31</td>', '<td>CT &lt;Thorax&gt;</td>', '<td></td>')
    """
    words = "" if pd.isna(value) else str(value)  # type: ignore[call-overload]
    return f'<td class="whole">{escape(words)}</td>' if words and " " not in words else f"<td>{escape(words)}</td>"


def name_words(name: str) -> str:
    """A DICOM person name as it is read: family name, then the others.

    >>> name_words("DOE^JANE^A^Dr"), name_words("DOE"), name_words(""), name_words("Yamada^Tarou=YAMADA^TAROU")
    ('DOE, JANE A Dr', 'DOE', '', 'Yamada, Tarou / YAMADA, TAROU')
    """
    spoken = []
    for group in name.split("="):
        family, *others = group.split("^")
        spoken.append(", ".join(part for part in (family.strip(), " ".join(" ".join(others).split())) if part))
    return " / ".join(part for part in spoken if part)
