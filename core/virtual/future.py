"""The coded record after the CT (`--with future`)."""

from __future__ import annotations

import pandas as pd

from core.virtual.patient import Regime
from core.virtual.sampling import VirtualPatient


def future_events(patient: VirtualPatient, regime: Regime, time_to_event_days: float, event: bool) -> pd.DataFrame:
    """Events after the CT, columns as of `core.virtual.records.simulate_events`."""
    raise NotImplementedError
