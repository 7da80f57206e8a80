"""Words of DICOM text that identify nobody: defined terms, makers and models. All other words are taken out."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from pydicom.sr.codedict import Collection as CodeCollection

from core.load.words import is_safe_word
from core.privacy.patterns import WORD_BREAKS

_DEFINED = frozenset(
    """
    original derived primary secondary localizer reformatted projection resampled volume volumetric distorted sampled
    mixed none yes no y n ct mr pt nm us cr dx dr xa rf mg ot sc seg sr pr rtstruct rtdose rtplan rtimage doc ecg px io
    bmd es xc hd som som5 som7 som10 spi dual ctcorrection screen save other unknown research product service
    monochrome monochrome1 monochrome2 rgb palette color ybr full partial rct ict 422 420 identity cielab
    hu us hfs hfp ffs ffp hfdr hfdl ffdr ffdl l r a p h f b u lr ap si m o
    helix helicalmode helical axialmode sequenced sequence constant angle stationary free cine filter
    wedge flat bowtie strip butterfly aluminum copper tantalum multiple mode cw cc spiral rotate rotation
    linear exact sigmoid inverse sop density optical auto ecgmodulation angular longitudinal modulation dom zec
    xyz xy z smart care caredose4d caredose iso ir gb18030 gbk 2022 iec60601 image images dynamic static vpct
    add sub subtraction perfusion angiographic angiography cardiac attenuation correction max min mean median std dev
    mpr mip minip curved segmentation binary fractional probability occupancy surface manual automatic semiautomatic
    individual combined parametric map grayscale gray lut sequential acquisition reconstruction filtered back
    backprojection iterative online nearline offline unavailable sigmoidal softcopy digital signal signed
    unsigned unmodified removed modified reason brand percent kv kvp mas ma hz dcm srt sct snm3 ucum ln fma
    lossy lossless jpeg rle 10918 14495 15444 2k patient thorax upper lower extremity knee hip shoulder sternum breast
    foot hand ankle wrist elbow leg arm cspine tspine lspine skull sinus orbit jaw wholebody tspine cervix bladder
    prostate pancreas spleen adrenal gland retroperitoneum mamma esophagus stomach colon rectum trachea bronchus hilum
    left right both bilateral unilateral superior inferior anterior posterior medial lateral side series study scan
    report tolerance topogram topo scout scano surview scanogram delay min sec bolus tracking monitoring premonitoring
    protocol adult child pediatric pedi infant fast quick std mono energy monoenergetic virtual unenhanced vnc iodine
    low-dose ldct uhr nlst lucia safire admire asir asirv veo idose imr aidr 3d 4d fbp wfbp bf af sf hf
    iodinated iohexol iopamidol iomeprol iopromide iodixanol ioversol omnipaque ultravist visipaque iomeron imeron
    isovue optiray xenetix gastrografin oral intravenous iv ml nacl saline
    """.split()  # noqa: SIM905
)
_MAKERS = frozenset(
    """
    siemens healthineers healthcare ge medical systems system philips toshiba canon hitachi shimadzu neusoft united
    imaging uih samsung neurologica fujifilm fuji hologic agfa carestream kodak konica minolta picker marconi elscint
    imatron accuray varian elekta gmbh corporation corp co ltd inc ag the company technologies electronics
    somatom definition flash emotion force drive go up top all now sensation perspective scope spirit balance edge plus
    as confidence biograph mct vision horizon truepoint symbia intevo naeotom alpha esprit open volumezoom zoom
    access balance lightspeed light speed vct ultra pro qx qxi brightspeed bright discovery revolution optima evo
    frontier hispeed prospeed genesis ct750 hd brilliance ingenuity iqon icon big bore mx mx8000 gemini precedence tf
    vereos aquilion one prime lightning cx rxl asteion alexion activion scenaria supria eclos pronto radix presto uct
    umi neuviz naviscan incisive spectral cte idt syngo elite eclipse express advantage workstation aw server
    """.split()  # noqa: SIM905
)
_VERSION = re.compile(r"(?![A-Za-z]*\d{5})(?=.*\d)(?:[A-Za-z]{0,2}\d{1,4}){1,4}[A-Za-z]{0,2}")
_SCHEMES = ("DCM", "SCT", "UCUM", "LN", "RADLEX", "FMA", "NCIt")
_SNOMED_RT = re.compile(r"[A-Z]\d?-[0-9A-F]{4,5}")
_SHORT_NUMBER = re.compile(r"\d{1,3}(\.\d{1,3})?")


@lru_cache(maxsize=1)
def known_codes() -> tuple[frozenset[str], frozenset[str]]:
    """(values, case-folded meanings) of the coding schemes that DICOM's context groups use (PS3.16)."""
    concepts = [code for scheme in _SCHEMES for code in CodeCollection(scheme).concepts.values()]
    return frozenset(str(code.value) for code in concepts), frozenset(str(code.meaning).casefold() for code in concepts)


def is_known_code(value: str) -> bool:
    """Whether a code value belongs to a public coding scheme, or has the form of a SNOMED-RT one ("T-D3000")."""
    return value in known_codes()[0] or bool(_SNOMED_RT.fullmatch(value))


def is_descriptor(keyword: str) -> bool:
    """Whether an attribute describes the examination in free text, which Clean Descriptors keeps where it is plain."""
    return "Description" in keyword or keyword in ("ProtocolName", "ContrastBolusAgent", "ReasonForStudy")


def is_plain_word(word: str) -> bool:
    """Whether a word is a defined term, names anatomy, protocol, maker or model, or is a short number."""
    folded = word.casefold()
    stem = re.sub(r"(?<=[a-z]{4})\d{1,3}$", "", folded)
    return folded in _DEFINED or stem in _MAKERS or is_safe_word(word) or bool(_SHORT_NUMBER.fullmatch(word))


def plain_text(text: str, tokens: Collection[str] = (), *, versions: bool = False) -> str:
    """The text as it is where every word is plain, else its plain words of letters only.

    tokens: case-folded parts of the patient's name and id, which are never kept. versions: whether short version
    codes ("VA48A") are plain too.

    >>> plain_text("Thorax 2.0 B40f"), plain_text("Thorax DOE 1945 B40f"), plain_text("lung", {"lung"})
    ('Thorax 2.0 B40f', 'Thorax', '')
    """
    words = [word for word in WORD_BREAKS.split(text) if word]
    plain = [_is_plain(word, tokens, versions) for word in words]
    if all(plain):
        return text.strip()
    return " ".join(word for word, good in zip(words, plain) if good and word.isalpha() and len(word) > 1)


def _is_plain(word: str, tokens: Collection[str], versions: bool) -> bool:
    if word.casefold() in tokens:
        return False
    return is_plain_word(word) or (versions and bool(_VERSION.fullmatch(word)))
