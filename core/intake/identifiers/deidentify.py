"""A folder of DICOM and NIfTI files without identifiers: every file is cleaned and checked again, or left out."""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, memory_entry
from core.intake.files.sources import open_entries
from core.intake.identifiers.clean.dicom_profile import Rules, clean_dataset, mark_cleaned
from core.intake.identifiers.clean.nifti import rebuild_nifti
from core.intake.identifiers.clean.pseudonyms import Pseudonyms
from core.intake.identifiers.finding import Finding
from core.intake.identifiers.pictures.ocr import NoTextReader
from core.intake.identifiers.pictures.planes import Frames, blank, decode, encode, put_pixels
from core.intake.identifiers.pictures.series import STACK, SeriesText, text_of_series
from core.intake.identifiers.search import find_identifiers
from core.intake.identifiers.text.remembered import search_under_way
from core.intake.identifiers.where.dicom import TIME_VRS, search_dicom, words_of_patient
from core.intake.identifiers.where.dicom_reading import read_bounded
from core.intake.identifiers.where.nifti import search_nifti
from core.intake.identifiers.where.persons import Person, identities
from core.intake.scan.dicom.elements import looks_like_dicom
from core.intake.scan.nifti.header import looks_like_nifti
from core.progress import Progress
from core.wording import count_of

NOT_AN_IMAGE = "neither DICOM nor NIfTI"
DIRECTORY = "a DICOM directory, which lists names of other files"
DOCUMENT = "a document, report or waveform, whose content cannot be cleaned"
UNREADABLE = "damaged or of a kind that cannot be decoded, so it could not be searched"
SCREEN = "a picture of text"
UNCONFIRMED = "declares burned-in text, and none was found to blank"
SURVIVED = "an identifier was still found after cleaning"
_DOCUMENTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.9.")
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
_EXPECTED = frozenset(("unique identifier", "burned-in text"))
_WRITTEN_HERE = re.compile(r"(.* > )?\(0010,00[12]0\) Patient(Name|ID)|\(0012,006[34]\) DeidentificationMethod.*")


@dataclass(eq=False)
class Report:
    """What was done; holds counts and fixed words only.

    written: files. patients, blanked: patients and text boxes. left_out: reason -> files. found: category -> places
    before cleaning. shared: patient ids that several people share.
    """

    written: int = 0
    blanked: int = 0
    patients: int = 0
    shared: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """The report in words."""
        whole = self.written + self.left_out.total()
        lines = [f"{self.written} of {count_of(whole, 'file')} written, {count_of(self.patients, 'patient')}"]
        lines += [
            f"left out: {count_of(number, 'file')} ({reason})" for reason, number in sorted(self.left_out.items())
        ]
        lines += [
            f"found before: {category}, {count_of(number, 'place')}" for category, number in sorted(self.found.items())
        ]
        if self.shared:
            ids = count_of(self.shared, "patient id")
            lines.append(f"{ids} shared by different people, who were kept apart by name and birth date")
        lines.append(f"text blanked in pixels: {count_of(self.blanked, 'place')}")
        lines.append("Every written file was searched again: only shifted dates and replaced UIDs and names remain.")
        lines.append("Dates moved by one number of days for each patient; times of day are as they were.")
        lines.append(
            "Text in pixels is found by a reader that can miss some; look at the images before you share them."
        )
        return lines


@dataclass(frozen=True, eq=False)
class _Image:
    """One DICOM file of the source, before it is cleaned.

    words: of its patient's names and numbers. patient: what tells patients apart.
    """

    entry: Entry
    person: Person
    words: frozenset[str]
    patient: str
    series: str
    place: tuple[float, float]


class Refused(Exception):
    """A file is left out; the only argument is one of the reasons above."""


@search_under_way()
def deidentify(
    source: Path,
    out: Path,
    *,
    pseudonyms: Pseudonyms | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write cleaned copies of every DICOM and NIfTI file of `source` under `out`.

    source: a file, folder or archive as for `core.load.load_study`. out: a new or empty folder, neither inside the
    source nor around it. pseudonyms: keyed replacements; by default under a secret that ends with this run, so that a
    later run gives other ones. Files get new names: P<hash>/study-1/series-1/00001.dcm, volume-0001.nii.gz.
    Single files that cannot be cleaned are left out and counted. Raises UserFacingError for a source or an output
    folder that cannot be used, and NoTextReader (`core.intake.identifiers.pictures.ocr`).
    """
    _check_folders(source, out)
    names = pseudonyms or Pseudonyms()
    report = Report()
    entries = open_entries(source)
    report.found.update(finding.category for finding in find_identifiers(source, pixels=False))
    images, niftis = _by_format(entries, report)
    images, report.shared = _told_apart(images)
    writer = _Writer(out, names, report, _words_of_patients(images))
    _make_folder(out)
    done = float(report.left_out.total())
    total = len(images) + len(niftis) + int(done)
    for handled in writer.write_all(images, niftis):
        done += handled
        if progress:
            progress(done / total, f"{int(done)} of {count_of(total, 'file')}")
    report.patients = len(writer.patients)
    if not report.written:
        _drop_empty(out)
        reasons = "; ".join(f"{count_of(number, 'file')} {reason}" for reason, number in report.left_out.items())
        raise UserFacingError(
            f"No file could be cleaned: {reasons}.",
            "DICOM images or NIfTI volumes",
            "Choose another folder or file.",
        )
    return report


def _check_folders(source: Path, out: Path) -> None:
    one, other = Path(os.path.realpath(source)), Path(os.path.realpath(out))  # which say nothing of links in a circle
    if one == other or one in other.parents or other in one.parents:
        raise UserFacingError(
            "The output folder lies inside the input, or around it.", "two separate folders", "Name another folder."
        )
    if os.path.isfile(out) or (os.path.isdir(out) and os.listdir(out)):
        raise UserFacingError("The output folder is not empty.", "a new or empty folder", "Name another folder.")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserFacingError(
            "The output folder cannot be made.", "a place where files may be written", "Name another folder."
        ) from error


def _drop_empty(out: Path) -> None:
    if not any(out.iterdir()):
        out.rmdir()


def _by_format(entries: Iterable[Entry], report: Report) -> tuple[list[_Image], list[Entry]]:
    """DICOM images with what groups them, and NIfTI files; the rest is counted as left out."""
    images, niftis = [], []
    for entry in entries:
        head = entry.read(0, 1024)
        if looks_like_nifti(head):
            niftis.append(entry)
        elif looks_like_dicom(head):
            try:
                images.append(_grouped(entry))
            except Refused as reason:
                report.left_out[str(reason)] += 1
            except Exception:  # pydicom may raise anything on a damaged file
                report.left_out[UNREADABLE] += 1
        else:
            report.left_out[NOT_AN_IMAGE] += 1
    return images, niftis


def _grouped(entry: Entry) -> _Image:
    dataset = read_bounded(entry.read(0, None))
    kind = str(
        dataset.get("SOPClassUID") or getattr(dataset, "file_meta", Dataset()).get("MediaStorageSOPClassUID") or ""
    )
    if kind == _DIRECTORY_CLASS or "DirectoryRecordSequence" in dataset:
        raise Refused(DIRECTORY)
    if kind.startswith(_DOCUMENTS) or "EncapsulatedDocument" in dataset or "WaveformSequence" in dataset:
        raise Refused(DOCUMENT)
    if not kind:
        raise Refused(UNREADABLE)
    study, series = str(dataset.get("StudyInstanceUID") or ""), str(dataset.get("SeriesInstanceUID") or "")
    number, name, birth = (
        str(dataset.get(key) or "").strip() for key in ("PatientID", "PatientName", "PatientBirthDate")
    )
    person, words = Person(number, name, birth, study), words_of_patient(dataset)
    return _Image(entry, person, words, "", series, _place(dataset))


def _told_apart(images: list[_Image]) -> tuple[list[_Image], int]:
    """The images with what tells their patients apart, and the number of patient ids that several people share."""
    patients, shared = identities([image.person for image in images])
    return [replace(image, patient=patient) for image, patient in zip(images, patients, strict=True)], shared


def _words_of_patients(images: Iterable[_Image]) -> dict[str, frozenset[str]]:
    """By patient, the words of all names and ids that the files of their studies and series give, whoever they are
    said to belong to: a description of one file may hold the name of another."""
    words: dict[str, frozenset[str]] = defaultdict(frozenset)
    shared: dict[str, frozenset[str]] = defaultdict(frozenset)
    groups: dict[str, set[str]] = defaultdict(set)
    for image in images:
        words[image.patient] |= image.words
        for uid in filter(None, (image.person.study, image.series)):
            shared[uid] |= image.words
            groups[image.patient].add(uid)
    return {patient: own.union(*(shared[uid] for uid in groups[patient])) for patient, own in words.items()}


def _place(dataset: Dataset) -> tuple[float, float]:
    """Position along the normal, then instance number: neighbours in the body are neighbours in a batch."""
    try:
        cosines = [float(value) for value in dataset.ImageOrientationPatient]
        height = float(np.dot(np.cross(cosines[:3], cosines[3:]), [float(v) for v in dataset.ImagePositionPatient]))
    except Exception:  # no position, or one that pydicom cannot read: the instance number alone decides
        height = 0.0
    number = str(dataset.get("InstanceNumber") or "")
    return height, float(number) if number.isdecimal() else 0.0


def _series(images: Iterable[_Image]) -> Iterable[list[_Image]]:
    """Files of one series each, in order."""
    series: dict[tuple[str, str, str], list[_Image]] = defaultdict(list)
    for image in images:
        series[image.patient, image.person.study, image.series].append(image)
    for group in series.values():
        yield sorted(group, key=lambda image: image.place)


class _Writer:
    """Cleans and writes files under one folder; keeps the numbers given so far and counts of files, no content."""

    def __init__(self, out: Path, names: Pseudonyms, report: Report, words: Mapping[str, frozenset[str]]) -> None:
        self._out, self._names, self._report, self._words = out, names, report, words
        self._numbers: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
        self._written: Counter[Path] = Counter()
        self.patients: set[str] = set()

    def write_all(self, images: Iterable[_Image], niftis: Iterable[Entry]) -> Iterator[float]:
        """Clean and write every file; how many more are done, halves where a file is read and written apart.

        Raises NoTextReader, and UserFacingError where a file cannot be written.
        """
        for series in _series(images):
            for handled in self._write_series(series):
                yield handled / 2
        for entry in niftis:
            self._write_nifti(entry)
            yield 1

    def _write_series(self, series: list[_Image]) -> Iterator[int]:
        """Read the text in all files of a series, then clean and write each; numbers of files handled, each twice.

        Raises NoTextReader.
        """
        text = text_of_series(self._decoded(series[start : start + STACK]) for start in range(0, len(series), STACK))
        yield len(series)
        for index, image in enumerate(series):
            self._write_image(image, index, text)
            yield 1

    def _decoded(self, batch: list[_Image]) -> list[Frames | None]:
        """The pictures of a batch; None for a file that cannot be decoded, which is left out when it is written."""
        found: list[Frames | None] = []
        for image in batch:
            try:
                found.append(decode(self._opened(image)))
            except Exception:  # decoders may raise anything on damaged pixels
                found.append(None)
        return found

    def _opened(self, image: _Image) -> Dataset:
        return read_bounded(image.entry.read(0, None))

    def _write_image(self, image: _Image, index: int, text: SeriesText) -> None:
        """Clean and write one file, or count it as left out."""
        try:
            data = self._cleaned(image, index, text)
        except Refused as reason:
            self._report.left_out[str(reason)] += 1
        except Exception:  # what cannot be read, cleaned or written whole is left out, whatever the reason
            self._report.left_out[UNREADABLE] += 1
        else:
            self._save(self._image_path(image), data)

    def _write_nifti(self, entry: Entry) -> None:
        """Rebuild one NIfTI file, or count it as left out. Raises NoTextReader."""
        try:
            data, blanked = rebuild_nifti(entry.read(0, None))
        except NoTextReader:
            raise
        except Exception:  # headers may declare anything
            self._report.left_out[UNREADABLE] += 1
            return
        if search_nifti(memory_entry("volume.nii", gzip.decompress(data)), ()):
            self._report.left_out[SURVIVED] += 1
            return
        self._report.blanked += blanked
        self._written[self._out] += 1
        self._save(self._out / f"volume-{self._written[self._out]:04d}.nii.gz", data)

    def _cleaned(self, image: _Image, index: int, text: SeriesText) -> bytes:
        dataset = self._opened(image)
        frames = decode(dataset)
        blanked = 0
        if frames is not None:
            places = text.places_on(frames)
            _refuse_pictures_of_text(dataset, text.is_document(index, frames), bool(places))
            blanked = len(places) * len(frames.planes)
            for frame in range(len(frames.planes)):
                blank(frames, dataset, frame, places)
            put_pixels(dataset, frames)
        patient, words = self._names.patient(image.patient), self._words[image.patient]
        clean_dataset(dataset, Rules(self._names, patient, self._names.shift_days(image.patient), words))
        mark_cleaned(dataset, blanked)
        data = encode(dataset)
        _check(data, words)
        self._report.blanked += blanked
        self.patients.add(patient)
        return data

    def _image_path(self, image: _Image) -> Path:
        patient = self._names.patient(image.patient)
        study = self._number((patient,), image.person.study)
        series = self._number((patient, str(study)), image.series)
        folder = self._out / patient / f"study-{study}" / f"series-{series}"
        self._written[folder] += 1
        return folder / f"{self._written[folder]:05d}.dcm"

    def _number(self, scope: tuple[str, ...], name: str) -> int:
        """1, 2, 3, ... in order of appearance within a scope."""
        known = self._numbers[scope]
        return known.setdefault(name, len(known) + 1)

    def _save(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise UserFacingError(
                "A cleaned file cannot be written.", "room in the output folder", "Free space or name another folder."
            ) from error
        self._report.written += 1


def _check(data: bytes, words: frozenset[str]) -> None:
    """Search what is about to be written as if it came from outside."""
    findings, _ = search_dicom(memory_entry("image.dcm", data), words)
    if not all(_is_expected(item) for item in findings):
        raise Refused(SURVIVED)


def _is_expected(item: Finding) -> bool:
    """Whether a finding is what was written here: shifted dates, new UIDs and names, words about the cleaning."""
    if item.category == "date":
        keyword = item.where.split()[-1]
        return bool(tag_for_keyword(keyword)) and dictionary_VR(keyword) in TIME_VRS
    return item.category in _EXPECTED or bool(_WRITTEN_HERE.fullmatch(item.where))


def _refuse_pictures_of_text(dataset: Dataset, document: bool, text: bool) -> None:
    """Leave out dose screens and the like, and images that announce text that was not found."""
    if document:
        raise Refused(SCREEN)
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES" and not text:
        raise Refused(UNCONFIRMED)
