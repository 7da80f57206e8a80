"""Text that is not UTF-8 is read as a reader answers and never by guess; damaged UTF-8 is told as such."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import UserFacingError
from core.intake.identifiers.search import search_sources
from core.intake.record.tables.encodings import ENCODINGS, fitting
from core.timeline import list_subjects, load_timeline, suggest_mapping

HEAD = "subject_id;time;code;value;unit;text_value\n"
ROWS = {
    "cp1252": "1;2020-03-01;Körpergröße;182;µm;„é“ – 37 °C €\n",
    "latin-1": "1;2020-03-01;Créatinine;82;µmol/L;relevé à 37 °C\n",
    "cp850": "1;2020-03-01;Körpergröße;182;µm;37 °C ±½ Øre\n",
    "mac-roman": "1;2020-03-01;Créatinine;82;µmol/L;‘relevé’ ≥ 37 °C\n",
    "cp437": "1;2020-03-01;Größe;182;µm;≥ 37 °C √σ\n",
}
"""Encoding -> a row whose characters it has."""


def table(encoding: str, row: str | None = None) -> tuple[str, bytes]:
    return "labs.csv", (HEAD + (row or ROWS[encoding])).encode(encoding)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("form", ["csv", "json lines", "zipped"])
def test_the_answer_reads_every_character_and_stays_as_a_note(encoding: str, form: str) -> None:
    name, data = table(encoding)
    if form == "json lines":
        code, unit, text = (ROWS[encoding].strip().split(";")[place] for place in (2, 4, 5))
        line = f'{{"time": "2020-03-01", "code": "{code}", "unit": "{unit}", "value": 1, "text_value": "{text}"}}'
        name, data = "labs.jsonl", line.encode(encoding)
    if form == "zipped":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(name, data)
        name, data = "labs.zip", out.getvalue()
    timeline = load_timeline([(name, data)], mapping={"encoding": encoding})
    event = timeline.events.iloc[0]
    fields = ROWS[encoding].strip().split(";")
    assert [event["code"], event["unit"], event["text_value"]] == [fields[place] for place in (2, 4, 5)]
    assert any(f"({encoding}), as answered: 1 file." in note for note in timeline.notes)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_without_an_answer_it_is_refused_with_place_and_possible_encodings(encoding: str) -> None:
    source = [table(encoding)]
    data = source[0][1]
    byte = next(byte for byte in data if byte > 127)
    words = f"line 2 holds the byte 0x{byte:02X}.*which it is of"
    for read in (load_timeline, list_subjects):
        with pytest.raises(UserFacingError, match=words) as refusal:
            read(source)
        for name in fitting(data):
            assert ENCODINGS[name] in refusal.value.expected


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_the_right_reading_is_among_those_shown(encoding: str) -> None:
    question = suggest_mapping([table(encoding)])
    assert question.is_needed
    assert question.ways == ("encoding",)
    assert question.layout == ()
    assert 1 < len(question.looks) <= 4
    strange = [sign for sign in ROWS[encoding] if ord(sign) > 127]
    right = [look for look in question.looks if all(sign in "".join(look.lines) for sign in strange)]
    assert len(right) == 1
    assert right[0].encoding == ("cp1252" if encoding == "latin-1" else encoding)
    assert len({len(look.lines) for look in question.looks}) == 1


def test_lines_below_the_header_are_masked_and_cover_what_differs() -> None:
    rows = "".join(f"1;2020-03-0{day};Müller {sign};1;x;\n" for day, sign in enumerate("aéoèÄ", 1))
    looks = suggest_mapping([("a.csv", ("subject_id;time;code;Größe;unit;text\n" + rows).encode("cp1252"))]).looks
    first = looks[0]
    assert first.lines[:2] == ("subject_id;time;code;Größe;unit;text", "9;9999-99-99;Aüaaaa a;9;a;")
    assert [line[-6] for line in first.lines[2:]] == ["é", "è", "Ä"]


def test_the_page_keeps_the_answer_for_all_files_and_goes_on_to_the_columns() -> None:
    source = [("labs.csv", "pid;wann;was;größe;einheit\n1;2020-03-01;BNP;2,5;µg/L\n".encode("cp1252"))]
    answers = {(): {"encoding": "cp1252"}}
    question = suggest_mapping(source, mapping=answers)
    assert question.layout == ("pid", "wann", "was", "größe", "einheit")
    assert question.ways == ("decimals",)
    told = {"subject_id": "pid", "time": "wann", "code": "was", "value": "größe", "decimals": "comma"}
    event = load_timeline(source, mapping=answers | {question.layout: told}).events.iloc[0]
    assert (event["numeric_value"], event["unit"]) == (2.5, "µg/L")


@pytest.mark.parametrize("answer", [None, "cp1252", "cp850"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_never_asked_about_nor_changed_by_an_answer(encoding: str, answer: str | None) -> None:
    source = [("labs.csv", (HEAD + ROWS["cp1252"]).encode(encoding))]
    assert not suggest_mapping(source).looks
    timeline = load_timeline(source, mapping={"encoding": answer} if answer else None)
    assert timeline.events["code"].tolist() == ["Körpergröße"]
    assert not [note for note in timeline.notes if "UTF-8" in note]


def test_beside_a_file_in_utf8_only_the_other_is_read_as_answered() -> None:
    source = [("a.csv", (HEAD + ROWS["cp1252"]).encode()), ("b.csv", table("cp1252")[1])]
    timeline = load_timeline(source, mapping={"encoding": "cp1252"})
    assert timeline.events["code"].tolist() == ["Körpergröße"] * 2
    assert any("as answered: 1 file." in note for note in timeline.notes)


GOOD = (HEAD + ROWS["cp1252"] * 3).encode()
DAMAGED = {
    "one byte": (GOOD.replace("é".encode(), b"\xe9", 1), "damaged.*line 2 holds the byte 0xE9"),
    "two halves": (GOOD + ROWS["cp1252"].encode("cp1252"), "joined from texts in two encodings: line 5 holds"),
    "cut off": (GOOD[: GOOD.rindex("€".encode()) + 1], "cut off"),
    "with a mark": (b"\xef\xbb\xbf" + "Größe,time,code\n".encode() + b"\xe9\xe8" * 30, "damaged"),
    "UTF-16 cut off": ((HEAD + ROWS["cp1252"]).encode("utf-16")[:-1], "is UTF-16.*cut off"),
}


@pytest.mark.parametrize("name", list(DAMAGED))
@pytest.mark.parametrize("answer", [None, *ENCODINGS])
def test_damaged_unicode_is_told_and_read_by_no_answer(name: str, answer: str | None) -> None:
    data, words = DAMAGED[name]
    with pytest.raises(UserFacingError, match=words):
        load_timeline([("labs.csv", data)], mapping={"encoding": answer} if answer else None)
    if name != "UTF-16 cut off":
        with pytest.raises(UserFacingError, match=words):
            suggest_mapping([("labs.csv", data)])


def test_what_only_accidentally_looks_like_utf8_is_asked_about() -> None:
    row = "1;2020-03-01;“groß” für Männer, größer üblich, Gefäß, Öl, Ärzte, möglich;1;x;\n"
    source = [table("cp1252", row)]
    assert b"\xdf\x94" in source[0][1]  # a character of UTF-8
    assert load_timeline(source, mapping={"encoding": "cp1252"}).events["code"][0].startswith("“groß”")


def test_an_encoding_without_all_the_bytes_is_refused_and_not_offered() -> None:
    source = [("a.csv", HEAD.encode() + b"1;2020-03-01;BNP;1;\x81g;\n")]
    assert [look.encoding for look in suggest_mapping(source).looks] == ["cp850", "mac-roman"]  # cp437 reads like cp850
    for answer in ("cp1252", "latin-1"):
        with pytest.raises(UserFacingError, match="no printable character"):
            load_timeline(source, mapping={"encoding": answer})
    with pytest.raises(UserFacingError, match="no answer on the encoding"):
        load_timeline(source, mapping={"encoding": "shift-jis"})


def test_names_are_looked_for_as_the_table_was_read() -> None:
    source = [("a.csv", "patient_name;time;code\nMüßig, Jörn;2020-03-01;BNP\n".encode("cp850"))]
    assert search_sources([source], pixels=False, encoding="cp850").words >= {"müssig", "jörn"}  # case-folded


def test_omop_tables_are_read_as_answered() -> None:
    files = {
        "person.csv": "person_id,year_of_birth,gender_concept_id\n1,1950,8507\n",
        "measurement.csv": "person_id,measurement_concept_id,measurement_source_value,measurement_date,value_as_number,"
        "unit_source_value\n1,0,Größe,2020-03-01,182,µm\n",
    }
    source = [(name, text.encode("cp1252")) for name, text in files.items()]
    with pytest.raises(UserFacingError, match="0xF6"):
        load_timeline(source)
    assert suggest_mapping(source).looks
    timeline = load_timeline(source, mapping={"encoding": "cp1252"})
    assert timeline.events["unit"].dropna().tolist() == ["µm"]
    assert any("1 file" in note for note in timeline.notes)


SIGNS = {name: bytes(range(160, 256)).decode(name).replace("\xa0", "").replace("\xad", "") for name in ENCODINGS}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(list(ENCODINGS)))
def test_texts_survive_with_the_right_answer(data: st.DataObject, encoding: str) -> None:
    signs = [sign for sign in SIGNS[encoding] if sign.isprintable()]
    words = data.draw(st.lists(st.text([*signs, "a", "Z", " "], min_size=1, max_size=9), min_size=1, max_size=5))
    codes = [f"x{word}x" for word in words]
    raw = ("time;code\n" + "".join(f"2020-03-01;{code}\n" for code in codes)).encode(encoding)
    assume(raw.decode("utf-8", "ignore").isascii())  # no accidental character of UTF-8
    assert load_timeline([("a.csv", raw)], mapping={"encoding": encoding}).events["code"].tolist() == codes
