"""Headers read by the layout of others before them: what the walk finds, or nothing."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

import pytest
from ct_factory import dicom_files
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from core.intake.files.byte_source import memory_entry
from core.intake.scan.dicom import header
from core.intake.scan.dicom.elements import Malformed, NeedMore, Scan, scan
from core.intake.scan.dicom.header import HEAD_BYTES, HeaderReader
from core.intake.scan.dicom.header_cache import Layout
from core.intake.scan.dicom.values import TAGS

WANTED = frozenset(TAGS.values())
LITTLE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def varied(index: int, dataset: Dataset) -> None:
    """Elements that differ in value and length, nested ones of them, and one that few slices have another value of."""
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = f"1.2.3.{10**index}"
    dataset.ReferencedImageSequence = [reference] * (index % 3)
    dataset["ReferencedImageSequence"].is_undefined_length = True
    dataset.SliceLocation = index * 1.25
    dataset.WindowCenter = 40 if index < 9 else -600
    dataset.SeriesDescription = "Thorax"
    dataset.KVP = 120


@cache
def heads(syntax: str = ExplicitVRLittleEndian) -> tuple[bytes, ...]:
    return tuple(data[:HEAD_BYTES] for _, data in dicom_files(edit=varied, syntax=syntax))


def walked(data: bytes) -> Scan:
    return scan(memoryview(data), WANTED, complete=False)


def same(one: Scan, other: Scan) -> bool:
    return asdict(one) == asdict(other)


@cache
def learned(syntax: str, count: int = 3) -> Layout:
    """The layout after `count` headers."""
    first, *others = heads(syntax)[:count]
    layout = Layout.of(first, walked(first))
    for data in others:
        assert layout is not None
        if layout.read(data, WANTED) is None:
            layout = layout.widened(data, walked(data))
    assert layout is not None
    return layout


@pytest.mark.parametrize("syntax", LITTLE)
def test_headers_are_read_as_the_walk_reads_them(syntax: str) -> None:
    layout = learned(syntax)
    found = [layout.read(data, WANTED) for data in heads(syntax)]
    assert all(one is None or same(one, walked(data)) for one, data in zip(found, heads(syntax)))
    assert [one is None for one in found] == [False] * 9 + [True] * (len(found) - 9)  # the window changes at the ninth


@pytest.mark.parametrize("syntax", LITTLE)
def test_what_differs_later_is_learned(syntax: str) -> None:
    layout = learned(syntax, count=10)
    assert all(layout.read(data, WANTED) is not None for data in heads(syntax))


@pytest.mark.parametrize("syntax", [*LITTLE, ExplicitVRBigEndian])
def test_a_reader_gives_the_same_with_layouts_and_without(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def headers() -> list[dict[str, Any]]:
        reader, files = HeaderReader(), [data for _, data in dicom_files(edit=varied, syntax=syntax)]
        read = [reader.read(memory_entry("", data), memoryview(data[:HEAD_BYTES])) for data in files]
        return [{name: value for name, value in vars(header).items() if name != "entry"} for header in read]

    with_layouts = headers()
    monkeypatch.setattr(header, "_MOST_LAYOUTS", 0)
    assert with_layouts == headers()


def test_a_file_of_another_syntax_is_not_read_by_a_layout() -> None:
    explicit = learned(ExplicitVRLittleEndian)
    assert all(explicit.read(data, WANTED) is None for data in heads(ImplicitVRLittleEndian))
    one, other = heads()[0], heads()[1].replace(ExplicitVRLittleEndian.encode(), JPEG2000Lossless.encode()[:19])
    layout = Layout.of(one, walked(one))
    assert layout is not None
    assert layout.widened(other, walked(other)) is None


@pytest.mark.parametrize("syntax", LITTLE)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_header_is_read_as_the_walk_reads_it_or_not_at_all(syntax: str, data: st.DataObject) -> None:
    layout, head = learned(syntax, count=10), bytearray(heads(syntax)[data.draw(st.integers(0, 15))])
    place = data.draw(st.integers(0, layout.found.pixel_start + 40))
    cut = data.draw(st.integers(0, 3))
    head[place : place + cut] = data.draw(st.binary(max_size=3))
    found = layout.read(bytes(head), WANTED)
    if found is None:
        return
    try:
        expected = walked(bytes(head))
    except (Malformed, NeedMore) as error:
        raise AssertionError("read by a layout although the walk cannot follow it") from error
    assert same(found, expected)


def test_what_a_header_says_of_a_person_is_in_no_representation() -> None:
    def name(index: int, dataset: Dataset) -> None:
        dataset.PatientName = "QUARTZSON^JANE"

    head = dicom_files(edit=name)[0][1][:HEAD_BYTES]
    layout = Layout.of(head, walked(head))
    assert b"QUARTZSON" in head
    assert "QUARTZSON" not in f"{layout!r} {walked(head)!r}"
