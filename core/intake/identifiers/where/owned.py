"""Columns and fields in which tables name their patient, and what they give."""

from __future__ import annotations

from core.intake.identifiers.finding import Finding

PATIENT_NAMES = frozenset(
    """
    patient_name patientname full_name fullname first_name firstname last_name lastname given_name family_name surname
    forename birth_name maiden_name nachname vorname familienname geburtsname patientenname prenom prénom
    nom_de_naissance apellido apellidos nombre cognome nome achternaam voornaam
    """.split()  # noqa: SIM905
)
PATIENT_NUMBERS = frozenset(
    """
    mrn medical_record_number medical_record_no ssn social_security_number nhs_number patient_id patient_identifier
    person_source_value hospital_number national_id patient_number patient_no pat_no pat_nr patno patnr pat_id pid
    patientennummer patienten_nr versichertennummer numero_patient nip ipp insurance_id member_id policy_number
    """.split()  # noqa: SIM905
)
Owned = tuple[str, str]
"""(name, number) that a table gives its patient, one of them empty."""
Met = Finding | Owned
"""What a search comes upon."""
