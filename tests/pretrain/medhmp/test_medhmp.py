"""MedHMP: what is hidden stays hidden, stage A's weights start stage B, and what was learned shows at few labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from medhmp_support import TASK, write_stays_cohort

from core.__main__ import main
from core.benchmark.probe import ProbeOptions, probe
from core.cohort.folder import CohortFolder
from core.encode.ehr.hierarchical import Hierarchical
from core.encode.ehr.stay_features import AdmissionNumbers, fit_stay_vocabulary, read_admissions
from core.encode.folder import read_encoder_folder
from core.pretrain.medhmp import train as medhmp_train
from core.pretrain.medhmp.lessons import Admissions, Stays, guess_loss, hide_codes, info_nce
from core.pretrain.medhmp.train import pretrain_medhmp, whole_records
from core.pretrain.options import PretrainOptions
from core.records import EHR
from core.train.fit import train_bundle


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stays") / "cohort"
    write_stays_cohort(path, (160, 40, 60))
    return path


@pytest.fixture(scope="module")
def read(cohort: Path) -> tuple[Hierarchical, list[AdmissionNumbers]]:
    tables = whole_records(CohortFolder(cohort), "train").columns()
    vocabulary = fit_stay_vocabulary(tables)
    torch.manual_seed(0)
    encoder = Hierarchical({"name": "hierarchical", "hidden": 16, "vocabulary": vocabulary.to_json()})
    return encoder, [one for table in tables for one in read_admissions(table, vocabulary)]


def run(cohort: Path, out: Path, *more: str) -> Path:
    words = ["pretrain", "--method", "medhmp", "--cohort", str(cohort), "--out", str(out), "--device", "cpu"]
    assert main([*words, "--epochs", "2", *more]) == 0
    return out


def test_which_codes_are_hidden_never_reaches_the_encoder(read: tuple[Hierarchical, list[AdmissionNumbers]]) -> None:
    encoder, admissions = read
    batch = encoder.batch(admissions[:20])
    torch.manual_seed(3)
    seen, masks, counts = hide_codes(batch)
    other = tuple(torch.where(mask, items.roll(1, 1), items) for items, mask in zip(batch.sets, masks))
    torch.manual_seed(3)
    seen_too, _, counts_too = hide_codes(batch._replace(sets=other))
    for one, two in zip(seen.sets, seen_too.sets):
        assert torch.equal(one, two)
    assert [c.shape for c in counts] == [c.shape for c in counts_too]
    assert sum(int(count.sum()) for count in counts) > 0


def test_only_hidden_places_count(read: tuple[Hierarchical, list[AdmissionNumbers]]) -> None:
    encoder, admissions = read
    batch = encoder.batch(admissions[:20])
    _, masks, _ = hide_codes(batch)
    guessed = [torch.randn_like(items) for items in batch.sets]
    before = guess_loss(guessed, batch.sets, masks)
    flipped = [torch.where(mask, items, 1 - items) for items, mask in zip(batch.sets, masks)]
    assert torch.equal(guess_loss(guessed, flipped, masks), before)
    hidden = [torch.where(mask, 1 - items, items) for items, mask in zip(batch.sets, masks)]
    assert not torch.equal(guess_loss(guessed, hidden, masks), before)


def test_contrast_is_nothing_for_one_pair_and_the_logarithm_for_equals() -> None:
    assert float(info_nce(torch.randn(1, 5), torch.randn(1, 5))) == 0
    assert float(info_nce(torch.ones(8, 5), torch.ones(8, 5))) == pytest.approx(np.log(8), abs=1e-5)


def test_a_decoder_knows_a_stay_by_its_vector_alone(read: tuple[Hierarchical, list[AdmissionNumbers]]) -> None:
    encoder, admissions = read
    lesson = Stays(encoder, admissions, admissions[:5], 0)
    torch.manual_seed(0)
    states = torch.zeros(3, encoder.hidden)
    found = lesson.decoder(states, 7)
    assert torch.equal(found[0], found[2])


def test_stage_b_starts_from_the_weights_of_stage_a_bit_for_bit(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, started = [], []

    class Watched(Admissions):
        def __init__(self, encoder: Hierarchical, *args: object, **more: object) -> None:
            started.append({name: value.clone() for name, value in encoder.stay.state_dict().items()})
            super().__init__(encoder, *args, **more)  # type: ignore[arg-type]

    learn = medhmp_train.learn

    def watched(lesson: object, *args: object) -> object:
        report = learn(lesson, *args)  # type: ignore[arg-type]
        if isinstance(lesson, Stays):
            ended.append({name: value.clone() for name, value in lesson.encoder.stay.state_dict().items()})
        return report

    monkeypatch.setattr(medhmp_train, "Admissions", Watched)
    monkeypatch.setattr(medhmp_train, "learn", watched)
    pretrain_medhmp(PretrainOptions(cohort, tmp_path / "out", epochs=1, device="cpu"), lambda share, words: None)
    assert len(ended) == len(started) == 1
    assert all(torch.equal(value, started[0][name]) for name, value in ended[0].items())


def test_the_folder_is_whole_and_a_fusion_takes_it(cohort: Path, tmp_path: Path) -> None:
    out = run(cohort, tmp_path / "encoder")
    assert {path.name for path in out.iterdir()} == {
        "config.json", "weights.safetensors", "card.json", "manifest.json", "log.jsonl"
    }  # fmt: skip
    opened = read_encoder_folder(out)
    assert (opened.modality, opened.config["training"]["stages"]) == (EHR, "ab")
    bundle = train_bundle(
        cohort, TASK.name, "ehr_only", tmp_path / "bundle", ehr_encoder=str(out), epochs=1, folds=0, device="cpu",
        progress=lambda *_: None,
    )  # fmt: skip
    assert (bundle / "card.json").is_file()


def test_a_killed_run_goes_on_to_the_same_weights(cohort: Path, tmp_path: Path) -> None:
    whole = run(cohort, tmp_path / "whole")
    for number, stage in enumerate(("A", "B")):
        options = PretrainOptions(cohort, tmp_path / stage, epochs=2, device="cpu")

        def kill(share: float, words: str, stage: str = stage) -> None:
            if words.startswith(f"stage {stage}"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pretrain_medhmp(options, kill)
        run(cohort, tmp_path / stage, "--resume")
        one, other = (read_encoder_folder(folder).encoder.state_dict() for folder in (whole, tmp_path / stage))
        assert all(torch.equal(value, other[name]) for name, value in one.items()), number


def test_what_is_left_out_is_left_out(read: tuple[Hierarchical, list[AdmissionNumbers]]) -> None:
    encoder, admissions = read
    batch = np.arange(12)
    torch.manual_seed(0)
    neither = Admissions(encoder, admissions, admissions, 0, guess=False, contrast=False)
    assert float(neither.loss(batch)[0].detach()) == 0
    without = Stays(encoder, admissions, admissions, 0, without_person=True)
    with torch.no_grad():
        encoder.eval()
        told = Stays(encoder, admissions, admissions, 0)
        told.decoder.load_state_dict(without.decoder.state_dict())
        assert float(without.loss(batch)[0]) != float(told.loss(batch)[0])


@pytest.mark.slow
def test_medhmp_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frozen encoders on 40 and 160 labels: nothing learned < stage A < both, by ten draws and three pretrainings."""
    write_stays_cohort(tmp_path / "cohort", (3000, 300, 2000))
    folder = CohortFolder(tmp_path / "cohort")
    rows = []
    for seed in range(3):
        for stages in ("a", "ab"):
            out = tmp_path / f"{stages}{seed}"
            pretrain_medhmp(PretrainOptions(folder.path, out, stages=stages, seed=seed, device="cpu"), lambda *_: None)
            encoder = read_encoder_folder(out).encoder
            arms = ("frozen", "random") if stages == "ab" else ("frozen",)
            asked = ProbeOptions(labels=(40, 160), arms=arms, draws=10, seed=seed, device="cpu")
            for row in probe(folder, TASK.name, encoder, EHR, asked).rows:
                rows.append({**row, "way": stages if row["arm"] == "frozen" else "none", "seed": seed})
    told = pd.DataFrame(rows).pivot_table(index=["labels", "seed", "draw"], columns="way", values="auroc")
    with capsys.disabled():
        print("\n", told.groupby("labels").mean().round(3).to_string())
    for count in (40, 160):
        gain = told.loc[count]["ab"] - told.loc[count]["none"]
        assert gain.mean() >= 0.05
        assert gain.mean() - 2.1 * gain.std() / np.sqrt(len(gain)) > 0
    assert told.loc[160]["ab"].mean() >= 0.81
    assert told.loc[40]["ab"].mean() >= 0.76
