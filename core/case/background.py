"""What a reader waits for, the saliency, the zip of all files, a server's answers: made in the background, watched,
stopped, dropped for another question."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from core.case import Job
from core.case.jobs import Turns
from core.errors import UserFacingError
from core.explain.methods import CARDS
from core.progress import Progress
from core.records import CaseReview
from core.view.exporting import ZIP_WORDS, Exports

T = TypeVar("T")
WORDS = "Saliency"
TURNS = Turns(2)
"""Files that are being read keep no saliency waiting, nor the other way round."""
FAILED = UserFacingError(
    "The saliency could not be computed.",
    "a map of the risk on the CT",
    "Choose another method, or another model; the curve does not depend on it.",
)

ZIP_TURNS = Turns(2)
NO_ZIP = UserFacingError(
    "The zip could not be made.",
    "the figures, the saliency and the curve of this case",
    "Save the files one by one, or try again.",
)


def with_saliency(
    ask: Callable[..., CaseReview], before: CaseReview, method: str, slice_mm: float | None, tell: Progress
) -> CaseReview:
    """What `ask` answers with the saliency of `method`; the share of each event is taken over from `before`."""
    some = {} if slice_mm is None else {"slice_mm": slice_mm}
    after = ask(**some, explain=method, explain_events=False, progress=lambda share: tell(share, WORDS))
    if after.saliency is not None:
        _ = after.saliency.own_limit  # looks at every voxel; kept, so that the page need not
    return replace(after, event_attribution=before.event_attribution)


@dataclass(frozen=True)
class Question:
    """One saliency that can be asked for; `method` None asks for none. slice_mm: world z of the one slice explained."""

    case_digest: str
    bundle_key: str
    horizon_days: float
    method: str | None
    slice_mm: float | None = None

    @property
    def whole(self) -> Question:
        """The same of the whole CT."""
        return replace(self, slice_mm=None)

    @property
    def slow(self) -> bool:
        """Does its method take many passes of each slice, so that the reader is asked before it begins?"""
        return self.method is not None and CARDS[self.method].passes > 1

    @property
    def of_model(self) -> tuple[str, str, float]:
        """What it asks a model before anything is explained."""
        return self.case_digest, self.bundle_key, self.horizon_days

    @property
    def name(self) -> str:
        """What the viewer calls it; nothing in it tells the case.

        >>> Question("digest of a case", "mace/concat", 365, None).name
        'mace/concat|365|none'
        """
        part = "" if self.slice_mm is None else f"|{self.slice_mm:g} mm"
        return f"{self.bundle_key}|{self.horizon_days:g}|{self.method or 'none'}{part}"


class _OneJob(Generic[T]):
    """At most one job at a time for one reader; it ends when it is dropped, or when nobody holds it any more."""

    def __init__(self) -> None:
        self._job: Job[T] | None = None

    @property
    def job(self) -> Job[T] | None:
        """What is under way or over, and not dropped."""
        return self._job

    def drop(self) -> None:
        """Stop at the next step; nothing is kept of it."""
        if self._job is not None:
            self._job.cancel()
        self._job = None

    def stop(self, job: Job[T]) -> None:
        """The reader does without this job; nothing is done where it is over or another has its place."""
        if self._job is job and job.running:
            self.drop()


class Underway(_OneJob[CaseReview]):
    """The saliency of the question asked now; it ends when the reader asks something else, or leaves."""

    def __init__(self) -> None:
        super().__init__()
        self._question: Question | None = None
        self._stopped: Question | None = None
        self._begun: Question | None = None
        """A slow one that the reader had begun, of the whole CT or of a slice."""
        self._asking = threading.Lock()
        """Streamlit ends a run of the page at its next drawing only: until then two runs ask in turns."""

    def turn_to(self, question: Question) -> Question:
        """This, of a whole CT, is asked now: what another question had under way is cancelled, and its stop forgotten.

        Returns the question, of one slice where the reader asked for that; without its method where she stopped just
        this, or has not begun a slow one.
        """
        with self._asking:
            if self._stopped != question:
                self._stopped = None
            if self._begun is not None and self._begun.whole != question:
                self._begun = None
            now = self._begun or question
            self._turn_to(now)
            waits = self._stopped is not None or (question.slow and self._begun is None)
            return replace(question, method=None) if waits else now

    def _turn_to(self, question: Question) -> None:
        if self._question != question:
            self.drop()
            self._question = question

    @property
    def was_stopped(self) -> bool:
        """Did the reader stop what is asked now?"""
        return self._stopped is not None

    def begin(self, question: Question) -> None:
        """The reader wants a slow one, of the whole CT or of a slice, or one that was stopped after all."""
        self._stopped, self._begun = None, question

    def start(self, question: Question, work: Callable[[Progress], CaseReview]) -> Job[CaseReview]:
        """The work that answers this question, begun once; never what another one has under way, which is cancelled."""
        with self._asking:
            self._turn_to(question)
            if self._job is None:
                self._job = Job(WORDS, work, unforeseen=FAILED, turns=TURNS)
            return self._job

    def stop(self, job: Job[CaseReview]) -> None:
        """The reader does without this saliency until she asks something else."""
        before = self._job
        super().stop(job)
        if before is not None and self._job is None:
            self._stopped = None if self._question is None else self._question.whole
            self._begun = None


class Zipping(_OneJob[bytes]):
    """The zip of all files of what is on screen; it ends when the reader sees another answer, or leaves."""

    def __init__(self) -> None:
        super().__init__()
        self._files: Exports | None = None

    def of(self, files: Exports) -> Job[bytes] | None:
        """The zip of these files, under way or over; None where none was asked for. What was made of others goes."""
        if self._files is not files:
            self.drop()
            self._files = files
        return self._job

    def start(self, files: Exports) -> None:
        """Make a zip of what is on screen now, in the place of the one before."""
        self.drop()
        self._files = files
        self._job = Job(ZIP_WORDS, partial(files.archive, files.inputs()), unforeseen=NO_ZIP, turns=ZIP_TURNS)


ASKING_TURNS = Turns(8)
"""Waiting for a server costs this machine little, and one that is silent keeps few others waiting."""
NO_ANSWER = UserFacingError(
    "What the server sent could not be used, for a reason that nobody foresaw.",
    "a DICOMweb service",
    "Try again; if it stays so, ask the people who run the server.",
)


class Asking(_OneJob[Any]):
    """What a DICOMweb server is asked now, named by whoever asks; it ends when something else is asked, or it is
    dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._question: tuple[str, ...] = ()
        self._stopped = False

    def start(self, question: tuple[str, ...], words: str, work: Callable[[Progress], Any]) -> None:
        """Ask this, in the place of what was asked before."""
        self.drop()
        self._question, self._stopped = question, False
        self._job = Job(words, work, unforeseen=NO_ANSWER, turns=ASKING_TURNS)

    def about(self, question: tuple[str, ...]) -> Job[Any] | None:
        """The job of this question, under way or over; never another one's."""
        return self._job if question == self._question else None

    def stopped(self, question: tuple[str, ...]) -> bool:
        """Did the reader stop just this?"""
        return self._stopped and question == self._question

    def stop(self, job: Job[Any]) -> None:
        """The reader does without this job: nothing of it is shown, were it over meanwhile."""
        if self._job is job:
            self.drop()
            self._stopped = True
