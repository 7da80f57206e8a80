"""One patient's files on their way in: read in the background, opened once read, searched before any export."""

from __future__ import annotations

from core.case.case import Case, export_refusal, of_record, read_demo
from core.case.jobs import Cancelled, Job
from core.case.loading import Intake, State
from core.case.memory import give_back_memory, keep_few_arenas, set_imports_aside
from core.case.strip import strip

keep_few_arenas()

__all__ = [
    "Cancelled",
    "Case",
    "Intake",
    "Job",
    "State",
    "export_refusal",
    "give_back_memory",
    "of_record",
    "read_demo",
    "set_imports_aside",
    "strip",
]
