"""One case through one model: curve, saliency, attention, events and notices agree with the model asked directly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from explain_support import module_state
from review_support import (
    DAY_0,
    EVALUATED,
    HARMLESS_CODES,
    RISKY_CODE,
    SmallBundle,
    bundle,
    study,
    timeline,
    without_image,
)

from core import review as reviewing
from core.encode.ehr.compact_sequence import fit_compact_sequence
from core.encode.ehr.encoders import encode_timeline
from core.encode.ehr.records import TimelineRecords
from core.errors import UserFacingError
from core.events.death import last_time_before_death
from core.notices import case_notices
from core.quality import QualityReport, RecordRead, assess
from core.records import DOUBTS, CaseReview, CtStudy, Timeline, Tokens
from core.review import assess_case, choose_horizon, compare_curves, encode_case, review_case
from core.survive.given_risk import ReferenceOutcomes

SICK = timeline((RISKY_CODE, *HARMLESS_CODES))
WELL, PLAIN = timeline(HARMLESS_CODES), study(block=False)
SCAN = study()


@pytest.fixture(scope="module")
def small() -> SmallBundle:
    return bundle()


@pytest.fixture(scope="module")
def review(small: SmallBundle) -> CaseReview:
    return review_case(SCAN, SICK, small, horizon_days=90, explain="gradcam")


def _keys(result: CaseReview) -> set[str]:
    return {notice.key for notice in result.notices}


def test_curve_and_risks_are_those_of_the_model(small: SmallBundle, review: CaseReview) -> None:
    output = small.model(encode_case(SCAN, SICK, small).batch())
    for days in (30, 90, 365):
        assert review.horizon_risks[days] == pytest.approx(float(output.risk(days)), abs=1e-6)
        assert review.curve.risk_at(days) == pytest.approx(float(output.risk(days)), abs=2e-3)
    assert review.horizon_days == 90
    assert review.device == "cpu"
    assert (review.study_digest, review.timeline_digest) == (SCAN.digest, SICK.digest)


def test_saliency_lies_on_the_study_and_points_at_the_block(review: CaseReview) -> None:
    assert review.saliency is not None
    assert review.saliency.values.shape == SCAN.shape
    i, j, k = np.unravel_index(review.saliency.values.argmax(), SCAN.shape)
    assert abs(i - 40) <= 14
    assert abs(j - 70) <= 14
    assert abs(k - 6) <= 1


def test_attention_has_a_weight_for_each_slice_and_token(small: SmallBundle, review: CaseReview) -> None:
    encoding = encode_case(SCAN, SICK, small)
    attention = review.attention
    assert attention is not None
    assert attention.ct_weights is not None
    assert attention.ehr_weights is not None
    assert np.array_equal(attention.ct_positions_mm, encoding.tokens["image"].positions)
    assert np.array_equal(attention.ehr_event_ids, encoding.tokens["ehr"].event_ids)
    assert attention.ct_weights.sum() == pytest.approx(1, abs=1e-5)
    assert attention.ehr_weights.sum() == pytest.approx(1, abs=1e-5)
    output = small.model(encoding.batch())
    by_hand = np.mean([state.weights["image"][0].detach().numpy() for state in output.states], axis=0)
    assert np.allclose(attention.ct_weights, by_hand, atol=1e-6)


def test_event_contributions_are_the_change_when_the_record_is_read_without_the_event(
    small: SmallBundle, review: CaseReview
) -> None:
    """`tests/explain/test_event_ablation.py` holds the rest."""
    attribution = review.event_attribution
    assert attribution is not None
    whole = float(small.model(encode_case(SCAN, SICK, small).batch()).log_cumulative_hazard(90))
    for event, value in zip(attribution.event_ids, attribution.values, strict=True):
        events = SICK.events.drop(index=event).reset_index(drop=True)
        rest = encode_case(SCAN, replace(SICK, events=events, digest=""), small).batch()
        assert value == pytest.approx(whole - float(small.model(rest).log_cumulative_hazard(90)), abs=1e-5)


def test_the_planted_event_raises_the_risk_most(review: CaseReview) -> None:
    assert review.event_attribution is not None
    strongest = int(review.event_attribution.event_ids[review.event_attribution.values.argmax()])
    assert SICK.events["code"].iloc[strongest] == RISKY_CODE


def test_same_inputs_same_review_bit_for_bit(small: SmallBundle, review: CaseReview) -> None:
    again = review_case(SCAN, SICK, small, horizon_days=90, explain="gradcam")
    assert review.saliency is not None
    assert again.saliency is not None
    assert review.event_attribution is not None
    assert again.event_attribution is not None
    assert np.array_equal(again.saliency.values, review.saliency.values)
    assert np.array_equal(again.curve.survival, review.curve.survival)
    assert np.array_equal(again.event_attribution.values, review.event_attribution.values)
    assert again.notices == review.notices


def test_an_encoding_is_reused_and_never_for_another_case(
    small: SmallBundle, review: CaseReview, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = encode_case(SCAN, SICK, small)
    other = study(block=False)
    expected = review_case(other, SICK, small, explain=None)
    assert review_case(other, SICK, small, explain=None, encoding=encoding).horizon_risks == expected.horizon_risks

    def forbidden(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr("core.encode.ct.compact_slices.sample_slices", forbidden)
    monkeypatch.setattr("core.review.encode_timeline", forbidden)
    later = review_case(SCAN, SICK, small, horizon_days=365, explain="gradcam", encoding=encoding)
    assert later.horizon_risks == review.horizon_risks
    assert later.saliency is not None
    assert later.saliency.horizon_days == 365


def test_a_model_that_reads_one_modality_keeps_the_other_encoding_for_the_next(small: SmallBundle) -> None:
    encoding = encode_case(SCAN, SICK, small)
    record_only = without_image(bundle("ehr_only"))
    kept = encode_case(SCAN, SICK, record_only, reuse=encoding)  # type: ignore[arg-type]
    assert kept.tokens["image"] is encoding.tokens["image"]
    assert "image" not in encode_case(study(block=False), SICK, record_only, reuse=encoding).tokens  # type: ignore[arg-type]


def test_a_repaired_scan_is_said_with_the_result(small: SmallBundle) -> None:
    """In figures too, as they carry every notice: part of what they show was not scanned so."""
    repaired = replace(SCAN, notes=("Repaired: only the longest even run was kept, 33 of 63 slices.", "Another doubt."))
    said = {notice.key: notice.text for notice in review_case(repaired, SICK, small, explain=None).notices}
    assert said["repaired_scan"] == "The scan was repaired: only the longest even run was kept, 33 of 63 slices."
    assert "repaired_scan" not in _keys(review_case(SCAN, SICK, small, explain=None))


def test_missing_modalities_are_said(small: SmallBundle) -> None:
    without_ct = review_case(None, SICK, small)
    assert "missing_ct" in _keys(without_ct)
    assert without_ct.saliency is None
    assert without_ct.attention is not None
    assert without_ct.attention.ct_weights is None
    without_record = review_case(SCAN, None, small)
    assert "missing_timeline" in _keys(without_record)
    assert without_record.event_attribution is None
    with pytest.raises(UserFacingError, match="neither"):
        review_case(None, None, small)


def test_a_record_only_model_says_why_there_is_no_saliency() -> None:
    small = without_image(bundle("ehr_only"))
    result = review_case(SCAN, SICK, small)  # type: ignore[arg-type]
    assert result.saliency is None
    assert "no_saliency" in _keys(result)
    assert "missing_ct" not in _keys(result)
    assert "no_saliency" not in _keys(review_case(SCAN, SICK, small, explain=None))  # type: ignore[arg-type]


def test_virtual_weights_and_fabricated_pairs_are_said(small: SmallBundle, review: CaseReview) -> None:
    assert "virtual_weights" in _keys(review)
    assert "fabricated_pair" not in _keys(review)
    together = review_case(SCAN, SICK, small, explain=None, put_together=True)
    assert "fabricated patient" in " ".join(notice.text for notice in together.notices)
    assert "fabricated_pair" not in _keys(review_case(None, SICK, small, explain=None, put_together=True))
    mixed = review_case(study(origin="real"), SICK, small, explain=None, put_together=True)
    assert [notice.key for notice in mixed.notices].count("fabricated_pair") == 1
    assert "This pair is not one patient" in " ".join(notice.text for notice in mixed.notices)
    assert "virtual_weights" not in _keys(review_case(SCAN, SICK, replace(small, virtual=False), explain=None))


def test_a_record_of_unknown_codes_is_said(small: SmallBundle) -> None:
    codes = ("LOCAL//1", "LOCAL//2", "LOCAL//3", "LOCAL//4", "LOCAL//5", RISKY_CODE)
    result = review_case(SCAN, timeline(codes), small, explain=None)
    text = next(notice.text for notice in result.notices if notice.key == "outside_population")
    assert "knows only 38%" in text


def test_a_long_record_is_said_to_be_read_in_part_whatever_share_the_model_knows() -> None:
    """The share of known codes does not fall with what there is no room for."""
    long = timeline(tuple(HARMLESS_CODES) * 10)
    encoder = fit_compact_sequence(TimelineRecords([long, SICK]), hidden=8, layers=1, heads=2, max_tokens=12)
    tokens = encode_timeline(long, encoder)
    read = RecordRead.of(tokens, long)
    assert (tokens.known_share, round(tokens.coverage * len(long.events))) == (1.0, 12)
    assert read.from_day == pytest.approx(long.days_from_prediction[-11], abs=1e-3)
    assert tokens.event_ids is not None
    assert long.events["code"][tokens.event_ids[0]] == "MEDS_BIRTH"
    assert "room for 12 events" in read.words(len(long.events))
    assert not RecordRead.of(encode_timeline(SICK, encoder), SICK).words(len(SICK.events)), "all of it is read"
    factors = {factor.name: factor for factor in assess(None, long, read=read).factors}
    assert (factors["known codes"].verdict, factors["events read"].verdict) == ("in", "edge")
    assert factors["events read"].found == f"12 of {len(long.events)}"


def test_what_there_was_no_room_for_is_a_notice(small: SmallBundle) -> None:
    ehr = encode_case(None, SICK, small).tokens["ehr"]
    assert ehr is not None
    report = QualityReport(())

    def said(tokens: Tokens) -> str:
        notices = case_notices(None, SICK, small, {"ehr": tokens}, report, None, None)  # type: ignore[arg-type]
        return " ".join(notice.text for notice in notices if notice.key == "record_cut")

    assert "Not all of the record was read" in said(replace(ehr, coverage=0.5, known_share=1.0))
    assert not said(replace(ehr, coverage=0.5, known_share=0.5)), "unknown codes are told by their share"


def outcomes_like(risks: np.ndarray, happened: float, true: np.ndarray | None = None) -> ReferenceOutcomes:
    """Patients given these risks by day 90, of whom a share had the event at day 45; the others followed to day 500."""
    event = np.arange(len(risks)) * 37 % 100 < 100 * happened
    days = np.array([30.0, 90.0, 365.0])
    return ReferenceOutcomes(
        np.where(event, 45.0, 500.0),
        event,
        days,
        survival_from(risks, days),
        None if true is None else survival_from(true, days),
    )


def survival_from(risks: np.ndarray, days: np.ndarray) -> np.ndarray:
    return np.exp(np.log1p(-risks)[:, None] * days / 90)


@pytest.mark.parametrize(("factor", "true", "said"), [
    (1.0, None, ""), (2.0, None, "too low"), (0.3, None, "too high"), (2.0, 2.0, "too low"), (2.0, 0.9, ""),
])  # fmt: skip
def test_a_risk_that_patients_given_it_did_not_bear_out_is_said(factor: float, true: float | None, said: str) -> None:
    """Not where the known truth of virtual patients says otherwise."""
    asked: dict[str, Any] = {"horizon_days": 90, "explain": None, "report": QualityReport(())}
    risk = review_case(PLAIN, WELL, bundle("concat"), **asked).curve.risk_at(90)
    assert risk < 0.45
    given = risk * np.linspace(0.9, 1.1, 200)
    small = replace(
        bundle("concat"), outcomes=outcomes_like(given, factor * risk, None if true is None else true * given)
    )
    review = review_case(PLAIN, WELL, small, **asked)
    told = [notice.text for notice in review.notices if notice.key == "miscalibrated"]
    assert len(told) == bool(said)
    assert all(said in text and "of 150" in text for text in told)
    assert review.given[90.0].patients == 150
    low, high = review.given[90.0].interval
    assert low < factor * risk < high
    assert (review.curve.outer_lower is None) == (true is None)


def test_no_range_without_outcomes_near_or_where_the_patient_is_outside() -> None:
    asked: dict[str, Any] = {"explain": None, "report": QualityReport(())}
    assert "not kept" in review_case(SCAN, SICK, bundle("concat"), **asked).curve.band
    far = replace(bundle("concat"), outcomes=outcomes_like(np.full(200, 1e-4), 0.0))
    alone = review_case(SCAN, SICK, far, **asked)
    assert (alone.curve.lower, alone.given) == (None, {})
    near = replace(bundle("concat"), outcomes=outcomes_like(np.full(200, alone.curve.risk_at(90)), 0.5))
    assert review_case(SCAN, SICK, near, explain=None, horizon_days=90).curve.band.endswith(
        "outside the training population"
    )
    assert review_case(SCAN, SICK, near, horizon_days=90, **asked).given[90.0].patients == 150
    assert "only 0 training patients" in alone.curve.band


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"card": {"training_data": {"events_train": 18}}}, "few_events"),
        ({"metrics": {}}, "not_evaluated"),
        ({"metrics": {"models": {"it": {"concordance": [{**EVALUATED, "lower": 0.45}]}}}}, "chance_level"),
        ({"metrics": {}, "card": {"performance": [{"value": 0.5, "lower": 0.3, "upper": 0.7}]}}, "chance_level"),
    ],
)
def test_a_model_that_earned_no_trust_casts_doubt_on_its_number(changed: dict[str, Any], key: str) -> None:
    trusted = review_case(SCAN, SICK, bundle("concat"), explain=None)
    doubted = review_case(SCAN, SICK, replace(bundle("concat"), **changed), explain=None)
    assert trusted.doubts == () or key not in _keys(trusted)
    assert key in _keys(doubted)
    assert DOUBTS[key] in doubted.doubts
    assert doubted.curve.risk_at(90) == trusted.curve.risk_at(90)


def test_a_short_record_is_told_to_be_too_low() -> None:
    short = timeline(())
    recent = replace(
        short, events=short.events.assign(time=short.events["time"].clip(lower=DAY_0 - pd.Timedelta(days=2)))
    )
    review = review_case(SCAN, recent, bundle("concat"), explain=None)
    assert any("too low: short record" in notice.text for notice in review.notices)
    assert DOUBTS["thin_record"] in review.doubts
    assert "thin_record" not in _keys(review_case(SCAN, None, bundle("concat"), explain=None))


@pytest.mark.parametrize("fusion", ["ehr_only", "concat"])
def test_a_model_that_reads_nothing_of_a_patient_says_so(fusion: str) -> None:
    small = bundle(fusion)
    strangers = SICK.events.assign(code="LOCAL//1")
    strange = replace(SICK, events=strangers, digest="", code_descriptions={})
    assert {"nothing_read", "no_known_code"} <= _keys(review_case(None, strange, small, explain=None))
    assert "nothing_read" not in _keys(review_case(None, SICK, small, explain=None))
    with_scan = review_case(SCAN, strange, small, explain=None)
    assert ("nothing_read" in _keys(with_scan)) == (fusion == "ehr_only")


def test_a_time_before_a_recorded_death() -> None:
    dated = SICK.events.assign(code="ICD10CM//I10").sort_values("time", ignore_index=True)
    dead = dated.assign(code=[*dated["code"].iloc[:-1], "MEDS_DEATH"])
    assert last_time_before_death(Timeline(dead, 7, DAY_0)) == dead["time"].iloc[-2]
    assert last_time_before_death(Timeline(dated, 7, DAY_0)) is None
    assert last_time_before_death(Timeline(dead.iloc[[-1]], 7, DAY_0)) is None


@pytest.mark.parametrize(
    ("code", "dead"),
    [("MEDS_DEATH", True), ("VITAL_STATUS//deceased", True), ("SNOMED//419099009", True)]
    + [("VITAL_STATUS//alive", False), ("SNOMED//161665007", False), ("LOCAL//dead space", False)],
)
@pytest.mark.parametrize("day", [0, 3])
def test_a_curve_of_a_patient_who_had_died_is_marked(small: SmallBundle, code: str, dead: bool, day: int) -> None:
    """Day 0 is the last event where none is named, and a death often is the last event."""
    alive = timeline(HARMLESS_CODES)
    last = alive.events.iloc[[-1]].assign(time=DAY_0 - pd.Timedelta(days=day), code=code, numeric_value=np.nan)
    events = pd.concat([alive.events, last]).sort_values("time", ignore_index=True)
    result = review_case(SCAN, Timeline(events, 7, DAY_0), small, explain=None)
    said = [notice for notice in result.notices if notice.key == "died_before"]
    assert [notice.level for notice in said] == ["warning"] * dead


def test_a_real_scan_is_outside_a_virtual_training_population(small: SmallBundle) -> None:
    result = review_case(study(origin="real"), None, small, explain=None)
    notice = next(notice for notice in result.notices if notice.key == "outside_population")
    assert notice.level == "warning"
    assert "only seen virtual patients" in notice.text


def test_a_report_at_hand_marks_the_review_as_one_made_for_it(
    small: SmallBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = replace(SCAN, origin="real")
    encoding = encode_case(scan, SICK, small)
    alone = review_case(scan, SICK, small, explain=None, encoding=encoding)
    report = assess_case(scan, SICK, small, encoding)
    monkeypatch.setattr(reviewing, "assess", None)
    again = review_case(scan, SICK, small, explain=None, encoding=encoding, report=report)
    assert "outside_population" in _keys(alone)
    assert again.notices == alone.notices


def test_horizons_are_checked(small: SmallBundle) -> None:
    assert choose_horizon(small, None) == 90  # type: ignore[arg-type]
    assert choose_horizon(small, 42.5) == 42.5  # type: ignore[arg-type]
    for days in (0, -3, float("nan"), float("inf")):
        with pytest.raises(UserFacingError):
            choose_horizon(small, days)  # type: ignore[arg-type]
    with pytest.raises(UserFacingError, match="beyond the follow-up"):
        review_case(SCAN, SICK, small, horizon_days=20_000)


def test_an_unknown_method_is_refused(small: SmallBundle) -> None:
    with pytest.raises(UserFacingError, match="no explanation method"):
        review_case(SCAN, SICK, small, explain="magic")


def test_a_result_that_is_not_finite_is_refused(small: SmallBundle) -> None:
    broken = replace(small, model=bundle("image_only").model)
    with torch.no_grad():
        kept = broken.model.base.clone()
        broken.model.base.fill_(float("nan"))
    try:
        with pytest.raises(UserFacingError, match="not a number"):
            assess_case(SCAN, None, broken, encode_case(SCAN, None, broken))
        with pytest.raises(UserFacingError, match="not a number"):
            review_case(SCAN, None, broken, explain=None)  # type: ignore[arg-type]
    finally:
        broken.model.base.copy_(kept)


def test_one_slice_and_one_event_are_enough(small: SmallBundle) -> None:
    single = CtStudy(SCAN.voxels_hu[:, :, 6:7], SCAN.affine_mm, origin="virtual")
    result = review_case(single, timeline(()), small, explain="gradcam")
    assert result.saliency is not None
    assert result.saliency.values.shape == single.shape
    assert 0 < result.horizon_risks[30] < 1


def test_a_path_method_says_how_much_it_misses_and_of_how_much(small: SmallBundle, review: CaseReview) -> None:
    result = review_case(SCAN, SICK, small, horizon_days=90, explain="gradient_shap")
    assert result.saliency is not None
    missed, change = result.saliency.convergence_delta, result.saliency.risk_change
    assert missed is not None
    assert change is not None
    said = [notice.text for notice in result.notices if notice.key == "not_converged"]
    assert len(said) == (missed > 0.05)
    assert all(f"{100 * missed:.0f}%" in text and f"{100 * change:.2g} percentage points" in text for text in said)
    assert review.saliency is not None
    assert review.saliency.risk_change is None


def test_curves_are_compared_and_unread_models_left_out(small: SmallBundle) -> None:
    models = {name: bundle(name) for name in ("image_only", "ehr_only")} | {"concat": small}
    curves = compare_curves(SCAN, SICK, models)  # type: ignore[arg-type]
    assert set(curves) == {"image_only", "ehr_only", "concat"}
    assert set(compare_curves(None, SICK, models)) == {"ehr_only", "concat"}  # type: ignore[arg-type]
    alone = review_case(SCAN, SICK, bundle("image_only"), explain=None)  # type: ignore[arg-type]
    assert np.array_equal(curves["image_only"].survival, alone.curve.survival)


def test_out_of_memory_on_the_card_falls_back_to_the_cpu(small: SmallBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is played by the CPU: the first run raises what CUDA raises."""
    calls = []

    def first_fails(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("no memory")
        return encode_case(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("core.review.encode_case", first_fails)
    monkeypatch.setattr("core.review.torch.cuda.empty_cache", lambda: None)
    result = review_case(SCAN, SICK, small, explain=None)
    assert result.device == "cpu"
    assert "device_fallback" in _keys(result)


@pytest.mark.skipif(torch.cuda.is_available(), reason="checks what a machine without CUDA says")
def test_asking_for_a_missing_card_is_said(small: SmallBundle) -> None:
    assert "device_fallback" in _keys(review_case(SCAN, SICK, small, explain=None, device="cuda"))


def test_reviews_in_threads_are_the_reviews_alone(small: SmallBundle, review: CaseReview) -> None:
    other = study(block=False)
    expected = {True: review, False: review_case(other, SICK, small, horizon_days=90, explain="gradcam")}
    before = module_state(small.model), module_state(small.encoders["image"])
    wrong: list[str] = []

    def work(block: bool) -> None:
        for _ in range(4):
            result = review_case(SCAN if block else other, SICK, small, horizon_days=90, explain="gradcam")
            assert result.saliency is not None
            reference = expected[block].saliency
            assert reference is not None
            if not np.array_equal(result.saliency.values, reference.values):
                wrong.append("saliency")
            if not np.array_equal(result.curve.survival, expected[block].curve.survival):
                wrong.append("curve")

    threads = [threading.Thread(target=work, args=(block,)) for block in (True, False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (module_state(small.model), module_state(small.encoders["image"])) == before


def test_nothing_after_the_prediction_time_can_be_reviewed() -> None:
    later = SICK.events.copy()
    later.loc[0, "time"] = DAY_0 + pd.Timedelta(days=1)
    with pytest.raises(ValueError, match="after the prediction time"):
        Timeline(later, 7, DAY_0)


@contextmanager
def default_type(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "64 bits": lambda: default_type(torch.float64),
    "16 bits": lambda: default_type(torch.bfloat16),
}


@pytest.mark.parametrize("explain", ["gradcam", "gradient_shap"])
@pytest.mark.parametrize("mode", MODES)
def test_whatever_mode_the_caller_is_in_the_result_is_the_same(small: SmallBundle, mode: str, explain: str) -> None:
    usual = review_case(SCAN, SICK, small, horizon_days=90, explain=explain)
    with MODES[mode]():
        found = review_case(SCAN, SICK, small, horizon_days=90, explain=explain)
        encoding = encode_case(SCAN, SICK, small)
        parts = review_case(
            SCAN, SICK, small, horizon_days=90, explain=explain, encoding=encoding,
            report=assess_case(SCAN, SICK, small, encoding),
        )  # fmt: skip
        curves = compare_curves(SCAN, SICK, {"one": small})
        still = (torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.get_default_dtype())
    for other in (found, parts):
        assert np.array_equal(other.curve.survival, usual.curve.survival)
        assert np.array_equal(other.curve.lower, usual.curve.lower)
        assert other.horizon_risks == usual.horizon_risks
        assert other.saliency is not None
        assert usual.saliency is not None
        assert np.array_equal(other.saliency.values, usual.saliency.values)
        assert other.event_attribution is not None
        assert usual.event_attribution is not None
        assert np.array_equal(other.event_attribution.values, usual.event_attribution.values)
        assert [notice.key for notice in other.notices] == [notice.key for notice in usual.notices]
    assert np.array_equal(curves["one"].survival, compare_curves(SCAN, SICK, {"one": small})["one"].survival)
    with MODES[mode]():
        assert still == (torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.get_default_dtype())
