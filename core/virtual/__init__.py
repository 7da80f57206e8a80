"""Virtual patients: one real anatomy, disease written into it, a record that fits, an outcome of a known hazard."""
