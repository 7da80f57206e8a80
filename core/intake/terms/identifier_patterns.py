"""Text that looks like an identifier, whatever field it stands in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
TITLED = re.compile(
    r"\b(?:Dr|Mr|Mrs|Ms|Prof|Herrn?|Frau|Mme|Mlle|Madame|Monsieur|Sra|Signora?|Hr(?=\.)|Sig\.ra|Mevr|Dhr)\b\.?\s*"
    r"[A-ZÀ-ÖØ-Þ][\w'’-]*"
)
_TITLED_TOO = re.compile(r"\b(?:Sr|Sig(?=\.)|pani|M(?=\.)|Fr(?=\.)|[Pp]a[zc](?=\.))\b\.?\s*[A-ZÀ-ÖØ-Þ][\w'’-]+")
"""Titles in the description of a scan; in other texts they are serum, French, a prescription, Morbus as well."""
_MONTH = (
    r"(?=[jfmasondegl])(?:janvier|f[ée]vrier|mars|avril|juin|juillet|ao[uû]t|septembre|octobre|novembre|d[ée]cembre|enero|febrero|marzo"
    r"|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio"
    r"|settembre|ottobre|dicembre|januari|februari|maart|mei|augustus|jänner|(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])(?:uary|ruary|ch|il|e|y|ust|tember|ober|ember"
    r"|uar|ruar|z|i)?)"
)
_YEAR = r"(?:18|19|20)\d{2}(?!\d)"
_NTH = r"(?:st|nd|rd|th|er|º)?"
_OF = r"(?:[. -]{1,2}|\s(?:of|de)\s)"
DATE = re.compile(
    r"(?<!\d)(?:18|19|20)\d{2}(?P<gap>[-/.]?)(?:0[1-9]|1[0-2])(?P=gap)(?:0[1-9]|[12]\d|3[01])(?!\d)"
    rf"|(?<![\d./-]){_DAY}(?P<mark>[./]){_DAY}(?P=mark)(?:(?:18|19|20)\d{{2}}|\d{{2}})(?!\d|[./-]\d)"
    rf"|(?<![\d./-]){_DAY}-{_DAY}-(?:18|19|20)\d{{2}}(?!\d|-\d)"
    rf"|(?i:(?<![\d./-]){_DAY}{_NTH}{_OF}{_MONTH}(?:[., -]{{1,2}}|\sde\s){_YEAR})"
    rf"|(?i:\b{_MONTH}[. ]{{1,2}}{_DAY}{_NTH}[, ]{{1,2}}{_YEAR})"
    rf"|(?i:\b{_MONTH}(?:[. ]{{1,2}}|\sde\s){_YEAR})"
)
_MONTHS = (
    r"(?:Jan(?:uary|uar|vier)?|Feb(?:ruary|ruar)?|F[ée]vr?(?:ier)?|M[aä]r(?:ch|s|z|zo)?|Apr(?:il|ile)?|Avr(?:il)?|Ma[iy]"
    r"|June?|Juni|Juin|July?|Juli|Juillet|Aug(?:ust)?|Ao[uû]t|Sept?(?:ember|embre)?|O[ck]t(?:ober|obre)?"
    r"|Nov(?:ember|embre)?|De[cz](?:ember|embre)?|Enero|Febrero|Abril|Mayo|Junio|Julio|Agosto|Septiembre|Octubre"
    r"|Noviembre|Diciembre)"
)
DAY_OF_YEAR = "|".join(
    (
        rf"(?<![\w.,/-]){_DAY}(?:st|nd|rd|th|er|\.)?[ -](?:of )?(?:{_MONTHS}|{_MONTHS.lower()})\b(?![-/]\d)",
        rf"\b{_MONTHS}\.?[ -]{_DAY}(?:st|nd|rd|th)?"
        r"(?![\w%/]|[.,]\d| ?(?:m|u|g|I?U|h|x|min|sec)\w{0,3}\b)",
        r"(?<![\w/.-])(?:0[1-9]/(?:0[1-9]|1[0-2])|[12]\d/0[1-9]|3[01]/0[1-9]|0[1-9]\.0[1-9])(?![\w/%]|[.-]\d)",
    )
)
"""Days and months without a year (45 CFR 164.514(b)(2)(i)(C)): with the month's name, or both with a leading zero."""
PLACE_OF_CARE = (
    r"\b(?:(?i:room|bed|bay|ward|zimmer|zi\.|bett|lit|letto|chambre|habitaci[oó]n|stanza|kamer)|[Rr]m)\s?"
    r"(?i:no\.?\s?|nr\.?\s?|#\s?)?\d{1,4}[A-Z]?\b"
    r"|\b(?:ICU|CCU|MICU|SICU|NICU|ITS|Intensiv|[Tt]heatre)\s\d{1,2}[A-Z]?\b"
    r"(?!\s?(?:[-x/]|days?|d\b|h\b|hours?|nights?|weeks?|Tage?))"
    r"|(?<!\w)\d{1,2}\s(?:West|East|North|South)\b"
)
"""Where in a house somebody lay."""
_OVER_89 = r"(?<![\d.,])(?:9\d|1[0-2]\d)"
_ALONE_OVER_89 = rf"(?<![^\W_])(?<!/){_OVER_89}"
_UNIT_OF_AGE = (
    r"years?|yrs?|y[./]?\s?o|y|y old|j(?:ä|ae)hrig\w*|jahren?|ans|años|anni|jaar|jarige?|yaş\w*|år|лет|года?"
    r"|female|male|weibl\w*|männl\w*|femme|homme|mujer|hombre|vrouw"
)
OLD_AGE = (
    rf"(?i:{_OVER_89}(?:[ _-]?(?:{_UNIT_OF_AGE})(?![^\W_])|\s?(?:J\.|[歳岁才세]|/\s?(?-i:[FMWf])(?![^\W_])))"
    r"|(?<![^\W_])(?:(?:aged?|alter|âge|edad|leeftijd|età|idade|wiek)(?:\s?[:=]\s?|[\s_]+|//)|(?-i:(?<!/)[FMWf])\s?/\s?)"
    r"(?:9\d|1[0-2]\d)(?![^\W_]))"
)
"""Ages of 90 years and more: with their unit or the sex, or behind what says that they are one."""
_BARE_AGE = re.compile(rf"{OLD_AGE}|(?<![kKeE][vV]\s){_ALONE_OVER_89}[ _][FM](?![^\W_]|[._ ]?\d)")
"""A sex behind a space ("93 F") as well, which in other texts than a scan's is a temperature."""
_NUMBER_OF_PERSON = re.compile(
    r"(?<![^\W_])(?i:patient|pat|subject|proband|participant|volunteer|case|fall|lot|ER)[\s_]?(?:(?i:no|nr)\b\.?|[#:])?"
    r"[\s_]?\d{1,4}(?![^\W_]|[.,]\d|\s?(?:mm|cm|s|sec|min|kv|kev|mas?|%)\b)"
)
"""A number however short behind whose it is, but for a measure."""
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("contact", re.compile(r"[\w.+-]{1,64}@[\w-]+\.\w+|https?://|www\.")),
    ("name", TITLED),
    ("date", DATE),
    ("number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b|\+?\d[\d ()-]{8,}\d|\b[A-Z]{0,3}\d{6,}\b")),
)
_PLACES = re.compile(PLACE_OF_CARE)
_DAYS = re.compile(DAY_OF_YEAR + r"|(?<![\w.])(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])\.(?=\s|$)")
_CARET = re.compile(r"[A-Za-z]{2}\^[A-Za-z]")
_HARMLESS_NUMBER = re.compile(
    r"(?<![\d.])(?:\d{1,2}\.\d|\d\.(?:00|25|50|60|75|80|90)|[01]\.\d{3})(?!\d|\.\d)"
    r"|\b0012,006[2-4]\b|(?<![A-Za-z\d])(?:10918_1|14495_1|15444_[12])(?!\d)"
)
"""A decimal, a tag of PS3.15, a compression's ISO number."""
_NUMBERS = re.compile(r"(?<!\d)\d+(?:[^\w#]+\d+|_+\d+)+(?![\dA-Za-z%])")
_DOTTED = re.compile(r"\d{1,3}(\.\d{1,3}){1,3}")
WORDS = re.compile(r"[^\s_/\\,;:()\[\]^+=.-]+")


def identifying(text: str, tokens: Collection[str] = ()) -> str | None:
    """Category of identifier that `text` seems to hold, or None.

    tokens: parts of the patient's own name and id (case-folded), found elsewhere in the source.

    >>> identifying("JOHN.DOE@EXAMPLE.ORG"), identifying("Thorax 1.0 B45f"), identifying("scan of doe", {"doe"})
    ('contact', None, 'name')
    >>> identifying("scan q12", {"q12"}), identifying("scan 77-12", {"77-12"})
    ('identifier', 'identifier')
    """
    for category, pattern in (*_PATTERNS, ("name", _CARET)):
        if pattern.search(text):
            return category
    folded = text.casefold()
    met = set(WORDS.findall(folded)) & set(tokens)
    if any(not any(map(str.isdigit, token)) for token in met):
        return "name"
    return "identifier" if met or any(_spans_of_ids(folded, tokens)) else None


def _spans_of_ids(folded: str, tokens: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where an id of several parts ("77-12") stands whole, which words alone do not tell."""
    for token in tokens:
        if not token.isalnum():
            found = re.finditer(rf"(?<!\w){re.escape(token)}(?!\w)", folded)
            yield from (match.span() for match in found)


def spans_of_identifiers(text: str, tokens: Collection[str] = (), *, versions: bool = False) -> list[tuple[int, int]]:
    """(start, stop) of what would identify though every word of it is plain: titles, dates, ages of 90 years
    and more, numbers in groups or behind whose they are, the patient's id.

    tokens: as for `identifying`. versions: whether dotted numbers ("6.50.018") are versions and so not reported.

    >>> spans_of_identifiers("Thorax 8.0.0 1.25 B40f"), spans_of_identifiers("CT 48-15-23")
    ([], [(3, 11)])
    >>> spans_of_identifiers("Lung 96 y/o F"), spans_of_identifiers("Lung 90 kV"), spans_of_identifiers("case 8 lung")
    ([(5, 11)], [], [(0, 6)])
    >>> spans_of_identifiers("Thorax 77-12", {"77-12"})
    [(7, 12)]
    """
    found = [match for _, pattern in _PATTERNS for match in pattern.finditer(text)]
    found += [*_DAYS.finditer(text), *_TITLED_TOO.finditer(text), *_PLACES.finditer(text)]
    found += [*_BARE_AGE.finditer(text), *_NUMBER_OF_PERSON.finditer(text)]
    for match in _NUMBERS.finditer(_HARMLESS_NUMBER.sub(lambda number: "#" * len(number[0]), text)):
        groups = re.findall(r"\d+", match[0])
        if sum(map(len, groups)) > (3 if len(groups) > 2 else 4):
            found.append(match)
    spans = [match.span() for match in found if not (versions and _DOTTED.fullmatch(match[0]))]
    return [*spans, *_spans_of_ids(text.casefold(), tokens)]
