"""Training on planted data, end to end from tokens and from a cohort folder."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from fuse_support import planted_set, random_batch, set_of
from sampling import WHOLE

from bench import fusion_regimes as regimes
from core.benchmark.evaluate import evaluate_bundle
from core.bundle import load_bundle
from core.compute.device import resolve_device
from core.errors import UserFacingError
from core.fuse import FUSIONS, TokenSet
from core.records import Task, Tokens
from core.records.interfaces import SampledScan
from core.train.finetune_ct import fine_tune_ct
from core.train.fit import FitConfig, fit_fusion, train_bundle, tuning_performance
from core.train.members import batches, hide_modalities, token_counts

FAST = FitConfig(
    members=1, hidden=8, head_hidden=8, epochs=15, least_steps=100, contrastive_epochs=2, learning_rate=1e-2
)
TASK = Task("test", "Test", "the event", (90, 365), (-100, 100), "nobody", "now")


@pytest.fixture(scope="module")
def planted() -> tuple[TokenSet, TokenSet, TokenSet, np.ndarray]:
    whole, eta = planted_set(0, 900)
    parts = np.split(np.arange(900), [400, 500])
    return whole.subset(parts[0]), whole.subset(parts[1]), whole.subset(parts[2]), eta[parts[2]]


def rank(one: np.ndarray, other: np.ndarray) -> float:
    return float(pd.Series(one).corr(pd.Series(other), method="spearman"))


def risks(fitted: object, data: TokenSet) -> np.ndarray:
    with torch.no_grad():
        return fitted.model.risk(data.batch(np.arange(len(data))), 365.0).numpy()  # type: ignore[attr-defined]


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_every_fusion_learns_what_it_can_read(
    fusion: str, planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray]
) -> None:
    train, tuning, test, eta = planted
    got = rank(risks(fit_fusion(train, tuning, fusion, config=FAST, device="cpu"), test), eta)
    if fusion.endswith("_only"):
        assert 0.5 < got < 0.8, "one modality holds half of the log hazard's variance"
    else:
        assert got > 0.85


@pytest.mark.parametrize("head", ["cox", "weibull"])
def test_other_heads_rank_and_are_calibrated(
    head: str, planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray]
) -> None:
    train, tuning, test, eta = planted
    fitted = fit_fusion(train, tuning, "concat", head, FAST, device="cpu")
    assert rank(risks(fitted, test), eta) > 0.8
    true = 1 - np.exp(-365 / 300 * np.exp(eta))
    assert abs(risks(fitted, test).mean() - true.mean()) < 0.06


def test_curves_are_near_the_true_curves(planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray]) -> None:
    train, tuning, test, eta = planted
    fitted = fit_fusion(train, tuning, "concat", config=FAST, device="cpu")
    days = torch.linspace(10, 365, 30)
    with torch.no_grad():
        predicted = fitted.model(test.batch(np.arange(len(test)))).survival(days).numpy()
    true = np.exp(-days.numpy() / 300 * np.exp(eta)[:, None])
    marginal = np.abs(true.mean(0) - true).mean()
    assert np.abs(predicted - true).mean() < 0.09 < marginal


def test_same_seed_same_weights_other_seed_other_weights(
    planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray],
) -> None:
    train, tuning = planted[0].subset(np.arange(150)), planted[1]
    config = FitConfig(members=2, hidden=8, epochs=2, least_steps=0)
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    first, again, other = (fit_fusion(train, tuning, "concat", config=config, seed=s, device="cpu") for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state()), "training must not move the caller's random state"
    one, two, three = (fitted.model.state_dict() for fitted in (first, again, other))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], three[key]) for key in one)
    weights = [member.head.out.weight for member in first.model.members]
    assert not torch.equal(weights[0], weights[1]), "members must differ"


def test_scalers_edges_and_baseline_come_from_training_patients_only(
    planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray],
) -> None:
    train, tuning = planted[0].subset(np.arange(150)), planted[1]
    config = FitConfig(members=1, hidden=8, epochs=1, least_steps=0)
    one = fit_fusion(train, tuning, "concat", config=config, device="cpu").model
    moved = TokenSet(tuning.tokens, tuning.times * 7 + 3, 1 - tuning.events, tuning.ids)
    two = fit_fusion(train, moved, "concat", config=config, device="cpu").model
    for name in ("edges", "base"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert torch.equal(one.standard["image"].mean, two.standard["image"].mean)
    assert not torch.equal(one.calibration, two.calibration)


def test_progress_runs_to_one_and_missing_modalities_train(
    planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray],
) -> None:
    train, tuning = planted[0].subset(np.arange(120)), planted[1].subset(np.arange(20))
    nobody: list[Tokens | None] = [None] * 120
    empty = TokenSet.from_tokens({"image": nobody, "ehr": nobody}, widths={"image": 6})
    half = TokenSet({"image": empty["image"], "ehr": train["ehr"]}, train.times, train.events, train.ids)
    shares: list[float] = []
    config = FitConfig(members=2, hidden=8, epochs=2, least_steps=0)
    fitted = fit_fusion(half, tuning, "concat", config=config, device="cpu", progress=lambda s, w: shares.append(s))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert np.isfinite(risks(fitted, tuning)).all()
    assert tuning_performance(fitted, tuning, TASK)["patients"] == 20


def test_what_cannot_be_trained_is_refused_in_words(planted: tuple[TokenSet, TokenSet, TokenSet, np.ndarray]) -> None:
    train, tuning = planted[0], planted[1]
    nobody = TokenSet(train.tokens, train.times, train.events * 0, train.ids)
    empty = set_of([None] * len(train), [None] * len(train))
    blind = TokenSet({"image": empty["image"], "ehr": train["ehr"]}, train.times, train.events, train.ids)
    for arguments, words in (
        ((train, tuning, "sum"), "sum"),
        ((train, tuning, "concat", "logistic"), "logistic"),
        ((nobody, tuning, "concat"), "0 events"),
        ((blind, tuning, "image_only"), "No training patient"),
    ):
        with pytest.raises(UserFacingError, match=words):
            fit_fusion(*arguments, config=FAST, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(UserFacingError, match="not known"):
        resolve_device("tpu")


def test_a_device_that_is_absent_is_replaced_with_a_sentence() -> None:
    device, notices = resolve_device("cuda")
    assert (device.type == "cuda") == torch.cuda.is_available()
    assert bool(notices) != torch.cuda.is_available()
    assert resolve_device("cpu") == (torch.device("cpu"), ())


def test_batches_hold_every_patient_once_and_similar_lengths() -> None:
    data, _ = planted_set(1, 300)
    lengths = token_counts(data)
    rows = np.arange(20, 300)
    parts = [part.numpy() for part in batches(rows, lengths[rows], 32, np.random.default_rng(0))]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert np.mean([lengths[part].std() for part in parts]) < 0.6 * lengths[rows].std()


def test_hiding_takes_one_modality_at_most() -> None:
    torch.manual_seed(0)
    batch = random_batch(2, 400, missing=True)
    hidden = hide_modalities(batch, 0.2, ("image", "ehr"))
    lost_image = batch["image"].mask.any(1) & ~hidden["image"].mask.any(1)
    lost_record = batch["ehr"].mask.any(1) & ~hidden["ehr"].mask.any(1)
    assert not (lost_image & lost_record).any()
    assert not (lost_image | lost_record)[:2].any(), "a patient with a single modality keeps it"
    assert 0.12 < lost_image.float().mean() < 0.28
    assert 0.12 < lost_record.float().mean() < 0.28
    assert hide_modalities(batch, 0.2, ("ehr",)) is batch


def test_record_selects_region_needs_attention_over_tokens() -> None:
    """Regime 6 of the method notes, small: co-attention finds the region, pooled concat cannot; a shuffled record
    (negative control) takes the gain away."""
    config = FitConfig(members=1, epochs=12)
    data = regimes.make_regime("ehr_selects_region", 0, tests=800)
    times, events = data.test.times.double().numpy(), data.test.events.double().numpy()
    fitted = fit_fusion(data.train, data.tuning, "co_attention_ehr_guided", config=config, device="cpu")
    guided = risks(fitted, data.test)
    pooled, _ = regimes.score(data, "concat", FitConfig(members=1, epochs=12, pooled=True), 0)
    gain = regimes.harrell(guided, times, events) - regimes.harrell(pooled, times, events)
    assert gain >= 0.08
    shuffled = TokenSet({**data.test.tokens, "ehr": data.test.subset(np.random.default_rng(0).permutation(800))["ehr"]},
                        data.test.times, data.test.events, data.test.ids)  # fmt: skip
    assert regimes.harrell(risks(fitted, shuffled), times, events) < regimes.harrell(guided, times, events) - 0.08


@WHOLE
def test_balanced_regime_rewards_fusion() -> None:
    config = FitConfig(members=1, epochs=8)
    data = regimes.make_regime("balanced", 0, tests=800)
    times, events = data.test.times.double().numpy(), data.test.events.double().numpy()
    found = {
        fusion: regimes.harrell(regimes.score(data, fusion, config, 0)[0], times, events)
        for fusion in ("image_only", "ehr_only", "concat")
    }
    assert found["concat"] - max(found["image_only"], found["ehr_only"]) >= 0.04
    assert found["concat"] > regimes.harrell(data.test_eta, times, events) - 0.04


def test_train_and_predict_from_a_cohort_folder(tmp_path: Path) -> None:
    from core.train.predict import predict_cohort
    from core.virtual.simulate import simulate_cohort

    simulate_cohort(tmp_path / "sim", patients=150, seed=3, render=False)
    cohort = tmp_path / "sim" / "cohort"
    said: list[str] = []
    bundle = train_bundle(
        cohort, "pe_mortality", "ehr_only", tmp_path / "bundle", ehr_encoder="one_hot", epochs=2,
        device="cpu", progress=lambda share, words: said.append(words),
    )  # fmt: skip
    table = predict_cohort(cohort, bundle, tmp_path / "predictions.parquet", device="cpu")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "predictions.parquet"), table)
    columns = ["subject_id", "prediction_time", "time_to_event_days", "event", "risk"]
    assert list(table.columns) == [*columns, "survival_30d", "survival_90d", "survival_365d"]
    assert table["risk"].is_unique
    assert (table[["survival_30d", "survival_90d", "survival_365d"]].diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    np.testing.assert_allclose(np.exp(-table["risk"]), table["survival_365d"], atol=1e-6)
    assert any("training patients with the event: 10 are needed" in words for words in said)
    before = load_bundle(bundle)
    assert before.metrics == {}
    assert before.outcomes is not None
    predict_cohort(cohort, bundle, tmp_path / "tuned.parquet", split="tuning", device="cpu")
    with pytest.raises(UserFacingError, match="trained or tuned"):
        evaluate_bundle(bundle, [tmp_path / "tuned.parquet"], tmp_path / "report")
    report = evaluate_bundle(bundle, [tmp_path / "predictions.parquet"], tmp_path / "report")
    after = load_bundle(bundle)
    assert after.digest != before.digest
    assert next(iter(after.metrics["models"].values())) == next(iter(report["models"].values()))
    pd.testing.assert_frame_equal(predict_cohort(cohort, bundle, device="cpu"), table)
    table.to_parquet(tmp_path / "unsaid.parquet")
    unsaid = pd.read_parquet(tmp_path / "unsaid.parquet")
    unsaid.attrs = {}
    unsaid.to_parquet(tmp_path / "unsaid.parquet")
    with pytest.raises(UserFacingError, match="do not say that this model made them"):
        evaluate_bundle(bundle, [tmp_path / "unsaid.parquet"], tmp_path / "report")
    with pytest.raises(UserFacingError, match="not known"):
        train_bundle(cohort, "pe_mortality", "sum", tmp_path / "other")


def test_too_few_events_are_told_before_anything_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.virtual.simulate import simulate_cohort

    simulate_cohort(tmp_path / "sim", patients=20, render=False)
    monkeypatch.setattr("core.train.fit.encode_cohort", lambda *_, **__: pytest.fail("scans were encoded"))
    monkeypatch.setattr("core.train.encoders.fit_record_encoder", lambda *_, **__: pytest.fail("an encoder was fitted"))
    with pytest.raises(UserFacingError, match="at least 10 events"):
        train_bundle(tmp_path / "sim" / "cohort", "pe_mortality", "concat", tmp_path / "bundle")


def test_scans_of_a_cohort_train_with_a_given_encoder_and_predict(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from core.encode import build_ct_encoder
    from core.encode.ct.compact_slices import compact_slices_config
    from core.train.predict import predict_cohort
    from core.virtual.simulate import simulate_cohort

    simulate_cohort(tmp_path / "sim", patients=90, seed=4, render=False)
    cohort = tmp_path / "sim" / "cohort"
    labels = pd.read_parquet(cohort / "labels" / "pe_mortality.parquet")
    voxels = np.random.default_rng(0).normal(0, 40, (40, 40, 12))
    voxels[8:32, 8:32, 2:10] = -850
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), np.diag([8.0, 8, 8, 1])), cohort / "images" / "one.nii.gz")
    rows = {
        "subject_id": labels["subject_id"][5:],
        "study_time": labels["prediction_time"][5:],
        "path": "images/one.nii.gz",
    }
    pd.DataFrame(rows).to_parquet(cohort / "images" / "index.parquet")
    config = compact_slices_config((-1350, 150), widths=(4, 4, 4), norm="none")
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in build_ct_encoder(config).state_dict().items()},
              folder / "encoder.safetensors")  # fmt: skip
    bundle = train_bundle(cohort, "pe_mortality", "concat", tmp_path / "bundle", ct_encoder=str(folder),
                          ehr_encoder="one_hot", epochs=1, device="cpu", progress=lambda *_: None)  # fmt: skip
    table = predict_cohort(cohort, bundle, split="tuning", device="cpu")
    assert np.isfinite(table["risk"]).all()
    loaded = load_bundle(bundle)
    assert loaded.card["watermark"] == "Trained on virtual patients"
    assert {item["role"] for item in loaded.card["encoders"]} == {"image", "ehr"}
    with pytest.raises(UserFacingError, match="CT encoder"):
        train_bundle(cohort, "pe_mortality", "concat", tmp_path / "other", ct_encoder=str(tmp_path / "nowhere"))


class _MeanOfSlice(torch.nn.Module):
    """A stand-in for the CT encoder: two numbers a slice, linear in the slice's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(1, 2)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.out(slices.mean((1, 2))[:, None] / 100)


def test_fine_tuning_never_leaves_the_tuning_patients_worse() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=160)
    slices = [np.full((3, 4, 4), 100 * value, np.int16) for value in z]
    times = np.minimum(300 * rng.exponential(size=160) * np.exp(-z), 600)
    torch.manual_seed(0)
    encoder = _MeanOfSlice()

    def encode() -> TokenSet:
        with torch.no_grad():
            values = [encoder(torch.from_numpy(item).float()).numpy() for item in slices]
        tokens = [Tokens(value, np.zeros(3), np.linspace(0, 1, 3), "test", "d") for value in values]
        return set_of(tokens, [None] * 160, times, times < 600)

    data = encode()
    scans = [SampledScan(item, np.zeros(3), np.zeros(3), "d", 1.0, None) for item in slices]
    split = [np.arange(120), np.arange(120, 160)]
    train, tuning = (data.subset(rows) for rows in split)
    fitted = fit_fusion(
        train, tuning, "image_only", config=FitConfig(members=1, hidden=8, epochs=1, least_steps=0), device="cpu"
    )
    parts = [(data.subset(rows), [scans[row] for row in rows]) for rows in split]
    others = [copy.deepcopy((fitted.model, encoder)) for _ in range(2)]
    result = fine_tune_ct(fitted.model, encoder, *parts, epochs=2)
    torch.manual_seed(99)
    assert fine_tune_ct(*others[0], *parts, epochs=2) == result
    assert fine_tune_ct(*others[1], *parts, epochs=2, seed=1) != result
    assert len(result.tuning_nll) == 3
    assert result.improved == (min(result.tuning_nll[1:]) < result.tuning_nll[0])
    assert not encoder.training
    assert not any(value.requires_grad for value in [*encoder.parameters(), *fitted.model.parameters()])
    again = encode().subset(split[1])
    member = fitted.model.members[0]
    with torch.no_grad():
        batch = fitted.model.standardise(again.batch(np.arange(40)))
        now = member.head.loss(member.fusion(batch).features, again.times, again.events).item()
    assert now == pytest.approx(min(result.tuning_nll), abs=1e-4)
