"""Residual identifiers in a DICOM file: every element, nested and private ones too, and the bytes around them.

The rule is an allow-list: text stays silent only where the attribute is technical and its words look so. Claims such
as Patient Identity Removed (0012,0062) are not trusted. Categories follow PS3.15, table E.1-1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from typing import Any

from pydicom._private_dict import private_dictionaries
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.field_names import OLDEST_SHOWN
from core.intake.identifiers.text.patterns import is_measured, is_ramp, packed_letters, printable_runs, values_of
from core.intake.identifiers.text.vocabulary import (
    is_descriptor,
    is_known_code,
    is_public_uid,
    kept_value,
    own_words,
    plain_text,
)
from core.intake.identifiers.where.dicom_reading import read_bounded
from core.intake.identifiers.where.pixel_bytes import search_pixel_bytes
from core.intake.scan.dicom.elements import (
    DEFLATED,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    Malformed,
    Scan,
    is_element_run,
    scan,
    skip_undefined,
)
from core.intake.terms.identifier_patterns import identifying

TECHNICAL_TEXT = frozenset(
    """
    ImageType Modality Manufacturer ManufacturerModelName SoftwareVersions ConvolutionKernel FilterType ScanOptions
    SpecificCharacterSet PhotometricInterpretation PatientSex PatientPosition RescaleType BodyPartExamined
    ExposureModulationType RotationDirection TableTraverse CodeValue CodingSchemeDesignator CodeMeaning
    CodingSchemeVersion ContextIdentifier MappingResource PatientOrientation PositionReferenceIndicator
    LossyImageCompression LossyImageCompressionMethod PatientIdentityRemoved BurnedInAnnotation
    WindowCenterWidthExplanation PixelPresentation VolumetricProperties VolumeBasedCalculationTechnique
    ImplementationVersionName ContrastBolusRoute LongitudinalTemporalInformationModified
    DeidentificationMethod PresentationLUTShape Laterality ImageLaterality AcquisitionType ReconstructionAlgorithm
    ContentQualification FrameType QualityControlImage RescaleSlope ConversionType AcquisitionNumber KVP GeneratorID
    SliceLocation ModalityLUTType VOILUTFunction FocalSpots ReformattingThickness OverlayType OverlaySubtype
    LUTExplanation InstanceAvailability CollimatorType FluoroscopyFlag FrameLaterality StackID
    """.split()  # noqa: SIM905
)
_NAMES_OF_THINGS = frozenset(("CodeValue", "CodingSchemeDesignator", "Manufacturer"))
"""Local codes and makers have names that no list holds; cleaning takes them out nevertheless."""
_INSTITUTION = re.compile(
    r"(?i)klini|clini|spital|h[oô]pital|ospedal|krankenhaus|praxis|centre\b|universi|radiolog|ziekenhuis|sjukhus|sykehus"
)
"""What a name in the place of a maker's is not."""
_CODES_OF_SOMEBODY = re.compile(
    r"(?:PersonIdentification|InsurancePlan|Institution\w*|OperatorIdentification)CodeSequence"
)
_UID_KEPT = ("ImplementationClassUID", "TransferSyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID")
_CATEGORY_WORDS = (
    (
        "institution",
        ("Institution", "Physician", "Operator", "Performer", "Department", "Requesting", "Reviewer", "Author"),
    ),
    ("contact", ("Address", "Telephone", "Telecom", "Email", "Region", "Country", "Residence", "URI", "URL")),
    ("device", ("Device", "Station", "Detector", "Scanner", "AETitle", "Gantry", "Plate", "Cassette", "Equipment")),
    ("identifier", ("ID", "Number", "Identifier")),
)
REMOVED = "REMOVED"
"""What `core.intake.identifiers.clean.dicom_profile` writes where a text must not be empty; it names nobody."""
TIME_VRS = frozenset(("DA", "DT", "TM"))
_TEXT_VRS = TIME_VRS | {"PN", "LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "CS", "AS", "UI"}
BINARY_VRS = frozenset(("OB", "OW", "UN", "OF", "OD", "OL", "OV"))
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PIXELS = frozenset(("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
_TABLES = ("LUTData", "LookupTableData")
_TRAILING = "behind the pixel data"
_TIFF = re.compile(rb"II\*\0(.{4})|MM\0\*(.{4})|II\+\0\x08\0\0\0(.{8})|MM\0\+\0\x08\0\0(.{8})", re.DOTALL)
"""The head of a file that is a TIFF too (PS3.10, 7.1), with the place of its directory."""
_OTHER_NAMES = ("OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
_OTHER_NUMBERS = ("AccessionNumber", "OtherPatientIDs", "AdmissionID", "IssuerOfPatientID")
_SHORTEST_NUMBER = 4
"""Characters of a number that is looked for elsewhere; shorter parts stand there by chance."""
_AGE = re.compile(r"\s*(\d{1,9})\s*([DWMYdwmy]?)\s*")
_PER_YEAR = {"Y": 1, "M": 12, "W": 52, "D": 365}

Seen = tuple[int, str, int, bytes]


def search_dicom(
    entry: Entry, tokens: Collection[str] = (), seen: set[Seen] | None = None
) -> tuple[list[Finding], frozenset[str]]:
    """(findings of one DICOM file, words of the patient's name and id for searching other places).

    seen: raw elements judged before, with the words they were judged by; slices of a series share most; updated.
    """
    data = entry.read(0, None)
    found, own = _preamble(data), frozenset[str]()
    seen = set() if seen is None else seen
    try:
        dataset = read_bounded(data)
        own = words_of_patient(dataset)
        tokens = own | frozenset(tokens)
        for part, prefix in ((dataset.file_meta, "file meta, "), (dataset, "")):
            for path, element in _walk(part, prefix, seen, hash(tokens)):
                found += _judge(path, element, tokens)
        found += _pictures(dataset)
        found += search_pixel_bytes(dataset)
    except Exception:  # pydicom may raise anything on a damaged file
        found.append(Finding("unreadable", "data set", "not searched to the end"))
    return found + _trailing(data), own


def words_of_patient(dataset: Any) -> frozenset[str]:
    """Case-folded words of the names and numbers that a data set gives its patient, and of its accession number."""
    own = own_words(*(str(dataset.get(name, "") or "") for name in ("PatientName", "PatientID")))
    for keyword in _OTHER_NAMES:
        for name in values_of(dataset[keyword]) if keyword in dataset else ():
            own |= own_words(str(name), "")
    for keyword in _OTHER_NUMBERS:
        for number in values_of(dataset[keyword]) if keyword in dataset else ():
            own |= frozenset(word for word in own_words("", str(number)) if len(word) >= _SHORTEST_NUMBER)
    return own


def _preamble(data: memoryview) -> list[Finding]:
    """Anything in the preamble but the head of a TIFF whose directory lies within the file."""
    if len(data) < 132 or bytes(data[128:132]) != b"DICM":
        return []
    start, head = 0, _TIFF.match(data[:16])
    if head:
        place = int.from_bytes(next(part for part in head.groups() if part), "little" if head[0][:1] == b"I" else "big")
        start = head.end() if place < len(data) else 0
    rest = bytes(data[start:128]).strip(b"\0")
    return [Finding("preamble", "preamble (first 128 bytes)", mask(rest))] if rest else []


def _walk(dataset: Any, prefix: str, seen: set[Seen], words: int) -> Iterator[tuple[str, Any]]:
    """Every element not seen before with its path, sequences opened; iterative, so nesting cannot exhaust the stack."""
    stack = [(dataset, prefix)]
    while stack:
        current, path = stack.pop()
        for tag in current.keys():  # noqa: SIM118
            raw = current.get_item(tag)
            if (tag == 0x7FE00010 and not path) or (isinstance(raw, RawDataElement) and _known(path, raw, seen, words)):
                continue
            where = f"{path}({tag.group:04X},{tag.element:04X}) {keyword_for_tag(tag) or _unnamed(tag)}"
            try:
                element = current[tag]
                _ = element.value
            except Exception:  # pydicom may raise anything on a damaged value
                yield where, None
                continue
            if element.VR == "SQ":
                stack += [(item, f"{where} > ") for item in element.value]
            else:
                yield where, element


def _known(path: str, raw: RawDataElement, seen: set[Seen], words: int) -> bool:
    """Whether the same element with the same bytes was judged by the same words before; remembers short ones."""
    value = raw.value or b""
    if len(value) > 1024:
        return False
    key = (words, path, int(raw.tag), value)
    known = key in seen
    seen.add(key)
    return known


def _unnamed(tag: Any) -> str:
    return "private" if tag.is_private else "unknown"


def _judge(where: str, element: Any, tokens: Collection[str]) -> list[Finding]:
    """Findings of one element: none, or one."""
    if element is None:
        return [Finding("unreadable", where, "not searched")]
    if element.tag.element == 0 or not element.value:
        return []
    if element.tag.is_private:
        return _private(where, element)
    if element.VR in BINARY_VRS:
        return _binary(where, element)
    if element.VR in ("IS", "DS"):
        return _decimal_strings(where, element, tokens)
    if element.VR not in _TEXT_VRS:
        return _binary_numbers(where, element)
    text = "\\".join(str(value) for value in values_of(element))
    category = _category(element, text, tokens)
    if element.keyword == "CodeValue" and _CODES_OF_SOMEBODY.search(where):
        category = "identifier"
    return [Finding(category, where, mask(text))] if category else []


def _decimal_strings(where: str, element: Any, tokens: Collection[str]) -> list[Finding]:
    """Findings of decimal strings: text in place of a number, more digits than a count has, or the patient's id."""
    texts = [str(value) for value in values_of(element)]
    if all(is_measured(element.keyword, text, tokens) for text in texts):
        return []
    return [Finding("number", where, mask("\\".join(texts)))]


def _category(element: Any, text: str, tokens: Collection[str]) -> str | None:
    keyword, vr = element.keyword, element.VR
    if text.strip() in ("", REMOVED):
        return None
    if vr == "PN":
        return "name"
    if vr in TIME_VRS:
        return "date"
    if vr == "AS":
        return _age(text)
    if vr == "UI":
        public = keyword.endswith(_UID_KEPT) or all(is_public_uid(keyword, value) for value in text.split("\\"))
        return None if public else "unique identifier"
    if keyword in _NAMES_OF_THINGS:
        if keyword == "Manufacturer" and _INSTITUTION.search(text):
            return "institution"
        return None if is_known_code(text) else identifying(text, tokens)
    if keyword in TECHNICAL_TEXT or vr == "CS" or is_descriptor(keyword):
        values = text.split("\\")
        if all(kept_value(keyword, vr, value, tokens) == value.strip() for value in values):
            return None
        return identifying(text, tokens) or "free text"
    return next((name for name, words in _CATEGORY_WORDS if any(word in keyword for word in words)), "free text")


def _age(text: str) -> str | None:
    """Category of an age (AS) of 90 years or more, however written, or of other text; a bare number counts as years."""
    found = _AGE.fullmatch(text)
    if not found:
        return "free text"
    years = int(found[1]) // _PER_YEAR[found[2].upper() or "Y"]
    return "age over 89" if years > OLDEST_SHOWN else None


def _private(where: str, element: Any) -> list[Finding]:
    value = element.value
    if element.tag.is_private_creator and _is_maker(str(value).strip()):
        return []
    text = bytes(value) if isinstance(value, (bytes, bytearray)) else str(value).encode("utf-8", "replace")
    return [Finding("private", where, mask(text))]


def _is_maker(creator: str) -> bool:
    return creator in private_dictionaries or plain_text(creator, device=True) == creator


def _binary(where: str, element: Any) -> list[Finding]:
    if element.tag.group & 0xFF00 == 0x5000:
        return [Finding("curve", where, mask(bytes(element.value)))]
    if element.tag.group & 0xFF00 == 0x6000:
        return [Finding("overlay", where, mask(bytes(element.value)))]
    if element.keyword in PIXELS:
        return [Finding("icon or nested picture", where, mask(bytes(element.value)))] if " > " in where else []
    if element.keyword == "DataSetTrailingPadding":
        rest = bytes(element.value).strip(b"\0")
        return [Finding("trailing bytes", _TRAILING, mask(rest))] if rest else []
    if element.VR not in ("OB", "OW", "UN"):
        return _binary_numbers(where, element)
    return _bytes(where, element)


def _bytes(where: str, element: Any) -> list[Finding]:
    """Text in bytes; of others that they were not searched, except look-up tables, which clean CT has."""
    value = element.value
    if not isinstance(value, bytes) or (element.keyword == "FileMetaInformationVersion" and len(value) <= 2):
        return []
    table = element.keyword.endswith(_TABLES)
    runs = [run for run in printable_runs(value, 6) if not (table and is_ramp(run))]
    if runs:
        return [Finding("free text", where, mask(b"".join(runs)))]
    if table or not value.strip(b"\0"):
        return []
    return [Finding("unreadable", where, "bytes of no known form: not searched")]


def _binary_numbers(where: str, element: Any) -> list[Finding]:
    """Text that stands as numbers: its letters, or numbers in place of what the standard says is text."""
    keyword = element.keyword
    if keyword and dictionary_VR(keyword) in _TEXT_VRS:
        return [Finding("free text", where, f"{len(values_of(element))} numbers in place of text")]
    runs = packed_letters(element.VR, element.value)
    return [Finding("free text", where, mask(b"".join(runs)))] if runs else []


def _pictures(dataset: Any) -> list[Finding]:
    """Signs that text may be burned into the pixels; no detector of pixels is run."""
    kind = [str(part).upper() for part in (dataset.get("ImageType") or [])]
    burned = str(dataset.get("BurnedInAnnotation") or "").upper() == "YES"
    reformatted = "ImagePositionPatient" in dataset or "PerFrameFunctionalGroupsSequence" in dataset
    is_capture = str(dataset.get("SOPClassUID") or "").startswith(_CAPTURE)
    captured = is_capture or ("SECONDARY" in kind[:2] and not reformatted)
    if burned or captured or "SCREEN SAVE" in kind:
        return [Finding("burned-in text", "pixels", "possible: the image is a capture or says so")]
    return []


def _trailing(data: memoryview) -> list[Finding]:
    """Bytes behind the pixel data that are no elements; zeros are padding."""
    try:
        found = scan(data, (), complete=True)
        rest = data[_pixel_end(data, found) :]
    except (Malformed, struct.error, UserFacingError):
        return []
    kept = b"" if is_element_run(rest, found) else bytes(rest).strip(b"\0")
    return [Finding("trailing bytes", _TRAILING, mask(kept))] if kept else []


def _pixel_end(data: memoryview, found: Scan) -> int:
    if not found.pixel_tag or found.transfer_syntax == DEFLATED:
        return len(data)
    if found.pixel_length is None:
        return skip_undefined(
            data, found.pixel_start, found.transfer_syntax == IMPLICIT_LITTLE, found.transfer_syntax == EXPLICIT_BIG
        )
    return found.pixel_start + found.pixel_length
