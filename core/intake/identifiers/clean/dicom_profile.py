"""The Basic Application Level Confidentiality Profile (PS3.15, table E.1-1, 2026c) on one data set, as an allow-list.

The table's codes come from the dicom-anonymizer package. Options: Clean Pixel Data, Clean Descriptors, Retain
Longitudinal Temporal Information with Modified Dates, Retain Patient Characteristics. What the table does not name is
kept only where it cannot hold an identifier: numbers, coded values, plain words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core.intake.identifiers.clean.pseudonyms import Pseudonyms, shifted
from core.intake.identifiers.text.field_names import OLDEST_SHOWN
from core.intake.identifiers.text.patterns import is_measured, packed_letters, values_of
from core.intake.identifiers.text.vocabulary import is_descriptor, is_public_uid, kept_value
from core.intake.identifiers.where.dicom import BINARY_VRS, PIXELS, REMOVED, TECHNICAL_TEXT, TIME_VRS

_CODES = {
    "D": table.D_TAGS, "Z": table.Z_TAGS, "X": table.X_TAGS, "U": table.U_TAGS, "Z/D": table.Z_D_TAGS,
    "X/Z": table.X_Z_TAGS, "X/D": table.X_D_TAGS, "X/Z/D": table.X_Z_D_TAGS, "X/Z/U*": table.X_Z_U_STAR_TAGS,
}  # fmt: skip
_CHARACTERISTICS = frozenset(
    "PatientSex PatientSexNeutered PatientAge PatientSize PatientWeight SmokingStatus PregnancyStatus".split()  # noqa: SIM905
)
_BYTES_KEPT = PIXELS | {"LUTData"} | {f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")}
_SEX = frozenset(("M", "F", "O"))
_CHOICES = {"SmokingStatus": ("YES", "NO", "UNKNOWN"), "PatientSexNeutered": ("ALTERED", "UNALTERED")}
_TIME = re.compile(r"\s*\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?\s*|\s*\d{2}:\d{2}:\d{2}(\.\d{1,6})?\s*")
_LOCAL_SCHEME = "99"
"""Private designators start so (PS3.16, 8.2); their codes may be numbers of any kind, even in a public form."""
_TEXT = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "CS"))
_WHOLE_NUMBERS = frozenset(("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"))
_NUMERIC = _WHOLE_NUMBERS | {"DS", "IS"}
_DUMMIES = {"ContrastBolusAgent": "CONTRAST", "SegmentLabel": REMOVED}
_EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")
"""What a multi-frame image must say of its scanner (PS3.3 C.7.5.2, type 1)."""
OPTIONS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)


@dataclass(frozen=True)
class Rules:
    """What one patient's data sets are cleaned with. tokens: case-folded words of the patient's name and id."""

    pseudonyms: Pseudonyms
    patient: str
    days: int
    tokens: Collection[str]


def clean_dataset(dataset: Dataset, rules: Rules) -> None:
    """Apply the profile in place, sequences included; iterative, so that nesting cannot exhaust the stack."""
    stack = [dataset]
    while stack:
        current = stack.pop()
        is_local = str(current.get("CodingSchemeDesignator") or "").startswith(_LOCAL_SCHEME)
        for tag in list(current.keys()):
            try:
                element = current[tag]
                kept = _cleaned(element, rules)
            except Exception:  # a value that cannot be read cannot be judged
                kept = None
            if kept is None:
                del current[tag]
            elif element.VR == "SQ":
                stack += list(element.value)
            else:
                element.value = kept
        if is_local and "CodeValue" in current:
            current.CodeValue = ""
    dataset.PatientName = dataset.PatientID = rules.patient
    if "SharedFunctionalGroupsSequence" in dataset:
        for keyword in _EQUIPMENT:
            setattr(dataset, keyword, dataset.get(keyword) or REMOVED)


def mark_cleaned(dataset: Dataset, blanked: int) -> None:
    """Write the attributes that say what was done (PS3.3 C.7.1.1, C.7.6.1; codes of PS3.16 CID 7050)."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = ["PS3.15 Basic Profile 2026c", f"Text boxes blanked in pixels: {blanked}"]
    items = []
    for value, meaning in OPTIONS:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = Sequence(items)
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    if "PixelData" in dataset:
        dataset.BurnedInAnnotation = "NO"


@lru_cache(maxsize=1)
def profile_codes() -> Mapping[int, str]:
    """Tag -> action code of table E.1-1; repeating groups are left to `_cleaned`, which removes them whole."""
    return {tag[0] << 16 | tag[1]: code for code, tags in _CODES.items() for tag in tags if len(tag) == 2}


def _cleaned(element: Any, rules: Rules) -> Any:
    """The value to keep (empty allowed), or None where the element goes."""
    tag, keyword = element.tag, keyword_for_tag(element.tag)
    if tag.is_private or not keyword or tag.element == 0 or tag.group & 0xFF00 in (0x5000, 0x6000) or tag.group < 8:
        return None
    code = profile_codes().get(int(tag), "")
    if keyword in ("PatientID", "PatientName"):
        return rules.patient
    if keyword in _CHARACTERISTICS:
        return _characteristic(keyword, element, rules)
    if element.VR in TIME_VRS:
        return _temporal(keyword, element, rules)
    if element.VR == "UI":
        return None if code.startswith("X") and code != "X/Z/U*" else _uids(element, rules)
    if code and code != "X/Z/U*":
        return _listed(code, keyword, element, rules)
    return _unlisted(keyword, element, rules)


def _listed(code: str, keyword: str, element: Any, rules: Rules) -> Any:
    """Attributes of the table: descriptors keep plain words, others go, stay empty where they must be present, or say
    no more than that something was there where they must not be empty (action D)."""
    if is_descriptor(keyword):
        text = _described(keyword, code, element, rules)
        if text or not code.startswith("X"):
            return text or ""
    if code == "D" and element.VR != "SQ" and values_of(element):
        return _dummy(element.VR)
    if code.startswith("X") or element.VR in BINARY_VRS or element.VR in _WHOLE_NUMBERS:
        return None
    return Sequence([]) if element.VR == "SQ" else ""


def _dummy(vr: str) -> Any:
    """A value that is valid and says nothing."""
    if vr in BINARY_VRS:
        return b"\0\0"
    return 0 if vr in _NUMERIC else "000D" if vr == "AS" else REMOVED


def _unlisted(keyword: str, element: Any, rules: Rules) -> Any:
    """Attributes that the table does not name."""
    vr = element.VR
    if vr == "SQ":
        return element.value
    if vr in BINARY_VRS or " or " in vr:
        return element.value if keyword in _BYTES_KEPT or vr == "US or SS" else None
    if vr in _WHOLE_NUMBERS:
        numeric = _NUMERIC & set(dictionary_VR(element.tag).split(" or "))
        return element.value if numeric and not packed_letters(vr, element.value) else None
    if vr in ("DS", "IS"):
        numbers = [str(value) for value in values_of(element)]
        good = all(is_measured(keyword, text, rules.tokens) for text in numbers)
        return (element.value if numbers else "") if good else None
    if vr in _TEXT and is_descriptor(keyword):
        return _described(keyword, "", element, rules) or ""
    if vr in _TEXT and (keyword in TECHNICAL_TEXT or vr == "CS"):
        return _texts(element, rules) or ""
    return None


def _described(keyword: str, code: str, element: Any, rules: Rules) -> Any:
    """The plain words of a descriptor; where none is left of one that must say something, one that says no more than
    that: an agent of contrast was given, a segment has a label."""
    text = _texts(element, rules)
    if text or not values_of(element):
        return text
    return _DUMMIES.get(keyword, REMOVED if code == "D" else None)


def _characteristic(keyword: str, element: Any, rules: Rules) -> Any:
    """Sex, sizes and weights as people have stay; an age above 89 years goes (45 CFR 164.514(b)(2)(i)(C))."""
    text = str(element.value or "").strip()
    if keyword == "PatientSex":
        return text if text in _SEX else ""
    if keyword == "PatientAge":
        if not re.fullmatch(r"\d{3}[DWMY]", text):
            return None
        return None if text.endswith("Y") and int(text[:3]) > OLDEST_SHOWN else text
    if keyword in _CHOICES:
        return text if text in _CHOICES[keyword] else None
    return element.value if is_measured(keyword, text, rules.tokens) else None


def _temporal(keyword: str, element: Any, rules: Rules) -> Any:
    """Dates move by the patient's days, times of day stay; birth dates and what cannot be read become empty."""
    if "Birth" in keyword:
        return ""
    values = [str(value) for value in values_of(element)]
    if element.VR == "TM":
        return values if all(_TIME.fullmatch(value) for value in values) else ""
    moved = [shifted(value, rules.days) for value in values]
    return "" if None in moved else moved


def _uids(element: Any, rules: Rules) -> Any:
    """Public UIDs stay; others are replaced consistently."""
    new = []
    for value in map(str, values_of(element)):
        new.append(value if is_public_uid(element.keyword, value) else rules.pseudonyms.uid(value))
    return new if len(new) != 1 else new[0]


def _texts(element: Any, rules: Rules) -> Any:
    """Each value with its plain words only; None where nothing is left."""
    values = [str(value) for value in values_of(element)]
    kept = [kept_value(element.keyword, element.VR, value, rules.tokens) for value in values]
    if element.keyword == "SpecificCharacterSet":
        return element.value if kept == values else None
    return None if not any(kept) else kept if len(kept) > 1 else kept[0]
