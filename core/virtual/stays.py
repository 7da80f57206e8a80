"""Hospital admissions and intensive-care stays with hourly series (`--with stays`)."""

from __future__ import annotations

import pandas as pd

from core.virtual.sampling import VirtualPatient


def stay_events(patient: VirtualPatient, last_day: float) -> pd.DataFrame:
    """Events of the patient's stays before the CT and after it up to `last_day`, columns as of `simulate_events`."""
    raise NotImplementedError
