"""Encoder folders: what pretraining wrote comes back, reads tokens alike, and nothing else is taken for one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.encode import build_ct_encoder
from core.encode.ct.compact_slices import compact_slices_config
from core.encode.encoder_card import Learned, LearnedFrom, encoder_card
from core.encode.folder import KIND, read_encoder_folder, write_encoder_folder
from core.encode.shared import read_shared, write_shared
from core.errors import UserFacingError
from core.records import EHR, IMAGE
from core.records.interfaces import CtEncoder
from core.sealed_folder import seal
from core.train.encoders import encoder_of_folder

CARD = encoder_card(
    "Test encoder of slices",
    "none",
    "Tests of the folder.",
    LearnedFrom("Nobody", True, 0, 0),
    Learned("nothing", 0, "nats", 0.0, "nothing to learn"),
)


def encoder() -> CtEncoder:
    torch.manual_seed(1)
    return build_ct_encoder(compact_slices_config((-150, 250), norm="none"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "log.jsonl").write_text("{}\n")
    return write_encoder_folder(folder, encoder(), modality=IMAGE, method="none", card=CARD, training={"seed": 1})


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_an_encoder_comes_back_and_gives_the_same_tokens(written: Path) -> None:
    opened, slices = read_encoder_folder(written), torch.randint(-1000, 400, (2, 128, 144)).to(torch.int16)
    again = read_encoder_folder(written)
    assert (opened.modality, opened.virtual, opened.digest) == (IMAGE, True, again.digest)
    assert opened.files == {"log.jsonl": b"{}\n"}
    fresh = encoder()
    with torch.no_grad():
        assert torch.equal(opened.encoder(slices), again.encoder(slices))
        torch.testing.assert_close(opened.encoder(slices), fresh(slices), rtol=0.05, atol=0.05)
    assert not any(parameter.requires_grad for parameter in opened.encoder.parameters())


def test_training_takes_the_folder_for_its_own_modality_only(written: Path) -> None:
    opened = encoder_of_folder(IMAGE, written)
    assert opened.virtual
    assert opened.words.startswith("Test encoder of slices")
    with pytest.raises(UserFacingError, match="reads no"):
        encoder_of_folder(EHR, written)


@pytest.mark.parametrize("name", [*KIND.files, "log.jsonl", "manifest.json"])
def test_a_changed_file_is_named(copied: Path, name: str) -> None:
    (copied / name).write_bytes((copied / name).read_bytes() + b" ")
    if name == "manifest.json":  # a blank behind the last brace changes nothing that it says
        assert read_encoder_folder(copied).modality == IMAGE
        return
    with pytest.raises(UserFacingError, match=name):
        read_encoder_folder(copied)


def test_no_card_and_other_weights_are_refused(copied: Path) -> None:
    card = json.loads((copied / "card.json").read_text())
    (copied / "card.json").write_text(json.dumps({key: card[key] for key in card if key != "limitations"}))
    seal(copied, KIND.files)
    with pytest.raises(UserFacingError, match="card"):
        read_encoder_folder(copied)
    (copied / "card.json").write_text(json.dumps(card))
    tensors = load_file(copied / "weights.safetensors")
    save_file(dict(list(tensors.items())[1:]), copied / "weights.safetensors")
    seal(copied, KIND.files)
    with pytest.raises(UserFacingError, match="do not fit"):
        read_encoder_folder(copied)


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    broken = encoder()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="finite"):
        write_encoder_folder(tmp_path, broken, modality=IMAGE, method="none", card=CARD, training={})


def test_a_shared_encoder_is_kept_once_and_refused_once_changed(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(4.0), "b": torch.ones(2, 2, dtype=torch.float16)}
    digest = write_shared(tensors, tmp_path)
    assert write_shared(tensors, tmp_path) == digest
    assert len(list(tmp_path.iterdir())) == 1
    read = read_shared(digest, tmp_path)
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"\0\0")
    for digest_ in (digest, "../" + digest, "0" * 64):
        with pytest.raises(UserFacingError, match="shares"):
            read_shared(digest_, tmp_path)
