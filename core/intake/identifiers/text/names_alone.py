"""Names of people that stand alone in a cell, known by a usual given name or by a column that says nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from core.intake.identifiers.text.names_other_scripts import may_be_cyrillic_surname, names_in_other_scripts
from core.intake.identifiers.text.surnames import is_common_surname, is_surname_too
from core.intake.identifiers.text.vocabulary import are_terms, is_plain_word
from core.intake.terms.given_names import is_given_name

_WORD = r"(?:[OD]['’])?[^\W\d_]{2,}(?:['’-][^\W\d_]{2,})*"
_PARTICLES = frozenset("van von der den de del della di da do dos du la le ter ten zu zum el al bin ibn af av".split())  # noqa: SIM905
_PARTS = re.compile(rf"(?:{_WORD}|[^\W\d_]\.?)(?:,?\s+(?:{_WORD}|[^\W\d_]\.?)){{1,4}}")
_SAYS_NOTHING = re.compile(
    r"|(?:col|column|field|feld|spalte|unnamed|var|v|f|c|x|attribute|attr|f_?name)[\s_:.-]*\d*|\w"
)
_DRUG = re.compile(
    r".*(?:olol|pril|sartan|statin|azole|mycin|cillin|cycline|floxacin|mab|nib|vir|parin|xaban|gliptin|gliflozin|glutide|idine"
    r"|amine|azine|pine|pam|lam|barbital|caine|dronate|fenac|profen|oxetine|triptan|setron|thiazide|semide|terol|sone"
    r"|solone|lone|phylline|thyroxine|formin|glinide|mide|toin|caftor|platin|taxel|rubicin|trexate|statine|zepam|azepam"
    r"|amide|actam|bactam|penem|quine|zine|dopa|nitrate|phosphate|chloride|sulfate|sodium|potassium|calcium|acetate"
    r"|citrate|tartrate|succinate|fumarate|maleate|mesylate|besylate|hydrochloride|gluconate|bromide|carbonate|vudine"
    r"|tabine|nosine|virenz|niazid|butol|fampin|fampicin|clavulanate|proxil|lukast|trexed|setamol|butamol|glargine|degludec"
    r"|lispro|poetin|grastim|plase|prazan|ciclib|lisib|degib|rafenib|metinib|conazole|fungin|vaptan|grelor|gatran)",
    re.IGNORECASE,
)
_BINOMIAL = re.compile(
    r"[A-Z][a-z]+(?:us|um|a|is|er|ella|ium|as|es|ia|ida)\s+[A-Za-z][a-z]+(?:us|um|is|ae|i|ans|ens|ii|a)"
)
_LONG_NUMBER = re.compile(r"[A-Z]{0,3}[- ]?\d{6,12}")


def is_bare_name(text: str) -> bool:
    """Whether a text is a person's name and nothing else, by a usual given name among words that are no terms.

    >>> [is_bare_name(text) for text in ("Kim Zorblat", "ZORBLAT KIM", "Candida Albicans", "Frank Blood", "Kim")]
    [True, True, False, False, False]
    """
    words = _words_of_name(text)
    return any(is_given_name(word) for word in words) and _are_no_terms(words)


def has_drug_ending(word: str) -> bool:
    """Whether a word ends as names of substances do (stems of the WHO's INN, salts).

    >>> has_drug_ending("Lamivudine"), has_drug_ending("Malone")
    (True, True)
    """
    return bool(_DRUG.fullmatch(word))


def says_nothing(name: str) -> bool:
    """Whether the name of a column tells nothing of what it holds ("col7", "Unnamed: 5")."""
    return bool(_SAYS_NOTHING.fullmatch(name.strip().casefold()))


def identifies(values: Sequence[str]) -> str | None:
    """The category that most distinct values of a column seem to be whose name tells nothing: names, or long numbers.

    >>> identifies(["Schmidt", "Müller", "Ward"]), identifies(["Aspirin"]), identifies(["Петров"])
    ('name', None, 'name')
    >>> identifies(["Xiulan Zorblat", "O. Quellen"]), identifies(["A1234567"]), identifies(["Metoprolol Tartrate"])
    ('name', 'number', None)
    """
    given = [text.strip() for text in values if text.strip()]
    for category, judge in (("name", _looks_like_name), ("number", _LONG_NUMBER.fullmatch)):
        if given and 2 * sum(bool(judge(text)) for text in given) > len(given):
            return category
    return None


def _looks_like_name(text: str) -> bool:
    """Whether a text has the form of a name, each word with a capital, and none is a term, a drug or an organism; a
    single word where it is a common surname."""
    if is_common_surname(text) or may_be_cyrillic_surname(text) or names_in_other_scripts(text):
        return True
    words = _words_of_name(text)
    capitals = all(word[0].isupper() for word in words)
    return bool(words) and capitals and _are_no_terms(words) and not _BINOMIAL.fullmatch(text.strip())


def _words_of_name(text: str) -> list[str]:
    """Words of a text that has the form of a name, but for initials and particles; none where it has not."""
    if len(text) > 60 or not _PARTS.fullmatch(text.strip()):
        return []
    parts = [part for part in re.split(r"[\s,]+", text.strip()) if part]
    return [part for part in parts if len(part.strip(".")) > 1 and part.casefold() not in _PARTICLES]


def _are_no_terms(words: Collection[str]) -> bool:
    """Whether words may all be a person's; a given name and a common surname may be terms as well."""
    return all(is_given_name(word) or is_surname_too(word) or _is_no_term(word) for word in words)


def _is_no_term(word: str) -> bool:
    return not (are_terms([word]) or is_plain_word(word) or has_drug_ending(word))
