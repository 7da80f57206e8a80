"""Scans: DICOM series, enhanced multi-frame CT, NIfTI and archives of them, read right or refused in words."""

from core.intake.files.quiet_logs import silence_pydicom

silence_pydicom()
