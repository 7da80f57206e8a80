"""The shipped demo cases and bundles, each read, encoded and opened once a process."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from core.bundle import Bundle, load_bundle, shipped_bundles
from core.case import Case, read_demo
from core.records import CtStudy, Timeline
from core.review import CaseEncoding, encode_case

CASES = Path(__file__).resolve().parents[2] / "assets" / "demo" / "cases"


@cache
def demo_case(name: str) -> Case:
    """A demo case as the app reads it."""
    return read_demo(CASES / name, json.loads((CASES / name / "case.json").read_text("utf-8")))


def demo(name: str) -> tuple[CtStudy, Timeline]:
    """CT and timeline of a virtual demo patient, cut at its time zero."""
    case = demo_case(name)
    assert case.study is not None
    assert case.timeline is not None
    return case.study, case.timeline


@cache
def shipped(key: str) -> Bundle:
    """A shipped bundle by "task/fusion"."""
    return load_bundle(shipped_bundles()[key])


@cache
def encoded_demo(name: str, task: str) -> CaseEncoding:
    """Tokens of both sides of a demo patient, and the measures of its scan, which all bundles of a task share."""
    return encode_case(*demo(name), shipped(f"{task}/concat"), "cpu")
