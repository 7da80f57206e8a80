"""The nouns of the pipeline: frozen, unit-named, read-only, checked when built.

World coordinates are RAS+ millimetres: x grows to the patient's right, y to anterior, z to superior, as in NIfTI.
Voxel axes of a `CtStudy` are the closest canonical ones: i grows to the patient's right, j to anterior, k to superior.
"""

from __future__ import annotations

from core.records.arrays import Float64Array, FloatArray, Origin, digest_arrays, digest_volume
from core.records.curve import GivenRisk, SurvivalCurve, is_supported
from core.records.modalities import EHR, IMAGE, MODALITIES, SIGNALS, Modality
from core.records.review import (
    CHANCE_LEVEL,
    DIED_BEFORE,
    DOUBTS,
    ENOUGH_EVENTS,
    FEW_EVENTS,
    NOT_EVALUATED,
    NOTHING_READ,
    OTHER_PERSON,
    OUTSIDE_POPULATION,
    THIN_RECORD,
    VIRTUAL_WEIGHTS,
    Attention,
    AttentionBlock,
    Attribution,
    CaseReview,
    EventAttribution,
    EventGroup,
    MapStrength,
    Notice,
    NoticeLevel,
    Task,
)
from core.records.scan import REPAIRED, AcquisitionFacts, CtStudy
from core.records.timeline import BIRTH, SEXES, TIMELINE_COLUMNS, Timeline
from core.records.tokens import Tokens

__all__ = [
    "BIRTH",
    "CHANCE_LEVEL",
    "DIED_BEFORE",
    "DOUBTS",
    "EHR",
    "ENOUGH_EVENTS",
    "FEW_EVENTS",
    "IMAGE",
    "MODALITIES",
    "NOTHING_READ",
    "NOT_EVALUATED",
    "OTHER_PERSON",
    "OUTSIDE_POPULATION",
    "REPAIRED",
    "SEXES",
    "SIGNALS",
    "THIN_RECORD",
    "TIMELINE_COLUMNS",
    "VIRTUAL_WEIGHTS",
    "AcquisitionFacts",
    "Attention",
    "AttentionBlock",
    "Attribution",
    "CaseReview",
    "CtStudy",
    "EventAttribution",
    "EventGroup",
    "Float64Array",
    "FloatArray",
    "GivenRisk",
    "MapStrength",
    "Modality",
    "Notice",
    "NoticeLevel",
    "Origin",
    "SurvivalCurve",
    "Task",
    "Timeline",
    "Tokens",
    "digest_arrays",
    "digest_volume",
    "is_supported",
]
