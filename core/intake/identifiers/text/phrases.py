"""Forms that identifiers take in what people write: contacts, numbers, dates, ages, and names beside telling words."""

from __future__ import annotations

import re

from core.intake.identifiers.text.surnames import is_surname_too
from core.intake.identifiers.text.unknown_words import are_known_words
from core.intake.identifiers.text.vocabulary import are_terms, is_name_too, is_plain_word
from core.intake.terms.given_names import GIVEN_TOO
from core.intake.terms.identifier_patterns import DATE, DAY_OF_YEAR, OLD_AGE, PLACE_OF_CARE, TITLED

_NAME_PART = r"[A-ZÀ-ÖØ-Þ][\w'’-]+"
_TITLE_CASE = r"[A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ'’-]{2,}"
_BY = (
    r"signed|(?:seen|signed|dictated|reported|read|reviewed|referred|ordered|performed|verified|transcribed|examined"
    r"|approved|interpreted|entered) by"
)
_LABEL = (
    r"(?i:patient(?:in)?(?:'?s)?(?: name)?|pt|name|re|attending|(?:referring )?physician|radiologist|provider"
    rf"|surgeon|nurse|author|{_BY})"
)
"""What a person's name follows. "Sodium, Urine" and "Aspirin, Ibuprofen" have the form of a name, so that a surname and
a first name with a comma between them are one only behind such a word, or alone and with no word of terms."""
_STATES = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
)
_PLACED = (
    rf"\b\d{{1,5}}\s+(?:{_NAME_PART}\s+){{1,3}}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Way|Court|Place|Square)\b",
    r"\b[A-ZÄÖÜ][\w-]{0,60}(?:\s(?=S))?(?i:straße|strasse|str\.|platz|allee|gasse|chaussee|straat|laan|plein|gracht|kade"
    r"|dijk)\s+\d{1,4}\b",
    r"\b(?!Atem|Harn|Gallen|Luft)[A-ZÄÖÜ][\w-]{1,60}weg\s+\d{1,4}\b",
    r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?i:rue|avenue|boulevard|chemin|impasse|quai)\s+(?:d[eu]s?\b|d['’]|l['’]|[A-ZÀ-Þ])",
    rf"\b(?i:calle|avenida|avda\.|plaza|paseo)\s+(?:de(?:l| la)?\s+)?(?:{_TITLE_CASE}\s?){{1,3}},?\s*(?:n[.º°]+\s*)?"
    r"\d{1,4}\b",
    rf"\b(?:Via|Viale|Piazza|Corso|[Vv]icolo)\s+(?:d\w{{1,4}}\s+)?(?:{_TITLE_CASE}\s?){{1,3}},?\s*\d{{1,4}}\b",
    rf",\s*(?:[A-Z]{{1,2}}-)?\d{{4,5}}(?:\s?[A-Z]{{2}})?\s+{_TITLE_CASE}$|\b(?:D|A|CH|F|NL|B)-\d{{4,5}}\s+{_TITLE_CASE}",
    rf"\b{_TITLE_CASE},?\s+(?:{_STATES})\s+\d{{5}}(?:-\d{{4}})?\b",
    r"\b(?i:address|post ?code|lives (?:at|in))\b.{0,60}\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[ABD-HJLNP-UW-Z]{2}\b",
)
"""Streets with their numbers, and postal codes with their towns. Words have an end, so that a long text of letters and
hyphens is not read again from each of them."""
_MACHINES = (
    r"\\\\[\w.-]{2,40}\\\w|\b[a-z]:\\users\\\w|(?<![\w/])/(?:home|users)/\w",
    r"(?<![\da-f:])(?:[\da-f]{2}:){5}[\da-f]{2}(?![\da-f:])|(?<![\da-f:])[\da-f]{1,4}:(?:[\da-f]{0,4}:){2,6}[\da-f]{4}(?![\da-f:])",
    r"\b(?:pager|ext\.)[:# ]{1,2}\d{4,6}\b|\bP\.? ?O\.? ?box:? \d{2,6}\b|\bZIP(?: code)?[: ]{1,2}\d{5}\b",
)
"""Folders of people, addresses of machines, extensions and boxes."""
_SERIALS = (
    r"\b(?:SN|S/N|serial)[:# ]{1,2}(?=[A-Z/-]{0,5}\d)[\w/-]{5,}",
    r"\bpassport[:# ]{1,2}(?=\w{0,6}\d)\w{6,}|\bCPF[:# ]{1,2}\d{3}\.\d{3}|\bmed(?:ical)? rec(?:ord)? ?# ?[\d-]{5,}",
)
_MONTH_SIGNS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez"
_OTHER_DATES = (
    r"\d{1,4}年\d{1,2}月\d{1,2}日",
    rf"(?<!\w)\d{{1,2}}(?:{_MONTH_SIGNS})(?:18|19|20)\d{{2}}(?!\d)",
    rf"(?<!\w)\d{{1,2}}[. /-]?(?:{_MONTH_SIGNS})[./-]\d{{2}}(?!\d)",
    r"\bon (?!1/[2-9]\b|[23]/[34]\b)(?:(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])"
    r"|(?:1[3-9]|2\d|3[01])/(?:0?[1-9]|1[0-2]))"
    r"(?=$|[,;)]|\.(?!\d)| (?!occ|tab|dose|day|week|ns\b|of\b|normal|strength|[mµu]?[gl]\b|mcg|unit))",
    r"(?:^(?=0|1\d)|\b(?:on|in|since|until|from|seit|bis|im|en|el) )(?:0?[1-9]|1[0-2])/(?:19|20)\d{2}(?=$|[,;.)\s])",
    r"\bb\. ?(?:18|19|20)\d{2}(?!\d)|\bon (?:january|february|march|april|may|june|july|august|september"
    r"|october|november|december) \d{1,2}(?:st|nd|rd|th)\b",
)
_YEARS_OF_BIRTH = (
    r"(?i:\b(?:born|geb\.?|geboren|née?|nato|nata|nacid[oa]|dob|year of birth|birth year|geburtsjahr|jahrgang"
    r"|année de naissance|año de nacimiento|anno di nascita)[ :=]{1,3}(?:in )?|\*\s?)(?:18|19|20)\d{2}(?!\d)"
)
_WARD = re.compile(rf"\b[Ww]ard\s({_TITLE_CASE})|\b({_TITLE_CASE})\s[Ww]ard\b")
"""A ward by its name, which is that of somebody or some place."""
_OF_COUNTRIES = (
    r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)|\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b"
    r"|\b(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2}[-+A]\d{3}[\dA-Y]\b"
    r"|(?<!\d)[1-8]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX](?!\w)"
    r"|\b[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"
)
"""Numbers of persons: Brazil, Italy, Finland, China, United Kingdom."""
_TELEPHONES = (
    r"(?<![\w.])0\d{2,4} \d{3,4} \d{3,4}(?!\w)|(?<![\w.])0[1-9](?:[ .]\d{2}){4}(?!\w)"
    r"|\b(?i:ext|dial|bleep|bleeper|beeper|pager|please call|call(?= \d{4}$))\.?[: ]{1,2}\d{4,5}\b|(?<!\S)x\d{4}(?!\w)"
)
_LABELLED = (
    r"\b(?i:pid|mr|patient|pat|pt|case|ref|claim|policy)\.?[ :#]{1,2}[A-Z]{0,4}-?\d{4,}\b"
    r"(?![.,]\d| ?(?:%|[mµu]?[gl]\b|U))"
    r"|\b(?:ID|N[°º])[ :#]{1,2}[A-Z]{0,3}\d{4,}\b|(?<!\w)#\s?\d{4,}\b"
    r"|\b(?:MRN|(?i:pat(?:ient)?|case|subject)[_ ]?(?i:id|no|nr))\b[.:#= ]{1,3}(?=[\w-]{0,12}\d)[\w-]{2,}"
    r"|\bID[:#]\s?(?=[\w-]{0,12}\d)\w{1,8}(?:-\w{1,8})+|\b(?i:last (?:4|four)(?: digits)?[: ]{1,2})\d{4}\b"
    r"|\b(?i:policy)[ :#]{1,2}(?=\S*\d{3})[A-Z]{1,4}-[\d-]{4,}"
    r"|\b(?i:case|subject|proband)[ :#]{1,2}\d{3}(?![\w%]|[.,/]\d| [a-zµ]{1,2}\b)"
    r"|\b(?i:lot|batch|charge)(?: (?i:no\.?|nr\.?|number))?[ :#]{1,2}[A-Z]{1,3}-?\d{3,}\w*"
)
"""Numbers behind what says whose they are: of four digits and more, or of three where nothing is measured so."""
_NUMBERED = (
    "case|fall|file|record|chart|account|acct|patient(?:en)?|pat|visit|encounter|admission|aufnahme|akten|accession"
    "|insurance|policy|member|passport|licen[cs]e|hospital|medicare|medicaid|versicherten|versicherungs"
    "|sozialversicherungs|krankenversicherten"
)
"""Whose "number" or "no" is somebody's."""
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("contact", re.compile(r"[\w.+-]@[\w-]+\.\w+|https?://|www\.|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)")),
    ("unique identifier", re.compile(r"(?<![\d.])[012]\.(?!(?:2\.840\.10008|16\.840\.1\.113883)\.)\d+(?:\.\d+){5,}")),
    (
        "contact",
        re.compile(r"(?<![\w-])(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])|\+\d[\d ().-]{7,}\d"),
    ),
    ("contact", re.compile("|".join(_PLACED))),
    ("contact", re.compile("|".join(_MACHINES), re.IGNORECASE)),
    ("identifier", re.compile("|".join(_SERIALS), re.IGNORECASE)),
    ("date", re.compile("|".join(_OTHER_DATES), re.IGNORECASE)),
    ("date", re.compile("|".join((DAY_OF_YEAR, _YEARS_OF_BIRTH)))),
    ("contact", re.compile(_TELEPHONES)),
    ("identifier", re.compile(f"{_OF_COUNTRIES}|{_LABELLED}")),
    ("institution", re.compile(PLACE_OF_CARE)),
    (
        "contact",
        re.compile(
            r"\b(?:tel|telephone|phone|fax|mobile)\b[.:]{0,2}\s*\+?\d[\d /()-]{5,}"
            r"|(?<![\w/.-])0\d{2,5}/\d{5,8}(?![\w/])",
            re.IGNORECASE,
        ),
    ),
    (
        "identifier",
        re.compile(
            r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)|(?<![\da-f-])[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}(?![\da-f-])"
            r"|(?<![A-Z])MRN\b\W{0,3}\w*\d|(?<![A-Z])MRN_?\d|\bSSN\W{0,3}\d"
            r"|\bACC(?:ESSION)?[ :#.-]{0,3}\d{5,}"
            rf"|\b(?:{_NUMBERED})[ -]?(?:#|(?:no|nr|number|nummer|id)\b)[.:#\s]{{0,3}}(?=[A-Z/-]*\d)[\w/-]{{3,}}"
            r"|\blicen[cs]e[:#\s]{1,3}(?=[A-Z]{0,3}-?\d{5})"
            r"|\b(?:PESEL|BSN|DNI|KVNR)\b[.:#\s]{0,3}[A-Z]?\d{7,}|(?<![\d.])756\.\d{4}\.\d{4}\.\d{2}(?!\d)",
            re.IGNORECASE,
        ),
    ),
    ("date", DATE),
    ("name", TITLED),
    (
        "name",
        re.compile(
            r"[A-Za-z]{2}\^[A-Za-z]"
            r"|\b(?:[Pp]atient|[Pp]t)[\s:]+(?!Health\b)[A-Z][a-z]+\s+[A-Z][a-z]+"
            rf"|\b{_LABEL}[.:]{{0,2}}\s+{_NAME_PART},\s?{_NAME_PART}"
            r"|(?i:\b(?:patient(?:'?s)?|pt) name|\bname of (?:the )?patient)\s*[:=]\s*"
            r"[^\W\d_][\w'’-]{1,40},?\s+[^\W\d_]{2,}"
            rf"|\b(?i:name is)\s+{_TITLE_CASE}\s+{_TITLE_CASE}"
        ),
    ),
    (
        "age over 89",
        re.compile(
            r"\bninety-?\w{0,6}[ -]years?\b|\bnonagenarian\b|\bcentenarian\b|(?<![\w.])(?:09\d|1[0-2]\d)Y\b"
            rf"|{OLD_AGE}|^\s*(?-i:(?:9\d|10\d)[ ,]{{0,2}}[FM]|[FM],\s?(?:9\d|10\d))\s*$"
            r"|(?:^|\b(?:an?|is|pt) )(?-i:(?:9\d|1[0-2]\d) ?[FM])(?= (?:with|w/|who|p/w|c/o|h/o|s/p|present))",
            re.IGNORECASE,
        ),
    ),
)
_WITHOUT_DIGITS = (
    *(form for form in _FORMS if form[0] in ("name", "age over 89") or form is _FORMS[0]),
    ("contact", re.compile(_MACHINES[0], re.IGNORECASE)),
)
"""Names, ages, folders and addresses on the net; all others need digits, which most texts have not."""
_DIGIT = re.compile(r"\d")
_BESIDE: tuple[re.Pattern[str], ...] = (
    re.compile(r"\b(?:mrs|frau|herrn?|mme|mlle|madame|monsieur|sra|signora?)\b\.?\s+([a-zà-öø-ÿ][\w'’-]{2,})"),
    re.compile(r"(?:^|\b(?:by|with|to|for|from|told|saw|notified|paged|called) )(?:mr|dr|ms)\b\.?\s+([a-z][\w'’-]+)"),
    re.compile(r"\b(?:DR|MRS|PROF|FRAU|HERRN?|MME)\b\.?\s+([A-ZÀ-ÖØ-Þ'’-]{3,})"),
    re.compile(
        rf"\b(?i:nurse|attending|ordering (?:MD|physician)|schwester|pfleger|vater|mutter)[.:]?\s+({_TITLE_CASE})\b"
    ),
    re.compile(rf"\b({_TITLE_CASE}),?\s+(?:M\.?D|Ph\.?D|MBBS|RN)\b"),
    re.compile(rf"\b(?i:{_BY})[.:]{{0,2}}\s+(?:(?:[A-Z]\.\s*){{1,3}}|{_TITLE_CASE}\s+)({_TITLE_CASE})"),
    re.compile(
        r"(?:^(?:Son|Daughter|Husband|Wife)|\b(?:son|daughter|husband|wife|mother|father|brother|sister|sohn|tochter|Sohn"
        rf"|Tochter|Ehemann|Ehefrau|Bruder|mari|fils|fille|esposa|esposo|hijo|hija))\s+({_TITLE_CASE})\b"
    ),
)
"""What a name stands beside; the word found is one only where it may be."""
_ALONE = re.compile(rf"\s*({_TITLE_CASE}),\s?({_TITLE_CASE})(?:\s(?:[A-Z]\.?|{_TITLE_CASE}))?\s*")
_NO_NAME = re.compile(
    r".*(?:ed|ing|graphy|gram|scopy|logy)|attending|note|aware|resident|primary|outside|private|house|charge|staff|night|day|float"
    r"|triage|team|intern|fellow|hospitalist|surgery|medicine|female|alive|deceased|unknown|trough|cloudy|amber",
    re.IGNORECASE,
)
"""Forms of verbs and of methods, and roles that stand in place of names."""


def forms_in(text: str) -> set[str]:
    """Categories of identifier whose form a text holds.

    >>> sorted(forms_in("Hauptstrasse 12, 70173 Stuttgart")), forms_in("May 3rd, 2019"), forms_in("1000 ML Sodium")
    (['contact'], {'date'}, set())
    """
    forms = _FORMS if _DIGIT.search(text) else _WITHOUT_DIGITS
    found = {category for category, pattern in forms if pattern.search(text)}
    return found | {"institution"} if any(_is_named(ward[1] or ward[2]) for ward in _WARD.finditer(text)) else found


def holds_date(text: str) -> bool:
    """Whether a text holds a form of a date."""
    return any(pattern.search(text) for category, pattern in _FORMS if category == "date")


def _is_named(word: str) -> bool:
    """Whether a ward is called so after somebody or some place, not after what is done there."""
    return word.casefold() in GIVEN_TOO or not are_known_words(word)


def names_someone(text: str, *, is_term: bool = False) -> bool:
    """Whether a word that may be a name stands where names do, or a surname and a first name stand alone.

    is_term: whether the text stands where codes and their names do, many of which are two words with a comma.

    >>> names_someone("her husband Karl"), names_someone("Zorblat, Kim"), names_someone("Sodium, Urine")
    (True, True, False)
    """
    beside = (found[1] for pattern in _BESIDE for found in pattern.finditer(text))
    if any(_may_be_name(word) or is_name_too(word) for word in beside):
        return True
    if any(is_surname_too(found[1] or found[2]) for found in _WITH_INITIAL.finditer(text)):
        return True
    alone = None if is_term else _ALONE.fullmatch(text)
    return alone is not None and all(map(_may_be_name, alone.groups()))


_WITH_INITIAL = re.compile(rf"\b[A-Z]\. ?({_TITLE_CASE}|[A-Z]{{4,}})\b|\b({_TITLE_CASE}|[A-Z]{{4,}}), ?[A-Z]\.(?!\w)")
"""An initial beside what may be a surname ("A. Stone", "Cook, A.")."""


def _may_be_name(word: str) -> bool:
    return not (_NO_NAME.fullmatch(word) or are_terms([word]) or is_plain_word(word))
