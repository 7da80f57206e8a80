"""Texts whose words a vocabulary knows; any other text may name somebody, in a form that no pattern tells."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from core.events.icd10 import icd10_descriptions, icd10_notes
from core.intake.identifiers.text.names_alone import has_drug_ending
from core.intake.identifiers.text.remembered import remembered
from core.intake.identifiers.text.surnames import is_common_surname, is_surname_too
from core.intake.identifiers.text.vocabulary import are_terms, is_plain_word, meanings_of_codes
from core.intake.terms.chest_terms import CHEST_WORDS
from core.intake.terms.given_names import GIVEN_TOO, is_given_name

_WORD = re.compile(r"[\u3041-\u9fff\uac00-\ud7a3]|[^\W\d_]{2,}")
_POSSESSIVE = re.compile(r"(?<=[a-z])['’]s\b")
_EPONYM = re.compile(
    r"\b[A-Z][a-zà-ÿ]{2,}(?:[-–][A-Z][a-zà-ÿ]+){0,2}\s(?=(?:disease|syndrome|sign|score|scale|classification|criteria|test|stain"
    r"|catheter|line|drain|cyst|node|tumou?r|sarcoma|lymphoma|hernia|procedure|operation|anomaly|palsy|granulomatosis|arteritis|factor|unit|cell|body|bodies|neuropathy|dystrophy|anemia|anaemia|phenomenon|reflex|paralysis|equation|criterion"
    r"|respiration|breathing|triad|manoeuvre|maneuver|contracture|ulcer|thyroiditis|hump|chromosome|protein|mutation)s?\b)"
    r"|\bBence[- ]Jones\b|(?<=\b[Ff]actor V )Leiden\b"
)
"""What diseases, signs and devices are called after: one name before one of these words."""
_GIVEN_ONLY = GIVEN_TOO - frozenset(
    "amber art bill chase crystal drew gene grant heath hope lance mark mason may olive sue summer wade will".split()  # noqa: SIM905
)
"""Those of them with which texts in capitals hardly begin ("May Require", "Gene Panel")."""
_PEOPLE = frozenset(
    """
    nurse doctor dr mr mrs ms miss sister brother prof professor attending son daughter wife husband uncle aunt mother
    father neighbour neighbor friend cousin by
    """.split()  # noqa: SIM905
)
"""What a name stands behind."""
_DOING = frozenset("called phoned rang visited said says reports reported informed asked came arrived agreed".split())  # noqa: SIM905
"""What people do, and hardly things."""
_TO_WHOM = frozenset("call called phoned told informed notified asked saw to with".split())  # noqa: SIM905
"""In lower case, what a capitalised word stands behind that is somebody."""
_INSTITUTIONS = frozenset(
    """
    hospital clinic school college university church infirmary hospice practice surgery pharmacy prison hotel
    """.split()  # noqa: SIM905
)
"""What the name of a place stands before, where it is no word of medicine ("Pain Clinic")."""
_KINDS_OF_THEM = frozenset("high primary middle memorial community county regional elementary grammar city".split())  # noqa: SIM905
_MEDICAL = re.compile(
    r"\w{3,}(?:itis|osis|aemia|emia|uria|plasty|ectomy|ostomy|otomy|scopy|graphy|gram|metry|pathy|algia|penia|cytes?|cytosis"
    r"|megaly|genic|plegia|paresis|trophy|rrhage|rrhagic|rrhoea|rrhea|sclerosis|stenosis|lysis|ectasis|ectasia|carcinoma|sarcoma"
    r"|adenoma|viral|coccus|bacter|virus|nitrite|assay|ase|aemic|emic|otic|itic|emesis|ptysis|pnoea|pnea|phagia|phasia|tropin"
    r"|globin|globulin|protein|lipid|phobia|ectopy|osal|idal|oid|uric)"
)
"""Endings that diseases, findings, methods and organisms have in common; for words of eight letters and more."""
_PREFIX = re.compile(
    r"(?:anti|arthro|broncho?|cardio|cerebro|electro|endo|gastro|haemo?|hemo?|hepato|hyper|hypo|immuno|infra|inter|intra|micro"
    r"|myo|nephro|neuro|non|osteo|para|peri|pneumo|poly|post|pre|pseudo|retro|sub|supra|thoraco|thrombo|trans|ultra|uni|vaso)"
    r"(?=\w{4})"
)
_OWN = frozenset(
    """
    ammoniacal dipstick nitrite reagin umol mmol nmol pmol ug mcg prn bid tid qid neg pos ref antiretroviral afb aki
    als ards asa bipap cabg cad cll copd cpap crrt cvvh dvt ecmo ecog ercp fev gcs gerd hfref hfpef hla icu mrsa
    mssa vre esbl cre iabp imv inr itu kras egfr lvef micu nicu nstemi nyha osa pcr pea picc picu poc rass rsv sicu
    sofa stemi tee tia tte uti vap apache apgar ashman barthel billroth bishop blatchford borg braden cha ds vasc
    charlson duke fontaine framingham gleason grace has bled hestia karnofsky killip kdigo mallampati mayo meld
    morbus nihss norton ranson rockall romhilt rutherford sgarbossa wells wexler cormack lehane tanner pugh spesi
    pesi timi actrapid adalat aldactone ativan augmentin avelox benadryl bactrim brilinta cipro clexane coumadin
    crestor cymbalta depakote diflucan digoxin dilantin dilaudid eliquis entresto epogen farxiga flagyl flomax
    forxiga fragmin glucophage haldol humalog humira invanz jardiance keppra keytruda klonopin lantus lasix levaquin
    levemir levophed lipitor lopressor lovenox lyrica marcumar motrin neurontin nexium norvasc novolog nurofen
    opdivo ozempic pantozol pepcid percocet plavix pradaxa precedex prilosec protonix prozac remicade risperdal
    rocephin senokot seroquel solumedrol singulair synthroid tamiflu toradol trulicity tylenol valium vancocin
    ventolin versed xanax xarelto zantac zestril zithromax zocor zofran zoloft zosyn zyprexa dynes millimol tropfen
    stück tablette tabletten einheit einheiten schläge atemzüge hübe kapsel kapseln ampulle ampullen beutel gouttes
    comprimé comprimés unités battements gotas comprimidos unidades latidos compresse gocce unità druppels eenheden
    every because unless until upon whereas per via versus despite amongst oneself onto hemolyzed hemolysed
    haemolysed hemolysis icteric lipemic lipaemic hh rh rads epi unt od bd tds qds om mane nocte auc emer neb nebs supp
    folfox folfiri folfirinox flot abvd beacopp rchop capox xelox escherichia klebsiella acinetobacter clostridium
    clostridioides candida aspergillus haemophilus moraxella neisseria salmonella shigella listeria legionella
    mycoplasma mycobacterium chlamydia proteus serratia stenotrophomonas bacteroides pneumocystis corynebacterium
    burkholderia cutibacterium morganella providencia bordetella borrelia brucella rickettsia
    toxoplasma plasmodium trichomonas giardia cryptosporidium coli omeprazol pantoprazol prednisolon metoprolol
    simvastatin propcounts wetweight ii iia iib iic iii iiia iiib iiic iv iva ivb vi vii viii ix xi xii english german
    french spanish italian dutch polish turkish russian arabic chinese portuguese vietnamese hindi afebrile intubated
    extubated spo fio ef pvcs pacs cheyne stokes african american feu na bp hr ra nc ng pg tachycardic bradycardic afib
    aflutter tachypneic normotensive hypotensive doac doacs noac noacs diaphoretic ambulating lae physio
    gp md ns stanford debakey hib prp omp ipv dtap tdap hep adol hpv pcv
    quadrivalent loinc tb td antiretrovirals sars cov covid mrna lnp
    """.split()  # noqa: SIM905
)
"""Abbreviations, units, grades, languages, scores by the name of their authors, and brands of drugs, that no vocabulary
above has."""
_SHORT_FORM = re.compile(r"[BCDFGHJKLMNPQRSTVWXZ]{3,5}")
"""Capitals without a vowel, which no name has ("VDRL"); shorter ones are initials."""
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[ .‑–—-]{1,2}(?=\d)")
_RANGE = re.compile(r"(?<![\w.-])\d{1,3}(?:[.,]\d+)?\s?[-–]\s?\d{1,3}(?:[.,]\d+)?(?![\w-])")
_LONG_NUMBER = re.compile(r"\d{6,}")
_DECIMAL = re.compile(r"[<>=~≤≥]?\s?[-+−]?(?:\d{1,6}|\d+[.,]\d+)")
_SHORTEST_DRUG = 7


@remembered(1 << 14)
def are_known_words(text: str) -> bool:
    """Whether all words of a text are those of medicine or of an English dictionary, and none is a name, and whether
    its numbers are too short to be somebody's.

    Vocabularies: ICD-10-CM, DICOM's context groups (SNOMED CT, LOINC, RadLex), endings of substances (INN), and the
    SPECIALIST Lexicon's common words as lemminflect carries them. Of other languages than English, only the commonest
    words of chest medicine are known.

    >>> [are_known_words(text) for text in ("Urine nitrite negative (finding)", "Foley catheter", "120/80")]
    [True, True, True]
    >>> [are_known_words(text) for text in ("Nguyen Van An", "Rose Wood", "HZ-482-913 encounter")]
    [False, False, False]
    """
    text = text.strip()
    if _LONG_NUMBER.search(_BETWEEN_DIGITS.sub("", _RANGE.sub(" ", text))) and not _DECIMAL.fullmatch(text):
        return False
    words = _WORD.findall(without_eponyms(text))
    apart = [word for word in words if word.casefold() not in _KINDS_OF_THEM]
    return all(map(_is_known, words)) and not any(_name_together(*pair) for pair in pairwise(apart))


def without_eponyms(text: str) -> str:
    """A text without the names that diseases, signs and devices are called after.

    >>> without_eponyms("Virchow's node, Foley catheter")
    'node, catheter'
    """
    return _EPONYM.sub("", _POSSESSIVE.sub("", text))


def _name_together(first: str, second: str) -> bool:
    """Whether two neighbours that are words of every day name someone together ("Rose Wood", "Nurse Brown"), or some
    place ("Lincoln School")."""
    before, behind = first.casefold(), second.casefold()
    may_be_name = second[0].isupper() and (is_surname_too(second) or behind in GIVEN_TOO)
    if not first[0].isupper() and before not in _PEOPLE:
        return may_be_name and before in _TO_WHOM
    if behind in _INSTITUTIONS:
        return not (are_terms((first,)) or is_plain_word(first))
    if behind in _DOING and before in GIVEN_TOO:
        return True
    if before in _GIVEN_ONLY and second[0].isupper() and not (are_terms((second,)) or is_plain_word(second)):
        return True
    return may_be_name and (before in _PEOPLE or before in GIVEN_TOO)


@remembered(1 << 16)
def _is_known(word: str) -> bool:
    folded = word.casefold()
    if is_common_surname(word.capitalize()) or (is_given_name(word) and folded not in GIVEN_TOO):
        return False
    known = are_terms((word,)) or is_plain_word(word) or folded in _words_of_medicine()
    known = (
        known
        or folded in _OWN
        or folded in CHEST_WORDS
        or _has_medical_form(folded)
        or bool(_SHORT_FORM.fullmatch(word))
    )
    return known or _is_english(folded) or _is_english(_PREFIX.sub("", folded))


def _has_medical_form(word: str) -> bool:
    if len(word) < _SHORTEST_DRUG:
        return False
    return has_drug_ending(word) or (len(word) > _SHORTEST_DRUG and bool(_MEDICAL.fullmatch(word)))


@lru_cache(maxsize=1)
def _words_of_medicine() -> frozenset[str]:
    """Case-folded words of ICD-10-CM and of DICOM's context groups that are nobody's name: those in lower case, and
    first words of a description that stand within no other one with a capital."""
    described = (*icd10_descriptions().values(), *meanings_of_codes())
    lower = {word for text in (*described, *icd10_notes()) for word in re.findall(r"(?<![\w'])[a-z]{2,}(?!\w)", text)}
    first = {match[0].casefold() for text in described if (match := _WORD.match(text))}
    within = {word.casefold() for text in described for word in re.findall(r"(?<=\s)[A-Z][a-z]+", text)}
    return frozenset(lower | (first - within))


def _is_english(word: str) -> bool:
    """Whether a case-folded word is a common one, in any of its forms; proper names are capitalised in the lexicon."""
    from lemminflect import getAllLemmas

    return bool(getAllLemmas(word))
