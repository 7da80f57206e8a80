"""Hospital admissions and intensive-care stays inside a record, read off the events that begin and end them.

Rules, one for each doubt:
- An admission without a discharge before the next one ends where the next begins, or with the last event before the
  record is silent for more than `SILENCE_DAYS`, whichever comes first.
- A discharge without an admission before it is no stay; of several before the next admission the last one counts, so
  that where two admissions overlap the first ends where the second begins.
- An intensive-care stay belongs to the admission in which it begins and ends with it at the latest; one outside any
  admission is an admission of its own.
- An event at the very moment of discharge still belongs to the admission (diagnoses are coded then).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

SILENCE_DAYS = 2.0
"""Longest silence inside an admission whose end nobody wrote down; chosen: vital signs come more often."""
Kind = Literal["hospital", "intensive"]
_BEGINS: dict[str, Kind] = {
    "HOSPITAL_ADMISSION": "hospital",
    "VISIT//INPATIENT": "hospital",
    "VISIT//EMERGENCY_INPATIENT": "hospital",
    "ICU_ADMISSION": "intensive",
}
_ENDS: dict[str, Kind] = {"HOSPITAL_DISCHARGE": "hospital", "ICU_DISCHARGE": "intensive"}
_MOVES = "TRANSFER_TO"
Days = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stay:
    """start_days, end_days: from the prediction time (<= 0), or on any clock. ended: whether its end was written
    down. where: what its beginning says of the ward or the way in."""

    kind: Kind
    start_days: float
    end_days: float
    ended: bool
    where: str = ""

    @property
    def length_days(self) -> float:
        """From its beginning to its end."""
        return self.end_days - self.start_days


@dataclass(frozen=True)
class Admission:
    """A hospital admission, the intensive-care stays in it, and when the patient was moved where."""

    stay: Stay
    intensive: tuple[Stay, ...]
    moves: tuple[tuple[float, str], ...] = ()


def is_stay_code(code: str) -> bool:
    """Whether a code begins, ends or moves a stay, and tells nothing else.

    >>> is_stay_code("ICU_ADMISSION//MICU"), is_stay_code("VISIT//OUTPATIENT"), is_stay_code("VISIT//INPATIENT")
    (True, False, True)
    """
    return any(_is(code, name) for name in (*_BEGINS, *_ENDS, _MOVES))


def admissions_of(codes: Sequence[str], days: npt.ArrayLike) -> tuple[Admission, ...]:
    """Admissions in order of time. codes: standard spellings; days (n,): when each event was, NaN for static facts."""
    times = np.asarray(days, np.float64)
    dated = np.flatnonzero(np.isfinite(times))
    order = dated[np.argsort(times[dated], kind="stable")]
    moments = times[order]
    names = [str(codes[row]) for row in order.tolist()]
    hospital = _spans("hospital", names, moments)
    intensive = _spans("intensive", names, moments)
    moves = [(float(when), _rest(name)) for when, name in zip(moments, names) if _is(name, _MOVES)]
    found = []
    taken: set[int] = set()
    for stay in hospital:
        own = [number for number, one in enumerate(intensive) if stay.start_days <= one.start_days <= stay.end_days]
        taken.update(own)
        inside = tuple(_cut(intensive[number], stay.end_days) for number in own)
        moved = tuple(move for move in moves if stay.start_days <= move[0] <= stay.end_days)
        found.append(Admission(stay, inside, moved))
    alone = [one for number, one in enumerate(intensive) if number not in taken]
    found += [Admission(Stay("hospital", one.start_days, one.end_days, one.ended), (one,)) for one in alone]
    return tuple(sorted(found, key=lambda admission: admission.stay.start_days))


def _spans(kind: Kind, names: Sequence[str], moments: Days) -> list[Stay]:
    ends = _places(_ENDS, kind, names)
    starts: list[int] = []
    for place in _places(_BEGINS, kind, names):  # the same moment twice is one beginning
        if not starts or moments[place] > moments[starts[-1]]:
            starts.append(place)
    found = []
    for number, place in enumerate(starts):
        following = moments[starts[number + 1]] if number + 1 < len(starts) else np.inf
        own = [end for end in ends if end > place and moments[end] <= following]
        if own:
            end, ended = float(moments[own[-1]]), True
        else:
            end, ended = _silence(moments[place:], following), False
        found.append(Stay(kind, float(moments[place]), end, ended, _rest(names[place])))
    return found


def _places(marks: dict[str, Kind], kind: Kind, names: Sequence[str]) -> list[int]:
    wanted = [mark for mark, own in marks.items() if own == kind]
    return [place for place, name in enumerate(names) if any(_is(name, mark) for mark in wanted)]


def _silence(moments: Days, before: float) -> float:
    """The last moment before a silence, or before the next beginning."""
    inside = moments[moments < before]
    gaps = np.flatnonzero(np.diff(inside) > SILENCE_DAYS)
    return float(inside[gaps[0]] if len(gaps) else inside[-1])


def _cut(stay: Stay, end_days: float) -> Stay:
    return stay if stay.end_days <= end_days else Stay(stay.kind, stay.start_days, end_days, stay.ended, stay.where)


def _is(code: str, name: str) -> bool:
    return code == name or code.startswith(f"{name}//")


def _rest(code: str) -> str:
    """What a code says behind its first part: where.

    >>> _rest("ICU_ADMISSION//Medical Intensive Care Unit (MICU)"), _rest("HOSPITAL_ADMISSION")
    ('Medical Intensive Care Unit (MICU)', '')
    """
    return code.partition("//")[2]
