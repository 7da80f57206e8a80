"""The desk: what one session is reading, step by step, each step a job that the reader can watch and cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import pandas as pd

from core.case.case import Case
from core.case.jobs import Job, Turns
from core.case.reopened import ExportedCase
from core.case.search import Found, search
from core.case.strip import changes, strip
from core.errors import UserFacingError
from core.intake.files.sources import Source
from core.intake.identifiers.finding import Finding
from core.intake.record.column_questions import MappingQuestion, suggest_mapping
from core.intake.record.columns.roles import Answers
from core.intake.record.load import list_subjects, load_timeline
from core.intake.scan.load import SeriesSummary, list_series, load_study
from core.intake.scan.repairs import Repair, RepairableError
from core.progress import Progress
from core.quality import QualityReport, assess, scan_day
from core.records import CtStudy, Timeline
from core.wording import count_of

State = Literal["reading", "read", "asks", "refused"]
_SCAN_STEPS = ("series", "study")
_RECORD_STEPS = ("subjects", "columns", "timeline")
_LAST_STEPS = ("findings", "quality", "changes")
_READING, _SEARCHING = Turns(2), Turns(2)
"""A search of pictures takes minutes, and nobody looks at it: no other reader's files wait for it."""


@dataclass(eq=False)
class Intake:
    """One patient's CT, record or both, from where they lie to where they can be opened.

    scan, record: the sources, None where there is none; scan_words, record_words say what they are. scan_doubts: what
    speaks against the scan before it is read; it stays with the study as notes.
    series, repairs, subject, day_zero, columns: what the reader chose. decided: identifiers were acknowledged.
    keeps_unknown: the reader wants texts to stay whose words no vocabulary knows. changes_of_mind: how often a choice
    dropped what had been read. exported: the exported case that scan and record are of, if they are.
    Nothing of it reaches the session's case before `open_parts`.
    """

    scan: Source | None = field(default=None, repr=False)
    record: Source | None = field(default=None, repr=False)
    scan_words: str = ""
    record_words: str = ""
    scan_doubts: tuple[str, ...] = ()
    exported: ExportedCase | None = None
    series: str | None = None
    repairs: tuple[Repair, ...] = ()
    subject: int | None = None
    day_zero: pd.Timestamp | None = None
    columns: Answers | None = None
    decided: bool = False
    keeps_unknown: bool = False
    changes_of_mind: int = 0
    _jobs: dict[str, Job[Any]] = field(default_factory=dict, repr=False)

    # ------------------------------------------------------------ what is known

    def job(self, step: str) -> Job[Any] | None:
        """The job of a step, where it was started."""
        return self._jobs.get(step)

    @property
    def running(self) -> tuple[Job[Any], ...]:
        """Jobs under way."""
        return tuple(job for job in self._jobs.values() if job.running)

    def error(self, *steps: str) -> UserFacingError | None:
        """The refusal of the first of these steps that has one."""
        return next((job.error for step in steps if (job := self.job(step)) and job.error), None)

    def _result(self, step: str) -> Any:
        job = self.job(step)
        return job.result if job else None

    @property
    def found_series(self) -> tuple[SeriesSummary, ...]:
        """CT series of the source, once listed."""
        return cast("tuple[SeriesSummary, ...]", self._result("series") or ())

    @property
    def study(self) -> CtStudy | None:
        """The CT, once read."""
        return cast("CtStudy | None", self._result("study"))

    @property
    def subjects(self) -> pd.DataFrame | None:
        """Patients of the record, once listed."""
        return cast("pd.DataFrame | None", self._result("subjects"))

    @property
    def timeline(self) -> Timeline | None:
        """The record of the chosen patient, once read."""
        return cast("Timeline | None", self._result("timeline"))

    @property
    def question(self) -> MappingQuestion | None:
        """What to ask about the columns of a table that was not recognised by its names."""
        asked = cast("MappingQuestion | None", self._result("columns"))
        return asked if asked is not None and (asked.is_needed or self.columns) else None

    @property
    def findings(self) -> tuple[Finding, ...] | None:
        """Residual identifiers, None while the search is not over."""
        found = cast("Found | None", self._result("findings"))
        return None if found is None else found.findings

    @property
    def changes(self) -> tuple[str, ...] | None:
        """What stripping changes, in sentences with counts; None before that is decided and known."""
        return cast("tuple[str, ...] | None", self._result("changes"))

    @property
    def quality(self) -> QualityReport | None:
        """Verdicts on what was read, for no model in particular."""
        return cast("QualityReport | None", self._result("quality"))

    @property
    def scan_day(self) -> int | None:
        """Days from day 0 to the scan, where both are known by dates that nobody shifted."""
        return scan_day(self.study, self.timeline)

    @property
    def offered_repairs(self) -> tuple[Repair, ...]:
        """Repairs that would lift the refusal on screen."""
        error = self.error("study")
        return error.repairs if isinstance(error, RepairableError) else ()

    @property
    def complete(self) -> bool:
        """Is everything that was handed over read, and can it be opened?"""
        given = ((self.scan, self.study), (self.record, self.timeline))
        wanted = [part for source, part in given if source is not None]
        return bool(wanted) and all(part is not None for part in wanted)

    @property
    def asks(self) -> bool:
        """Can the reader go on by choosing: a series, a repair, a patient or day 0, columns, or one part alone?"""
        several = len(self.found_series) > 1 or (self.subjects is not None and len(self.subjects) > 1)
        chosen = self.subject is not None or bool(self.offered_repairs) or self.question is not None
        return several or chosen or self.can_go_without("scan") or self.can_go_without("record")

    def can_go_without(self, part: str) -> bool:
        """Would anything be left to be read without the "scan" or the "record"? Not what was refused for good."""
        if self.scan is None or self.record is None:
            return False
        if part == "scan":
            return self.error("subjects", "timeline") is None or self.question is not None
        return self.error("series", "study") is None or bool(self.offered_repairs)

    @property
    def state(self) -> State:
        """How far it is: "read" where it can be opened, "reading", or what keeps it: the reader's choice, a refusal."""
        if self.complete:
            return "read"
        return "reading" if self.running else "asks" if self.asks else "refused"

    @property
    def searching(self) -> bool:
        """Is the search for identifiers still to end?"""
        return self.findings is None and self.error("findings") is None

    @property
    def released(self) -> bool:
        """May it be exported? Only after a search that found nothing, or once its findings were acknowledged."""
        return self.complete and self.findings is not None and (self.decided or not self.findings)

    @property
    def searched(self) -> str:
        """What became of identifiers, in a sentence; "" before the search has ended and they were decided about."""
        if not self.released or self.findings is None:
            return ""
        if not self.findings:
            return "A search of the files for identifiers found nothing."
        places = count_of(len(self.findings), "place")
        done = "stripped, but for texts with unknown words" if self.keeps_unknown else "stripped"
        return f"A search of the files found {places} that may identify a person; {done}."

    # ------------------------------------------------------------ what the reader chooses

    def choose_series(self, key: str) -> None:
        """Read this series instead."""
        self.series, self.repairs = key, ()
        self._drop("study", *_LAST_STEPS)

    def repair(self, name: Repair) -> None:
        """Read the series again with one more repair; its note stays on the study."""
        self.repairs = (*self.repairs, name)
        self._drop("study", *_LAST_STEPS)

    def undo_repairs(self) -> None:
        """Read the series again as it is."""
        self.repairs = ()
        self._drop("study", *_LAST_STEPS)

    def forget_columns(self) -> None:
        """Ask about the columns of the record again."""
        self.choose_record(None, None, None)

    def choose_record(self, subject: int | None, day_zero: pd.Timestamp | None, columns: Answers | None = None) -> None:
        """Read this patient's events up to this day instead, the columns taken so."""
        if columns != self.columns:
            self._drop("subjects", "columns")
        self.subject, self.day_zero, self.columns = subject, day_zero, columns
        self._drop("timeline", *_LAST_STEPS)

    def leave_out(self, part: str) -> None:
        """Go on without the "scan" or the "record"."""
        self._drop(*(_SCAN_STEPS if part == "scan" else _RECORD_STEPS), *_LAST_STEPS)
        if part == "scan":
            self.scan = None
        else:
            self.record = None

    def cancel(self) -> None:
        """Stop every job and forget every source and result."""
        self._drop(*self._jobs)
        self.scan = self.record = None

    def _drop(self, *steps: str) -> None:
        for step in steps:
            if job := self._jobs.pop(step, None):
                job.cancel()
        self.decided = self.keeps_unknown = False
        self.changes_of_mind += 1

    def answer_on(self, layout: tuple[str, ...], answer: Mapping[str, str]) -> None:
        """Read the record again with what was answered on the tables with these columns."""
        told: dict[tuple[str, ...], Mapping[str, str]] = {layout: answer}
        for key, value in (self.columns or {}).items():
            if isinstance(key, tuple) and isinstance(value, Mapping):
                told.setdefault(key, value)
        self.choose_record(None, None, told)

    # ------------------------------------------------------------ what follows from it

    def advance(self) -> bool:
        """Start whatever can be started now; is there anything to wait for?

        A job may end while this looks; it looks again until nothing is left to be started.
        """
        while True:
            waiting, jobs = self.running, len(self._jobs)
            self._start_what_can_be()
            if waiting or self.running:
                return True
            if len(self._jobs) == jobs:
                return False

    def _start_what_can_be(self) -> None:
        if self.scan is not None:
            self._advance_scan(self.scan)
        if self.record is not None:
            self._advance_record(self.record)
        if self.complete:
            self._advance_checks()

    def _advance_scan(self, source: Source) -> None:
        found = self.found_series
        self._start("series", "Looking for CT series", lambda tell: list_series(source, thumbnails=True, progress=tell))
        if self.series is None and len(found) == 1:
            self.series = found[0].key
        if self.series is not None:
            self._start("study", "Reading the CT", self._study_reader(source, self.series, self.repairs))
        elif (job := self.job("series")) and job.result == ():
            self._start("study", "Reading the CT", self._study_reader(source, None, ()))

    def _advance_record(self, source: Source) -> None:
        columns, subjects = self.columns, self.subjects
        self._start(
            "subjects", "Looking for patients", lambda tell: list_subjects(source, mapping=columns, progress=tell)
        )
        if self.error("subjects"):
            self._start("columns", "Looking at the columns", lambda tell: suggest_mapping(source, mapping=columns))
        if self.subject is None and subjects is not None and len(subjects) == 1:
            self.subject = int(subjects["subject_id"].iloc[0])
        if self.subject is not None and subjects is not None:
            subject, day_zero, exported = self.subject, self.day_zero, self.exported

            def read(tell: Progress) -> Timeline:
                made = load_timeline(
                    source, prediction_time=day_zero, subject_id=subject, mapping=columns, progress=tell
                )
                return made if exported is None else exported.on_record(made)

            self._start("timeline", "Reading the record", read)

    def _advance_checks(self) -> None:
        sources = [source for source in (self.scan, self.record) if source is not None]
        study, timeline, columns = self.study, self.timeline, self.columns
        self._start(
            "findings", "Searching for identifiers", lambda tell: search(sources, study, tell, timeline, columns)
        )
        self._start("quality", "Judging the quality", lambda tell: assess(study, timeline))
        if self.decided and self.findings is not None:
            before, after = (study, timeline), self.open_parts
            self._start("changes", "Stripping what was found", lambda tell: changes(before, after()))

    def _study_reader(
        self, source: Source, series: str | None, repairs: Iterable[Repair]
    ) -> Callable[[Progress], CtStudy]:
        chosen, doubts, exported = tuple(repairs), self.scan_doubts, self.exported

        def read(tell: Progress) -> CtStudy:
            study = load_study(source, series=series, repairs=chosen, progress=tell)
            study = study if exported is None else exported.on_scan(study)
            return replace(study, notes=(*doubts, *study.notes)) if doubts else study

        return read

    def _start(self, step: str, words: str, work: Callable[[Progress], Any]) -> None:
        if step not in self._jobs:
            self._jobs[step] = Job(words, work, turns=_SEARCHING if step == "findings" else _READING)

    # ------------------------------------------------------------ the end

    def open_parts(self) -> tuple[CtStudy | None, Timeline | None]:
        """CT and record for the case: as read while identifiers are undecided, stripped once they are decided.

        Raises UserFacingError where nothing is ready.
        """
        if not self.complete:
            raise UserFacingError("Nothing is ready to be opened.", "a CT or a record that was read", "Read one first.")
        found = cast("Found | None", self._result("findings"))
        if found is None or not self.released:
            return self.study, self.timeline
        keeps = self.keeps_unknown
        return strip(self.study, self.timeline, found.boxes, found.words, found.columns, keeps_unknown=keeps)

    def as_case(self) -> Case:
        """What was read; of an exported case, with its task. Raises UserFacingError where nothing is ready."""
        study, timeline = self.open_parts()
        exported, both = self.exported, study is not None and timeline is not None
        return Case(
            "Your own case",
            study,
            timeline,
            task=None if exported is None else exported.asked.task,
            fabricated=both and (exported is None or exported.put_together),
            released=self.released,
            searched=self.searched,
        )
