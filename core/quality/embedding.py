"""Where a case lies among the training patients: the distance of its fused encoding, and of each input's mean token, to
the nearest neighbours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from core.quality.limits import LIMITS
from core.quality.report import About, Factor
from core.records import MODALITIES, FloatArray

NEIGHBOURS = 5
LEAST_PATIENTS = 4 * NEIGHBOURS
PATIENTS_PER_AXIS = 10
"""Chosen. With hardly more patients than axes all of them lie equally far apart, and whoever is new lies farther."""
FAR_BEYOND = 2.0
"""Chosen: so many times as far as the farthest training patient is far, however few of them there are."""
_AMONG = "what the model makes of this case lies among its training patients; what it does not look at may still differ"
"""A scan of nothing but noise may pass here, where the record decides; `input_factors` look at each input."""
_MAIN_AXES = 32
_INPUTS: dict[str, tuple[str, About]] = {"image": ("scan", "image"), "ehr": ("record", "ehr")}


@dataclass(frozen=True)
class Place:
    """How far a case lies from its nearest training patients, by how far these lie from theirs.

    patients: of training; nearer: how many of them lie nearer. usual, farthest: the case's distance over the patients'
    median and largest one; NaN where too few patients are known.
    """

    patients: int
    nearer: int = 0
    usual: float = float("nan")
    farthest: float = float("nan")

    @property
    def share(self) -> float:
        """Rank of the case among all, itself included: nothing rarer than one in n + 1 can be told from n patients.
        One that lies far beyond all of them counts as 1; NaN where too few patients are known."""
        if self.patients < LEAST_PATIENTS:
            return float("nan")
        return 1.0 if self.farthest > FAR_BEYOND else self.nearer / (self.patients + 1)


def placed(embedding: FloatArray, reference: FloatArray) -> Place:
    """The place of a case (d,) among training patients (n, d), columns in order of their importance.

    Distance: mean Euclidean to the 5 nearest, columns scaled by their training standard deviation; a training patient's
    own distance leaves itself out. Of few patients only the first n // 10 columns count.
    """
    patients = len(reference)
    if patients < LEAST_PATIENTS:
        return Place(patients)
    axes = slice(patients // PATIENTS_PER_AXIS)
    known = reference[:, axes] / _spread(reference[:, axes])
    tree = cKDTree(known)
    own = np.asarray(tree.query(known, NEIGHBOURS + 1)[0])[:, 1:].mean(axis=1)
    distance = float(np.mean(tree.query(embedding[axes] / _spread(reference[:, axes]), NEIGHBOURS)[0]))
    usual, farthest = (distance / max(float(of), 1e-12) for of in (np.median(own), own.max()))
    return Place(patients, int((own < distance).sum()), usual, farthest)


def _spread(reference: FloatArray) -> FloatArray:
    """(d,) standard deviation of each column (n, d); infinite where it is none, so that the column does not count."""
    spread = reference.std(axis=0)
    return np.where(spread > 1e-6 * max(float(spread.max()), 1e-12), spread, np.inf)


def embedding_factor(embedding: FloatArray, reference: pd.DataFrame, missing: Collection[str] = ()) -> Factor:
    """Verdict on the distance of a case (d,) to the training patients of a bundle's reference table.

    missing: inputs that the model reads and this case lacks, in words; the patients it is compared with had both.
    """
    far = "the model saw few patients like this one in training, or none"
    if missing:
        far = f"the training patients compared with had a {' and a '.join(missing)}, which this case lacks"
    place = placed(embedding, reference_embeddings(reference))
    return _factor("likeness", "fused", place, {"in": _AMONG, "edge": far, "outside": far})


def input_factors(means: Mapping[str, FloatArray], reference: pd.DataFrame) -> tuple[Factor, ...]:
    """Verdict on each input by itself: the distance of its mean token (D,) to those of the training patients.

    means: by input, such as "image" or "ehr". What a fused encoding hides shows here: a scan of noise lies far off,
    though the record decides. An input whose mean tokens the reference table lacks is left out.
    """
    known = {name: reference_embeddings(reference, name) for name in means}
    return tuple(_input_factor(name, mean, known[name]) for name, mean in means.items() if known[name].size)


def _input_factor(name: str, mean: FloatArray, known: FloatArray) -> Factor:
    word, about = _INPUTS.get(name) or (MODALITIES[name].word, "fused")
    seen = {"in": "lies among those", "edge": "is unlike nearly all", "outside": "is unlike those"}
    reasons = {verdict: f"to the encoder this {word} {place} of training" for verdict, place in seen.items()}
    place = placed(*_on_main_axes(mean, known[np.isfinite(known).all(axis=1)]))
    return _factor(f"{word} likeness", about, place, reasons)


def _factor(name: str, about: About, place: Place, reasons: Mapping[str, str]) -> Factor:
    """The verdict on a place, with the reason for it."""
    limit = LIMITS["likeness"]
    verdict = limit.judge(place.share)
    if verdict == "unknown":
        return Factor(name, verdict, "too few training patients", f"{LEAST_PATIENTS} are needed to compare", about)
    part = "all" if place.nearer == place.patients else f"{place.nearer:,} of"
    found = f"{place.usual:.2g} times the usual distance, farther from its nearest neighbours than {part} "
    found += f"{place.patients:,} training patients are from theirs"
    usual, edge = (f"{100 * most:g}%" for _, most in (limit.usual, limit.edge))
    compared = f"usual at most {usual} of training patients, edge at most {edge}"
    return Factor(name, verdict, found, reasons[verdict], about, compared)


def _on_main_axes(mean: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A case (D,) and training patients (n, D) on at most 32 principal axes of the latter's standardised columns."""
    if len(known) < LEAST_PATIENTS:
        return mean, known
    scale = _spread(known)
    standard = (known - known.mean(axis=0)) / scale
    axes = np.linalg.svd(standard, full_matrices=False)[2][:_MAIN_AXES].T
    return ((mean - known.mean(axis=0)) / scale) @ axes, standard @ axes


def reference_embeddings(reference: pd.DataFrame, name: str = "embedding") -> FloatArray:
    """Columns <name>_0, <name>_1, ... of a bundle's reference table, float32 (n, d); d is 0 where there are none."""
    numbers = sorted(int(found[1]) for c in reference.columns if (found := re.fullmatch(rf"{name}_(\d+)", str(c))))
    return reference[[f"{name}_{number}" for number in numbers]].to_numpy(np.float32)
