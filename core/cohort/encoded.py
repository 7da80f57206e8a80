"""A cohort folder's patients as tokens: one pass over scans, records and other inputs, in the order of the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from core.cohort.folder import IMAGE_INDEX, CohortFolder
from core.cohort.signals import ecgs_of
from core.encode.ct.encoders import encode_pieces, encode_sampled
from core.errors import UserFacingError
from core.fuse import TokenSet
from core.intake.scan.load import load_study
from core.progress import Progress
from core.records import EHR, IMAGE, SIGNALS, Tokens
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder, SampledScan


@dataclass(frozen=True, eq=False)
class EncodedCohort:
    """Encoded patients of one split.

    tokens: in the order of `labels` (subject_id, prediction_time, time_to_event_days, event, split).
    scans: what the CT encoder read of each patient, where it was asked to be kept; else empty.
    """

    tokens: TokenSet
    labels: pd.DataFrame
    scans: tuple[SampledScan | None, ...] = ()


def _records(cohort: CohortFolder, labels: pd.DataFrame, encoder: Encoder) -> list[Tokens | None]:
    assert isinstance(encoder, RecordEncoder)
    return list(encoder.encode(cohort.records(labels)))


def _signals(cohort: CohortFolder, labels: pd.DataFrame, encoder: Encoder) -> list[Tokens | None]:
    assert isinstance(encoder, RecordEncoder)
    return list(encoder.encode(ecgs_of(cohort, labels)))


READERS: dict[str, Callable[[CohortFolder, pd.DataFrame, Encoder], list[Tokens | None]]] = {
    EHR: _records,
    SIGNALS: _signals,
}
"""How a cohort's patients are encoded, by modality: (folder, labels, encoder) -> tokens in the order of the labels.
Scans are read one by one below, with progress."""


def encode_cohort(
    cohort: CohortFolder,
    task: str,
    split: str,
    encoders: Mapping[str, Encoder],
    *,
    device: str = "cpu",
    keep_scans: bool = False,
    progress: Progress | None = None,
) -> EncodedCohort:
    """Encode every labelled patient of a split, by an encoder for each modality that counts.

    A patient without a scan or without a known event lacks that modality. Raises `UserFacingError` where the split is
    empty, an image is not there (before any is read), or a scan cannot be read.
    """
    labels = cohort.labels(task, split)
    if labels.empty:
        raise UserFacingError(f"The split {split} has no labelled patient.", "at least one", "Choose another split.")
    tokens: dict[str, list[Tokens | None]] = {}
    kept: list[SampledScan | None] = []
    for name, encoder in encoders.items():
        if isinstance(encoder, CtEncoder):
            tokens[name], kept = _images(cohort, labels, encoder, device, keep_scans, progress)
        else:
            tokens[name] = READERS[name](cohort, labels, encoder)
    outcomes = (labels["time_to_event_days"], labels["event"], labels["subject_id"])
    widths = {name: encoder.width for name, encoder in encoders.items()}
    return EncodedCohort(TokenSet.from_tokens(tokens, *outcomes, widths=widths), labels, tuple(kept))


def read_scans(
    cohort: CohortFolder, labels: pd.DataFrame, encoder: CtEncoder, progress: Progress | None = None
) -> list[SampledScan | None]:
    """What the encoder reads of each labelled patient's scan, None without one; nothing is encoded."""
    scans: list[SampledScan | None] = []
    for number, (path, row) in enumerate(_scans(cohort, labels)):
        scans.append(None if path is None else _sampled(path, row, encoder))
        if progress:
            progress((number + 1) / len(labels), f"scan {number + 1} of {len(labels)}")
    return scans


def retokenise(encoded: EncodedCohort, encoder: CtEncoder, device: str) -> TokenSet:
    """The same patients with their kept scans encoded again by a changed CT encoder."""
    scans = [torch.from_numpy(scan.voxels_hu.copy()) for scan in encoded.scans if scan is not None]
    parts = [encode_pieces(voxels_hu, encoder, device) for voxels_hu in scans]
    return encoded.tokens.with_changed(IMAGE, torch.cat(parts)) if parts else encoded.tokens


def _images(
    cohort: CohortFolder,
    labels: pd.DataFrame,
    encoder: CtEncoder,
    device: str,
    keep: bool,
    progress: Progress | None,
) -> tuple[list[Tokens | None], list[SampledScan | None]]:
    """Tokens of each patient's scan, and where `keep` what was read of it (else an empty list)."""
    tokens: list[Tokens | None] = [None] * len(labels)
    kept: list[SampledScan | None] = [None] * len(labels)
    for number, (path, row) in enumerate(_scans(cohort, labels)):
        if path is not None:
            sampled = _sampled(path, row, encoder)
            tokens[number] = encode_sampled(sampled, encoder, device)
            kept[number] = sampled if keep else None
        if progress:
            progress((number + 1) / len(labels), f"scan {number + 1} of {len(labels)}")
    return tokens, kept if keep else []


def _scans(cohort: CohortFolder, labels: pd.DataFrame) -> list[tuple[Path | None, int]]:
    """Of each patient the scan and its row in the image index; (None, 0) without one."""
    people = zip(labels["subject_id"], labels["prediction_time"], strict=True)
    rows = [cohort.image_row(int(subject), time) for subject, time in people]
    return [(None, 0) if row is None else (cohort.image_path(row), row) for row in rows]


def _sampled(path: Path, row: int, encoder: CtEncoder) -> SampledScan:
    try:
        study = load_study(path)
    except UserFacingError as error:
        found = f"The scan in row {row} of {IMAGE_INDEX} was refused. {error.found}"
        raise UserFacingError(found, error.expected, error.next_step) from error
    return encoder.sample(study)
