"""Tables of the OMOP common data model."""
