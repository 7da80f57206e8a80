"""Identifiers in what files travel in: gzip headers, zip comments, tar owners, file and entry names."""

from __future__ import annotations

import re
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import PurePath

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, memory_entry
from core.intake.files.decompress import packing_of
from core.intake.files.limits import MIB, Limits
from core.intake.files.tar import tar_headers
from core.intake.files.zip import open_zip
from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.patterns import printable_runs
from core.intake.identifiers.text.surnames import is_common_surname, is_surname_too
from core.intake.identifiers.text.unknown_words import are_known_words
from core.intake.identifiers.text.vocabulary import are_terms, is_plain_word
from core.intake.identifiers.where.events import UNKNOWN_WORDS
from core.intake.terms.identifier_patterns import WORDS, identifying

_SHORT_HEADER, _HEADER = 512, 1 << 17
_MOST_HEADERS = 32 * MIB
"""Bytes of gzip headers behind the first of each file that are searched in a source; one takes at least 512."""
_OF_NUMBERS = frozenset((b"\1\0", b"\x0a\0", b"UT", b"UX", b"Ux", b"ux", b"\1\x99", b"\x35\xd9", b"\xfe\xca", b"BC"))
"""Kinds of extra fields that hold sizes, times, owners and padding (APPNOTE 4.5, Info-ZIP), and of blocked gzip."""
_PATH, _PATH_START = b"up", 5
"""An entry's name in UTF-8, behind a version and a checksum."""
_END, _LONGEST_END = 22, 22 + (1 << 16)
"""Bytes of the record that ends a zip archive, without and with its comment."""
_COUNTER = re.compile(r"(?<!\d)0{2,}\d{1,4}(?!\d)")
_ENDINGS = re.compile(
    r"(?i)(\.(nii|gz|tgz|bz2|xz|zip|tar|dcm|dicom|ima|img|hdr|parquet|csv|tsv|txt|jsonl?|ndjson|pdf))+$"
)
_OF_FILES = frozenset(
    """
    dicom dicomdir dicoms dcm nii nifti niftis img imgs images anon anonymised anonymized deid deidentified pat pats
    std ser ses sub subj acq bids raw tmp temp export exports exported upload uploads download downloads desktop
    documents untitled unnamed backup copy kopie kopia cropped resampled segmentation segmentations labels masks mip
    tcia lidc idri multiframe timepoint timepoints dataset datasets nsclc luna totalseg totalsegmentator radiogenomics
    synthea mimic meds omop fhir cdm csv ndjson events vocab concept ctpa hrct cta xxx pacs cd dvd usb viewer jre
    autorun readme license licence index study series pid mrn uid
    """.split()  # noqa: SIM905
)
"""What files and folders are called everywhere, and public collections."""
_SHORTEST_NAME = 4
"""Letters of a part of a file's name that may be somebody's; shorter ones are signs of programs mostly."""
_NOBODY = frozenset(("", "root", "wheel", "users", "staff", "nobody", "user"))


class ContainerSearch:
    """What the gzip, zip and tar files of one source say beside their contents; contents are searched elsewhere."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._left = limits, _MOST_HEADERS

    def search(self, entry: Entry) -> Iterator[Finding]:
        """The findings of one file; what cannot be searched to its end is said."""
        head = bytes(entry.read(0, 512))
        try:
            if packing_of(head) == "gzip":
                yield from self._gzip_headers(entry)
            elif head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                yield from _zip_texts(_at_hand(entry), self._limits)
            elif head[257:262] == b"ustar":
                yield from _tar_texts(_at_hand(entry), self._limits)
        except UserFacingError:
            yield Finding("unreadable", "headers of an archive", "not searched to the end")

    def _gzip_headers(self, entry: Entry) -> Iterator[Finding]:
        """What the header of each member of a gzip file keeps (RFC 1952)."""
        data = entry.read(0, None)
        yield from _gzip_header(data[:_HEADER], PurePath(entry.name).name)
        for later in re.finditer(rb"\x1f\x8b\x08[\x04-\x1f]", data[10:]):
            if self._left <= 0:
                yield Finding("unreadable", "gzip headers", f"only {_MOST_HEADERS // MIB} MiB of them were searched")
                return
            yield from _gzip_header(self._header_at(data[10 + later.start() :]), "")

    def _header_at(self, data: memoryview) -> memoryview:
        """The beginning of a gzip member, its header in it; nothing where there is one by chance only."""
        for length in (_SHORT_HEADER, _HEADER):
            stream = zlib.decompressobj(31)
            self._left -= length
            try:
                if stream.decompress(data[:length], 64) or stream.eof:
                    return data[:length]
            except zlib.error:
                break
        return data[:0]


def _at_hand(entry: Entry) -> Entry:
    """An archive whose many small reads cost nothing: as it lies on disk, or in memory."""
    return entry if entry.path else memory_entry(entry.name, entry.read(0, None))


def search_names(names: Collection[str], tokens: Collection[str]) -> Iterator[Finding]:
    """File and entry names that look identifying; counters with zeros in front ("IM_000123") do not."""
    for part in dict.fromkeys(part for name in names for part in PurePath(name).parts):
        category = identifying(_COUNTER.sub("0", part.replace("_", " ")), tokens) or _by_words(part)
        if category:
            yield Finding(f"file name ({category})", "file or folder name", mask(part))


def _by_words(part: str) -> str | None:
    """What a file's or folder's name seems to hold beside numbers and words of the examination: a person's name (a
    usual given name with another, a common surname), or words that no vocabulary knows, which may be one.

    >>> [_by_words(name) for name in ("Zorblat.Kim.nii.gz", "CT-chest SMITH 2", "IM_0001.dcm", "brown_fat", "zorblat")]
    ['name', 'name', None, None, 'words no vocabulary knows']
    """
    stem = _ENDINGS.sub("", unicodedata.normalize("NFC", part))
    words = [word for word in WORDS.findall(stem) if not any(letter.isdigit() for letter in word)]
    other = [word for word in words if is_surname_too(word) or not (is_plain_word(word) or are_terms([word]))]
    if any("name" in in_free_text(text) or is_common_surname(text) for text in {" ".join(words), " ".join(other)}):
        return "name"
    apart = {piece for word in other for piece in re.split(r"(?<=[a-z])(?=[A-Z])", word)}
    long = [piece for piece in apart if len(piece) >= _SHORTEST_NAME or not piece.isascii()]
    return None if all(piece.casefold() in _OF_FILES or are_known_words(piece) for piece in long) else UNKNOWN_WORDS


def _gzip_header(member: memoryview, file_name: str) -> Iterator[Finding]:
    """Original file name, comment and extra field of one member."""
    head = bytes(member)
    if len(head) < 10:
        return
    flags, position = head[3], 10
    if flags & 4:
        length = int.from_bytes(head[10:12], "little")
        for _, text in _extra_texts(head[12 : 12 + length], 4):
            yield Finding("gzip header", "gzip header, extra field", mask(text))
        position += 2 + length
    for bit, name in ((8, "file name"), (16, "comment")):
        if flags & bit:
            text = head[position:].split(b"\0", 1)[0]
            position += len(text) + 1
            if text and (name == "comment" or text.decode("latin-1") != file_name.removesuffix(".gz")):
                yield Finding("gzip header", f"gzip header, {name}", mask(text))


def _zip_texts(entry: Entry, limits: Limits) -> Iterator[Finding]:
    """Archive comment, entry comments, and text in extra fields (APPNOTE 4.3)."""
    with open_zip(entry, limits) as archive:
        comment, infos = archive.comment, archive.infolist()
    if comment:
        yield Finding("archive comment", "comment of the zip archive", mask(comment))
    yield from _around(entry, infos, comment)
    yield from search_names([info.filename for info in infos if info.is_dir()], ())
    for info in infos:
        if info.comment:
            yield Finding("archive comment", "comment of a zip entry", mask(info.comment))
        for kind, text in _extra_texts(info.extra, 6):
            if kind == _PATH:
                yield from search_names([text[_PATH_START:].decode("utf-8", "replace")], ())
            else:
                yield Finding("archive comment", "extra field of a zip entry", mask(text))


def _extra_texts(extra: bytes, shortest: int) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of extra fields of zip and gzip that are not numbers only, each kind with the length behind it.

    shortest: printable characters in a row that are text in a field of numbers too.
    """
    position = 0
    while position + 4 <= len(extra):
        kind, stop = (
            extra[position : position + 2],
            position + 4 + int.from_bytes(extra[position + 2 : position + 4], "little"),
        )
        text = extra[position + 4 : stop]
        if printable_runs(text, shortest) if kind in _OF_NUMBERS else text.strip(b"\0"):
            yield kind, text
        position = stop
    if rest := extra[position:].strip(b"\0"):
        yield b"", rest


def _around(entry: Entry, infos: Collection[zipfile.ZipInfo], comment: bytes) -> Iterator[Finding]:
    """Bytes before the first entry and behind the end of a zip archive; zeros are padding."""
    first = min((info.header_offset for info in infos), default=0)
    tail = bytes(entry.read(max(0, entry.size - _LONGEST_END), entry.size))
    behind = tail[tail.rfind(b"PK\x05\x06") + _END + len(comment) :]
    for part, where in ((bytes(entry.read(0, first)), "before"), (behind, "behind")):
        if rest := part.strip(b"\0"):
            yield Finding("archive comment", f"{where} the entries of the zip archive", mask(rest))


def _tar_texts(entry: Entry, limits: Limits) -> Iterator[Finding]:
    """Owner names, link targets and extended headers of tar entries (POSIX.1-2001, pax)."""
    for member in tar_headers(entry, limits):
        if member.isdir():
            yield from search_names([member.name], ())
        texts = [("owner", text) for text in (member.uname, member.gname) if text.lower() not in _NOBODY]
        texts += [("link", member.linkname)] if member.linkname else []
        texts += [item for item in member.pax_headers.items() if item[0] not in ("path", "mtime", "size", "atime")]
        for kind, text in texts:
            place = kind if kind in ("owner", "link") else "extended header"
            yield Finding("archive comment", f"{place} of a tar entry", mask(str(text)))
