"""The cohort folder: MEDS events, splits, labels, task cards and images (layout in docs/data-model.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from meds.schema import CodeMetadataSchema, DataSchema, SubjectSplitSchema

from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.records import TIMELINE_COLUMNS, Origin, Task, Timeline
from core.timeline.cut import cut_at

SPLITS = ("train", "tuning", "held_out")
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
            prediction_time=pd.to_datetime(table["prediction_time"]).astype("datetime64[us]"),
            event=table["event"].astype(bool),
            time_to_event_days=days,
        ).merge(self.splits, on="subject_id", how="left")
        if table["split"].isna().any():
            raise UserFacingError("A labelled subject has no split.", "every labelled subject in one split", _NEXT)
        return table if split is None else table[table["split"] == split].reset_index(drop=True)

    def task(self, name: str) -> Task:
        """Task card of the cohort, or the shipped one of that name."""
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

    @property
    def origin(self) -> Origin:
        """ "virtual" for a simulated cohort, else "unknown"."""
        return "virtual" if self.metadata.get("virtual") else "unknown"

    @cached_property
    def codes(self) -> pd.DataFrame:
        """Code metadata: code, description, unit (None where unknown); empty where the cohort has none."""
        file = self.path / "metadata" / "codes.parquet"
        table = self._table("metadata/codes.parquet", ("code",)) if file.is_file() else pd.DataFrame({"code": []})
        return table.reindex(columns=["code", "description", "unit"])

    def timeline(self, subject_id: int, prediction_time: pd.Timestamp) -> Timeline:
        """The subject's events up to the prediction time; a subject without events has an empty timeline."""
        start, stop = self._rows_of.get(int(subject_id), (0, 0))
        kept, later = cut_at(self._events.iloc[start:stop], pd.Timestamp(prediction_time))
        descriptions = self._descriptions
        return Timeline(
            events=kept,
            subject_id=int(subject_id),
            prediction_time=pd.Timestamp(prediction_time),
            later_event_count=later,
            origin=self.origin,
            code_descriptions={code: descriptions[code] for code in kept["code"].unique() if code in descriptions},
        )

    def study_path(self, subject_id: int, prediction_time: pd.Timestamp | None = None) -> Path | None:
        """File or folder of the subject's last study (up to `prediction_time` where given); None without one."""
        rows = self._images[self._images["subject_id"] == int(subject_id)]
        if prediction_time is not None:
            rows = rows[rows["study_time"] <= pd.Timestamp(prediction_time)]
        if rows.empty:
            return None
        path = (self.path / str(rows.sort_values("study_time")["path"].iloc[-1])).resolve()
        if self.path.resolve() not in path.parents or not path.exists():
            raise UserFacingError("An image named in the image index is not there.", "its file in the folder", _NEXT)
        return path

    @cached_property
    def _images(self) -> pd.DataFrame:
        if not (self.path / "images" / "index.parquet").is_file():
            return pd.DataFrame({"subject_id": [], "study_time": pd.to_datetime([]), "path": []})
        return self._table("images/index.parquet", ("subject_id", "study_time", "path"))

    @cached_property
    def _events(self) -> pd.DataFrame:
        files = sorted((self.path / "data").glob("**/*.parquet"))
        if not files:
            raise UserFacingError("The cohort folder holds no events.", "parquet files under data", _NEXT)
        columns = ("subject_id", "time", "code", "numeric_value")
        parts = [self._table(str(file.relative_to(self.path)), columns) for file in files]
        table = pd.concat(parts, ignore_index=True).sort_values("subject_id", kind="stable", ignore_index=True)
        if "unit" not in table:
            table["unit"] = table["code"].map(self.codes.set_index("code")["unit"].to_dict())
        if "text_value" not in table:
            table["text_value"] = None
        table = table[list(TIMELINE_COLUMNS)].astype({"text_value": object, "unit": object, "code": object})
        for name in ("text_value", "unit"):
            table.loc[table[name].isna(), name] = None
        return table.astype({"subject_id": np.int64, "time": "datetime64[us]", "numeric_value": np.float32})

    @cached_property
    def _rows_of(self) -> dict[int, tuple[int, int]]:
        subjects = self._events["subject_id"].to_numpy()
        names, starts = np.unique(subjects, return_index=True)
        stops = np.append(starts[1:], len(subjects))
        return {int(name): (int(a), int(b)) for name, a, b in zip(names, starts, stops, strict=True)}

    @cached_property
    def _descriptions(self) -> dict[str, str]:
        known = self.codes.dropna(subset=["description"])
        return dict(zip(known["code"], known["description"], strict=True))

    def _table(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        file = self.path / name
        if not file.is_file():
            raise UserFacingError(f"The cohort folder has no file {name}.", "that file", _NEXT)
        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UserFacingError(f"The file {name} cannot be read.", "a parquet table", _NEXT) from error
        missing = [column for column in columns if column not in table.columns]
        if missing:
            found = f"The file {name} lacks {', '.join(missing)}."
            raise UserFacingError(found, f"columns {', '.join(columns)}", _NEXT)
        return table

    def _json(self, file: Path) -> dict[str, Any]:
        try:
            data = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserFacingError(f"The file {file.name} cannot be read.", "a JSON object", _NEXT) from error
        if not isinstance(data, dict):
            raise UserFacingError(f"The file {file.name} holds no JSON object.", "a JSON object", _NEXT)
        return data


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
        name=str(card.get("name", name)),
        title=str(card.get("title", name.replace("_", " "))),
        event_words=str(card.get("event_words", "the event")),
        horizons_days=horizons,
        hu_window=(low, high),
        population=str(card.get("population", "not stated")),
        time_zero=str(card.get("time_zero", "prediction time")),
    )


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
