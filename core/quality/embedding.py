"""Where a case lies among the training patients, by the distance of its fused encoding to its nearest neighbours."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from core.quality.limits import LIMITS
from core.quality.report import Factor

NEIGHBOURS = 5
LEAST_PATIENTS = 4 * NEIGHBOURS
_AMONG = "what the model makes of this case lies among its training patients; what it does not look at may still differ"
"""The fused encoding is all that is compared: a scan of nothing but noise may pass, where the record decides."""


def nearer_share(embedding: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    """Share of training patients (n, d) that lie nearer to their neighbours than this case (d,) does; 0 to 1.

    NaN with fewer than 20 training patients.
    """
    return distances(embedding, reference)[0]


def distances(embedding: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> tuple[float, float]:
    """(`nearer_share`, distance of the case over the median distance of training patients).

    Distance: mean Euclidean to the 5 nearest, columns scaled by their training standard deviation; a training patient's
    own distance leaves itself out. NaN with fewer than 20 training patients.
    """
    if len(reference) < LEAST_PATIENTS:
        return float("nan"), float("nan")
    spread = reference.std(axis=0)
    scale = np.where(spread > 1e-6 * max(float(spread.max()), 1e-12), spread, np.inf)
    tree = cKDTree(reference / scale)
    own = np.asarray(tree.query(reference / scale, NEIGHBOURS + 1)[0])[:, 1:].mean(axis=1)
    distance = float(np.mean(tree.query(embedding / scale, NEIGHBOURS)[0]))
    return float((own < distance).mean()), distance / max(float(np.median(own)), 1e-12)


def embedding_factor(
    embedding: npt.NDArray[np.float32], reference: pd.DataFrame, missing: Collection[str] = ()
) -> Factor:
    """Verdict on the distance of a case (d,) to the training patients of a bundle's reference table.

    missing: inputs that the model reads and this case lacks, in words; the patients it is compared with had both.
    """
    share, times = distances(embedding, reference_embeddings(reference))
    verdict = LIMITS["likeness"].judge(share)
    if verdict == "unknown":
        needed = f"{LEAST_PATIENTS} are needed to compare"
        return Factor("likeness", verdict, "too few training patients", needed, "fused")
    part = f"{min(100 * share, 99.9):.3g}% of training patients"
    found = f"{times:.2g} times the usual distance, farther from its nearest neighbours than {part} are from theirs"
    far = "the model saw few patients like this one in training, or none"
    if missing and verdict != "in":
        far = f"the training patients compared with had a {' and a '.join(missing)}, which this case lacks"
    usual, edge = (f"{100 * ends[1]:g}%" for ends in (LIMITS["likeness"].usual, LIMITS["likeness"].edge))
    compared = f"usual at most {usual} of training patients, edge at most {edge}"
    reason = _AMONG if verdict == "in" else far
    return Factor("likeness", verdict, found, reason, "fused", compared)


def reference_embeddings(reference: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Columns embedding_0, embedding_1, ... of a bundle's reference table, float32 (n, d)."""
    names = sorted((c for c in reference.columns if c.startswith("embedding_")), key=lambda c: int(c.split("_")[1]))
    return reference[names].to_numpy(np.float32)
