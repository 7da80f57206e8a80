"""The coded record after the CT (`--with future`): what a model that foretells the record can learn from the picture.

Diagnoses of the catalogue come as Poisson processes with the patient's own rates and are written down at the next
visit; visits are irregular; values and known diseases are written as before the CT. The task's own event stands at the
label's time, nothing follows a death, and the end of follow-up leaves no mark.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.virtual import codes
from core.virtual.catalogue import DEATH, DRIVERS, EVENT_CODES, catalogue, rates_of
from core.virtual.chart import Chart, add_values, pick
from core.virtual.patient import POPULATION
from core.virtual.sampling import ClinicalState, VirtualPatient, rng_of

_VISITS_PER_YEAR = 4.0
_SHARES_OF_EVENTS = (0.35, 0.25, 0.2, 0.2)
"""How often each of the MACE codes is the event; the last is death."""

_NEVER_AGAIN = {"prior_stroke": ("ICD10CM//Z86.73",)}
"""Spellings of a known disease that would read as a new event after the CT."""


def add_future(
    chart: Chart, patient: VirtualPatient, time_to_event_days: float, event: bool, follow_up_days: float
) -> tuple[float, bool]:
    """Write what follows the CT; returns the last day of the record, and whether the patient died on it.

    follow_up_days: how far the record goes where the event is none or no death.
    """
    rng = rng_of(patient, "future")
    fatal, last_day = False, float(follow_up_days)
    if event:
        options = EVENT_CODES[POPULATION[patient.task]]
        shares = np.asarray(_SHARES_OF_EVENTS) if len(options) > 1 else np.ones(1)
        name = options[int(rng.choice(len(options), p=shares))]
        fatal = name == DEATH
        last_day = time_to_event_days if fatal else max(last_day, time_to_event_days)
        chart.add(time_to_event_days, name)
    chart.end(last_day)
    visits = _visits(patient, last_day, rng)
    _add_catalogue(chart, patient, visits, last_day, rng)
    for day in visits.tolist():
        urgent = rng.random() < 0.15
        chart.add(day, "VISIT//ED" if urgent else "VISIT//OUTPATIENT")
        add_values(chart, day, codes.VITALS[:4], patient.clinical, rng, chance=0.5)
        measured = [spec for spec in codes.LABS if urgent or not spec.acute]
        add_values(chart, day, measured, patient.clinical, rng, chance=0.7 if urgent else 0.35)
        _add_known(chart, day, patient.clinical, rng)
    return last_day, fatal


def catalogue_table() -> pd.DataFrame:
    """The truth of the future record, a row a code: code, rate_per_year, and its weight for each of `DRIVERS`."""
    known = catalogue()
    weights = {f"weight_{driver}": known.weights[:, column] for column, driver in enumerate(DRIVERS)}
    return pd.DataFrame({"code": known.codes, "rate_per_year": known.rates_per_year, **weights})


def _visits(patient: VirtualPatient, last_day: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Days of visits after the CT: irregular, more of them where there are more diseases; none in the last minutes."""
    state = patient.clinical
    burden = sum((state.cancer, state.heart_failure, state.copd, state.ckd, state.diabetes, state.atrial_fibrillation))
    often = (_VISITS_PER_YEAR + 0.8 * burden) * rng.gamma(8.0, 1 / 8.0)
    days = np.sort(rng.uniform(0.0, last_day, rng.poisson(often * last_day / 365.25)))
    hour = patient.study_time.hour + patient.study_time.minute / 60
    days = np.sort(np.floor(days) + (rng.uniform(8, 17, len(days)) - hour) / 24)
    return days[(days > 0.02) & (days < last_day - 0.02)]


def _add_catalogue(
    chart: Chart, patient: VirtualPatient, visits: npt.NDArray[np.float64], last_day: float, rng: np.random.Generator
) -> None:
    """Each code at its own rate; what happens after the last visit is never written down."""
    known, rates = catalogue(), rates_of(patient)
    often = rng.poisson(rates * last_day / 365.25)
    rows = np.repeat(np.arange(len(rates)), often)
    written = np.searchsorted(visits, rng.uniform(0.0, last_day, len(rows)))
    rows, written = rows[written < len(visits)], written[written < len(visits)]
    pairs = np.unique(np.stack((written, rows), axis=1), axis=0)
    chart.extend(visits[pairs[:, 0]] + 0.01, [known.codes[row] for row in pairs[:, 1]])


def _add_known(chart: Chart, day: float, state: ClinicalState, rng: np.random.Generator) -> None:
    """Known diseases coded again, and their drugs."""
    for name, options in codes.DIAGNOSES.items():
        if getattr(state, name) and rng.random() < 0.3:
            chart.add(day + 0.01, pick(_NEVER_AGAIN.get(name, options), rng))
    for name, options in codes.DRUGS.items():
        if getattr(state, name) and rng.random() < 0.25:
            chart.add(day + 0.015, pick(options, rng))
