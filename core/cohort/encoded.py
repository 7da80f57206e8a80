"""A cohort folder's patients as tokens: one pass over scans and timelines, in the order of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from core.cohort.folder import IMAGE_INDEX, CohortFolder
from core.encode.ct.compact_slices import CompactSlices, encode_sampled, encode_slices, sample_slices, slice_grid
from core.encode.ehr.encoders import EhrEncoder, encode_records
from core.errors import UserFacingError
from core.fuse import TokenSet
from core.intake.scan.load import load_study
from core.progress import Progress
from core.records import Tokens

Slices = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class EncodedCohort:
    """Encoded patients of one split.

    tokens: in the order of `labels` (subject_id, prediction_time, time_to_event_days, event, split).
    slices: what the CT encoder read of each patient, int16 (S, 128, 144), where it was asked to be kept; else empty.
    """

    tokens: TokenSet
    labels: pd.DataFrame
    slices: tuple[Slices | None, ...] = ()


def encode_cohort(
    cohort: CohortFolder,
    task: str,
    split: str,
    ct_encoder: CompactSlices | None,
    ehr_encoder: EhrEncoder | None,
    *,
    device: str = "cpu",
    keep_slices: bool = False,
    progress: Progress | None = None,
) -> EncodedCohort:
    """Encode every labelled patient of a split; an encoder of None leaves that modality out.

    A patient without a scan or without a known event lacks that modality. Raises `UserFacingError` where the split is
    empty, an image is not there (before any is read), or a scan cannot be read.
    """
    labels = cohort.labels(task, split)
    if labels.empty:
        raise UserFacingError(f"The split {split} has no labelled patient.", "at least one", "Choose another split.")
    images: list[Tokens | None] = [None] * len(labels)
    kept: list[Slices | None] = [None] * len(labels)
    if ct_encoder is not None:
        for number, (path, place) in enumerate(_scans(cohort, labels)):
            if path is not None:
                images[number], kept[number] = _encode_scan(path, place, ct_encoder, device, keep_slices)
            if progress:
                progress((number + 1) / len(labels), f"scan {number + 1} of {len(labels)}")
    records: list[Tokens | None] = [None] * len(labels)
    if ehr_encoder is not None:
        records = list(encode_records(cohort.records(labels), ehr_encoder))
    tokens = TokenSet.from_tokens(
        images,
        records,
        labels["time_to_event_days"],
        labels["event"],
        labels["subject_id"],
        ct_width=ct_encoder.token_dim if ct_encoder else 0,
        ehr_width=ehr_encoder.width if ehr_encoder else 0,
    )
    return EncodedCohort(tokens, labels, tuple(kept) if keep_slices else ())


def retokenise(encoded: EncodedCohort, ct_encoder: CompactSlices, device: str) -> TokenSet:
    """The same patients with their kept slices encoded again by a changed CT encoder."""
    parts = [
        encode_slices(torch.from_numpy(slices), ct_encoder, device) for slices in encoded.slices if slices is not None
    ]
    ragged = encoded.tokens.ct
    values = torch.cat(parts) if parts else ragged.values
    return TokenSet(
        type(ragged)(values, ragged.positions, ragged.offsets),
        encoded.tokens.ehr,
        encoded.tokens.times,
        encoded.tokens.events,
        encoded.tokens.ids,
    )


def _scans(cohort: CohortFolder, labels: pd.DataFrame) -> list[tuple[Path | None, int]]:
    """Of each patient the scan and its row in the image index; (None, 0) without one."""
    people = zip(labels["subject_id"], labels["prediction_time"], strict=True)
    rows = [cohort.image_row(int(subject), time) for subject, time in people]
    return [(None, 0) if row is None else (cohort.image_path(row), row) for row in rows]


def _encode_scan(path: Path, row: int, encoder: CompactSlices, device: str, keep: bool) -> tuple[Tokens, Slices | None]:
    try:
        study = load_study(path)
    except UserFacingError as error:
        found = f"The scan in row {row} of {IMAGE_INDEX} was refused. {error.found}"
        raise UserFacingError(found, error.expected, error.next_step) from error
    grid = slice_grid(study)
    slices = sample_slices(study, grid)
    return encode_sampled(study, grid, slices, encoder, device), slices if keep else None
