"""Sampling virtual patients: who they are, what their scan shows, how it was taken.

Everything is drawn from one generator per (population, site, seed, index), so patient 7 is the same patient in a
cohort of ten and in one of ten thousand. Picture and record share causes (smoking, heart failure, clot strain) only
weakly: the record must not foretell the scan.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from core.virtual.patient import POPULATION, ZONES, Acquisition, Findings, Population, Site, TaskName

ClotLevel = Literal["none", "segmental", "lobar", "central", "saddle"]
Zone = Literal["upper", "hilar", "middle", "lower"]


@dataclass(frozen=True)
class ClinicalState:
    """What the timeline tells, free of the noise of recording; the record part of the hazard reads only this.

    Laboratory values are the patient's current level; `selected_zone` (index into `ZONES`) matters in the regime
    ehr_selects_region alone, where the record names that zone and the hazard depends on its interstitial change.
    """

    age_years: float
    sex: Literal["F", "M"]
    bmi_kg_m2: float
    smoker: bool
    cancer: bool
    metastatic_cancer: bool
    heart_failure: bool
    copd: bool
    ckd: bool
    diabetes: bool
    hypertension: bool
    atrial_fibrillation: bool
    prior_mi: bool
    prior_stroke: bool
    prior_vte: bool
    recent_surgery: bool
    creatinine_mg_dl: float
    haemoglobin_g_dl: float
    albumin_g_dl: float
    nt_probnp_pg_ml: float
    troponin_ng_l: float
    lactate_mmol_l: float
    ldl_mg_dl: float
    hba1c_percent: float
    crp_mg_l: float
    heart_rate_bpm: float
    systolic_bp_mmhg: float
    spo2_percent: float
    on_anticoagulant: bool
    on_statin: bool
    on_beta_blocker: bool
    on_loop_diuretic: bool
    on_steroid: bool
    selected_zone: int


@dataclass(frozen=True)
class VirtualPatient:
    """One virtual patient; `study_time` is the time of the CT and of the prediction."""

    subject_id: int
    site: Site
    task: TaskName
    seed: int
    index: int
    study_time: datetime
    findings: Findings
    acquisition: Acquisition
    clinical: ClinicalState


def patient_rng(task: str, site: str, seed: int, index: int, stream: str) -> np.random.Generator:
    """Independent generator for one purpose (`stream`) of one patient."""
    words = [zlib.crc32(word.encode()) for word in (task, site, stream)]
    return np.random.default_rng(np.random.SeedSequence([seed, index, *words]))


def rng_of(patient: VirtualPatient, stream: str) -> np.random.Generator:
    """`patient_rng` of a patient already sampled."""
    return patient_rng(POPULATION[patient.task], patient.site, patient.seed, patient.index, stream)


def sample_patient(task: TaskName, site: Site, seed: int, index: int) -> VirtualPatient:
    """Patient number `index` (0 or more) of the stream `seed` of a task's population and site."""
    population = POPULATION[task]
    rng = patient_rng(population, site, seed, index, "patient")
    findings_rng = patient_rng(population, site, seed, index, "findings")
    acquisition_rng = patient_rng(population, site, seed, index, "acquisition")
    person = _sample_person(population, site, rng)
    findings = _sample_findings(population, site, person, findings_rng)
    clinical = _sample_clinical(population, person, findings, rng)
    hours = (0, 24) if population == "pe_mortality" else (8, 17)
    day = timedelta(days=int(rng.integers(2190)), minutes=int(rng.integers(60 * hours[0], 60 * hours[1])))
    return VirtualPatient(
        subject_id=1_000_000 * (1 + seed % 1000) + (500_000 if site == "external" else 0) + index,
        site=site,
        task=task,
        seed=seed,
        index=index,
        study_time=datetime(2014, 1, 1) + day,
        findings=findings,
        acquisition=_sample_acquisition(population, site, person, acquisition_rng),
        clinical=clinical,
    )


@dataclass(frozen=True)
class _Person:
    """Traits that both the scan and the record may show."""

    age_years: float
    male: bool
    smoker: bool
    copd: bool
    heart_failure: bool
    cancer: bool
    bmi: float
    frailty: float


def _chance(log_odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _sample_person(population: Population, site: Site, rng: np.random.Generator) -> _Person:
    sicker = 0.35 if site == "external" else 0.0
    mean_age = (61.0 if population == "pe_mortality" else 63.0) + 4.0 * (site == "external")
    age = float(np.clip(rng.normal(mean_age, 14.0), 22, 95))
    male = bool(rng.random() < (0.47 if population == "pe_mortality" else 0.55))
    old = (age - 62) / 14
    frailty = float(rng.normal(sicker, 1.0))
    smoker = bool(rng.random() < _chance(-0.3 + 0.3 * male + 0.1 * sicker))
    cancer_base = -1.1 if population == "pe_mortality" else -2.0
    return _Person(
        age_years=age,
        male=male,
        smoker=smoker,
        copd=bool(rng.random() < _chance(-2.6 + 1.5 * smoker + 0.3 * old + sicker)),
        heart_failure=bool(rng.random() < _chance(-1.9 + 0.6 * old + 0.4 * frailty + 0.5 * sicker)),
        cancer=bool(rng.random() < _chance(cancer_base + 0.3 * old + 0.3 * smoker + 0.4 * sicker)),
        bmi=float(np.clip(rng.lognormal(np.log(27.5), 0.19), 16, 52)),
        frailty=frailty,
    )


def _sample_findings(population: Population, site: Site, person: _Person, rng: np.random.Generator) -> Findings:
    sicker = 0.3 if site == "external" else 0.0
    burden = _sample_burden(population, sicker, rng)
    strain = burden - 0.22 if population == "pe_mortality" else 0.0
    trunk = 27.5 + 0.9 * person.male + 3.0 * strain + 0.7 * person.copd + sicker + rng.normal(0, 2.8)
    heart = 1.045 + 0.05 * strain + 0.03 * (person.heart_failure - 0.15) + 0.03 * sicker + rng.normal(0, 0.075)
    diameter, zone = _sample_nodule(person, rng)
    zones = rng.beta(0.6, 1.3, size=4)
    return Findings(
        clot_burden=burden,
        clot_level=_clot_level(burden, rng),
        pulmonary_trunk_diameter_mm=float(np.clip(trunk, 22.0, 41.0)),
        heart_scale=float(np.clip(heart, 0.88, 1.32)),
        coronary_calcium=_sample_calcium(population, person, sicker, rng),
        effusion_ml=_sample_effusion(person, sicker, rng),
        emphysema_fraction=_sample_emphysema(person, sicker, rng),
        nodule_diameter_mm=diameter,
        nodule_zone=zone,
        interstitial_by_zone=(float(zones[0]), float(zones[1]), float(zones[2]), float(zones[3])),
    )


def _sample_burden(population: Population, sicker: float, rng: np.random.Generator) -> float:
    """Burden of a suspected-embolism scan; routine non-contrast scans show none."""
    has_clot, burden = rng.random() < 0.65, 0.05 + 0.75 * rng.beta(1.1 + sicker, 1.6)
    return float(burden) if population == "pe_mortality" and has_clot else 0.0


def _clot_level(burden: float, rng: np.random.Generator) -> ClotLevel:
    """Most proximal level: a larger burden lies more centrally; saddle emboli only at high burden."""
    place = burden + rng.normal(0, 0.05)
    if burden == 0:
        return "none"
    if place < 0.14:
        return "segmental"
    if place < 0.32:
        return "lobar"
    return "saddle" if place > 0.58 and rng.random() < 0.6 else "central"


def _sample_calcium(population: Population, person: _Person, sicker: float, rng: np.random.Generator) -> float:
    """log10 Agatston-like units; age and sex move its presence a little, its amount hardly."""
    old = (person.age_years - 62) / 14
    base = 0.2 if population == "mace" else -0.7
    present = rng.random() < _chance(base + 0.3 * old + 0.25 * (person.male - 0.5) + sicker)
    amount = 1.0 + 2.3 * rng.beta(1.5, 1.3) + 0.06 * old
    return float(np.clip(amount, 1.0, 3.3)) if present else 0.0


def _sample_effusion(person: _Person, sicker: float, rng: np.random.Generator) -> tuple[float, float]:
    present = rng.random() < _chance(-0.75 + 0.5 * person.heart_failure + 0.3 * person.cancer + sicker)
    total = float(np.clip(rng.lognormal(np.log(330), 0.75), 40, 1500))
    share = float(np.clip(rng.normal(0.45, 0.25), 0.0, 1.0))
    if not present:
        return 0.0, 0.0
    left, right = (min(volume, 900.0) if volume >= 25 else 0.0 for volume in (total * share, total * (1 - share)))
    return float(left), float(right)


def _sample_emphysema(person: _Person, sicker: float, rng: np.random.Generator) -> float:
    present = rng.random() < _chance(-1.0 + 0.5 * person.smoker + 0.7 * person.copd + sicker)
    amount = 0.03 + 0.37 * rng.beta(1.2, 2.0)
    return float(amount) if present else 0.0


def _sample_nodule(person: _Person, rng: np.random.Generator) -> tuple[float, Zone]:
    present = rng.random() < _chance(-1.25 + 0.3 * person.smoker + 0.2 * person.cancer)
    diameter = float(np.clip(rng.lognormal(np.log(12), 0.42), 6, 30))
    zones: tuple[Zone, ...] = ("upper", "hilar", "middle", "lower")
    return diameter if present else 0.0, zones[int(rng.choice(4, p=(0.38, 0.12, 0.2, 0.3)))]


def _sample_clinical(
    population: Population, person: _Person, findings: Findings, rng: np.random.Generator
) -> ClinicalState:
    diagnoses = _sample_diagnoses(population, person, rng)
    drawn: dict[str, Any] = dict(diagnoses)
    drawn |= _sample_labs(person, findings, diagnoses, rng)
    drawn |= _sample_vitals(person, findings, diagnoses, rng)
    drawn |= _sample_drugs(diagnoses, person, rng)
    return ClinicalState(
        age_years=person.age_years,
        sex="M" if person.male else "F",
        bmi_kg_m2=person.bmi,
        smoker=person.smoker,
        cancer=person.cancer,
        heart_failure=person.heart_failure,
        copd=person.copd,
        selected_zone=int(rng.integers(len(ZONES))),
        **drawn,
    )


def _sample_diagnoses(population: Population, person: _Person, rng: np.random.Generator) -> dict[str, bool]:
    old, male = (person.age_years - 62) / 14, float(person.male) - 0.5
    ill = person.frailty
    cardiac = 0.7 if population == "mace" else 0.0
    log_odds = {
        "metastatic_cancer": -0.6 + 0.2 * ill if person.cancer else -9.0,
        "ckd": -1.9 + 0.6 * old + 0.4 * ill,
        "diabetes": -1.4 + 0.2 * old + 0.06 * (person.bmi - 28) + 0.2 * ill,
        "hypertension": -0.1 + 0.7 * old + 0.05 * (person.bmi - 28),
        "atrial_fibrillation": -2.3 + 0.8 * old + 0.8 * person.heart_failure,
        "prior_mi": -2.4 + 0.4 * old + 0.5 * male + cardiac + 0.5 * person.smoker,
        "prior_stroke": -2.5 + 0.5 * old + 0.3 * cardiac,
        "prior_vte": -1.6 if population == "pe_mortality" else -3.2,
        "recent_surgery": -1.6 if population == "pe_mortality" else -2.6,
    }
    return {name: bool(rng.random() < _chance(value)) for name, value in log_odds.items()}


def _sample_labs(
    person: _Person, findings: Findings, has: dict[str, bool], rng: np.random.Generator
) -> dict[str, float]:
    """Current level of each laboratory value (log-normal or normal about the patient's diseases)."""
    ill, old, strain = person.frailty, (person.age_years - 62) / 14, findings.clot_burden
    noise = rng.normal(size=9)
    log_bnp = np.log(190) + 1.1 * person.heart_failure + 0.4 * old + 0.3 * has["ckd"] + 0.4 * strain + 0.8 * noise[3]
    log_troponin = np.log(11) + 0.4 * has["ckd"] + 0.3 * has["prior_mi"] + 0.5 * strain + 0.75 * noise[4]
    sugar = 5.5 + 1.7 * has["diabetes"] + 0.01 * (person.bmi - 28) + (0.35 + 0.8 * has["diabetes"]) * noise[7]
    haemoglobin = 12.6 + 1.0 * person.male - 0.9 * person.cancer - 0.8 * has["ckd"] - 0.3 * ill + 1.3 * noise[1]
    values = {
        "creatinine_mg_dl": 0.88 * np.exp(0.13 * person.male + 0.5 * has["ckd"] + 0.08 * ill + 0.24 * noise[0]),
        "haemoglobin_g_dl": haemoglobin,
        "albumin_g_dl": 3.85 - 0.3 * person.cancer - 0.17 * ill - 0.08 * old + 0.4 * noise[2],
        "nt_probnp_pg_ml": np.exp(log_bnp),
        "troponin_ng_l": np.exp(log_troponin),
        "lactate_mmol_l": 1.35 * np.exp(0.12 * ill + 0.15 * strain + 0.38 * noise[5]),
        "ldl_mg_dl": 116 - 8 * has["prior_mi"] + 32 * noise[6],
        "hba1c_percent": sugar,
        "crp_mg_l": np.exp(np.log(12) + 0.5 * person.cancer + 0.2 * ill + 0.9 * noise[8]),
    }
    bounds = {
        "creatinine_mg_dl": (0.35, 9.0), "haemoglobin_g_dl": (6.0, 18.5), "albumin_g_dl": (1.6, 5.3),
        "nt_probnp_pg_ml": (15, 30000), "troponin_ng_l": (2, 2500), "lactate_mmol_l": (0.4, 12.0),
        "ldl_mg_dl": (30, 260), "hba1c_percent": (4.2, 13.5), "crp_mg_l": (0.4, 320),
    }  # fmt: skip
    return {name: float(np.clip(value, *bounds[name])) for name, value in values.items()}


def _sample_vitals(
    person: _Person, findings: Findings, has: dict[str, bool], rng: np.random.Generator
) -> dict[str, float]:
    ill, strain = person.frailty, findings.clot_burden
    rate = 82 + 4 * ill + 6 * has["atrial_fibrillation"] + 5 * strain + rng.normal(0, 13)
    pressure = 131 + 8 * has["hypertension"] - 4 * ill - 5 * person.heart_failure - 4 * strain + rng.normal(0, 16)
    oxygen = 95.8 - 1.2 * person.copd - 0.6 * ill - 1.0 * strain + rng.normal(0, 1.9)
    return {
        "heart_rate_bpm": float(np.clip(rate, 45, 165)),
        "systolic_bp_mmhg": float(np.clip(pressure, 75, 215)),
        "spo2_percent": float(np.clip(oxygen, 80, 100)),
    }


def _sample_drugs(has: dict[str, bool], person: _Person, rng: np.random.Generator) -> dict[str, bool]:
    log_odds = {
        "on_anticoagulant": -2.2 + 2.6 * has["atrial_fibrillation"] + 1.2 * has["prior_vte"],
        "on_statin": -1.0 + 1.5 * has["prior_mi"] + 0.9 * has["diabetes"] + 0.5 * has["hypertension"],
        "on_beta_blocker": -1.5 + 1.3 * person.heart_failure + 1.2 * has["prior_mi"] + 0.8 * has["atrial_fibrillation"],
        "on_loop_diuretic": -2.4 + 2.6 * person.heart_failure + 0.7 * has["ckd"],
        "on_steroid": -2.2 + 0.9 * person.copd + 0.9 * person.cancer + 0.3 * person.frailty,
    }
    return {name: bool(rng.random() < _chance(value)) for name, value in log_odds.items()}


def _sample_acquisition(population: Population, site: Site, person: _Person, rng: np.random.Generator) -> Acquisition:
    contrast = population == "pe_mortality"
    size = 1.02 if person.male else 0.95
    girth = 0.004 * (person.bmi - 27.5)
    scale = (
        float(np.clip(rng.normal(size + girth, 0.035), 0.84, 1.16)),
        float(np.clip(rng.normal(size + 1.2 * girth, 0.04), 0.84, 1.18)),
        float(np.clip(rng.normal(size, 0.045), 0.85, 1.15)),
    )
    blood = np.clip(rng.normal(330, 65), 190, 500) if contrast else np.clip(rng.normal(40, 4), 28, 52)
    external = site == "external"
    noise = rng.uniform(20, 42) if external else rng.uniform(12, 30)
    sharp = rng.random() < 0.5
    kernel = rng.uniform(0.35, 0.55) if sharp else rng.uniform(1.2, 1.7)
    return Acquisition(
        body_scale=scale,
        rotation_degrees=float(np.clip(rng.normal(0, 2.5 if not external else 4.0), -10, 10)),
        contrast=contrast,
        blood_hu=float(blood),
        noise_hu=float(noise),
        noise_correlation_mm=float(rng.uniform(0.8, 1.6) if external and sharp else rng.uniform(1.4, 2.4)),
        kernel_mm=float(kernel) if external else float(rng.uniform(0.6, 1.1)),
        spacing_mm=(2.3, 2.3, 4.0) if external else (2.0, 2.0, 5.0),
        seed=int(rng.integers(2**31 - 1)),
    )
