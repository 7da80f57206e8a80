"""MedM2T on made-up laboratory values: tenths survive gross errors that imputed values do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from medm2t_support import DAYS, LABS, TASK, lab_values, outcomes_of, write_labs_cohort
from torch import nn

from core.__main__ import main
from core.cohort.folder import CohortFolder
from core.encode.ehr.windows import WindowRows, fit_windows
from core.pretrain.record_outcomes.train import Outcomes
from core.pretrain.supervised import SupervisedOptions, train_supervised
from core.survive import concordance
from core.train.predict import predict_cohort


class Imputed(nn.Module):
    """The comparison: z-scored values, forward-filled or zero, into the same LSTM."""

    def __init__(self, mean: np.ndarray, spread: np.ndarray, *, forward: bool) -> None:
        super().__init__()
        self.mean, self.spread, self.fill_forward = mean, spread, forward
        self.read = nn.LSTM(LABS, 24, batch_first=True, bidirectional=True)

    def prepared(self, records: object) -> list:
        raise NotImplementedError

    def embedded(self, inputs: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        values = (np.stack(inputs) - self.mean) / self.spread
        if self.fill_forward:
            for day in range(1, DAYS):
                values[:, day] = np.where(np.isnan(values[:, day]), values[:, day - 1], values[:, day])
        both, _ = self.read(torch.from_numpy(np.nan_to_num(values)).float())
        return both, torch.ones(both.shape[:2], dtype=torch.bool)

    def summed(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.cat([values[:, -1, :24], values[:, 0, 24:]], 1)


def reached(errors: float, missing: float, seed: int = 0) -> dict[str, float]:
    """Concordance of each way on 1,500 fresh patients."""
    rng = np.random.default_rng(seed)
    values, eta = lab_values(4000, missing, errors, rng)
    days, event = outcomes_of(eta, rng)
    parts = {"train": slice(0, 2100), "tuning": slice(2100, 2500), "test": slice(2500, 4000)}
    outcomes = {name: Outcomes(days[part], event[part]) for name, part in parts.items()}
    known = values[parts["train"]].reshape(-1, LABS)
    mean, spread = np.nanmean(known, 0), np.nanstd(known, 0)
    edges = [np.nanquantile(known[:, lab], np.arange(1, 10) / 10, method="lower") for lab in range(LABS)]
    options = SupervisedOptions(epochs=22)
    found = {}

    def sparse_rows(one: np.ndarray) -> WindowRows:
        day, lab = np.nonzero(np.isfinite(one))
        tenth = [1 + int(np.searchsorted(edges[b], one[a, b], side="right")) for a, b in zip(day, lab)]
        return WindowRows(lab, np.array(tenth, np.int64), day, 1.0, -10.0)

    class Nothing:
        def columns(self) -> list:
            return []

    for name in ("sparse", "forward", "zero"):
        torch.manual_seed(seed)
        if name == "sparse":
            empty = fit_windows(Nothing())  # type: ignore[arg-type]
            config = {
                **empty.config,
                "sources": [str(lab) for lab in range(LABS)],
                "tenths": [[]] * LABS,
                "units": [""] * LABS,
            }
            encoder: nn.Module = type(empty)({**config, "edges_days": list(range(-9, 0))})
            inputs = [sparse_rows(one) for one in values]
        else:
            encoder, inputs = Imputed(mean, spread, forward=name == "forward"), list(values)
        own = {part: inputs[rows] for part, rows in parts.items()}
        train_supervised(encoder, own["train"], outcomes["train"], (own["tuning"], outcomes["tuning"]), options)
        found[name] = scored(encoder, own, outcomes)
    return found


def scored(encoder: nn.Module, own: dict[str, list], outcomes: dict[str, Outcomes]) -> float:
    """Concordance of a linear Cox probe on the frozen summaries."""
    from core.benchmark.linear_probes import cox_probe

    with torch.no_grad():
        summary = {part: encoder.summed(*encoder.embedded(own[part])).numpy() for part in ("train", "test")}
    centre, spread = summary["train"].mean(0), summary["train"].std(0) + 1e-6
    told = cox_probe((summary["train"] - centre) / spread, outcomes["train"].times_days, outcomes["train"].events)
    risk = told.score((summary["test"] - centre) / spread)
    return float(concordance(outcomes["test"].times_days, outcomes["test"].events, risk))


def trained_and_predicted(folder: Path, *more: str) -> pd.DataFrame:
    """Predictions of the held-out patients of folder/cohort by a model of the encoder, trained by the command line."""
    words = ["--cohort", str(folder / "cohort"), "--task", TASK.name, "--fusion", "ehr_only", "--ehr-encoder", "medm2t"]
    assert main(["train", *words, *more, "--folds", "0", "--out", str(folder / "bundle"), "--device", "cpu"]) == 0
    return predict_cohort(folder / "cohort", folder / "bundle", device="cpu")


def test_the_command_line_takes_the_encoder(tmp_path: Path) -> None:
    write_labs_cohort(tmp_path / "cohort", (120, 30, 40))
    table = trained_and_predicted(tmp_path, "--epochs", "1")
    assert np.isfinite(table["risk"]).all()


@pytest.mark.slow
def test_medm2t_process_through_train_and_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten daily windows, half of the values missing, 3% of them far off: at least .66 of an optimum of about .75."""
    eta = write_labs_cohort(tmp_path / "cohort", (1400, 300, 1500))
    table = trained_and_predicted(tmp_path)
    labels = CohortFolder(tmp_path / "cohort").labels(TASK.name, "held_out")
    time, event = labels["time_to_event_days"].to_numpy(), labels["event"].to_numpy()
    found, best = float(concordance(time, event, table["risk"])), float(concordance(time, event, eta[-1500:]))
    with capsys.disabled():
        print(f"\nconcordance {found:.3f}, of the true hazard {best:.3f}")
    assert found >= 0.66


@pytest.mark.slow
def test_medm2t_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Gross errors: at least .10 above z-scored imputation. Clean values: within .04 of the best imputation."""
    dirty, clean = reached(0.03, 0.5), {missing: reached(0.0, missing) for missing in (0.5, 0.8)}
    with capsys.disabled():
        print("\n3% gross errors", dirty, "\nclean", clean)
    assert dirty["sparse"] >= max(dirty["forward"], dirty["zero"]) + 0.10
    for told in clean.values():
        assert told["sparse"] >= max(told["forward"], told["zero"]) - 0.04
