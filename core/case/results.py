"""What models say of the cases of one session: asked once, kept while there is room, explained in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from core.bundle import Bundle
from core.case import Case, Job
from core.case.background import Question, Underway, with_saliency
from core.case.store import Kept
from core.compute.device import resolve_device
from core.errors import UserFacingError
from core.explain.methods import CARDS
from core.explain.saliency import seconds_of_pass
from core.export.comparison import ModelRow, measured_on_held_out
from core.quality import QualityReport, assess
from core.records import NOTHING_READ, CaseReview, SurvivalCurve
from core.review import CaseEncoding, assess_case, compare_curves, ct_readout, encode_case, review_case
from core.view.choices import ModelChoice

REVIEWS_KEPT = 12
MAP_VOXELS_KEPT = 100_000_000
"""All saliency maps of a session together: 400 MB; the one on screen is kept whatever its size."""


class Answers:
    """The answers of one session. bundle_of: a model by its key."""

    def __init__(self, bundle_of: Callable[[str], Bundle]) -> None:
        self._bundle_of = bundle_of
        self._kept = Kept()
        self.underway = Underway()

    def curve(self, case: Case, question: Question) -> CaseReview:
        """What a model predicts, marked by what `quality` says, before anything explains it."""
        make = partial(self._ask, case, question, explain_events=False)
        return self._kept.of("curves", question.of_model, REVIEWS_KEPT, make)

    def events(self, case: Case, question: Question) -> CaseReview:
        """The curve, and what each event of the record contributes; no saliency."""
        return self._kept.of("events", question.of_model, REVIEWS_KEPT, partial(self._ask, case, question))

    def explained(self, case: Case, question: Question) -> CaseReview | Job[CaseReview]:
        """All of it, saliency included where the question asks for one; or the job that computes that, begun here, or
        that failed."""
        before = self.events(case, question)
        if question.method is None:
            return before
        if (kept := self._kept.get("explained", question)) is not None:
            return cast("CaseReview", kept)
        work = partial(with_saliency, self._asked(case, question), before, question.method, question.slice_mm)
        job = self.underway.start(question, work)
        if (made := job.result) is None:
            return job
        return self._kept.of("explained", question, _maps_kept(case), lambda: made)

    def quality(self, case: Case, bundle_key: str | None) -> QualityReport:
        """Verdicts of the quality gate, for a model or without one."""

        def compute() -> QualityReport:
            if bundle_key is None:
                return assess(case.study, case.timeline)
            made = self._encoding(case, bundle_key)
            return assess_case(case.study, case.timeline, self._bundle_of(bundle_key), made)

        return self._kept.of("quality", (case.digest, bundle_key), REVIEWS_KEPT, compute)

    def compared(self, case: Case, bundle_keys: dict[str, str]) -> dict[str, SurvivalCurve]:
        """Curves of several models, name -> curve, from name -> bundle key; those that read nothing of the case are
        left out."""

        def compute() -> dict[str, SurvivalCurve]:
            bundles = {name: self._bundle_of(key) for name, key in bundle_keys.items()}
            return compare_curves(case.study, case.timeline, bundles)

        return self._kept.of("compared", (case.digest, *bundle_keys.values()), REVIEWS_KEPT, compute)

    def all_models(self, case: Case, choices: Sequence[ModelChoice], horizon_days: float) -> list[ModelRow]:
        """What each of these models predicts of the case by the horizon; one that refuses says why."""

        def answer(choice: ModelChoice) -> ModelRow:
            bundle, refused, review = self._bundle_of(choice.key), "", None
            try:
                review = self._ask(case, Question(case.digest, choice.key, horizon_days, None), explain_events=False)
            except UserFacingError as error:
                refused = error.found
            if review is not None and any(notice.key == NOTHING_READ for notice in review.notices):
                review, refused = None, "reads nothing of this case"
            measured = measured_on_held_out(bundle.metrics, horizon_days)
            return ModelRow(choice.key, choice.title, choice.fusion, choice.reads, review, refused, *measured)

        key = (case.digest, horizon_days, *(choice.key for choice in choices))
        return self._kept.of("all_models", key, 2, lambda: [answer(choice) for choice in choices])

    def seconds(self, case: Case, question: Question) -> tuple[float, float]:
        """About how long the saliency of a slow question takes here, of the whole CT and of one slice (two pieces)."""

        def measure() -> tuple[float, float]:
            made, model = self._encoding(case, question.bundle_key), self._bundle_of(question.bundle_key)
            readout = ct_readout(model, made, question.horizon_days, resolve_device("auto")[0])
            each = seconds_of_pass(readout) * CARDS[str(question.method)].passes
            return each * len(readout.sampled.voxels_hu), 2 * each

        return self._kept.of("seconds", (case.digest, question.bundle_key, question.method), REVIEWS_KEPT, measure)

    def _encoding(self, case: Case, bundle_key: str) -> CaseEncoding:
        """Tokens of a case for a bundle; what another bundle's encoder already made of it is taken over."""
        before = self._kept.of("encoding", case.digest, 1, dict[str, CaseEncoding])
        latest = next(reversed(before.values()), None)
        if bundle_key not in before:
            before[bundle_key] = encode_case(case.study, case.timeline, self._bundle_of(bundle_key), reuse=latest)
        return before[bundle_key]

    def _asked(self, case: Case, question: Question) -> Callable[..., CaseReview]:
        """`review_case` of this question, with all of the session looked up, so that any thread may call it."""
        made, model = self._encoding(case, question.bundle_key), self._bundle_of(question.bundle_key)
        report = self.quality(case, question.bundle_key)
        ask = partial(review_case, case.study, case.timeline, model, put_together=case.fabricated)
        return partial(ask, horizon_days=question.horizon_days, encoding=made, report=report)

    def _ask(self, case: Case, question: Question, **words: Any) -> CaseReview:
        return self._asked(case, question)(explain=None, **words)


def _maps_kept(case: Case) -> int:
    """How many saliency maps of this case are kept; each is as large as its CT."""
    voxels = 1 if case.study is None else case.study.voxels_hu.size
    return max(1, min(REVIEWS_KEPT, MAP_VOXELS_KEPT // voxels))
