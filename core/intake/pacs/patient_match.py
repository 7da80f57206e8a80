"""Whether a study's row in a server's list and the images behind it are of one patient."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from core.intake.files.sources import NamedBytes
from core.intake.pacs.dicom_json import StudyRow
from core.intake.scan.dicom.digests import digest_text
from core.intake.scan.dicom.elements import Malformed, scan
from core.intake.scan.dicom.values import TAGS, Values

_WANTED = frozenset(TAGS[name] for name in ("SpecificCharacterSet", "PatientName", "PatientID"))


def other_patient(row: StudyRow, files: Sequence[NamedBytes]) -> tuple[str, ...]:
    """Doubt, in words that tell nobody's name or number, that the images are of the patient whom the row names.

    Numbers are compared as for two patients in one source; of names, one may have parts that the other lacks. What
    either leaves open is let pass. () where nothing speaks against it.
    """
    stated = list(_stated(files))
    numbers = {digest_text(values.written("PatientID")) for values in stated} - {""}
    names = {_parts(values.written("PatientName")) for values in stated} - {frozenset()}
    asked_number, asked_name = digest_text(row.patient_id), _parts(row.patient_name)
    differ = []
    if asked_number and numbers - {asked_number}:
        differ.append("number")
    if asked_name and any(not (name <= asked_name or asked_name <= name) for name in names):
        differ.append("name")
    if not differ:
        return ()
    what = " and another ".join(differ)
    return (
        f"The images state another patient {what} than the server's list gives for this study: it may be another "
        "person's scan, or the server changed one of the two. Make sure whose scan it is before you use it.",
    )


def _stated(files: Sequence[NamedBytes]) -> Iterator[Values]:
    for _, data in files:
        try:
            yield Values(scan(memoryview(data), _WANTED, complete=True))
        except Malformed:  # is refused with its reason when the series is read
            continue


def _parts(name: str) -> frozenset[str]:
    """Case-folded parts of a name's first group of characters (PS3.5, 6.2.1), however its accents are encoded."""
    return frozenset(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name.split("=")[0]).casefold()))
