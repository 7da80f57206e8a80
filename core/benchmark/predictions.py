"""Prediction files: what each column must hold, and that several files tell of the same patients.

Columns: subject_id, prediction_time, time_to_event_days, event, risk (higher = earlier event), and survival_<h>d, the
predicted S(h), for each task horizon. A survival column is empty as a whole where the model's follow-up does not reach
that horizon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.concordance import concordance
from core.survive.metrics.pairs import patient_groups

COLUMNS = ("subject_id", "prediction_time", "time_to_event_days", "event", "risk")
KEY = ["subject_id", "prediction_time"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """One checked prediction file. time_days, event, risk (n,); survival (n, h) at horizons_days (h,)."""

    name: str
    time_days: Float64Array
    event: npt.NDArray[np.bool_]
    risk: Float64Array
    survival: Float64Array
    horizons_days: tuple[int, ...]
    groups: npt.NDArray[np.int64]


def read_predictions(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Prediction tables by model name, checked, with the rows of all in the same order.

    Raises UserFacingError on unreadable files, missing columns or values, repeated rows, and files that differ in
    patients, outcomes or horizons.
    """
    names = _names(list(paths))
    return _aligned([_read(path) for path in paths], names)


def check_table(table: pd.DataFrame, name: str) -> Predictions:
    """One prediction table as arrays, or a UserFacingError that says what is wrong with it."""
    missing = [column for column in COLUMNS if column not in table.columns]
    horizons = sorted(
        int(match[1]) for column in table.columns if (match := re.fullmatch(r"survival_(\d+)d", str(column)))
    )
    if missing or not horizons:
        lacking = ", ".join(missing or ["survival_<days>d"])
        raise UserFacingError(
            f"The predictions of {name} lack: {lacking}.",
            ", ".join([*COLUMNS, "and one survival_<days>d column for each horizon"]),
            "Write the file with the predict command.",
        )
    if not len(table):
        raise UserFacingError(f"The predictions of {name} are empty.", "one row for each patient", "Predict again.")
    survival_columns = [f"survival_{days}d" for days in horizons]
    needed = table[list(COLUMNS)].join(table[survival_columns].dropna(axis=1, how="all"))
    if needed.isna().any().any() or table.duplicated(KEY).any():
        found = "missing values" if needed.isna().any().any() else "repeated rows for one patient and prediction time"
        raise UserFacingError(
            f"The predictions of {name} hold {found}.",
            "one complete row for each patient and prediction time",
            "Predict again and check the cohort's labels.",
        )
    texts = [name for name in (*COLUMNS[2:], *survival_columns) if not _is_of_numbers(table[name])]
    if texts:
        raise UserFacingError(
            f"The predictions of {name} hold texts in: {', '.join(texts)}.",
            "numbers, and 1 or 0 for an event seen or not",
            "Recode these columns.",
        )
    survival = table[survival_columns].to_numpy(np.float64)
    if (survival < 0).any() or (survival > 1).any() or (np.diff(survival, axis=1) > 1e-6).any():
        raise UserFacingError(
            f"The survival columns of {name} are not survival curves.",
            "probabilities between 0 and 1 that never rise with the horizon",
            "Check the model that wrote the file.",
        )
    time, event, risk = (table[column].to_numpy(np.float64) for column in COLUMNS[2:])
    concordance(time, event, risk)
    groups = patient_groups(table["subject_id"].to_numpy(), len(table))
    return Predictions(name, time, event.astype(bool), risk, survival, tuple(horizons), groups)


def _is_of_numbers(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(values) or bool(values.isna().all())


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserFacingError(
            f"The prediction file {path.name} cannot be read.",
            "a parquet file written by the predict command",
            "Check the path and predict again.",
        ) from error


def _names(paths: list[Path]) -> list[str]:
    """File names without ending; with the folder's name in front where two files share one."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    longer = [f"{path.resolve().parent.name}/{path.stem}" for path in paths]
    if len(set(longer)) < len(longer):
        raise UserFacingError(
            "Two prediction files have the same name.",
            "one name for each model",
            "Rename the files after their models.",
        )
    return longer


def reference_name(reference: str | Path | None, names: list[str], paths: Sequence[Path]) -> str:
    """The model that `reference` (a path, file or model name; None: the first) stands for; or a UserFacingError."""
    if reference is None:
        return names[0]
    for name, path in zip(names, paths, strict=True):
        if str(reference) in (name, str(path), path.name) or Path(reference).resolve() == path.resolve():
            return name
    raise UserFacingError(
        f"The reference {Path(reference).name} is not among the predictions.",
        "one of " + ", ".join(names),
        "Name one of the prediction files as the reference.",
    )


def _aligned(tables: list[pd.DataFrame], names: list[str]) -> dict[str, pd.DataFrame]:
    """Tables sorted alike; refuses files of different patients or outcomes."""
    for table, name in zip(tables, names, strict=True):
        check_table(table, name)
    ordered = [table.sort_values(KEY, kind="stable").reset_index(drop=True) for table in tables]
    first = ordered[0]
    for table, name in zip(ordered[1:], names[1:], strict=True):
        if len(table) != len(first) or not (table[KEY].to_numpy() == first[KEY].to_numpy()).all():
            raise UserFacingError(
                f"The files {names[0]} and {name} hold different patients or prediction times.",
                "the same patients in every file",
                "Predict the same split of the same cohort with every model.",
            )
        outcome = ["time_to_event_days", "event"]
        if not np.allclose(table[outcome].to_numpy(np.float64), first[outcome].to_numpy(np.float64)):
            raise UserFacingError(
                f"The files {names[0]} and {name} give the same patients different outcomes.",
                "predictions of one task on one cohort",
                "Check that the files belong to the same task.",
            )
    return dict(zip(names, ordered, strict=True))
