"""The probe: a record encoder taught on planted codes beats the same network untrained; the command writes all rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cohort_support import TASK, write_made_cohort

from core.__main__ import main
from core.benchmark.probe import ARMS, ProbeOptions, probe, untrained
from core.benchmark.probe_report import probe_report
from core.cohort.folder import CohortFolder
from core.encode.encoder_card import Learned, LearnedFrom, encoder_card
from core.encode.folder import write_encoder_folder
from core.errors import UserFacingError
from core.learning_commands import ARM_NAMES
from core.pretrain.record_fits import FitOptions, Patients, fit_record_encoder
from core.pretrain.record_outcomes.train import Outcomes
from core.records import EHR
from core.records.interfaces import RecordEncoder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made_cohort(tmp_path_factory.mktemp("made") / "cohort")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> RecordEncoder:
    """Taught by another cohort of the same codes and hazard."""
    folder = CohortFolder(write_made_cohort(tmp_path_factory.mktemp("other") / "cohort", patients=900, seed=1))
    labels = folder.labels(TASK.name, "train")
    outcomes = Outcomes(labels["time_to_event_days"].to_numpy(np.float64), labels["event"].to_numpy(bool))
    return fit_record_encoder("concepts", Patients(folder.records(labels), outcomes), None, FitOptions(epochs=12))


def test_the_names_of_the_command_line_are_those_that_are_known() -> None:
    assert tuple(ARMS) == ARM_NAMES


def test_what_was_learned_shows_at_few_labels(made: Path, taught: RecordEncoder) -> None:
    options = ProbeOptions(labels=(20, 60), draws=3, device="cpu")
    result = probe(CohortFolder(made), TASK.name, taught, EHR, options)
    assert len(result.rows) == 3 * 2 * 3
    assert {row["horizon_days"] for row in result.rows} == {400.0}
    report = probe_report(result, {"task": TASK.name, "encoder": "taught"})
    means = {(row["arm"], row["labels"]): row for row in report["means"]}
    for count in (20, 60):
        rows = [row["concordance"] for row in result.rows if (row["arm"], row["labels"]) == ("frozen", count)]
        assert means["frozen", count]["concordance"] == pytest.approx(np.mean(rows))
        assert means["frozen", count]["lower"] < means["frozen", count]["concordance"] < means["frozen", count]["upper"]
    gained = {(row["from"], row["labels"]): row for row in report["differences"]}
    assert gained["random", 20]["lower"] > 0
    assert gained["scratch", 20]["value"] > 0.03
    assert means["frozen", 60]["auroc"] > 0.7
    assert means["frozen", 60]["integrated_brier"] < means["random", 20]["integrated_brier"]


def test_the_same_seed_gives_the_same_rows_and_smaller_choices_are_parts_of_larger_ones(
    made: Path, taught: RecordEncoder
) -> None:
    folder = CohortFolder(made)
    options = ProbeOptions(labels=(20,), arms=("frozen",), draws=1, device="cpu")
    first, again = (probe(folder, TASK.name, taught, EHR, options).rows for _ in range(2))
    assert first == again
    other = probe(folder, TASK.name, taught, EHR, ProbeOptions(labels=(20,), arms=("frozen",), draws=1, seed=1)).rows
    assert first[0]["concordance"] != other[0]["concordance"]


def test_an_untrained_network_is_another_one_of_the_same_shape(taught: RecordEncoder) -> None:
    one, other = untrained(EHR, taught, 0), untrained(EHR, taught, 1)
    weights = [dict(encoder.named_parameters()) for encoder in (taught, one, other)]
    assert weights[0].keys() == weights[1].keys()
    key = max(weights[0], key=lambda name: weights[0][name].numel())
    assert not np.allclose(weights[0][key].detach(), weights[1][key].detach())
    assert not np.allclose(weights[1][key].detach(), weights[2][key].detach())


def test_the_command_writes_rows_and_a_page_for_an_encoder_folder(
    made: Path, taught: RecordEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned = Learned("outcomes", 1, "nats", 0.5, "epochs")
    card = encoder_card("Taught concepts", "outcomes", "Tests.", LearnedFrom("Made up", True, 450, 0), learned)
    write_encoder_folder(tmp_path / "encoder", taught, modality=EHR, method="outcomes", card=card, training={})
    line = ["probe", "--cohort", str(made), "--task", TASK.name, "--encoder", str(tmp_path / "encoder")]
    line += ["--modality", "ehr", "--labels", "40,20", "--draws", "1", "--arms", "frozen,random", "--device", "cpu"]
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "probe.json").read_text())
    keys = {"arm", "labels", "draw", "concordance", "auroc", "horizon_days", "n_test"}
    assert all(keys <= row.keys() for row in report["rows"])
    assert [(row["arm"], row["labels"]) for row in report["rows"]] == [
        ("frozen", 20), ("frozen", 40), ("random", 20), ("random", 40)
    ]  # fmt: skip
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Research use only" in page
    assert "<svg" in page
    assert "Taught concepts" in page
    assert "20 labels" in capsys.readouterr().out


def test_more_labels_than_patients_are_refused(made: Path, taught: RecordEncoder) -> None:
    with pytest.raises(UserFacingError, match="labelled patients"):
        probe(CohortFolder(made), TASK.name, taught, EHR, ProbeOptions(labels=(50, 5000)))
