"""The demo scan, measured and judged once a process."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.load import load_study
from core.quality import QualityReport, ScanMeasures, measure_scan
from core.quality.scan import scan_factors
from core.records import CtStudy

ROOT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def demo() -> CtStudy:
    """The real contrast chest CT that ships with the app."""
    return load_study(ROOT / "assets" / "demo" / "lidc0001_2.0mm.nii.gz")


def with_voxels(study: CtStudy, voxels: npt.NDArray[np.generic], first: tuple[int, int, int] = (0, 0, 0)) -> CtStudy:
    """Other voxels on the same lattice, beginning at voxel `first`."""
    affine = study.affine_mm.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(first)
    return replace(study, voxels_hu=np.ascontiguousarray(voxels), affine_mm=affine)


def judged(study: CtStudy, task: str | None = "pe_mortality") -> QualityReport:
    return QualityReport(scan_factors(study, measure_scan(study), task))


@lru_cache(maxsize=1)
def demo_report() -> QualityReport:
    return judged(demo())


@lru_cache(maxsize=1)
def measure_demo() -> ScanMeasures:
    return measure_scan(demo())
