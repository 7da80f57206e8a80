"""Cohort folders and the virtual cohort."""
