"""Where the real CT files lie that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest
from sampling import WHOLE

SHARED_CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
REAL_CT = (
    "lung-pet-ct-dx_A0001_dicom.zip",
    "lung-pet-ct-dx_A0002_dicom.zip",
    "nsclc_radiogenomics_R01-001_dicom_every3rd.zip",
    "nsclc_radiogenomics_R01-001_2mm.nii.gz",
    "4d-lung_113_HM10395_2x2x3mm.nii.gz",
    "totalseg_pulmonary_crop/ct_cropped.nii.gz",
)
LARGE = {"lung-pet-ct-dx_A0001_dicom.zip", "nsclc_radiogenomics_R01-001_dicom_every3rd.zip"}
"""512 x 512 x some hundred slices, which take most of the time of all six."""
REAL_SCANS = tuple(pytest.param(name, marks=WHOLE if name in LARGE else ()) for name in REAL_CT)
"""As parameters: the sample has a DICOM series and NIfTI files of four patients."""
