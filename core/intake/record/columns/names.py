"""What the name of a column means, its values unseen: the one place for words and patterns in names.

`FIELDS` are names that say it surely, and are read without asking. The others are hints: of a name that is not known,
whether it may stand for a value, a unit, a patient, a state (`suggests_`, `may_`, `is_of_`, `says_`, `names_`). What
follows from a hint is judged with the values, where it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _recorded_names() -> Iterator[str]:
    """Names that say when an event was recorded: "entry_time", "date_filed", "storedate", "time_of_entry"."""
    acts = _names(
        """recorded recording record entered entry filed filing stored store documented documentation resulted result
        reported report verified verification validated validation released release issued issue signed available
        inserted insert saved registered registration"""
    )
    for act, moment in product(acts, ("time", "date", "datetime", "date_time", "timestamp", "at", "on", "dt")):
        yield from (f"{act}_{moment}", f"{act}{moment}", f"{moment}_{act}", f"{moment}_of_{act}")
    yield from (f"{act}{moment}" for act, moment in product(_names("eingabe erfassungs dokumentations befund freigabe "
                "validierungs vidierungs eintrags"), _names("zeit datum zeitpunkt")))  # fmt: skip
    yield from _names(
        """recorded entered filed stored documented resulted reported verified validated released issued signed
        available charted erfasst_am eingegeben_am dokumentiert_am freigegeben_am validiert_am vidiert_am gespeichert_am
        date_saisie date_de_saisie saisi_le date_enregistrement enregistré_le fecha_registro fecha_de_registro
        registrado_el"""
    )


FIELDS: Mapping[str, tuple[str, ...]] = {
    "subject_id": _names(
        """subject_id patient_id person_id subject patient subjectid patientid patient_identifier patient_number
        patient_no patient_nr pat_id pat_no pat_nr patid patnr patientennummer patienten_id
        patient_num"""
    ),
    "time": _names(
        """time date datetime timestamp event_time start_time charttime date_time event_date datum uhrzeit zeitpunkt
        fecha hora heure"""
    ),
    "code": _names("code event event_code concept concept_code concept_cd"),
    "numeric_value": _names(
        "numeric_value value_numeric value_as_number number valuenum value_num nval_num ord_num_value labresult"
    ),
    "value": _names("value result result_value val wert messwert ergebnis valeur valor ord_value labresulttext"),
    "text_value": _names("text_value text value_text value_as_string tval_char"),
    "unit": _names(
        """unit units uom unit_source_value valueuom value_unit unit_of_measure units_of_measure result_unit lab_unit
        measurement_unit ucum ucum_unit unit_ucum units_cd labmeasurenamesystem
        einheit einheiten einh unite unité unidad"""
    ),
    "description": _names("description label display code_description"),
    "known_from": ("known_from", *_recorded_names()),
    "table": ("table",),
    "sex": _names("sex gender geschlecht sexe sexo patient_sex patient_gender sex_at_birth gender_source_value"),
    "birth_date": _names(
        """birth_date birthdate date_of_birth dob birthday patient_birth_date patient_dob birth_datetime geburtsdatum
        geb_datum gebdatum date_naissance date_de_naissance fecha_nacimiento fecha_de_nacimiento"""
    ),
    "age": _names("age age_years age_in_years age_at_event patient_age alter alter_jahre alter_in_jahren edad âge"),
}
"""Field -> column names that mean it (compared without case, spaces and points as underscores)."""
KNOWN_NAMES = frozenset(name for names in FIELDS.values() for name in names)


def plain_name(name: str) -> str:
    """A column name in lower case with underscores, as names are compared.

    >>> plain_name("Patient-ID"), plain_name("Date/Time"), plain_name(" Value ")
    ('patient_id', 'date_time', 'value')
    """
    return re.sub(r"[\s./-]+", "_", name.strip().lower())


def words_of_name(name: str) -> str:
    """The words of a column name, in lower case, joined by underscores.

    >>> words_of_name("Order Status (final)"), words_of_name("_Patient__ID")
    ('order_status_final', 'patient_id')
    """
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def alike(names: Sequence[str], field: str) -> list[str]:
    """The columns whose name means the field."""
    return [name for name in names if plain_name(name) in FIELDS[field]]


def unknown_names(names: Iterable[object]) -> list[str]:
    """Those of the names of columns that are not recognised."""
    return [name for name in map(str, names) if plain_name(name) not in KNOWN_NAMES]


_VALUE = re.compile(r"value|(?<![a-z])val(?![a-z])|result|wert|valor|valeur|amount|measure|reading|wieviel")
"""Names of columns that probably hold what was measured: a table whose numbers stand there alone is asked about."""
_ROLE_HINTS: Mapping[str, str] = {
    "subject_id": r"subj|patient|person|\bpid\b|mrn|wer|fall",
    "time": r"time|date|datum|zeit|wann|when|day|stamp|\bdt\b|_dt",
    "code": r"code|event(?!_?id)|concept|item|test|analy|icd|loinc|was|what|component|paramet|bezeichnung|diagnos|drug",
    "value": rf"{_VALUE.pattern}|number|qty",
    "unit": r"unit|uom|einh|unidad",
    "description": r"desc|label|name|display|bezeichnung",
}
_NUMBERED = re.compile(r"code|item_?id|concept_?id|loinc")
"""Names of columns whose whole numbers are codes."""
_PATIENT = re.compile(
    r"(?:(?:subj|subject|pat|patient|patienten|person|case|fall|record|hospital|chart)_?(?:key|id|nr|no|num|number"
    r"|nummer|identifier|code|ref|uuid)|mrn|pid|patient|person|subject|case|fall|hadm_?id"
    r"|(?:medical_record|nhs|social_security|health_card)_(?:no|number)|ssn|empi|usubjid|pt_?id|unique_?pid"
    r"|(?:pat|patienten)?_?pseudonym|psn|id_?pat|mpi|ipp|kvnr|versicherten_?(?:id|nr|nummer)|screening_?(?:id|nr|no|number)"
    r"|proband(?:en)?(?:_?(?:id|nr|nummer|code))?|(?:icu)?stay_?id|kis_?nr|sic|donor|individual|beneficiary"
    r"|aufnahme_?(?:nr|nummer|id)|participant|(?:participant|individual|donor|respondent|beneficiary|bene|client|member|enrollee)_?(?:id|nr|no"
    r"|number|code)|(?:subject|pat|patient|patienten|person)s?_?name|last_?name|family_?name|surname|nachname|familienname|nom_de_famille|apellidos?|cognome)"
)
"""Names of columns that probably tell patients, or their cases, apart."""
_MAY_NUMBER = re.compile(r"id|study_?id|identifier|uuid")
"""Names of columns that tell patients apart where many rows share a value, and rows or scans where they do not."""
_UNIT = re.compile(r"unit|uom|einh|ucum|unidad|dimension")
_ZONE = re.compile(r"(?<![a-z])tz|zone|offset")
_OTHER_MOMENT = re.compile(
    r"creat|updat|modif|chang|extract|export|load|print|end|stop|until|due|plan|schedul|order|next|disch|expir|bis|geändert"
)
"""Names of columns whose times are hardly those of the events."""
_NO_MEASURE = re.compile(
    r"(?:^|_)(?:id|ids|key|nr|no|num|number|nummer|seq|sequence|idx|index|row|line|zeile|version|rank|order|sort|flag"
    r"|code|concept|lower|low|upper|high|ref\w*|range|min|max|norm\w*|limit\w*|count|anzahl|priority|lfd|fall\w*|case"
    r"|visit|encounter|stay|hadm\w*|warning|error|year|month|day|hour|jahr|monat|tag|age|unnamed|instance|group|level"
    r"|batch|page|ward|station|bed|room|delta|zip|plz|phone|mrn|ssn|deleted|negated|cancell?ed)(?:_|$)|id$|^x\d*$"
)
"""Words in names of columns whose numbers are hardly measured: identifiers, limits, ranks, places and flags."""
_STATES = frozenset(("status", "state", "verification", "certainty", "validity", "assertion", "diagnosesicherheit"))
_ABOUT_EVENTS = frozenset(
    """event record row result results order observation obs test lab labor item entry data value admin administration
    med medication mar drug dose procedure proc condition diagnosis diag dx clinical encounter visit appointment
    specimen sample report document doc code flag text exam imaging immunization request befund auftrag leistung fhir
    hl7 source name current final is disp display cd desc description""".split()  # noqa: SIM905
)
"""Words that leave a column of states one of the event itself, and not, say, of consent or smoking."""
_FLAG = re.compile(
    r"(?:is_|was_|flag_)?(?:deleted|cancell?ed|voided|withdrawn|retracted|negated|negation|refuted|ruled_out"
    r"|entered_in_error|in_error|error|not_done|invalid|storniert|storno|geloescht|gelöscht|ungueltig|ungültig)(?:_flag)?"
)
_DONE = re.compile(
    r"(?:is_|was_|flag_)?(?:done|performed|given|administered|taken|carried_out|durchgeführt|gegeben|valid|gueltig|gültig)"
    r"(?:_flag)?"
)
_CURRENT = re.compile(r"(?:is_|flag_)?(?:active|current|aktiv|aktuell)(?:_flag)?")
_CHANGE = re.compile(r"(?:cdc_)?(?:op|operation|change_type|row_kind|dml(?:_type)?)")
_COMPARISON = re.compile(
    r"(?:\w+_)?(?:comparator|comparison|operator|qualifier|vergleich|vergleichszeichen)"
    r"|(?:\w+_)?(?:result|value|val|numeric|lab|test|wert)_(?:modifier|prefix|sign|op|relation)"
)
_OF_LIMITS = re.compile(r"(?:^|_)(?:norm\w*|ref\w*|range|low\w*|high|upper|limit\w*|cpt|hcpcs)(?:_|$)")
_SPECIMEN = re.compile(
    r"(?:specimen|sample|fluid|body_site|matrix|material|probe|probenart|probenmaterial|untersuchungsmaterial)"
    r"(?:_(?:type|source|site|name|text|desc|description|material|art))?"
)
_RELATIVE = re.compile(r"(?:relation|relationship|relative|family_member|verwandtschaft|angehöriger?)(?:_\w+)?")
_FAMILY = re.compile(r"(?:is_)?(?:family_history|familienanamnese|fhx)(?:_flag)?")
_REMARK = re.compile(r"(?:\w+_)?(?:remarks?|comments?|notes?|annotations?|bemerkung(?:en)?|kommentare?|commentaires?)")
_PERSON = re.compile(
    r"(?:(?:pat|patient|patienten|person|subject)s?_)?(?:mrn|name|nachname|last_name|family_name|surname|familienname"
    r"|ssn|social_security_number|nhs_number|empi|usubjid|medical_record_number)"
)
_NO_PERSON = frozenset(("name",))
"""Alone, the name of a test rather than of a person."""


def hints_at(role: str, name: str) -> bool:
    """Whether a name may be that of the column of a role, as a first guess."""
    return role in _ROLE_HINTS and bool(re.search(_ROLE_HINTS[role], name.lower()))


def may_number_codes(name: str) -> bool:
    """Whether whole numbers in a column of that name are codes."""
    return bool(_NUMBERED.search(name.lower()))


def suggests_values(name: str) -> bool:
    """Whether a column of that name probably holds what was measured."""
    return bool(_VALUE.search(name.lower()))


def suggests_units(name: str) -> bool:
    """Whether a column of that name may hold units, of measurement or others."""
    return bool(_UNIT.search(name.lower()))


def suggests_zones(name: str) -> bool:
    """Whether a column of that name may hold time zones."""
    return bool(_ZONE.search(name.lower()))


def suggests_another_moment(name: str) -> bool:
    """Whether times in a column of that name are hardly those of the events."""
    return bool(_OTHER_MOMENT.search(name.lower()))


def suggests_patients(name: str) -> bool:
    """Whether a column of that name probably tells patients, or their cases, apart."""
    return bool(_PATIENT.fullmatch(words_of_name(name)))


def may_number_patients(name: str) -> bool:
    """Whether a column of that name tells patients apart where many rows share a value, and else rows or scans."""
    return bool(_MAY_NUMBER.fullmatch(words_of_name(name)))


def may_measure(name: str) -> bool:
    """Whether numbers in a column of that name, beside one of values, may be measured: no identifiers, limits or ranks.

    >>> [may_measure(name) for name in ("spo2", "lactate", "nval", "ref_range_low", "labevent_id", "Unnamed: 0")]
    [True, True, True, False, False, False]
    """
    return bool(words_of_name(name)) and not _NO_MEASURE.search(words_of_name(name))


def may_leave_out(name: str) -> bool:
    """Whether a column's name says that it holds states, or a flag such as "deleted"."""
    return says_undone(name) or says_done(name) or is_of_states(name)


def says_undone(name: str) -> bool:
    """Whether a column's name says that its rows are taken back, where it says yes."""
    return bool(_FLAG.fullmatch(words_of_name(name)))


def says_done(name: str) -> bool:
    """Whether a column's name says that what its rows tell took place, where it says yes."""
    return bool(_DONE.fullmatch(words_of_name(name)))


def says_current(name: str) -> bool:
    """Whether a column's name says that its rows still count, where it says yes."""
    return bool(_CURRENT.fullmatch(words_of_name(name)))


def logs_changes(name: str) -> bool:
    """Whether a column's name may say what was done to its rows: inserted, updated, deleted."""
    return bool(_CHANGE.fullmatch(words_of_name(name)))


def compares(name: str) -> bool:
    """Whether a column's name says that it holds comparisons."""
    return bool(_COMPARISON.fullmatch(words_of_name(name)))


def is_of_limits(name: str) -> bool:
    """Whether a column's name says that it tells of normal limits, or of how a procedure was billed, and of no value.

    >>> is_of_limits("NORM_MODIFIER_LOW"), is_of_limits("RESULT_MODIFIER"), is_of_limits("cpt_modifier")
    (True, False, True)
    """
    return bool(_OF_LIMITS.search(words_of_name(name)))


def is_of_states(name: str) -> bool:
    """Whether a column's name says that it holds states, of whatever.

    >>> is_of_states("Record Status"), is_of_states("consent_status"), is_of_states("value")
    (True, True, False)
    """
    return not _STATES.isdisjoint(words_of_name(name).split("_"))


def is_of_events(name: str) -> bool:
    """Whether a column of states is, by its name, of the events themselves and not, say, of consent or smoking."""
    return set(words_of_name(name).split("_")) - _STATES <= _ABOUT_EVENTS


def names_specimens(name: str) -> bool:
    """Whether a column's name says that it holds specimens or sites of the body."""
    return bool(_SPECIMEN.fullmatch(words_of_name(name)))


def names_relatives(name: str) -> bool:
    """Whether a column's name says that it tells of whom in a family the event is."""
    plain = words_of_name(name)
    return bool(_RELATIVE.fullmatch(plain) or _FAMILY.fullmatch(plain))


def names_remarks(name: str) -> bool:
    """Whether a column's name says that it holds remarks on its rows."""
    return bool(_REMARK.fullmatch(words_of_name(name)))


def names_persons(name: str) -> bool:
    """Whether a column's name says that it holds names or numbers of persons."""
    plain = words_of_name(name)
    return bool(_PERSON.fullmatch(plain)) and plain not in _NO_PERSON
