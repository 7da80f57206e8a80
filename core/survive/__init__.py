"""Survival: outcome statistics (this list), and the heads, likelihoods and curves of the models.

Every estimate carries its estimator, horizon, weights, interval method, patients and events.
"""

from core.survive.metrics.antolini import antolini_concordance
from core.survive.metrics.brier import (
    brier_score,
    cumulative_dynamic_auc,
    integrated_brier_score,
    reference_survival,
)
from core.survive.metrics.calibration import (
    CalibrationGroups,
    ObservedExpected,
    SmoothCalibration,
    calibration_groups,
    observed_expected,
    smooth_calibration,
)
from core.survive.metrics.compare import PairedDifference, holm, paired_bootstrap
from core.survive.metrics.concordance import (
    Concordance,
    ConcordanceInterval,
    bootstrap_concordance,
    concordance,
)
from core.survive.metrics.d_calibration import DCalibration, d_calibration
from core.survive.metrics.kaplan_meier import (
    KaplanMeier,
    StepFunction,
    censoring_survival,
    event_survival,
    kaplan_meier,
)

__all__ = [
    "CalibrationGroups",
    "Concordance",
    "ConcordanceInterval",
    "DCalibration",
    "KaplanMeier",
    "ObservedExpected",
    "PairedDifference",
    "SmoothCalibration",
    "StepFunction",
    "antolini_concordance",
    "bootstrap_concordance",
    "brier_score",
    "calibration_groups",
    "censoring_survival",
    "concordance",
    "cumulative_dynamic_auc",
    "d_calibration",
    "event_survival",
    "holm",
    "integrated_brier_score",
    "kaplan_meier",
    "observed_expected",
    "paired_bootstrap",
    "reference_survival",
    "smooth_calibration",
]
