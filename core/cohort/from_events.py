"""A cohort folder from a MEDS file: who is asked about, when, and what happened (`python -m core cohort`).

Each hospital admission that the patient left alive is asked about once, at its discharge. death: until the patient's
death. readmission: until the next admission; death before it ends the watch. A hospital's data hold what came back to
it, so everybody counts as watched for the whole time asked for unless death ends it; the card says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.cohort.folder import SPLITS, write_cohort_tables
from core.errors import UserFacingError
from core.events.death import says_died
from core.events.standard_codes import standard_code
from core.events.stays import admissions_of
from core.intake.record.cohort_columns import NO_TIME, Cohort, open_cohort
from core.records import Task
from core.wording import count_of

DAY_US = 86_400_000_000
SHARES = {"train": 0.65, "tuning": 0.15, "held_out": 0.2}
_HU_WINDOW = (-150, 250)


@dataclass(frozen=True)
class Discharge:
    """A discharge alive. next_us: the next admission; death_us: of the patient; None where there is none."""

    subject_id: int
    time_us: int
    next_us: int | None
    death_us: int | None


def _death(discharge: Discharge) -> tuple[int | None, int | None]:
    return discharge.death_us, None


def _readmission(discharge: Discharge) -> tuple[int | None, int | None]:
    return discharge.next_us, discharge.death_us


LABELS: dict[str, tuple[str, str, Callable[[Discharge], tuple[int | None, int | None]]]] = {
    "death": ("Death after discharge", "death", _death),
    "readmission": ("Readmission", "the next hospital admission", _readmission),
}
"""Name -> title, the event in words, and when it happens and when the watch ends before (microseconds or None)."""


def cohort_from_events(
    events: Path, label: str, within_days: int, out: Path, *, codes: Path | None = None, seed: int = 0
) -> tuple[str, ...]:
    """Write a cohort folder; what it holds, in sentences. codes: a MEDS codes.parquet.

    Raises UserFacingError for sources other than MEDS, records without hospital admissions, or too few patients.
    """
    if label not in LABELS:
        raise UserFacingError("There is no label of that name.", " or ".join(LABELS), "Choose one of these.")
    cohort = open_cohort(events)
    found = discharges(cohort)
    if not found:
        raise UserFacingError(
            "No hospital admission that a patient left alive was found.",
            "events HOSPITAL_ADMISSION// and HOSPITAL_DISCHARGE//",
            "Check how admissions are coded.",
        )
    title, words, when = LABELS[label]
    name = f"{label}_{within_days}d"
    labels = _labels(found, when, within_days)
    splits = _splits(cohort.subject_ids, labels, seed)
    task = Task(
        name,
        f"{title} within {within_days} days",
        words,
        (within_days,),
        _HU_WINDOW,
        "Patients who left the hospital alive; everybody counts as watched for that time",
        "Discharge",
    )
    write_cohort_tables(
        out, events=_table(cohort), splits=splits, codes=_codes(cohort, codes), labels={name: (task, labels)},
        metadata={"dataset_name": "made from events", "virtual": cohort.virtual},
    )  # fmt: skip
    count = splits["split"].value_counts()
    by_split = ", ".join(f"{split} {count.get(split, 0):,}" for split in SPLITS)
    return (
        f"{count_of(len(splits), 'patient')}: {by_split}.",
        f"{count_of(len(labels), 'discharge')}, {int(labels['event'].sum()):,} followed by {words} within "
        f"{within_days:,} days. Task {name}.",
    )


def discharges(cohort: Cohort) -> list[Discharge]:
    """Every discharge alive, by patient and time. A death on the day of discharge is one in hospital."""
    names = [standard_code(code) for code in cohort.labels["code"].texts]
    ids, deaths = cohort.labels["code"].ids, _deaths(cohort)
    found = []
    for place, subject in enumerate(cohort.subject_ids.tolist()):
        own = slice(int(cohort.offsets[place]), int(cohort.offsets[place + 1]))
        times = cohort.times_us[own]
        # Days from the patient's own first event keep microseconds exact enough for a discharge to be found again.
        dated = times[times != NO_TIME]
        if not len(dated):
            continue
        days = np.where(times == NO_TIME, np.nan, (times - dated.min()) / DAY_US)
        stays = [one.stay for one in admissions_of([names[number] for number in ids[own]], days)]
        ends = [int(dated.min()) + round(stay.end_days * DAY_US) for stay in stays]
        starts = [int(dated.min()) + round(stay.start_days * DAY_US) for stay in stays]
        death = deaths.get(subject)
        for number, (stay, end) in enumerate(zip(stays, ends)):
            alive = death is None or death // DAY_US > end // DAY_US
            if stay.ended and alive:
                later = [start for start in starts[number + 1 :] if start > end]
                found.append(Discharge(subject, end, later[0] if later else None, death))
    return found


def _deaths(cohort: Cohort) -> dict[int, int]:
    """Subject -> the first time at which the record says that the patient died, microseconds."""
    codes = cohort.labels["code"]
    rows = np.flatnonzero(np.append(cohort.telling, False)[codes.ids] & (cohort.times_us != NO_TIME))
    if not len(rows):
        return {}
    texts = cohort.labels.get("text_value")
    said = [texts.texts[texts.ids[row]] if texts and texts.ids[row] >= 0 else None for row in rows.tolist()]
    frame = pd.DataFrame(
        {
            "code": [codes.texts[number] for number in codes.ids[rows].tolist()],
            "text_value": said,
            "numeric_value": cohort.values[rows],
        }
    )
    rows = rows[says_died(frame)]
    subjects = cohort.subject_ids[np.searchsorted(cohort.offsets, rows, side="right") - 1]
    first: dict[int, int] = {}
    for subject, time in zip(subjects.tolist(), cohort.times_us[rows].tolist()):
        first[subject] = min(time, first.get(subject, time))
    return first


def _labels(
    found: list[Discharge], when: Callable[[Discharge], tuple[int | None, int | None]], within_days: int
) -> pd.DataFrame:
    rows = []
    for discharge in found:
        happens, ends = when(discharge)
        limit = discharge.time_us + within_days * DAY_US
        watched = min(limit, ends) if ends is not None else limit
        event = happens is not None and happens <= watched
        until = happens if event and happens is not None else watched
        rows.append((discharge.subject_id, discharge.time_us, max((until - discharge.time_us) / DAY_US, 1e-3), event))
    table = pd.DataFrame(rows, columns=["subject_id", "time_us", "time_to_event_days", "event"])
    times = pd.to_datetime(table.pop("time_us"), unit="us").astype("datetime64[us]")
    return table.assign(prediction_time=times)


def _splits(subject_ids: npt.NDArray[np.int64], labels: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Patients by chance, those with an event and those without in the same shares."""
    draw = np.random.default_rng(seed)
    has = set(labels.loc[labels["event"], "subject_id"].tolist())
    split: dict[int, str] = {}
    for group in (True, False):
        own = draw.permutation([subject for subject in subject_ids.tolist() if (subject in has) == group]).tolist()
        edges = np.round(np.cumsum([0, *SHARES.values()]) * len(own)).astype(int)
        for name, first, last in zip(SHARES, edges[:-1], edges[1:]):
            split.update(dict.fromkeys(own[first:last], name))
    if set(split.values()) != set(SPLITS):
        raise UserFacingError(
            f"There are only {count_of(len(subject_ids), 'patient')}.",
            "enough for training, tuning and held-out patients",
            "Bring more patients.",
        )
    return pd.DataFrame({"subject_id": subject_ids, "split": [split[one] for one in subject_ids.tolist()]})


def _table(cohort: Cohort) -> pd.DataFrame:
    """The events as MEDS columns, codes as the source spells them."""
    times = cohort.times_us.view("datetime64[us]")
    columns: dict[str, object] = {
        "subject_id": np.repeat(cohort.subject_ids, np.diff(cohort.offsets)),
        "time": times,
        "numeric_value": cohort.values,
    }
    for name, labels in cohort.labels.items():
        texts = np.array([*labels.texts, None], object)
        columns[name] = texts[labels.ids]
    kept = [name for name in ("subject_id", "time", "code", "numeric_value", "text_value", "unit") if name in columns]
    return pd.DataFrame(columns)[kept]


def _codes(cohort: Cohort, file: Path | None) -> pd.DataFrame:
    """Code metadata of the codes that stand in the records."""
    used = pd.DataFrame({"code": sorted(set(cohort.labels["code"].texts))})
    if file is None:
        parents = [list(cohort.parents.get(standard_code(code), ())) for code in used["code"]]
        words = [cohort.words.get(code) for code in used["code"]]
        return pd.DataFrame({"code": used["code"], "description": words, "unit": None, "parent_codes": parents})
    try:
        known = pd.read_parquet(file)
        merged = used.merge(known[["code", "description", "parent_codes"]], on="code", how="left")
    except (OSError, ValueError, KeyError) as error:
        raise UserFacingError(
            "The file of codes cannot be read.", "MEDS codes.parquet: code, description, parent_codes", "Check --codes."
        ) from error
    parents = [list(one) if isinstance(one, (list, np.ndarray)) else [] for one in merged["parent_codes"]]
    return pd.DataFrame({**merged[["code", "description"]], "unit": None, "parent_codes": parents})
