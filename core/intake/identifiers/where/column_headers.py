"""Which column headers a report may repeat: those of which every word is usual at the head of a column."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from core.intake.identifiers.text.field_names import AGE_FIELDS, FIELD_CATEGORIES, field_name
from core.intake.identifiers.text.names_alone import says_nothing
from core.intake.identifiers.text.surnames import is_surname_too
from core.intake.identifiers.text.vocabulary import are_terms, is_plain_word
from core.intake.record.columns.names import KNOWN_NAMES

_MOST_CHARACTERS = 40
_USUAL = frozenset(
    """
    a additional all and any as at by day for from in is last min max mean new no not of old on or other per prior the
    to type with zu zum zur von und des der die das de du la le et el y del di e
    abnormal abstract action active activity admin administration admission admit allergy amount analysis analyte
    answer area assessment atc basis battery body category cause changed chart check checked class clinical clinician
    col column comment comments complaint component condition content context count course cpt created current data
    department desc description detail details diag diagnosis diagnoses direction discharge display dose drug duration
    encounter entry episode exam examination extra field file final finding findings flag form format frequency full
    group grp high icd id impression index indication info information instruction instructions interpretation item key
    kind lab label laboratory letter level line list loinc long low marker material meaning measure measurement med
    medication memo message method modality mode modified name note notes nr num number observation obs operation
    opinion order origin original outcome page panel parameter part performed plan position present priority problem
    procedure process protocol provider purpose qualifier quantity question range raw reason record reference reg
    related remark remarks report request requested response result results review role route row rxnorm sample scale
    score section sequence service severity short site source specialty specimen status step stop str string sub
    subtype summary symptom symptoms system tag target team term test text title topic treatment unit updated usage
    user val value values var variable verified version visit ward work
    abteilung anamnese anforderung angabe anlass anmerkung anmerkungen antwort art aufnahme auftrag befund befunde
    befundtext bemerkung bemerkungen beschreibung beurteilung bezeichnung brief code datei datum diagnose diagnosen
    dosis einheit eintrag entlassung ergebnis fall fallart feld frage freitext grund gruppe hinweis hinweise info inhalt
    kategorie klinik klinisch klinische kommentar kommentare labor leistung leistungstext material menge messung
    messwert methode notiz notizen parameter probe prozedur quelle schlüssel schluessel spalte station stelle symptom
    symptome text therapie titel typ untersuchung verlauf verordnung wert wirkstoff zeit zusatz zweck
    remarque remarques commentaire commentaires compte rendu diagnostic motif observation observations résultat
    resultat résumé resume texte traitement unité unite valeur libellé libelle service
    comentario comentarios observacion observaciones observación diagnostico diagnóstico resultado resultados texto
    unidad valor motivo nota notas descripcion descripción tratamiento servicio
    commento commenti nota note osservazioni diagnosi risultato testo unità descrizione reparto
    opmerking opmerkingen notitie verslag uitslag tekst waarde eenheid omschrijving afdeling
    """.split()  # noqa: SIM905
)
"""Words of field names in English, German, French, Spanish, Italian and Dutch; none is common as a surname."""


def _is_usual(word: str) -> bool:
    known = word in _words_of_known_names() or word in _USUAL or is_plain_word(word) or are_terms([word])
    return (known and not is_surname_too(word)) or bool(re.fullmatch(r"\d{1,2}", word))


@lru_cache(1)
def _words_of_known_names() -> frozenset[str]:
    names = (*FIELD_CATEGORIES, *AGE_FIELDS, *KNOWN_NAMES)
    return frozenset(word for name in names for word in name.split("_"))


def column_words(number: int, header: str, own_words: Collection[str] = ()) -> str:
    """A column by its number, counted from 1, and by its header where that tells of nobody.

    A header is repeated where every word of it is usual at the head of a column and none is the patient's own: a
    surname alone would look like any unknown word. own_words: case-folded words of the patient's name and id.

    >>> column_words(5, "Bemerkung Station"), column_words(5, "Quillfeather"), column_words(2, "note_ward", {"ward"})
    ('column 5, "Bemerkung Station"', 'column 5', 'column 2')
    """
    text = header.strip()
    words = [word for word in re.split(r"[\W_]+|(?<=[^\W\d_])(?=\d)", field_name(text)) if word]
    known = all(_is_usual(word) for word in words) or (says_nothing(text) and len(text) > 1)
    known = known and sum(word.isdigit() for word in words) < 2  # several may be a date or a number of someone
    if not words or not known or len(text) > _MOST_CHARACTERS or set(words) & set(own_words):
        return f"column {number}"
    return f'column {number}, "{text}"'
