"""Training: it learns what there is to learn, stops where it should, and goes on after a kill as if nothing was."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from foresee_support import as_events, simulate_process

from core.errors import UserFacingError
from core.foresee.fit_vocabulary import fit_vocabulary
from core.foresee.model import EventModel, ModelConfig
from core.foresee.packing import as_documents, batches
from core.foresee.tokens import tokenise
from core.foresee.train import EventTraining, load_event_model, next_token_loss, train_event_model

EVENTS = as_events(simulate_process(120, 0))
SPLITS = {"train": range(80), "tuning": range(80, 100), "held_out": range(100, 120)}
QUICK = EventTraining(size="0.1m", context=64, batch_tokens=1024, epochs=3, check_steps=2, device="cpu", patience=99)


class Killed(Exception):
    pass


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_event_model(folder).model.state_dict()


def test_the_loss_is_that_of_each_token_given_those_before_it_in_its_document() -> None:
    vocabulary = fit_vocabulary(EVENTS)
    documents = as_documents(tokenise(EVENTS.of(range(6)), vocabulary), 64)
    torch.manual_seed(0)
    model = EventModel(ModelConfig.of_size("0.1m", len(vocabulary))).eval()
    (batch,) = batches(documents, 128, 4096, None)
    losses, targets = next_token_loss(model, batch)
    expected = []
    for start, end, given in zip(documents.offsets, documents.offsets[1:], documents.given):
        own = torch.from_numpy(documents.tokens[start:end].astype(np.int64))
        logs = model.logits(model(own[None]))[0].log_softmax(-1).detach()
        expected += [float(-logs[place - 1, own[place]]) for place in range(int(given), len(own))]
    assert sorted(losses.tolist()) == pytest.approx(sorted(expected), abs=1e-4)
    assert len(targets) == documents.targets


def test_it_learns_and_the_folder_comes_back(tmp_path: Path) -> None:
    said: list[float] = []
    options = replace(QUICK, epochs=6, dropout=0.0)
    report = train_event_model(EVENTS, SPLITS, options, tmp_path, lambda share, words: said.append(share))
    losses = [check.tuning_loss for check in report.checks]
    assert report.stopped == "epochs"
    assert report.best.tuning_loss < losses[0] - 0.6
    assert said == sorted(said)
    assert said[-1] == 1.0
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["tuning_loss"] for row in rows] == losses
    assert rows[-1]["by_kind"]["gap"][1] > 0
    trained = load_event_model(tmp_path)
    assert len(trained.vocabulary) == trained.model.config.vocabulary
    assert not (tmp_path / "training_state.pt").exists()
    assert json.loads((tmp_path / "config.json").read_text())["method"] == "events"


def test_a_killed_run_goes_on_as_if_nothing_was(tmp_path: Path) -> None:
    train_event_model(EVENTS, SPLITS, QUICK, tmp_path / "whole")
    calls = 0

    def kill(share: float, words: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed

    with pytest.raises(Killed):
        train_event_model(EVENTS, SPLITS, QUICK, tmp_path / "killed", kill)
    torch.rand(5)  # whatever else ran in between
    report = train_event_model(EVENTS, SPLITS, replace(QUICK, resume=True), tmp_path / "killed")
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "killed")[name]), name
    steps = [check.step for check in report.checks]
    assert steps == sorted(set(steps))
    assert steps[0] == 2


def test_other_settings_do_not_go_on(tmp_path: Path) -> None:
    def kill(share: float, words: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_event_model(EVENTS, SPLITS, QUICK, tmp_path, kill)
    with pytest.raises(UserFacingError, match="other settings"):
        train_event_model(EVENTS, SPLITS, replace(QUICK, resume=True, learning_rate=1e-4), tmp_path)


def test_a_budget_of_time_ends_it_with_the_best_weights(tmp_path: Path) -> None:
    began = time.monotonic()
    report = train_event_model(EVENTS, SPLITS, replace(QUICK, epochs=100_000, minutes=1 / 60), tmp_path)
    assert report.stopped == "minutes"
    assert time.monotonic() - began < 10
    assert report.checks[-1].learning_rate < 0.3 * QUICK.learning_rate  # the schedule fits the budget
    assert load_event_model(tmp_path)


def test_it_stops_where_tuning_no_longer_gains(tmp_path: Path) -> None:
    options = replace(QUICK, epochs=400, patience=2, learning_rate=0.02, dropout=0.0, check_steps=5)
    report = train_event_model(EVENTS, SPLITS, options, tmp_path)
    losses = [check.tuning_loss for check in report.checks]
    assert report.stopped == "patience"
    assert min(losses[-2:]) > min(losses[:-2]) == report.best.tuning_loss


def test_held_out_and_tuning_patients_change_nothing_that_is_learned(tmp_path: Path) -> None:
    beside = as_events([*simulate_process(120, 0)[:80], *simulate_process(40, 9)])
    for name, events in (("one", EVENTS), ("other", beside)):
        train_event_model(events, SPLITS, replace(QUICK, epochs=1, check_steps=1000), tmp_path / name)
    assert (tmp_path / "one/vocabulary.parquet").read_bytes() == (tmp_path / "other/vocabulary.parquet").read_bytes()
    for name, value in weights(tmp_path / "one").items():
        assert torch.equal(value, weights(tmp_path / "other")[name])


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="size"):
        train_event_model(EVENTS, SPLITS, replace(QUICK, size="7b"), tmp_path)
    with pytest.raises(UserFacingError, match="no dated event"):
        train_event_model(EVENTS, {"train": range(80), "tuning": ()}, QUICK, tmp_path)
    with pytest.raises(UserFacingError, match="event model does not exist"):
        load_event_model(tmp_path / "nothing")
