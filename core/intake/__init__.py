"""One patient's files on their way in: read in the background, opened once read, searched before any export."""

from __future__ import annotations

from core.intake.case import Case, export_refusal, of_record, read_demo
from core.intake.desk import Intake, State
from core.intake.job import Cancelled, Job
from core.intake.memory import give_back_memory, keep_few_arenas, set_imports_aside
from core.intake.strip import strip

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
