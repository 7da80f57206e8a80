"""Sampled slices of many patients on disk, read through memory maps, so that each patient is rendered once.

A cache folder holds chunks `chunk_<first index>`, each with `slices.npy` int16 (N, 128, 144), optional `labels.npy`
uint8 of the same shape, `positions.npy` float32 (N, 2: z mm, relative) and `patients.parquet` (one row a patient:
facts, outcome, `first` and `count` of its slices); `cache.json` names the source code the voxels came from.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True, eq=False)
class PatientSlices:
    """Slices of one patient: slices int16 (S, 128, 144), labels uint8 or None, z_mm and relative float32 (S,)."""

    slices: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8] | None
    z_mm: npt.NDArray[np.float32]
    relative: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SliceCache:
    """Patients of a cache folder or a part of them: `patients` one row of facts each, `volumes[p]` slices of row p."""

    patients: pd.DataFrame
    volumes: Sequence[PatientSlices]

    def __len__(self) -> int:
        return len(self.volumes)

    def subset(self, rows: Sequence[int]) -> SliceCache:
        """The patients of these rows, in this order."""
        return SliceCache(self.patients.iloc[list(rows)].reset_index(drop=True), [self.volumes[r] for r in rows])


def write_chunk(folder: Path, first: int, volumes: Sequence[PatientSlices], facts: Sequence[Mapping[str, Any]]) -> None:
    """Write one chunk; it appears under its name only when complete."""
    final, part = folder / f"chunk_{first:06d}", folder / f".part_{first:06d}"
    part.mkdir(parents=True, exist_ok=True)
    counts = np.array([len(volume.slices) for volume in volumes])
    table = pd.DataFrame(list(facts)).assign(first=np.cumsum(counts) - counts, count=counts)
    np.save(part / "slices.npy", np.concatenate([volume.slices for volume in volumes]))
    positions = [np.stack([volume.z_mm, volume.relative], axis=1) for volume in volumes]
    np.save(part / "positions.npy", np.concatenate(positions).astype(np.float32))
    labels = [volume.labels for volume in volumes if volume.labels is not None]
    if len(labels) == len(volumes):
        np.save(part / "labels.npy", np.concatenate(labels))
    table.to_parquet(part / "patients.parquet")
    part.rename(final)


def _read_chunk(chunk: Path) -> Iterator[tuple[dict[Hashable, Any], PatientSlices]]:
    slices = np.load(chunk / "slices.npy", mmap_mode="r")
    labels = np.load(chunk / "labels.npy", mmap_mode="r") if (chunk / "labels.npy").exists() else None
    positions = np.load(chunk / "positions.npy")
    for row in pd.read_parquet(chunk / "patients.parquet").to_dict("records"):
        part = slice(row["first"], row["first"] + row["count"])
        z_mm, relative = positions[part].T
        yield row, PatientSlices(slices[part], None if labels is None else labels[part], z_mm, relative)


def open_cache(folder: Path, first: int = 0, count: int | None = None) -> SliceCache:
    """Patients of a cache whose index lies in [first, first + count), in order of index; missing ones are left out."""
    last = np.inf if count is None else first + count
    rows: list[dict[Hashable, Any]] = []
    volumes: list[PatientSlices] = []
    for chunk in sorted(folder.glob("chunk_*")):
        for row, volume in _read_chunk(chunk):
            if first <= row["index"] < last:
                rows.append(row)
                volumes.append(volume)
    order = sorted(range(len(rows)), key=lambda i: int(rows[i]["index"]))
    return SliceCache(pd.DataFrame([rows[i] for i in order]), [volumes[i] for i in order])


def check_source(folder: Path, source_digest: str) -> None:
    """Bind a cache folder to the code that fills it; raises ValueError where it was filled by other code."""
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / "cache.json"
    if not card.exists():
        card.write_text(json.dumps({"source_digest": source_digest}))
    if json.loads(card.read_text())["source_digest"] != source_digest:
        raise ValueError(f"{folder} was filled by other rendering code; delete it or name another folder")
