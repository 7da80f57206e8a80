"""`pretrain --method events` and `foresee` from the command line, on a process whose codes nobody knows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from foresee_support import SEVERITIES, TARGET, TRUE_RISKS, write_process_cohort

from core.__main__ import main
from core.cohort.folder import CohortFolder
from core.foresee.cohort_risks import COLUMNS, END_CODES, histories
from core.foresee.train import load_event_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process")
    write_process_cohort(folder / "cohort", train=300, tuning=60, asked=20)
    command = ["pretrain", "--cohort", str(folder / "cohort"), "--method", "events", "--out", str(folder / "model")]
    assert main([*command, "--epochs", "4", "--device", "cpu"]) == 0
    return folder


def ask(made: Path, out: Path, *more: str) -> pd.DataFrame:
    command = ["foresee", "--model", str(made / "model"), "--horizon-days", "180", "--device", "cpu"]
    assert main([*command, *more, "--out", str(out)]) == 0
    return pd.read_parquet(out)


def cohort_words(made: Path, *codes: str) -> list[str]:
    told = ["--cohort", str(made / "cohort"), "--task", "target", "--futures", "4", "--tokens", "16"]
    return [*told, *(word for code in codes for word in ("--code", code))]


def test_the_folder_of_an_event_model_tells_what_it_is(made: Path) -> None:
    assert {path.name for path in (made / "model").iterdir()} == {
        "config.json", "weights.safetensors", "card.json", "manifest.json", "log.jsonl", "vocabulary.parquet"
    }  # fmt: skip
    card = json.loads((made / "model" / "card.json").read_text())
    assert card["learned_from"] == {
        "description": "Training split of virtual patients", "virtual": True, "patients_train": 300,
        "patients_tuning": 60,
    }  # fmt: skip
    log = [json.loads(line) for line in (made / "model" / "log.jsonl").read_text().splitlines()]
    assert card["learned"]["tuning_loss"] == min(line["tuning_loss"] for line in log)


def test_risks_of_a_cohort_are_those_of_the_surface_and_repeat(made: Path, tmp_path: Path) -> None:
    words = cohort_words(made, TARGET, "MEDS_DEATH")
    table = ask(made, tmp_path / "risks.parquet", *words)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 40
    assert table["risk"].between(0, 1).all()
    assert set(table["horizon_days"]) == {180}
    labels = CohortFolder(made / "cohort").labels("target", "held_out")
    assert table["subject_id"].tolist() == np.repeat(labels["subject_id"], 2).tolist()
    assert (table["prediction_time"].to_numpy() == np.repeat(labels["prediction_time"].to_numpy(), 2)).all()
    pd.testing.assert_frame_equal(ask(made, tmp_path / "again.parquet", *words), table)
    other = ask(made, tmp_path / "other.parquet", *words, "--seed", "1")
    assert not other["risk"].equals(table["risk"])


def test_nothing_behind_the_prediction_time_is_read(made: Path) -> None:
    """The tokens of a history are those of the record cut at the prediction time, whose last code is a severity."""
    folder, trained = CohortFolder(made / "cohort"), load_event_model(made / "model")
    labels = folder.labels("target", "held_out")
    events = pd.read_parquet(made / "cohort" / "data" / "held_out" / "0.parquet")
    texts = [part.text for part in trained.vocabulary.parts]
    for history, (_, label) in zip(histories(folder.records(labels), trained), labels.iterrows(), strict=True):
        own = events[events["subject_id"] == label["subject_id"]]
        known = own[own["time"] <= label["prediction_time"]]["code"].tolist()
        told = [texts[token] for token in history.tokens if texts[token] in set(events["code"])]
        assert told == known[-len(told) :]
        assert told[-1] in SEVERITIES
        assert history.waited_days == 0


def test_one_record_also_gives_its_futures_which_hold_the_counted_risk(made: Path, tmp_path: Path) -> None:
    labels = CohortFolder(made / "cohort").labels("target", "held_out").iloc[0]
    file = made / "cohort" / "data" / "held_out" / "0.parquet"
    when = ["--prediction-time", str(labels["prediction_time"]), "--subject-id", str(labels["subject_id"])]
    more = ["--timeline", str(file), *when, "--code", TARGET, "--futures", "30", "--tokens", "60"]
    table = ask(made, tmp_path / "risks.parquet", *more, "--estimator", "hits")
    assert len(table) == 1
    futures = pd.read_parquet(tmp_path / "futures.parquet")
    assert list(futures.columns) == ["future", "days", "code", "numeric_value"]
    last = futures.groupby("future").tail(1)
    assert set(last["code"]) <= set(END_CODES.values())
    assert len(last) == 30
    assert (futures.groupby("future")["days"].diff().dropna() >= 0).all()
    if table["undetermined"].item() == 0:
        inside = futures[(futures["code"] == TARGET) & (np.floor(futures["days"]) <= 180)]
        assert table["risk"].item() == pytest.approx(inside["future"].nunique() / 30)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--code", "NOBODY//KNOWS"], "does not know"),
        (["--code", f"{TARGET} > 2"], "no numbers"),
    ],
)
def test_what_the_model_cannot_know_is_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    command = ["foresee", "--model", str(made / "model"), "--horizon-days", "180", *cohort_words(made), *more]
    assert main([*command, "--out", str(tmp_path / "risks.parquet")]) == 2
    assert words in capsys.readouterr().err


def test_neither_a_cohort_nor_a_record_is_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["foresee", "--model", str(made / "model"), "--horizon-days", "9", "--code", TARGET]
    assert main([*command, "--out", str(tmp_path / "risks.parquet")]) == 2
    assert "--cohort with --task, or --timeline" in capsys.readouterr().err


def test_a_changed_model_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = made / "model" / "card.json"
    before = card.read_bytes()
    try:
        card.write_bytes(before.replace(b"virtual", b"living "))
        command = ["foresee", "--model", str(made / "model"), "--horizon-days", "9", *cohort_words(made, TARGET)]
        assert main([*command, "--out", str(tmp_path / "risks.parquet")]) == 2
        assert "card.json is damaged or was changed" in capsys.readouterr().err
    finally:
        card.write_bytes(before)


@pytest.mark.slow
def test_foresee_process_by_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a held-back cohort is asked: mean within .02, mean absolute error at most .05, AUROC near the oracle's."""
    levels = write_process_cohort(tmp_path / "cohort", train=6000, tuning=1000, asked=120)
    command = ["pretrain", "--cohort", str(tmp_path / "cohort"), "--method", "events", "--minutes", "20"]
    assert main([*command, "--out", str(tmp_path / "model"), "--device", "cpu"]) == 0
    words = ["--cohort", str(tmp_path / "cohort"), "--task", "target", "--code", TARGET, "--futures", "100"]
    table = ask(tmp_path, tmp_path / "risks.parquet", *words, "--tokens", "60")
    truth = np.array(TRUE_RISKS)[levels]
    found = table["risk"].to_numpy()
    with capsys.disabled():
        print(f"\nmean {found.mean():.3f} (true {truth.mean():.3f}), error {np.abs(found - truth).mean():.3f}")
    assert abs(found.mean() - truth.mean()) <= 0.02
    assert np.abs(found - truth).mean() <= 0.05
    assert np.corrcoef(found, truth)[0, 1] >= 0.85
