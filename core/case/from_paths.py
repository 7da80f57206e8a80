"""A scan and a record named on the command line, with the answers that the Load page asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from core.errors import UserFacingError
from core.intake.record.column_questions import suggest_mapping
from core.intake.record.columns.roles import ROLES, WAYS
from core.intake.record.load import list_subjects, load_timeline
from core.intake.scan.load import SeriesSummary, list_series, load_study
from core.intake.scan.repairs import REPAIRS, Repair, RepairableError
from core.records import CtStudy, Timeline


def named_study(path: Path, number: int | None = None, repairs: Sequence[Repair] = ()) -> CtStudy:
    """The CT of a path. number: which of its series, counted from 1, largest first (`list_series`).

    Raises UserFacingError as `load_study`; what an option would lift is said with that option.
    """
    try:
        return load_study(path, series=None if number is None else _key(path, number), repairs=repairs)
    except RepairableError as error:
        if not error.repairs:
            raise
        offered = " or ".join(f"--repair {name} ({REPAIRS[name]})" for name in error.repairs)
        step = f"{error.next_step.rstrip('.')}; or add {offered}."
        raise UserFacingError(error.found, error.expected, step) from error
    except UserFacingError as error:
        if number is not None or len(found := _listed(path)) < 2:
            raise
        listed = "; ".join(f"{place}: {_size(item)}" for place, item in enumerate(found, 1))
        raise UserFacingError(error.found, error.expected, f"Add --series with a number: {listed}.") from error


def named_record(
    path: Path,
    prediction_time: pd.Timestamp | str | None = None,
    subject_id: int | None = None,
    answers: Mapping[str, str] | None = None,
) -> Timeline:
    """The record of a path, its columns as `answers_in` says.

    Raises UserFacingError as `load_timeline`; what an answer would settle is said with the roles and ways to answer.
    """
    try:
        return load_timeline(path, prediction_time=prediction_time, subject_id=subject_id, mapping=answers)
    except UserFacingError as error:
        if subject_id is None and _are_several(path, answers):
            step = "Add --subject-id with the number of one of them."
            raise UserFacingError(error.found, error.expected, step) from error
        if not (asked := _asked(path, answers)):
            raise
        raise UserFacingError(error.found, error.expected, f"Answer with --columns {asked}.") from error


def answers_in(words: Sequence[str]) -> dict[str, str] | None:
    """Answers on the columns of a table: "role=column", "role=" for none, or "way=how it is written".

    Raises UserFacingError for any other.

    >>> answers_in(["time=Collected at", "value=", "decimals=comma"])
    {'time': 'Collected at', 'value': '', 'decimals': 'comma'}
    """
    parts = [word.partition("=") for word in words]
    if any(not sign or name not in (*ROLES, *WAYS) for name, sign, _ in parts):
        roles = ", ".join((*ROLES, *WAYS))
        raise UserFacingError("An answer on columns is none.", f"ROLE=COLUMN with one of {roles}", "Correct it.")
    return {name: column for name, _, column in parts} or None


def _key(path: Path, number: int) -> str:
    found = list_series(path)
    if number > len(found):
        raise UserFacingError(f"There is no series {number}.", f"a number from 1 to {len(found)}", "Choose again.")
    return found[number - 1].key


def _listed(path: Path) -> Sequence[SeriesSummary]:
    """The series of a path; none where it cannot even be listed."""
    try:
        return list_series(path)
    except UserFacingError:
        return ()


def _size(item: SeriesSummary) -> str:
    """What tells a series from others without a word of its header, which may hold a name."""
    spacing = "" if item.spacing_mm is None else " of {:.2g} x {:.2g} x {:.2g} mm".format(*item.spacing_mm)
    return f"{' x '.join(f'{edge:,}' for edge in item.shape)} voxels{spacing}"


def _are_several(path: Path, answers: Mapping[str, str] | None) -> bool:
    """Whether a record is of several patients; not where they cannot even be listed."""
    try:
        return len(list_subjects(path, mapping=answers)) > 1
    except UserFacingError:
        return False


def _asked(path: Path, answers: Mapping[str, str] | None) -> str:
    """What is to be answered on a record, as options; "" where nothing is. No name of a column is told."""
    try:
        question = suggest_mapping(path, mapping=answers)
    except UserFacingError:
        return ""
    if not question.is_needed:
        return ""
    if question.looks:
        return " or ".join(f"encoding={look.encoding}" for look in question.looks)
    settled = {role for role, guess in question.guesses.items() if guess.sure}
    roles = [f"{role}=COLUMN" for role in question.required if role not in settled]
    ways = [" or ".join(f'"{way}={how}"' for how in WAYS[way]) for way in question.ways]
    return ", ".join([*roles, *ways]) or "ROLE=COLUMN"
