"""Bundles: what is saved comes back bit for bit, and whatever was changed, damaged or left out is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fuse_support import planted_set, random_batch
from safetensors.torch import load_file, save_file

from core.bundle import CARD_SCHEMA, FILES, load_bundle, save_bundle, shipped_bundles
from core.cards import check_card
from core.cohort.tasks import TASKS
from core.compute.model_lock import MODEL_LOCK
from core.encode import build_ct_encoder, build_record_encoder
from core.encode.ct.compact_slices import compact_slices_config
from core.encode.ehr.features import NumericScale
from core.encode.half import round_to_half
from core.errors import UserFacingError
from core.fuse import TokenSet
from core.train.fit import FitConfig, fit_fusion
from core.train.members import FittedModel
from core.train.model_card import make_card

TASK = TASKS["pe_mortality"]


def encoders() -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    age = NumericScale("MEDS_BIRTH", False, 60.0, 15.0, (50.0, 70.0)).to_json()
    return round_to_half(build_ct_encoder(compact_slices_config(TASK.hu_window, norm="none"))), build_record_encoder(
        {"name": "one_hot", "age": age, "numeric": [], "coded": ["ICD10CM//I26"]}
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[FittedModel, TokenSet, TokenSet]:
    whole, _ = planted_set(5, 160)
    train, tuning = whole.subset(np.arange(120)), whole.subset(np.arange(120, 160))
    config = FitConfig(members=2, hidden=8, epochs=2, least_steps=0)
    return fit_fusion(train, tuning, "cross_attention", config=config, device="cpu"), train, tuning


@pytest.fixture(scope="module")
def saved(fitted: tuple[FittedModel, TokenSet, TokenSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, train, tuning = fitted
    image, record = encoders()
    words = [{"role": role, "name": "test encoder", "provenance": "random weights"} for role in ("image", "ehr")]
    card = make_card(model, TASK, train, tuning, encoders=words, virtual=True, description="Planted patients")
    folder = tmp_path_factory.mktemp("bundle") / "one"
    return save_bundle(
        folder, model=model.model, task=TASK, train=train, card=card, metrics={"note": 1},
        encoders={"image": image, "ehr": record}, training={"seed": 0},
    )  # fmt: skip


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def rewrite(folder: Path, name: str, change: Any) -> None:
    """Change a JSON file or the weights, and put the new hash into the manifest."""
    if name.endswith(".json"):
        data = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(data)))
    else:
        save_file(change(load_file(folder / name)), folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_saved_bundle_comes_back_bit_for_bit(saved: Path, fitted: tuple[FittedModel, TokenSet, TokenSet]) -> None:
    bundle, batch = load_bundle(saved), random_batch(1, 5, missing=True)
    with torch.no_grad(), bundle.lock:
        before, after = fitted[0].model(batch), bundle.model(batch)
    assert torch.equal(before.log_hazards, after.log_hazards)
    assert torch.equal(before.embedding, after.embedding)
    image, _ = encoders()
    assert "image" in bundle.encoders
    for name, value in image.state_dict().items():
        assert torch.equal(bundle.encoders["image"].state_dict()[name], value)
    assert bundle.task == TASK
    assert (bundle.fusion, bundle.virtual, bundle.metrics) == ("cross_attention", True, {"note": 1})
    assert bundle.lock is MODEL_LOCK
    assert not bundle.model.training
    assert not any(parameter.requires_grad for parameter in bundle.model.parameters())
    assert load_bundle(saved).digest == bundle.digest


def test_baseline_and_reference_describe_the_training_patients(
    saved: Path, fitted: tuple[FittedModel, TokenSet, TokenSet]
) -> None:
    bundle, (model, train, _) = load_bundle(saved), fitted
    assert list(bundle.baseline.columns) == ["time_days", "survival", "lower", "upper", "at_risk"]
    assert bundle.baseline.iloc[0][["time_days", "survival", "at_risk"]].tolist() == [0, 1, 120]
    assert (bundle.baseline["survival"].diff().dropna() <= 0).all()
    with torch.no_grad():
        output = model.model(train.batch(np.arange(120)))
    names = [name for name in bundle.reference.columns if name.startswith("embedding_")]
    assert 1 < len(names) <= 16
    np.testing.assert_allclose(bundle.reference[names], output.embedding.numpy(), atol=1e-3, rtol=1e-3)
    assert {str(bundle.reference[name].dtype) for name in names} == {"float16"}
    for name, tokens in train.tokens.items():
        means = [
            tokens.values[first:last].double().mean(0).numpy()
            for first, last in pairwise(tokens.offsets.tolist())
            if name in bundle.model.reads
        ]
        columns = [column for column in bundle.reference.columns if column.startswith(f"{name}_")]
        np.testing.assert_allclose(bundle.reference[columns], np.array(means), atol=2e-2, rtol=2e-3)
        assert {str(bundle.reference[column].dtype) for column in columns} == {"float16"}
    np.testing.assert_array_equal(bundle.reference["event"], train.events.numpy().astype(bool))
    assert not {"subject_id", "id", "ids"} & set(bundle.reference.columns)


def test_two_bundles_share_an_encoder_by_its_digest(
    fitted: tuple[FittedModel, TokenSet, TokenSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.encode.shared.SHARED", tmp_path / "encoders")
    model, train, tuning = fitted
    image, record = encoders()
    words = [{"role": role, "name": "test encoder", "provenance": "random weights"} for role in ("image", "ehr")]
    card = make_card(model, TASK, train, tuning, encoders=words, virtual=True, description="Planted patients")
    given = {"image": image, "ehr": record}
    for name in ("one", "two"):
        save_bundle(
            tmp_path / name, model=model.model, task=TASK, train=train, card=card, metrics={}, encoders=given,
            shared=("image",),
        )  # fmt: skip
    (kept,) = (tmp_path / "encoders").iterdir()
    read = load_bundle(tmp_path / "two").encoders["image"].state_dict()
    assert all(torch.equal(read[name], value) for name, value in image.state_dict().items())
    assert not any(name.startswith("encoders.image") for name in load_file(tmp_path / "one" / "weights.safetensors"))
    kept.unlink()
    with pytest.raises(UserFacingError, match="shares with others"):
        load_bundle(tmp_path / "one")


def test_a_fusion_keeps_only_the_encoder_it_reads(tmp_path: Path) -> None:
    whole, _ = planted_set(6, 100)
    train, tuning = whole.subset(np.arange(80)), whole.subset(np.arange(80, 100))
    model = fit_fusion(
        train, tuning, "ehr_only", config=FitConfig(members=1, hidden=8, epochs=1, least_steps=0), device="cpu"
    )
    words = [
        {"role": "ehr", "name": "one hot", "provenance": "test"},
        {"role": "image", "name": "none", "provenance": "none"},
    ]
    card = make_card(model, TASK, train, tuning, encoders=words, virtual=False, description="Planted patients")
    image, record = encoders()
    bundle = load_bundle(
        save_bundle(tmp_path / "b", model=model.model, task=TASK, train=train, card=card, metrics={},
                    encoders={"image": image, "ehr": record})
    )  # fmt: skip
    assert "image" not in bundle.encoders
    assert "ehr" in bundle.encoders
    assert [item["role"] for item in bundle.card["encoders"]] == ["ehr"]
    assert bundle.card["watermark"] is None
    assert not bundle.virtual


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(UserFacingError, match=name):
        load_bundle(copied)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(bytes(data))
    with pytest.raises(UserFacingError, match=name):
        load_bundle(copied)


def test_no_card_no_prediction(copied: Path) -> None:
    for change in (
        lambda card: {},
        lambda card: {**card, "research_notice": "Approved."},
        lambda card: {key: value for key, value in card.items() if key != "limitations"},
        lambda card: {**card, "training_data": {**card["training_data"], "virtual": "yes"}},
        lambda card: {**card, "surprise": 1},
    ):
        original = (copied / "card.json").read_text()
        rewrite(copied, "card.json", change)
        with pytest.raises(UserFacingError, match="card"):
            load_bundle(copied)
        (copied / "card.json").write_text(original)


def test_weights_that_are_not_finite_or_do_not_fit_are_refused(copied: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        name = next(name for name in tensors if name.endswith("head.out.weight"))
        return {**tensors, name: torch.full_like(tensors[name], float("nan"))}

    changes = {
        "finite": spoil,
        "do not fit": lambda tensors: dict(list(tensors.items())[1:]),
        "not fit": lambda tensors: {**tensors, "model.extra": torch.zeros(1)},
        "fit its": lambda tensors: {**tensors, "other.extra": torch.zeros(1)},
    }
    original = (copied / "weights.safetensors").read_bytes()
    for words, change in changes.items():
        (copied / "weights.safetensors").write_bytes(original)
        rewrite(copied, "weights.safetensors", change)
        with pytest.raises(UserFacingError, match=words):
            load_bundle(copied)


def test_a_pickle_in_place_of_weights_is_not_run(copied: Path) -> None:
    import pickle

    (copied / "weights.safetensors").write_bytes(pickle.dumps({"model": 1}))
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["sha256"]["weights.safetensors"] = hashlib.sha256(
        (copied / "weights.safetensors").read_bytes()
    ).hexdigest()
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserFacingError, match="weights"):
        load_bundle(copied)


def test_other_versions_configurations_and_places_are_refused(copied: Path, tmp_path: Path) -> None:
    original = (copied / "config.json").read_text()
    for change, words in (
        (lambda c: {**c, "format_version": 99}, "format version"),
        (lambda c: {**c, "task": {}}, "task"),
        (lambda c: {**c, "model": {**c["model"], "fusion": "sum"}}, "weights"),
        (lambda c: {**c, "model": {**c["model"], "members": 1}}, "weights"),
    ):
        rewrite(copied, "config.json", change)
        with pytest.raises(UserFacingError, match=words):
            load_bundle(copied)
        (copied / "config.json").write_text(original)
    with pytest.raises(UserFacingError, match="does not exist"):
        load_bundle(tmp_path / "nowhere")


def test_tables_without_their_columns_are_refused(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    pd.DataFrame({"time_days": [0.0]}).to_parquet(copied / "baseline.parquet")
    manifest["sha256"]["baseline.parquet"] = hashlib.sha256((copied / "baseline.parquet").read_bytes()).hexdigest()
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserFacingError, match=r"baseline\.parquet"):
        load_bundle(copied)


def test_an_encoder_that_halves_would_change_is_not_saved(
    fitted: tuple[FittedModel, TokenSet, TokenSet], saved: Path, tmp_path: Path
) -> None:
    image, record = encoders()
    with torch.no_grad():
        next(image.parameters()).add_(1e-7)
    card = json.loads((saved / "card.json").read_text())
    with pytest.raises(ValueError, match="float16"):
        save_bundle(tmp_path / "b", model=fitted[0].model, task=TASK, train=fitted[1], card=card, metrics={},
                    encoders={"image": image, "ehr": record})  # fmt: skip


def test_shipped_bundles_are_found_and_open() -> None:
    found = shipped_bundles()
    for key, path in found.items():
        task, fusion = key.split("/")
        bundle = load_bundle(path)
        assert (bundle.task.name, bundle.fusion) == (task, fusion)
        assert bundle.virtual
        check_card(bundle.card, CARD_SCHEMA, "model", "none")
    size = sum(file.stat().st_size for path in found.values() for file in path.iterdir())
    assert size <= 40e6, "all shipped weights together stay under 40 MB"
