"""Scans: DICOM series, enhanced multi-frame CT, NIfTI and archives of them, read right or refused in words."""

from __future__ import annotations

from core.intake.scan.load import SeriesSummary, list_series, load_study
from core.intake.scan.repairs import REPAIRS, Repair, RepairableError

__all__ = ["REPAIRS", "Repair", "RepairableError", "SeriesSummary", "list_series", "load_study"]
