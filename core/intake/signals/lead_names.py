"""The twelve leads, however a file spells them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records.ecg import STANDARD_LEADS, Ecg

_LOWER = {lead.lower(): lead for lead in STANDARD_LEADS}
LEAST_SECONDS = 2.0


def lead_of(text: str) -> str | None:
    """One of the twelve, or None.

    >>> [lead_of(text) for text in ("i", "Lead I (Einthoven)", "AVR", "MDC_ECG_LEAD_V1", "vx", "Lead aVF, augmented")]
    ['I', 'I', 'aVR', 'V1', None, 'aVF']
    """
    words = re.sub(r"^(?:mdc[_ ]ecg[_ ])?lead[_ ]*", "", text.strip().lower())
    return _LOWER.get(re.split(r"[\s,(;]", words)[0]) if words else None


def ecg_of_columns(values_mv: npt.NDArray[np.float64], names: Sequence[str], rate_hz: float, **told: object) -> Ecg:
    """An ECG of those columns that are one of the twelve leads, in their usual order; the rest is told in a note.

    Raises UserFacingError where none is, or the recording is shorter than `LEAST_SECONDS`.
    """
    found = {lead: place for place, name in reversed([*enumerate(names)]) if (lead := lead_of(name)) is not None}
    leads = tuple(lead for lead in STANDARD_LEADS if lead in found)
    if not leads:
        raise UserFacingError(
            "The recording has none of the twelve leads of an ECG.", "leads named I, II, ..., V6", "Choose an ECG."
        )
    if not np.isfinite(rate_hz) or rate_hz <= 0 or len(values_mv) / rate_hz < LEAST_SECONDS:
        raise UserFacingError(
            "The recording is too short or has no sampling rate.",
            f"at least {LEAST_SECONDS:g} seconds",
            "Choose another recording.",
        )
    notes = []
    if missing := [lead for lead in STANDARD_LEADS if lead not in found]:
        notes.append(f"Leads that were not recorded: {', '.join(missing)}.")
    if others := len(names) - len(leads):
        notes.append(f"Channels beside the twelve leads, which are not read: {others}.")
    columns = values_mv[:, [found[lead] for lead in leads]]
    if np.isnan(columns).any():
        notes.append(f"Values that the recorder marked as none: {np.isnan(columns).mean():.1%}.")
    return Ecg(columns, leads, float(rate_hz), notes=tuple(notes), **told)  # type: ignore[arg-type]
