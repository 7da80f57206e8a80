"""Words of the page that `bench.quality_constants` writes."""

INTRODUCTION = """# Numbers that the quality gate measures with: how verdicts depend on them

Made by `python -m bench.quality_constants docs/results/quality_constants.md` (the real scans lie in
`../shared/data/ct`, or in the folder of `--real`).

`core/quality/anatomy.py`, `voxels.py` and `motion.py` say of each number whether it is a fact, with its source, or
was chosen. Here each is made a quarter smaller and a quarter larger, one at a time, the others staying as they are.
Whole counts go to the nearest whole numbers that differ, 0 HU goes to -30 and 30 HU. Of values near an end of their
scale, air at -1000 HU or a share of 1, the distance from that end is changed too, on a line of its own ("from
-1000").

Cases of orientation: the lattice of each scan as given, flipped along each of its three axes, and with two axes
exchanged in each of the three ways. Cases of the other factors: the scan as given, and with a fault planted: the
upper half shifted 4 mm sideways; 15 mm of slices lost; one slice a copy, one the mean of its neighbours; noise of 60
HU added; 90 HU added; a task that expects the other contrast.

A cell holds the new value; how many verdicts (in, edge, outside, unknown) changed; how many of these from right to
wrong, which is a scan as given that is no longer *in* or a fault that now is; in how many cases the sign of a score
of orientation changed (as given and flipped; scores mean nothing where axes are exchanged); and how many scans this
met, with Wilson's 95% interval over scans. `0` is no change in any case: for 19 scans the interval is 0% to 16.8%.
All virtual chests share the anatomy of one real scan, the app's own, and two real scans are of one patient, so that
intervals are rather too narrow. The least score is that of any scan as given.
"""

READING = """## What this says

- **Orientation hardly depends on the numbers that were chosen.** Of 142 changes 23 changed any verdict or sign, and
  none made a flipped or turned scan *in*. Weights and scales of left and right and of up and down changed nothing.
  The whole chests are of five real people, and of virtual ones who share the anatomy of one of these.
- **One scan makes 12 of these 23**: the crop round the heart (ct_cropped), in which front and back score +0.07, just
  above the limit of 0.05. A quarter more or less of `BONE_HU[0]`, `SPINE_REACH_MM`, `SPINE_SCALE`, `SPINE_WEIGHT`,
  `RECESS_BASE`, `RECESS_SCALE_MM`, `RECESS_WEIGHT`, `LUNG_RANGE_PERCENT` or `PLAIN_AIR_HU` makes it *edge*.
  `WINDPIPE_HU` matters most: at -812, -637 and -1,062 HU the crop's score of up and down falls below 0 (*edge*), and
  with it, as later questions are asked of the chest turned over, the other scores change sign. In the 18 other scans
  no quarter changes the sign of any score.
- **`TURNED_LUNGS` is fragile upwards.** At 0.56 instead of 0.45, 18 of 57 scans with exchanged axes, in 11 of 19
  scans, are no longer *outside* but *unknown*, as if they held one lung. None becomes *in*. One is *unknown* as the
  numbers are.
- **The couch raises one false alarm as the numbers are**: fat in front of the chest of a virtual patient (external
  site, seed 78), cut off from the body by the opening of `Thorax.body_tissue`, counts as a couch, and the patient as
  prone (*edge*). `BODY_HU`, `CLEARANCE_STEPS` and `COUCH_HU` add one more such scan or remove this one.
- **The scale of values rests on `RANGE_HU` and `PEAK_RANGES_HU` standing well apart.** What is denser than the upper
  end of `RANGE_HU` piles up there; where the range of soft tissue reaches that end (the one at 225, or the other at
  312 HU), the pile is taken for the peak of tissue and the verdict turns from *in* to *unknown* in 8 and 5 scans. At
  -825 HU air itself is left out, and a scale that is 90 HU too high is *edge* instead of *outside* in 11 scans.
- The crop's peak of lung is taken for air, and its scale called *outside*, where `NARROW_SHARE` is 0.41 or
  `NARROW_HU[0]` 25. `CELL_MM` of 3 makes one virtual scan's scale *edge*, `SMOOTH_CELLS` of 1.9 another's motion.
- Lost slices: with six steps on either side, the 15 mm lost in one 8 mm series are missed. Noise: only verdicts near
  the limit of 33 or 10 HU move, all from *edge* to *in*. Copies and contrast: nothing changes.

Nothing was tuned after this.
"""
