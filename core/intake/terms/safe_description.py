"""Words of a study that are safe to show: only terms of an allow-list come through, never free text."""

from __future__ import annotations

import re

from core.intake.terms.ambiguous_names import spans_of_whole_names, without_names_beside
from core.intake.terms.identifier_patterns import spans_of_identifiers
from core.intake.terms.protocol_terms import is_protocol_word

EXPORT_AGAIN = "Export the series again from the archive, complete and unmodified."

_TERMS = frozenset(
    """
    chest thorax thoracic lung lungs heart cardiac coronary coronaries pulmonary artery arteries aorta aortic abdomen
    abdominal pelvis neck head brain spine liver kidney routine standard soft tissue bone mediastinum mediastinal high
    low resolution dose ultra thin thick axial coronal sagittal helical spiral contrast enhanced non noncontrast
    native plain arterial venous portal delayed late early phase embolism angio angiography cta ctpa pe ct hrct ctac
    gated gating ecg prospective retrospective inspiration expiration breath hold supine prone average mip minip mpr
    recon reconstruction kernel sharp smooth medium iterative virtual patient body whole trauma screening calcium
    score scoring phantom with without w wo and of the mm art arteriell arterielle arterioso arteriosa ven venös
    venöse venoes venoese veneux veineux veineuse venoso venosa nativ nativo nativa pv portalvenös portalvenous spät
    tardif tardive tardivo post pre pré delay insp inspi exp exspi exspiration expi cor coro koronar coronale coronali
    sag sagittale sagitale ax axiale axiales abd thx tap torax poumon poumons pulmón pulmon polmone polmoni lunge
    lungen weichteil weichteile knochen hals kopf becken os kv kvp kev mono vnc virtuell bolus test monitoring
    premonitoring diast syst diastole systole diastolic systolic bestdiast bestsyst idose asir safire admire aidr veo
    cbct ldct ncct cect dect ccta ctv ctp perfusion unenhanced precontrast postcontrast multiphase
    biphasic triphasic portovenous nephrographic excretory topogram localizer localiser scanogram surview tomogram
    angiogram aortogram venography urography colonography arthrography myelography volumetric isotropic multiplanar
    thoracoabdominal abdominopelvic thoracolumbar thoracique torácico toracico cervical lumbar sacral sacrum sternum
    vertebra vertebrae vertebral clavicle scapula ribs pleura pleural parenchyma trachea tracheal bronchus bronchial
    esophagus oesophagus diaphragm pericardium pericardial atrium atrial ventricle ventricular valvular vascular
    hepatic renal adrenal adrenals pancreas pancreatic spleen splenic gallbladder bladder paranasal sinuses orbits
    petrous mastoid mandible maxilla maxillofacial dental lungenembolie nativphase portalvenöse
    dual energy spectral protocol planning adult fov hr res scout iodine map window series report std stnd wb
    parenchyme mediastino torace exsp brust aice spp cascoreseq 3d 4d
    """.split()  # noqa: SIM905
)
_KERNELS = frozenset(
    """
    standard lung bone soft detail chest chst edge boneplus ultra smooth sharp sharpplus medium body head brain stnd hd
    plus routine enhanced lungenhanced vsoft vsharp imr1 imr2 asir veo none a b c d e f h l ea eb ec ed sa sb sc ua ub
    uc ud ya yb yc yd
    """.split()  # noqa: SIM905
)
_KERNEL_CODE = re.compile(r"[A-Za-z]{1,2}\d{2}[a-zA-Z]?(\\\d)?")
_KERNEL_ALONE = re.compile(rf"{_KERNEL_CODE.pattern}|FC\d{{2}}-[A-Z]|\d{{2}}[A-Za-z]{{0,2}}")
_CONE_BEAM = re.compile(r"(?i)(?<![a-z])cone[ _-]?beam([ _-]?ct)?(?![a-z])")
"""Both words together; either alone is a surname."""
_WORD = re.compile(r"[^\s_/\\,;:()\[\]^+=-]+")
_LONGEST = 512
"""More than the description (64, PS3.5 6.2) and the body part may have; what a hostile header adds is not read."""
_SHORT_NUMBER = re.compile(r"\d{1,2}(\.\d{1,3})*((?i:mm))?")
_QUANTITY = re.compile(r"(?i)\d{1,3}(%|kvp?|kev|ms)")


def describe_series(text: str, body_part: str = "") -> str:
    """The known words, short numbers and kernel codes of a series description; "CT series" where none is known.

    Numbers that stand together as in a date or an id are left out, before and after other words have gone. body_part:
    added where the description does not say the same.

    >>> describe_series("ThoraxRoutine  8.0.0  B40f DOE^JOHN 19450101"), describe_series("Chest 12.05.45")
    ('Thorax Routine 8.0.0 B40f', 'Chest')
    >>> describe_series("Sharp^Max", "CHEST"), describe_series("Chest 2.0 Sharp", "CHEST")
    ('CHEST', 'Chest 2.0 Sharp')
    """
    said, part = _known_words(text), _known_words(body_part)
    told = {word.casefold() for word in said}
    safe = _harmless_words(" ".join((*said, *(word for word in part if word.casefold() not in told))))
    return " ".join(safe[:12]) if any(not _SHORT_NUMBER.fullmatch(word) for word in safe) else "CT series"


def _known_words(text: str) -> list[str]:
    """Words that are safe, but for those that name somebody together or beside another word."""
    text = text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0]
    spaced = re.sub(r"(?<=[a-z]{2})(?=[A-Z][a-z])", " ", _CONE_BEAM.sub("CBCT", text))
    return without_names_beside([(word, harmless and is_safe_word(word)) for word, harmless in _judged_words(spaced)])


def _harmless_words(text: str) -> list[str]:
    """Words that touch no span which would identify though each of its words is plain."""
    return [word for word, harmless in _judged_words(text) if harmless]


def _judged_words(text: str) -> list[tuple[str, bool]]:
    """(word, whether it touches no span which would identify) of a text."""
    barred = [*spans_of_identifiers(text), *spans_of_whole_names(text)]
    return [
        (word[0], not any(word.start() < stop and word.end() > start for start, stop in barred))
        for word in _WORD.finditer(text)
    ]


def is_safe_word(word: str) -> bool:
    """Whether a single word names anatomy, protocol, a kernel or a short number and so identifies nobody."""
    folded = folded_word(word)
    patterns = (_KERNEL_CODE, _SHORT_NUMBER, _QUANTITY)
    return folded in _TERMS or is_protocol_word(folded) or any(pattern.fullmatch(word) for pattern in patterns)


def folded_word(word: str) -> str:
    """A word without case; the dotted capital I of Turkish is an i.

    >>> folded_word("AKCİĞER")
    'akciğer'
    """
    return word.casefold().replace("i\u0307", "i")


def safe_kernel(text: str) -> str:
    """A reconstruction kernel's name where it looks like one, else "".

    >>> safe_kernel("B40f"), safe_kernel("HD LUNG"), safe_kernel("FC08-H"), safe_kernel("JOHN DOE")
    ('B40f', 'HD LUNG', 'FC08-H', '')
    """
    parts = [part for part in re.split(r"[\s_,+#]", text.lower()) if part]
    known = _KERNEL_ALONE.fullmatch(text) or (parts and all(part in _KERNELS for part in parts))
    return text if known else ""
