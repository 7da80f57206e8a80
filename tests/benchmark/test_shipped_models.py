"""The shipped bundles on what a reader opens first: the demo cases, real CTs, a real record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from demo_support import demo, encoded_demo, shipped
from real_ct import REAL_SCANS

from core.bundle import Bundle, shipped_bundles
from core.fuse import FUSIONS
from core.load import load_study
from core.records import EHR, IMAGE, CaseReview
from core.review import encode_case, review_case
from core.timeline import list_subjects, load_timeline

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the real files of ../shared/data")

OF_TWO = [name for name, card in FUSIONS.items() if set(card.reads) <= {IMAGE, EHR}]
"""Fusions of CT and record, which the shipped tasks have."""


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    """Every shipped bundle, opened."""
    return {key: shipped(key) for key in shipped_bundles()}


def keys(review: CaseReview) -> set[str]:
    """Kinds of notice a review carries."""
    return {notice.key for notice in review.notices}


def test_both_tasks_ship_all_seven_fusions_within_forty_megabytes(bundles: dict[str, Bundle]) -> None:
    assert set(bundles) == {f"{task}/{fusion}" for task in ("pe_mortality", "mace") for fusion in OF_TWO}
    size = sum(file.stat().st_size for path in shipped_bundles().values() for file in path.iterdir())
    assert size < 40e6
    assert all(bundle.virtual and bundle.card["watermark"] for bundle in bundles.values())


@pytest.mark.parametrize("fusion", OF_TWO)
def test_the_high_risk_demo_patient_outranks_the_low_risk_one(bundles: dict[str, Bundle], fusion: str) -> None:
    bundle = bundles[f"pe_mortality/{fusion}"]
    high, low = (
        review_case(
            *demo(name), bundle, explain=None, device="cpu", encoding=encoded_demo(name, "pe_mortality")
        ).curve.risk_at(365)
        for name in ("1_pe_high_risk", "2_pe_low_risk")
    )
    assert high > 2 * low


@needs_shared
@pytest.mark.parametrize("name", REAL_SCANS)
def test_a_real_ct_runs_through_every_model_and_is_called_outside(bundles: dict[str, Bundle], name: str) -> None:
    study = load_study(SHARED / "ct" / name)
    encodings = {task: encode_case(study, None, bundles[f"{task}/concat"], "cpu") for task in ("pe_mortality", "mace")}
    for key, bundle in bundles.items():
        if "image" not in bundle.model.reads:
            continue
        encoding = encodings[key.split("/")[0]]
        review = review_case(study, None, bundle, explain=None, device="cpu", encoding=encoding)
        assert np.isfinite(review.curve.survival).all()
        assert {"outside_population", "virtual_weights"} <= keys(review)
        assert ("missing_timeline" in keys(review)) == ("ehr" in bundle.model.reads)


@needs_shared
def test_a_real_record_with_a_virtual_scan_is_called_fabricated(bundles: dict[str, Bundle]) -> None:
    source = SHARED / "ehr" / "mimic_iv_demo_meds_events.parquet"
    subject = int(list_subjects(source)["subject_id"].iloc[0])
    timeline = load_timeline(source, subject_id=subject)
    study, _ = demo("1_pe_high_risk")
    alone = review_case(None, timeline, bundles["pe_mortality/ehr_only"], device="cpu")
    assert 0 < alone.curve.risk_at(365) < 1
    assert alone.saliency is None
    reuse = encoded_demo("1_pe_high_risk", "pe_mortality")
    encoding = encode_case(study, timeline, bundles["pe_mortality/cross_attention"], "cpu", reuse=reuse)
    both = review_case(
        study, timeline, bundles["pe_mortality/cross_attention"], explain=None, device="cpu", encoding=encoding
    )
    assert "fabricated_pair" in keys(both)


def test_two_reviews_of_one_case_agree_bit_for_bit(bundles: dict[str, Bundle]) -> None:
    study, timeline = demo("3_mace")
    first, second = (review_case(study, timeline, bundles["mace/concat"], device="cpu") for _ in range(2))
    assert first.curve.survival.tobytes() == second.curve.survival.tobytes()
    assert first.saliency is not None
    assert second.saliency is not None
    assert first.saliency.values.tobytes() == second.saliency.values.tobytes()
