"""Virtual patients: same seed same patient, plausible prevalence, weak links between picture and record."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from core.virtual.patient import Site, TaskName
from core.virtual.sampling import sample_patient


def _findings(task: TaskName, site: Site = "internal", count: int = 1500) -> pd.DataFrame:
    return pd.DataFrame([asdict(sample_patient(task, site, 3, index).findings) for index in range(count)])


def test_same_index_is_the_same_patient_and_neighbours_differ() -> None:
    first = [sample_patient("pe_mortality", "internal", 5, index) for index in (0, 1, 2)]
    again = [sample_patient("pe_mortality", "internal", 5, index) for index in (2, 1, 0)][::-1]
    assert first == again
    assert len({person.acquisition.seed for person in first}) == 3
    assert len({person.subject_id for person in first}) == 3
    assert sample_patient("pe_mortality", "internal", 6, 0).findings != first[0].findings
    assert sample_patient("pe_mortality", "external", 5, 0).findings != first[0].findings


def test_prevalence_of_findings() -> None:
    table = _findings("pe_mortality")
    assert 0.60 < (table.clot_burden > 0).mean() < 0.70
    burden = table.clot_burden[table.clot_burden > 0]
    assert burden.min() >= 0.05
    assert burden.max() <= 0.8
    assert burden.std() > 0.15
    assert 0.28 < (table.emphysema_fraction > 0).mean() < 0.42
    assert 0.2 < (table.nodule_diameter_mm > 0).mean() < 0.31
    assert 0.3 < (table.effusion_ml.map(sum) > 0).mean() < 0.43
    assert ((table.clot_level == "none") == (table.clot_burden == 0)).all()
    saddle = table[table.clot_level == "saddle"]
    assert saddle.clot_burden.min() > 0.4
    zones = np.array(table.interstitial_by_zone.tolist())
    links = np.corrcoef(zones.T)[np.triu_indices(4, 1)]
    assert np.abs(links).max() < 0.1
    assert (zones.std(0) > 0.2).all()


def test_mace_is_without_contrast_and_without_clot() -> None:
    people = [sample_patient("mace", "internal", 3, index) for index in range(1500)]
    calcium = np.array([person.findings.coronary_calcium for person in people])
    assert not any(person.acquisition.contrast or person.findings.clot_burden for person in people)
    assert all(person.acquisition.blood_hu < 60 for person in people)
    assert 0.48 < (calcium > 0).mean() < 0.62
    assert calcium[calcium > 0].min() >= 1
    assert calcium.max() <= 3.3


def test_external_site_is_older_and_scans_otherwise() -> None:
    inside, outside = (
        [sample_patient("pe_mortality", site, 1, index) for index in range(600)] for site in ("internal", "external")
    )
    age = [np.mean([person.clinical.age_years for person in group]) for group in (inside, outside)]
    noise = [np.mean([person.acquisition.noise_hu for person in group]) for group in (inside, outside)]
    assert age[1] > age[0] + 2
    assert noise[1] > noise[0] + 5
    assert {person.acquisition.spacing_mm for person in inside} == {(2.0, 2.0, 5.0)}
    assert {person.acquisition.spacing_mm for person in outside} == {(2.3, 2.3, 4.0)}
    assert all(12 <= person.acquisition.noise_hu <= 30 for person in inside)


@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
def test_clinical_values_are_possible(task: TaskName) -> None:
    table = pd.DataFrame([asdict(sample_patient(task, "external", 9, index).clinical) for index in range(500)])
    assert table.select_dtypes("number").notna().all().all()
    assert table.age_years.between(18, 100).all()
    assert table.spo2_percent.between(70, 100).all()
    assert (table.creatinine_mg_dl > 0.2).all()
    assert not (table.metastatic_cancer & ~table.cancer).any()
    assert set(table.selected_zone) == {0, 1, 2, 3}
