"""A coded record under construction, and what is written at a visit: values, known diseases, their drugs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.virtual import codes
from core.virtual.codes import LabSpec
from core.virtual.sampling import ClinicalState, VirtualPatient
from core.virtual.ward import UNITS


@dataclass
class Chart:
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

    def extend(self, days: npt.ArrayLike, names: Iterable[str], values: npt.ArrayLike | None = None) -> None:
        """Append many events without text."""
        added = np.asarray(days, np.float64).tolist()
        self.days += added
        self.names += names
        self.values += [float("nan")] * len(added) if values is None else np.asarray(values, np.float64).tolist()
        self.texts += [None] * len(added)

    def end(self, day: float) -> None:
        """Take away all that is later than the minute of `day`."""
        kept = [number for number, at in enumerate(self.days) if round(at * 1440) <= round(day * 1440)]
        for name in ("days", "names", "values", "texts"):
            column = getattr(self, name)
            setattr(self, name, [column[number] for number in kept])


def add_values(
    chart: Chart,
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


def add_known(chart: Chart, day: float, onset: dict[str, float], rng: np.random.Generator, chance: float) -> None:
    """Code again what is known by `day`: diseases, and the drugs that treat them."""
    for name, start in onset.items():
        if day < start or rng.random() >= chance:
            continue
        if name in codes.DIAGNOSES:
            chart.add(day, pick(codes.DIAGNOSES[name], rng))
        if name in codes.DRUGS and (name.startswith("on_") or rng.random() < 0.5):
            chart.add(day + 0.02 * min(-day, 1.0), pick(codes.DRUGS[name], rng))


def pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the options, each as likely."""
    return options[int(rng.random() * len(options))]


def to_table(chart: Chart, patient: VirtualPatient) -> pd.DataFrame:
    """MEDS rows of a whole record: sex and birth, then the chart, in order of time, as the patient's site spells it.

    Columns subject_id (int64), time (datetime64[us], NaT for static facts), code, numeric_value (float32), text_value,
    unit.
    """
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
            "unit": np.array([unit_of(name) for name in names], dtype=object),
        }
    )


def unit_of(code: str) -> str | None:
    """The UCUM unit of a code's values; None where it has no number or no unit."""
    return codes.UNITS.get(code) or UNITS.get(code)
