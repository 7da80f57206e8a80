"""Scans: DICOM series, enhanced multi-frame CT, NIfTI and archives of them, read right or refused in words."""

from __future__ import annotations

from core.load.quiet import silence_pydicom
from core.load.repairs import REPAIRS, Repair, RepairableError
from core.load.study import SeriesSummary, list_series, load_study

silence_pydicom()

__all__ = ["REPAIRS", "Repair", "RepairableError", "SeriesSummary", "list_series", "load_study"]
