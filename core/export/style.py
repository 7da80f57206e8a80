"""Colours and words that every exported figure shares with the screen."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

from core import RESEARCH_NOTICE, VIRTUAL_WATERMARK
from core.fuse import FUSIONS
from core.records import DIED_BEFORE, EHR, IMAGE, MODALITIES, NOTHING_READ, OTHER_PERSON, OUTSIDE_POPULATION, Notice
from core.records.modalities import FUSED_COLOUR

LEVEL_ORDER = {"warning": 0, "caution": 1, "info": 2}
NOTICE, WATERMARK = RESEARCH_NOTICE, VIRTUAL_WATERMARK
OUTSIDE_MARK = "Outside the training population"
_MARKS = {
    DIED_BEFORE: "Patient had died by day 0",
    NOTHING_READ: "Nothing of this patient was read",
    OTHER_PERSON: "Scan and record may be of two people",
    OUTSIDE_POPULATION: OUTSIDE_MARK,
}
"""Warnings that stand across the curve, as it would be misread without them."""

IMAGE_COLOUR, EHR_COLOUR = (MODALITIES[name].colour for name in (IMAGE, EHR))
COHORT, WARNING = "#767676", "#D55E00"
SIGNED_MAP, MAGNITUDE_MAP = "managua_r", "inferno"

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "svg.fonttype": "none",
    "svg.hashsalt": "figure",
    "pdf.fonttype": 42,
}
_DRAWING = threading.RLock()


@contextmanager
def figure_style() -> Iterator[None]:
    """Our settings inside, the process's outside; one figure at a time, as they are process-wide."""
    with _DRAWING, matplotlib.rc_context(_RC):
        yield


def curve_marks(notices: Iterable[Notice], virtual: bool) -> list[str]:
    """What stands across a curve on screen and in exports: weights of virtual patients, and the gravest warnings."""
    warned = {notice.key for notice in notices if notice.level == "warning"}
    return [WATERMARK] * virtual + [mark for key, mark in _MARKS.items() if key in warned]


def by_level(notices: Iterable[Notice]) -> list[Notice]:
    """Notices, most serious first; those of one level in their own order."""
    return sorted(notices, key=lambda notice: LEVEL_ORDER[notice.level])


def fusion_colour(fusion: str) -> str:
    """The colour of a fusion's curves; of one that this version does not have, that of fusions."""
    return FUSIONS[fusion].colour if fusion in FUSIONS else FUSED_COLOUR


def fusion_title(fusion: str) -> str:
    """What a fusion is called; one that this version does not have, by its own name."""
    return FUSIONS[fusion].title if fusion in FUSIONS else fusion


def percent(value: float) -> str:
    """A probability as a percentage with two significant digits at most, never below "<0.1%".

    >>> percent(0.1234), percent(0.0123), percent(0.0002)
    ('12%', '1.2%', '<0.1%')
    """
    shown = _shown_share(value)
    if shown == 0:
        return "<0.1%"
    return f"{shown:.0f}%" if shown >= 10 else f"{shown:.1f}%"


def in_people(value: float, people: int = 100) -> int:
    """A probability as people of so many: of the percentage that is shown, half up, so that both say the same; fewer
    than one are none.

    >>> in_people(0.0451), in_people(0.0449), in_people(0.124), in_people(0.996), in_people(0.006)
    (5, 5, 12, 100, 0)
    >>> in_people(0.006, 1000), in_people(0.0004, 1000), in_people(0.234, 1000)
    (6, 0, 230)
    """
    count = _shown_share(value) * people / 100
    return int(count + 0.5) if count >= 1 else 0


def _shown_share(value: float) -> float:
    """The percentage as it is shown: two significant digits at most, 0 below a tenth."""
    share = 100 * value
    if share < 0.1:
        return 0.0
    return round(share, 0 if share >= 9.95 else 1)
