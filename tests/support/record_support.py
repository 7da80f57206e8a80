"""Record encoders fitted on a few records whose outcomes mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.features import EventColumns
from core.pretrain.record_fits import FitOptions, Patients, fit_record_encoder
from core.pretrain.record_outcomes.train import Outcomes
from core.records.interfaces import RecordEncoder


def with_outcomes(records: Records, seed: int = 0) -> Patients:
    """The records with random times, every other one an event."""
    days = np.random.default_rng(seed).uniform(1.0, 1000.0, len(records))
    return Patients(records, Outcomes(days, np.arange(len(records)) % 2 == 0))


def fitted(name: str, records: Records, *, tuning: Records | None = None, **options: Any) -> RecordEncoder:
    """`fit_record_encoder` on them."""
    return fit_record_encoder(
        name, with_outcomes(records), None if tuning is None else with_outcomes(tuning), FitOptions(**options)
    )


class Given:
    """Records that are tables already."""

    def __init__(self, tables: list[EventColumns]) -> None:
        self.tables = tables

    def __len__(self) -> int:
        return len(self.tables)

    def columns(self) -> list[EventColumns]:
        return self.tables

    def digests(self) -> list[str]:
        return [str(number) for number in range(len(self.tables))]

    def coded(self, encoder: object) -> list:
        raise NotImplementedError
