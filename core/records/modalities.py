"""What can be known of a patient, by name: a third modality is one more entry."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE, EHR, SIGNALS = "image", "ehr", "signals"
FUSED_COLOUR = "#0072B2"


@dataclass(frozen=True)
class Modality:
    """title: its name on screen. colour: of curves and marks that are about it alone (Okabe-Ito palette).

    counted: how many tokens a patient has tells something (events of a record do, slices of a scan do not).
    """

    title: str
    colour: str
    counted: bool

    @property
    def word(self) -> str:
        """Its name within a sentence.

        >>> Modality("Record", "", True).word, Modality("CT", "", False).word
        ('record', 'CT')
        """
        return self.title if self.title.isupper() else self.title.lower()


MODALITIES: dict[str, Modality] = {
    IMAGE: Modality("CT", "#E69F00", counted=False),
    EHR: Modality("Record", "#009E73", counted=True),
    SIGNALS: Modality("ECG", "#CC79A7", counted=False),
}
