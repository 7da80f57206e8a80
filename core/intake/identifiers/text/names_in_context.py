"""Names of people and places by the words beside them, in several languages, however everyday the names are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.intake.identifiers.text.names_listed import is_listed
from core.intake.identifiers.text.surnames import is_surname_too
from core.intake.identifiers.text.unknown_words import are_known_words
from core.intake.identifiers.text.vocabulary import are_terms, is_name_too, is_plain_word
from core.intake.terms.given_names import GIVEN_TOO, is_given_name

_NAME = r"([A-ZÀ-ÖØ-ÞČĐŁŃŚŠŞŽŻİ](?:[^\W\d_A-ZÀ-ÖØ-Þ]|['’-])+)"
_DOCTOR = r"(?:(?:Dr|Prof)\.?\s?(?:med|dent|phil|rer|nat|habil|univ|h\.c)?\.?\s?){0,3}"
_BY = (
    r"(?i:\b(?:seen|signed|dictated|reported|read|reviewed|referred|ordered|performed|verified|transcribed|examined"
    r"|approved|interpreted|entered|given|typed|placed|removed|consented|assessed) by)"
)
_ROLES = r"\b(?i:surgeon|attending|pcp|gp|md|consultant|hausarzt|m[ée]decin|contact|guardian|carer|caregiver)"
_WHO = (
    rf"(?:{_BY}|\b[Dd]/w|\b(?i:discussed with|signed|gez\.))(?::\s*|\s+)|{_ROLES}:\s*"
    r"|\b(?i:unterschrift|next of kin|nok|emergency contact|angeh[öo]riger?|betreuer(?:in)?)(?::\s*|\s+)"
)
_BEHIND = (
    re.compile(rf"(?:{_WHO}){_DOCTOR}{_NAME}\b"),
    re.compile(
        r"\b(?i:moglie|marito|figli[ao]|sorella|fratello|espos[ao]|herman[ao]|[ée]pouse|[ée]poux|sœur|frère|dochter|zoon"
        r"|żona|mąż|córka|syn|eşi|kızı|oğlu|schwieger(?:sohn|tochter|mutter|vater)|lebensgefährt(?:e|in)|nichte|neffe"
        rf"|enkelin)\s+{_NAME}\b"
    ),
    re.compile(rf"\b(?:Pani|Panią|Pana|[Dd]ott\.(?:ssa)?|Dra|Dhr\.|Mw\.|Drs\.|Doña|Señora?|Hra|Fru)\.?\s+{_NAME}\b"),
    re.compile(rf"{_NAME}\s(?:Hanım|Hanim|Bey|Efendi)\b"),
    re.compile(rf"\b(?:[Dd]r|[Pp]rof)\.?\s?(?:med|dent|phil|rer|habil|univ)\.\s?{_NAME}\b"),
)
"""What somebody's name stands behind, or before."""
_DOING = re.compile(rf"^{_NAME} (?:called|visited|informed|phoned|telephoned|rang|telefonisch informiert)\b")
_BEHIND_EVERYDAY = re.compile(rf"(?:\bSig\.|(?<!\S)[SsDdWw]/[Oo]\.?|{_ROLES})\s+{_NAME}\b")
"""Words that stand before others than names as well ("Sig. Take", "s/o Sepsis", "GP Letter")."""
_INITIAL = re.compile(rf"{_NAME},? [A-Z]\.(?=\s|$|\))")
_INITIALS = re.compile(
    r"(?i:\b(?:dictated|transcribed|typed|read|reported|signed)(?: by)?):\s?[A-Z]{2,3}(?:/[A-Za-z]{2,3})?(?!\w)"
)
_LISTED_WITHIN = re.compile(rf"(?<![\w'’-])[a-zà-ÿ]{{2,}},? \(?{_NAME}\b(?!['’-])")
_GIVEN_WITHIN = GIVEN_TOO - frozenset(("april", "dawn", "gene", "june", "may", "summer", "will"))
_SIGNED_SMALL = re.compile(r"\b(?:signed|gez\.|pcp)[: ]\s?([a-z]{3,})$")
_STAFF = frozenset(
    """
    nurse nursing doctor physician gp pharmacy pharmacist police ambulance son daughter wife husband mother father
    brother sister aunt uncle cousin niece nephew partner spouse friend neighbour neighbor parents mum mom dad family
    relative relatives guardian carer caregiver patient pt client resident residents fellow intern consultant registrar
    attending hospitalist surgeon surgery medicine team staff therapist physio physiotherapy physiotherapist dietitian
    dietician dietetics chaplain interpreter housekeeping hospice ward unit clinic hospital desk radiology cardiology
    oncology neurology psychiatry anesthesia anaesthesia anesthesiology orthopedics pediatrics palliative social speech
    occupational wound infectious diabetes stroke trauma vascular thoracic pulmonary renal critical intensive emergency
    case home outside primary private house charge night day float triage oral phone telephone protocol proxy name none
    unknown other self mother's all code rapid consult consults time level manager coordinator supervisor tech
    technician technologist provider aide sitter transport security lab laboratory microbiology pathology he she they
    we i it the this no not neither both everyone nobody someone center centre main office electronically signed
    scheduled pending following previous see sir madam due via in on at by with for from and or also then precautions
    isolation dermatitis allergy lens lenses
    """.split()  # noqa: SIM905
)
"""Who and what stands there without a name."""
_CLASSIFIED = frozenset(
    "vitamin hepatitis stanford debakey killip child mallampati group type grade class level zone factor".split()  # noqa: SIM905
)
"""What a letter of a class stands behind."""
_HOUSES = (
    r"(?:Hospital|Clinic|Infirmary|Hospice|Medical Cent(?:er|re)|Health Cent(?:er|re)|Nursing Home|Care Home|Practice)"
)
_PLACES = (
    re.compile(
        r"\b(?i:lives? in|moved from|works? (?:at|for)|transferred from|born in|wohnt in|habite à|vive (?:en|a))"
        rf" {_NAME}\b"
    ),
    re.compile(
        r"\b(?:Klinikum|Uniklinik|Universitätsklinikum|Krankenhaus|Klinik|CHU|CHR|CHUV|Clinique|Hôpital|Ospedale"
        rf"|Policlinico|AZ|Ziekenhuis|UMC|Szpital|Spital|Hastanesi|Hôpitaux|Clínica)\s"
        rf"(?:[Dd][ei]l?l?a?\s|[Ss]t\.?\s)?{_NAME}\b"
    ),
)
_STREET = re.compile(rf"\b{_NAME}\s(?:Street|Avenue|County)\b")
_HOUSE = re.compile(
    rf"\b{_NAME}(?:['’]s)?(?:\s(?:Memorial|General|Community|County|Regional|University))?\s{_HOUSES}\b"
)
_HOSPITAL = re.compile(rf"\bHospital\s(?:of\s|[Dd]e\s)?{_NAME}\b")
_NO_PLACE = frozenset(
    """
    nursing assisted snf care home homes group house apartment residential retirement facility shelter hospice ward bed
    general community main day children women mens rural urban public military naval veterans pain outpatient inpatient
    ambulatory urgent psychiatric acute county city regional university teaching district referral specialty walk
    retail health medical dental eye foot ear heart lung kidney stroke memory fertility sleep wound family primary
    specialist anticoagulation coumadin warfarin smoking cessation diabetes diabetic asthma allergy travel follow up
    local other another this that same our their his her outside nearby private state federal mental mobile virtual
    free standing clinical group general-practice best standard good high in of the at to from and or no office school
    college work hospital clinic desk admission floor room icu step chair stretcher supine sitting left right
    maternity pediatric paediatric surgery surgical oncology cardiac cancer thrombosis pulmonary respiratory thoracic
    cardiology hematology neurology transplant infusion dialysis tuberculosis chest hypertension lipid renal hepatology
    """.split()  # noqa: SIM905
)
"""What a house is called by what is done there, and where everybody may be."""


def is_named_by_role(text: str) -> bool:
    """Whether somebody is named beside a role, a relation, a title, what people do or an initial.

    >>> [is_named_by_role(text) for text in ("d/w Stone", "reviewed by Cardiology", "pain better, Faith", "Potter B.")]
    [True, False, True, True]
    """
    if any(_may_be_somebody(word) for pattern in (*_BEHIND, _DOING, _INITIAL) for word in _words(pattern, text)):
        return True
    if any(_is_no_other_word(word) or is_surname_too(word) for word in _words(_BEHIND_EVERYDAY, text)):
        return True
    if any(is_given_name(word) or word.casefold() in _GIVEN_WITHIN for word in _words(_LISTED_WITHIN, text)):
        return True
    return bool(_INITIALS.search(text)) or any(map(is_surname_too, _words(_SIGNED_SMALL, text)))


def is_named_place(text: str) -> bool:
    """Whether a house, a street or where somebody lives or works is named.

    >>> [is_named_place(text) for text in ("Oakdale Clinic", "Pain Clinic", "works at Acme", "lives in Nursing home")]
    [True, False, True, False]
    """
    within = (word for place in _PLACES for word in _words(place, text))
    if _STREET.search(text) or any(word.casefold() not in _NO_PLACE for word in within):
        return True
    return any(map(_is_of_house, _words(_HOUSE, text))) or any(map(_is_no_other_word, _words(_HOSPITAL, text)))


def _words(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    return (next(filter(None, found.groups())) for found in pattern.finditer(text))


def _is_no_other_word(word: str) -> bool:
    return is_listed(word) or not are_known_words(word)


def _is_of_house(word: str) -> bool:
    """Whether a house may be called so after somebody or some place, not after what is done there."""
    folded = word.casefold()
    if folded in GIVEN_TOO or is_listed(word):
        return True
    return not (
        folded in _NO_PLACE or folded in _STAFF or are_terms([word]) or is_plain_word(word) or _is_field(folded)
    )


def _is_field(folded: str) -> bool:
    """Whether a word is what somebody does: a speciality, or a verb."""
    return folded.endswith(("ology", "iatry", "iatrics", "ing"))


def _may_be_somebody(word: str) -> bool:
    """Whether a word in a name's place may be one: listed, or neither a term nor who stands there without a name."""
    folded = word.casefold()
    if folded in _STAFF or folded in _CLASSIFIED:
        return False
    listed = is_listed(word) or is_surname_too(word) or folded in GIVEN_TOO or is_name_too(word)
    return listed or not (are_terms([word]) or is_plain_word(word) or _is_field(folded))
