"""The nouns of the pipeline: frozen, unit-named, read-only, checked when built.

World coordinates are RAS+ millimetres: x grows to the patient's right, y to anterior, z to superior, as in NIfTI.
Voxel axes of a `CtStudy` are the closest canonical ones: i grows to the patient's right, j to anterior, k to superior.
"""

from __future__ import annotations

from core.records.arrays import Float64Array, FloatArray, Origin, digest_arrays, digest_volume
from core.records.curve import SurvivalCurve, is_supported
from core.records.modalities import EHR, IMAGE, MODALITIES, SIGNALS, Modality
from core.records.review import (
    DIED_BEFORE,
    NOTHING_READ,
    OTHER_PERSON,
    OUTSIDE_POPULATION,
    VIRTUAL_WEIGHTS,
    Attention,
    AttentionBlock,
    Attribution,
    CaseReview,
    EventAttribution,
    EventGroup,
    Notice,
    NoticeLevel,
    Task,
)
from core.records.scan import REPAIRED, AcquisitionFacts, CtStudy
from core.records.timeline import BIRTH, SEXES, TIMELINE_COLUMNS, Timeline
from core.records.tokens import Tokens

__all__ = [
    "BIRTH",
    "DIED_BEFORE",
    "EHR",
    "IMAGE",
    "MODALITIES",
    "NOTHING_READ",
    "OTHER_PERSON",
    "OUTSIDE_POPULATION",
    "REPAIRED",
    "SEXES",
    "SIGNALS",
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
