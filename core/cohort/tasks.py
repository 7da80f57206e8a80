"""The two tasks the project ships, as task cards."""

from __future__ import annotations

from core.records import Task

TASKS: dict[str, Task] = {
    "pe_mortality": Task(
        name="pe_mortality",
        title="Mortality after suspected pulmonary embolism",
        event_words="death from any cause",
        horizons_days=(30, 90, 365),
        hu_window=(-1350, 150),
        population="Adults who had a CT pulmonary angiogram for suspected pulmonary embolism",
        time_zero="Time of the CT pulmonary angiogram",
    ),
    "mace": Task(
        name="mace",
        title="Major adverse cardiac events",
        event_words="a major adverse cardiac event",
        horizons_days=(365, 1095, 1825),
        hu_window=(-125, 225),
        population="Adults who had a routine chest CT without contrast",
        time_zero="Time of the chest CT",
    ),
}
