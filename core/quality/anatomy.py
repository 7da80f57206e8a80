"""Every number that the picture of a chest is read with, with its unit and where it comes from.

A fact is followed by its source. A number that was chosen says so: how verdicts change where it is a quarter smaller or
larger stands in docs/results/quality_constants.md (`python -m bench.quality_constants`). Heights are relative to the
lungs: 0 at their lower, 1 at their upper end. Limits of verdicts stand in `limits.py`.
"""

from __future__ import annotations

BODY_HU = -300
"""Between fat (-120 to -80 HU) and lung (-950 to -500 HU); where between them was chosen."""
TISSUE_HU = -200
"""Below fat (-120 to -80 HU) by more than the noise of a scan, above lung; where below it was chosen."""
BONE_HU = (200, 2000)
"""Spongy bone begins at 100 to 300 HU, cortical bone stays below 2,000 HU; the lower end was chosen."""
PLAIN_AIR_HU = -890
"""Air is -1000 HU by definition, lung at full breath about -850 HU in the mean; the value between them was chosen."""
WINDPIPE_HU = -850
"""The windpipe holds air, -1000 HU by definition; the value was chosen so that points at its wall count."""
COUCH_HU = -700
"""Above air (-1000 HU) by more than the noise of a scan; chosen."""
SOLID_HU = (10, 220)
"""Liver: 40 to 70 HU, to 120 with contrast in the portal veins; how much room there is for noise was chosen."""
LOOSE_HU = -20
"""Upper end of fat (-120 to -80 HU) and gas, with room for noise and points shared with tissue; chosen."""

LUNG_EDGE_SHARE = 0.005
"""Share of the lungs left out at either end before heights begin; chosen."""
LUNG_RANGE_PERCENT = 2
"""Percentile of the lungs' points from either side at which their range across ends; chosen."""

GAP_HEIGHT = 1 / 3
"""The lowest and the highest third of the lungs are compared; chosen."""
GAP_SCALE, GAP_WEIGHT = 0.2, 1.0
"""Difference of shares of the gap that counts fully, and its weight; chosen."""
WINDPIPE_HEIGHT = 0.3
"""It divides at about the fifth thoracic vertebra, in the upper half of the lungs; how far to search was chosen."""
WINDPIPE_MM2 = (60, 700)
"""Upper limits in men, 25 mm across by 27 mm deep, make an ellipse of 530 mm2; the lower in women, 10 by 10 mm, one of
79 mm2 (Breatnach et al., AJR 1984). What is allowed beyond these was chosen."""
WINDPIPE_REACH_MM = 40
"""Farthest from the middle of the lungs that its centre may lie, with room for one that is shifted; chosen."""
WINDPIPE_SCALE, WINDPIPE_WEIGHT = 0.4, 1.0
"""Difference of shares of planes that counts fully, and its weight; chosen."""

SPINE_REACH_MM = 30
"""Half width of the midline: it holds a thoracic vertebral body, 25 to 45 mm wide, and the breastbone; chosen."""
SPINE_DEPTH = 0.2
"""Share of the lungs' depth from behind, and from before, in which bone is compared; chosen."""
SPINE_SCALE, SPINE_WEIGHT = 0.4, 1.5
"""Share of bone behind less before that counts fully, and its weight; chosen."""
RECESS_BASE = 0.25
"""Height below which lung lies mainly in the recess behind the diaphragm; chosen."""
RECESS_TOP = (0.5, 0.9)
"""Heights of the lungs that this is compared with; chosen."""
RECESS_SCALE_MM, RECESS_WEIGHT = 20, 0.5
"""Distance of the mean rows that counts fully, and its weight; chosen."""

SPINE_SEARCH_MM, SPINE_SEARCH_DEPTH = 45, 0.3
"""How far from the midline, and in which share of the lungs' depth from behind, the spine is sought; chosen: half a
vertebral body (at most 23 mm) and as much for a spine that is bent or a patient who lies turned."""

HEART_HEIGHTS = (0.25, 0.6)
"""Heights at which the heart lies between the lungs; chosen."""
HEART_REACH_MM = 110
"""Farthest from the spine: a heart is 10 to 15 cm wide, two thirds of it left of the midline; chosen."""
HEART_SCALE_MM, HEART_WEIGHT = 12, 0.5
"""Shift that counts fully, and its weight; chosen."""
AORTA_HEIGHTS = (0.35, 0.65)
"""Heights at which the descending aorta lies beside the spine and neither arch nor diaphragm is met; chosen."""
AORTA_ASIDE_MM, AORTA_BEFORE_MM = (12, 40), (5, 45)
"""Where it lies against the middle of the bone of the spine; it is 20 to 30 mm wide; chosen."""
AORTA_SCALE, AORTA_WEIGHT = 0.3, 0.5
"""Difference of shares that counts fully, and its weight; chosen."""
LIVER_HEIGHTS, LOOSE_HEIGHTS = (-0.3, 0.3), (-0.1, 0.2)
"""Heights at which solid liver, and fat and gas (stomach, colon, beside the heart), are compared; chosen."""
LIVER_ASIDE_MM, LIVER_BEFORE_MM = (25, 120), 10
"""Where both are compared, against the middle of the bone of the spine; chosen."""
LIVER_LUMP_MM, LIVER_FILLED = 20, 0.97
"""Solid is what lies within a cube of this side of which this share has liver's values; chosen."""
LIVER_SCALE, LIVER_WEIGHT = 0.15, 2.0
"""Difference of shares that counts fully, and its weight; chosen."""

COUCH_LEAST_SHARE = 0.02
"""Dense points outside the body, as a share of a coronal plane of the lattice, below which no couch is seen; chosen."""
COUCH_RATIO = 2
"""It lies on one side where that side has so many times the points of the other; chosen."""
CLEARANCE_STEPS = 2
"""Lattice steps around the body that belong to skin and clothes; chosen."""
