"""Rescales that differ from slice to slice: read where each fits, refused where the pixels show that one does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from corpus_doubts import BODY, body
from ct_factory import NamedBytes, dicom_slices, named, positions, put_pixels

from core.errors import UserFacingError
from core.load import load_study

HU = body(positions(BODY.affine_ras, BODY.shape))
Rescale = tuple[float, float]
Choice = Callable[[int], Rescale]
USUAL = (1, -1200)


def rescaled(written: Choice, *, fits: bool) -> list[NamedBytes]:
    """The chest with a slope and intercept by slice, its pixels stored for these or for the usual ones."""
    slices = dicom_slices(BODY)
    for index, dataset in enumerate(slices):
        slope, intercept = written(index)
        dataset.RescaleSlope, dataset.RescaleIntercept = (slope, intercept) if fits else USUAL
        put_pixels(dataset, HU[:, :, index].T)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    return named(slices)


RESCALES: dict[str, Choice] = {
    "24 HU more in the upper half": lambda i: (1, -1200 + 24 * (i > 11)),
    "100 HU more in one slice": lambda i: (1, -1200 + 100 * (i == 7)),
    "150 HU less in the last slice": lambda i: (1, -1200 - 150 * (i == 23)),
    "twice the slope in the upper half": lambda i: (1 + (i > 11), -1200),
    "a slope that grows": lambda i: (1 + 0.02 * i, -1200),
}


@pytest.mark.parametrize("case", RESCALES)
def test_a_rescale_that_does_not_fit_its_slice_is_refused(case: str) -> None:
    with pytest.raises(UserFacingError, match="only without the change"):
        load_study(rescaled(RESCALES[case], fits=False))


@pytest.mark.parametrize("case", RESCALES)
def test_slices_that_were_stored_with_their_own_rescale_are_read(case: str) -> None:
    study = load_study(rescaled(RESCALES[case], fits=True))
    found = study.voxels_hu[::-1, ::-1]
    assert np.abs(found - HU).max() <= 1
    assert any(note.startswith("The rescale differs between slices") for note in study.notes)
