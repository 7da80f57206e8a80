"""A 12-lead ECG of ten seconds (`--with ecg`), written as WFDB records of format 16.

The package wfdb would bring a network client and an LGPL sound library; the format is a text header and int16 numbers
(physionet.org/physiotools/wag/header-5.htm), so it is written here, and read by wfdb in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.virtual.ecg_beats import LEADS, RATE_HZ
from core.virtual.ecg_findings import sample_ecg
from core.virtual.ecg_render import RenderedEcg, Segment, render_ecg
from core.virtual.sampling import VirtualPatient, rng_of

UNITS_PER_MV = 1000
"""Steps of a written sample: one microvolt."""
_EARLIEST_MINUTES, _LATEST_MINUTES = 3 * 1440, 20


def ecg_of(patient: VirtualPatient) -> RenderedEcg:
    """The patient's rendered ECG; the same for every task of the patient's population."""
    return render_ecg(sample_ecg(patient), rng_of(patient, "ecg signal"))


def write_signals(cohort: Path, people: Sequence[VirtualPatient]) -> pd.DataFrame:
    """Write signals/index.parquet and a WFDB record a patient; the truth of each as a table.

    The index holds subject_id, time (20 minutes to three days before the CT), modality (ecg) and path of the header,
    relative to the cohort. The truth: subject_id, lead, start_s, end_s, what (see `Segment`). The same patients
    give the same bytes.
    """
    folder = cohort / "signals"
    folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[int | str | float, ...]] = []
    for person in people:
        rendered = ecg_of(person)
        _write_record(folder, str(person.subject_id), rendered.signal_mv)
        written += [(person.subject_id, *segment) for segment in rendered.written]
    pd.DataFrame(
        {
            "subject_id": np.array([person.subject_id for person in people], np.int64),
            "time": np.array([person.study_time - _before(person) for person in people], dtype="datetime64[us]"),
            "modality": np.full(len(people), "ecg", dtype=object),
            "path": np.array([f"signals/{person.subject_id}.hea" for person in people], dtype=object),
        }
    ).to_parquet(folder / "index.parquet", index=False)
    return pd.DataFrame(written, columns=["subject_id", *Segment._fields])


def _before(patient: VirtualPatient) -> timedelta:
    minutes = rng_of(patient, "ecg time").integers(_LATEST_MINUTES, _EARLIEST_MINUTES)
    return timedelta(minutes=int(minutes))


def _write_record(folder: Path, name: str, signal_mv: npt.NDArray[np.float32]) -> None:
    """NAME.hea and NAME.dat: interleaved little-endian int16, without a date, marked as a virtual patient's."""
    steps = np.clip(np.rint(signal_mv * UNITS_PER_MV), -32767, 32767).astype("<i2")
    sums = steps.sum(axis=0, dtype=np.int64).astype(np.int16)
    lines = [f"{name} {len(LEADS)} {RATE_HZ} {len(steps)}"]
    lines += [
        f"{name}.dat 16 {UNITS_PER_MV}(0)/mV 16 0 {steps[0, column]} {sums[column]} 0 {lead}"
        for column, lead in enumerate(LEADS)
    ]
    (folder / f"{name}.dat").write_bytes(steps.tobytes())
    (folder / f"{name}.hea").write_bytes("\n".join([*lines, "# virtual patient", ""]).encode("ascii"))
