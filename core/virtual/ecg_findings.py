"""What a virtual patient's resting ECG shows, and the prognostic score of it.

Drawn from a stream of its own and only weakly tied to the clinical state (rate and fibrillation are the patient's; an
old infarction favours ST and T changes, heart failure wide complexes), so that the ECG tells what the record does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.virtual.sampling import ClinicalState, VirtualPatient, rng_of

Territory = Literal["none", "anterior", "inferior", "lateral"]
Conduction = Literal["normal", "left_bundle_branch_block", "right_bundle_branch_block"]

TERRITORIES: tuple[Territory, ...] = ("anterior", "inferior", "lateral")
WIDE_QRS_MS = 120.0
"""From here a QRS complex is a bundle branch block's; between 108 ms and this no patient lies."""
DURATION_S = 10.0
_ECTOPY_WITHIN_S = 8.2


@dataclass(frozen=True)
class EcgFindings:
    """One resting ECG of ten seconds.

    heart_rate_bpm:      60 over the mean RR interval.
    atrial_fibrillation: irregular RR intervals, fibrillation waves in place of P waves.
    pr_ms, qtc_ms:       of conducted beats; `qtc_ms` after Fridericia. No `pr_ms` in atrial fibrillation.
    qrs_duration_ms:     74 to 108, or 120 to 168 with the block that `conduction` names.
    axis_degrees:        of the main vector of depolarisation in the frontal plane.
    st_deviation_mv:     at the J point and after it in the leads of `st_territory`, against the level before the QRS
                         complex; 0 none, negative depression.
    t_lowering_mv:       by how much the T waves in the leads of `t_territory` are lower than they would be; from their
                         height on, about 0.2 mV in limb and 0.5 mV in chest leads, they are inverted.
    ectopic_beats:       ventricular, in the ten seconds.
    """

    heart_rate_bpm: float
    atrial_fibrillation: bool
    pr_ms: float | None
    qrs_duration_ms: float
    conduction: Conduction
    qtc_ms: float
    axis_degrees: float
    st_deviation_mv: float
    st_territory: Territory
    t_lowering_mv: float
    t_territory: Territory
    ectopic_beats: int


def sample_ecg(patient: VirtualPatient) -> EcgFindings:
    """Findings of the patient's ECG; the same for every task of the patient's population."""
    rng, state = rng_of(patient, "ecg"), patient.clinical
    rate = float(np.clip(state.heart_rate_bpm - 5 + rng.normal(0, 5), 46, 140))
    conduction, qrs = _sample_conduction(state, rng)
    territories = rng.choice(3, size=2)
    st_place, t_place = TERRITORIES[int(territories[0])], TERRITORIES[int(territories[1])]
    st = _sample_st(state, rng)
    lowering = _sample_lowering(state, st, rng)
    if st and rng.random() < 0.7:
        t_place = st_place
    pr = float(np.clip(rng.normal(164 - 0.35 * (rate - 75), 20), 116, 240))
    qtc = float(np.clip(rng.normal(412, 16) + 0.45 * max(qrs - 100, 0), 370, 500))
    axis = rng.normal(42, 24) - 35 * (conduction == "left_bundle_branch_block")
    return EcgFindings(
        heart_rate_bpm=rate,
        atrial_fibrillation=state.atrial_fibrillation,
        pr_ms=None if state.atrial_fibrillation else pr,
        qrs_duration_ms=qrs,
        conduction=conduction,
        qtc_ms=qtc,
        axis_degrees=float(np.clip(axis, -50, 100)),
        st_deviation_mv=st,
        st_territory=st_place if st else "none",
        t_lowering_mv=lowering,
        t_territory=t_place if lowering else "none",
        ectopic_beats=_sample_ectopy(rate, state, rng),
    )


def _chance(log_odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _sample_conduction(state: ClinicalState, rng: np.random.Generator) -> tuple[Conduction, float]:
    blocked = rng.random() < _chance(-1.75 + 0.6 * state.heart_failure)
    side, usual, wide = rng.random(), rng.normal(92, 7) + 2.0 * state.heart_failure, 120 + 48 * rng.beta(1.6, 1.8)
    if not blocked:
        return "normal", float(np.clip(usual, 74, 108))
    return "left_bundle_branch_block" if side < 0.5 else "right_bundle_branch_block", float(wide)


def _sample_st(state: ClinicalState, rng: np.random.Generator) -> float:
    """Depression in two of three patients with a deviation, elevation in one."""
    present = rng.random() < _chance(-0.75 + 0.5 * state.prior_mi)
    size, elevated = 0.07 + 0.28 * rng.beta(1.3, 1.6), rng.random() < 0.33
    return float(size if elevated else -size) if present else 0.0


def _sample_lowering(state: ClinicalState, st_deviation_mv: float, rng: np.random.Generator) -> float:
    present = rng.random() < _chance(-0.8 + 0.5 * state.prior_mi + 0.5 * (st_deviation_mv != 0))
    lowering = 0.15 + 0.5 * rng.beta(1.5, 1.5)
    return float(lowering) if present else 0.0


def _sample_ectopy(heart_rate_bpm: float, state: ClinicalState, rng: np.random.Generator) -> int:
    """At most every second beat, and none so near the ends that its pause is cut off."""
    frequent = rng.random() < _chance(-0.85 + 0.4 * state.heart_failure)
    count = 1 + int(rng.poisson(1.1))
    room = int((_ECTOPY_WITHIN_S * heart_rate_bpm / 60 - 1) // 2)
    return min(count, room, 4) if frequent else 0


_CENTRE = (1.324, 1.193)
"""Mean and standard deviation of the raw score in the internal population of MACE; they make the score standard."""


def ecg_score(findings: EcgFindings) -> float:
    """Prognostic score of the ECG alone: mean 0, sd 1 in the internal population of MACE.

    Linear in the size of the ST deviation, the lowering of the T wave, the duration of QRS, the ectopic beats
    (log(1 + n)), fibrillation and the rate; the first four carry nearly all of it. Each is written into the signal.
    """
    raw = 0.6 * abs(findings.st_deviation_mv) / 0.1 + 0.5 * findings.t_lowering_mv / 0.2
    raw += 0.65 * (findings.qrs_duration_ms - 95) / 20 + 0.55 * np.log1p(findings.ectopic_beats) / 0.55
    raw += 0.3 * findings.atrial_fibrillation + 0.15 * (findings.heart_rate_bpm - 77) / 14
    mean, sd = _CENTRE
    return float((raw - mean) / sd)
