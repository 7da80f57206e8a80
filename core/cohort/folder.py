"""The cohort folder: MEDS events, splits, labels, task cards and images (layout in docs/data-model.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from meds.schema import CodeMetadataSchema, DataSchema, SubjectSplitSchema

from core.cohort.tasks import TASKS
from core.encode.ehr.cohort import CohortRecords
from core.errors import UserFacingError
from core.intake.record.cohort_columns import Cohort, Labels, open_cohort
from core.intake.record.meds_columns import units_in_codes
from core.records import Task
from core.wording import count_of

SPLITS = ("train", "tuning", "held_out")
EVENT_COLUMNS = ("subject_id", "time", "code", "numeric_value")
IMAGE_INDEX = "images/index.parquet"
LABEL_COLUMNS = ("subject_id", "prediction_time", "time_to_event_days", "event")
_NEXT = "Check it against docs/data-model.md (A cohort folder), or make one with `python -m core simulate`."


class CohortFolder:
    """Reader of a cohort folder. Pieces are read when asked for; a missing or broken piece raises `UserFacingError`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserFacingError("The cohort folder does not exist.", "a folder with data, metadata and labels", _NEXT)
        for name in ("data", "metadata", "labels"):
            if not (self.path / name).is_dir():
                raise UserFacingError(f"The cohort folder has no folder {name}.", f"a folder {name} inside it", _NEXT)

    @cached_property
    def splits(self) -> pd.DataFrame:
        """subject_id (int64), split (train, tuning or held_out), one row a subject."""
        table = self._table("metadata/subject_splits.parquet", ("subject_id", "split"))
        if table["subject_id"].duplicated().any():
            raise UserFacingError("A subject stands in two splits.", "one split for each subject", _NEXT)
        if not set(table["split"]) <= set(SPLITS):
            raise UserFacingError("The splits have an unknown name.", ", ".join(SPLITS), _NEXT)
        return table.astype({"subject_id": np.int64})

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks with a label file, in alphabetical order."""
        return tuple(sorted(file.stem for file in (self.path / "labels").glob("*.parquet")))

    def labels(self, task: str, split: str | None = None) -> pd.DataFrame:
        """Labels of a task (of one split): subject_id, prediction_time, time_to_event_days > 0, event (bool), split."""
        known = ", ".join(self.task_names) or "none"
        if task not in self.task_names:
            raise UserFacingError("The cohort has no labels for that task.", f"one of its tasks ({known})", _NEXT)
        table = self._table(f"labels/{task}.parquet", LABEL_COLUMNS)[list(LABEL_COLUMNS)]
        days = table["time_to_event_days"].to_numpy(np.float64)
        if not (np.isfinite(days) & (days > 0)).all():
            raise UserFacingError("A label has no positive time to event.", "days above 0 in every row", _NEXT)
        table = table.assign(
            prediction_time=_prediction_times(table["prediction_time"]),
            event=table["event"].astype(bool),
            time_to_event_days=days,
        ).merge(self.splits, on="subject_id", how="left")
        if table["split"].isna().any():
            raise UserFacingError("A labelled subject has no split.", "every labelled subject in one split", _NEXT)
        return table if split is None else table[table["split"] == split].reset_index(drop=True)

    def task(self, name: str) -> Task:
        """Task card of the cohort, or the shipped one of that name.

        Raises UserFacingError for a name that is neither.
        """
        if name not in {*self.task_names, *TASKS}:
            known = ", ".join(self.task_names) or "none"
            raise UserFacingError("The cohort has no task of that name.", f"one of its tasks ({known})", _NEXT)
        file = self.path / "labels" / f"{name}.json"
        if not file.is_file():
            if name in TASKS:
                return TASKS[name]
            raise UserFacingError("The cohort has no card for that task.", f"a file labels/{name}.json", _NEXT)
        return _task_from_json(self._json(file), name)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """metadata/dataset.json, or an empty dict."""
        file = self.path / "metadata" / "dataset.json"
        return self._json(file) if file.is_file() else {}

    @cached_property
    def codes(self) -> pd.DataFrame:
        """Code metadata: code, description, unit (None where unknown); empty where the cohort has none."""
        file = self.path / "metadata" / "codes.parquet"
        table = self._table("metadata/codes.parquet", ("code",)) if file.is_file() else pd.DataFrame({"code": []})
        return table.reindex(columns=["code", "description", "unit"])

    def records(self, labels: pd.DataFrame) -> CohortRecords:
        """Events of the labelled patients up to their prediction times, in the order of the labels; none of a patient
        without events. Raises `UserFacingError` as `open_cohort` does."""
        return CohortRecords.up_to(self._events, labels["subject_id"], labels["prediction_time"])

    @property
    def events(self) -> Cohort:
        """Every event of every subject. Raises `UserFacingError` as `open_cohort` does."""
        return self._events

    def image_row(self, subject_id: int, prediction_time: pd.Timestamp | None = None) -> int | None:
        """Row of the image index, from 1, with the subject's last study (up to `prediction_time` where given); None
        without one."""
        rows = self._images[self._images["subject_id"] == int(subject_id)]
        if prediction_time is not None:
            rows = rows[rows["study_time"] <= pd.Timestamp(prediction_time)]
        return None if rows.empty else int(rows.sort_values("study_time").index[-1]) + 1

    def image_path(self, row: int) -> Path:
        """File or folder that a row of the image index, from 1, names; one that is not in the cohort folder raises."""
        path = (self.path / str(self._images["path"].iloc[row - 1])).resolve()
        if self.path.resolve() not in path.parents or not path.exists():
            found = f"The image in row {row} of {IMAGE_INDEX} is not there."
            raise UserFacingError(found, "its file in the cohort folder", _NEXT)
        return path

    @property
    def images(self) -> pd.DataFrame:
        """The image index: subject_id, study_time, path; empty where the cohort has none."""
        return self._images

    @cached_property
    def _images(self) -> pd.DataFrame:
        if not (self.path / IMAGE_INDEX).is_file():
            return pd.DataFrame({"subject_id": [], "study_time": pd.to_datetime([]), "path": []})
        return self._table(IMAGE_INDEX, ("subject_id", "study_time", "path")).reset_index(drop=True)

    @cached_property
    def _events(self) -> Cohort:
        files = sorted((self.path / "data").glob("**/*.parquet"))
        if not files:
            raise UserFacingError("The cohort folder holds no events.", "parquet files under data", _NEXT)
        for file in files:
            self._check_columns(str(file.relative_to(self.path)), EVENT_COLUMNS)
        codes = self.path / "metadata" / "codes.parquet"
        cohort = open_cohort([*files, codes] if codes.is_file() else files)
        return cohort if "unit" in cohort.labels else replace(cohort, labels=self._with_units(cohort.labels))

    def _with_units(self, labels: Mapping[str, Labels]) -> Mapping[str, Labels]:
        """Units by code: those that the code itself carries, else those of the code metadata."""
        codes = labels["code"]
        known = self.codes.dropna(subset=["unit"]).set_index("code")["unit"].to_dict()
        carried = units_in_codes([*codes.texts])
        units = [unit or str(known.get(code) or "") for unit, code in zip(carried, codes.texts, strict=True)]
        texts = tuple(dict.fromkeys(filter(None, units)))
        place = {text: number for number, text in enumerate(texts)} | {"": -1}
        by_code = np.array([place[unit] for unit in units] + [-1], np.int32)
        return {**labels, "unit": Labels(texts, by_code[codes.ids])}

    def _table(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        self._check_columns(name, columns)
        with _readable(name):
            return pd.read_parquet(self.path / name)

    def _check_columns(self, name: str, columns: tuple[str, ...]) -> None:
        if not (self.path / name).is_file():
            raise UserFacingError(f"The cohort folder has no file {name}.", "that file", _NEXT)
        with _readable(name):
            found = pq.read_schema(self.path / name)
        if missing := [column for column in columns if column not in found.names]:
            lacking = f"The file {name} lacks {', '.join(missing)}."
            raise UserFacingError(lacking, f"columns {', '.join(columns)}", _NEXT)
        if "subject_id" in columns and not _is_number(found.field("subject_id").type):
            raise UserFacingError(
                f"The subject_id in {name} is no number.",
                "whole numbers (int64), as MEDS has them",
                "Number the subjects.",
            )

    def _json(self, file: Path) -> dict[str, Any]:
        try:
            data = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserFacingError(f"The file {file.name} cannot be read.", "a JSON object", _NEXT) from error
        if not isinstance(data, dict):
            raise UserFacingError(f"The file {file.name} holds no JSON object.", "a JSON object", _NEXT)
        return data


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns a failure of the parquet reader into the refusal of the named file."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserFacingError(f"The file {name} cannot be read.", "a parquet table", _NEXT) from error


def _task_from_json(card: Mapping[str, Any], name: str) -> Task:
    try:
        horizons = tuple(sorted(int(days) for days in card["horizons_days"]))
        low, high = (int(edge) for edge in card["hu_window"])
    except (KeyError, TypeError, ValueError) as error:
        expected = "horizons_days (a list of days) and hu_window (two numbers)"
        raise UserFacingError("The task card is incomplete.", expected, _NEXT) from error
    if not horizons or horizons[0] <= 0 or low >= high:
        raise UserFacingError("The task card has impossible numbers.", "days above 0 and a rising HU window", _NEXT)
    return Task(
        name=name,
        title=str(card.get("title", name.replace("_", " ").capitalize())),
        event_words=str(card.get("event_words", "the event")),
        horizons_days=horizons,
        hu_window=(low, high),
        population=str(card.get("population", "Not stated")),
        time_zero=str(card.get("time_zero", "Time of each patient's prediction")),
    )


def _prediction_times(column: pd.Series[Any]) -> pd.Series[Any]:
    """As datetime64[us], those of a time zone in UTC, as the events are. Raises where one is missing or no time."""
    try:
        if pd.api.types.is_numeric_dtype(column):
            raise ValueError("a bare number has no unit")
        times = pd.to_datetime(column, utc=True, format="ISO8601").dt.tz_localize(None).astype("datetime64[us]")
    except (ValueError, TypeError, OverflowError) as error:
        raise UserFacingError("A label's prediction time is no time.", "a time in every row", _NEXT) from error
    if missing := int(times.isna().sum()):
        found = f"Without a prediction time: {count_of(missing, 'label')}."
        raise UserFacingError(found, "a time in every row", _NEXT)
    return times


def write_cohort_tables(
    path: Path,
    *,
    events: pd.DataFrame,
    splits: pd.DataFrame,
    codes: pd.DataFrame,
    labels: Mapping[str, tuple[Task, pd.DataFrame]],
    metadata: Mapping[str, Any],
) -> None:
    """Write everything of a cohort folder but the images. The tables satisfy the schemas of meds 0.4.1.

    events: MEDS columns and unit. splits: subject_id, split. codes: code, description, unit. labels: task name ->
    (task card, table with `LABEL_COLUMNS`). metadata: goes into dataset.json.
    """
    for folder in ("data", "metadata", "labels", "images"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    split_of = splits.set_index("subject_id")["split"]
    event_split = events["subject_id"].map(split_of)
    for split in SPLITS:
        (path / "data" / split).mkdir(exist_ok=True)
        part = pa.Table.from_pandas(events[event_split == split], preserve_index=False)
        part = _with_strings(part, ("text_value", "unit"))
        pq.write_table(DataSchema.align(part), path / "data" / split / "0.parquet")
    split_table = pa.Table.from_pandas(splits, preserve_index=False)
    pq.write_table(SubjectSplitSchema.align(split_table), path / "metadata" / "subject_splits.parquet")
    code_table = _with_strings(pa.Table.from_pandas(codes, preserve_index=False), ("description", "unit"))
    pq.write_table(CodeMetadataSchema.align(code_table), path / "metadata" / "codes.parquet")
    (path / "metadata" / "dataset.json").write_text(json.dumps(dict(metadata), indent=2) + "\n", "utf-8")
    for name, (task, table) in labels.items():
        table[list(LABEL_COLUMNS)].to_parquet(path / "labels" / f"{name}.parquet", index=False)
        (path / "labels" / f"{name}.json").write_text(json.dumps(asdict(task), indent=2) + "\n", "utf-8")


def _with_strings(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Columns of strings that may be all null, which Arrow cannot type by itself."""
    for name in names:
        if name in table.column_names:
            place = table.column_names.index(name)
            kind = pa.large_string() if name == "text_value" else pa.string()
            table = table.set_column(place, name, table.column(name).cast(kind))
    return table
