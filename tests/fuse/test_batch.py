"""Padding, masks and missing modalities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fuse_support import CT_WIDTH, EHR_WIDTH, batch_of, random_patients, set_of

from core.fuse import Ragged


def test_padding_matches_a_loop_over_patients() -> None:
    ct, ehr = random_patients(0, 7, missing=True)
    batch = batch_of(ct, ehr)
    for side, tokens in (("image", ct), ("ehr", ehr)):
        values, mask, places = batch[side]
        for row, item in enumerate(tokens):
            length = 0 if item is None else len(item.values)
            assert mask[row].tolist() == [step < length for step in range(values.shape[1])]
            assert (values[row, length:] == 0).all()
            assert (places[row, length:] == 0).all()
            if item is not None:
                np.testing.assert_array_equal(values[row, :length], item.values)
                np.testing.assert_array_equal(places[row, :length], item.relative_positions)


def test_a_modality_that_nobody_has_is_an_empty_block() -> None:
    ct, _ = random_patients(1, 3)
    batch = batch_of(ct, [None] * 3)
    assert batch["ehr"].values.shape == (3, 0, EHR_WIDTH)
    assert not batch["ehr"].mask.any()


def test_subset_and_rows_keep_each_patient() -> None:
    ct, ehr = random_patients(2, 9, missing=True)
    whole = set_of(ct, ehr, np.arange(1, 10), np.ones(9), np.arange(100, 109))
    picked = [8, 0, 3]
    part = whole.subset(picked)
    assert part.ids.tolist() == [108, 100, 103]
    assert part.times.tolist() == [9, 1, 4]
    expected = batch_of([ct[i] for i in picked], [ehr[i] for i in picked])
    for got in (part.batch([0, 1, 2]), whole.batch(picked)):
        torch.testing.assert_close(got["image"].values, expected["image"].values)
        torch.testing.assert_close(got["ehr"].values, expected["ehr"].values)
    rows = whole.batch(np.arange(9)).rows(picked)
    torch.testing.assert_close(rows["image"].values[:, : expected["image"].values.shape[1]], expected["image"].values)


def test_widths_must_agree_and_lists_must_match() -> None:
    ct, ehr = random_patients(3, 2)
    with pytest.raises(ValueError, match="width"):
        batch_of([ct[0], ehr[0]], ehr)
    with pytest.raises(ValueError, match="same patients"):
        set_of(ct, ehr[:1])
    assert (ct[0].values.shape[1], ehr[0].values.shape[1]) == (CT_WIDTH, EHR_WIDTH)  # type: ignore[union-attr]


def test_the_mean_token_of_each_patient_is_its_own() -> None:
    _, ehr = random_patients(4, 6, missing=True)
    means = Ragged.from_tokens(ehr).means().numpy()
    assert np.isnan(means[1]).all()
    for row, item in enumerate(ehr):
        if item is not None:
            np.testing.assert_allclose(means[row], item.values.mean(axis=0), rtol=1e-5)
