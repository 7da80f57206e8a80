"""Records: MEDS, OMOP, FHIR and plain tables become one timeline of one patient."""
