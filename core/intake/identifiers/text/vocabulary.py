"""Words of DICOM text that identify nobody: defined terms, anatomy, protocol, makers and models. All others go.

The search reports what `kept_value` would take out of an attribute, but for makers and local codes, whose names no list
holds: cleaning takes these out, and the search tells only those that look like somebody's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from pydicom.sr.codedict import Collection as CodeCollection
from pydicom.sr.coding import Code
from pydicom.uid import UID

from core.events.descriptions import labels
from core.events.icd10 import icd10_descriptions
from core.intake.identifiers.text.patterns import name_parts
from core.intake.scan.dicom.series_identity import word_for_no_slice
from core.intake.terms.ambiguous_names import NAMES_TOO, spans_of_whole_names, without_names_beside
from core.intake.terms.dicom_defined_terms import is_defined_term
from core.intake.terms.given_names import GIVEN_TOO, is_given_name
from core.intake.terms.identifier_patterns import WORDS, identifying, spans_of_identifiers
from core.intake.terms.safe_description import folded_word, is_safe_word, safe_kernel

_DEFINED = frozenset(
    """
    original derived primary secondary reformatted projection resampled volume distorted sampled mixed none yes no y n
    mr pt nm us cr dx dr xa rf mg ot sc seg sr pr rtstruct rtdose rtplan rtimage doc px io bmd es xc hd som som5 som7
    som10 spi ctcorrection screen save other unknown research product service monochrome monochrome1 monochrome2 rgb
    palette color ybr full partial rct ict 422 420 identity cielab hu hfs hfp ffs ffp hfdr hfdl ffdr ffdl l r a p h f b
    g u lr ap si m o helix helicalmode axialmode sequenced sequence constant angle stationary free cine filter wedge
    flat bowtie strip butterfly aluminum copper tantalum multiple mode cw cc rotate rotation linear exact sigmoid
    inverse sop density optical auto ecgmodulation angular longitudinal modulation dom zec xyz xy z smart care
    caredose4d caredose iso ir gb18030 gbk 2022 iec60601 image images dynamic static vpct add sub subtraction
    angiographic attenuation correction max min mean median dev curved segmentation binary fractional probability
    occupancy surface manual automatic semiautomatic individual combined parametric grayscale gray lut sequential
    acquisition filtered back backprojection online nearline offline unavailable sigmoidal softcopy digital signal
    signed unsigned unmodified removed modified reason brand percent mas ma hz dcm srt sct snm3 ucum ln fma lossy
    lossless jpeg rle 10918 14495 15444 2k upper lower extremity knee hip shoulder breast foot hand ankle wrist elbow
    leg arm cspine tspine lspine skull sinus orbit jaw wholebody cervix prostate gland retroperitoneum mamma stomach
    colon rectum hilum left right both bilateral unilateral superior inferior anterior posterior medial lateral side
    study scan tolerance topo scano sec tracking child pediatric pedi infant fast quick
    monoenergetic uhr nlst lucia asirv imr fbp wfbp bf af sf hf iodinated iohexol iopamidol iomeprol
    iopromide iodixanol ioversol omnipaque ultravist visipaque iomeron imeron container text code num pname composite
    scoord tcoord uidref contains has acq obs context concept mod properties inferred from selected created approved
    unapproved verified unverified complete completed continuous separate portrait landscape photon electron emission
    tungsten molybdenum rhodium row col direct indirect tiled planar closed point beam physical relative external organ
    wsd di dv syn norm doseinfo tomo csa parallel fused processed single plane ec fil manu scanoscope sp ss fs per gr
    se gradient scaled compression compressed uncompressed conversion ratio quality factor baseline irreversible
    reversible deidentified anonymized details annexe dates descriptions keep identifiers uids demographics
    manufacturer private retired dcanon dcdtchg change changes dicom basic application confidentiality profile clean
    retain option options temporal information omni iopamiron accupaque jopamiron hexabrix oxilan conray cystografin
    telebrix gadovist applied gtv ptv oar cord mips imar loc cont cleaned 0012 0062 0063 0064 isovue omniscan
    spr det gsi prop wt material specific multi optiray xenetix gastrografin oral intravenous iv ml nacl saline
    """.split()  # noqa: SIM905
)
_SCAN_WORDS = frozenset(
    """
    acc ao aort arterially bil bilat bl bronch card chst clav cranial dors ext fem inf int ischium lat leber liv mand
    med mesent musc nas nect cct orb parench ped pelv pel periph pulm pul ren rib sup supra infra tra trans transv
    trach tx txt vasc vent vert ves cap chap abdo thor thorac niere nieren hirn schaedel schädel herz gefaesse gefäße
    wirbelsäule wirbelsaeule hws bws lws oberbauch bauch arterieller venöser portalvenoes spaet spätphase spaetphase
    frühphase phasen phases phasic triple einatmung ausatmung kontrast kontrastmittel km mit ohne und einzel dünn duenn
    dick schicht schichten foie rein reins sans avec injecte injecté injection inj artériel artérielle coupe coupes
    abdominale abdomino pelvien abdominopelvien cou tête crâne tórax pulmones cabeza cuello contraste con sin fase
    simple tardia addome senza collo testa inspir inspiratory expir expiratory nephro pyelographic equilibrium
    parenchymal ce cm c po noncon nc best bpm phs stand flash turbo timing monitor premonit control smartprep
    carebolus surestart sureview thins thinner fine coarse wide narrow large small half dfov sfov zoom target targeted
    recons reko rekon wf mbir dlir dl truefidelity lmar omar semar mar metal artifact artefact reduction algorithm
    win wl ww lungwindow mediast weich bony lowdose nac ac petct attn corrected uncorrected fusion spinal
    humerus radius ulna femur tibia fibula calcaneus pelvic hips shoulders knees ankles feet hands wrists elbows larynx
    pharynx thyroid parotid mastoids facial face teeth carotid carotids willis circle intracranial extracranial
    venogram arteriogram runoff biliary kidneys ureter ureters urogram ctu kub enterography bowel appendix uterus ovary
    ovaries airway airways bronchi lobe lobes segment segments apex apices base bases nodule nodules interstitial
    emphysema fibrosis embolus dissection aneurysm stent graft tavi tavr evar lv rv la ra lad rca lcx valve valves
    mitral tricuspid myocardium myocardial ventricles atria vein veins vena cava ivc svc hepatobiliary simulation sim
    treatment therapy radiotherapy rt followup follow up staging restaging surveillance biopsy guided guidance
    intervention interventional drainage obl oblique mpvr vrt vr ssd rendering rendered thickness spacing increment
    interval overlap axials coronals sagittals volumes stack frame frames position index table start end first second
    third arms above below level top bottom mid middle entire all cranium vertex carina st nd rd th s secs seconds
    minute minutes mgi fc decub decubitus emergency ed er icu portable inpatient outpatient rule out ro eval evaluation
    exam examination imaging clinical pulmonaryembolism lungscreen cancer tumor tumour oncology onco trial in on to at
    by ps true false estimated normal abnormal not time pet mri mra mrt xr thoraco port athorax obli oberes unteres
    collection lesion marked diagnosis diagnostic diagnostics scanner angioscanner tdm tc tac angiotc angiotac
    pelvienne cérébral cérébrale cerebral cérebro médiastin mediastin tissus mous protocole bassin rachis
    lombaire lumbaire cervicale dorsale osseux arterias pulmonares craneo cráneo alta resolución resolucion
    hueso óseo oseo partes blandas columna encefalo encéfalo polmonare lungenfenster weichteilfenster knochenfenster
    mediastinalfenster halsweichteile weichteilkern knochenkern lungenkern ganzkörper ganzkoerper körperstamm
    angiographie polytrauma spirale bauchlage rückenlage rueckenlage schulter expirium kein keine keinen sem zonder bez
    utan uden uten geen met kontrastu kontrastiem mdc kontrastmiddel kontrastmedel osso osseo osos ossos
    kości kosci tkanki miękkie miekkie hígado higado parénquima parenquima temps bt tk tkanek nasennebenhöhlen
    nasennebenhoehlen verlaufskontrolle kontrolle pbv cad monoe ex bestphase cascseq casc v erwachsener erwachsene kind
    kinder klp aorte inspirium exspirium oberschenkel thigh thighs hi de des du vol prep summary highpitch pitch biped
    plus 2ch 3ch 4ch somatom definition pulmonalarterie pulmonalarterien sbrt maximum minimum intensity
    """.split()  # noqa: SIM905
)
_MAKERS = frozenset(
    """
    siemens healthineers healthcare ge medical systems system philips toshiba canon hitachi shimadzu neusoft united
    imaging uih samsung neurologica fujifilm fuji hologic agfa carestream kodak konica minolta picker marconi elscint
    imatron accuray varian elekta gmbh corporation corp co ltd inc ag the company technologies electronics somatom
    definition flash emotion force drive go up top all now sensation perspective scope spirit balance edge plus as
    confidence biograph mct vision horizon truepoint symbia intevo naeotom alpha esprit open volumezoom zoom access
    lightspeed light speed vct ultra pro qx qxi brightspeed bright discovery revolution optima evo frontier hispeed
    prospeed genesis ct750 hd brilliance ingenuity iqon icon big bore mx mx8000 gemini precedence tf vereos aquilion
    one prime lightning cx rxl asteion alexion activion scenaria supria eclos pronto radix presto uct umi neuviz
    naviscan incisive spectral cte idt syngo elite eclipse express advantage workstation aw server pydicom highdicom
    dcmqi offis dcmtk dcm4che dcm4chee mergecom merge gdcm itk simpleitk fo dicom fodicom rsna ctp tcia mec
    lightspeedapps apps coreload dctool version software dummy gems iden acqu parm relm stdy coad ori x i cite
    precision mi tof anatom ceretom bodytom cartesion celesteion gmp sles hde revo 16bb qin via rev elscint1 geiis
    header posda clearcanvas osirix horos weasis efilm mirc xnat ctn dcmobj dicomobjects
    """.split()  # noqa: SIM905
)
_MEASURED = frozenset(
    """
    qualitative quantitative automated manual count volume fraction ratio mass moles units entitic presence ova cysts
    parasites reaction polymerase chain rapid test tests dna rna ige igg igm iga ab ag titer serum plasma blood urine
    stool sputum csf fluid specimen level levels free total direct random fasting hour culture smear screen index rate
    capillary arterial venous whole body surface area mean calculated predicted estimated diagnoses disorders kidney
    wbc rbc plt hgb hct mcv mch mchc rdw esr crp bun egfr alt ast ggt ldh psa cea afp tsh ldl hdl vldl chol aptt ptt ufh
    order three sputums malig cirr expired gastroent nutrit metab alc hepa rehab smoker
    encounter admission discharge procedure situation therapy assessment evaluation
    lmwh hba1c ekg eeg mri cta ionized ionised conjugated unconjugated adjusted corrected heparin aspirin
    release tablet capsule solution injection injectable oral suspension dose vaccine flush
    """.split()  # noqa: SIM905
)
_SURNAME_FIRST = re.compile(r"\b[^\W\d_]{2,}\s?[,^]\s?([^\W\d_]{2,})\b")
"""The first may be anatomy and somebody all the same, where the second is a given name: "Brain, Agnes"."""
_TOGETHER = re.compile(
    r"\b[Aa][Vv][Ee][ _-]?[Ii][Pp]\b|^[Ll]ong(?=[ _]\d{1,2}(?:[.,]\d{1,2})?[ _]?mm\b)"
    r"|\b(?i:thorax|abdomen|hals|schedel|hersenen) blanco\b|(?<![^\W_])Y[A-D](?=[ _]\d{1,2}\.\d)|\b[Tt](?==\d{1,3}%)"
)
"""Words that stay only together or where they stand so: elsewhere they are an avenue, surnames and initials."""
_THICKNESS = re.compile(r"(?<![^\W_])(?<!\d[.,])\d{1,2}(?:\.\d{1,2})?\s?mm\b", re.IGNORECASE)
"""Stays, the first of a text, where words beside it go."""
_PIECE = re.compile(f"{_THICKNESS.pattern}|{WORDS.pattern}", re.IGNORECASE)
_VERSION = re.compile(r"(?![A-Za-z]*\d{5})(?=.*\d)(?:[A-Za-z]{0,2}\d{1,4}){1,4}[A-Za-z]{0,2}")
_SCHEMES = ("DCM", "SCT", "UCUM", "LN", "RADLEX", "FMA", "NCIt")
_SNOMED_RT = re.compile(r"[A-Z]\d?-[0-9A-F]{4,5}")
_MEASURE = re.compile(r"\d{1,2}x\d{1,2}|\d{1,3}(%|s|hr|sec|min|ml|mm|cm|kvp?|kev|mas?|hu|st|nd|rd|th)?", re.IGNORECASE)
_LEVEL = re.compile(r"[A-Za-z]{1,2}\d{1,2}[a-z]?")
_CHARACTER_SET = re.compile(r"ISO[_ ]IR \d{1,3}|ISO 2022 IR \d{1,3}|GB18030|GBK|")
_DEVICE = frozenset(
    """
    Manufacturer ManufacturerModelName SoftwareVersions ConvolutionKernel ImplementationVersionName FilterType
    """.split()  # noqa: SIM905
)
_MOST_VERSION_DIGITS = 5
_SHORTEST_ID = 4
"""Characters of an id that is looked for whole; shorter ones stand in descriptions by chance."""
_MAKER_CLASS = re.compile(
    r"(?:1\.3\.12\.2\.1107|1\.2\.840\.113619|1\.3\.46\.670589|1\.2\.840\.113704|1\.2\.392\.200036\.\d{4})"
    r"(?:\.\d{1,4}){1,6}"
)
"""Private classes of Siemens, GE, Philips, and Japanese makers; longer numbers are serials."""


@lru_cache(maxsize=1)
def known_codes() -> tuple[frozenset[str], frozenset[str]]:
    """(values, case-folded meanings) of the coding schemes that DICOM's context groups use (PS3.16)."""
    concepts = list(_concepts())
    return frozenset(str(code.value) for code in concepts), frozenset(str(code.meaning).casefold() for code in concepts)


def meanings_of_codes() -> Iterator[str]:
    """Meanings of these codes as they are written."""
    return (str(code.meaning) for code in _concepts())


def _concepts() -> Iterator[Code]:
    return (code for scheme in _SCHEMES for code in CodeCollection(scheme).concepts.values())


def is_known_code(value: str) -> bool:
    """Whether a code value belongs to a public coding scheme, or has the form of a SNOMED-RT one ("T-D3000")."""
    return value in known_codes()[0] or bool(_SNOMED_RT.fullmatch(value))


def is_public_uid(keyword: str, value: str) -> bool:
    """Whether a UID is registered (SOP classes, transfer syntaxes, well-known frames), or a class of a maker."""
    return UID(value).name != value or (keyword.endswith("SOPClassUID") and bool(_MAKER_CLASS.fullmatch(value)))


@lru_cache(maxsize=1)
def _words_of_terms() -> frozenset[str]:
    """Words of measurements, those of our own short labels, and those that ICD-10-CM writes in lower case, so that few
    names are among them."""
    terms = re.findall(r"(?<![\w'])[a-z]{2,}(?!\w)", " ".join(icd10_descriptions().values()))
    return _MEASURED | frozenset(terms) | frozenset(re.findall(r"[a-z]{2,}", " ".join(labels().values()).casefold()))


def are_terms(words: Iterable[str]) -> bool:
    """Whether all words are those of diagnoses and measurements, as in a code's long name.

    >>> are_terms(["Creatinine", "in", "serum", "or", "plasma"]), are_terms(["seen", "with", "her", "daughter"])
    (True, False)
    """
    return all(word.casefold() in _words_of_terms() for word in words)


@lru_cache(maxsize=1)
def _diagnoses() -> frozenset[str]:
    return frozenset(words.casefold() for words in icd10_descriptions().values())


def is_diagnosis(text: str) -> bool:
    """Whether a text is the whole description of a diagnosis of ICD-10-CM.

    >>> is_diagnosis("Torus fracture of lower end of left fibula"), is_diagnosis("Torus fracture of Jane Doe")
    (True, False)
    """
    return text.strip().casefold() in _diagnoses()


def is_name_too(word: str) -> bool:
    """Whether a word of anatomy or protocol is what people are called as well ("Best", "Hand")."""
    return word.casefold() in NAMES_TOO


def is_descriptor(keyword: str) -> bool:
    """Whether an attribute describes the examination in free text, which Clean Descriptors keeps where it is plain."""
    named = ("ProtocolName", "ContrastBolusAgent", "ReasonForStudy", "ROIName")
    return "Description" in keyword or keyword.endswith("Label") or keyword in named


def own_words(name: str, number: str) -> frozenset[str]:
    """Case-folded words that would give this patient away, however technical they look.

    name, number: PatientName and PatientID. Of a name, every part of two characters; of an id, and of a name that is
    one (it has digits, or repeats the id), parts of three characters that are not plain words, as "Lung" is, and the
    whole where it has several parts with digits in them.

    >>> sorted(own_words("MA^LI", "Q12")), sorted(own_words("Lung_Dx-A0001", "Lung_Dx-A0001"))
    (['li', 'ma', 'q12'], ['a0001', 'lung_dx-a0001'])
    >>> sorted(own_words("", "77-12"))
    ['77-12']
    """
    is_code = any(letter.isdigit() for letter in name) or name.casefold() == number.casefold()
    codes = name_parts(f"{number} {name}" if is_code else number, 3)
    parts = frozenset() if is_code else name_parts(name, 2)
    own = parts | {part for part in codes if not (part.isalpha() and is_plain_word(part))}
    whole = number.strip().casefold()
    of_parts = not whole.isalnum() and len(whole) >= _SHORTEST_ID and any(map(str.isdigit, whole))
    return own | {whole} if of_parts else own


def is_plain_word(word: str) -> bool:
    """Whether a word is a defined term, names anatomy or protocol, or is a kernel, a level or a short number."""
    if _is_term(word):
        return True
    parts = re.split(r"(?<=[a-z])(?=[A-Z])", word)
    return len(parts) > 1 and all(len(part) > 1 and _is_term(part) for part in parts)


def _is_term(word: str) -> bool:
    folded = folded_word(word)
    stem = re.sub(r"(?<=[a-z]{4})\d{1,2}$", "", folded)
    if stem in _DEFINED or stem in _SCAN_WORDS or is_safe_word(stem) or is_safe_word(word):
        return True
    return bool(_MEASURE.fullmatch(word) or _LEVEL.fullmatch(word))


UNSPECIFIED_UNIT = "US"
"""Rescale type of values in a unit that is not said (PS3.3 C.11.1.1.2); without one, they would be HU."""


def kept_value(keyword: str, vr: str, value: str, tokens: Collection[str] = ()) -> str:
    """What may stay of one value of a technical or describing attribute: all of it where its words are plain.

    tokens: the patient's own words; a defined term (CS) or a kernel is one by its place, whatever the patient's name.
    """
    if keyword == "SpecificCharacterSet":
        return value if _CHARACTER_SET.fullmatch(value) else ""
    if keyword == "CodeValue":
        return value if is_known_code(value) else ""
    if keyword == "CodeMeaning" and value.casefold() in known_codes()[1]:
        return value
    if is_defined_term(keyword, value) or (keyword == "ConvolutionKernel" and safe_kernel(value)):
        return value
    term = vr == "CS" or keyword == "ConvolutionKernel"
    text = plain_text(value, () if term else tokens, device=keyword in _DEVICE)
    if keyword == "RescaleType" and text != value.strip():
        return UNSPECIFIED_UNIT
    return text if not term or text == value.strip() else _still_said(keyword, value)


def _still_said(keyword: str, value: str) -> str:
    """What a term that does not stay may not be silent about: that the pixels are no slice in HU."""
    return word_for_no_slice(value) if keyword in ("ImageType", "FrameType") else ""


def plain_text(text: str, tokens: Collection[str] = (), *, device: bool = False) -> str:
    """The text as it is where every word is plain and no numbers stand together as in a date or id, else its words and
    the thickness of its slices.

    tokens: case-folded words of the patient's name and id, which are never kept. device: whether makers, models and
    short version codes ("VA48A") are plain too.

    >>> plain_text("Thorax 2.0 B40f"), plain_text("Thorax DOE 1945 B40f"), plain_text("Chest 48-15-23")
    ('Thorax 2.0 B40f', 'Thorax', 'Chest')
    >>> plain_text("lung", {"lung"}), plain_text("Chest^Routine")
    ('', 'Chest^Routine')
    >>> plain_text("Sharp, Agnieszka Thorax"), plain_text("Sharp kernel")
    ('Thorax', 'Sharp kernel')
    >>> plain_text("Gray, Max Thorax"), plain_text("MAX GRAY"), plain_text("Abd art Thorax 77-12", {"77-12"})
    ('Thorax', '', 'Abd art Thorax')
    >>> plain_text("Quill 1.25 mm lung")
    '1.25 mm lung'
    """
    text = text.strip()
    barred = [*spans_of_identifiers(text, tokens, versions=device), *_spans_of_names(text)]
    words = [(found[0], _is_kept(found, tokens, barred, device)) for found in _PIECE.finditer(text)]
    if not barred and all(kept for _, kept in words):
        return text
    rest = " ".join(_words_and_thickness(without_names_beside(words)))
    return "" if identifying(rest) or any(spans_of_identifiers(rest, tokens)) else rest


def _words_and_thickness(words: Iterable[str]) -> Iterator[str]:
    """Words of letters, and the first thickness of a slice; further numbers may be a date together."""
    is_first = True
    for word in words:
        if word.isalpha() and len(word) > 1:
            yield word
        elif is_first and _THICKNESS.fullmatch(word):
            is_first = False
            yield word


def _spans_of_names(text: str) -> Iterator[tuple[int, int]]:
    """Where words that may stay one by one name somebody together."""
    yield from spans_of_whole_names(text)
    for found in _SURNAME_FIRST.finditer(text):
        if is_given_name(found[1]) or (found[1].casefold() in GIVEN_TOO and not is_plain_word(found[1])):
            yield found.span()


def _is_kept(found: re.Match[str], tokens: Collection[str], barred: Collection[tuple[int, int]], device: bool) -> bool:
    """Whether a word is plain, none of the patient's own, and in no span that may identify."""
    if any(found.start() < stop and found.end() > start for start, stop in barred):
        return False
    word = found[0]
    if {word.casefold(), *(part.casefold() for part in re.split(r"(?<=[a-z])(?=[A-Z])", word))} & set(tokens):
        return False
    return is_plain_word(word) or (device and _is_device_word(word)) or _is_placed(found)


def _is_placed(found: re.Match[str]) -> bool:
    """Whether a piece of text is a thickness, or a word that stays where it stands."""
    together = _TOGETHER.finditer(found.string)
    within = any(known.start() <= found.start() and found.end() <= known.end() for known in together)
    return within or bool(_THICKNESS.fullmatch(found[0]))


def _is_device_word(word: str) -> bool:
    stem = re.sub(r"(?<=[a-z]{4})\d{1,3}[a-z]?$", "", word.casefold())
    few = sum(letter.isdigit() for letter in word) <= _MOST_VERSION_DIGITS
    return stem in _MAKERS or (few and bool(_VERSION.fullmatch(word)))
