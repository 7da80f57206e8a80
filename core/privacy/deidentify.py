"""A folder of DICOM and NIfTI files without identifiers: every file is cleaned and checked again, or left out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.load.dicom_scan import looks_like_dicom
from core.load.entries import open_entries
from core.load.entry import Entry, memory_entry
from core.load.limits import LIMITS, Limits
from core.load.nifti import looks_like_nifti
from core.load.words import count_of
from core.privacy.burned_in import find_all_text
from core.privacy.dicom import search_dicom
from core.privacy.images import Frames, blank, decode, encode, put_pixels
from core.privacy.nifti_out import rebuild_nifti
from core.privacy.patterns import name_tokens
from core.privacy.profile import Rules, clean_dataset, mark_cleaned
from core.privacy.pseudonyms import Pseudonyms
from core.privacy.reading import read_bounded
from core.privacy.search import find_identifiers
from core.privacy.text_place import PlaneBox

Progress = Callable[[float, str], None]
BATCH = 96
"""Files of one series that are held decoded at a time."""
MOST_TEXT = 0.25
"""Share of a picture; where text covers more, the picture is a document."""
NOT_AN_IMAGE = "neither DICOM nor NIfTI"
DIRECTORY = "a DICOM directory, which lists names of other files"
DOCUMENT = "a document, report or waveform, whose content cannot be cleaned"
UNREADABLE = "damaged or of a kind that cannot be decoded, so it could not be searched"
SCREEN = "a picture of text"
UNCONFIRMED = "declares burned-in text, and none was found to blank"
SURVIVED = "an identifier was still found after cleaning"
_DOCUMENTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.9.")
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
_EXPECTED = frozenset(("date", "unique identifier", "burned-in text"))
_WRITTEN_HERE = re.compile(r"\(0010,00[12]0\) Patient(Name|ID)|\(0012,006[34]\) DeidentificationMethod")


@dataclass(eq=False)
class Report:
    """What was done; holds counts and fixed words only.

    written: files. patients, blanked: patients and text boxes. left_out: reason -> files. found: category -> places
    before cleaning.
    """

    written: int = 0
    blanked: int = 0
    patients: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """The report in words."""
        lines = [f"{count_of(self.written, 'file')} written, {count_of(self.patients, 'patient')}"]
        lines += [
            f"left out: {count_of(number, 'file')} ({reason})" for reason, number in sorted(self.left_out.items())
        ]
        lines += [
            f"found before: {category}, {count_of(number, 'place')}" for category, number in sorted(self.found.items())
        ]
        lines.append(f"text blanked in pixels: {count_of(self.blanked, 'place')}")
        lines.append("Every written file was searched again: only shifted dates and replaced UIDs and names remain.")
        lines.append(
            "Text in pixels is found by a reader that can miss some; look at the images before you share them."
        )
        return lines


@dataclass(frozen=True, eq=False)
class _Image:
    """One DICOM file of the source, before it is cleaned. patient: what tells patients apart; words: name and id."""

    entry: Entry
    patient: str
    words: str
    study: str
    series: str
    place: tuple[float, float]


class Refused(Exception):
    """A file is left out; the only argument is one of the reasons above."""


def deidentify(
    source: Path,
    out: Path,
    *,
    pseudonyms: Pseudonyms | None = None,
    progress: Progress | None = None,
    limits: Limits = LIMITS,
) -> Report:
    """Write cleaned copies of every DICOM and NIfTI file of `source` under `out`.

    source: a file, folder or archive as for `core.load.load_study`. out: a new or empty folder, neither inside the
    source nor around it. pseudonyms: keyed replacements; by default under a secret that ends with this run, so that a
    later run gives other ones. Files get new names: P<hash>/study-1/series-1/00001.dcm, volume-0001.nii.gz.
    Raises UserFacingError for a source or an output folder that cannot be used; single files are left out and counted.
    """
    _check_folders(source, out)
    names = pseudonyms or Pseudonyms()
    report = Report()
    entries = open_entries(source, limits=limits)
    report.found.update(finding.category for finding in find_identifiers(source, limits=limits, pixels=False))
    images, niftis = _sorted(entries, report, limits)
    tokens = name_tokens({image.words for image in images})
    writer = _Writer(out, names, report, limits, frozenset(tokens))
    _make_folder(out)
    done, total = 0, max(len(images) + len(niftis), 1)
    for batch in _batches(images):
        writer.write_images(batch)
        done += len(batch)
        if progress:
            progress(done / total, f"{done} of {count_of(total, 'file')}")
    for entry in niftis:
        writer.write_nifti(entry)
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
    one, other = source.resolve(), out.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UserFacingError(
            "The output folder lies inside the input, or around it.", "two separate folders", "Name another folder."
        )
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
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


def _sorted(entries: Iterable[Entry], report: Report, limits: Limits) -> tuple[list[_Image], list[Entry]]:
    """DICOM images with what groups them, and NIfTI files; the rest is counted as left out."""
    images, niftis = [], []
    for entry in entries:
        head = entry.read(0, 1024)
        if looks_like_nifti(head):
            niftis.append(entry)
        elif looks_like_dicom(head):
            try:
                images.append(_grouped(entry, limits))
            except Refused as reason:
                report.left_out[str(reason)] += 1
            except Exception:
                report.left_out[UNREADABLE] += 1
        else:
            report.left_out[NOT_AN_IMAGE] += 1
    return images, niftis


def _grouped(entry: Entry, limits: Limits) -> _Image:
    dataset = read_bounded(entry.read(0, None), limits=limits)
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
    number, name = str(dataset.get("PatientID") or "").strip(), str(dataset.get("PatientName") or "").strip()
    patient = number or f"{name} {dataset.get('PatientBirthDate') or ''}".strip() or study
    return _Image(entry, patient, f"{name} {number}", study, series, _place(dataset))


def _place(dataset: Dataset) -> tuple[float, float]:
    """Position along the normal, then instance number: neighbours in the body are neighbours in a batch."""
    try:
        cosines = [float(value) for value in dataset.ImageOrientationPatient]
        height = float(np.dot(np.cross(cosines[:3], cosines[3:]), [float(v) for v in dataset.ImagePositionPatient]))
    except Exception:
        height = 0.0
    number = str(dataset.get("InstanceNumber") or "")
    return height, float(number) if number.isdigit() else 0.0


def _batches(images: Iterable[_Image]) -> Iterable[list[_Image]]:
    """Files of one series, in order, at most BATCH at a time."""
    series: dict[tuple[str, str, str], list[_Image]] = defaultdict(list)
    for image in images:
        series[image.patient, image.study, image.series].append(image)
    for group in series.values():
        ordered = sorted(group, key=lambda image: image.place)
        for start in range(0, len(ordered), BATCH):
            yield ordered[start : start + BATCH]


class _Writer:
    """Cleans and writes files under one folder; keeps only the numbers of names given so far."""

    def __init__(self, out: Path, names: Pseudonyms, report: Report, limits: Limits, tokens: frozenset[str]) -> None:
        self._out, self._names, self._report, self._limits, self._tokens = out, names, report, limits, tokens
        self._numbers: dict[tuple[str, ...], int] = {}
        self._counts: Counter[tuple[str, ...]] = Counter()
        self.patients: set[str] = set()

    def write_images(self, batch: list[_Image]) -> None:
        """Clean the files of one batch; text is searched over the whole batch."""
        opened: list[tuple[_Image, Dataset, Frames | None]] = []
        for image in batch:
            try:
                dataset = read_bounded(image.entry.read(0, None), limits=self._limits)
                opened.append((image, dataset, decode(dataset, limits=self._limits)))
            except Exception:
                self._report.left_out[UNREADABLE] += 1
        boxes = text_in_files([frames for _, _, frames in opened])
        for (image, dataset, frames), found in zip(opened, boxes):
            try:
                data = self._cleaned(image, dataset, frames, found)
            except Refused as reason:
                self._report.left_out[str(reason)] += 1
            except Exception:
                self._report.left_out[UNREADABLE] += 1
            else:
                self._save(self._image_path(image), data)

    def write_nifti(self, entry: Entry) -> None:
        """Rebuild one NIfTI file."""
        try:
            data, blanked = rebuild_nifti(entry.read(0, None), limits=self._limits)
        except Exception:
            self._report.left_out[UNREADABLE] += 1
            return
        self._report.blanked += blanked
        self._save(self._out / f"volume-{self._number(('nifti',), entry.name + str(id(entry))):04d}.nii.gz", data)

    def _cleaned(
        self, image: _Image, dataset: Dataset, frames: Frames | None, boxes: dict[int, list[PlaneBox]]
    ) -> bytes:
        _refuse_pictures_of_text(dataset, frames, boxes)
        for frame, found in boxes.items():
            assert frames is not None
            blank(frames, dataset, frame, found)
        if frames is not None:
            put_pixels(dataset, frames)
        patient = self._names.patient(image.patient)
        rules = Rules(self._names, patient, self._names.shift_days(image.patient), self._tokens)
        clean_dataset(dataset, rules)
        mark_cleaned(dataset, sum(len(found) for found in boxes.values()))
        data = encode(dataset)
        self._check(data)
        self._report.blanked += sum(len(found) for found in boxes.values())
        self.patients.add(patient)
        return data

    def _check(self, data: bytes) -> None:
        """Search what is about to be written as if it came from outside."""
        findings, _ = search_dicom(memory_entry("image.dcm", data), self._tokens)
        if any(item.category not in _EXPECTED and not _WRITTEN_HERE.match(item.where) for item in findings):
            raise Refused(SURVIVED)

    def _image_path(self, image: _Image) -> Path:
        patient = self._names.patient(image.patient)
        study = self._number((patient,), image.study)
        series = self._number((patient, str(study)), image.series)
        self._counts[patient, str(study), str(series)] += 1
        number = self._counts[patient, str(study), str(series)]
        return self._out / patient / f"study-{study}" / f"series-{series}" / f"{number:05d}.dcm"

    def _number(self, scope: tuple[str, ...], name: str) -> int:
        """1, 2, 3, ... in order of appearance within a scope."""
        key = (*scope, name)
        if key not in self._numbers:
            self._counts[("names", *scope)] += 1
            self._numbers[key] = self._counts[("names", *scope)]
        return self._numbers[key]

    def _save(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise UserFacingError(
                "A cleaned file cannot be written.", "room in the output folder", "Free space or name another folder."
            ) from error
        self._report.written += 1


def text_in_files(files: list[Frames | None]) -> list[dict[int, list[PlaneBox]]]:
    """Text boxes by frame for each file; files of one picture size are searched as one stack."""
    found: list[dict[int, list[PlaneBox]]] = [{} for _ in files]
    sizes: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, frames in enumerate(files):
        if frames is not None:
            sizes[(*frames.planes.shape[1:], frames.planes.dtype)].append(index)
    for indices in sizes.values():
        planes = [files[index].planes for index in indices]  # type: ignore[union-attr]
        owners = [(index, frame) for index, part in zip(indices, planes) for frame in range(len(part))]
        for box in find_all_text(np.concatenate(planes)):
            for index, frame in owners[box.first : box.last + 1]:
                found[index].setdefault(frame, []).append(replace(box, first=frame, last=frame))
    return found


def _refuse_pictures_of_text(dataset: Dataset, frames: Frames | None, boxes: dict[int, list[PlaneBox]]) -> None:
    """Leave out dose screens and the like, and images that announce text that was not found."""
    if frames is None:
        return
    area = frames.planes.shape[1] * frames.planes.shape[2]
    for found in boxes.values():
        if sum((box.bottom - box.top) * (box.right - box.left) for box in found) > MOST_TEXT * area:
            raise Refused(SCREEN)
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES" and not boxes:
        raise Refused(UNCONFIRMED)
