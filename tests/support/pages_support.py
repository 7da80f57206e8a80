"""The app's pages run by AppTest: the stand-ins that they are given, and what a test asks of them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import view_support
from streamlit.testing.v1 import AppTest

from core.case import Cancelled, Case
from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.quality import Factor, QualityReport, pair_notices
from core.records import CaseReview
from core.view.exporting import Exports

ROOT = Path(__file__).resolve().parents[2]
FUSIONS = ("cross_attention", "image_only", "ehr_only")
SCAN, RECORD = view_support.study(), view_support.timeline()
DEMOS = {
    "both": {"title": "Demo 1", "task": "pe_mortality", "description": "Virtual patient"},
    "scan": {"title": "Scan only", "task": "pe_mortality"},
    "record": {"title": "Record only", "task": "mace"},
}
VERDICTS = (
    Factor("noise", "in", "20 HU", "like the training scans"),
    Factor("orientation", "outside", "heart left -0.90", "left and right are exchanged"),
)


@dataclass
class World:
    """What the app is given: cases, bundles, and how often a model was asked."""

    bundles: dict[str, Path] = field(default_factory=lambda: {f"{t}/{f}": Path(t) / f for t in TASKS for f in FUSIONS})
    asked: list[tuple[str, float, str | None]] = field(default_factory=list)
    refusal: UserFacingError | None = None
    demo_refusal: UserFacingError | None = None
    slow: bool = False
    cancelled: int = 0
    judged: int = 0

    def review_case(
        self,
        study,
        timeline,
        bundle,
        *,
        horizon_days,
        explain,
        encoding,
        report,
        put_together=False,
        explain_events=True,
        progress=None,
    ) -> CaseReview:
        assert report == QualityReport(VERDICTS)
        self.asked.append((bundle.fusion, horizon_days, explain))
        if self.refusal:
            raise self.refusal
        if explain and progress:
            self.tell(progress)
        made = view_support.review(
            study, timeline, fusion=bundle.fusion, horizon_days=horizon_days, explain=explain, task=bundle.task
        )
        return replace(made, notices=(*pair_notices(study, timeline, put_together), *made.notices))

    def tell(self, progress) -> None:
        """One step of a saliency; a slow one never ends by itself."""
        try:
            progress(0.5)
            while self.slow:
                time.sleep(0.01)
                progress(0.5)
        except Cancelled:
            self.cancelled += 1
            raise

    def assess_case(self, study, timeline, bundle, encoding) -> QualityReport:
        self.judged += 1
        if self.refusal:
            raise self.refusal
        return QualityReport(VERDICTS)

    def read_demo(self, folder: Path, card: dict) -> Case:
        if self.demo_refusal:
            raise self.demo_refusal
        name = folder.name
        scan = None if name == "record" else SCAN
        record = None if name == "scan" else RECORD
        return Case(card["title"], scan, record, card["task"], card.get("description", ""), released=True)


def opened(page: str | None = None) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.run()
    if page:
        app.switch_page(page).run()
    return app


def of_case(app: AppTest, name: str) -> str:
    """The key of a widget about the case on screen."""
    return f"{name}_{app.session_state['cases_shown']}"


def strongest_events(app: AppTest):
    key = of_case(app, "strong_attribution")
    return next(item for item in app.get("button_group") if item.key == key)


def starting(app: AppTest, key: str) -> list:
    """Buttons whose key starts so; a number follows that tells whose they are."""
    return [button for button in app.button if str(button.key).startswith(f"{key}_")]


def stop_of(app: AppTest):
    return starting(app, "stop")[0]


def html(app: AppTest) -> str:
    return " ".join(str(getattr(item, "body", "") or item.proto.body) for item in app.get("html"))


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def settled(found) -> bool:
    """Does a thread get there within a few seconds?"""
    return any(found() or time.sleep(0.02) for _ in range(250))


def until(app: AppTest, found) -> None:
    """Run the page anew, as its watch does, until it shows what is looked for."""
    assert settled(lambda: found() or (fine(app.run()) and found()))


def has_stop(app: AppTest) -> bool:
    return bool(starting(app, "stop"))


def slow_zip(monkeypatch) -> threading.Event:
    """A zip whose second file is not made before the event."""
    may_go = threading.Event()

    def archive(files, inputs, tell) -> bytes:
        tell(0.0, "All in one zip: file 1 of 6, figure.png")
        while not may_go.wait(0.01):
            tell(0.5, "All in one zip: file 2 of 6, figure.svg")
        return b"zip" * 500_000

    monkeypatch.setattr(Exports, "archive", archive)
    return may_go
