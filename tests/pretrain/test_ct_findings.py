"""Pretraining of the slice encoder: it learns planted findings, and nothing from shuffled labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pretrain_support import CLOT, EFFUSION, SMALL, encoded, planted_cache
from sampling import WHOLE
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from core.encode.ct.compact_slices import CompactSlices
from core.encode.ct.encoders import encode_pieces
from core.pretrain.ct_findings.cache import PatientSlices, SliceCache, check_source, open_cache, write_chunk
from core.pretrain.ct_findings.probes import (
    area_under_curve,
    logistic_scores,
    pooled_tokens,
    probe_table,
    r_squared,
    ridge_scores,
    run_probes,
)
from core.pretrain.ct_findings.refine import RefineSettings
from core.pretrain.ct_findings.targets import area_targets, calibre_targets, cell_counts, dense_targets, slice_areas
from core.pretrain.ct_findings.train import PretrainSettings, pretrain_encoder

torch.set_num_threads(1)


def labels_of(cache: SliceCache, row: int) -> npt.NDArray[np.uint8]:
    labels = cache.volumes[row].labels
    assert labels is not None
    return labels


@pytest.fixture(scope="module")
def caches() -> tuple[SliceCache, SliceCache]:
    return planted_cache(48, 0), planted_cache(48, 1)


@pytest.fixture(scope="module")
def encoder(caches: tuple[SliceCache, SliceCache]) -> CompactSlices:
    return pretrain_encoder(caches[0], (-1350, 150), SMALL)


def test_planted_clots_are_read_by_a_linear_probe(
    caches: tuple[SliceCache, SliceCache], encoder: CompactSlices
) -> None:
    train, test = caches
    features = [pooled_tokens(encoded(cache, encoder)) for cache in caches]
    probes = run_probes(features[0], train.patients, features[1], test.patients, resamples=50)
    table = probe_table(probes).set_index("finding")
    assert (table.lower <= table.value + 1e-9).all()
    assert (table.value <= table.upper + 1e-9).all()
    assert table.loc["effusion", "value"] > 0.95
    assert table.loc["clot", "value"] > 0.9
    assert table.loc["pulmonary_trunk_diameter", "value"] > 0.9


def test_the_calibre_reading_is_a_width_in_cm(caches: tuple[SliceCache, SliceCache], encoder: CompactSlices) -> None:
    """Held-out patients: the token's last number, undone to cm, is the width of the planted artery."""
    _, test = caches
    read = []
    for volume in test.volumes:
        with torch.inference_mode():
            calibre_cm = encoder.pooled_and_maps(torch.from_numpy(volume.slices).float())[2]
        read.append(float(calibre_cm.amax(dim=(1, 2)).mean()))
    true_cm = test.patients["pulmonary_trunk_diameter_mm"].to_numpy() / 10
    assert r_squared(np.array(read), true_cm) > 0.85
    assert np.corrcoef(np.array(read), np.roll(true_cm, 1))[0, 1] ** 2 < 0.3


def test_calibre_targets_are_the_largest_circles() -> None:
    """Oracle: distance from every pixel centre to every pixel outside the artery, the largest in each cell."""
    labels = np.zeros((3, 128, 144), np.uint8)
    rows, columns = np.mgrid[:128, :144]
    labels[0][(rows - 50) ** 2 + (columns - 61) ** 2 < 7.3**2] = 3
    labels[0][49:52, 59:62] = CLOT
    labels[1, 30:40, 20:90] = 3
    labels[1, 100:, 100:] = EFFUSION
    found = calibre_targets(labels)
    for plane, cells in zip(labels, found, strict=True):
        inside = np.isin(plane, (3, CLOT))
        outside = np.argwhere(~inside)
        expected = torch.zeros(32, 36)
        for row, column in np.argwhere(inside):
            diameter = 2 * 0.2 * np.sqrt(((outside - (row, column)) ** 2).sum(1).min())
            expected[row // 4, column // 4] = max(expected[row // 4, column // 4], torch.tensor(diameter))
        assert torch.allclose(cells, expected.float(), atol=1e-5)
    assert not found[2].any()
    assert float(found[0].max()) == pytest.approx(2 * 0.73 * 2, abs=0.25)


def cell_auc(encoder: CompactSlices, test: SliceCache) -> float:
    """Area under the curve of the clot map over the cells of held-out patients."""
    truth, score = [], []
    for row, volume in enumerate(test.volumes[:12]):
        with torch.inference_mode():
            _, logits, _ = encoder.pooled_and_maps(torch.from_numpy(volume.slices).float())
        truth.append(dense_targets(cell_counts(labels_of(test, row)))[:, CLOT - 1].flatten())
        score.append(logits[:, CLOT - 1].flatten())
    return area_under_curve(torch.cat(score).double().numpy(), torch.cat(truth).numpy() > 0)


@WHOLE
def test_finding_maps_are_learned_only_from_true_labels(
    caches: tuple[SliceCache, SliceCache], encoder: CompactSlices
) -> None:
    train, test = caches
    rng = np.random.default_rng(5)
    donors = rng.permutation(len(train))
    mixed = [
        PatientSlices(v.slices, np.roll(labels_of(train, d)[rng.permutation(10)], (37, 51), (1, 2)), v.z_mm, v.relative)
        for v, d in zip(train.volumes, donors, strict=True)
    ]
    shuffled = SliceCache(train.patients.iloc[donors].reset_index(drop=True), mixed)
    assert cell_auc(encoder, test) > 0.95
    assert cell_auc(pretrain_encoder(shuffled, (-1350, 150), SMALL), test) < 0.75


def test_frozen_encoder_is_reproducible_half_exact_and_standardised() -> None:
    train = planted_cache(16, 0)
    quick = PretrainSettings(
        epochs=2, patients=12, spread=3, lesion=1, widths=(8, 8, 8), refine=RefineSettings(epochs=2)
    )
    reported: list[int] = []
    first = pretrain_encoder(train, (-1350, 150), quick, report=lambda losses: reported.append(losses.epoch))
    second = pretrain_encoder(train, (-1350, 150), quick)
    assert reported == [0, 1]
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
        assert torch.equal(value, value.half().float())
    assert not any(parameter.requires_grad for parameter in first.parameters())
    tokens = torch.cat([encode_pieces(torch.from_numpy(v.slices), first) for v in train.volumes])
    assert tokens.mean(dim=0).abs().max() < 0.5
    assert tokens.std(dim=0).max() < 1.5


def test_targets_match_loops() -> None:
    labels = np.random.default_rng(0).choice(11, (2, 128, 144), p=[0.9, *[0.01] * 10]).astype(np.uint8)
    maps, areas = dense_targets(cell_counts(labels)), area_targets(cell_counts(labels))
    members = {0: (1, 5, 6, 8), 1: (2, 9), 2: (3, 10), 3: (4,)}
    for s, r, c in ((0, 0, 0), (1, 31, 35), (0, 7, 20), (1, 16, 3)):
        cell = labels[s, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        for index in range(10):
            share = np.isin(cell, members[index]).mean() if index < 4 else float((cell == index + 1).any())
            assert maps[s, index, r, c].item() == pytest.approx(share)
    assert areas[1, 4].item() == pytest.approx(np.log1p((labels[1] == 5).sum()))
    assert slice_areas(labels)[1, 5] == (labels[1] == 5).sum()


def test_probe_arithmetic_matches_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x, x_test = rng.normal(size=(300, 12)), rng.normal(size=(200, 12))
    weights = rng.normal(size=12)
    y, y_test = x @ weights + rng.normal(size=300) > 0, x_test @ weights + rng.normal(size=200) > 0
    ours = logistic_scores(x, y, x_test, penalty=1e-2)
    spread = (x - x.mean(axis=0)) / x.std(axis=0)
    theirs = LogisticRegression(C=1 / (1e-2 * 300), max_iter=1000, tol=1e-8).fit(spread, y)
    expected = theirs.decision_function((x_test - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_allclose(ours, expected, atol=1e-2)
    assert area_under_curve(ours, y_test) == pytest.approx(roc_auc_score(y_test, ours))
    amount = x @ weights
    assert r_squared(ridge_scores(x, amount, x_test, 1e-6), x_test @ weights) > 0.999
    assert r_squared(np.full(200, 1.0), rng.normal(size=200)) < 0


def test_cache_round_trip(tmp_path: Path) -> None:
    cache = planted_cache(5, 3)
    records = cache.patients.to_dict("records")
    write_chunk(tmp_path, 3, cache.volumes[3:], records[3:])
    write_chunk(tmp_path, 0, cache.volumes[:3], records[:3])
    again = open_cache(tmp_path)
    assert list(again.patients["index"]) == [0, 1, 2, 3, 4]
    for before, after in zip(cache.volumes, again.volumes, strict=True):
        np.testing.assert_array_equal(before.slices, after.slices)
        np.testing.assert_array_equal(before.labels, after.labels)
        np.testing.assert_allclose(before.relative, after.relative)
    assert len(open_cache(tmp_path, 2, 2)) == 2
    check_source(tmp_path, "a")
    check_source(tmp_path, "a")
    with pytest.raises(ValueError, match="other rendering code"):
        check_source(tmp_path, "b")
    with pytest.raises(ValueError, match="label"):
        pretrain_encoder(SliceCache(cache.patients[:0], []), (-1350, 150))
