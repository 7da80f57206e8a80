"""Codes of the future record: about 1,300 diagnoses, a code a category of ICD-10-CM, and what makes each more frequent.

Which finding or trait a code tells of goes by its place in the classification (`DRIVEN`); how strongly, and how often
it is written at all, is drawn once for all cohorts. Codes of the tasks' own events are not among them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.events.icd10 import icd10_descriptions
from core.virtual.outcome import ehr_score
from core.virtual.patient import POPULATION, Population
from core.virtual.sampling import VirtualPatient

DRIVERS = (
    "clot", "calcium", "heart", "trunk", "effusion", "emphysema", "nodule", "interstitial", "age", "record"
)  # fmt: skip
"""What rates hang on: findings of the CT, age, and the record's prognostic score; each about 0 on average, of sd 1."""

DRIVEN: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("I26", "I28", {"clot": 1.0, "trunk": 0.4}),
    ("I80", "I89", {"clot": 0.7}),
    ("D65", "D69", {"clot": 0.5}),
    ("Z79", "Z79", {"clot": 0.5, "calcium": 0.3}),
    ("I20", "I25", {"calcium": 0.9}),
    ("I70", "I79", {"calcium": 0.7, "age": 0.3}),
    ("I10", "I16", {"calcium": 0.3, "age": 0.2}),
    ("E78", "E78", {"calcium": 0.5}),
    ("I30", "I52", {"heart": 0.7, "trunk": 0.3}),
    ("R57", "R60", {"heart": 0.5, "effusion": 0.3}),
    ("J90", "J94", {"effusion": 0.9}),
    ("R18", "R19", {"effusion": 0.5}),
    ("J40", "J47", {"emphysema": 0.8}),
    ("J95", "J99", {"emphysema": 0.6, "record": 0.3}),
    ("F17", "F17", {"emphysema": 0.4}),
    ("C30", "C39", {"nodule": 0.9}),
    ("D10", "D49", {"nodule": 0.4}),
    ("R91", "R94", {"nodule": 0.7}),
    ("J80", "J84", {"interstitial": 0.9}),
    ("J00", "J22", {"interstitial": 0.3}),
    ("M30", "M36", {"interstitial": 0.6}),
    ("C00", "C96", {"record": 0.4, "age": 0.2}),
    ("D50", "D64", {"record": 0.4}),
    ("E10", "E13", {"record": 0.3}),
    ("N17", "N19", {"record": 0.5}),
    ("A30", "A49", {"record": 0.5}),
    ("R00", "R69", {"record": 0.3}),
    ("F01", "F09", {"age": 0.7}),
    ("G30", "G32", {"age": 0.7}),
    ("H25", "H54", {"age": 0.6}),
    ("M15", "M25", {"age": 0.4}),
    ("N40", "N53", {"age": 0.4}),
    ("W00", "W19", {"age": 0.5}),
)
"""First and last category, and log rate per standard deviation of a driver; the first match counts, others: nothing."""

DEATH = "MEDS_DEATH"
EVENT_CODES: dict[Population, tuple[str, ...]] = {
    "pe_mortality": (DEATH,),
    "mace": ("ICD10CM//I21.4", "ICD10CM//I63.50", "ICD10CM//I50.21", DEATH),
}
"""What stands at the label's time of a patient with the event; `--exclude-codes` of a pretraining leaves them out."""

_CHAPTERS = "ABCDEFGHIJKLMNRSTWZ"
_HOW_COMMON = {
    "A": 0.5,
    "B": 0.4,
    "C": 0.25,
    "D": 0.7,
    "S": 0.4,
    "T": 0.4,
    "W": 0.5,
    "I": 1.4,
    "J": 1.3,
    "R": 1.5,
    "Z": 1.3,
}
"""Factor of the rate, by the letter of a code."""

_OF_ONE_SEX = {
    "F": (("C51", "C58"), ("D06", "D06"), ("D25", "D28"), ("N70", "N98"), ("Z30", "Z39")),
    "M": (("C60", "C63"), ("D29", "D29"), ("N40", "N53")),
}
_BY_ENCOUNTER = "STW"
_LEFT_OUT = frozenset(("I21", "I22", "I23", "I46", "I63", "I64", "R99", "T07", "Z66"))
_SEED = 2508
_RATE_PER_YEAR = (0.004, 0.04)
_MORE_OFTEN = 3.0
"""How much more often codes are written that tell of something."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """codes: each once. rates_per_year: where every driver is 0. weights: log rate a unit, (codes, drivers)."""

    codes: tuple[str, ...]
    rates_per_year: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]


@cache
def catalogue() -> Catalogue:
    """All codes of the future; the same in every cohort."""
    rng = np.random.default_rng(_SEED)
    names = tuple(_typical_codes())
    low, high = np.log(_RATE_PER_YEAR)
    rates = np.exp(rng.uniform(low, high, len(names)))
    weights = np.zeros((len(names), len(DRIVERS)))
    strength = rng.uniform(0.6, 1.4, len(names))
    for row, name in enumerate(names):
        for driver, weight in _driven(name.partition("//")[2][:3]).items():
            weights[row, DRIVERS.index(driver)] = weight * strength[row]
        rates[row] *= _HOW_COMMON.get(name.partition("//")[2][0], 1.0)
    rates *= np.where(weights.any(axis=1), _MORE_OFTEN, 1.0)
    return Catalogue(names, rates, weights)


def rates_of(patient: VirtualPatient) -> npt.NDArray[np.float64]:
    """How often a year each code of the catalogue comes to this patient after the CT."""
    known = catalogue()
    return known.rates_per_year * np.exp(known.weights @ drivers_of(patient)) * fits_sex(patient.clinical.sex)


@cache
def fits_sex(sex: Literal["F", "M"]) -> npt.NDArray[np.float64]:
    """1 for the codes of the catalogue that a person of this sex can have, else 0."""
    foreign = _OF_ONE_SEX["M" if sex == "F" else "F"]
    categories = [code.partition("//")[2][:3] for code in catalogue().codes]
    return np.array([not any(first <= name <= last for first, last in foreign) for name in categories], np.float64)


def drivers_of(patient: VirtualPatient) -> npt.NDArray[np.float64]:
    """The patient's value of each of `DRIVERS`, held within -2.5 to 2.5."""
    findings, state = patient.findings, patient.clinical
    values = (
        findings.clot_burden / 0.28 - 0.9 if POPULATION[patient.task] == "pe_mortality" else 0.0,
        findings.coronary_calcium / 1.1 - 0.9,
        (findings.heart_scale - 1.05) / 0.077,
        (findings.pulmonary_trunk_diameter_mm - 28.0) / 2.9,
        np.log1p(sum(findings.effusion_ml) / 150.0) / 0.6 - 0.7,
        findings.emphysema_fraction / 0.09 - 0.6,
        findings.nodule_diameter_mm / 6.0 - 0.6,
        (float(np.mean(findings.interstitial_by_zone)) - 0.315) / 0.135,
        (state.age_years - 62.0) / 14.0,
        ehr_score(state, patient.task),
    )
    return np.clip(np.asarray(values, np.float64), -2.5, 2.5)


def described(code: str) -> str | None:
    """A code of ICD-10-CM in the words of the classification; of an injury without its letter for the encounter."""
    vocabulary, _, name = code.partition("//")
    if vocabulary != "ICD10CM":
        return None
    plain, words = name.replace(".", ""), icd10_descriptions()
    return words.get(plain) or words.get(plain.removesuffix("A").rstrip("X"))


def _driven(category: str) -> dict[str, float]:
    return next((weights for first, last, weights in DRIVEN if first <= category <= last), {})


def _typical_codes() -> list[str]:
    """A billable code of every category, the one called "unspecified" where there is one."""
    leaves: dict[str, list[str]] = {}
    names = sorted(icd10_descriptions())
    for name, following in zip(names, [*names[1:], ""], strict=True):
        if not following.startswith(name):
            leaves.setdefault(name[:3], []).append(name)
    chosen = []
    for category, options in leaves.items():
        if category[0] not in _CHAPTERS or category in _LEFT_OUT:
            continue
        plain = [name for name in options if re.search("unspecified", icd10_descriptions()[name], re.IGNORECASE)]
        name = (plain or options)[0]
        if category[0] in _BY_ENCOUNTER and len(name) < 7:
            name = f"{name:X<6}A"
        chosen.append(f"ICD10CM//{name[:3]}.{name[3:]}" if len(name) > 3 else f"ICD10CM//{name}")
    return chosen
