"""A small case and a result for it, built by hand: what the screen is tested with, without a model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.cohort.tasks import TASKS
from core.explain.map_trust import MapTrust
from core.records import (
    Attention,
    AttentionBlock,
    Attribution,
    CaseReview,
    CtStudy,
    EventAttribution,
    EventGroup,
    GivenRisk,
    Notice,
    SurvivalCurve,
    Task,
    Timeline,
)

DAY_0 = pd.Timestamp("2020-03-01 09:00")
EVENTS = (
    (-400.0, "VISIT//OUTPATIENT", np.nan, None, None),
    (-400.0, "ICD10CM//I50.9", np.nan, None, None),
    (-200.0, "LOINC//33762-6", 310.0, None, "pg/mL"),
    (-30.0, "ATC//C03CA01", np.nan, None, None),
    (-1.0, "LOINC//33762-6", 2310.0, None, "pg/mL"),
    (-1.0, "LOINC//8867-4", 104.0, None, "/min"),
    (-0.1, "LOINC//72166-2", np.nan, "Ever smoker", None),
)
STRENGTHS = (0.0, 0.4, 0.1, -0.2, 0.9, 0.05, 0.02)


def timeline(later: int = 5) -> Timeline:
    """Birth, sex, and the events above."""
    birth = DAY_0 - pd.Timedelta(days=64.5 * 365.25)
    rows: list[tuple[Any, ...]] = [(pd.NaT, "GENDER//F", np.nan, None, None), (birth, "MEDS_BIRTH", np.nan, None, None)]
    rows += [(DAY_0 + pd.Timedelta(days=day), *rest) for day, *rest in EVENTS]
    table = pd.DataFrame(rows, columns=["time", "code", "numeric_value", "text_value", "unit"])
    table = table.astype({"numeric_value": "float32"}).assign(subject_id=7)
    return Timeline(table, 7, DAY_0, later_event_count=later, origin="virtual")


def study(shape: tuple[int, int, int] = (40, 30, 20)) -> CtStudy:
    """Air with a soft-tissue box and one bright voxel at (30, 20, 15); 2 x 2 x 3 mm."""
    voxels = np.full(shape, -1000, np.int16)
    voxels[5:-5, 5:-5] = 40
    voxels[tuple(3 * n // 4 for n in shape)] = 900
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-40, -30, -60)
    return CtStudy(voxels, affine, description="Box", origin="virtual")


def curve(rate: float = 0.4, end: float = 365.0) -> SurvivalCurve:
    """Exponential with a band."""
    days = np.linspace(0, end, 60)
    return SurvivalCurve(days, *(np.exp(-rate * by * days / 365) for by in (1.0, 1.4, 0.7)), band="what was observed")


def given(risk_of: SurvivalCurve, task: Task) -> dict[float, GivenRisk]:
    """What happened to 150 patients given about the risks of a curve: its band."""
    days = [float(day) for day in task.horizons_days if day <= risk_of.times_days[-1]]
    return {
        day: GivenRisk(day, 150, (0.8 * risk_of.risk_at(day), 1.2 * risk_of.risk_at(day)), risk_of.risk_at(day),
                       risk_of.risk_interval_at(day))
        for day in days
    }  # fmt: skip


def saliency(scan: CtStudy, signed: bool = True) -> Attribution:
    """Strongest at voxel (10, 8, 4); where signed, an opposite weaker place at (30, 20, 15)."""
    values = np.zeros(scan.shape, np.float32)
    values[9:12, 7:10, 3:6] = 0.5
    values[10, 8, 4] = 1.0
    if signed:
        values[29:32, 19:22, 14:17] = -0.6
    return Attribution(values, "gradcam", 90.0, signed, "weighted activation")


def review(
    scan: CtStudy | None,
    record: Timeline | None,
    *,
    fusion: str = "cross_attention",
    horizon_days: float = 90.0,
    explain: str | None = "gradcam",
    task: Task = TASKS["pe_mortality"],
) -> CaseReview:
    """What a model could say of the case."""
    reads_ct, reads_ehr = fusion != "ehr_only" and scan is not None, fusion != "image_only" and record is not None
    slices = np.arange(-60.0, 0.0, 5.0)
    weights = np.linspace(1, 3, len(slices), dtype=np.float32)
    ids = np.arange(2, 2 + len(EVENTS))
    shares = np.abs(np.array(STRENGTHS, np.float32))
    blocks = {}
    if reads_ct:
        blocks["image"] = AttentionBlock(weights / weights.sum(), slices.astype(np.float32))
    if reads_ehr:
        blocks["ehr"] = AttentionBlock(shares / shares.sum(), np.zeros(len(ids), np.float32), ids)
    attention = Attention("cross-attention", blocks)
    end = float(task.horizons_days[-1])
    result_curve = curve({"image_only": 0.3, "ehr_only": 0.5}.get(fusion, 0.4), end)
    return CaseReview(
        curve=result_curve,
        saliency=saliency(scan) if scan is not None and reads_ct and explain else None,
        attention=attention,
        event_attribution=event_attribution(ids, horizon_days) if reads_ehr else None,
        notices=(Notice("virtual", "info", "Trained on virtual patients."),),
        task=task,
        fusion=fusion,
        horizon_days=float(horizon_days),
        given=given(result_curve, task),
        device="cpu",
        study_digest=scan.digest if scan else None,
        timeline_digest=record.digest if record else None,
        bundle_digest=f"{fusion}-{task.name}",
        horizon_risks={day: result_curve.risk_at(day) for day in task.horizons_days},
    )


def event_attribution(ids: np.ndarray, horizon_days: float) -> EventAttribution:
    """Each event of `EVENTS`, and the two values of NT-proBNP as one, which do more together than the sum of each."""
    alone = [place for place in range(len(ids)) if place not in (2, 4)]
    groups = [EventGroup(ids[[2, 4]], 1.2), *(EventGroup(ids[[place]], STRENGTHS[place]) for place in alone)]
    return EventAttribution(ids, np.array(STRENGTHS, np.float32), "read anew", horizon_days, tuple(groups))


def baseline(end: float = 365.0) -> pd.DataFrame:
    """A cohort with 10% events by the end; 1,000 patients at risk at first."""
    days = np.linspace(0, end, 40)
    survival = 1 - 0.1 * days / end
    return pd.DataFrame(
        {
            "time_days": days,
            "survival": survival,
            "lower": np.clip(survival - 0.02, 0, 1),
            "upper": np.clip(survival + 0.02, 0, 1),
            "at_risk": (1000 * (1 - 0.5 * days / end)).astype(int),
        }
    )


@dataclass(frozen=True, eq=False)
class ScreenBundle:
    """What the pages read of a bundle."""

    fusion: str
    task: Task
    baseline: pd.DataFrame = field(default_factory=baseline)
    virtual: bool = True
    digest: str = "d" * 64
    metrics: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=lambda: {"name": "Box model", "limitations": ["Knows boxes only."]})
    maps: MapTrust | None = None


def described_bundle(folder: Path, task: Task, fusion: str) -> Path:
    """As much of a bundle as says what it is."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": asdict(task), "model": {"fusion": fusion}}))
    (folder / "manifest.json").write_text("{}")
    return folder
