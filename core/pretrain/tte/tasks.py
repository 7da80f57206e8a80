"""Tasks from the record: for each code, the time from the scan to its next occurrence, else censored.

Codes count with their ancestors (`core.events.ancestors` and the cohort's own parent_codes). A code at or before the
scan is no future event of it; what matters is the next one after.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserFacingError
from core.events.ancestors import path_of
from core.events.standard_codes import standard_code
from core.intake.record.cohort_columns import NO_TIME, Cohort
from core.records import BIRTH, Float64Array

DAY_US = 86_400_000_000
LEAST_SHARE = 1 / 1000
"""Of patients with an event, for a code to be a task (femr)."""
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FutureEvents:
    """What happened to p patients after their scans.

    codes: of the c codes. patients, code_ids int64 (e,), days float64 (e,): first time after the scan that a code, or
    one below it, stands in a patient's record; sorted by patient. follow_up_days float64 (p,): last record or death.
    """

    codes: tuple[str, ...]
    patients: Int64s
    code_ids: Int64s
    days: Float64Array
    follow_up_days: Float64Array

    def __len__(self) -> int:
        return len(self.follow_up_days)

    def of_tasks(self, tasks: Collection[str]) -> FutureEvents:
        """The events of these codes alone, numbered in their order."""
        place = {code: number for number, code in enumerate(tasks)}
        new = np.array([place.get(code, -1) for code in self.codes], np.int64)
        own = new[self.code_ids]
        kept = own >= 0
        return FutureEvents(tuple(tasks), self.patients[kept], own[kept], self.days[kept], self.follow_up_days)


def future_events(
    cohort: Cohort, subject_ids: npt.ArrayLike, scan_times: npt.ArrayLike, excluded: Collection[str] = ()
) -> FutureEvents:
    """Events of each subject after the scan. excluded: codes left out with everything below them."""
    names = cohort.labels["code"]
    paths = [path_of(standard_code(code), cohort.parents) for code in names.texts]
    out = {standard_code(code) for code in excluded}
    nodes: dict[str, int] = {}
    of_code: list[tuple[int, ...]] = []
    for path in paths:
        banned = bool(out.intersection(path)) or path[0] == BIRTH
        of_code.append(() if banned else tuple(nodes.setdefault(node, len(nodes)) for node in path))
    scans = np.asarray(scan_times, "datetime64[us]").view(np.int64)
    rows, days, patients, last = [], [], [], np.zeros(len(scans))
    place_of = {int(subject): number for number, subject in enumerate(cohort.subject_ids.tolist())}
    for number, (subject, scan) in enumerate(zip(np.asarray(subject_ids).tolist(), scans.tolist(), strict=True)):
        if subject not in place_of:
            continue
        own = slice(*cohort.offsets[place_of[subject] : place_of[subject] + 2])
        times = cohort.times_us[own]
        after = np.flatnonzero((times > scan) & (times != NO_TIME))
        if len(after):
            rows.append(names.ids[own][after].astype(np.int64))
            days.append((times[after] - scan) / DAY_US)
            patients.append(np.full(len(after), number))
            last[number] = days[-1].max()
    if not rows:
        raise UserFacingError(
            "No patient's record goes on after the scan.", "coded events after the scan", "Bring longer records."
        )
    codes, when, whose = np.concatenate(rows), np.concatenate(days), np.concatenate(patients)
    lengths = np.array([len(path) for path in of_code])[codes]
    flat = np.concatenate([np.array(path, np.int64) for path in of_code]) if nodes else np.zeros(0, np.int64)
    starts = np.cumsum([0, *(len(path) for path in of_code)])[:-1][codes]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    table = pd.DataFrame(
        {
            "patient": np.repeat(whose, lengths),
            "code": flat[np.repeat(starts, lengths) + within],
            "days": np.repeat(when, lengths),
        }
    )
    first = table.groupby(["patient", "code"], sort=True)["days"].min().reset_index()
    patient, code = first["patient"].to_numpy(np.int64), first["code"].to_numpy(np.int64)
    return FutureEvents(tuple(nodes), patient, code, first["days"].to_numpy(np.float64), last)


def choose_tasks(events: FutureEvents, most: int, cohort: Cohort | None = None) -> pd.DataFrame:
    """The tasks, most telling first: code, events, share, entropy (nats, given the parent).

    A code's entropy is that of having the event among those who have its nearest ancestor's (all, without one), times
    their share: what the code adds to what stands above it. Codes that every carrier of the ancestor has add nothing
    and are left out, as are those below `LEAST_SHARE`.
    """
    total = len(events)
    counts = np.bincount(events.code_ids, minlength=len(events.codes))
    count_of = dict(zip(events.codes, counts.tolist()))
    parents = cohort.parents if cohort is not None else None
    rows = []
    for code, count in count_of.items():
        above = [count_of[node] for node in path_of(code, parents)[1:] if node in count_of]
        base = above[0] if above else total
        share = count / base if base else 0.0
        entropy = 0.0 if share in (0.0, 1.0) else -(share * np.log(share) + (1 - share) * np.log1p(-share))
        rows.append((code, count, count / total, entropy * base / total))
    table = pd.DataFrame(rows, columns=["code", "events", "share", "entropy"])
    table = table[(table["share"] >= LEAST_SHARE) & (table["events"] >= 2) & (table["entropy"] > 0)]
    table = table.sort_values(["entropy", "code"], ascending=[False, True]).head(most).reset_index(drop=True)
    if table.empty:
        raise UserFacingError(
            "No code happens often enough after the scan.",
            f"codes that at least {LEAST_SHARE:.1%} of patients get after it",
            "Bring more patients or longer records.",
        )
    return table


def piece_edges(events: FutureEvents, pieces: int) -> Float64Array:
    """(pieces + 1,) days: evenly spaced percentiles of the times of events; the first 0, the last infinite."""
    edges = np.quantile(events.days, np.linspace(0, 1, pieces + 1))
    edges[0], edges[-1] = 0.0, np.inf
    kept = np.unique(edges)
    return np.asarray(kept, np.float64)
