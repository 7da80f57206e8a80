"""The ECGs of a cohort folder: signals/index.parquet names them."""

from __future__ import annotations

import pandas as pd

from core.cohort.folder import CohortFolder
from core.errors import UserFacingError
from core.intake.signals.load import load_ecg
from core.records.ecg import Ecg

SIGNAL_INDEX = "signals/index.parquet"
COLUMNS = ("subject_id", "time", "modality", "path")
ECG = "ecg"


def ecgs_of(folder: CohortFolder, labels: pd.DataFrame) -> list[tuple[Ecg, ...]]:
    """The latest ECG of each labelled patient up to the prediction time, in the order of the labels; none without one.

    Raises UserFacingError where the index is not whole, or an ECG is missing or cannot be read.
    """
    file = folder.path / SIGNAL_INDEX
    if not file.is_file():
        return [()] * len(labels)
    try:
        index = pd.read_parquet(file, columns=list(COLUMNS))
    except (OSError, ValueError, KeyError) as error:
        raise UserFacingError(
            f"The file {SIGNAL_INDEX} cannot be read.", f"columns {', '.join(COLUMNS)}", "Check docs/data-model.md."
        ) from error
    index = index[index["modality"] == ECG].sort_values("time", kind="stable")
    by_subject = dict(iter(index.groupby("subject_id")))
    found: list[tuple[Ecg, ...]] = []
    for subject, when in zip(labels["subject_id"].tolist(), labels["prediction_time"], strict=True):
        rows = by_subject.get(subject)
        rows = rows[rows["time"] <= pd.Timestamp(when)] if rows is not None else None
        if rows is None or rows.empty:
            found.append(())
            continue
        path = (folder.path / str(rows["path"].iloc[-1])).resolve()
        if folder.path.resolve() not in path.parents:
            raise UserFacingError(
                f"A path in {SIGNAL_INDEX} leads out of the cohort.", "files inside it", "Correct it."
            )
        found.append((load_ecg(path),))
    return found
