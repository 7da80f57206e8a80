"""What the event of a task is in a record: the codes that a generative model is asked for."""

from __future__ import annotations

from core.foresee.events import DEATH
from core.foresee.queries import Query

TASK_CODES: dict[str, tuple[str, ...]] = {
    "pe_mortality": (DEATH,),
    "mace": ("ICD10CM//I21.4", "ICD10CM//I63.50", "ICD10CM//I50.21", DEATH),
}
"""Of the shipped tasks, as the virtual cohort writes them."""


def task_query(task: str | None) -> Query:
    """The event of a task; death where it is not known how the task's event is coded."""
    return Query(TASK_CODES.get(task or "", (DEATH,)))
