"""Where the real CT files lie that several tests read."""

from __future__ import annotations

from pathlib import Path

SHARED_CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
REAL_CT = (
    "lung-pet-ct-dx_A0001_dicom.zip",
    "lung-pet-ct-dx_A0002_dicom.zip",
    "nsclc_radiogenomics_R01-001_dicom_every3rd.zip",
    "nsclc_radiogenomics_R01-001_2mm.nii.gz",
    "4d-lung_113_HM10395_2x2x3mm.nii.gz",
    "totalseg_pulmonary_crop/ct_cropped.nii.gz",
)
