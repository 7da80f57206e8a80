"""The known hazard: its parts, its concordance, and that drawn outcomes obey the true survival curve."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index

from core.cohort.tasks import TASKS
from core.virtual.outcome import (
    REGIMES,
    baseline_cumulative_hazard,
    draw_outcome,
    hazard_parts,
    image_score,
    selected_zone_contrast,
    true_survival,
)
from core.virtual.patient import Regime, Site, TaskName
from core.virtual.sampling import VirtualPatient, sample_patient

TASK_NAMES: tuple[TaskName, ...] = ("pe_mortality", "mace")


@cache
def _people(task: TaskName, site: Site = "internal", count: int = 3000) -> tuple[VirtualPatient, ...]:
    return tuple(sample_patient(task, site, 17, index) for index in range(count))


def _draws(
    people: tuple[VirtualPatient, ...], regime: Regime, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    drawn = [draw_outcome(person, regime, seed) for person in people]
    return np.array([days for days, _ in drawn]), np.array([event for _, event in drawn])


def _parts(people: tuple[VirtualPatient, ...], regime: Regime) -> dict[str, npt.NDArray[np.float64]]:
    parts = [hazard_parts(person, regime) for person in people]
    return {name: np.array([getattr(part, name) for part in parts]) for name in ("eta", "eta_image", "eta_ehr")}


@pytest.mark.parametrize("task", TASK_NAMES)
def test_concordance_of_the_true_parts(task: TaskName) -> None:
    people = _people(task)
    days, event = _draws(people, "balanced")
    found = {name: concordance_index(days, -eta, event) for name, eta in _parts(people, "balanced").items()}
    assert 0.68 < found["eta_image"] < 0.735
    assert 0.67 < found["eta_ehr"] < 0.725
    assert 0.76 < found["eta"] < 0.81


@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_score_blind_to_the_lead_lesion_falls_short(task: TaskName) -> None:
    people = _people(task)
    days, event = _draws(people, "balanced")
    lead = "clot_burden" if task == "pe_mortality" else "coronary_calcium"
    blind = [image_score(replace(person.findings, **{lead: 0.0}), task) for person in people]
    whole = concordance_index(days, -_parts(people, "balanced")["eta_image"], event)
    assert (concordance_index(days, -np.array(blind), event) - 0.5) / (whole - 0.5) < 0.70


@pytest.mark.parametrize("task", TASK_NAMES)
def test_parts_read_only_their_own_side(task: TaskName) -> None:
    one, other = _people(task)[:2]
    mixed = replace(one, clinical=other.clinical)
    for regime in REGIMES:
        assert hazard_parts(mixed, regime).eta_image == hazard_parts(one, regime).eta_image
        assert hazard_parts(mixed, regime).eta_ehr == hazard_parts(other, regime).eta_ehr
        parts = hazard_parts(mixed, regime)
        assert parts.eta == pytest.approx(parts.eta_image + parts.eta_ehr + parts.eta_interaction)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_record_does_not_foretell_the_picture(task: TaskName) -> None:
    parts = _parts(_people(task), "balanced")
    assert abs(np.corrcoef(parts["eta_image"], parts["eta_ehr"])[0, 1]) < 0.2


@pytest.mark.parametrize("task", TASK_NAMES)
@pytest.mark.parametrize("regime", REGIMES)
def test_true_survival_is_what_kaplan_meier_finds(task: TaskName, regime: Regime) -> None:
    people = _people(task)
    days, event = _draws(people, regime, seed=4)
    eta = _parts(people, regime)["eta"]
    curve = KaplanMeierFitter().fit(days, event)
    for group in (np.ones(len(eta), bool), eta > np.median(eta)):
        curve.fit(days[group], event[group])
        for horizon in TASKS[task].horizons_days:
            expected = true_survival(eta[group], horizon, task).mean()
            assert curve.predict(horizon) == pytest.approx(expected, abs=0.03)


def test_event_rates() -> None:
    internal = 1 - true_survival(_parts(_people("pe_mortality"), "balanced")["eta"], 365, "pe_mortality").mean()
    outside = _people("pe_mortality", "external", 1500)
    external = 1 - true_survival(_parts(outside, "balanced")["eta"], 365, "pe_mortality").mean()
    assert 0.11 < internal < 0.16
    assert 0.16 < external < 0.25
    mace = 1 - true_survival(_parts(_people("mace"), "balanced")["eta"], 1825, "mace").mean()
    assert 0.25 < mace < 0.35
    for task, longest in (("pe_mortality", 4.3), ("mace", 8.6)):
        days, event = _draws(_people(task), "balanced")  # type: ignore[arg-type]
        assert 0.27 < event.mean() < 0.40
        assert days.max() < longest * 365.25
        assert days.min() > 0


def test_baseline_rises_and_its_inverse_agrees() -> None:
    days = np.linspace(0, 6000, 500)
    for task in TASK_NAMES:
        hazard = baseline_cumulative_hazard(days, task)
        assert hazard[0] == 0
        assert (np.diff(hazard) > 0).all()


def test_selected_zone_needs_both_sides() -> None:
    people = _people("pe_mortality")
    days, event = _draws(people, "ehr_selects_region")
    chosen = np.array([selected_zone_contrast(p.findings, p.clinical.selected_zone) for p in people])
    mean_only = np.array([np.mean(person.findings.interstitial_by_zone) for person in people])
    wrong = np.array([selected_zone_contrast(p.findings, (p.clinical.selected_zone + 1) % 4) for p in people])
    assert concordance_index(days, -chosen, event) > 0.72
    assert concordance_index(days, -mean_only, event) < 0.62
    assert concordance_index(days, -wrong, event) < 0.56
    zone = np.array([person.clinical.selected_zone for person in people])
    assert all(abs(event[zone == j].mean() - event.mean()) < 0.05 for j in range(4))


def test_draws_are_reproducible_and_seeded() -> None:
    person = _people("mace")[0]
    assert draw_outcome(person, "balanced", 1) == draw_outcome(person, "balanced", 1)
    assert draw_outcome(person, "balanced", 1) != draw_outcome(person, "balanced", 2)
