"""What one question has under way never answers another, however the runs of a page overlap."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import pytest
import view_support

from core.case import Case, Job, results
from core.case.background import Question, Underway
from core.case.results import Answers
from core.progress import Progress
from core.quality import QualityReport
from core.records import CaseReview
from core.view.exporting import Exports
from core.view.packing import pack_overlay

SCAN, RECORD = view_support.study(), view_support.timeline()
OTHER = replace(SCAN, voxels_hu=SCAN.voxels_hu[:-2])
OF_SCAN, OF_OTHER = (Question(scan.digest, "pe_mortality/concat", 90.0, "gradcam") for scan in (SCAN, OTHER))


def answered(scan: object, tell: Progress) -> CaseReview:
    return view_support.review(scan, RECORD)  # type: ignore[arg-type]


def test_a_run_that_asks_late_gets_no_job_of_another_question_and_leaves_it_none() -> None:
    """Streamlit ends a run at its next drawing only: it turned to its case before, and starts after the next has."""
    underway = Underway()
    underway.turn_to(OF_SCAN)
    underway.turn_to(OF_OTHER)
    late = underway.start(OF_SCAN, partial(answered, SCAN))
    now = underway.start(OF_OTHER, partial(answered, OTHER))
    assert late is not now
    assert now.wait(10)
    assert now.result is not None
    assert now.result.study_digest == OTHER.digest
    assert underway.start(OF_OTHER, partial(answered, SCAN)) is now, "its own is begun once"


def test_answers_of_two_cases_asked_in_turns_are_each_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def review_case(study, timeline, bundle, *, horizon_days, explain, **words):  # type: ignore[no-untyped-def]
        return view_support.review(study, timeline, horizon_days=horizon_days, explain=explain)

    monkeypatch.setattr(results, "review_case", review_case)
    monkeypatch.setattr(results, "encode_case", lambda *args, **words: None)
    monkeypatch.setattr(results, "assess_case", lambda *args: QualityReport(()))
    bundle = view_support.ScreenBundle("concat", view_support.TASKS["pe_mortality"])
    asked = Answers(lambda key: bundle)  # type: ignore[arg-type, return-value]
    cases = [Case("", scan, RECORD, "pe_mortality", "", released=True) for scan in (SCAN, OTHER)]
    questions = [replace(OF_SCAN, case_digest=case.digest) for case in cases]
    for question in questions:
        asked.underway.turn_to(question)
    for _ in range(3):
        for case, question in zip(cases, questions, strict=True):
            found = asked.explained(case, question)
            while isinstance(found, Job):
                assert found.wait(10)
                found = asked.explained(case, question)
            assert case.study is not None
            assert found.study_digest == case.study.digest
            assert found.saliency is not None
            assert found.saliency.values.shape == case.study.shape


def test_a_result_of_another_scan_is_neither_drawn_nor_exported() -> None:
    result = view_support.review(SCAN, RECORD)
    bundle = view_support.ScreenBundle("concat", view_support.TASKS["pe_mortality"])
    Exports(SCAN, RECORD, result, bundle, {})  # type: ignore[arg-type]
    pack_overlay(SCAN, result.saliency, None, digest="x")
    with pytest.raises(ValueError, match="another study"):
        Exports(OTHER, RECORD, result, bundle, {})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another study"):
        Exports(None, RECORD, result, bundle, {})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another study"):
        pack_overlay(OTHER, result.saliency, None, digest="x")


def test_a_slow_question_waits_until_it_is_begun_and_again_once_it_was_another() -> None:
    underway, slow = Underway(), replace(OF_SCAN, method="occlusion")
    waiting = replace(slow, method=None)
    assert (slow.slow, OF_SCAN.slow, waiting.slow) == (True, False, False)
    assert underway.turn_to(slow) == waiting
    assert not underway.was_stopped
    part = replace(slow, slice_mm=-42.0)
    underway.begin(part)
    assert underway.turn_to(slow) == part
    assert part.name != slow.name
    job = underway.start(part, lambda tell: _forever(tell))
    assert underway.turn_to(slow) == part
    assert underway.job is job
    underway.stop(job)
    assert underway.turn_to(slow) == waiting
    assert underway.was_stopped
    underway.begin(slow)
    assert underway.turn_to(slow) == slow
    assert underway.turn_to(OF_SCAN) == OF_SCAN
    assert underway.turn_to(slow) == waiting, "asked anew, it waits anew"


def _forever(tell: Progress) -> CaseReview:
    while True:
        tell(0.5, "")
        time.sleep(0.01)
