"""Every fusion: attention over one patient's tokens only, weights that are weights, missing modalities, oracles."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from fuse_support import CT_WIDTH, EHR_WIDTH, batch_of, random_batch, random_patients

from core.compute.model_lock import MODEL_LOCK
from core.fuse import FUSIONS, FusedState, Fusion, FusionConfig, TokenBatch, describe_weights, info_nce
from core.fuse.batch import Padded
from core.fuse.blocks import CrossAttention, Pooling, TokenProjection
from core.fuse.fusions import average_tokens

TWO_SIDED = [name for name in FUSIONS if not name.endswith("_only")]
CASES = [(name, pooled) for name in FUSIONS for pooled in (False, True)]


WIDTHS = {"image": CT_WIDTH, "ehr": EHR_WIDTH, "signals": 4}


def build(name: str, *, pooled: bool = False, seed: int = 0) -> Fusion:
    torch.manual_seed(seed)
    card = FUSIONS[name]
    return card.build(FusionConfig({key: WIDTHS[key] for key in card.reads}, hidden=8, heads=2, pooled=pooled)).eval()


def blocks(state: FusedState, batch: TokenBatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    pairs = [(state.weights.get("image"), batch["image"].mask), (state.weights.get("ehr"), batch["ehr"].mask)]
    return [(weights, mask) for weights, mask in pairs if weights is not None]


@pytest.mark.parametrize(("name", "pooled"), CASES)
def test_a_patient_alone_equals_the_patient_in_any_batch(name: str, pooled: bool) -> None:
    fusion = build(name, pooled=pooled)
    ct, ehr = random_patients(4, 12, missing=True)
    together = fusion(batch_of(ct, ehr))
    for row in range(12):
        alone = fusion(batch_of([ct[row]], [ehr[row]]))
        torch.testing.assert_close(alone.features[0], together.features[row], atol=1e-5, rtol=0)
        for (one, mask), (many, _) in zip(
            blocks(alone, batch_of([ct[row]], [ehr[row]])),
            blocks(together, batch_of(ct, ehr)),
            strict=True,
        ):
            torch.testing.assert_close(one[0], many[row, : mask.shape[1]], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "pooled"), CASES)
def test_weights_are_zero_on_padding_and_sum_to_one(name: str, pooled: bool) -> None:
    batch = random_batch(5, 10, missing=True)
    state = build(name, pooled=pooled)(batch)
    assert blocks(state, batch)
    for weights, mask in blocks(state, batch):
        assert (weights[~mask] == 0).all()
        assert (weights >= 0).all()
        present = mask.any(1)
        torch.testing.assert_close(weights.sum(1), present.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", list(FUSIONS))
def test_one_token_has_weight_one_and_is_labelled(name: str) -> None:
    ct, ehr = random_patients(6, 1)
    one = [replace(item, values=item.values[:1], positions=item.positions[:1],  # type: ignore[union-attr, type-var]
                   relative_positions=item.relative_positions[:1], event_ids=None)  # type: ignore[union-attr]
           for item in (ct[0], ehr[0])]  # fmt: skip
    state = build(name)(batch_of([one[0]], [one[1]]))
    for weights, _ in blocks(state, batch_of([one[0]], [one[1]])):
        assert weights.tolist() == [[1.0]]
    assert "constant 1" in describe_weights(state.kind, 1)
    assert "constant 1" not in describe_weights(state.kind, 2)


@pytest.mark.parametrize("name", list(FUSIONS))
def test_permuting_slices_permutes_weights_and_keeps_the_features(name: str) -> None:
    batch = random_batch(7, 1)
    order = torch.randperm(batch["image"].values.shape[1], generator=torch.Generator().manual_seed(0))
    moved = TokenBatch({**batch.modalities, "image": Padded(*(part[:, order] for part in batch["image"]))})
    fusion = build(name)
    before, after = fusion(batch), fusion(moved)
    torch.testing.assert_close(before.features, after.features, atol=1e-5, rtol=0)
    if before.weights.get("image") is not None:
        torch.testing.assert_close(before.weights.get("image")[:, order], after.weights.get("image"), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in FUSIONS if name != "ehr_only"])
def test_position_matters_where_tokens_are_read(name: str) -> None:
    batch = random_batch(8, 2)
    shifted = TokenBatch({**batch.modalities, "image": batch["image"]._replace(position=batch["image"].position * 0.5)})
    assert not torch.allclose(build(name)(batch).features, build(name)(shifted).features, atol=1e-4)
    pooled = build(name, pooled=True)
    torch.testing.assert_close(pooled(batch).features, pooled(shifted).features)


@pytest.mark.parametrize("name", TWO_SIDED)
def test_a_missing_modality_is_the_learned_none_token(name: str) -> None:
    ct, ehr = random_patients(9, 2)
    fusion = build(name)
    without = fusion(batch_of([None], [ehr[0]]))
    assert torch.isfinite(without.features).all()
    padded = fusion(batch_of([None, ct[1]], [ehr[0], ehr[1]]))
    torch.testing.assert_close(padded.features[:1], without.features, atol=1e-5, rtol=0)
    with torch.no_grad():
        fusion.paths["image"].project.none.add_(1.0)
    changed = fusion(batch_of([None, ct[1]], [ehr[0], ehr[1]]))
    assert not torch.allclose(changed.features[0], padded.features[0])
    torch.testing.assert_close(changed.features[1], padded.features[1])


def test_unimodal_fusions_ignore_the_other_side() -> None:
    ct, ehr = random_patients(10, 3)
    both, image = batch_of(ct, ehr), batch_of(ct, [None] * 3)
    assert torch.equal(build("image_only")(both).features, build("image_only")(image).features)
    assert list(build("image_only")(both).weights) == ["image"]
    assert list(build("ehr_only")(both).weights) == ["ehr"]


def test_the_guide_provides_the_queries() -> None:
    """Scaling W_K of the answering side's keys or W_Q of the asking side is visible only through the right tokens."""
    ct, ehr = random_patients(11, 1)
    batch = batch_of(ct, ehr)
    for name, asks, answers in (
        ("co_attention_ehr_guided", "ehr", "image"),
        ("co_attention_image_guided", "image", "ehr"),
    ):
        fusion = build(name)
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            getattr(fusion.attend, part).register_forward_hook(
                lambda module, inputs, output, part=part, seen=seen: seen.__setitem__(part, inputs[0])
            )
            for part in ("query", "key", "value")
        ]
        fusion(batch)
        for hook in hooks:
            hook.remove()
        assert seen["query"].shape[1] == batch[asks].values.shape[1] + 1
        assert seen["key"].shape[1] == seen["value"].shape[1] == batch[answers].values.shape[1]


def test_literal_co_attention_is_blind_to_the_guide_when_pooled_but_not_over_tokens() -> None:
    """The degeneracy of the paper-literal form: one key, weight 1 for everybody, so the guide changes nothing."""
    ct, ehr = random_patients(12, 4)
    one, other = batch_of(ct, ehr), batch_of(ct, ehr[::-1])
    pooled, tokens = build("co_attention_ehr_guided", pooled=True), build("co_attention_ehr_guided")
    torch.testing.assert_close(pooled(one).features, pooled(other).features)
    assert "constant 1" in pooled(one).kind
    assert not torch.allclose(tokens(one).features, tokens(other).features, atol=1e-4)


def test_pooled_mode_reads_only_the_mean_token() -> None:
    batch = random_batch(13, 5, missing=True)
    mean = average_tokens(batch, ("image", "ehr"))
    for row in range(5):
        own = batch["image"].values[row][batch["image"].mask[row]]
        expected = own.mean(0) if len(own) else torch.zeros(CT_WIDTH)
        torch.testing.assert_close(mean["image"].values[row, 0], expected)
    fusion = build("cross_attention", pooled=True)
    torch.testing.assert_close(fusion(batch).features, fusion(mean).features)


def test_cross_attention_matches_a_loop() -> None:
    torch.manual_seed(1)
    block = CrossAttention(8, 2).eval()
    queries, keys, summary = torch.randn(3, 5, 8), torch.randn(3, 4, 8), torch.randn(3, 8)
    query_mask, key_mask = torch.ones(3, 5, dtype=torch.bool), torch.ones(3, 4, dtype=torch.bool)
    query_mask[0, 3:], key_mask[1, 1:] = False, False
    attended, key_weights, gate = block(summary, queries, query_mask, keys, key_mask)
    for row in range(3):
        real_q, real_k = queries[row][query_mask[row]], keys[row][key_mask[row]]
        q = block.query(torch.cat([summary[row : row + 1], real_q]))
        k, v, g = block.key(real_k), block.value(real_k), block.gate(real_q)
        parts, shown = [], []
        for place in ("summary", "tokens"):
            for head in range(2):
                span = slice(4 * head, 4 * head + 4)
                table = torch.stack([torch.softmax(k[:, span] @ one / math.sqrt(4), 0) for one in q[:, span]])
                opened = torch.softmax(g[:, head], 0)
                weights = table[0] if place == "summary" else sum(opened[i] * table[1 + i] for i in range(len(real_q)))
                parts.append(sum(weights[j] * v[j, span] for j in range(len(real_k))))
                shown.append(weights)
        torch.testing.assert_close(attended[row], block.out(torch.cat(parts)), atol=1e-5, rtol=1e-5)
        expected = torch.stack(shown).mean(0)
        torch.testing.assert_close(key_weights[row][key_mask[row]], expected, atol=1e-5, rtol=1e-5)
        assert (key_weights[row][~key_mask[row]] == 0).all()
        torch.testing.assert_close(gate[row][query_mask[row]], torch.softmax(g, 0).mean(1), atol=1e-5, rtol=1e-5)


def test_pooling_matches_a_loop_and_keeps_counts_and_peaks() -> None:
    torch.manual_seed(2)
    pool = Pooling(4, 2, count=True).eval()
    hidden, mask = torch.randn(2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    mask[1, 2:] = False
    got, weights = pool(hidden, mask)
    for row in range(2):
        own = hidden[row][mask[row]]
        attention = torch.softmax(pool.score(own), 0)
        parts = [attention[:, head] @ own for head in range(2)] + [own.mean(0), own.max(0).values]
        count = torch.tensor([math.log(len(own) + 1) - math.log(64)]).clamp(-3, 3)
        torch.testing.assert_close(got[row], pool.mix(torch.cat([*parts, count])), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weights[row][mask[row]], attention.mean(1), atol=1e-5, rtol=1e-5)
    twice, _ = pool(torch.cat([hidden, hidden], 1)[:1], torch.ones(1, 12, dtype=torch.bool))
    assert not torch.allclose(twice, got[:1], atol=1e-3), "two of everything must differ from one of everything"


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_info_nce_is_two_log_n_at_constant_similarity(count: int) -> None:
    same = torch.ones(count, 5)
    assert info_nce(same, same).item() == pytest.approx(2 * math.log(count), abs=1e-5)


def test_info_nce_matches_a_loop() -> None:
    rng = np.random.default_rng(3)
    image, ehr = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    cosine = (image / np.linalg.norm(image, axis=1, keepdims=True)) @ (
        ehr / np.linalg.norm(ehr, axis=1, keepdims=True)
    ).T
    total = 0.0
    for j in range(6):
        row, column = cosine[j] / 0.1, cosine[:, j] / 0.1
        total -= row[j] - np.log(np.exp(row).sum()) + column[j] - np.log(np.exp(column).sum())
    got = info_nce(torch.from_numpy(image), torch.from_numpy(ehr), 0.1).item()
    assert got == pytest.approx(total / 6, rel=1e-6)


@pytest.mark.parametrize("name", list(FUSIONS))
def test_gradients_reach_every_real_token_and_no_padding(name: str) -> None:
    batch = random_batch(14, 4)
    ct, ehr = batch["image"].values.clone().requires_grad_(), batch["ehr"].values.clone().requires_grad_()
    given = batch.with_changed("image", values=ct).with_changed("ehr", values=ehr)
    build(name)(given).features.square().sum().backward()
    for values, mask, read in (
        (ct, batch["image"].mask, name != "ehr_only"),
        (ehr, batch["ehr"].mask, name != "image_only"),
    ):
        if read:
            assert values.grad is not None
            assert (values.grad[~mask] == 0).all()
            assert (values.grad[mask].abs().sum(-1) > 0).all()


def test_the_lock_is_reentrant() -> None:
    with MODEL_LOCK, MODEL_LOCK:
        pass


def test_long_work_that_lets_go_between_its_steps_lets_others_in() -> None:
    """A thread that takes the lock again at once must not starve a waiting one."""
    taken, over = threading.Event(), threading.Event()
    steps: list[int] = []

    def long_work() -> None:
        while not over.is_set() and len(steps) < 500:
            with MODEL_LOCK:
                steps.append(1)
                taken.set()
                time.sleep(0.002)

    worker = threading.Thread(target=long_work)
    worker.start()
    taken.wait(5)
    before = len(steps)
    with MODEL_LOCK:
        assert len(steps) <= before + 3
    over.set()
    worker.join(5)
    assert not worker.is_alive()


def test_the_average_of_a_patient_leaves_out_what_is_masked() -> None:
    batch = random_batch(9, 5)
    shorter = batch["image"].mask.clone()
    shorter[:, 1:] = False
    average = average_tokens(batch.with_changed("image", mask=shorter), ("image",))
    torch.testing.assert_close(average["image"].values[:, 0], batch["image"].values[:, 0])


def test_token_dropout_never_hides_all_of_a_patient() -> None:
    project = TokenProjection(CT_WIDTH, 8, token_dropout=1.0).train()
    batch = random_batch(10, 5)
    hidden, mask = project(batch["image"].values, batch["image"].mask, batch["image"].position)
    assert torch.equal(mask, batch["image"].mask)
    assert not torch.isclose(hidden[:, 0], project.none).all(1).any(), "no none token in its place"
