"""Words of descriptions and technical text, in both directions: what identifies goes, what describes the scan stays."""

from __future__ import annotations

import re
from pathlib import Path

import pydicom
import pytest
from ct_factory import Grid, dicom_slices, to_bytes
from hang_support import no_hang
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core.intake.identifiers.clean.dicom_profile import Rules, clean_dataset
from core.intake.identifiers.clean.pseudonyms import Pseudonyms
from core.intake.identifiers.deidentify import deidentify
from core.intake.identifiers.text import vocabulary
from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.vocabulary import is_plain_word, kept_value, own_words, plain_text
from core.intake.terms.identifier_patterns import WORDS
from core.intake.terms.safe_description import describe_series, is_safe_word
from core.privacy import find_identifiers

DESCRIBING = [
    "Thorax arterial phase 1.0 B40f", "CTPA 1.0 I26f 3", "Chest^Routine", "Thorax^01_ThoraxRoutine (Adult)",
    "Abdomen portal venous 5.0", "PE protocol", "Lung 1.25mm", "THX VEN 3.0 I30f 3", "delayed 5 min", "Arterial 30s",
    "w/o contrast", "non-contrast", "C+ chest", "nativ", "Thorax arteriell", "Abdomen portalvenös", "Thorax KM",
    "HEAD^NECK", "Lungs 1.0 Br59 Q3", "CHEST/ABD/PEL", "CT Angio Chest PE", "Recon 2: LUNG", "5.0 STD",
    "STANDARD AXIAL", "CAP w IV", "Cor 70% diast", "Topogram 0.6 T20f", "ThorRoutine 5.0 B31f", "CT THORAX W CONTRAST",
    "Mediastinum", "LUNG INSP", "LUNG EXP", "90 sec delay", "CT Thorax+Abd ven. Phase", "Thorax 8.0.0 B40f",
    "Cor 30-80%", "Lung 0.625", "THX 1.0 0.75", "Abd, art", "Head art", "Max MIP", "胸部CT平扫+增强",
    "КТ органов грудной клетки", "胸部 造影 動脈相 1.0", "흉부 조영", "Toraks kontrastlı", "Foot Hand",
    "KEIN KM", "ohne KM", "TC senza mdc", "TAC sin contraste", "zonder contrast", "KLP bez kontrastu", "uden kontrast",
    "Thorax^Lunge (Erwachsener)", "COR MPR 3x3", "GSI 65 keV", "BestSyst 40%", "ASiR-V 50%", "Кости", "Lung PBV",
    "Head, Neck", "Chest, Abdomen",
    "Klatka piersiowa faza tętnicza",
]  # fmt: skip
IDENTIFYING = {
    "CT Chest 48-15-23": "CT Chest", "CT Chest 482 931": "CT Chest", "Thorax 02-03-57": "Thorax",
    "Thorax 14 11 48": "Thorax", "Thorax 02.03.57": "Thorax", "Chest 2 3 57": "Chest", "CT 48/15/23": "CT",
    "Thorax 12-34-56-78": "Thorax", "CT 1.2.840.113": "CT", "Chest Quillfeather": "Chest", "Chest room 12": "Chest",
    "Chest Mr Bright": "Chest", "CT Dr. Flash": "CT", "Thorax 1.5 48_15_23": "Thorax", "Chest^Quillfeather": "Chest",
    "Rose Green Chest": "Chest", "Herr Hals Thorax": "Thorax", "Sra. Mama TAC": "TAC",
    "Sig. Collo torace": "torace", "Liver, Agnes Chest": "Chest", "Heart^Ruby": "", "pt Sharp chest": "chest",
    "14-Feb chest": "chest", "room 31 chest": "chest", "ICU 5 Thorax": "Thorax", "lit 7 thorax": "thorax",
     "Dez 3 Thorax": "Thorax", "5.11. Thorax": "Thorax", "09.02 Thorax": "Thorax",
    "Thorax Hand, Max": "Thorax", "STONE ART": "",
    "Thorax 3.11 57": "Thorax", "lung 1957-03-02": "lung", "ThoraxQuill": "", "BRIGHT^LIGHT": "",
}  # fmt: skip


@pytest.mark.parametrize("text", DESCRIBING)
def test_words_that_describe_the_scan_stay_as_they_are(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize("text", IDENTIFYING)
def test_dates_numbers_in_groups_and_names_go_and_the_rest_stays(text: str) -> None:
    assert plain_text(text) == IDENTIFYING[text]


NAMES = """
    Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson
    Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker
    Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell
    Carter Roberts Mueller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Rossi Russo Ferrari
    Bernard Dubois Petit Durand Leroy Moreau Simon Laurent Ivanov Novak Kowalski Andersson Hansen Yilmaz Wang Li
    Zhang Liu Chen Tanaka Suzuki Kim Park Choi Singh Kumar Ali Khan Maria Anna Peter Paul Hans Karl Ruth Emma Noah
    """.split()  # noqa: SIM905
SHARED_WITH_TERMS = frozenset(("li",))
"""Surnames that are terms too: "Li" is left in German reports. They go where they are the patient's own."""


def test_frequent_names_are_no_technical_words() -> None:
    assert {name.casefold() for name in NAMES if is_plain_word(name)} <= SHARED_WITH_TERMS


@pytest.mark.parametrize(
    ("name", "number", "text", "kept"),
    [
        ("MA^LI", "Q1", "Chest MA", "Chest"),
        ("LUNG^FLASH", "Q1", "Chest FLASH", "Chest"),
        ("Lung_Dx-A0001", "Lung_Dx-A0001", "Lung 1.25mm", "Lung 1.25mm"),
        ("Doe^Jane", "Lung-551", "Lung 551", "Lung"),
        ("Doe^Jane", "4711-AX", "Thorax 2.0 B40f", "Thorax 2.0 B40f"),
        ("", "31-07", "Lung 31-07", "Lung"),
        ("", "31/07", "Lung 31/07 B40f", "Lung"),
        ("", "31-07", "Lung 31-08", "Lung 31-08"),
    ],
)
def test_the_patients_own_words_go_however_plain_and_parts_of_ids_that_are_plain_stay(
    name: str, number: str, text: str, kept: str
) -> None:
    assert kept_value("SeriesDescription", "LO", text, own_words(name, number)) == kept


NUMBERS = [
    ("PatientWeight", "4711", "112.5"), ("PatientSize", "19520302", "1.83"), ("KVP", "52811", "140"),
    ("SeriesNumber", "604417", "20301"), ("InstanceNumber", "771204", "1204"), ("ExposureTime", "19520302", "1200"),
    ("XRayTubeCurrent", "60441", "650"), ("WindowCenter", "60441712", "-600"),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "implausible", "usual"), NUMBERS)
def test_numbers_that_the_attribute_cannot_have_are_told_and_go(keyword: str, implausible: str, usual: str) -> None:
    for value, expected in ((implausible, True), (usual, False)):
        dataset = dicom_slices(Grid((4, 4, 1)))[0]
        dataset.add_new(keyword, dictionary_VR(keyword), "0")
        dataset[keyword]._value = value
        found = find_identifiers(("a.dcm", to_bytes(dataset)), pixels=False)
        assert any(item.where.endswith(f" {keyword}") for item in found) == expected
        clean_dataset(dataset, Rules(Pseudonyms(b"a key of the test"), "P1", -40, ()))
        assert (str(dataset.get(keyword) or "") != value) == expected


def test_defined_terms_stay_whatever_the_patient_is_called() -> None:
    tokens = own_words("CT^LUNG", "1")
    assert kept_value("Modality", "CS", "CT", tokens) == "CT"
    assert kept_value("ConvolutionKernel", "SH", "LUNG", tokens) == "LUNG"
    assert kept_value("ConvolutionKernel", "SH", "Quillfeather", tokens) == ""


TECHNICAL = [
    ("WindowCenterWidthExplanation", "Quillfeather", "WINDOW1"),
    ("ManufacturerModelName", "Room Quillfeather", "Definition AS+"),
    ("FilterType", "QUILLFEATHER", "LARGE BOWTIE FIL"),
    ("SoftwareVersions", "quillhost.hospital.org", "syngo CT VA48A"),
    ("SoftwareVersions", "A4815B2317", "LightSpeedApps308I.2_H3.1M5"), ("ConvolutionKernel", "Quillfeather", "Br40d"),
    ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL", "QUILLFEATHER"], ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]),
    ("DeidentificationMethod", "removed Quillfeather", "Per DICOM PS 3.15 AnnexE. Details in 0012,0064"),
    ("ScanOptions", "QUILLFEATHER", "HELICAL MODE"), ("BodyPartExamined", "QUILLFEATHER", "CHEST"),
    ("LossyImageCompressionMethod", "QUILLFEATHER", "ISO_10918_1"),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "name", "usual"), TECHNICAL, ids=lambda value: str(value)[:20])
def test_technical_text_is_judged_by_its_words(keyword: str, name: str, usual: str) -> None:
    for value, expected in ((name, True), (usual, False)):
        dataset = dicom_slices(Grid((4, 4, 1)))[0]
        setattr(dataset, keyword, value)
        found = find_identifiers(("a.dcm", to_bytes(dataset)), pixels=False)
        assert any(keyword in item.where for item in found) == expected, value


@pytest.mark.parametrize(("meaning", "found"), [("Quillfeather", True), ("Chest", False), ("CT Thorax", False)])
def test_names_in_code_meanings_are_found(meaning: str, found: bool) -> None:
    dataset, outer, inner = dicom_slices(Grid((4, 4, 1)))[0], Dataset(), Dataset()
    inner.CodeMeaning = meaning
    outer.PersonIdentificationCodeSequence = Sequence([inner])
    dataset.PerformingPhysicianIdentificationSequence = Sequence([outer])
    places = [item.where for item in find_identifiers(("a.dcm", to_bytes(dataset)), pixels=False)]
    assert any("CodeMeaning" in place for place in places) == found


@pytest.mark.parametrize(
    ("keyword", "found"), [("PersonIdentificationCodeSequence", True), ("PurposeOfReferenceCodeSequence", False)]
)
def test_a_code_that_stands_for_a_person_is_found(keyword: str, found: bool) -> None:
    code, dataset = Dataset(), dicom_slices(Grid())[0]
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "S4711", "99LOC", "Chest"
    holder = Dataset()
    setattr(holder, keyword, Sequence([code]))
    dataset.PerformingPhysicianIdentificationSequence = Sequence([holder])
    places = [
        item.where for item in find_identifiers(("1.dcm", to_bytes(dataset)), pixels=False) if "Code" in item.where
    ]
    assert any(place.endswith("CodeValue") for place in places) == found


def test_a_description_judged_for_one_patient_is_judged_again_for_the_next() -> None:
    """Elements seen before are skipped only where they were judged by the same words."""
    files = []
    for number, name in enumerate(("Doe^Jane", "MA^LI")):
        dataset = dicom_slices(Grid((4, 4, 1)))[0]
        dataset.PatientName, dataset.SeriesDescription, dataset.PatientID = name, "Chest MA", f"Q{number}"
        files.append((f"{number}.dcm", to_bytes(dataset)))
    for count, expected in ((1, False), (2, True)):
        found = find_identifiers(files[:count], pixels=False)
        assert any("SeriesDescription" in item.where for item in found) == expected


def test_plain_studies_are_written_whole_and_descriptions_that_identify_are_cut(tmp_path: Path) -> None:
    """What cleaning keeps, the check after it accepts: no file is lost to a description."""
    texts = [*DESCRIBING, *IDENTIFYING]
    (tmp_path / "in").mkdir()
    for index, text in enumerate(texts):
        dataset = dicom_slices(Grid((4, 4, 1)))[0]
        dataset.SpecificCharacterSet, dataset.SeriesDescription = "ISO_IR 192", text
        dataset.InstanceNumber, dataset.SOPInstanceUID = index + 1, f"1.2.{index}"
        dataset.StackID, dataset.PatientID, dataset.PatientName = "1", "Lung_Dx-A0001", "Lung_Dx-A0001"
        dataset.ConvolutionKernel = "LUNG"
        (tmp_path / "in" / f"{index}").write_bytes(to_bytes(dataset))
    report = deidentify(tmp_path / "in", tmp_path / "out")
    sets = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert not report.left_out
    assert {(item.StackID, item.ConvolutionKernel) for item in sets} == {("1", "LUNG")}
    got = {item.InstanceNumber - 1: item.get("SeriesDescription") or "" for item in sets}
    assert [got[index] for index in range(len(texts))] == [*DESCRIBING, *IDENTIFYING.values()]


@pytest.mark.parametrize(("scheme", "kept"), [("99LOC", ""), ("SRT", "T-D3000")])
def test_codes_of_local_schemes_go_even_in_a_public_form(scheme: str, kept: str) -> None:
    dataset, item = dicom_slices(Grid((4, 4, 1)))[0], Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", scheme, "Chest"
    dataset.AnatomicRegionSequence = Sequence([item])
    clean_dataset(dataset, Rules(Pseudonyms(b"a secret for tests, 32 bytes long"), "P1", -40, frozenset()))
    assert dataset.AnatomicRegionSequence[0].CodeValue == kept
    assert dataset.AnatomicRegionSequence[0].CodeMeaning == "Chest"


def test_no_word_is_listed_twice_and_each_can_be_met() -> None:
    blocks = re.findall(r'"""\n([^"]*)"""\.split', Path(vocabulary.__file__).read_text("utf-8"))
    for number, listed in enumerate([*(block.split() for block in blocks), " ".join(blocks[:2]).split()]):
        assert sorted(set(listed)) == sorted(listed), number
        assert all(WORDS.fullmatch(word) for word in listed)
    assert not [word for word in " ".join(blocks[:2]).split() if is_safe_word(word)], (
        "those of core.intake.terms.safe_description count too"
    )


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Units", "BQML"), ("CollimatorType", "CONE"), ("FrameType", "ENERGY_PROP_WT"), ("RTROIInterpretedType", "GTV"),
        ("BodyPartExamined", "CHESTABDPELVIS"), ("PatientOrientation", "LP"), ("RescaleType", "Z_EFF"),
        ("ReconstructionAlgorithm", "FILTER_BACK_PROJ"), ("ConvolutionKernel", "BONEPLUS"),
        ("ConvolutionKernel", "IMR1,SharpPlus"), ("ConvolutionKernel", "FC08-H"),
        ("ConvolutionKernel", "L_VSHARP_C"), ("ContrastBolusAgent", "Omni 350"),
    ],
)  # fmt: skip
def test_defined_terms_stay_where_they_belong(keyword: str, value: str) -> None:
    dataset = Dataset()
    setattr(dataset, keyword, value)
    clean_dataset(dataset, Rules(Pseudonyms(b"a secret for tests, 32 bytes long"), "P1", -40, frozenset()))
    assert dataset[keyword].value == value


@pytest.mark.parametrize(
    ("keyword", "value", "after"),
    [("ContrastBolusAgent", "QUARTZSON 370", "CONTRAST"), ("ContrastBolusAgent", "", ""),
     ("SegmentLabel", "Quartzson", "REMOVED"), ("SegmentLabel", "Lung Nodule", "Lung Nodule"),
     ("StructureSetLabel", "Quartzson", "REMOVED"), ("ROIName", "Heart", "Heart"), ("ROIName", "Quartzson", ""),
     ("PatientSexNeutered", "ALTERED", "ALTERED"), ("PregnancyStatus", 4, 4),
     ("ClinicalTrialSponsorName", "Quartzson", "REMOVED"), ("ClinicalTrialSponsorName", "", ""),
     ("VerifyingObserverName", "Quartz^Ada", "REMOVED"), ("SelectorASValue", "061Y", "000D"),
     ("CertificateOfSigner", b"QUARTZ", b"\0\0"), ("AccessionNumber", "A4711", "")],
)  # fmt: skip
def test_what_must_say_something_says_no_more_than_that(keyword: str, value: object, after: object) -> None:
    dataset = Dataset()
    setattr(dataset, keyword, value)
    clean_dataset(dataset, Rules(Pseudonyms(b"a secret for tests, 32 bytes long"), "P1", -40, frozenset()))
    assert (dataset[keyword].value or "") == after


def test_text_sent_as_numbers_goes() -> None:
    dataset = Dataset()
    dataset.add_new("FilterType", "UL", [0x51554152, 0x545A534F])
    dataset.add_new("SliceThickness", "FD", 1.25)
    clean_dataset(dataset, Rules(Pseudonyms(b"a secret for tests, 32 bytes long"), "P1", -40, frozenset()))
    assert "FilterType" not in dataset
    assert dataset.SliceThickness == 1.25


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Modality", "CONE"), ("Units", "QUARTZSON"), ("BodyPartExamined", "QUARTZSON"), ("ConvolutionKernel", "LI"),
     ("BodyPartExamined", "CHEST QUARTZSON"), ("PatientOrientation", "RAPH"), ("ScanOptions", "CONE")],
)  # fmt: skip
def test_terms_of_other_attributes_and_names_go(keyword: str, value: str) -> None:
    dataset = Dataset()
    setattr(dataset, keyword, value)
    clean_dataset(dataset, Rules(Pseudonyms(b"a secret for tests, 32 bytes long"), "P1", -40, frozenset()))
    assert "QUARTZSON" not in str(dataset)
    assert dataset[keyword].value != value


@pytest.mark.parametrize("piece", ["_", "a", "A", "Ab-", "12.", ".", "Ш", "Ш-"])
def test_a_long_text_without_spaces_is_searched_in_a_moment(piece: str) -> None:
    """Not every start is tried against all that follows; and what stands behind a long word is found."""
    text = piece * (100_000 // len(piece))
    with no_hang():
        found = in_free_text(f"{text} jane@example.org, Hauptstrasse 12")
    assert "contact" in found


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Gray^Jolanta", ""), ("Gray, J.", ""), ("Sharp, Agnieszka Thorax", "Thorax"), ("Small Brunhilde 1.0", ""),
     ("Pat. Hand", ""), ("Kowalski^Max", ""), ("Head Sharp 1.0", "Head Sharp 1.0"), ("Hand 2.0", "Hand 2.0")],
)  # fmt: skip
def test_a_surname_that_is_a_word_goes_with_the_name_beside_it(text: str, kept: str) -> None:
    """The negative controls: beside words of the examination it is a word itself."""
    assert vocabulary.plain_text(text) == kept


@pytest.mark.parametrize(
    "text", ["Scanner thoracique", "TDM thoraco-abdomino-pelvienne", "TC torax sin contraste", "Lungenfenster 1mm",
             "Weichteilfenster", "Columna cervical", "Polytrauma-Spirale", "Tissus mous",
             "AngioTC de arterias pulmonares"]
)  # fmt: skip
def test_everyday_words_of_french_spanish_and_german_protocols_stay(text: str) -> None:
    assert vocabulary.plain_text(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Lung 97 y/o M", "Lung"), ("92 y.o. F Thorax", "Thorax"), ("Abdomen 101/M", "Abdomen"), ("M/96 lung", "lung"),
     ("Pelvis 92 M", "Pelvis"), ("Thorax_95/F", "Thorax"), ("Age 104 lung", "lung"), ("Lunge Alter: 98", "Lunge"),
     ("patient 5 lung", "lung"), ("Thorax case 31", "Thorax"), ("lung ER 4", "lung"), ("Thorax LOT 8", "Thorax"),
     ("subject 6 lung", "lung")],
)  # fmt: skip
def test_ages_of_90_and_numbers_behind_whose_they_are_go(text: str, kept: str) -> None:
    assert plain_text(text) == kept
    assert not re.search(r"\d", describe_series(text))


@pytest.mark.parametrize(
    "text",
    ["Lung 89 y/o", "kV 90", "Thorax 100 kV", "F 90", "F90", "Br90", "B90f", "FC51", "96%", "90 mAs", "1.0 F", "100 s",
     "Lung 100 M 0.6", "DE_PE 100 M_0.6", "Mono keV 100 F", "100 W CONTRAST", "Patient Protocol", "Patient 5 mm",
     "ER 1.0"],
)  # fmt: skip
def test_voltages_kernels_percentages_and_younger_ages_stay(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "text",
    ["AICE LUNG 0.5", "CaScoreSeq 3.0", "EXSP 1.0", "T=30% Thorax", "Ave IP", "Brust nativ", "long 3 mm",
     "Abdomen blanco 5.0", "AKCİĞER KONTRASTSIZ", "YB 1.0", "2Ch LV", "SOMATOM Definition", "Pulmonalarterien 1.0",
     "lung SBRT 4D", "Minimum intensity projection", "SPP 55 keV"],
)  # fmt: skip
def test_words_of_protocols_stay_where_they_say_how_it_was_scanned(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Long Thorax", "Thorax"), ("lung LONG", "lung"), ("Abdomen BLANCO", "Abdomen"), ("Blanco 2.0", ""),
     ("Mill Ave lung", "lung"), ("T Quill lung", "lung"), ("lung YA", "lung"), ("Brust^Mia lung", "lung"),
     ("Scout Quillfeather", "")],
)  # fmt: skip
def test_the_same_words_go_where_they_may_name_somebody(text: str, kept: str) -> None:
    assert plain_text(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Quillfeather 2.5 mm lung", "2.5 mm lung"), ("lung 3MM Quillfeather", "lung 3MM"),
     ("11 mm Quill 02 mm lung", "11 mm lung"), ("lung Quill 2.5", "lung"), ("Quill 471.25 mm", "mm")],
)  # fmt: skip
def test_a_thickness_stays_beside_words_that_go_and_no_other_number_does(text: str, kept: str) -> None:
    assert plain_text(text) == kept
    assert plain_text(kept) == kept
