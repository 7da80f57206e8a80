"""Where a case lies among the training patients: the distance of its fused encoding, and of each input's mean token, to
the nearest neighbours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from core.quality.limits import LIMITS
from core.quality.report import About, Factor
from core.records import FloatArray

NEIGHBOURS = 5
LEAST_PATIENTS = 4 * NEIGHBOURS
_AMONG = "what the model makes of this case lies among its training patients; what it does not look at may still differ"
"""A scan of nothing but noise may pass here, where the record decides; `input_factors` look at each input."""
_MAIN_AXES = 32
_INPUTS: dict[str, tuple[str, About]] = {"image": ("scan", "image"), "ehr": ("record", "ehr")}


def distances(embedding: FloatArray, reference: FloatArray) -> tuple[float, float]:
    """(share of training patients (n, d) that lie nearer to their neighbours than this case (d,), its distance over
    their median distance).

    Distance: mean Euclidean to the 5 nearest, columns scaled by their training standard deviation; a training patient's
    own distance leaves itself out. NaN with fewer than 20 training patients.
    """
    if len(reference) < LEAST_PATIENTS:
        return float("nan"), float("nan")
    scale = _spread(reference)
    tree = cKDTree(reference / scale)
    own = np.asarray(tree.query(reference / scale, NEIGHBOURS + 1)[0])[:, 1:].mean(axis=1)
    distance = float(np.mean(tree.query(embedding / scale, NEIGHBOURS)[0]))
    return float((own < distance).mean()), distance / max(float(np.median(own)), 1e-12)


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
    placed = distances(embedding, reference_embeddings(reference))
    return _factor("likeness", "fused", placed, {"in": _AMONG, "edge": far, "outside": far})


def input_factors(means: Mapping[str, FloatArray], reference: pd.DataFrame) -> tuple[Factor, ...]:
    """Verdict on each input by itself: the distance of its mean token (D,) to those of the training patients.

    means: by input, "image" or "ehr". What a fused encoding hides shows here: a scan of noise lies far off, though the
    record decides. An input whose mean tokens the reference table lacks is left out.
    """
    known = {name: reference_embeddings(reference, name) for name in means}
    return tuple(_input_factor(name, mean, known[name]) for name, mean in means.items() if known[name].size)


def _input_factor(name: str, mean: FloatArray, known: FloatArray) -> Factor:
    word, about = _INPUTS[name]
    seen = {"in": "lies among those", "edge": "is unlike nearly all", "outside": "is unlike those"}
    reasons = {verdict: f"to the encoder this {word} {place} of training" for verdict, place in seen.items()}
    placed = distances(*_on_main_axes(mean, known[np.isfinite(known).all(axis=1)]))
    return _factor(f"{word} likeness", about, placed, reasons)


def _factor(name: str, about: About, placed: tuple[float, float], reasons: Mapping[str, str]) -> Factor:
    """The verdict on what `distances` gave, with the reason for it."""
    share, times = placed
    limit = LIMITS["likeness"]
    verdict = limit.judge(share)
    if verdict == "unknown":
        return Factor(name, verdict, "too few training patients", f"{LEAST_PATIENTS} are needed to compare", about)
    part = f"{min(100 * share, 99.9):.3g}% of training patients"
    found = f"{times:.2g} times the usual distance, farther from its nearest neighbours than {part} are from theirs"
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
