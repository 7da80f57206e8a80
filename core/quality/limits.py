"""Every threshold of the quality gate's verdicts, with its source, in one place.

Training population of the shipped models: the virtual cohort of 1,500 patients a task, internal site
(`core.virtual.sampling`), measured with the very functions of this package. Physics and literature are named where they
decide. Below `edge` or beyond it a value is outside; between `edge` and `usual` it is at the edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.quality.report import Verdict
from core.wording import true_minus


@dataclass(frozen=True)
class Limit:
    """usual: (low, high) of what is like training. edge: (low, high) of what is merely unusual. source: where from."""

    usual: tuple[float, float]
    edge: tuple[float, float]
    source: str

    def judge(self, value: float) -> Verdict:
        """Verdict on a value; NaN is unknown.

        >>> LIMITS["noise"].judge(20.0), LIMITS["noise"].judge(40.0), LIMITS["noise"].judge(90.0)
        ('in', 'edge', 'outside')
        """
        if math.isnan(value):
            return "unknown"
        if self.usual[0] <= value <= self.usual[1]:
            return "in"
        return "edge" if self.edge[0] <= value <= self.edge[1] else "outside"

    def words(self, unit: str = "") -> str:
        """Both ranges with their unit, as a reader sees them beside the number.

        >>> LIMITS["noise"].words("HU"), LIMITS["slice_count"].words()
        ('usual 10 to 33 HU, edge 1 to 45 HU', 'usual at least 30, edge at least 20')
        """
        return f"usual {_range_words(self.usual, unit)}, edge {_range_words(self.edge, unit)}"

    def scaled(self, factor: float) -> Limit:
        """The same limit in another unit."""
        usual, edge = (tuple(factor * end for end in ends) for ends in (self.usual, self.edge))
        return Limit(usual, edge, self.source)  # type: ignore[arg-type]


def _range_words(limits: tuple[float, float], unit: str) -> str:
    low, high = (true_minus(f"{value:,.6g}" if abs(value) < 1e4 else f"{value:,.0f}") for value in limits)
    if math.isinf(limits[1]):
        return "any" if limits[0] == 0 else f"at least {low} {unit}".rstrip()
    if limits[0] == limits[1]:
        return f"{low} {unit}".rstrip()
    return f"{low} to {high} {unit}".rstrip()


_ANY = math.inf

METAL_HU = 2800
"""Above this lies metal or undiluted contrast: cortical bone stays below 2,000 HU."""
CLIPPED_VOXELS = 8
"""So many connected voxels at the very largest value, below METAL_HU, are the end of the scale and not anatomy."""
DARK_HU, LEAST_DARK_SHARE = -500, 0.001
"""Every scan holds something darker than this: air around the patient, lung, or gas in the bowel."""
SMOOTHED_HU = 4
"""Noise below this does not come from a scanner: the image was filtered."""
PADDED_HU = -1020
"""A peak of air down here is the fill value of what was not scanned, and says nothing of the scale."""
FILLED_CORNERS = 0.9
"""From this share of corner points with one value on, that is a fill value, as scanned air has noise; chosen."""
LEAST_NEIGHBOURS = 8
"""Slices below which what is usual between neighbours cannot be told: seven steps are what a median is taken over."""
STREAKS = 1.5
"""Noise in the planes of metal over that elsewhere, from which on it is worth a word."""
SHARP_KERNEL = 50
"""The number in the name of a kernel (Siemens, Canon) from which on it enhances edges."""

LIMITS: dict[str, Limit] = {
    "slice_count": Limit((30, _ANY), (20, _ANY), "lungs are 20 to 30 cm high; at 5 mm that is 40 to 60 slices"),
    "made_up_share": Limit((0, 0), (0, 0.1), "a slice that was scanned differs from its neighbours by its own noise"),
    "slice_step_mm": Limit((0.2, 5.05), (0.1, 6.0), "the encoder reads a plane every 5 mm"),
    "pixel_mm": Limit((0.2, 2.05), (0.1, 3.0), "the encoder reads a pixel every 2 mm; virtual scans have 2 mm"),
    "step_change": Limit(
        (0, 1.75), (0, 2.5), "largest over usual change between neighbours: at most 1.62 in 34 intact scans"
    ),
    "slice_shift_mm": Limit(
        (0, 1.5), (0, 3.5), "unshared sideways shift between neighbours: at most 0.9 mm in 7 intact real scans"
    ),
    "tube_voltage_kv": Limit((100, 140), (70, 150), "chest CT; iodine is 1.6 times brighter at 80 than at 120 kV"),
    "noise": Limit((10, 33), (1, 45), "virtual training scans: 10 to 30 HU; below 4 HU an image was smoothed"),
    "air_hu": Limit(
        (-1020, -980), (-1045, -955), "air is -1000 HU by definition; -1013 to -996 HU in 126 intact scans"
    ),
    "fat_hu": Limit((-116, -88), (-130, -75), "fat at 100 to 140 kV: -115 to -85 HU; 126 intact scans: -108 to -98"),
    "tissue_hu": Limit((5, 95), (-15, 130), "muscle and liver: 40 to 70 HU, effusion 0 to 20, enhanced liver to 120"),
    "lung_cut": Limit(
        (0, 0.04), (0, 0.15), "share of the largest lung section cut at a face; virtual scans: below 0.02"
    ),
    "lung_ml": Limit((1600, 9000), (800, 12000), "total lung capacity 4 to 8 L; virtual training scans from 1.6 L"),
    "metal_ml": Limit(
        (0, 0.1), (0, 3.0), "dense contrast in a vein reached 2.5 mL in one of 60 virtual scans; a pacemaker is larger"
    ),
    "contrast_present": Limit(
        (130, 900), (90, 900), "unenhanced blood 30 to 60 HU; virtual training scans 145 to 400 HU"
    ),
    "contrast_absent": Limit((0, 90), (-20, 130), "unenhanced blood 30 to 60 HU; virtual training scans 35 to 60 HU"),
    "likeness": Limit(
        (0, 0.95), (0, 0.995), "share of training patients whose own neighbours are nearer: by definition 5% lie beyond"
    ),
    "scan_day": Limit((-1, 1), (-7, 1), "tasks count from the CT; what is acute changes within a week"),
    "years_apart": Limit((0, 2), (0, 5), "ages are whole years, and a birth date may be its year alone"),
    "known_codes": Limit((0.8, 1), (0.5, 1), "share of events whose code has a place in the model's vocabulary"),
}

CONTRAST_UNSURE_HU = (LIMITS["contrast_absent"].usual[1], LIMITS["contrast_present"].usual[0])
"""Blood between these may be enhanced a little or not at all."""

VIRTUAL_RECORD: dict[str, Limit] = {
    "events": Limit((45, 215), (10, 400), "virtual training records: 46 to 215 events; at most 256 are read"),
    "length_days": Limit(
        (260, 2580), (30, 7300), "virtual training records: 99.5% are longer than 260 days, none than 2,581"
    ),
    "last_event_days": Limit((0, 31), (0, 183), "virtual training records: last visit at most 31 days before day 0"),
}
ANY_RECORD: dict[str, Limit] = {
    "events": Limit((10, _ANY), (1, _ANY), "fewer than 10 events say little of a patient"),
    "length_days": Limit(
        (30, 36525), (0, 43830), "a month of history shows no chronic disease; nobody's record is longer than 120 years"
    ),
    "last_event_days": Limit((0, 365), (0, _ANY), "a record silent for a year may have moved elsewhere"),
}
"""Records, for models of virtual patients, and where the training records are not known."""

ORIENTATION_IN, ORIENTATION_OUTSIDE = 0.05, -0.25
"""Scores run from -1 (reversed) to 1 (upright); 126 upright scans gave at least 0.07 on every axis."""
LEAST_LUNG_HEIGHT_MM = 60.0
"""Below this height of lung neither its tops nor the heart's side can be made out."""
TWO_LUNGS, TURNED_LUNGS = 0.2, 0.45
"""Tissue between lung and lung along an axis, over the lungs: 0.29 to 1.8 from right to left where both lungs are in
the scan (126 scans, upper and lower halves too), 0.05 to 0.16 in 14 with one lung. Where another axis has more than the
second number, two lungs lie along that one."""
TURNED = 1.25
"""An axis with so many times the tissue between lungs that its rival has lies where the header says the other lies;
upright scans have 1.4 to 3.3 times as much from right to left as from front to back."""
