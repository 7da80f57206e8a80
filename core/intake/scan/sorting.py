"""What a source holds: its files sorted into CT series and NIfTI volumes, and what was passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.limits import Limits
from core.intake.files.sources import Source, absent_words, open_entries
from core.intake.scan.dicom.dicomdir import NAME as DICOMDIR
from core.intake.scan.dicom.dicomdir import missing_notes
from core.intake.scan.dicom.elements import Malformed, looks_like_dicom
from core.intake.scan.dicom.enhanced import ENHANCED_CT, split_frames
from core.intake.scan.dicom.header import HEAD_BYTES, SECONDARY_CAPTURE, HeaderReader, ImageHeader
from core.intake.scan.dicom.series import group_series, series_key
from core.intake.scan.dicom.series_identity import refuse_two_patients, why_no_volume
from core.intake.scan.nifti.header import looks_like_nifti, readable_in_order
from core.intake.scan.nifti.voxels import is_mask
from core.intake.scan.repairs import Repair, RepairableError
from core.progress import Progress, watched
from core.wording import count_of

CT_IMAGES = ("1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CT)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MODALITIES = {
    "MR": "magnetic resonance", "PT": "positron emission", "US": "ultrasound", "NM": "nuclear medicine",
    "CR": "radiography", "DX": "radiography", "XA": "angiography", "MG": "mammography", "SEG": "segmentation",
    "RTDOSE": "radiotherapy dose", "OT": "other", "SC": "screen capture", "": "an unnamed modality",
}  # fmt: skip

_UNPACK, _SAVE_AS_NIFTI = "Unpack it", "Save it as NIfTI"
_IMAGES_THEMSELVES = "Export the CT from the archive as DICOM"
_FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("a rar archive", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("a zst file", _UNPACK),
    b"NRRD": ("an NRRD file (.nrrd)", _SAVE_AS_NIFTI),
    b"ObjectTy": ("a MetaImage file (.mha, .mhd)", _SAVE_AS_NIFTI),
    b"%PDF": ("a PDF document", _IMAGES_THEMSELVES),
    b"\xff\xd8\xff": ("a picture (JPEG)", _IMAGES_THEMSELVES),
    b"\x89PNG": ("a picture (PNG)", _IMAGES_THEMSELVES),
}
_DISC = ("a disc image", _UNPACK)
_NO_NIFTI = ("a file named .nii without the header of NIfTI-1 or NIfTI-2", "Convert the original CT again")
_TOLD_EVERY = 64
"""Headers between two words of progress."""
_RECORDS = (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".ndjson")
"""Endings of the files that records come in."""
_KINDS_SHOWN, _PLACES_NAMED = 4, 3


@dataclass(eq=False)
class Contents:
    """What a source holds, sorted.

    series, niftis: what can be chosen, by key. others: passed over, by modality. without_pixels: headers without image.
    held: bytes in memory. stray: number of files; unopened: of links and the like that are named as DICOM files are.
    imageless: keys of the series of CT files without pixels. unsplit: why multi-frame files cannot be read, by the keys
    of their series. unclassed: how many images are read as CT by their class alone. damaged: files of DICOM that cannot
    be read. places: of each file in the order of names, from 1 on.
    foreign: what some are -> what to do.
    flat: what the series hold, in words, where none of them can be a volume. absent: what stands in place of files.
    directory: whether there is a DICOMDIR. records: whether a file is of a kind that records come in.
    """

    series: dict[str, list[ImageHeader]] = field(default_factory=dict)
    niftis: dict[str, Entry] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    without_pixels: list[ImageHeader] = field(default_factory=list)
    held: int = 0
    stray: int = 0
    damaged: list[Entry] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    unopened: int = 0
    imageless: list[str] = field(default_factory=list)
    unsplit: dict[str, list[UserFacingError]] = field(default_factory=dict)
    unclassed: int = 0
    foreign: dict[str, str] = field(default_factory=dict)
    flat: tuple[str, ...] = ()
    absent: str = ""
    directory: bool = False
    records: bool = False
    notes: list[str] = field(default_factory=list)


def sort_entries(source: Source, limits: Limits, progress: Progress | None = None) -> Contents:
    """Every file of a source, sorted by its header. Raises UserFacingError where one cannot be, or of two patients.

    progress: called with (share done, words) now and then; it may end the reading by raising.
    """
    limits = replace(limits, held=min(limits.held, 2 * limits.voxels))
    entries = open_entries(source, limits=limits, leave_packed=readable_in_order)
    _refuse_empty([entry for entry in entries if not entry.absent])
    contents, images, headers = Contents(absent=absent_words(entries)), [], HeaderReader(limits)
    names = sorted((entry.name for entry in entries if not entry.absent), key=str.casefold)
    contents.places = {name: place for place, name in enumerate(names, 1)}
    for entry in watched(entries, progress, "Reading the headers", _TOLD_EVERY):
        contents.held += entry.held
        head = entry.read(0, HEAD_BYTES)
        if looks_like_nifti(head):
            contents.niftis[f"nifti-{len(contents.niftis) + 1}"] = entry
        elif looks_like_dicom(head):
            images += _read_images(headers, entry, head, contents)
        elif _named_dicom(entry.name):
            contents.damaged += [] if entry.absent else [entry]
            contents.unopened += bool(entry.absent)
        elif not entry.absent:
            contents.stray += 1
            contents.foreign.update(_foreign_kind(entry))
            contents.records |= entry.name.lower().endswith(_RECORDS)
    contents.notes += missing_notes(entries)
    refuse_two_patients([*images, *contents.without_pixels])
    contents.series = group_series(_keep_ct(images, contents))
    _set_aside_unsplit(contents)
    _set_aside_flat(contents)
    _set_aside_masks(contents, limits)
    if contents.stray:
        contents.notes.append(f"Passed over, as not CT images: {count_of(contents.stray, 'file')}.")
    if contents.absent:
        contents.notes.append(not_followed(contents).strip())
    return contents


def _refuse_empty(entries: Sequence[Entry]) -> None:
    """Raise where files are there and none of them holds a byte."""
    if entries and not any(entry.size for entry in entries):
        one = len(entries) == 1
        raise UserFacingError(
            "The file is empty." if one else f"All {len(entries):,} files are empty.",
            "a file with content" if one else "files with content",
            f"Copy or export {'it' if one else 'them'} again: a transfer may have been cut off, or a disk full.",
        )


def refuse_damaged(contents: Contents, repairs: Collection[Repair]) -> None:
    """Raise where files of DICOM cannot be read, unless the reader leaves them out, which is noted."""
    if not contents.damaged:
        return
    words = _damaged_words(contents)
    if "leave_out_unreadable" in repairs and (contents.series or contents.niftis):
        contents.notes.append(f"Repaired: left out, as damaged and unreadable: {words}.")
        return
    raise RepairableError(
        f"Damaged and unreadable: {words}.{not_followed(contents)}",
        "intact DICOM files",
        "Copy or export them again; leave out what is only named as DICOM.",
        ("leave_out_unreadable",) if contents.series or contents.niftis else (),
    )


def _damaged_words(contents: Contents) -> str:
    """How many files, and, of a few, where they stand among all: their names may be somebody's."""
    files, count = contents.damaged, len(contents.places)
    empty = sum(not entry.size for entry in files)
    words = count_of(len(files), "DICOM file") + (f", {empty:,} of them empty" if empty else "")
    if len(files) > _PLACES_NAMED or count == 1 or len(files) == count:
        return words
    places = sorted(contents.places[entry.name] for entry in files)
    return f"{words} (by name, number {' and '.join(f'{place:,}' for place in places)} of {count:,})"


def not_followed(contents: Contents) -> str:
    """A sentence on what stands in place of files, behind a space; "" where nothing does."""
    return f" Never followed or opened: {contents.absent}." if contents.absent else ""


def _foreign_kind(entry: Entry) -> list[tuple[str, str]]:
    """What a file that is no CT seems to be, and what the reader can do about it; nothing where there is nothing."""
    head = bytes(entry.read(0, 8))
    kinds = [kind for mark, kind in _FOREIGN.items() if head.startswith(mark)]
    if bytes(entry.read(0x8001, 0x8006)) == b"CD001":
        kinds.append(_DISC)
    name = entry.name.lower()
    if not kinds and name.endswith((".nii", ".nii.gz")) and not name.rsplit("/", 1)[-1].startswith("."):
        kinds.append(_NO_NIFTI)
    return kinds


def _named_dicom(name: str) -> bool:
    """Whether a name promises a DICOM file (and is not a hidden companion of one)."""
    *folders, last = name.replace("\\", "/").lower().split("/")
    return last.endswith((".dcm", ".dicom", ".ima")) and not last.startswith(".") and "__macosx" not in folders


def _read_images(headers: HeaderReader, entry: Entry, head: memoryview, contents: Contents) -> list[ImageHeader]:
    """Headers in one DICOM file: none, one, or one a frame."""
    is_directory = entry.name.replace("\\", "/").rsplit("/", 1)[-1].upper() == DICOMDIR
    contents.directory |= is_directory
    try:
        header = headers.read(entry, head)
    except UserFacingError as error:
        raise _told_of(entry, contents, error) from error
    except Malformed:
        contents.stray += is_directory
        contents.damaged += [] if is_directory else [entry]
        return []
    if not header.has_pixels:
        contents.imageless += [series_key(header.study_uid, header.series_uid)] if header.sop_class in CT_IMAGES else []
        contents.without_pixels.append(header)
        contents.stray += 1
        return []
    if not header.modality and header.sop_class in CT_IMAGES:
        contents.unclassed += 1
        header = replace(header, modality="CT")
    in_frames = header.frames > 1 or header.sop_class in ENHANCED_CT
    if not in_frames or header.modality != "CT" or _is_no_slice(header):
        return [header]
    try:
        return split_frames(header)
    except UserFacingError as error:
        key = series_key(header.study_uid, header.series_uid)
        contents.unsplit.setdefault(key, []).append(_told_of(entry, contents, error))
        contents.without_pixels.append(header)  # whose it is counts all the same
    except Malformed:
        contents.damaged.append(entry)
    return []


def _is_no_slice(image: ImageHeader) -> bool:
    """Whether an image is a captured screen, or of another class that is no CT image."""
    return image.sop_class.startswith(_STORAGE) and image.sop_class not in CT_IMAGES


def _told_of(entry: Entry, contents: Contents, error: UserFacingError) -> UserFacingError:
    """A refusal that says which of several files it is about."""
    count = len(contents.places)
    return error if count == 1 else error.where(f"File {contents.places[entry.name]:,} of {count:,}, by name")


def _set_aside_unsplit(contents: Contents) -> None:
    """Say which multi-frame files are passed over, as they cannot be read and are a series of their own beside others;
    raise where there is nothing else."""
    for key, errors in list(contents.unsplit.items()):
        if key in contents.series:
            continue
        if not (contents.series or contents.niftis):
            raise errors[0]
        del contents.unsplit[key]
        files = count_of(len(errors), "multi-frame file")
        contents.notes.append(f"Passed over, as they cannot be read: {files}. {errors[0].found}")


def _keep_ct(images: Sequence[ImageHeader], contents: Contents) -> list[ImageHeader]:
    """Images of CT series; others are counted by modality, captured screens as stray."""
    kept, of_ct = [], {(image.study_uid, image.series_uid) for image in images if image.modality == "CT"}
    for image in images:
        if image.modality != "CT" and (image.study_uid, image.series_uid) not in of_ct:
            contents.others[image.modality] = contents.others.get(image.modality, 0) + 1
        elif image.sop_class.startswith(SECONDARY_CAPTURE):
            contents.others["SC"] = contents.others.get("SC", 0) + 1
        elif image.modality == "CT" and _is_no_slice(image):
            contents.others["another"] = contents.others.get("another", 0) + 1
        else:
            kept.append(image)
    if contents.unclassed:
        told = count_of(contents.unclassed, "file")
        contents.notes.append(f"Naming no modality, and read as CT, as by their class they are CT images: {told}.")
    for modality, count in contents.others.items():
        what = _MODALITIES.get(modality, "another modality")
        contents.notes.append(f"Passed over, as not CT slices: {count_of(count, 'image')} ({what}).")
    return kept


def _set_aside_flat(contents: Contents) -> None:
    """Take series that can never be a volume out of the choice where there is another; else say what they are."""
    flat = {key: why for key, images in contents.series.items() if (why := why_no_volume(images))}
    if len(flat) == len(contents.series) and not contents.niftis:
        contents.flat = tuple(flat.values())
        return
    for key, why in flat.items():
        del contents.series[key]
        contents.notes.append(f"Passed over: a series of {why}.")


def _set_aside_masks(contents: Contents, limits: Limits) -> None:
    """Take NIfTI files of labels out of the choice where there is something else."""
    choices = len(contents.series) + len(contents.niftis)
    masks = [key for key, entry in contents.niftis.items() if choices > 1 and is_mask(entry, limits)]
    if masks and len(masks) < choices:
        for key in masks:
            del contents.niftis[key]
        contents.notes.append(f"Passed over, as masks and no CT: {count_of(len(masks), 'NIfTI file')}.")


def refuse_flat(contents: Contents) -> None:
    """Raise where there are several series and none of them can be a volume."""
    if len(contents.flat) > 1:
        kinds = [f"{count_of(count, 'series')} of {why}" for why, count in Counter(contents.flat).most_common()]
        shown = "; ".join(kinds[:_KINDS_SHOWN] + ["others"] * (len(kinds) > _KINDS_SHOWN))
        raise UserFacingError(
            f"No series of the source can be a volume. It holds {shown}.",
            "a series of parallel slices, one above the other",
            "Choose the folder, file or archive with the cross-sectional images.",
        )


def refuse_incomplete(contents: Contents, key: str | None = None) -> None:
    """Raise where the chosen series has files without pixels, or that cannot be taken apart; without a key, where
    there are such files alone."""
    lacking = len(contents.imageless) if key is None else contents.imageless.count(key)
    if lacking and not (key is None and (contents.series or contents.niftis)):
        raise UserFacingError(
            f"Without pixel data: {count_of(lacking, 'CT file')}.",
            "files that hold their images",
            "Export the series again, with images and not headers only.",
        )
    if key in contents.unsplit:
        raise contents.unsplit[key][0]


def choose_series(contents: Contents, series: str | None) -> str:
    """The key of the one thing to read, `series` where it is given. Raises where there is none, or a choice to make."""
    keys = [*contents.series, *contents.niftis]
    if series is not None:
        if series not in keys:
            raise UserFacingError(
                "The chosen series is not in this source.", "a series of the list", "List the series again."
            )
        return series
    if not keys:
        raise _nothing(contents)
    refuse_flat(contents)
    if len(keys) > 1:
        raise UserFacingError(
            f"The source holds {len(keys)} CT series.", "one series", "Choose one of them from the list of series."
        )
    return keys[0]


def _nothing(contents: Contents) -> UserFacingError:
    if contents.directory and contents.stray == 1:
        return UserFacingError(
            "The source is the directory of a disc (DICOMDIR), which lists images and holds none.",
            "the images themselves",
            "Choose the folder in which it lies, or an archive of that folder.",
        )
    if contents.foreign and not contents.others:
        found = f"The source holds no CT that this app can open, but {', '.join(sorted(contents.foreign))}."
        step = next(iter(contents.foreign.values()))
        return UserFacingError(
            found, "a DICOM folder, a .zip or .tar archive of one, or a NIfTI file", f"{step} and choose the result."
        )
    if contents.records and not contents.others:
        return UserFacingError(
            "The source holds no CT, but a file of a kind that records come in.",
            "a DICOM CT series or a CT volume as NIfTI",
            "Give this file as the record, and choose the CT here.",
        )
    known = sorted({_MODALITIES.get(modality, "another modality") for modality in contents.others})
    found = (
        f"The source holds no CT slices, only images of: {', '.join(known)}."
        if known
        else "The source holds no CT image."
    ) + not_followed(contents)
    return UserFacingError(
        found, "a DICOM CT series or a CT volume as NIfTI", "Choose another folder, file or archive."
    )
