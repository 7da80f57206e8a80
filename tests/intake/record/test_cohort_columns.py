"""Cohort files: columns and token sequences equal to what each patient's own timeline gives."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.encode.ehr.cohort import CohortRecords, CohortSequences, sequences
from core.encode.ehr.compact_sequence import CodedEvents, CompactSequence, EventRows, fit_compact_sequence
from core.encode.ehr.records import TimelineRecords
from core.errors import UserFacingError
from core.intake.files.byte_source import memory_entry
from core.intake.record.cohort_columns import Cohort, _gaps_as_nan, open_cohort
from core.intake.record.tables.parquet import read_subject
from core.timeline import load_timeline

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = tuple(column.name for column in fields(EventRows))
CODES = ("LOINC//718-7", "LAB//50983//mEq/L", "LOINC//2345-7", "ATC//B01AF02", "VISIT//ED", "LOCAL//x", "RARE//1")


def cohort_sequences(
    cohort: Cohort, encoder: CompactSequence, given: dict[int, pd.Timestamp] | None = None
) -> CohortSequences:
    """Of every patient up to the given time, or to the last event."""
    last = cohort.times_us[cohort.offsets[1:] - 1].view("datetime64[us]")
    cuts = last if given is None else np.array([given[int(subject)] for subject in cohort.subject_ids], last.dtype)
    return sequences(CohortRecords.up_to(cohort, cohort.subject_ids, cuts), encoder)


def write_shards(folder: Path, *, patients: int = 12, events: int = 60, unit: bool = False) -> pd.DataFrame:
    """Two shards of patients with births, sex, static facts, numbers, equal times and small row groups."""
    rng = np.random.default_rng(0)
    tables = []
    for subject in rng.permutation(np.arange(100, 100 + patients)):
        days = np.sort(rng.integers(0, 400, events))
        codes = rng.choice(CODES[:6], events).tolist()
        numeric = np.array([code.startswith(("LOINC", "LAB")) for code in codes]) & (rng.random(events) < 0.8)
        table = pd.DataFrame(
            {
                "subject_id": np.int64(subject),
                "time": pd.Timestamp("2015-01-01") + pd.to_timedelta(days, "D"),
                "code": codes,
                "numeric_value": np.where(numeric, rng.lognormal(3, 0.5, events), np.nan).astype(np.float32),
                "text_value": rng.choice([None, "see note"], events),
            }
        )
        first = {"subject_id": subject, "numeric_value": np.float32(np.nan), "text_value": None}
        static = pd.DataFrame(
            [
                {**first, "time": pd.NaT, "code": "GENDER//F" if subject % 2 else "Gender//MALE"},
                {
                    **first,
                    "time": pd.Timestamp("1900-03-01") + pd.Timedelta(days=300 * int(subject)),
                    "code": "MEDS_BIRTH",
                },
            ]
        )
        tables.append(pd.concat([static, table], ignore_index=True))
    whole = pd.concat(tables, ignore_index=True)
    whole["time"] = whole["time"].astype("datetime64[us]")
    if unit:
        whole["unit"] = np.where(whole["numeric_value"].notna(), rng.choice(["g/dL", "g/L", None], len(whole)), None)
    half = whole["subject_id"].isin(whole["subject_id"].unique()[: patients // 2])
    (folder / "data" / "train").mkdir(parents=True)
    for name, part in (("0", whole[half]), ("1", whole[~half])):
        arrow = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(arrow, folder / "data" / "train" / f"{name}.parquet", row_group_size=100)
    return whole


def an_encoder(folder: Path, subjects: np.ndarray, max_tokens: int = 25) -> CompactSequence:
    timelines = [load_timeline(folder, subject_id=int(subject)) for subject in subjects]
    encoder = fit_compact_sequence(TimelineRecords(timelines), hidden=8, heads=2, layers=1, max_tokens=max_tokens)
    assert len(encoder.scales) >= 3
    return encoder


def assert_equal(one: CodedEvents, other: CodedEvents) -> None:
    for name in COLUMNS:
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype, name
        assert np.array_equal(left, right, equal_nan=name == "days"), name
    assert (one.known, one.total) == (other.known, other.total)


@pytest.mark.parametrize("unit", [False, True], ids=["units-in-codes", "unit-column"])
@pytest.mark.parametrize("cut", [None, "2015-09-01"], ids=["last-event", "given-cut"])
def test_sequences_equal_those_of_each_timeline(tmp_path: Path, unit: bool, cut: str | None) -> None:
    write_shards(tmp_path, unit=unit)
    cohort = open_cohort(tmp_path, texts=False)
    encoder = an_encoder(tmp_path, cohort.subject_ids, max_tokens=100 if cut else 25)
    given = None if cut is None else {int(subject): pd.Timestamp(cut) for subject in cohort.subject_ids}
    found = cohort_sequences(cohort, encoder, given)
    assert len(found) == 12
    for place, subject in enumerate(cohort.subject_ids.tolist()):
        slow = encoder.read(load_timeline(tmp_path, subject_id=subject, prediction_time=cut))
        assert len(slow)
        assert_equal(found[place], slow)


@pytest.mark.parametrize("max_tokens", [3, 9, 40, 64])
def test_facts_of_long_records_are_kept_in_both(tmp_path: Path, max_tokens: int) -> None:
    """Many facts, known and unknown ones mixed, of records longer and shorter than the room."""
    whole = write_shards(tmp_path)
    sexes = whole[whole["time"].isna()]
    facts = [sexes.assign(code=f"FACT//{number}")[number % 3 :] for number in range(24)]
    one = sexes[:1].assign(code="OF//ONE")
    whole = pd.concat([*facts, one, whole]).sort_values(["subject_id", "time"], kind="stable", na_position="first")
    path = tmp_path / "facts.parquet"
    pq.write_table(pa.Table.from_pandas(whole, preserve_index=False), path)
    cohort = open_cohort(path, texts=False)
    encoder = an_encoder(path, cohort.subject_ids, max_tokens=max_tokens)
    found = cohort_sequences(cohort, encoder)
    for place, subject in enumerate(cohort.subject_ids.tolist()):
        timeline = load_timeline(path, subject_id=subject)
        slow = encoder.read(timeline)
        assert_equal(found[place], slow)
        known = timeline.events["time"].isna() & timeline.events["code"].str.contains("ENDER|FACT", case=False)
        assert np.isnan(slow.days).sum() == min(known.sum(), max_tokens // 4)


def test_blocks_and_the_order_of_rows_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of mixed patients in one block, and the sorted file in blocks of few patients."""
    whole = write_shards(tmp_path / "mixed", unit=True)
    mixed = open_cohort(tmp_path / "mixed", texts=False)
    encoder = an_encoder(tmp_path / "mixed", mixed.subject_ids)
    one = cohort_sequences(mixed, encoder)
    ordered = whole.sort_values(["subject_id", "time"], kind="stable", na_position="first", ignore_index=True)
    pq.write_table(pa.Table.from_pandas(ordered, preserve_index=False), tmp_path / "sorted.parquet", row_group_size=97)
    monkeypatch.setattr(np, "lexsort", None)  # rows that lie in order are not sorted again
    monkeypatch.setattr("core.encode.ehr.cohort._BLOCK", 100)
    many = cohort_sequences(open_cohort(tmp_path / "sorted.parquet", texts=False), encoder)
    assert (one.subject_ids == many.subject_ids).all()
    assert len(one) == 12
    for place in range(len(one)):
        assert_equal(one[place], many[place])


def test_the_encoder_computes_the_same_from_both(tmp_path: Path) -> None:
    """The batch that the network reads is the same, so are its tokens."""
    write_shards(tmp_path)
    cohort = open_cohort(tmp_path)
    encoder = an_encoder(tmp_path, cohort.subject_ids).eval()
    found = cohort_sequences(cohort, encoder)
    fast = encoder.collate([found[place] for place in range(3)])
    slow = encoder.collate([encoder.read(load_timeline(tmp_path, subject_id=int(s))) for s in cohort.subject_ids[:3]])
    assert (encoder(fast) == encoder(slow)).all()


def test_one_patient_of_an_opened_cohort_is_the_loaded_timeline(tmp_path: Path) -> None:
    whole = write_shards(tmp_path, unit=True)
    cohort = open_cohort(tmp_path)
    assert int(cohort.offsets[-1]) == len(whole)
    for subject in cohort.subject_ids.tolist():
        loaded = load_timeline(tmp_path, subject_id=subject, prediction_time="2015-10-01")
        opened = cohort.timeline(subject, "2015-10-01")
        assert opened.digest == loaded.digest
        assert opened.notes == loaded.notes
        assert opened.later_event_count == loaded.later_event_count
    with pytest.raises(UserFacingError, match="chosen patient"):
        cohort.timeline(1)


@pytest.mark.parametrize("stored", ["days", "zoned", "plain"])
def test_an_opened_cohort_says_of_a_patient_all_that_the_loaded_timeline_says(tmp_path: Path, stored: str) -> None:
    whole = write_shards(tmp_path, patients=3)
    times = whole["time"].dt
    whole["time"] = {"days": times.date, "zoned": times.tz_localize("Asia/Tokyo"), "plain": whole["time"]}[stored]
    whole["concept"], whole["surprise"] = "other", 1.5
    path = tmp_path / "odd.parquet"
    pq.write_table(pa.Table.from_pandas(whole, preserve_index=False), path)
    (tmp_path / "more.sav").write_bytes(b"?")
    source, cut = [path, tmp_path / "more.sav"], "2015-10-01"
    cohort = open_cohort(source)
    for subject in cohort.subject_ids.tolist():
        loaded = load_timeline(source, subject_id=subject, prediction_time=cut)
        assert cohort.timeline(subject, cut).notes == loaded.notes
        assert cohort.timeline(subject, cut).digest == loaded.digest
    said = " ".join(loaded.notes)
    assert all(
        word in said for word in ("hold the code", "Not read", {"days": "00:00", "zoned": "UTC", "plain": ""}[stored])
    )


def test_an_event_without_a_code_is_refused_in_the_same_words(tmp_path: Path) -> None:
    whole = write_shards(tmp_path, patients=1)
    whole.loc[[3, 4], "code"] = None
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pandas(whole, preserve_index=False), path)
    for ask in (open_cohort(path).timeline, lambda subject: load_timeline(path, subject_id=subject)):
        with pytest.raises(UserFacingError, match="Without a code: 2 events"):
            ask(100)


def test_a_changed_number_changes_the_sequence(tmp_path: Path) -> None:
    """The comparison itself sees a difference."""
    write_shards(tmp_path)
    cohort = open_cohort(tmp_path)
    encoder = an_encoder(tmp_path, cohort.subject_ids)
    before = cohort_sequences(cohort, encoder)[0]
    rows = np.flatnonzero(before.numeric >= 0)
    cohort.values[before.event_ids[rows[-1]]] *= 3
    with pytest.raises(AssertionError):
        assert_equal(cohort_sequences(cohort, encoder)[0], before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"numeric_value": np.float32(np.inf)}, "infinite"),
        ({"code": None}, "no code"),
        ({"time": pd.Timestamp("1700-01-01")}, "1850"),
        ({"subject_id": pd.NA}, "no patient"),
        ({"time": "soon"}, "not stored as times"),
    ],
    ids=["infinite", "no-code", "ancient", "no-patient", "text-times"],
)
def test_cohorts_that_cannot_be_trusted_are_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    write_shards(tmp_path, patients=2, events=5)
    path = tmp_path / "data" / "train" / "0.parquet"
    table = pq.read_table(path).to_pandas().astype({"subject_id": "Int64"})
    name, value = next(iter(change.items()))
    everywhere = isinstance(value, str)
    table[name] = [value] * len(table) if everywhere else [value, *table[name].tolist()[1:]]
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    with pytest.raises(UserFacingError, match=words):
        cohort_sequences(open_cohort(path), an_untrained())


def an_untrained() -> CompactSequence:
    sizes = {"hidden": 8, "layers": 1, "heads": 2, "max_tokens": 9}
    return CompactSequence({"name": "compact_sequence", "codes": list(CODES), "numeric": [], **sizes})


def with_bad_statistics(data: bytes, *, kind: str) -> bytes:
    """A parquet file whose first column, whole numbers of 64 bits, has statistics that cannot be decoded."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = bytearray(data[start:-8])
    if kind == "other type":
        # The first of these bytes is the file's version; the second says INT64 of the column and becomes INT96.
        footer[footer.index(b"\x15\x04\x19", 1) + 1] = 6
    else:
        # Four extremes of eight bytes: the first two are of an old kind that is not read; the third loses four bytes.
        field = [found.start() for found in re.finditer(rb"[\x18\x28]\x08", footer)][2]
        footer[field + 1 : field + 6] = b"\x04"
    return data[:start] + bytes(footer) + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize("kind", ["other type", "short value"])
def test_statistics_that_cannot_be_decoded_are_refused(tmp_path: Path, kind: str) -> None:
    """Asked for as such, they would end the process: in a process of its own, which must come back with words."""
    columns = {
        "subject_id": pa.array([1, 1, 2], pa.int64()),
        "time": pa.array([0, 1, 2], pa.timestamp("us")),
        "code": ["a", "b", "c"],
        "numeric_value": pa.array([1.0, 2.0, 3.0], pa.float32()),
    }
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path)
    assert len(load_timeline(path, subject_id=1).events) == 2
    path.write_bytes(with_bad_statistics(path.read_bytes(), kind=kind))
    script = f"from core.timeline import load_timeline; load_timeline({str(path)!r}, subject_id=1)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 1
    assert "UserFacingError: The table is damaged" in ended.stderr


def test_text_that_is_not_marked_as_text_is_read(tmp_path: Path) -> None:
    columns = {
        "subject_id": pa.array([1, 1], pa.int64()),
        "time": pa.array([0, 1], pa.timestamp("us")),
        "code": pa.array([b"a", b"b"], pa.binary()),
        "numeric_value": pa.array([1.0, None], pa.float32()),
        "text_value": pa.array([None, "\u00fcber".encode()], pa.binary()),
        "unit": pa.array([b"mg/dL", None], pa.large_binary()),
    }
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path, store_schema=False)
    events = load_timeline(path).events
    assert events[["code", "text_value", "unit"]].values.tolist() == [["a", None, "mg/dL"], ["b", "\u00fcber", None]]
    pq.write_table(pa.table({**columns, "unit": pa.array([b"\xff\xfe", None], pa.binary())}), path, store_schema=False)
    with pytest.raises(UserFacingError, match="damaged"):
        load_timeline(path)


def test_a_flipped_bit_in_statistics_loses_no_event(tmp_path: Path) -> None:
    """Every bit of every bound in turn; what is still read is the whole record of a patient in three row groups."""
    subjects = [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3]
    columns = {
        "subject_id": pa.array(subjects, pa.int64()),
        "time": pa.array(range(12), pa.timestamp("us")),
        "code": [f"c{row}" for row in range(12)],
    }
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=4, compression="none")
    data = path.read_bytes()
    table = pq.ParquetFile(path).metadata
    lows = [table.row_group(group).column(0).statistics.min for group in range(3)]
    assert lows == [1, 2, 3]
    expected = load_timeline(path, subject_id=2).events["code"].tolist()
    assert len(expected) == 6
    start, read = len(data) - 8 - int.from_bytes(data[-8:-4], "little"), 0
    bounds = [found.start() + 2 for found in re.finditer(rb"[\x18\x28]\x08.\0{7}", data[start:], re.DOTALL)]
    for place, bit in product(bounds, range(64)):
        changed = bytearray(data)
        changed[start + place + bit // 8] ^= 1 << bit % 8
        try:
            rows, _ = read_subject(memory_entry("events.parquet", bytes(changed)), 2, None)
        except UserFacingError:
            continue
        read += 1
        assert rows["code"].to_pylist() == expected
    assert read > 500


def test_a_death_without_a_time_is_in_no_timeline_and_no_sequence(tmp_path: Path) -> None:
    """One patient's timeless death would tell the outcome; but for a word, it is as if not there."""
    whole = write_shards(tmp_path / "plain", patients=4)
    cohort = open_cohort(tmp_path / "plain")
    encoder = an_encoder(tmp_path / "plain", cohort.subject_ids)
    subject = int(cohort.subject_ids[2])
    deaths = [
        {"subject_id": subject, "time": pd.NaT, "code": code, "numeric_value": np.nan}
        for code in ("MEDS_DEATH", "VITAL_STATUS//Deceased")
    ]
    path = tmp_path / "deaths.parquet"
    table = pd.concat([whole, pd.DataFrame(deaths).astype(whole.dtypes[["subject_id", "time"]])], ignore_index=True)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    told = open_cohort(path)
    encoder.config["codes"].append("MEDS_DEATH")
    one, other = cohort_sequences(cohort, encoder), cohort_sequences(told, encoder)
    for place in range(len(one)):
        assert_equal(one[place], other[place])
    loaded, opened = load_timeline(path, subject_id=subject), told.timeline(subject)
    assert opened.digest == loaded.digest == cohort.timeline(subject).digest
    assert opened.later_event_count == loaded.later_event_count == 2
    assert opened.notes == loaded.notes
    assert "death or vital status without a time may lie after the prediction time: 2 events" in " ".join(opened.notes)
    assert told.timeline(int(told.subject_ids[0])).later_event_count == 0


def test_a_number_that_its_text_takes_back_is_in_no_timeline_and_no_cohort(tmp_path: Path) -> None:
    whole = write_shards(tmp_path, patients=3).head(120).reset_index(drop=True)
    numeric = whole.index[whole["numeric_value"].notna()]
    bound, filler, kept = numeric[:3]
    whole.loc[[bound, filler, kept], "text_value"] = ["<0.01", "NON-REACTIVE", "see note"]
    whole.loc[filler, "numeric_value"] = 9999999
    whole["specimen"] = np.where(whole.index % 2, "blood", "urine")
    path = tmp_path / "odd.parquet"
    pq.write_table(pa.Table.from_pandas(whole, preserve_index=False), path)
    cohort = open_cohort(path)
    assert np.isfinite(cohort.values).sum() == len(numeric) - 2
    assert any("2 values of all patients" in note for note in cohort.notes)
    for subject in cohort.subject_ids.tolist():
        loaded = load_timeline(path, subject_id=subject, prediction_time="2015-10-01")
        assert cohort.timeline(subject, "2015-10-01").digest == loaded.digest
        assert any("more than one specimen" in note for note in loaded.notes)


@pytest.mark.parametrize("gaps", ["some", "all", "none"])
@pytest.mark.parametrize("start", [0, 3, 8])
def test_gaps_among_numbers_become_nan_as_arrow_has_it(gaps: str, start: int) -> None:
    rng = np.random.default_rng(1)
    numbers = rng.normal(0, 1e3, 101).astype(np.float32)
    numbers[7] = -0.0
    empty = {"some": rng.random(101) < 0.5, "all": np.ones(101, bool), "none": np.zeros(101, bool)}[gaps]
    values = pa.array(numbers, mask=empty)[start:]
    expected = np.array([np.nan if number is None else number for number in values.to_pylist()], np.float32)
    filled = _gaps_as_nan(values)
    np.testing.assert_array_equal(filled, expected)
    np.testing.assert_array_equal(np.signbit(filled[~empty[start:]]), np.signbit(expected[~empty[start:]]))


def test_an_empty_row_group_between_others_is_no_event(tmp_path: Path) -> None:
    table = pa.table(
        {
            "subject_id": np.array([1, 1, 2]),
            "time": pa.array(np.array(["2020-01-01", "2020-01-02", "2020-01-01"], "datetime64[us]")),
            "code": ["A", "B", "A"],
            "numeric_value": pa.array([1.0, None, None], pa.float32()),
        }
    )
    path = tmp_path / "events.parquet"
    with pq.ParquetWriter(path, table.schema) as writer:
        for part in (table[:2], table[:0], table[2:]):
            writer.write_table(part)
    cohort = open_cohort(path)
    np.testing.assert_array_equal(cohort.values, np.array([1.0, np.nan, np.nan], np.float32))
