"""Simulated coded timelines (MEDS rows) that fit a patient's clinical state.

Years of irregular visits, then the index encounter that leads to the CT. Values scatter about the patient's level,
more the older they are; some laboratory values are never measured. A few events follow the CT: they exist so that
every reader must cut them away.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.virtual import codes
from core.virtual.chart import Chart, add_known, add_values, pick, to_table
from core.virtual.codes import LabSpec
from core.virtual.patient import POPULATION, Regime
from core.virtual.sampling import ClinicalState, VirtualPatient, rng_of

_RECORDED = 0.96
"""Chance that a disease the patient has was ever coded."""


def simulate_events(patient: VirtualPatient, regime: Regime) -> pd.DataFrame:
    """Timeline of one patient, before and after the CT, columns as of `core.virtual.chart.to_table`.

    Events later than `patient.study_time` are included and must be cut by the reader.
    """
    return to_table(simulate_chart(patient, regime), patient)


def simulate_chart(patient: VirtualPatient, regime: Regime) -> Chart:
    """What `simulate_events` hands out, while more can be written into it."""
    rng, state, chart = rng_of(patient, "records"), patient.clinical, Chart()
    history_days = float(rng.uniform(700, 2600))
    visits = _visit_days(patient, history_days, rng)
    missing = 1.0 if patient.site == "internal" else 2.0
    labs = [spec for spec in codes.LABS if rng.random() >= spec.missing * missing]
    onset = _onset_days(state, history_days, rng)
    for day in visits:
        _routine_visit(chart, day, state, labs, onset, rng)
    index_day = (
        -float(rng.uniform(0.08, 0.9)) if POPULATION[patient.task] == "pe_mortality" else -float(rng.integers(1, 31))
    )
    _index_visit(chart, index_day, patient, labs, onset, rng)
    if regime == "ehr_selects_region":
        _add_selecting_diagnosis(chart, state.selected_zone, rng_of(patient, "selecting diagnosis"))
    chart.add(0.0, codes.CT_CODE[POPULATION[patient.task]])
    _add_follow_up(chart, patient, rng)
    return chart


def _visit_days(patient: VirtualPatient, history_days: float, rng: np.random.Generator) -> list[float]:
    """Days of past visits (negative), denser toward the CT; sicker patients come more often."""
    state = patient.clinical
    burden = sum((state.cancer, state.heart_failure, state.copd, state.ckd, state.diabetes, state.atrial_fibrillation))
    count = int(np.clip(rng.poisson(5 + 1.6 * burden), 4, 15))
    whole_days = np.floor(-8.0 - rng.random(count) ** 1.5 * history_days)
    study_hour = patient.study_time.hour + patient.study_time.minute / 60
    return sorted((whole_days + (rng.uniform(8, 17, count) - study_hour) / 24).tolist())


def _onset_days(state: ClinicalState, history_days: float, rng: np.random.Generator) -> dict[str, float]:
    """Day from which each disease or drug the patient has can be coded; what is never coded is left out."""
    names = list(codes.DIAGNOSES) + [name for name in codes.DRUGS if name.startswith("on_")]
    chances = rng.random((len(names), 2))
    return {
        name: -float(chance[1]) * history_days
        for name, chance in zip(names, chances, strict=True)
        if getattr(state, name) and chance[0] < _RECORDED
    }


def _routine_visit(
    chart: Chart,
    day: float,
    state: ClinicalState,
    labs: list[LabSpec],
    onset: dict[str, float],
    rng: np.random.Generator,
) -> None:
    kind = rng.choice(("VISIT//OUTPATIENT", "VISIT//ED", "VISIT//INPATIENT"), p=(0.8, 0.12, 0.08))
    chart.add(day, str(kind))
    acute = kind != "VISIT//OUTPATIENT"
    add_values(chart, day, codes.VITALS[:4], state, rng, chance=0.6)
    if acute or rng.random() < 0.5:
        add_values(chart, day + 0.05, [spec for spec in labs if acute or not spec.acute], state, rng, chance=0.45)
    add_known(chart, day + 0.03, onset, rng, chance=0.35)
    minor = rng.random(3)
    if minor[0] < 0.6:
        chart.add(day + 0.03, codes.MINOR_DIAGNOSES[int(rng.integers(len(codes.MINOR_DIAGNOSES)))])
    if minor[1] < 0.25:
        chart.add(day + 0.04, codes.MINOR_DRUGS[int(rng.integers(len(codes.MINOR_DRUGS)))])
    if minor[2] < 0.3:
        chart.add(day + 0.02, codes.MINOR_PROCEDURES[int(rng.integers(len(codes.MINOR_PROCEDURES)))])


def _index_visit(
    chart: Chart,
    day: float,
    patient: VirtualPatient,
    labs: list[LabSpec],
    onset: dict[str, float],
    rng: np.random.Generator,
) -> None:
    """The encounter that leads to the CT: most values are measured, most known diseases coded again."""
    state, urgent = patient.clinical, POPULATION[patient.task] == "pe_mortality"
    chart.add(day, "VISIT//ED" if urgent else "VISIT//OUTPATIENT")
    stay = -day if urgent else 0.2
    for share in (0.02, 0.3, 0.7) if urgent else (0.1, 0.3):
        add_values(chart, day + share * stay, codes.VITALS, state, rng, chance=0.85)
    add_values(chart, day + 0.15 * stay, labs, state, rng, chance=0.96)
    add_known(chart, day + 0.25 * stay, onset, rng, chance=0.75)
    extra = rng.random(6)
    if extra[0] < 0.75:
        chart.add(day + 0.01 * stay, codes.COMPLAINTS[int(rng.integers(len(codes.COMPLAINTS)))])
    if extra[1] < 0.8:
        chart.add(day + 0.05 * stay, codes.BODY_MASS_INDEX, round(state.bmi_kg_m2, 1))
    if extra[2] < 0.7:
        chart.add(day + 0.05 * stay, codes.SMOKING_STATUS, text="Ever smoker" if state.smoker else "Never smoker")
    if state.bmi_kg_m2 > 30 and extra[3] < 0.6:
        chart.add(day + 0.25 * stay, "ICD10CM//E66.9")
    if extra[4] < 0.6:
        chart.add(day + 0.1 * stay, "CPT//93000")
    if state.recent_surgery:
        chart.add(-float(rng.uniform(2, 80)), codes.SURGERY[int(rng.integers(len(codes.SURGERY)))])


def _add_selecting_diagnosis(chart: Chart, zone: int, rng: np.random.Generator) -> None:
    """Lung cancer codes of one site in the year before the CT: the record names the zone that matters.

    A course of radiotherapy, coded at every fraction, five a week: about a fifth of all events.
    """
    start, code = float(rng.integers(-320, -60)), pick(codes.LUNG_CANCER_BY_ZONE[zone], rng)
    for fraction in range(int(rng.integers(24, 35))):
        chart.add(start + fraction // 5 * 7 + fraction % 5, code)


def _add_follow_up(chart: Chart, patient: VirtualPatient, rng: np.random.Generator) -> None:
    """Events after the CT, some of which give its reading away."""
    findings = patient.findings
    day = float(rng.uniform(0.01, 0.5))
    seen = (
        ("ICD10CM//I26.99", findings.clot_burden > 0),
        ("ICD10CM//J90", sum(findings.effusion_ml) > 0),
        ("ICD10CM//R91.1", findings.nodule_diameter_mm > 0),
        ("ATC//B01AB05", findings.clot_burden > 0),
    )
    for code, present in seen:
        if present:
            chart.add(day, code)
    later = day + float(rng.uniform(5, 60))
    chart.add(later, "VISIT//OUTPATIENT")
    add_values(chart, later, codes.VITALS[:3], patient.clinical, rng, chance=0.7)
