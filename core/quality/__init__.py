"""Quality and acceptability of one case: what an expert checks before believing a prediction.

`assess` looks at scan, record and model and gives one verdict a factor: in (like the training population), edge
(unusual), outside (not comparable), or unknown (cannot be judged). Verdicts never block; outside marks the prediction.
"""

from __future__ import annotations

from core.quality.assess import assess, population_notice
from core.quality.pair import other_person, pair_notices, scan_day
from core.quality.record import RecordRead, is_thin
from core.quality.report import Factor, QualityReport, Verdict
from core.quality.scan import ScanMeasures, measure_scan

__all__ = [
    "Factor",
    "QualityReport",
    "RecordRead",
    "ScanMeasures",
    "Verdict",
    "assess",
    "is_thin",
    "measure_scan",
    "other_person",
    "pair_notices",
    "population_notice",
    "scan_day",
]
