"""Every heavy path keeps its tensors on the device it was given, and answers there what it answers on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from demo_support import shipped
from explain_support import background, planted, sampled_of, tokens_of
from fuse_support import set_of
from pretend_device import PRETENDED, DevicesMixed, pretended_device
from pretrain_support import SMALL, encoded, planted_cache
from record_support import fitted
from review_support import RISKY_CODE, study, timeline
from sampling import kinds_left_out, sampled

from core import review
from core.bundle import Bundle
from core.encode.ct.encoders import encode_pieces
from core.encode.ehr.records import TimelineRecords
from core.explain.methods import CARDS, METHODS
from core.explain.risk import RiskReadout
from core.fuse import FUSIONS, TokenSet
from core.pretrain.ct_findings.refine import RefineSettings
from core.pretrain.ct_findings.train import pretrain_encoder
from core.records import CaseReview, Tokens
from core.review import review_case
from core.survive.heads import HEADS
from core.train import fit, predict
from core.train.finetune_ct import fine_tune_ct
from core.train.fit import fit_fusion
from core.train.members import FitConfig

SCAN, RECORD = study(), timeline((RISKY_CODE, "ICD10CM//I10"))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The pretended device, chosen wherever a device is chosen."""
    with pretended_device() as where:
        for module in (fit, predict, review):
            monkeypatch.setattr(module, "resolve_device", lambda _: (where, ()))
        yield where


def bundle_of(name: str) -> Bundle:
    return shipped(f"pe_mortality/{name}")


def ask(name: str, method: str | None = "gradcam", planes: int = 12) -> CaseReview:
    return review_case(study(planes=planes), RECORD, bundle_of(name), explain=method, horizon_days=90)


def test_the_pretended_device_tells_devices_apart(device: torch.device) -> None:
    """The control: what the other tests would not survive."""
    there = torch.ones(2, 2, device=device)
    assert there.device == PRETENDED
    for mixed in (lambda: there @ torch.ones(2, 2), lambda: torch.cat([there, torch.ones(2, 2)])):
        with pytest.raises(DevicesMixed):
            mixed()
    with pytest.raises((RuntimeError, TypeError)):
        there.numpy()
    assert (there + 1).cpu().tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("name", FUSIONS)
def test_a_review_on_the_device_is_the_review_on_the_cpu(name: str, request: pytest.FixtureRequest) -> None:
    expected = ask(name)
    device = request.getfixturevalue("device")
    found = ask(name)
    assert (expected.device, found.device) == ("cpu", device.type)
    np.testing.assert_allclose(found.curve.survival, expected.curve.survival, atol=1e-6)
    assert {notice.key for notice in found.notices} == {notice.key for notice in expected.notices}
    assert (found.saliency is None) == (expected.saliency is None) == (name == "ehr_only")
    if found.saliency is not None and expected.saliency is not None:
        scale = np.abs(expected.saliency.values).max()
        assert scale > 0
        np.testing.assert_allclose(found.saliency.values, expected.saliency.values, atol=1e-5 * scale)
    if found.event_attribution is not None and expected.event_attribution is not None:
        np.testing.assert_allclose(found.event_attribution.values, expected.event_attribution.values, atol=1e-5)
    bundle = bundle_of(name)
    parts = [bundle.model, *bundle.encoders.values()]
    assert {value.device.type for part in parts for value in part.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("method", [method for method in METHODS if CARDS[method].chunk == 1])
def test_every_stepwise_method_on_the_device(method: str, request: pytest.FixtureRequest) -> None:
    expected = ask("concat", method, planes=2).saliency
    request.getfixturevalue("device")
    found = ask("concat", method, planes=2).saliency
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4 * np.abs(expected.values).max())


def small_cohort() -> TokenSet:
    """Random tokens of both sides, some patients without one of them, times that follow the scan's first number."""
    rng = np.random.default_rng(0)
    ct = [random_tokens(rng, 6, 5, "image") for _ in range(48)]
    ehr = [random_tokens(rng, int(rng.integers(2, 7)), 4, "ehr") for _ in range(48)]
    times = rng.exponential(300 * np.exp(-np.array([item.values[0, 0] for item in ct])))
    scans, records = [*ct[:-3], None, None, None], [None, None, *ehr[2:]]
    return set_of(scans, records, np.minimum(times, 500.0), times < 500)


def random_tokens(rng: np.random.Generator, count: int, width: int, encoder: str) -> Tokens:
    values = rng.normal(size=(count, width)).astype(np.float32)
    return Tokens(values, np.arange(count, dtype=np.float32), np.linspace(0, 1, count), encoder, "random")


def weights_differ(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """Largest difference of two modules' numbers; both must be on the CPU."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel())


TRAINED = sampled([(head, name) for head in HEADS for name in FUSIONS], list, one_in=100)


def test_every_fusion_and_every_head_is_trained_in_the_sample() -> None:
    assert kinds_left_out(TRAINED, list) == set()
    assert kinds_left_out([item for item in TRAINED if item.values[1] != "concat" or item.marks], list) == {"concat"}


@pytest.mark.parametrize(("head", "name"), TRAINED)
def test_training_on_the_device_is_training_on_the_cpu(name: str, head: str, request: pytest.FixtureRequest) -> None:
    data = small_cohort()
    parts = data.subset(np.arange(36)), data.subset(np.arange(36, 48))
    config = FitConfig(members=2, hidden=8, heads=2, epochs=2, batch_size=16, least_steps=0, contrastive_epochs=2)
    expected = fit_fusion(*parts, name, head, config)
    request.getfixturevalue("device")
    found = fit_fusion(*parts, name, head, config)
    assert (expected.device, found.device) == ("cpu", PRETENDED.type)
    assert weights_differ(found.model, expected.model) < 1e-4


def test_fine_tuning_on_the_device(request: pytest.FixtureRequest) -> None:
    def tuned(device: str) -> tuple[torch.nn.Module, tuple[float, ...]]:
        rng = np.random.default_rng(1)
        slices = [background(rng, 3) for _ in range(16)]
        times = rng.exponential(300, 16)
        encoder = copy.deepcopy(planted().encoder)
        tokens, scans = [tokens_of(encoder, item) for item in slices], [sampled_of(item) for item in slices]
        data = set_of(tokens, [None] * 16, times, np.ones(16, bool))
        config = FitConfig(members=1, hidden=8, epochs=1, least_steps=0)
        model = fit_fusion(data, data, "image_only", config=config, device="cpu").model
        found = fine_tune_ct(model, encoder, (data, scans), (data, scans), epochs=1, device=device)
        return encoder, found.tuning_nll

    expected, losses = tuned("cpu")
    device = request.getfixturevalue("device")
    encoder, found = tuned(device.type)
    assert found == pytest.approx(losses, abs=1e-4)
    assert weights_differ(encoder, expected) < 1e-4


def test_next_code_training_on_the_device(device: torch.device) -> None:
    records = [timeline((RISKY_CODE, "ICD10CM//I10", "ATC//B01AB"), seed) for seed in range(12)]
    expected = fitted("compact_sequence", TimelineRecords(records), tuning=TimelineRecords(records[:4]), epochs=1)
    found = fitted(
        "compact_sequence", TimelineRecords(records), tuning=TimelineRecords(records[:4]), epochs=1, device=device
    )
    assert weights_differ(found, expected) < 1e-4


def test_pretraining_of_the_ct_encoder_on_the_device(device: torch.device) -> None:
    cache, settings = planted_cache(12, 0), replace(SMALL, epochs=1, augment=True, refine=RefineSettings(epochs=3))
    expected = pretrain_encoder(cache, (-1350, 150), settings)
    found = pretrain_encoder(cache, (-1350, 150), settings, device=device.type)
    assert weights_differ(found, expected) < 1e-4
    for there, here in zip(encoded(cache, expected, device.type), encoded(cache, expected), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4)


def test_an_encoder_that_was_on_the_device_can_still_be_asked_for_gradients(device: torch.device) -> None:
    encoder = copy.deepcopy(planted().encoder)
    slices = torch.from_numpy(background(np.random.default_rng(2), 2))
    tokens = encode_pieces(slices, encoder, device.type)
    encoder.cpu()
    image = slices.float().requires_grad_(True)
    again = encoder(image)
    again.sum().backward()
    torch.testing.assert_close(again.detach(), tokens, atol=1e-5, rtol=1e-5)
    assert image.grad is not None
    assert float(image.grad.abs().max()) > 0


def full_and_mixed(method: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Correlation of a map in full with the one in mixed precision; the CPU's bfloat16 rounds as the GPU's does."""
    full = ask("concat", method, planes=2).saliency
    monkeypatch.setattr(RiskReadout, "autocast", lambda _: torch.autocast("cpu", torch.bfloat16))
    mixed = ask("concat", method, planes=2).saliency
    assert full is not None
    assert mixed is not None
    assert not np.array_equal(full.values, mixed.values)
    return float(np.corrcoef(full.values.ravel(), mixed.values.ravel())[0, 1])


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients", "occlusion"])
def test_maps_in_mixed_precision_are_like_the_maps_in_full(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert full_and_mixed(method, monkeypatch) > 0.95
