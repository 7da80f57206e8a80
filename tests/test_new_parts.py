"""What is registered from outside works everywhere: a 3D CT encoder and a third modality, from training to export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from review_support import HARMLESS_CODES, timeline
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from core.bundle import Bundle, load_bundle
from core.cohort.encoded import READERS
from core.cohort.folder import CohortFolder
from core.encode import CT_ENCODERS, ENCODERS
from core.explain.methods import CARDS, METHODS
from core.export import export_review
from core.fuse import FUSIONS
from core.fuse.fusions import Concat, FusionCard
from core.intake.scan.load import load_study
from core.records import EHR, IMAGE, MODALITIES, SIGNALS, CtStudy, FloatArray, Modality, Timeline, Tokens
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder, SampledScan
from core.review import compare_curves, review_case
from core.train.fit import train_bundle
from core.train.predict import predict_cohort
from core.virtual.simulate import simulate_cohort

TASK = "pe_mortality"
SIDE, CELLS = 32, 4
SHAPE, VOXEL_MM = (32, 32, 16), (8.0, 8.0, 12.0)
BLOCK = (slice(16, 24), slice(8, 16), slice(4, 8))
"""Where the planted block lies: one cell of the toy encoder."""
LEVELS_HU = (-800.0, -500.0, -200.0, 100.0, 400.0, 700.0)
"""Of the block; risk rises with it."""


class AveragePool(CtEncoder):
    """The whole volume at SIDE^3 voxels, a token for each of CELLS^3 cells: its mean."""

    piece, width, axes = "volume", 1, 3

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.pool = nn.AvgPool3d(SIDE // CELLS)

    @property
    def gradcam_layer(self) -> nn.Module:
        return self.pool

    def sample(self, study: CtStudy) -> SampledScan:
        along = [(np.arange(SIDE) * size) // SIDE for size in study.voxels_hu.shape]
        cells = np.stack(np.meshgrid(*[(np.arange(CELLS) + 0.5) / CELLS] * 3, indexing="ij"), -1).reshape(-1, 3)
        ijk = np.column_stack([cells * np.array(study.voxels_hu.shape), np.ones(len(cells))])
        places_mm = (ijk @ study.affine_mm.T)[:, :3]
        return SampledScan(study.voxels_hu[np.ix_(*along)][None], places_mm, cells, study.digest, 1.0, None)

    def forward(self, voxels_hu: torch.Tensor) -> torch.Tensor:
        return self.pool(voxels_hu.float()[:, None] / 1000 + 1).flatten(2).transpose(1, 2)

    def to_study(self, maps: FloatArray, sampled: SampledScan, study: CtStudy) -> FloatArray:
        whole = functional.interpolate(torch.from_numpy(maps[:, None]), size=study.voxels_hu.shape, mode="nearest")
        return whole[0, 0].numpy()


@dataclass(frozen=True, eq=False)
class Recording:
    """A toy recording: samples (n,)."""

    samples: FloatArray

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.samples.tobytes()).hexdigest()


def level(value: float) -> Recording:
    return Recording(np.full(50, value, np.float32))


class MeanOfRecording(RecordEncoder):
    """A token a recording: its mean and spread."""

    width = 2

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.scale = nn.Parameter(torch.ones(2))

    def encode(self, records: Sequence[Sequence[Recording]]) -> list[Tokens]:
        return [self._tokens(recordings) for recordings in records]

    def _tokens(self, recordings: Sequence[Recording]) -> Tokens:
        values = np.array([[item.samples.mean(), item.samples.std()] for item in recordings], np.float32)
        count = len(recordings)
        values = values.reshape(count, 2) * self.scale.detach().numpy()
        digest = "".join(item.digest for item in recordings)
        return Tokens(values, np.arange(count), np.linspace(0, 1, count), "mean_of_recording", digest)


def recordings_of(cohort: CohortFolder, labels: pd.DataFrame, encoder: Encoder) -> list[Tokens | None]:
    assert isinstance(encoder, RecordEncoder)
    found = [recordings(cohort.path, int(subject)) for subject in labels["subject_id"]]
    return [encoder.encode([item])[0] if item else None for item in found]


def recordings(cohort: Path, subject: int) -> tuple[Recording, ...]:
    file = cohort / "signals" / f"{subject}.npy"
    return (Recording(np.load(file)),) if file.is_file() else ()


def register(patch: pytest.MonkeyPatch) -> None:
    """All that a new encoder and a new modality take: one entry in each table."""
    patch.setitem(CT_ENCODERS, "average_pool", lambda config: AveragePool(config).eval())
    patch.setitem(MODALITIES, SIGNALS, Modality("Signals", "#CC79A7", counted=False))
    patch.setitem(ENCODERS, SIGNALS, {"mean_of_recording": lambda config: MeanOfRecording(config).eval()})
    patch.setitem(READERS, SIGNALS, recordings_of)
    card = FusionCard("CT, record and signals", Concat, (IMAGE, EHR, SIGNALS), "#0072B2", "all three side by side.")
    patch.setitem(FUSIONS, "all_three", card)
    alone = FusionCard("Signals only", Concat, (SIGNALS,), "#CC79A7", "nothing else is read.")
    patch.setitem(FUSIONS, "signals_only", alone)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        yield


def scan_of(level_hu: float, rng: np.random.Generator) -> nib.Nifti1Image:
    """Noise of lung in a box of water; the block has its own level."""
    voxels = rng.normal(0, 20, SHAPE)
    voxels[4:28, 4:28, 2:14] -= 800
    voxels[BLOCK] = rng.normal(level_hu, 40, voxels[BLOCK].shape)
    return nib.Nifti1Image(voxels.astype(np.int16), np.diag([*VOXEL_MM, 1.0]))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Virtual records; risk is written anew into scan (the block's HU) and signal (its level). Some lack one."""
    made = tmp_path_factory.mktemp("toy")
    simulate_cohort(made / "sim", patients=240, seed=5, render=False)
    folder, rng = made / "sim" / "cohort", np.random.default_rng(0)
    (folder / "signals").mkdir()
    labels = pd.read_parquet(folder / "labels" / f"{TASK}.parquet")
    block, height = rng.integers(len(LEVELS_HU), size=len(labels)), rng.normal(size=len(labels))
    scans, paths = [scan_of(value, rng) for value in LEVELS_HU], []
    for number, image in enumerate(scans):
        nib.save(image, folder / "images" / f"{number}.nii.gz")
    for row, subject in enumerate(labels["subject_id"]):
        paths.append(f"images/{block[row]}.nii.gz")
        if row % 10:
            np.save(folder / "signals" / f"{subject}.npy", (height[row] + 0.1 * rng.normal(size=50)).astype(np.float32))
    index = pd.DataFrame(
        {"subject_id": labels["subject_id"], "study_time": labels["prediction_time"], "path": paths}
    ).iloc[5:]
    index.to_parquet(folder / "images" / "index.parquet")
    days = rng.exponential(400 * np.exp(1.5 - 0.6 * block - 1.0 * height)).clip(0.5)
    labels.assign(time_to_event_days=days.clip(max=400.0), event=days < 400).to_parquet(
        folder / "labels" / f"{TASK}.parquet"
    )
    return folder


def encoder_folder(folder: Path, encoder: Encoder) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(encoder.config))
    save_file(dict(encoder.state_dict()), folder / "encoder.safetensors")
    return str(folder)


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("trained")
    return train_bundle(
        cohort, TASK, "all_three", made / "bundle",
        ct_encoder=encoder_folder(made / "ct", AveragePool({"name": "average_pool"})), ehr_encoder="one_hot",
        other_encoders={SIGNALS: encoder_folder(made / "signals", MeanOfRecording({"name": "mean_of_recording"}))},
        epochs=12, device="cpu", progress=lambda *_: None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Bundle:
    return load_bundle(trained)


@pytest.fixture(scope="module")
def case(cohort: Path) -> tuple[CtStudy, Timeline, tuple[Recording, ...]]:
    """A patient with a dense block in the scan and a high signal."""
    return load_study(cohort / "images" / f"{len(LEVELS_HU) - 2}.nii.gz"), timeline(HARMLESS_CODES), (level(1.5),)


def test_held_out_patients_are_ranked_by_what_was_planted(cohort: Path, trained: Path) -> None:
    from core.survive import concordance

    table = predict_cohort(cohort, trained, split="held_out", device="cpu")
    assert concordance(table["time_to_event_days"], table["event"], table["risk"]) > 0.7


def test_the_bundle_holds_three_encoders(bundle: Bundle) -> None:
    assert set(bundle.encoders) == {IMAGE, EHR, SIGNALS}
    assert bundle.model.reads == (IMAGE, EHR, SIGNALS)
    assert [item["role"] for item in bundle.card["encoders"]] == [IMAGE, EHR, SIGNALS]


def test_a_review_reads_all_three(bundle: Bundle, case: tuple[CtStudy, Timeline, tuple[Recording, ...]]) -> None:
    study, record, signals = case
    review = review_case(study, record, bundle, signals=signals)
    lower = review_case(study, record, bundle, signals=(level(-1.5),), explain=None)
    assert review.horizon_risks[365] > lower.horizon_risks[365]
    assert set(review.attention.blocks) == {IMAGE, EHR, SIGNALS}
    np.testing.assert_allclose([block.weights.sum() for block in review.attention.blocks.values()], 1, atol=1e-5)
    assert review.attention.blocks[IMAGE].positions.shape == (CELLS**3, 3)


def test_a_missing_modality_is_told(bundle: Bundle, case: tuple[CtStudy, Timeline, tuple[Recording, ...]]) -> None:
    study, record, signals = case
    told = {notice.text for notice in review_case(study, record, bundle, explain=None).notices}
    silent = {notice.text for notice in review_case(study, record, bundle, signals=signals, explain=None).notices}
    assert any("signals" in text for text in told - silent)


@pytest.mark.parametrize("method", METHODS)
def test_saliency_lies_on_the_planted_block(
    method: str, cohort: Path, bundle: Bundle, case: tuple[CtStudy, Timeline, tuple[Recording, ...]]
) -> None:
    study, record, signals = case
    without = load_study(cohort / "images" / "0.nii.gz")

    def values(scan: CtStudy) -> FloatArray:
        found = review_case(scan, record, bundle, signals=signals, explain=method, explain_events=False).saliency
        assert found is not None
        return found.values

    shown = values(study)
    assert shown.shape == SHAPE
    if CARDS[method].signed:
        assert shown[BLOCK].mean() > values(without)[BLOCK].mean()
    if "gradient" not in CARDS[method].unit and "activation" not in CARDS[method].unit:  # Grad-CAM compares with 0
        assert shown[BLOCK].mean() >= np.quantile(shown, 0.95)


def test_the_review_is_exported(
    bundle: Bundle, case: tuple[CtStudy, Timeline, tuple[Recording, ...]], tmp_path: Path
) -> None:
    study, record, signals = case
    review = review_case(study, record, bundle, signals=signals)
    written = {path.name for path in export_review(study, record, review, bundle, tmp_path)}
    assert {"figure.png", "figure.pdf", "saliency.nii.gz", "curve.json"} <= written
    assert set(compare_curves(study, record, {"toy": bundle}, signals)) == {"toy"}


def test_signals_alone(cohort: Path, case: tuple[CtStudy, Timeline, tuple[Recording, ...]], tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path / "signals", MeanOfRecording({"name": "mean_of_recording"}))
    path = train_bundle(
        cohort, TASK, "signals_only", tmp_path / "bundle", other_encoders={SIGNALS: folder}, epochs=2,
        device="cpu", progress=lambda *_: None,
    )  # fmt: skip
    alone = load_bundle(path)
    review = review_case(None, case[1], alone, signals=case[2])
    assert review.saliency is None
    assert set(review.attention.blocks) == {SIGNALS}
    assert compare_curves(None, case[1], {"toy": alone}) == {}
