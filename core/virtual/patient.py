"""What a virtual patient is: the findings written into the scan and how the scan was taken.

Both the renderer (voxels) and the record and outcome simulators read these two records, so picture, timeline and
hazard agree. Sampling lives in `core.virtual.sampling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["pe_mortality", "mace", "mace_ecg"]
Population = Literal["pe_mortality", "mace"]
Site = Literal["internal", "external"]
Regime = Literal["balanced", "image_dominant", "ehr_dominant", "interaction", "ehr_selects_region"]

POPULATION: dict[TaskName, Population] = {"pe_mortality": "pe_mortality", "mace": "mace", "mace_ecg": "mace"}
"""Whom a task is about: tasks of one population have the same patients, each with an outcome of the task's own."""

ZONES = ("upper", "hilar", "middle", "lower")
"""Craniocaudal quarters of the lungs, apex to base; the order of `Findings.interstitial_by_zone`."""


@dataclass(frozen=True)
class Findings:
    """Disease and geometry of one virtual patient, each readable from the voxels.

    clot_burden:           0 none; else share of the pulmonary arterial obstruction scale, about 0.05 to 0.8.
    clot_level:            most proximal artery with clot; "none" where burden is 0.
    pulmonary_trunk_diameter_mm: about 22 to 41 (template 28), as `core.virtual.deform.rendered_trunk_mm` measures it.
    heart_scale:           linear scale of the heart (right ventricle most), about 0.9 to 1.3.
    coronary_calcium:      0 none; else log10 Agatston-like units, about 1 to 3.3.
    effusion_ml:           pleural fluid (left, right), 0 to about 900 each.
    emphysema_fraction:    share of lung voxels made emphysematous, 0 or about 0.03 to 0.4.
    nodule_diameter_mm:    0 none; else 6 to 30, with `nodule_zone`.
    interstitial_by_zone:  0 to 1 severity of ground-glass and reticular change in each of `ZONES`.
    """

    clot_burden: float
    clot_level: Literal["none", "segmental", "lobar", "central", "saddle"]
    pulmonary_trunk_diameter_mm: float
    heart_scale: float
    coronary_calcium: float
    effusion_ml: tuple[float, float]
    emphysema_fraction: float
    nodule_diameter_mm: float
    nodule_zone: Literal["upper", "hilar", "middle", "lower"]
    interstitial_by_zone: tuple[float, float, float, float]


@dataclass(frozen=True)
class Acquisition:
    """How the virtual patient was built and scanned.

    body_scale: linear (left-right, anterior-posterior, cranio-caudal) scale of the template.
    contrast:   True for a pulmonary-artery phase, False for a routine non-contrast chest CT (blood about 40 HU).
    blood_hu:   mean HU of the pulmonary arteries (contrast) or of blood (non-contrast).
    noise_hu:   standard deviation of the noise in soft tissue; noise_correlation_mm its in-plane correlation length.
    kernel_mm:  Gaussian sigma of the reconstruction kernel; sharper than 0.6 adds edge enhancement.
    spacing_mm: voxel size (i, j, k) of the reconstructed volume.
    seed:       drives deformation, rotation, lesion places and noise.
    """

    body_scale: tuple[float, float, float]
    rotation_degrees: float
    contrast: bool
    blood_hu: float
    noise_hu: float
    noise_correlation_mm: float
    kernel_mm: float
    spacing_mm: tuple[float, float, float]
    seed: int
