"""Figures, saliency as NIfTI and their provenance."""

from core.export.figure import FORMATS, FigureInputs, figure_bytes, figure_inputs
from core.export.files import export_review, saliency_nifti
from core.export.provenance import curve_record, keyed_digest, provenance, to_json

__all__ = [
    "FORMATS",
    "FigureInputs",
    "curve_record",
    "export_review",
    "figure_bytes",
    "figure_inputs",
    "keyed_digest",
    "provenance",
    "saliency_nifti",
    "to_json",
]
