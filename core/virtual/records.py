"""Simulated coded timelines (MEDS rows) that fit a patient's clinical state.

Years of irregular visits, then the index encounter that leads to the CT. Values scatter about the patient's level,
more the older they are; some laboratory values are never measured. A few events follow the CT: they exist so that
every reader must cut them away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pandas as pd

from core.virtual import codes
from core.virtual.codes import LabSpec
from core.virtual.patient import POPULATION, Regime
from core.virtual.sampling import ClinicalState, VirtualPatient, rng_of

_RECORDED = 0.96
"""Chance that a disease the patient has was ever coded."""


@dataclass
class _Chart:
    """Events under construction: day relative to the CT (negative before), code, value, text."""

    days: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)

    def add(self, day: float, code: str, value: float = float("nan"), text: str | None = None) -> None:
        """Append one event."""
        self.days.append(day)
        self.names.append(code)
        self.values.append(value)
        self.texts.append(text)


def simulate_events(patient: VirtualPatient, regime: Regime) -> pd.DataFrame:
    """Timeline of one patient, before and after the CT.

    Returns a table with MEDS columns subject_id (int64), time (datetime64[us], NaT for static facts), code,
    numeric_value (float32), text_value, and unit; sorted by time, static facts first. Events later than
    `patient.study_time` are included and must be cut by the reader.
    """
    rng, state, chart = rng_of(patient, "records"), patient.clinical, _Chart()
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
    return _to_table(chart, patient)


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
    chart: _Chart,
    day: float,
    state: ClinicalState,
    labs: list[LabSpec],
    onset: dict[str, float],
    rng: np.random.Generator,
) -> None:
    kind = rng.choice(("VISIT//OUTPATIENT", "VISIT//ED", "VISIT//INPATIENT"), p=(0.8, 0.12, 0.08))
    chart.add(day, str(kind))
    acute = kind != "VISIT//OUTPATIENT"
    _add_values(chart, day, codes.VITALS[:4], state, rng, chance=0.6)
    if acute or rng.random() < 0.5:
        _add_values(chart, day + 0.05, [spec for spec in labs if acute or not spec.acute], state, rng, chance=0.45)
    _add_known(chart, day + 0.03, onset, rng, chance=0.35)
    minor = rng.random(3)
    if minor[0] < 0.6:
        chart.add(day + 0.03, codes.MINOR_DIAGNOSES[int(rng.integers(len(codes.MINOR_DIAGNOSES)))])
    if minor[1] < 0.25:
        chart.add(day + 0.04, codes.MINOR_DRUGS[int(rng.integers(len(codes.MINOR_DRUGS)))])
    if minor[2] < 0.3:
        chart.add(day + 0.02, codes.MINOR_PROCEDURES[int(rng.integers(len(codes.MINOR_PROCEDURES)))])


def _index_visit(
    chart: _Chart,
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
        _add_values(chart, day + share * stay, codes.VITALS, state, rng, chance=0.85)
    _add_values(chart, day + 0.15 * stay, labs, state, rng, chance=0.96)
    _add_known(chart, day + 0.25 * stay, onset, rng, chance=0.75)
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


def _add_values(
    chart: _Chart,
    day: float,
    specs: list[LabSpec] | tuple[LabSpec, ...],
    state: ClinicalState,
    rng: np.random.Generator,
    chance: float,
) -> None:
    """Measure each code with a chance; scatter grows with the time from the CT."""
    measured = rng.random(len(specs)) < chance
    years = min(abs(day) / 365.25, 3.0)
    scatter = rng.normal(size=len(specs)) * np.hypot(0.1, 0.45 * np.sqrt(years))
    for spec, taken, error in zip(specs, measured, scatter, strict=True):
        if taken:
            chart.add(day, spec.code, _reading(spec, state, float(error), rng))


def _reading(spec: LabSpec, state: ClinicalState, error: float, rng: np.random.Generator) -> float:
    """One recorded value: the true level plus `error` population standard deviations (on the log scale for `log`)."""
    if not spec.field:
        error += float(rng.normal())
    level = getattr(state, spec.field) if spec.field else spec.typical
    value = level * np.exp(spec.spread * error) if spec.log else level + spec.spread * error
    if spec.code == "LOINC//59408-5":
        value = min(value, 100.0)
    return round(float(max(value, 10.0**-spec.digits)), spec.digits)


def _add_known(chart: _Chart, day: float, onset: dict[str, float], rng: np.random.Generator, chance: float) -> None:
    """Code again what is known by `day`: diseases, and the drugs that treat them."""
    for name, start in onset.items():
        if day < start or rng.random() >= chance:
            continue
        if name in codes.DIAGNOSES:
            chart.add(day, _pick(codes.DIAGNOSES[name], rng))
        if name in codes.DRUGS and (name.startswith("on_") or rng.random() < 0.5):
            chart.add(day + 0.02 * min(-day, 1.0), _pick(codes.DRUGS[name], rng))


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.random() * len(options))]


def _add_selecting_diagnosis(chart: _Chart, zone: int, rng: np.random.Generator) -> None:
    """Lung cancer codes of one site in the year before the CT: the record names the zone that matters.

    A course of radiotherapy, coded at every fraction, five a week: about a fifth of all events.
    """
    start, code = float(rng.integers(-320, -60)), _pick(codes.LUNG_CANCER_BY_ZONE[zone], rng)
    for fraction in range(int(rng.integers(24, 35))):
        chart.add(start + fraction // 5 * 7 + fraction % 5, code)


def _add_follow_up(chart: _Chart, patient: VirtualPatient, rng: np.random.Generator) -> None:
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
    _add_values(chart, later, codes.VITALS[:3], patient.clinical, rng, chance=0.7)


def _to_table(chart: _Chart, patient: VirtualPatient) -> pd.DataFrame:
    state, study_time = patient.clinical, np.datetime64(patient.study_time, "us")
    names = np.array(["", "", *chart.names], dtype=object)
    minutes = (np.asarray(chart.days) * 1440).round().astype("timedelta64[m]")
    born = np.datetime64(patient.study_time - timedelta(days=round(state.age_years * 365.25)), "D").astype("M8[us]")
    times = np.concatenate([np.array([np.datetime64("NaT"), born], "M8[us]"), study_time + minutes])
    values = np.array([np.nan, np.nan, *chart.values], np.float32)
    texts = np.array([None, None, *chart.texts], dtype=object)
    names[:2] = f"GENDER//{state.sex}", "MEDS_BIRTH"
    if patient.site == "external":
        names = np.array([codes.EXTERNAL_SPELLING.get(name, name) for name in names], dtype=object)
    recorded = np.flatnonzero([name is not None for name in names])
    moments = np.where(np.isnat(times), np.iinfo(np.int64).min, times.astype(np.int64))
    order = recorded[np.argsort(moments[recorded], kind="stable")]
    names = names[order]
    return pd.DataFrame(
        {
            "subject_id": np.full(len(order), patient.subject_id, np.int64),
            "time": times[order],
            "code": names,
            "numeric_value": values[order],
            "text_value": texts[order],
            "unit": np.array([codes.UNITS.get(name) for name in names], dtype=object),
        }
    )
