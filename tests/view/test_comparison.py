"""The table of all models: numbers of each, withheld where they do not apply, curves of the same shape."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest
from view_support import review, study, timeline

from core.bundle import load_bundle, shipped_bundles
from core.export.comparison import Measured, ModelRow, measured_on_held_out
from core.records import FEW_EVENTS, Notice
from core.view.comparison import HEADS, cells_html, small_curve

RESULT = review(study(), timeline())


def row(result=RESULT, refused: str = "") -> ModelRow:
    return ModelRow(
        "k", "T", "concat", ("image", "ehr"), result, refused, Measured(0.76, 0.74, 0.78), Measured(1.1, 0.9, 1.3)
    )


def _drawn(image: str) -> str:
    """The picture behind an image element."""
    found = re.search(r"base64,([^\"]+)", image)
    assert found is not None
    return base64.b64decode(found[1]).decode()


def test_every_head_has_its_cell():
    reads, curve, risk, observed, concordance, ratio = cells_html(row(), 90)
    assert len(HEADS) == 7
    assert reads == "CT + record" or "+" in reads
    assert "<svg" in _drawn(curve)
    assert re.fullmatch(r"<b>\d+(\.\d)?%</b>", risk)
    assert " to " in observed
    assert "0.76" in concordance
    assert "0.74 to 0.78" in concordance
    assert "1.10" in ratio


def test_a_number_that_does_not_apply_stands_behind_its_reason():
    doubted = replace(RESULT, notices=(Notice(FEW_EVENTS, "warning", "x"),), given={})
    _, curve, risk, observed, *_ = cells_html(row(doubted), 90)
    assert "not shown" in risk
    assert "few events" in risk
    assert "<b>" not in risk
    assert observed == "no range"
    assert 'stroke-dasharray="4 3"' in _drawn(curve)


def test_a_model_that_refuses_says_why_and_draws_nothing():
    cells = cells_html(row(None, "reads nothing of this case"), 90)
    assert "reads nothing of this case" in cells[2]
    assert cells[1] == ""


def test_the_small_curve_ends_where_the_curve_does():
    points = re.search(r'<polyline points="([^"]+)"', _drawn(small_curve(RESULT, 90)))
    assert points is not None
    xy = [tuple(map(float, point.split(","))) for point in points[1].split()]
    assert xy[0] == (0, 0)
    assert xy[-1][1] == pytest.approx(34 * RESULT.curve.risk_at(365), abs=0.1)
    assert [y for _, y in xy] == sorted(y for _, y in xy)


def test_shipped_models_tell_concordance_and_calibration_at_their_horizons():
    bundle = load_bundle(shipped_bundles()["mace/concat"])
    concordance, ratio = measured_on_held_out(bundle.metrics, 365)
    assert concordance is not None
    assert concordance.lower < concordance.value < concordance.upper
    assert ratio is not None
    assert ratio.value == pytest.approx(0.688, abs=1e-3)
    assert measured_on_held_out(bundle.metrics, 17) == (concordance, None)
    assert measured_on_held_out({}, 365) == (None, None)
