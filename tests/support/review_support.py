"""A small bundle for the planted case: CT and record both carry risk; trained in seconds, nothing read from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from explain_support import background, planted, study_on_grid, tokens_of, with_block
from fuse_support import set_of

from core.encode.ehr.encoders import encode_timeline
from core.encode.ehr.one_hot import fit_one_hot
from core.encode.ehr.records import TimelineRecords
from core.explain.map_trust import MapTrust
from core.fuse.batch import TokenSet
from core.records import CtStudy, Origin, Task, Timeline
from core.records.interfaces import Encoder
from core.survive.given_risk import ReferenceOutcomes
from core.survive.metrics.kaplan_meier import kaplan_meier
from core.survive.model import SurvivalModel
from core.train.fit import fit_fusion
from core.train.members import FitConfig

RISKY_CODE = "ICD10CM//C34.9"
HARMLESS_CODES = ("ICD10CM//I10", "ICD10CM//J45.9", "ICD10CM//M54.5", "ATC//B01AB")
DAY_0 = pd.Timestamp("2021-05-04 10:00")
TASK = Task("pe_mortality", "Mortality after pulmonary embolism", "death", (30, 90, 365), (-1350, 150), "adults", "CT")


EVALUATED = {"estimator": "harrell", "value": 0.75, "lower": 0.7, "upper": 0.8}


@dataclass(frozen=True, eq=False)
class SmallBundle:
    """The attributes of `core.bundle.Bundle` that a review and an export read."""

    model: SurvivalModel
    encoders: Mapping[str, Encoder]
    fusion: str
    reference: pd.DataFrame
    baseline: pd.DataFrame
    task: Task = TASK
    virtual: bool = True
    digest: str = "b" * 64
    card: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=lambda: {"models": {"it": {"concordance": [EVALUATED]}}})
    outcomes: ReferenceOutcomes | None = None
    maps: MapTrust | None = None


def timeline(codes: tuple[str, ...], seed: int = 0, origin: Origin = "virtual") -> Timeline:
    """A record of one visit a code, a laboratory value and a birth; no event after day 0."""
    rng = np.random.default_rng(seed)
    birth = DAY_0 - pd.Timedelta(days=365.25 * 61)
    rows: list[tuple[pd.Timestamp, str, float, str | None]] = [(birth, "MEDS_BIRTH", np.nan, None)]
    for code in codes:
        rows.append((DAY_0 - pd.Timedelta(days=float(rng.integers(2, 900))), code, np.nan, None))
    rows.append((DAY_0 - pd.Timedelta(days=1), "LOINC//33762-6", float(rng.normal(300, 50)), "pg/mL"))
    table = pd.DataFrame(rows, columns=["time", "code", "numeric_value", "unit"]).sort_values("time", ignore_index=True)
    table["subject_id"], table["text_value"] = 7, None
    words = {"LOINC//33762-6": "NT-proBNP", RISKY_CODE: "Lung cancer"}
    return Timeline(table.astype({"numeric_value": "float32"}), 7, DAY_0, origin=origin, code_descriptions=words)


def study(block: bool = True, planes: int = 12, seed: int = 5, origin: Origin = "virtual") -> CtStudy:
    """A phantom scan with lungs, with or without the planted block in its middle."""
    slices = background(np.random.default_rng(seed), planes)
    slices = with_block(slices, planes // 2, 70, 40) if block else slices
    made = study_on_grid(slices)
    return CtStudy(made.voxels_hu, made.affine_mm, origin=origin)


def without_image(small: SmallBundle) -> SmallBundle:
    """The same without an encoder of scans, as a bundle that reads none."""
    return replace(small, encoders={"ehr": small.encoders["ehr"]})


@lru_cache(maxsize=4)
def bundle(fusion: str = "concat") -> SmallBundle:
    """Risk rises with the block and with `RISKY_CODE`."""
    rng = np.random.default_rng(1)
    encoder = planted().encoder
    pool = background(rng, 8)
    plain = tokens_of(encoder, pool[:4])
    blocked = [tokens_of(encoder, with_block(pool[:4], plane, 70, 40)) for plane in range(4)]
    has_block, has_code = rng.random(200) < 0.5, rng.random(200) < 0.5
    records = [timeline(_codes(rng, bool(risky)), seed) for seed, risky in enumerate(has_code)]
    one_hot = fit_one_hot(TimelineRecords(records[:120]))
    ct = [blocked[int(rng.integers(4))] if block else plain for block in has_block]
    ehr = [encode_timeline(record, one_hot) for record in records]
    times = rng.exponential(900 / np.exp(1.6 * has_block + 1.2 * has_code))
    cohort = set_of(ct, ehr, np.minimum(times, 500.0), times < 500)
    rows = np.arange(200)
    config = FitConfig(members=2, hidden=16, heads=2, epochs=15, batch_size=32)
    model = fit_fusion(cohort.subset(rows[:150]), cohort.subset(rows[150:]), fusion, config=config, device="cpu").model
    return SmallBundle(model, {"image": encoder, "ehr": one_hot}, fusion, _reference(model, cohort), _baseline(times))


def _codes(rng: np.random.Generator, risky: bool) -> tuple[str, ...]:
    harmless = tuple(code for code in HARMLESS_CODES if rng.random() < 0.5)
    return (*harmless, RISKY_CODE) if risky else harmless


def _reference(model: SurvivalModel, cohort: TokenSet) -> pd.DataFrame:
    features = model(cohort.batch(np.arange(150))).embedding.detach().numpy()
    table = pd.DataFrame(features, columns=[f"embedding_{n}" for n in range(features.shape[1])])
    return table.assign(time_to_event_days=cohort.times[:150].numpy(), event=cohort.events[:150].numpy())


def _baseline(times: np.ndarray) -> pd.DataFrame:
    estimate = kaplan_meier(np.minimum(times, 500.0), times < 500)
    at_risk = [int((times >= day).sum()) for day in estimate.times_days]
    return pd.DataFrame(
        {
            "time_days": estimate.times_days,
            "survival": estimate.survival,
            "lower": estimate.lower,
            "upper": estimate.upper,
            "at_risk": at_risk,
        }
    )
