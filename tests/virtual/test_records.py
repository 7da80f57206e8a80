"""Simulated timelines: chronology, size, units, missingness, and signals that follow the clinical state."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from core.virtual import codes
from core.virtual.patient import Site, TaskName
from core.virtual.records import simulate_events
from core.virtual.sampling import VirtualPatient, sample_patient


@cache
def _people(task: TaskName, site: Site = "internal") -> tuple[tuple[VirtualPatient, pd.DataFrame], ...]:
    people = [sample_patient(task, site, 2, index) for index in range(300)]
    return tuple((person, simulate_events(person, "balanced")) for person in people)


@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
@pytest.mark.parametrize("site", ["internal", "external"])
def test_shape_of_a_timeline(task: TaskName, site: Site) -> None:
    for person, events in _people(task, site):
        before = events[~(events.time > person.study_time)]
        assert 35 <= len(before) <= 250
        assert 1 <= len(events) - len(before) <= 12
        assert (events.subject_id == person.subject_id).all()
        assert events.time.iloc[1:].is_monotonic_increasing
        assert pd.isna(events.time.iloc[0])
        assert events.code.iloc[0] == f"GENDER//{person.clinical.sex}"
        assert events.code.iloc[1] == "MEDS_BIRTH"
        age = (person.study_time - events.time.iloc[1]) / pd.Timedelta(days=365.25)
        assert age == pytest.approx(person.clinical.age_years, abs=0.01)
        assert before.code.iloc[-1] == codes.CT_CODE[task]
        assert set(events.code) <= set(codes.DESCRIPTIONS)
        numeric = events[events.numeric_value.notna()]
        assert numeric.unit.notna().all()
        assert (numeric.numeric_value > 0).all()


def test_same_patient_same_timeline() -> None:
    person, events = _people("pe_mortality")[7]
    pd.testing.assert_frame_equal(events, simulate_events(person, "balanced"))


def test_latest_values_follow_the_state_and_some_are_missing() -> None:
    for spec in codes.LABS[:8] + codes.VITALS[:3]:
        pairs, missing = [], 0
        for person, events in _people("pe_mortality"):
            values = events[(events.code == spec.code) & (events.time <= person.study_time)].numeric_value
            missing += values.empty
            if not values.empty:
                pairs.append((getattr(person.clinical, spec.field), values.iloc[-1]))
        truth, read = np.array(pairs).T
        scale = np.log if spec.log else np.asarray
        assert np.corrcoef(scale(truth), scale(read))[0, 1] > 0.93, spec.code
        assert missing / 300 < 0.25
    assert np.mean([not (events.code == "LOINC//2524-7").any() for _, events in _people("pe_mortality")]) > 0.02


def test_diagnoses_belong_to_the_patient() -> None:
    for person, events in _people("mace"):
        for name, options in codes.DIAGNOSES.items():
            if not getattr(person.clinical, name):
                assert not events.code.isin(options).any()
    ill = [events for person, events in _people("mace") if person.clinical.heart_failure]
    coded = [events.code.isin(codes.DIAGNOSES["heart_failure"]).any() for events in ill]
    assert 0.75 < np.mean(coded) < 1


def test_only_the_selecting_regime_names_a_zone() -> None:
    every = {code for options in codes.LUNG_CANCER_BY_ZONE for code in options}
    for person, events in _people("pe_mortality")[:60]:
        assert not events.code.isin(every).any()
        hinted = simulate_events(person, "ehr_selects_region")
        named = hinted[hinted.code.isin(every)]
        assert set(named.code) <= set(codes.LUNG_CANCER_BY_ZONE[person.clinical.selected_zone])
        assert 24 <= len(named) <= 34
        assert len(hinted) <= 256
        assert ((person.study_time - named.time) < pd.Timedelta(days=366)).all()
        others = hinted[~hinted.code.isin(every)].reset_index(drop=True)
        pd.testing.assert_frame_equal(others, events)


def test_external_site_spells_codes_otherwise() -> None:
    used = {code for _, events in _people("pe_mortality", "external") for code in events.code}
    assert not used & set(codes.EXTERNAL_SPELLING)
    assert {"LOINC//61151-7", "SNOMED//38341003"} <= used


def test_later_events_give_the_reading_away() -> None:
    """They must, or the leak tests would test nothing."""
    for person, events in _people("pe_mortality"):
        later = events[events.time > person.study_time]
        assert (later.code == "ICD10CM//I26.99").any() == (person.findings.clot_burden > 0)
        assert not (events.code[events.time <= person.study_time] == "ICD10CM//I26.99").any()
