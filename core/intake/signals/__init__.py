"""Electrocardiograms: WFDB records and DICOM 12-lead ECGs."""
