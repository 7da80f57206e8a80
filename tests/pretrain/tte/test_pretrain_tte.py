"""`pretrain --method tte`: what phantoms' records say teaches a network to see lesions; killed runs go on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tte_support import TASK, PhantomTruth, write_phantom_cohort

from core.__main__ import main
from core.benchmark.probe import ProbeOptions, probe
from core.cohort.folder import CohortFolder
from core.encode.ct.encoders import encode_pieces
from core.encode.folder import read_encoder_folder
from core.intake.scan.load import load_study
from core.pretrain.options import PretrainOptions
from core.pretrain.tte.train import pretrain_tte
from core.records import IMAGE
from core.records.interfaces import CtEncoder
from core.train.fit import train_bundle


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PhantomTruth]:
    path = tmp_path_factory.mktemp("phantoms") / "cohort"
    return path, write_phantom_cohort(path, (70, 20, 30), side=16, spacing_mm=10.0)


@pytest.fixture(scope="module")
def learned(phantoms: tuple[Path, PhantomTruth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tte") / "encoder"
    command = ["pretrain", "--cohort", str(phantoms[0]), "--method", "tte", "--out", str(out), "--tasks", "40"]
    assert main([*command, "--epochs", "2", "--device", "cpu"]) == 0
    return out


def test_the_folder_tells_what_was_learned(learned: Path, phantoms: tuple[Path, PhantomTruth]) -> None:
    opened = read_encoder_folder(learned)
    assert set(opened.files) == {"log.jsonl", "tasks.parquet", "head.safetensors"}
    assert opened.card["learned_from"]["patients_train"] == 70
    assert opened.config["encoder"]["spacing_mm"] == [10.0] * 3
    assert opened.config["encoder"]["size"] == [16] * 3
    tasks = pd.read_parquet(learned / "tasks.parquet")
    assert len(tasks) == opened.card["learned"]["count"] == 40
    assert (tasks["share"] >= 1 / 1000).all()
    assert "MADE//VISIT" not in set(tasks["code"])  # everybody has it: it tells nothing


def test_a_bundle_carries_it_and_reads_a_phantom(
    learned: Path, phantoms: tuple[Path, PhantomTruth], tmp_path: Path
) -> None:
    bundle = train_bundle(
        phantoms[0], TASK.name, "image_only", tmp_path / "bundle", ct_encoder=str(learned), epochs=1, folds=0,
        device="cpu", progress=lambda *_: None,
    )  # fmt: skip
    card = json.loads((bundle / "card.json").read_text())
    assert card["encoders"][0]["provenance"] == "3D CT encoder that learned from later records, frozen"
    assert card["encoders"][0]["name"] == "given as a folder"


def test_a_run_killed_and_resumed_gives_the_same_weights(
    learned: Path, phantoms: tuple[Path, PhantomTruth], tmp_path: Path
) -> None:
    options = PretrainOptions(phantoms[0], tmp_path / "killed", tasks=40, epochs=2, device="cpu")

    def kill(share: float, words: str) -> None:
        if words.startswith("step"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain_tte(options, kill)
    assert (tmp_path / "killed" / "training_state.pt").exists()
    assert not (tmp_path / "killed" / "config.json").exists()
    words = ["--cohort", str(phantoms[0]), "--out", str(tmp_path / "killed"), "--tasks", "40", "--epochs", "2"]
    assert main(["pretrain", "--method", "tte", *words, "--device", "cpu", "--resume"]) == 0
    one, other = (read_encoder_folder(folder).encoder.state_dict() for folder in (learned, tmp_path / "killed"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert not (tmp_path / "killed" / "training_state.pt").exists()


def test_a_scan_alone_and_in_a_batch_reads_alike(learned: Path, phantoms: tuple[Path, PhantomTruth]) -> None:
    encoder = read_encoder_folder(learned).encoder
    assert isinstance(encoder, CtEncoder)
    scans = [encoder.sample(load_study(phantoms[0] / "images" / f"{number}.nii.gz")).voxels_hu for number in (1, 2, 3)]
    voxels = torch.from_numpy(np.concatenate(scans).copy())
    together = encode_pieces(voxels, encoder)
    alone = torch.cat([encode_pieces(voxels[place : place + 1], encoder) for place in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_tte_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Small volumes, twenty draws of labels: what was learned from later records beats training from scratch."""
    truth = write_phantom_cohort(tmp_path / "cohort", (2000, 200, 1500), side=16, spacing_mm=10.0)
    options = PretrainOptions(tmp_path / "cohort", tmp_path / "encoder", epochs=20, device="cpu")
    pretrain_tte(options, lambda share, words: None)
    encoder = read_encoder_folder(tmp_path / "encoder").encoder
    folder = CohortFolder(tmp_path / "cohort")
    asked = ProbeOptions(labels=(50, 150, 500), arms=("frozen", "scratch"), draws=20, device="cpu")
    result = probe(folder, TASK.name, encoder, IMAGE, asked)
    told = pd.DataFrame(result.rows).pivot_table(index=["labels", "draw"], columns="arm", values="concordance")
    gain = told["frozen"] - told["scratch"]
    with capsys.disabled():
        print("\n", told.groupby("labels").mean().round(3).to_string(), "\n", truth.target.std().round(2))
    for count in (50, 150, 500):
        own = gain.loc[count].to_numpy()
        assert own.mean() >= 0.03
        assert own.mean() - 2.1 * own.std(ddof=1) / np.sqrt(len(own)) > 0
