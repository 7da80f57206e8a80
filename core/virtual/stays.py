"""Hospital admissions and intensive-care stays (`--with stays`): series by the hour, drugs, diagnoses, a note.

A stay shows the patient's clinical state through noise and through how ill the patient is on this occasion (acuity),
which fades. What a stay says of the state is new to no one: the hazard reads the state alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.virtual import codes
from core.virtual.catalogue import DRIVERS, catalogue, fits_sex
from core.virtual.chart import Chart, pick
from core.virtual.outcome import ehr_score
from core.virtual.sampling import ClinicalState, VirtualPatient, rng_of
from core.virtual.ward import DRUGS, SERIES, SeriesSpec, levels_of, note_of

NOTE_CODE = "NOTE//DISCHARGE"
REASONS: tuple[tuple[str, str], ...] = (
    ("ICD10CM//J18.9", "pneumonia"),
    ("ICD10CM//A41.9", "sepsis"),
    ("ICD10CM//I50.9", "heart failure"),
    ("ICD10CM//K92.2", "bleeding from the bowel"),
    ("ICD10CM//N39.0", "an infection of the urinary tract"),
    ("ICD10CM//R07.9", "chest pain"),
    ("ICD10CM//S72.001A", "a broken hip"),
    ("ICD10CM//K80.20", "gallstones"),
    ("ICD10CM//E87.1", "low sodium"),
    ("ICD10CM//R55", "syncope"),
)
_INTENSIVE_UNITS = ("Medical Intensive Care Unit (MICU)", "Cardiac Vascular Intensive Care Unit (CVICU)")
_WARDS = ("Medicine", "Medicine/Cardiology", "Med/Surg")
_HISTORY_DAYS = 1500.0
_OTHER_DIAGNOSES = 5.0
"""Mean number of diagnoses at discharge beside the reason and the known diseases."""


@dataclass(frozen=True)
class _Stay:
    """Days relative to the CT. acuity: how ill on this occasion; intensive: first and last day of intensive care."""

    start: float
    end: float
    acuity: float
    intensive: tuple[float, float] | None
    died: bool


def add_stays(chart: Chart, patient: VirtualPatient, last_day: float, died: bool) -> None:
    """Write the patient's stays before the CT, and after it up to `last_day`, on which the patient may have `died`.

    Those before it do not depend on what follows.
    """
    illness = ehr_score(patient.clinical, patient.task)
    for plan, stream in ((_plan_before, "stays"), (_plan_after, "stays after the CT")):
        rng = rng_of(patient, stream)
        for stay in plan(illness, last_day, died, rng):
            _write(chart, patient, stay, illness, rng)


def described(code: str) -> str | None:
    """Codes that only stays use, in words."""
    series = next((spec.words_for for spec in SERIES if spec.code == code), None)
    return series or (DRUGS[code][0] if code in DRUGS else None) or _STAY_WORDS.get(code.partition("//")[0])


_STAY_WORDS = {
    "HOSPITAL_ADMISSION": "Hospital admission",
    "HOSPITAL_DISCHARGE": "Hospital discharge",
    "ICU_ADMISSION": "Intensive care begins",
    "ICU_DISCHARGE": "Intensive care ends",
    "TRANSFER_TO": "Moved within the hospital",
    "NOTE": "Discharge note",
}


def _plan_before(illness: float, last_day: float, died: bool, rng: np.random.Generator) -> list[_Stay]:
    """Stays of the last years before the CT, in order of time; none overlap."""
    count = min(rng.poisson(_per_year(illness) * _HISTORY_DAYS / 365.25), 5)
    drawn = [_draw(start, illness, rng) for start in np.sort(rng.uniform(-_HISTORY_DAYS, -4.0, count)).tolist()]
    return _apart(drawn, -2.0)


def _plan_after(illness: float, last_day: float, died: bool, rng: np.random.Generator) -> list[_Stay]:
    """Stays up to the last day; half of the deaths happen in one."""
    in_hospital, final = died and rng.random() < 0.5, last_day - float(rng.uniform(0.5, 9.0))
    count = min(rng.poisson(_per_year(illness) * last_day / 365.25), 6)
    starts = np.sort(rng.uniform(1.0, max(last_day, 1.0), count)).tolist()
    if not in_hospital or final < 0.05:
        return _apart([_draw(start, illness, rng) for start in starts], last_day - 0.05)
    before = _apart([_draw(start, illness, rng) for start in starts], final - 2.0)
    return [*before, _draw(final, illness, rng, died_on=last_day)]


def _per_year(illness: float) -> float:
    return float(0.28 * np.exp(0.45 * np.clip(illness, -2, 2)))


def _draw(start: float, illness: float, rng: np.random.Generator, died_on: float | None = None) -> _Stay:
    """One stay: how ill, how long, and the days of it in intensive care."""
    acuity = float(0.35 * illness + rng.normal(0, 0.8)) + (1.2 if died_on is not None else 0.0)
    days = float(np.clip(rng.lognormal(1.25 + 0.25 * acuity, 0.5), 1.0, 21.0))
    wanted = rng.random() < 1 / (1 + np.exp(1.2 - 0.9 * acuity))
    length, offset = float(np.clip(rng.lognormal(0.5 + 0.2 * acuity, 0.5), 0.6, 5.0)), float(rng.uniform(0, 0.3))
    end = start + days if died_on is None else died_on
    first, last = start + offset, min(start + offset + length, end - 0.02)
    return _Stay(start, end, acuity, (first, last) if wanted and last - first > 0.3 else None, died_on is not None)


def _apart(stays: list[_Stay], limit: float) -> list[_Stay]:
    """Those that end by `limit` and begin two days after the one before."""
    kept: list[_Stay] = []
    for stay in stays:
        if stay.end <= limit and (not kept or stay.start >= kept[-1].end + 2):
            kept.append(stay)
    return kept


def _write(chart: Chart, patient: VirtualPatient, stay: _Stay, illness: float, rng: np.random.Generator) -> None:
    state = patient.clinical
    reason, words = REASONS[int(rng.integers(len(REASONS)))]
    chart.add(stay.start, "HOSPITAL_ADMISSION//EW EMER.//EMERGENCY ROOM")
    chart.add(stay.start + 0.02, f"TRANSFER_TO//admit//{pick(_WARDS, rng)}")
    if stay.intensive is not None:
        unit = pick(_INTENSIVE_UNITS, rng)
        chart.add(stay.intensive[0], f"ICU_ADMISSION//{unit}")
        chart.add(stay.intensive[1], f"ICU_DISCHARGE//{unit}")
    _add_series(chart, state, stay, rng)
    _add_drugs(chart, state, stay, rng)
    end = stay.end - 0.002
    for name in _diagnoses(state, reason, illness, rng):
        chart.add(end, name)
    age = state.age_years + stay.start / 365.25
    days = stay.end - stay.start
    note = note_of(state, age, words, stay.acuity, days, stay.intensive is not None, stay.died, rng)
    chart.add(end, NOTE_CODE, text=note)
    chart.add(end if stay.died else stay.end, f"HOSPITAL_DISCHARGE//{'DIED' if stay.died else 'HOME'}")


def _add_series(chart: Chart, state: ClinicalState, stay: _Stay, rng: np.random.Generator) -> None:
    """Values of every code of `SERIES`, about the patient's level, shifted by what is left of the acuity."""
    levels = levels_of(state)
    years = min(abs(stay.start) / 365.25, 3.0)
    drift = rng.normal(size=len(SERIES)) * np.hypot(0.3, 0.9 * np.sqrt(years))
    ventilated = stay.intensive is not None and stay.acuity > 0.8
    for spec, own in zip(SERIES, drift.tolist(), strict=True):
        if spec.loinc in _VENTILATED and not ventilated:
            continue
        days = _moments(spec, stay, rng)
        if spec.words:
            rest = (1 - 0.75) / (len(spec.words) - 1)
            told = rng.choice(len(spec.words), size=len(days), p=[0.75] + [rest] * (len(spec.words) - 1))
            for day, which in zip(days.tolist(), told.tolist(), strict=True):
                chart.add(day, spec.code, text=spec.words[which])
            continue
        chart.extend(days, [spec.code] * len(days), _values(spec, levels, stay, days, own, rng))


_VENTILATED = frozenset(("76222-9", "3150-0", "20077-4"))
_FADES_DAYS = 2.5


def _moments(spec: SeriesSpec, stay: _Stay, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """When the code is measured: more often in intensive care; some times are left out."""
    spans = [(stay.start + 0.03, stay.end - 0.05, spec.hours[1])]
    if stay.intensive is not None:
        spans = [
            (stay.start + 0.03, stay.intensive[0], spec.hours[1]),
            (*stay.intensive, spec.hours[0]),
            (stay.intensive[1], stay.end - 0.05, spec.hours[1]),
        ]
    found = []
    for first, last, hours in spans:
        if hours > 0 and last > first:
            steps = np.arange(first, last, hours / 24)[rng.random(int(np.ceil((last - first) / (hours / 24)))) < 0.85]
            found.append(steps + rng.uniform(0, 0.4, len(steps)) / 24)
    days = np.concatenate(found) if found else np.empty(0)
    return days[days < stay.end - 0.01]


def _values(
    spec: SeriesSpec,
    levels: dict[str, float],
    stay: _Stay,
    days: npt.NDArray[np.float64],
    own: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    level = levels[spec.level] if spec.level else spec.typical
    left = stay.acuity * np.exp(-np.clip(days - stay.start, 0, None) / _FADES_DAYS)
    if stay.died:
        left = stay.acuity * (1 + (days - stay.start) / (stay.end - stay.start))
    shift = spec.acute * left + own + 0.7 * rng.normal(size=len(days))
    values = level * np.exp(spec.spread * shift) if spec.log else level + spec.spread * shift
    low, high = _RANGES.get(spec.unit or "", (10.0**-spec.digits, np.inf))
    if spec.loinc in _SCORES:
        high = _SCORES[spec.loinc]
    return np.asarray(np.round(np.clip(values, low, high), spec.digits), np.float64)


_RANGES = {"%": (1.0, 100.0), "{score}": (1.0, 10.0), "Cel": (33.0, 42.0)}
_SCORES = {
    "9267-6": 4.0, "9270-0": 5.0, "9268-4": 6.0, "38222-6": 4.0, "38229-1": 4.0, "38224-2": 4.0, "38223-4": 4.0,
    "38226-7": 3.0, "38225-9": 4.0,
}  # fmt: skip


def _add_drugs(chart: Chart, state: ClinicalState, stay: _Stay, rng: np.random.Generator) -> None:
    """Drugs, once a day each, for as long as there is reason to."""
    accounts = {
        "ward": True,
        "intensive": stay.intensive is not None,
        "acute": stay.acuity > 0.2,
        "shock": stay.intensive is not None and stay.acuity > 0.8,
    }
    chances = rng.random(len(DRUGS))
    for (name, (_, account, chance)), drawn in zip(DRUGS.items(), chances.tolist(), strict=True):
        if drawn < chance and accounts.get(account, getattr(state, account, False)):
            span = stay.intensive if account in ("intensive", "shock") and stay.intensive else (stay.start, stay.end)
            days = np.arange(span[0] + 0.05 + 0.1 * drawn, span[1] - 0.01, 1.0)
            chart.extend(days, [name] * len(days))


def _diagnoses(state: ClinicalState, reason: str, illness: float, rng: np.random.Generator) -> list[str]:
    """Diagnoses at discharge, each once: the reason, most known diseases, some of the whole classification."""
    known = [
        pick(options, rng) for name, options in codes.DIAGNOSES.items() if getattr(state, name) and rng.random() < 0.7
    ]
    table = catalogue()
    drivers = np.zeros(len(DRIVERS))
    drivers[DRIVERS.index("age")] = np.clip((state.age_years - 62) / 14, -2.5, 2.5)
    drivers[DRIVERS.index("record")] = np.clip(illness, -2.5, 2.5)
    weights = table.rates_per_year * np.exp(table.weights @ drivers) * fits_sex(state.sex)
    count = int(rng.poisson(_OTHER_DIAGNOSES))
    others = rng.choice(len(weights), size=count, replace=False, p=weights / weights.sum())
    return list(dict.fromkeys([reason, *known, *(table.codes[row] for row in others.tolist())]))
