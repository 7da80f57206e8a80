"""One patient's timeline from a source of events: subject chosen, columns typed, cut at the prediction time."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.errors import UserFacingError
from core.events.cut import KNOWN_FROM, cut_at, deaths_of_the_day, known_times, undated_outcomes
from core.events.descriptions import labels
from core.intake.files.sources import Source
from core.intake.record.checks.plausibility import note_doubts
from core.intake.record.checks.row_status import is_event
from core.intake.record.columns.fields import refuse_unsettled_numbers
from core.intake.record.columns.roles import Answers
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.columns.times import EARLIEST, LATEST, is_iso_time, parse_times
from core.intake.record.meds_columns import Reading, read_events, subject_numbers
from core.intake.record.sorting import Part, event_files, event_parts, no_such_patient, none_left
from core.intake.record.tables.parquet import count_subjects, distinct_subjects, translated
from core.intake.record.tables.row_numbers import Places, at, places_of
from core.progress import Progress, watched
from core.records import BIRTH, Origin, Timeline
from core.wording import count_of


def load_timeline(
    source: Source,
    *,
    prediction_time: pd.Timestamp | str | None = None,
    subject_id: int | None = None,
    mapping: Answers | None = None,
    progress: Progress | None = None,
) -> Timeline:
    """One patient's coded events up to the prediction time.

    source:          MEDS parquet (file, shards, cohort folder), OMOP CDM 5.4 tables, FHIR R4 bundles, CSV or JSON
                     lines, as a path or (name, bytes) pairs, zipped or not.
    prediction_time: the cut; by default the last event's time, or when the last one was known, which a note says.
    subject_id:      whose events, where the source holds several patients (`list_subjects`).
    mapping:         role -> column, for tables whose columns are not recognised by name, and how its dates and numbers
                     and text are written where that is in doubt (`suggest_mapping`,
                     `core.intake.record.columns.roles.WAYS`); or,
                     for several tables, the names of a table's columns -> what was answered on that table.
    progress:        called with (share done, words) before each file; it may end the reading by raising.
    Raises UserFacingError for several patients without a choice, an unknown patient, and malformed tables or values.
    """
    files = event_files(source, mapping)
    reading = Reading(words=dict(files.words), notes=[*files.notes], shared=files.words, parents=files.parents)
    parts = event_parts(files.entries, mapping, reading.notes, progress)
    subject = _only_subject(parts, mapping) if subject_id is None else _chosen_subject(subject_id)
    with translated():
        events = read_events(parts, subject, mapping, reading, progress)
    if events is None:
        raise no_such_patient()
    return cut_timeline(events, subject, prediction_time, reading, "virtual" if files.virtual else "unknown")


def cut_timeline(
    events: pd.DataFrame, subject: int, given: pd.Timestamp | str | None, reading: Reading, origin: Origin
) -> Timeline:
    """The typed events of a subject up to the prediction time `given` (default: when all are known), and every note
    once.

    Raises UserFacingError for events without a code, a prediction time that is none or lies before the birth, some
    events in the future, and where no event lies before the prediction time.
    """
    if blank := int(events["code"].isna().sum()):
        where = at(reading.places, events["code"].isna())
        raise UserFacingError(
            f"Without a code: {count_of(blank, 'event')}{where}.",
            "a code for every event",
            "Correct or remove these rows.",
        )
    notes = list(dict.fromkeys(reading.notes))
    cut = _prediction_time(events, given, notes, in_utc=True in reading.zones)
    _refuse_before_birth(events, cut)
    _refuse_future(events, cut, notes, reading.places)
    _note_future_cut(events, cut, notes)
    kept, later = cut_at(events, cut)
    if kept.empty:
        raise _none_known(events, cut, reading)
    _note_early_records(events, notes)
    undated, happened_later = int(undated_outcomes(events).sum()), int((events["time"] > cut).sum())
    _note_cut(happened_later, later - undated - happened_later, notes)
    _note_undated_outcomes(undated + reading.undated_outcomes, notes)
    later += reading.undated_outcomes
    note_doubts(kept, cut, reading.words, notes)
    own, codes = labels(), kept["code"].unique()
    words = {code: reading.words.get(code) or own[code] for code in codes if code in reading.words or code in own}
    by_rows = frozenset(code for code in words if code in reading.words and words[code] != reading.shared.get(code))
    kinds = {code: reading.kinds[code] for code in codes if code in reading.kinds}
    return Timeline(
        kept, subject, cut, tuple(notes), later, origin, words,
        code_kinds=kinds, described_by_rows=by_rows, code_parents=reading.parents,
    )  # fmt: skip


def list_subjects(source: Source, *, mapping: Answers | None = None, progress: Progress | None = None) -> pd.DataFrame:
    """Patients in a source: subject_id, events, first, last; most events first.

    The birth is an event, but first and last are the times of the others: how far the record reaches.
    Patients whose identifier is not a whole number are numbered, after those that have one, in the order of
    their identifiers. progress: as for `load_timeline`.
    Raises UserFacingError for sources without events, events without a patient, and tables or times that are malformed.
    """
    parts = event_parts(event_files(source, mapping).entries, mapping, [], progress)
    counted = [_subjects_of(part, mapping) for part in watched(parts, progress, "Looking for patients")]
    table = pd.concat(counted, ignore_index=True)
    if table.empty:
        raise none_left([part for part in parts if isinstance(part, pd.DataFrame)])
    grouped = table.groupby("subject_id", as_index=False).agg({"events": "sum", "first": "min", "last": "max"})
    return grouped.sort_values(["events", "subject_id"], ascending=[False, True], ignore_index=True)


def _subjects_of(part: Part, mapping: Answers | None) -> pd.DataFrame:
    if not isinstance(part, pd.DataFrame):
        with translated():
            return count_subjects(part, mapping)
    typed = pd.DataFrame({"subject_id": subject_numbers(part, []), "time": part["time"]})[is_event(part)]
    times = parse_times(typed["time"], [], places_of(part))
    if "remarks" not in part:
        refuse_unsettled_numbers(part)
    typed["time"] = times.where(plain_texts(part.loc[typed.index, "code"]) != BIRTH)
    return typed.groupby("subject_id")["time"].agg(events="size", first="min", last="max").reset_index()


def _only_subject(parts: list[Part], mapping: Answers | None) -> int:
    found: set[int] = set()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            found |= set(subject_numbers(part, [])[is_event(part)].tolist())
        else:
            found |= distinct_subjects(part, mapping)
    if not found:
        raise none_left([part for part in parts if isinstance(part, pd.DataFrame)])
    if len(found) != 1:
        raise UserFacingError(
            f"The source holds events of {len(found)} patients.", "events of one patient", "Choose one of the patients."
        )
    return found.pop()


def _chosen_subject(subject_id: Any) -> int:
    """The number of the chosen patient; a source's own identifier is not repeated."""
    try:
        number = int(subject_id)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (isinstance(subject_id, float) and number != subject_id):
        raise UserFacingError(
            "The chosen patient is not a whole number.",
            "the number by which the list of patients names one",
            "Choose one from the list.",
        )
    if abs(number) >= 2**63:
        raise no_such_patient()
    return number


def _prediction_time(
    events: pd.DataFrame, given: pd.Timestamp | str | None, notes: list[str], *, in_utc: bool
) -> pd.Timestamp:
    """The cut. in_utc: whether times of events named a time zone and were converted."""
    if given is not None:
        return _given_time(given, notes, in_utc=in_utc)
    last, known = events["time"].max(), known_times(events).max()
    if pd.isna(last):
        raise UserFacingError("No event has a time.", "events with times", "Give a prediction time, or another file.")
    now = pd.Timestamp.now()
    if last < known and not last <= now < known:
        notes.append("No prediction time was given; the time at which the last event was known was taken.")
        return pd.Timestamp(known)
    notes.append("No prediction time was given; the time of the last event was taken.")
    return pd.Timestamp(last)


def _note_cut(happened_later: int, unknown: int, notes: list[str]) -> None:
    if happened_later:
        notes.append(f"Cut away, as after the prediction time: {count_of(happened_later, 'event')}.")
    if unknown:
        notes.append(
            "Left out, as perhaps not yet known at the prediction time (recorded after it, or dated by a year or month "
            f"that was not over, or a death dated by that day alone): {count_of(unknown, 'event')}."
        )


def _none_known(events: pd.DataFrame, cut: pd.Timestamp, reading: Reading) -> UserFacingError:
    """The refusal where the cut leaves nothing: how many events are left out because they happened after it, because
    they were recorded after it, and otherwise."""
    left_out = reading.undated_outcomes
    coarse = " or dated by a year or month that was not over" if reading.first_days else ""
    happened, undated = int((events["time"] > cut).sum()), int(undated_outcomes(events).sum())
    of_the_day = int(deaths_of_the_day(events, cut).sum())
    found = "All events lie after the prediction time."
    if happened < len(events) or left_out:
        why = {
            "happened after it": happened,
            f"happened up to it, but recorded after it{coarse}": (len(events) - happened - undated - of_the_day),
            "deaths dated by its day alone": of_the_day,
            "deaths or vital status without a time": undated + left_out,
        }
        found = "No event was known at the prediction time: " + "; ".join(
            f"{words}: {count_of(count, 'event')}" for words, count in why.items() if count
        )
    return UserFacingError(found, "events that had happened and were known by then", "Choose a later one.")


def _note_early_records(events: pd.DataFrame, notes: list[str]) -> None:
    """Events recorded on a day before the one at which they happened: appointments, or two columns exchanged."""
    if KNOWN_FROM in events:
        early = events[KNOWN_FROM] < events["time"].dt.normalize()
        if count := int(early.sum()):
            found = count_of(count, "event")
            notes.append(f"Recorded on a day before they happened, counted from when they happened: {found}.")


def _note_undated_outcomes(count: int, notes: list[str]) -> None:
    if count:
        notes.append(
            "Left out, as a death or vital status without a time may lie after the prediction time: "
            f"{count_of(count, 'event')}."
        )


def _given_time(given: pd.Timestamp | str, notes: list[str], *, in_utc: bool) -> pd.Timestamp:
    try:
        if isinstance(given, str) and given.strip() and not is_iso_time(given):
            raise ValueError("day and month could be confused")
        if pd.api.types.is_number(given) and not pd.isna(given):
            raise ValueError("a bare number has no unit")
        stamp = pd.Timestamp(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserFacingError(
            "The prediction time is not written as year-month-day, or is not a date.",
            "a time such as 2024-03-15T13:45",
            "Enter it in this form, so that day and month cannot be confused.",
        ) from error
    if pd.isna(stamp):
        raise UserFacingError("The prediction time is empty.", "a time such as 2024-03-15T13:45", "Enter one.")
    if stamp.tzinfo:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
        if not in_utc:
            notes.append(
                "The prediction time was converted to UTC; times of events name no time zone and count as UTC."
            )
    elif in_utc:
        notes.append("The prediction time names no time zone and counts as UTC.")
    if not EARLIEST <= stamp <= LATEST:
        raise UserFacingError(
            "The prediction time lies before 1850 or after 2261.", "a time of the patient's life", "Correct the year."
        )
    return stamp


def _refuse_before_birth(events: pd.DataFrame, cut: pd.Timestamp) -> None:
    born = events.loc[events["code"] == BIRTH, "time"].dropna()
    if len(born) and cut < born.min().normalize():
        raise UserFacingError(
            "The prediction time lies before the patient's birth.",
            "a time of the patient's life",
            "Choose a later one; check its year.",
        )


def _refuse_future(events: pd.DataFrame, cut: pd.Timestamp, notes: list[str], places: Places | None) -> None:
    """Some events up to the cut in the future is an error; all of them is a date-shifted record, which a note says."""
    timed = events.loc[events["time"].notna() & (events["code"] != BIRTH) & (events["time"] <= cut), "time"]
    later = timed > pd.Timestamp.now() + pd.Timedelta(days=2)
    future = int(later.sum())
    if future and future < len(timed):
        raise UserFacingError(
            f"In the future: {future} of {len(timed)} events{at(places, later)}.",
            "events up to today",
            "Correct these times, or give a prediction time that lies before them.",
        )
    if future:
        notes.append("All times lie in the future: the record's dates were probably shifted.")


def _note_future_cut(events: pd.DataFrame, cut: pd.Timestamp, notes: list[str]) -> None:
    """A prediction time in the future of a record that is not: a mistyped year makes the patient older."""
    now = pd.Timestamp.now() + pd.Timedelta(days=2)
    if cut > now and bool((events.loc[events["code"] != BIRTH, "time"] <= now).any()):
        notes.append("The prediction time lies in the future, though events do not: check its year.")
