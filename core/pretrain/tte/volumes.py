"""The scans of a cohort as the network reads them, and small random changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from core.cohort.encoded import read_scans
from core.cohort.folder import CohortFolder
from core.encode.ct.slice_grid import AIR_HU, world_extent
from core.encode.ct.volume import SIZE, SPACING_MM, volume_config
from core.errors import UserFacingError
from core.intake.scan.load import load_study
from core.progress import Progress
from core.records.interfaces import CtEncoder

if TYPE_CHECKING:
    from monai.transforms.compose import Compose

_LOOKED_AT = 9
_MULTIPLE = 8


@dataclass(frozen=True, eq=False)
class Scans:
    """Volumes of n scans, int16 (windows, X, Y, Z) each; whose and from when."""

    volumes: Sequence[npt.NDArray[np.int16]]
    subject_ids: npt.NDArray[np.int64]
    times: npt.NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.volumes)


def scans_of(folder: CohortFolder, split: str, encoder: CtEncoder, progress: Progress) -> Scans:
    """Every scan of a split's patients, sampled for the encoder. Raises UserFacingError where there is none."""
    index = image_times(folder, split)
    read = read_scans(folder, index, encoder, lambda share, words: progress(share, f"{split}: {words}"))
    kept = [number for number, scan in enumerate(read) if scan is not None]
    volumes = [scan.voxels_hu for scan in read if scan is not None]
    return Scans(
        volumes,
        index["subject_id"].to_numpy(np.int64)[kept],
        index["prediction_time"].to_numpy("datetime64[us]")[kept],
    )


def image_times(folder: CohortFolder, split: str) -> pd.DataFrame:
    """subject_id and prediction_time, that of the scan, of each scan of a split."""
    index = folder.images.merge(folder.splits, on="subject_id")
    index = index[index["split"] == split].rename(columns={"study_time": "prediction_time"})
    if index.empty:
        raise UserFacingError(f"The split {split} has no scan.", "scans in images/index.parquet", "Add scans.")
    return index[["subject_id", "prediction_time"]].sort_values(["subject_id", "prediction_time"], ignore_index=True)


def config_for(folder: CohortFolder, backbone: str) -> dict[str, object]:
    """Configuration of a network for a cohort: never finer than the median spacing of its scans, no larger than they
    are, judged by a few of them."""
    index = image_times(folder, "train")
    spacings, extents = [], []
    for number in np.linspace(0, len(index) - 1, min(_LOOKED_AT, len(index))).astype(int):
        subject, time = index.loc[number, "subject_id"], index.loc[number, "prediction_time"]
        row = folder.image_row(int(subject), time)
        assert row is not None
        study = load_study(folder.image_path(row))
        spacings.append(np.abs(study.affine_mm[:3, :3]).max(axis=1))
        low, high = world_extent(study)
        extents.append(high - low + spacings[-1])
    spacing = np.maximum(np.median(spacings, axis=0), SPACING_MM)
    cells = np.ceil(np.median(extents, axis=0) / spacing / _MULTIPLE - 1e-6) * _MULTIPLE
    return volume_config(backbone, spacing_mm=spacing.round(3), size=np.clip(cells, 2 * _MULTIPLE, SIZE).astype(int))


def augmentation() -> Compose:
    """Small shifts, turns and noise of a volume (1, X, Y, Z); never a mirror image, as sides matter."""
    from monai.transforms.compose import Compose
    from monai.transforms.intensity.array import RandGaussianNoise
    from monai.transforms.spatial.array import RandAffine

    moved = RandAffine(
        prob=0.8, rotate_range=0.06, translate_range=1.5, scale_range=0.04, mode="bilinear", padding_mode="border"
    )
    return Compose([moved, RandGaussianNoise(prob=0.5, std=12.0)])


def changed(volumes: Sequence[npt.NDArray[np.int16]], change: Compose | None) -> list[Tensor]:
    """Volumes as tensors, changed by numbers that torch's own generator draws, so that a killed run repeats them."""
    if change is None:
        return [torch.from_numpy(np.array(volume)) for volume in volumes]
    change.set_random_state(seed=int(torch.randint(2**31 - 1, ()).item()))
    # Shifted so that what a turn brings in from beyond the border, where that is zero, is air.
    found = []
    for volume in volumes:
        windows = [
            torch.as_tensor(np.asarray(change(window[None].astype(np.float32) - AIR_HU)))[0] for window in volume
        ]
        found.append(torch.stack(windows) + AIR_HU)
    return found
