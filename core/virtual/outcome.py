"""The known hazard of a virtual patient: its parts, the true survival curve, and draws from it.

Proportional hazards on a piecewise-constant baseline: h(t | patient) = h0(t) exp(eta), with
eta = eta_image (findings only) + eta_ehr (clinical state only) + eta_interaction (both), and in the task mace_ecg
+ eta_ecg (the ECG only).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.virtual.ecg_findings import ecg_score, sample_ecg
from core.virtual.patient import POPULATION, Findings, Population, Regime, TaskName
from core.virtual.sampling import ClinicalState, VirtualPatient, rng_of

REGIMES: tuple[Regime, ...] = ("balanced", "image_dominant", "ehr_dominant", "interaction", "ehr_selects_region")


@dataclass(frozen=True)
class HazardParts:
    """Log hazard relative to the baseline, and the parts it is the sum of; `eta_ecg` is 0 but in mace_ecg."""

    eta: float
    eta_image: float
    eta_ehr: float
    eta_interaction: float
    eta_ecg: float = 0.0


@dataclass(frozen=True)
class _Weights:
    """Weights of the unit-variance image and record scores, their product, the selected zone, and the ECG's score."""

    image: float
    ehr: float
    product: float
    selected: float = 0.0
    ecg: float = 0.0


WEIGHTS: dict[Regime, _Weights] = {
    "balanced": _Weights(0.76, 0.77, 0.08),
    "image_dominant": _Weights(1.15, 0.2, 0.0),
    "ehr_dominant": _Weights(0.2, 1.15, 0.0),
    "interaction": _Weights(0.4, 0.4, 0.8),
    "ehr_selects_region": _Weights(0.15, 0.15, 0.0, 1.2),
}

_WEIGHTS_WITH_ECG: dict[Regime, _Weights] = {
    "balanced": _Weights(0.66, 0.62, 0.06, ecg=0.66),
    "image_dominant": _Weights(1.1, 0.2, 0.0, ecg=0.3),
    "ehr_dominant": _Weights(0.2, 1.1, 0.0, ecg=0.3),
    "interaction": _Weights(0.35, 0.35, 0.7, ecg=0.4),
    "ehr_selects_region": _Weights(0.15, 0.15, 0.0, 1.1, ecg=0.4),
}
"""Of the task mace_ecg; `WEIGHTS` are of the tasks without an ECG."""

_IMAGE_CENTRE: dict[Population, tuple[float, float]] = {"pe_mortality": (1.305, 1.138), "mace": (1.403, 1.192)}
_EHR_CENTRE: dict[Population, tuple[float, float]] = {"pe_mortality": (0.331, 1.133), "mace": (0.47, 0.988)}
"""Mean and standard deviation of the raw scores in the internal population; they make the scores below standard."""

_SELECTED_SD = 0.25
"""Standard deviation of the selected zone's contrast when the zone is drawn uniformly."""

_BASELINE: dict[Population, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "pe_mortality": ((0.0, 30.0, 90.0, 365.0, 1460.0), (0.0, 0.0151, 0.0323, 0.085, 0.368)),
    "mace": ((0.0, 365.0, 1095.0, 1825.0, 2920.0), (0.0, 0.0261, 0.1125, 0.2546, 0.565)),
}
"""Days and baseline cumulative hazard; linear between, and beyond the last at the last rate."""

_FOLLOW_UP_DAYS: dict[Population, tuple[float, float]] = {"pe_mortality": (850.0, 1530.0), "mace": (1500.0, 3100.0)}
_DROP_OUT_PER_YEAR = 0.03


def image_score(findings: Findings, task: TaskName) -> float:
    """Prognostic score of the findings alone: mean 0, sd 1 in the internal population.

    Clot leads in pulmonary embolism, coronary calcium in MACE; each other finding adds a little.
    """
    effusion = np.log1p(sum(findings.effusion_ml) / 150.0)
    emphysema = findings.emphysema_fraction / 0.1
    trunk = (findings.pulmonary_trunk_diameter_mm - 28.0) / 2.9
    heart = (findings.heart_scale - 1.05) / 0.077
    nodule = findings.nodule_diameter_mm / 10.0
    interstitial = (float(np.mean(findings.interstitial_by_zone)) - 0.315) / 0.135
    if task == "pe_mortality":
        lead = findings.clot_burden**0.7 / 0.28
        company = 0.24 * trunk + 0.25 * heart + 0.26 * effusion + 0.15 * emphysema + 0.12 * nodule + 0.16 * interstitial
    else:
        lead = findings.coronary_calcium / 1.1
        company = 0.18 * trunk + 0.36 * heart + 0.3 * effusion + 0.18 * emphysema + 0.06 * nodule + 0.12 * interstitial
    mean, sd = _IMAGE_CENTRE[POPULATION[task]]
    return float((lead + company - mean) / sd)


def ehr_score(state: ClinicalState, task: TaskName) -> float:
    """Prognostic score of the clinical state alone: mean 0, sd 1 in the internal population."""
    raw = _pe_record(state) if task == "pe_mortality" else _mace_record(state)
    mean, sd = _EHR_CENTRE[POPULATION[task]]
    return float((raw - mean) / sd)


def _pe_record(s: ClinicalState) -> float:
    age = 0.32 * (s.age_years - 62) / 14 + 0.1 * (s.sex == "M")
    diseases = 0.55 * s.cancer + 0.5 * s.metastatic_cancer + 0.3 * s.heart_failure + 0.2 * s.copd
    diseases += 0.15 * s.ckd + 0.2 * s.prior_stroke + 0.1 * s.prior_mi - 0.15 * s.recent_surgery
    labs = 0.2 * np.log(s.creatinine_mg_dl) / 0.3 - 0.22 * (s.haemoglobin_g_dl - 12.7) / 1.5
    labs += -0.3 * (s.albumin_g_dl - 3.8) / 0.46 + 0.22 * (np.log(s.nt_probnp_pg_ml) - 5.5)
    labs += 0.2 * (np.log(s.troponin_ng_l) - 2.6) / 0.8 + 0.22 * np.log(s.lactate_mmol_l / 1.4) / 0.4
    vitals = 0.18 * (s.heart_rate_bpm - 84) / 14 + 0.25 * (s.heart_rate_bpm > 110)
    vitals += 0.3 * (s.systolic_bp_mmhg < 100) - 0.12 * (s.spo2_percent - 95.5) / 2 + 0.3 * (s.spo2_percent < 92)
    return float(age + diseases + labs + vitals - 0.15 * s.on_anticoagulant - 0.1 * s.on_statin)


def _mace_record(s: ClinicalState) -> float:
    age = 0.35 * (s.age_years - 62) / 14 + 0.2 * (s.sex == "M")
    diseases = 0.6 * s.prior_mi + 0.35 * s.prior_stroke + 0.35 * s.heart_failure + 0.3 * s.diabetes
    diseases += 0.2 * s.ckd + 0.15 * s.hypertension + 0.2 * s.atrial_fibrillation + 0.1 * s.copd + 0.1 * s.cancer
    labs = 0.22 * (s.ldl_mg_dl - 115) / 32 + 0.15 * (s.hba1c_percent - 5.9) + 0.25 * (s.hba1c_percent > 8)
    labs += 0.24 * (np.log(s.nt_probnp_pg_ml) - 5.5) + 0.2 * (np.log(s.troponin_ng_l) - 2.6) / 0.8
    labs += 0.15 * np.log(s.creatinine_mg_dl) / 0.3 - 0.1 * (s.haemoglobin_g_dl - 12.8) / 1.5
    labs += -0.12 * (s.albumin_g_dl - 3.8) / 0.46
    vitals = 0.2 * (s.systolic_bp_mmhg - 132) / 17 + 0.25 * (s.systolic_bp_mmhg > 160)
    vitals += 0.1 * (s.heart_rate_bpm - 82) / 14
    return float(age + diseases + labs + vitals - 0.25 * s.on_statin - 0.1 * s.on_beta_blocker)


def selected_zone_contrast(findings: Findings, zone: int) -> float:
    """Interstitial change of one zone less 0.4 of the mean over zones, standardised.

    Neither the picture alone (the zone is unknown, and the mean tells little) nor the record alone (it names the zone
    only) ranks patients by this number.
    """
    zones = findings.interstitial_by_zone
    return (zones[zone] - 0.4 * float(np.mean(zones)) - 0.19) / _SELECTED_SD


def hazard_parts(patient: VirtualPatient, regime: Regime) -> HazardParts:
    """Parts of the log hazard of a patient under a regime."""
    reads_ecg = patient.task == "mace_ecg"
    weights = (_WEIGHTS_WITH_ECG if reads_ecg else WEIGHTS)[regime]
    image, ehr = image_score(patient.findings, patient.task), ehr_score(patient.clinical, patient.task)
    selected = selected_zone_contrast(patient.findings, patient.clinical.selected_zone)
    both = weights.product * float(np.clip(image * ehr, -6, 6)) + weights.selected * selected
    ecg = weights.ecg * ecg_score(sample_ecg(patient)) if reads_ecg else 0.0
    parts = weights.image * image, weights.ehr * ehr, both, ecg
    return HazardParts(sum(parts), *parts)


def baseline_cumulative_hazard(days: npt.ArrayLike, task: TaskName) -> npt.NDArray[np.float64]:
    """H0(days), the cumulative hazard at eta = 0; same shape as `days`."""
    knots, hazard = (np.asarray(values) for values in _BASELINE[POPULATION[task]])
    days = np.asarray(days, dtype=np.float64)
    last_rate = (hazard[-1] - hazard[-2]) / (knots[-1] - knots[-2])
    return np.asarray(np.interp(days, knots, hazard) + np.maximum(days - knots[-1], 0.0) * last_rate)


def true_survival(eta: npt.ArrayLike, days: npt.ArrayLike, task: TaskName) -> npt.NDArray[np.float64]:
    """S(days | eta) = exp(-H0(days) exp(eta)); `eta` and `days` broadcast.

    Both sites have one baseline; they differ by their patients.
    """
    return np.asarray(np.exp(-baseline_cumulative_hazard(days, task) * np.exp(np.asarray(eta, dtype=np.float64))))


def draw_outcome(patient: VirtualPatient, regime: Regime, seed: int) -> tuple[float, bool]:
    """(time_to_event_days, event) from the true hazard with administrative and random censoring."""
    event_day, censor_day = _draw_days(patient, regime, seed)
    return max(round(min(event_day, censor_day), 3), 0.001), bool(event_day <= censor_day)


def draw_follow_up(patient: VirtualPatient, regime: Regime, seed: int) -> float:
    """Days from the CT to the end of follow-up of the same draw, whether or not the event comes before it."""
    return _draw_days(patient, regime, seed)[1]


def _draw_days(patient: VirtualPatient, regime: Regime, seed: int) -> tuple[float, float]:
    """Days of the event and of the end of follow-up."""
    own = "" if patient.task == POPULATION[patient.task] else f" {patient.task}"
    rng = rng_of(patient, f"outcome {regime} {seed}{own}")
    target = rng.exponential() / np.exp(hazard_parts(patient, regime).eta)
    event_day = _invert_baseline(float(target), patient.task)
    shortest, longest = _FOLLOW_UP_DAYS[POPULATION[patient.task]]
    censor_day = min(rng.uniform(shortest, longest), rng.exponential(365.25 / _DROP_OUT_PER_YEAR))
    return event_day, float(censor_day)


def _invert_baseline(hazard: float, task: TaskName) -> float:
    """Day at which H0 reaches `hazard`."""
    knots, cumulative = (np.asarray(values) for values in _BASELINE[POPULATION[task]])
    rate = (cumulative[-1] - cumulative[-2]) / (knots[-1] - knots[-2])
    return float(np.interp(hazard, cumulative, knots) + max(hazard - cumulative[-1], 0.0) / rate)
