"""Where a case lies among the training patients, by the distance of its fused encoding to its nearest neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from core.quality.limits import LIMITS
from core.quality.report import Factor

NEIGHBOURS = 5
LEAST_PATIENTS = 4 * NEIGHBOURS


def nearer_share(embedding: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    """Share of training patients (n, d) that lie nearer to their neighbours than this case (d,) does; 0 to 1.

    Distance: mean Euclidean to the 5 nearest, columns scaled by their training standard deviation; a training patient's
    own distance leaves itself out. NaN with fewer than 20 training patients.
    """
    if len(reference) < LEAST_PATIENTS:
        return float("nan")
    spread = reference.std(axis=0)
    scale = np.where(spread > 1e-6 * max(float(spread.max()), 1e-12), spread, np.inf)
    tree = cKDTree(reference / scale)
    own = np.asarray(tree.query(reference / scale, NEIGHBOURS + 1)[0])[:, 1:].mean(axis=1)
    distance = float(np.mean(tree.query(embedding / scale, NEIGHBOURS)[0]))
    return float((own < distance).mean())


def embedding_factor(embedding: npt.NDArray[np.float32], reference: pd.DataFrame) -> Factor:
    """Verdict on the distance of a case (d,) to the training patients of a bundle's reference table."""
    share = nearer_share(embedding, reference_embeddings(reference))
    verdict = LIMITS["likeness"].judge(share)
    if verdict == "unknown":
        needed = f"{LEAST_PATIENTS} are needed to compare"
        return Factor("likeness", verdict, "too few training patients", needed, "fused")
    part = f"{min(100 * share, 99.9):.3g}%"
    found = f"farther from its nearest neighbours than {part} of training patients are from theirs"
    far = f"farther from the training patients than {part} of them are from each other"
    return Factor("likeness", verdict, found, "patients like this one were seen" if verdict == "in" else far, "fused")


def reference_embeddings(reference: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Columns embedding_0, embedding_1, ... of a bundle's reference table, float32 (n, d)."""
    names = sorted((c for c in reference.columns if c.startswith("embedding_")), key=lambda c: int(c.split("_")[1]))
    return reference[names].to_numpy(np.float32)
