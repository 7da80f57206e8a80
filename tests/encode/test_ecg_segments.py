"""The ECG encoder: seconds and their sequence, leads by name, what is missing; a planted ST segment is learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from core.__main__ import main
from core.benchmark.linear_probes import cox_probe
from core.cohort.folder import CohortFolder
from core.cohort.signals import ecgs_of
from core.encode.signals.ecg_segments import EcgSegments, build_ecg_segments, ecg_segments_config, latest
from core.pretrain.record_fits import FitOptions
from core.pretrain.record_outcomes.train import Outcomes
from core.pretrain.signal_fits import SIGNAL_FITS
from core.records.ecg import STANDARD_LEADS, Ecg
from core.survive import concordance
from core.train.predict import predict_cohort
from core.virtual.simulate import simulate_cohort


def ecg(seed: int, *, raised_mv: float = 0.0, leads: tuple[str, ...] = STANDARD_LEADS, rate_hz: float = 250) -> Ecg:
    """Beats a second apart with an ST segment raised in V2 to V4."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(10 * rate_hz)) / rate_hz
    within = (time + rng.uniform()) % 1.0
    spike = np.exp(-(((within - 0.2) / 0.02) ** 2))
    segment = ((within > 0.26) & (within < 0.4)).astype(float)
    columns = [
        spike + segment * raised_mv * (lead in ("V2", "V3", "V4")) + 0.05 * rng.normal(size=len(time)) for lead in leads
    ]
    return Ecg(np.stack(columns, 1), leads, rate_hz)


def encoder() -> EcgSegments:
    torch.manual_seed(0)
    built = build_ecg_segments(ecg_segments_config())
    assert isinstance(built, EcgSegments)
    return built


def test_alone_and_among_others_and_none() -> None:
    own, records = encoder(), [(ecg(0),), (), (ecg(1), ecg(2))]
    together = own.encode(records)
    assert [len(tokens.values) for tokens in together] == [10, 0, 10]
    for number, record in enumerate(records):
        (alone,) = own.encode([record])
        np.testing.assert_allclose(alone.values, together[number].values, atol=1e-5)
    assert together[0].positions.tolist() == [second + 0.5 for second in range(10)]


def test_leads_are_read_by_name_and_missing_ones_are_zero() -> None:
    own = encoder()
    whole = ecg(0)
    order = tuple(reversed(STANDARD_LEADS))
    turned = Ecg(whole.signal_mv[:, ::-1], order, whole.rate_hz)
    np.testing.assert_array_equal(own.read(whole), own.read(turned))
    few = own.read(Ecg(whole.signal_mv[:, :2], ("I", "II"), whole.rate_hz))
    assert (few[2:] == 0).all()
    np.testing.assert_array_equal(few[:2], own.read(whole)[:2])


def test_the_level_of_a_lead_and_its_rate_do_not_matter() -> None:
    own, one = encoder(), ecg(0)
    raised = Ecg(one.signal_mv + 0.7, one.leads, one.rate_hz)
    np.testing.assert_allclose(own.read(raised), own.read(one), atol=1e-5)
    fast = Ecg(np.repeat(one.signal_mv, 2, axis=0), one.leads, 2 * one.rate_hz)
    assert np.corrcoef(own.read(fast)[3], own.read(one)[3])[0, 1] > 0.97


def test_the_latest_recording_counts() -> None:
    old = Ecg(np.zeros((10, 1)), ("I",), 1.0, start=pd.Timestamp("2020-01-01"))
    new = Ecg(np.ones((10, 1)), ("I",), 1.0, start=pd.Timestamp("2021-01-01"))
    assert latest([new, old]) is new


@pytest.mark.parametrize("planted", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_raised_segment_is_learned_and_noise_is_not(planted: bool) -> None:
    rng = np.random.default_rng(3)
    raised = rng.uniform(0, 0.4, 300)
    ecgs = [(ecg(number, raised_mv=value),) for number, value in enumerate(raised)]
    days = 300 * rng.exponential(size=300) * np.exp(-10 * (raised if planted else rng.permutation(raised))) + 0.1
    train, tuning = (
        ([ecgs[row] for row in rows], Outcomes(days[rows], np.ones(len(rows), bool)))
        for rows in (np.arange(170), np.arange(170, 210))
    )
    fitted = SIGNAL_FITS["ecg_segments"](train, tuning, FitOptions(epochs=12))
    assert isinstance(fitted, EcgSegments)
    with torch.no_grad():
        told = fitted.summed(*fitted.embedded(fitted.prepared(ecgs))).numpy()
    told = (told - told[:170].mean(0)) / (told[:170].std(0) + 1e-6)
    probe = cox_probe(told[:210], days[:210], np.ones(210, bool))
    found = float(concordance(days[210:], np.ones(90, bool), probe.score(told[210:])))
    assert found > 0.62 if planted else abs(found - 0.5) < 0.12


def test_every_pair_trains_and_predicts_on_a_cohort_with_ecgs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate_cohort(tmp_path / "sim", patients=80, task="mace_ecg", seed=1, render=False, parts=("ecg",))
    cohort = tmp_path / "sim" / "cohort"
    folder = CohortFolder(cohort)
    labels = folder.labels("mace_ecg", "train")
    ecgs = ecgs_of(folder, labels)
    assert all(len(one) == 1 for one in ecgs)
    assert ecgs[0][0].leads == STANDARD_LEADS
    words = ["train", "--cohort", str(cohort), "--task", "mace_ecg", "--fusion", "bimodal", "--ehr-encoder", "one_hot"]
    assert main([*words, "--epochs", "1", "--folds", "0", "--device", "cpu", "--out", str(tmp_path / "bundle")]) == 0
    table = predict_cohort(cohort, tmp_path / "bundle", device="cpu")
    assert np.isfinite(table["risk"]).all()
    one = folder.labels("mace_ecg", "held_out").iloc[0]
    who = ["--subject-id", str(one["subject_id"]), "--prediction-time", str(one["prediction_time"])]
    record, signal = cohort / "data" / "held_out" / "0.parquet", cohort / "signals" / f"{one['subject_id']}.hea"
    words = ["review", "--timeline", str(record), *who, "--bundle", str(tmp_path / "bundle"), "--identifiers", "keep"]
    assert main([*words, "--signals", str(signal), "--out", str(tmp_path / "with")]) == 0
    told = capsys.readouterr().out
    assert "without the CT: it was not there" in told
    assert "without the ECG: 0." in told
    assert main([*words, "--out", str(tmp_path / "without")]) == 0
    assert "without the ECG: it was not there" in capsys.readouterr().out
    curves = [json.loads((tmp_path / name / "curve.json").read_text()) for name in ("with", "without")]
    assert curves[0] != curves[1]
