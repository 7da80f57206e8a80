"""One search over a whole source: scans, timelines, and the names and headers they travel in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.limits import LIMITS, MIB, Limits, too_many_entries
from core.intake.files.sources import NamedBytes, Source, expand_entry, no_file_found, plain_entries
from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.picture_search import PixelSearch
from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.judge import Judge
from core.intake.identifiers.text.patterns import printable_runs
from core.intake.identifiers.text.remembered import search_under_way
from core.intake.identifiers.where.containers import ContainerSearch, search_names
from core.intake.identifiers.where.dicom import Seen, search_dicom
from core.intake.identifiers.where.nifti import search_nifti
from core.intake.identifiers.where.tables import looks_like_table, search_table
from core.intake.record.tables.encodings import utf8_entry
from core.intake.scan.dicom.elements import looks_like_dicom
from core.intake.scan.nifti.header import looks_like_nifti
from core.intake.terms.identifier_patterns import identifying
from core.progress import Share

_MOST_OTHER, _MOST_OTHERS = 32 * MIB, 64 * MIB
"""Searched of a file that is neither a scan nor a table, and of all such files of a source."""
_LONG_RUN = 16
_FIRST = 0.7
"""Share of the search that is done once every file was searched; some may be searched again."""


@dataclass(frozen=True)
class Searched:
    """findings: each place once, values masked. words: case-folded parts of the names and ids that DICOM files, and of
    the names that records give their patient, with which every file but DICOM was searched."""

    findings: tuple[Finding, ...]
    words: frozenset[str] = field(default=frozenset(), repr=False)


def find_identifiers(
    source: Source | Iterator[str | Path | NamedBytes], *, pixels: bool = True, limits: Limits = LIMITS
) -> tuple[Finding, ...]:
    """Places in `source` that may identify a person, values masked, each place once.

    source: as for `core.load.load_study` or `core.timeline.load_timeline`. Searched: DICOM elements (standard, private,
    nested), file meta information, preamble, overlays, curves, icons, trailing bytes; NIfTI text fields, extensions and
    bytes behind the voxels; tables and records of events (column names, values, free text, dates, ages over 89); gzip,
    zip and tar headers; file and entry names. pixels: also read text burned into DICOM images and NIfTI volumes,
    about 8 s of a core for 100 slices of 512 x 512, 20 s where text is found, a NIfTI volume with voxels of about one
    size half as long again, as text is looked for across all three axes; `find_burned_in_text` does it on a loaded
    study. limits: on bytes and entries while reading. Raises UserFacingError where the source holds no file or cannot
    be opened, or its pixels not be searched for want of a text reader.
    """
    if isinstance(source, Iterator):
        source = list(source)  # it is gone through more than once, and would be found empty the second time
    if all(entry.absent for entry in plain_entries(source)):
        raise no_file_found(list(plain_entries(source)))
    return search_sources([source], pixels=pixels, limits=limits).findings


@search_under_way()
def search_sources(
    sources: Sequence[Source],
    *,
    pixels: bool = True,
    limits: Limits = LIMITS,
    step: Share | None = None,
    encoding: str | None = None,
) -> Searched:
    """One search over several sources of one patient: the names that one gives are looked for in all others.

    Files that were searched before a name was known are searched again, but for their pixels. step: told the share done
    before each file and now and then within a record; may raise, to stop. encoding: in which a reader said that tables
    are which are not UTF-8, so that names are looked for as they were read. Raises as `find_identifiers`.
    """
    search = _Search(PixelSearch(limits) if pixels else None, Judge(), encoding)
    names = list[str]()
    total = sum(entry.size for source in sources for entry in plain_entries(source))
    way = _Way(step or _go_on, total, 0.0, _FIRST)
    for source in sources:
        names += _search_files(source, search, ContainerSearch(limits), limits, way)
    if search.missed_words:
        again = _Search(None, search.judge.knowing(search.tokens), encoding)
        way = _Way(step or _go_on, total, _FIRST, 1.0)
        for source in sources:
            _search_files(source, again, None, limits, way)
        search.add(again.found.values())
    search.add(search_names(dict.fromkeys(names), search.tokens))
    if search.pixels:
        search.add(search.pixels.finish())
    return Searched(tuple(search.found.values()), search.tokens)


def _search_files(
    source: Source, search: _Search, containers: ContainerSearch | None, limits: Limits, way: _Way
) -> list[str]:
    """Search every file of a source; the names of files and entries, for the search of names."""
    names, count = list[str](), 0

    def met(entry: Entry) -> None:
        names.append(entry.name)
        if containers:
            search.add(containers.search(entry))

    for outer in plain_entries(source):
        way.begin(outer)
        for entry in expand_entry(outer, limits, met=met):
            count += 1
            if count > limits.entries:
                raise too_many_entries(limits)
            names.append(entry.name)
            way.tell(0.0)
            way.within(entry)
            search.entry(entry, way.tell)
    way.end()
    return names


def _go_on(share: float) -> None:
    """Do not stop."""


class _Way:
    """How far a search is, by the bytes of the files that were handed over."""

    def __init__(self, step: Share, total: int, low: float, high: float) -> None:
        """total: bytes of all files. low, high: shares of the whole search between which these lie."""
        self._step, self._total, self._low, self._high = step, max(total, 1), low, high
        self._before = self._outer = self._inside = self._size = 0

    def begin(self, outer: Entry) -> None:
        """Go on to the next file that was handed over, an archive perhaps."""
        self.end()
        self._outer = outer.size

    def within(self, entry: Entry) -> None:
        """Go on to the next file, in the same archive perhaps, which may be larger than all of it."""
        self._inside, self._size = min(self._outer, self._inside + self._size), entry.size

    def end(self) -> None:
        """All of the file that was begun is searched."""
        self._before += self._outer
        self._outer = self._inside = self._size = 0

    def tell(self, share: float) -> None:
        """Tell the share of all files, where this one of the present file is searched; may raise, to stop."""
        done = self._before + min(self._outer, self._inside + share * self._size)
        self._step(self._low + (self._high - self._low) * min(1.0, done / self._total))


class _Search:
    """Findings so far, the first of each place; and what the files said of the patient, to look for elsewhere."""

    def __init__(self, pixels: PixelSearch | None, judge: Judge, encoding: str | None = None) -> None:
        """judge: of texts, who knows all words of the patient that are known."""
        self.pixels, self._encoding = pixels, encoding
        self.found: dict[tuple[str, str], Finding] = {}
        self.tokens, self.judge = judge.words, judge
        self._fewest: frozenset[str] | None = None
        self._seen: set[Seen] = set()
        self._left = _MOST_OTHERS

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep the first finding of each place."""
        for finding in findings:
            self.found.setdefault((finding.category, finding.where), finding)

    @property
    def missed_words(self) -> bool:
        """Was a file searched before all words of the patient were known?"""
        return self._fewest is not None and self._fewest != self.tokens

    def entry(self, entry: Entry, tell: Share) -> None:
        """Search one file by what it is; `tell` is told the share done."""
        head = entry.read(0, 1024)
        if looks_like_dicom(head) and not looks_like_nifti(head):
            self._dicom(entry)
            return
        is_first = self._fewest is None
        self._fewest = self.tokens if self._fewest is None else self._fewest
        if looks_like_nifti(head):
            self.add(search_nifti(entry, self.tokens))
            if self.pixels:
                self.pixels.add_nifti(entry)
        elif looks_like_table(entry):
            self.judge = self.judge.knowing(self.tokens)
            searched = search_table(self._as_read(entry), self.judge, tell)
            self.tokens |= searched.own
            self._fewest = searched.known if is_first else self._fewest
            self.add(searched.findings)
        else:
            self._other(entry)

    def _as_read(self, entry: Entry) -> Entry:
        """A table as its reader sees it; what that encoding does not fit is no table that was read."""
        try:
            return entry if self._encoding is None else utf8_entry(entry, self._encoding)
        except UserFacingError:
            return entry

    def _dicom(self, entry: Entry) -> None:
        findings, own = search_dicom(entry, self.tokens, self._seen)
        self.tokens |= {word for word in own if len(word) > 2}
        self._fewest = self.tokens if self._fewest is None else self._fewest
        self.add(findings)
        if self.pixels:
            self.pixels.add_dicom(entry)

    def _other(self, entry: Entry) -> None:
        where, most = "a file that is not a scan", min(_MOST_OTHER, self._left)
        self._left -= min(entry.size, most)
        if entry.size > most:
            words = (
                f"only the first {_MOST_OTHER // MIB} MiB of it, and {_MOST_OTHERS // MIB} of all such, were searched"
            )
            self.add([Finding("unreadable", where, words)])
        self.add(Finding(category, where, masked) for category, masked in _in_binary(entry.read(0, most), self.tokens))


def _in_binary(data: memoryview, tokens: Collection[str]) -> Iterator[tuple[str, str]]:
    """Categories and masked text in a file that is neither a scan nor a table.

    Behind the first MiB only long runs are judged, because noise holds short ones that look like anything.
    """
    for run in (*printable_runs(data[:MIB], 6), *printable_runs(data[MIB - _LONG_RUN :], _LONG_RUN)):
        text = run.decode("ascii")
        for category in {*in_free_text(text, tokens), identifying(text, tokens)} - {None}:
            yield str(category), mask(run)
