"""Headers of a series repeat each other: what repeats is compared in one piece, and the rest alone is walked over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from core.intake.scan.dicom.elements import MEDIA_CLASS, SYNTAX, Malformed, Place, Scan, element_places, value_at


@dataclass(frozen=True, eq=False, repr=False)  # names and dates of a header belong in no log
class Layout:
    """The elements before the pixels of one file, to read others by that differ from it in a few of them.

    data: the beginning of that file. found: what the walk found in it. places: where its elements lie, the one of the
    pixels last. apart: tags of the elements that differ from file to file. runs: the bytes of the elements before,
    between and behind these, the last one up to the pixels. shared: values of wanted elements in the runs.
    """

    data: bytes
    found: Scan
    places: tuple[Place, ...]
    apart: tuple[int, ...]
    runs: tuple[bytes, ...]
    shared: Mapping[int, bytes]

    @classmethod
    def of(cls, data: bytes, found: Scan, apart: Collection[int] = ()) -> Layout | None:
        """The layout of a file that begins with `data`; None where others cannot be read by it."""
        if not found.pixel_tag or found.data is not None or found.big_endian or found.pixel_start > len(data):
            return None
        places = element_places(data, found)
        tags = [tag for tag, *_ in places]
        ascending = all(one < other for one, other in pairwise(tags))
        if not ascending or SYNTAX not in tags or not {SYNTAX, MEDIA_CLASS}.isdisjoint(apart):
            return None
        single = [(start, stop) for tag, start, stop in places if tag in apart]
        bounds = [places[0][1], *(edge for place in single for edge in place), found.pixel_start]
        return cls(
            data,
            found,
            places,
            tuple(tag for tag in tags if tag in apart),
            tuple(data[start:stop] for start, stop in list(pairwise(bounds))[::2]),
            {tag: value for tag, value in found.values.items() if tag not in apart},
        )

    def widened(self, data: bytes, found: Scan) -> Layout | None:
        """The layout of a file that `read` could not read, in which what differs between the two stands apart."""
        other = Layout.of(data, found)
        if other is None or [tag for tag, *_ in other.places] != [tag for tag, *_ in self.places]:
            return other
        both = zip(self.places[:-1], other.places)
        differ = {tag for (tag, *mine), (_, *its) in both if self.data[slice(*mine)] != data[slice(*its)]}
        return Layout.of(data, found, differ.union(self.apart))

    def read(self, data: bytes, wanted: Collection[int]) -> Scan | None:
        """What the walk would find of the `wanted` elements in a file that begins with `data`; None where that differs
        in more than what stands apart."""
        found, values, position = self.found, dict(self.shared), self.places[0][1]
        if (data[128:132] == b"DICM") != (position > 0):
            return None
        try:
            for run, tag in zip(self.runs, self.apart):
                if not data.startswith(run, position):
                    return None
                its, value, position = value_at(data, position + len(run), found, meta=tag >> 16 == 2)
                if its != tag:
                    return None
                if tag in wanted:
                    values[tag] = value
        except Malformed:
            return None
        if not data.startswith(self.runs[-1], position):
            return None
        start = position + len(self.runs[-1])
        return Scan(
            values,
            found.transfer_syntax,
            found.big_endian,
            found.pixel_tag,
            start,
            found.pixel_length,
            None,
            found.bare,
        )
