"""One patient's timeline from files of events: subject chosen, columns typed, cut at the prediction time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from core.errors import UserFacingError
from core.load.entries import Entry, Source
from core.load.words import count_of
from core.records import Origin, Timeline
from core.timeline.columns import check_times, clean_texts, finite32, parse_times, parse_values, recognise
from core.timeline.cut import cut_at
from core.timeline.describe import labels
from core.timeline.tables import (
    count_subjects,
    event_files,
    is_parquet,
    no_events,
    read_parquet,
    read_text_table,
    translated,
)

_BIRTH = "MEDS_BIRTH"
Part = Entry | pd.DataFrame
"""A file of events, or a table of text already read."""


def load_timeline(
    source: Source,
    *,
    prediction_time: pd.Timestamp | str | None = None,
    subject_id: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> Timeline:
    """One patient's coded events up to the prediction time.

    source:          MEDS parquet (file, shards, cohort folder), OMOP CDM tables, FHIR R4 bundles, CSV or JSON lines, as
                     a path or (name, bytes) pairs.
    prediction_time: the cut; by default the last event's time, which a note says.
    subject_id:      whose events, where the source holds several patients (`list_subjects`).
    columns:         field -> column, for tables whose columns are not recognised by name.
    Raises UserFacingError for several patients without a choice, an unknown patient, and malformed tables or values.
    """
    files = event_files(source)
    entries, words = _parts(files.entries, columns), dict(files.words)
    notes: list[str] = []
    subject = _choose_subject(entries, subject_id, columns)
    events = _read_events(entries, subject, columns, notes, words)
    if events.empty:
        raise no_events()
    cut = _prediction_time(events, prediction_time, notes)
    _refuse_future(events, cut, notes)
    kept, later = cut_at(events, cut)
    if kept.empty:
        raise UserFacingError(
            "All events lie after the prediction time.", "events up to the prediction time", "Choose a later one."
        )
    if later:
        notes.append(f"Cut away, as after the prediction time: {count_of(later, 'event')}.")
    _note_units(kept, notes)
    origin: Origin = "virtual" if files.virtual else "unknown"
    described = {code: words[code] for code in kept["code"].unique() if code in words}
    return Timeline(kept, subject, cut, tuple(notes), later, origin, {**_own(kept), **described})


def list_subjects(source: Source, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Patients in a source: subject_id, events, first, last; most events first.

    Patients whose identifier is not a whole number are numbered from 1 in the order of their identifiers.
    """
    parts = [_subjects_of(entry, columns) for entry in _parts(event_files(source).entries, columns)]
    table = pd.concat(parts, ignore_index=True)
    grouped = table.groupby("subject_id", as_index=False).agg({"events": "sum", "first": "min", "last": "max"})
    return grouped.sort_values(["events", "subject_id"], ascending=[False, True], ignore_index=True)


def _parts(entries: list[Part], columns: Mapping[str, str] | None) -> list[Part]:
    """Parquet files as they are, or all text tables joined to one, so that a patient keeps one number in all of them.

    Raises UserFacingError where the two are mixed, or where one of several text tables names no patient.
    """
    parquet = [part for part in entries if is_parquet(part)]
    if len(parquet) == len(entries):
        return [*parquet]
    if parquet:
        raise UserFacingError(
            "The source mixes parquet files and text tables.", "tables of one kind", "Choose the files of one data set."
        )
    tables = [_recognised(read_text_table(part), columns) for part in entries]
    if len(tables) > 1 and not all("subject_id" in table.columns for table in tables):
        raise UserFacingError(
            "One of several tables names no patient.", "a patient column in every table", "Choose a single table."
        )
    return [pd.concat(tables, ignore_index=True)]


def _recognised(table: pd.DataFrame, columns: Mapping[str, str] | None) -> pd.DataFrame:
    """The recognised columns of a text table, under the names of their fields."""
    fields = recognise([str(name) for name in table.columns], columns)
    return pd.DataFrame({field: table[name] for field, name in fields.items()})


def _subjects_of(entry: Part, columns: Mapping[str, str] | None) -> pd.DataFrame:
    if is_parquet(entry):
        with translated():
            return count_subjects(entry, columns)
    table = read_text_table(entry)
    typed = pd.DataFrame({"subject_id": _subject_numbers(table, []), "time": parse_times(table["time"], []).to_numpy()})
    return typed.groupby("subject_id")["time"].agg(events="size", first="min", last="max").reset_index()


def _choose_subject(entries: list[Part], wanted: int | None, columns: Mapping[str, str] | None) -> int:
    """The wanted patient, or the only one."""
    if wanted is not None:
        return int(wanted)
    found: set[int] = set()
    for entry in entries:
        if isinstance(entry, pd.DataFrame):
            found |= set(_subject_numbers(entry, []).tolist())
        else:
            found |= set(_subjects_of(entry, columns)["subject_id"].tolist())
    if len(found) > 1:
        raise UserFacingError(
            f"The source holds events of {len(found)} patients.", "events of one patient", "Choose one of the patients."
        )
    return found.pop()


def _unknown_subject() -> UserFacingError:
    return UserFacingError(
        "The source holds no events of the chosen patient.", "a patient of the source", "Choose one from the list."
    )


def _read_events(
    entries: list[Part], subject: int, columns: Mapping[str, str] | None, notes: list[str], words: dict[str, str]
) -> pd.DataFrame:
    parts = []
    for entry in entries:
        if is_parquet(entry):
            with translated():
                typed = _typed_parquet(entry, subject, columns, notes, words)
        else:
            typed = _typed_text(read_text_table(entry), subject, notes, words)
        parts.append(typed)
    filled = [part for part in parts if len(part)]
    if not filled:
        raise _unknown_subject()
    events = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0].reset_index(drop=True)
    if blank := int(events["code"].isna().sum()):
        raise UserFacingError(
            f"Without a code: {count_of(blank, 'event')}.", "a code for every event", "Correct or remove these rows."
        )
    return events


def _typed_parquet(
    entry: Entry, subject: int, columns: Mapping[str, str] | None, notes: list[str], words: dict[str, str]
) -> pd.DataFrame:
    table, fields = read_parquet(entry, subject, columns)

    def column(field: str) -> pd.Series[Any] | None:
        return table[fields[field]].to_pandas() if field in fields else None

    size = table.num_rows
    times = table[fields["time"]]
    typed = pd.DataFrame({"subject_id": np.full(size, subject, np.int64)})
    typed["time"] = _parquet_times(times, notes)
    typed["code"] = pd.Series(clean_texts(table[fields["code"]].cast(pa.string()).to_pandas()), dtype=object)
    numbers, texts = _parquet_values(column("numeric_value"), column("value"), size)
    typed["numeric_value"] = numbers
    own_text = column("text_value")
    typed["text_value"] = pd.Series(clean_texts(own_text) if own_text is not None else texts, dtype=object)
    unit = column("unit")
    typed["unit"] = pd.Series(clean_texts(unit) if unit is not None else units_in_codes(typed["code"]), dtype=object)
    _collect_words(typed["code"], column("description"), words)
    return typed


def _parquet_times(times: pa.ChunkedArray, notes: list[str]) -> pd.Series[pd.Timestamp]:
    if pa.types.is_timestamp(times.type) or pa.types.is_date(times.type):
        zone = getattr(times.type, "tz", None)
        if zone:
            notes.append("Times with a time zone were converted to UTC.")
        try:
            plain = times.cast(pa.timestamp("us", tz=zone)).cast(pa.timestamp("us"))
        except pa.ArrowException:
            plain = times.cast(pa.timestamp("us"), safe=False)
        return check_times(pd.Series(plain.to_numpy().astype("datetime64[us]")))
    return parse_times(times.cast(pa.string()).to_pandas(), notes)


def _parquet_values(
    numeric: pd.Series[Any] | None, mixed: pd.Series[Any] | None, size: int
) -> tuple[np.ndarray[Any, Any], list[str | None]]:
    given = numeric if numeric is not None else mixed
    if given is None:
        return np.full(size, np.nan, np.float32), [None] * size
    if given.dtype.kind in "iuf":
        return finite32(given.to_numpy(np.float64)), [None] * size
    return parse_values(given)


def units_in_codes(codes: pd.Series[str]) -> list[str | None]:
    """Units that MIMIC's MEDS codes carry as their third part (LAB//item//unit)."""
    known: dict[str, str | None] = {}
    for code in codes.unique():
        parts = str(code).split("//")
        has_unit = len(parts) == 3 and parts[0] in ("LAB", "SUBJECT_FLUID_OUTPUT") and parts[2] not in ("UNK", "")
        known[code] = parts[2] if has_unit else None
    return [known[code] for code in codes]


def _typed_text(table: pd.DataFrame, subject: int, notes: list[str], words: dict[str, str]) -> pd.DataFrame:
    """The subject's rows of a text table whose columns are named by field, typed."""
    table = table[_subject_numbers(table, notes) == subject].reset_index(drop=True)

    def column(field: str) -> pd.Series[Any]:
        return table[field] if field in table else pd.Series([None] * len(table), dtype=object)

    typed = pd.DataFrame({"subject_id": np.full(len(table), subject, np.int64)})
    typed["time"] = parse_times(column("time"), notes).to_numpy()
    typed["code"] = pd.Series(clean_texts(column("code")), dtype=object)
    numbers, texts = parse_values(column("numeric_value") if "numeric_value" in table else column("value"))
    typed["numeric_value"] = numbers
    own_text = clean_texts(column("text_value"))
    typed["text_value"] = pd.Series([own or other for own, other in zip(own_text, texts)], dtype=object)
    typed["unit"] = pd.Series(clean_texts(column("unit")), dtype=object)
    _collect_words(typed["code"], column("description") if "description" in table else None, words)
    return typed


def _subject_numbers(table: pd.DataFrame, notes: list[str]) -> np.ndarray[Any, Any]:
    """Subject of each row as int64; identifiers that are not whole numbers are numbered and so never shown."""
    if "subject_id" not in table:
        notes.append("The table names no patient; all its events were taken as one patient's.")
        return np.ones(len(table), np.int64)
    texts = table["subject_id"].fillna("").astype(str).str.strip()
    if (texts == "").any():
        raise UserFacingError(
            f"Naming no patient: {count_of(int((texts == '').sum()), 'event')}.",
            "a patient for every event",
            "Correct these rows.",
        )
    if texts.str.fullmatch(r"[0-9]{1,18}").all():
        return texts.astype(np.int64).to_numpy()
    notes.append("Patient identifiers are not whole numbers; patients are numbered from 1 instead.")
    return (pd.factorize(texts, sort=True)[0] + 1).astype(np.int64)


def _collect_words(codes: pd.Series[str], described: pd.Series[Any] | None, words: dict[str, str]) -> None:
    if described is not None:
        pairs = pd.DataFrame({"code": codes.to_numpy(), "words": described.to_numpy()}).dropna().drop_duplicates("code")
        words.update(
            (str(code), str(text).strip()) for code, text in zip(pairs["code"], pairs["words"]) if str(text).strip()
        )


def _prediction_time(events: pd.DataFrame, given: pd.Timestamp | str | None, notes: list[str]) -> pd.Timestamp:
    if given is not None:
        try:
            stamp = pd.Timestamp(given)
        except (ValueError, TypeError) as error:
            raise UserFacingError(
                "The prediction time is not a date.", "a time such as 2024-03-15T13:45", "Enter it in this form."
            ) from error
        if pd.isna(stamp):
            raise UserFacingError("The prediction time is empty.", "a time such as 2024-03-15T13:45", "Enter one.")
        return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp
    last = events["time"].max()
    if pd.isna(last):
        raise UserFacingError("No event has a time.", "events with times", "Give a prediction time, or another file.")
    notes.append("No prediction time was given; the time of the last event was taken.")
    return pd.Timestamp(last)


def _refuse_future(events: pd.DataFrame, cut: pd.Timestamp, notes: list[str]) -> None:
    """Some events up to the cut in the future is an error; all of them is a date-shifted record, which a note says."""
    timed = events.loc[events["time"].notna() & (events["code"] != _BIRTH) & (events["time"] <= cut), "time"]
    future = int((timed > pd.Timestamp.now() + pd.Timedelta(days=2)).sum())
    if future and future < len(timed):
        raise UserFacingError(
            f"In the future: {future} of {len(timed)} events.",
            "events up to today",
            "Correct these times, or give a prediction time.",
        )
    if future:
        notes.append("All times lie in the future: the record's dates were probably shifted.")


def _note_units(events: pd.DataFrame, notes: list[str]) -> None:
    with_unit = events[events["unit"].notna() & events["numeric_value"].notna()]
    mixed = int((with_unit.groupby("code")["unit"].nunique() > 1).sum())
    if mixed:
        notes.append(
            f"With more than one unit: {count_of(mixed, 'code')}; values are shown as recorded, not converted."
        )


def _own(events: pd.DataFrame) -> dict[str, str]:
    known = labels()
    return {code: known[code] for code in events["code"].unique() if code in known}
