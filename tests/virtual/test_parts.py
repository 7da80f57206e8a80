"""What a virtual cohort holds beside scan and record: futures and stays, against what was planted."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.cohort.tasks import TASKS
from core.virtual.catalogue import DRIVERS, EVENT_CODES, catalogue, drivers_of, fits_sex, rates_of
from core.virtual.codes import DIAGNOSES
from core.virtual.outcome import draw_outcome
from core.virtual.patient import POPULATION, TaskName
from core.virtual.sampling import VirtualPatient, sample_patient
from core.virtual.simulate import description_of, simulate_cohort, simulate_record
from core.virtual.ward import SERIES
from tests.support.golden_cohort import FILE, digests

DAY = pd.Timedelta(days=1)
EHR_DATA = Path(__file__).parents[3] / "shared" / "data" / "ehr"


@cache
def _people(task: TaskName, parts: tuple[str, ...], count: int = 150) -> list[tuple[VirtualPatient, pd.DataFrame]]:
    people = [sample_patient(task, "internal", 5, index) for index in range(count)]
    return [(person, simulate_record(person, "balanced", 5, parts)) for person in people]


def _days(person: VirtualPatient, events: pd.DataFrame) -> pd.Series:
    return (events["time"] - person.study_time) / DAY


def test_without_parts_a_cohort_is_byte_for_byte_what_it_was() -> None:
    assert digests() == json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
def test_parts_change_no_row_that_was_there_up_to_the_ct(task: TaskName) -> None:
    for (person, plain), (_, full) in zip(_people(task, ()), _people(task, ("future", "stays")), strict=True):
        before = plain[~(plain["time"] > person.study_time)].drop(columns="subject_id")
        after = full[~(full["time"] > person.study_time)]
        kept = after.merge(before.drop_duplicates(), on=["time", "code", "numeric_value", "text_value", "unit"])
        assert len(kept) >= len(before)


@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
def test_stays_before_the_ct_do_not_depend_on_what_follows(task: TaskName) -> None:
    for (person, one), (_, other) in zip(_people(task, ("stays",)), _people(task, ("future", "stays")), strict=True):
        tables = [table[~(table["time"] > person.study_time)].reset_index(drop=True) for table in (one, other)]
        pd.testing.assert_frame_equal(tables[0], tables[1])


@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
def test_the_event_stands_at_the_time_of_the_label_and_nothing_follows_death(task: TaskName) -> None:
    fatal = 0
    for person, events in _people(task, ("future", "stays")):
        days, event = draw_outcome(person, "balanced", 5)
        named = events[events["code"].isin(EVENT_CODES[POPULATION[task]])]
        assert len(named) == int(event)
        if event:
            assert float(_days(person, named).iloc[0]) == pytest.approx(days, abs=0.5 / 1440 + 1e-6)
        if (events["code"] == "MEDS_DEATH").any():
            fatal += 1
            assert (events["time"].dropna() <= named["time"].iloc[0]).all()
    assert fatal > (20 if task == "pe_mortality" else 3)


def test_a_future_has_a_thousand_codes_in_words_and_of_the_right_sex() -> None:
    assert len(catalogue().codes) >= 1000
    seen = {
        code for task in ("pe_mortality", "mace") for _, events in _people(task, ("future",)) for code in events.code
    }
    assert len(seen & set(catalogue().codes)) >= 1000
    assert all(description_of(code) for code in seen)
    known = {code for options in DIAGNOSES.values() for code in options}  # coded regardless of sex, before as after
    for person, events in _people("mace", ("future",)):
        wrong = {code for code, fits in zip(catalogue().codes, fits_sex(person.clinical.sex), strict=True) if not fits}
        assert not (wrong - known) & set(events["code"])


@pytest.mark.parametrize(
    ("driver", "first", "last"), [("clot", "I80", "I89"), ("calcium", "I70", "I79"), ("age", "G30", "G32")]
)
def test_what_a_code_tells_of_is_found_again_and_other_codes_tell_nothing(driver: str, first: str, last: str) -> None:
    """Counts after the CT against the driver: as often as planted where the driver is high; no trend in other codes."""
    people = _people("mace" if driver == "calcium" else "pe_mortality", ("future",), 400)
    column = DRIVERS.index(driver)
    categories = np.array([code.partition("//")[2][:3] for code in catalogue().codes])
    told = (categories >= first) & (categories <= last)
    silent = ~catalogue().weights.any(axis=1)
    values, rows = [], []
    for person, events in people:
        later = events.loc[events["time"] > person.study_time, ["time", "code"]]
        seen = later["code"].value_counts().reindex(catalogue().codes, fill_value=0).to_numpy()
        years = float(_days(person, later).max()) / 365.25 if len(later) else 0.0
        values.append(drivers_of(person)[column])
        rows.append((seen[told].sum(), rates_of(person)[told].sum() * years, seen[silent].sum(), years))
    high, table = np.array(values) > np.quantile(values, 0.7), np.array(rows)
    per_year = [table[group, :3].sum(axis=0) / table[group, 3].sum() for group in (high, ~high)]
    ratio, planted, quiet = per_year[0] / per_year[1]
    assert planted > 1.5
    assert ratio == pytest.approx(planted, rel=0.25)
    assert quiet == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("task", ["pe_mortality", "mace"])
def test_stays_are_apart_and_hold_their_intensive_care_and_series(task: TaskName) -> None:
    stays = intensive = 0
    for person, events in _people(task, ("stays",)):
        days = _days(person, events).to_numpy()
        codes = events["code"].to_numpy(str)
        begins, ends = (days[np.char.startswith(codes, f"HOSPITAL_{word}")] for word in ("ADMISSION", "DISCHARGE"))
        assert len(begins) == len(ends)
        assert (begins < ends).all()
        assert (begins[1:] > ends[:-1]).all()
        assert not ((begins < 0) & (ends > 0)).any()
        stays += len(begins)
        units = zip(
            days[np.char.startswith(codes, "ICU_ADMISSION")],
            days[np.char.startswith(codes, "ICU_DISCHARGE")],
            strict=True,
        )
        for first, last in units:
            intensive += 1
            assert ((begins <= first) & (last <= ends)).any()
            rates = days[(codes == "LOINC//8867-4") & (days >= first) & (days < last)]
            assert len(rates) >= 0.5 * (last - first) * 24
        notes = events.loc[codes == "NOTE//DISCHARGE", "text_value"]
        assert len(notes) == len(begins)
        assert notes.str.startswith("Virtual patient.").all()
    assert stays > 60
    assert intensive > 15


def test_a_stay_shows_the_state_of_the_patient() -> None:
    """Mean creatinine of the last stay before the CT against the true level; another patient's level is the control."""
    read, true = [], []
    for person, events in _people("pe_mortality", ("stays",)):
        plain = simulate_record(person, "balanced", 5)["time"]
        series = events[(events["code"] == "LOINC//2160-0") & ~events["time"].isin(plain) & (_days(person, events) < 0)]
        if len(series):
            read.append(np.log(series["numeric_value"].tail(5)).mean())
            true.append(np.log(person.clinical.creatinine_mg_dl))
    assert len(read) > 40
    assert np.corrcoef(read, true)[0, 1] > 0.8
    assert abs(np.corrcoef(read[1:], true[:-1])[0, 1]) < 0.4


@pytest.mark.skipif(not EHR_DATA.exists(), reason="needs ../shared/data/ehr")
def test_series_hold_the_sixty_commonest_loinc_codes_of_real_stays() -> None:
    parents = pd.read_parquet(EHR_DATA / "mimic_iv_demo_codes.parquet").set_index("code")["parent_codes"]
    recorded = pd.read_parquet(EHR_DATA / "mimic_iv_demo_meds_events.parquet", columns=["code"])["code"].value_counts()
    counts = pd.DataFrame({"events": recorded, "parent": parents.reindex(recorded.index)}).explode("parent").dropna()
    loinc = counts[counts["parent"].str.startswith("LOINC/")].groupby("parent")["events"].sum().nlargest(60)
    assert {name.removeprefix("LOINC/") for name in loinc.index} <= {spec.loinc for spec in SERIES}


def test_a_written_cohort_holds_its_parts(tmp_path: Path) -> None:
    simulate_cohort(
        tmp_path / "out", patients=8, task="mace_ecg", seed=2, render=False, parts=("future", "stays", "ecg")
    )
    truth = pd.read_parquet(tmp_path / "out" / "future_truth.parquet")
    assert list(truth["code"]) == list(catalogue().codes)
    assert [f"weight_{driver}" for driver in DRIVERS] == list(truth.columns[2:])
    codes = pd.read_parquet(tmp_path / "out" / "cohort" / "metadata" / "codes.parquet")
    assert codes["description"].notna().all()
    signals = pd.read_parquet(tmp_path / "out" / "cohort" / "signals" / "index.parquet")
    assert len(signals) == 8
    assert (signals["modality"] == "ecg").all()
    labels = pd.read_parquet(tmp_path / "out" / "cohort" / "labels" / "mace_ecg.parquet")
    assert len(labels) == 8
    assert TASKS["mace_ecg"].horizons_days
