"""FHIR R4 resources."""
