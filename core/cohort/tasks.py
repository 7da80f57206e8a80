"""The tasks that the project knows, as task cards; of the first two it ships models."""

from __future__ import annotations

from core.records import ENOUGH_EVENTS, Task
from core.wording import count_of

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
    "mace_ecg": Task(
        name="mace_ecg",
        title="Major adverse cardiac events, with an ECG",
        event_words="a major adverse cardiac event",
        horizons_days=(365, 1095, 1825),
        hu_window=(-125, 225),
        population="Adults who had a routine chest CT without contrast and an ECG in the days before it",
        time_zero="Time of the chest CT",
    ),
}


MIN_EVENTS = 10
"""Training patients with the event without whom no model is trained."""


def training_events_words(events: int) -> str:
    """How many training patients have the event, and how many are needed.

    >>> training_events_words(8)
    '8 training patients with the event: 10 are needed to train, 50 for risks that are shown large'
    """
    told = f"{count_of(events, 'training patient')} with the event"
    return f"{told}: {MIN_EVENTS} are needed to train, {ENOUGH_EVENTS} for risks that are shown large"
