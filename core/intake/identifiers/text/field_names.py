"""Names of table columns and record fields that hold identifiers (45 CFR 164.514(b)(2))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

from core.wording import OLDEST_YEARS

_FIELDS: Mapping[str, str] = {
    "name": """name first_name last_name given given_name family family_name surname forename middle_name maiden_name
        full_name patient_name first last middle maiden birth_name nickname mother_name mothers_maiden_name next_of_kin
        contact_name provider_name physician physician_name doctor nurse caregiver practitioner attending surgeon author
        firstname lastname fullname patientname referring_physician reporter guardian employer
        referring_physician_name performing_physician_name operators_name requesting_physician
        entered_by signed_by reported_by ordered_by performed_by verified_by validated_by created_by updated_by
        recorded_by collected_by requested_by approved_by reviewed_by dictated_by seen_by user user_name username
        technician technologist clinician prescriber consultant bearbeiter untersucher befunder erfasser unterschrift
        nachname vorname geburtsname familienname patientenname hausarzt arzt nom prenom prénom nom_de_naissance medecin
        médecin apellido apellidos nombre nombres cognome nome achternaam voornaam""",
    "contact": """phone phone_number telephone telephone_number telecom mobile cell fax email e_mail email_address
        address address1 address_1 address_2 address2 street street_address city town village zip zip_code zipcode
        postal_code postcode county district lat lon latitude longitude url website ip ip_address line home_address
        birthplace birth_place location_source_value patient_address patient_telephone_numbers
        strasse straße plz ort wohnort anschrift adresse telefon handy rue ville code_postal direccion direción
        telefono teléfono indirizzo""",
    "identifier": """mrn medical_record_number medical_record_no ssn social_security_number nhs_number
        passport drivers drivers_license driver_license license license_number insurance_id member_id policy_number
        health_plan_number account account_number accession accession_number identifier patient_id patient
        subject_id person_id patient_identifier person_source_value hospital_number national_id device_id serial_number
        certificate_number vehicle plate visit_source_value case_number fin csn hadm_id stay_id encounter_id
        visit_occurrence_id provider_id care_site_id location_id npi study_id pat_no pat_nr patno patnr pat_id pid
        patientennummer patienten_nr fallnummer fall_nr versichertennummer numero_patient nip ipp""",
    "institution": """institution institution_name institution_address institutional_department_name hospital
        hospital_name clinic klinik krankenhaus hopital hôpital""",
    "device": "device_serial_number station_name detector_id gantry_id scanner_id",
    "unique identifier": """study_instance_uid series_instance_uid sop_instance_uid frame_of_reference_uid""",
    "date": """birth_date birthdate birthday dob date_of_birth birth_datetime death_date deathdate dod
        deceased_date_time date_of_death year_of_birth date time datetime timestamp event_time
        start_time charttime date_time start stop
        start_date end_date death_datetime patient_birth_date study_date series_date acquisition_date content_date
        acquisition_date_time acquisition_time study_time series_time content_time
        geburtsdatum geb_datum gebdatum sterbedatum datum date_naissance date_de_naissance fecha_nacimiento
        fecha_de_nacimiento data_di_nascita geboortedatum""",
    "free text": """note notes note_text note_title presented_form
        comment comments narrative report text_note free_text remarks div
        history impression findings clinical_notes""",
    "picture": "photo photograph image attachment",
}
_PEOPLE = """patient person subject provider physician doctor nurse caregiver caretaker guardian contact relative spouse
    partner mother father parent surgeon author operator technician technologist staff clinician emergency_contact
    next_of_kin employer insured subscriber user""".split()  # noqa: SIM905
_OF_PEOPLE: Mapping[str, str] = {
    "name": "name full_name fullname first_name last_name given_name family_name surname",
    "contact": "phone phone_number telephone email address street city zip zip_code postcode",
}
_NUMBERED = """patient hospital account accession insurance policy member passport license licence medicare medicaid
    health_insurance health_card health_plan social_security record case chart file versicherten""".split()  # noqa: SIM905


def _joined_names() -> Iterator[tuple[str, str]]:
    """Names of two parts: whose and what ("caregiver_name"), or whose number ("insurance_no")."""
    for kind, parts in _OF_PEOPLE.items():
        yield from ((f"{person}_{part}", kind) for person, part in product(_PEOPLE, parts.split()))
    words = ("number", "no", "nr", "num", "id", "nummer")
    yield from ((f"{holder}_{word}", "identifier") for holder, word in product(_NUMBERED, words))


FIELD_CATEGORIES: Mapping[str, str] = {
    **dict(_joined_names()), **{name: kind for kind, names in _FIELDS.items() for name in names.split()},
}  # fmt: skip
"""Field name in lower case with underscores -> category. Only these names are ever shown."""
REFERENCE_CATEGORIES: Mapping[str, str] = {
    **dict.fromkeys(
        """subject patient participant individual actor recorder asserter performer requester author informant reporter
        general_practitioner practitioner recipient sender collector enterer provider attester agent who member
        """.split(),  # noqa: SIM905
        "name",
    ),
    **dict.fromkeys(("service_provider", "managing_organization", "organization", "location"), "institution"),
}
"""FHIR fields that refer to a person or a place -> category of the words that a reference shows (`display`)."""
AGE_FIELDS = frozenset(
    """
    age age_years age_in_years age_at_event age_at_admission age_at_diagnosis patient_age age_at_scan anchor_age
    onset_age deceased_age alter alter_jahre patientenalter edad leeftijd âge
    """.split()  # noqa: SIM905
)
OLDEST_SHOWN = OLDEST_YEARS - 1


def field_name(name: str) -> str:
    """A column or JSON key in lower case with underscores.

    >>> field_name("birthDate"), field_name("First Name")
    ('birth_date', 'first_name')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s.-]+", "_", spaced).lower()
