"""Timelines: typed without guessing, cut at the prediction time, refused in words."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserFacingError
from core.events.cut import cut_at
from core.events.descriptions import describe
from core.events.kinds import kind_of
from core.intake.record.cohort_columns import open_cohort
from core.intake.record.columns.times import whole_days
from core.intake.record.tables import parquet
from core.records import TIMELINE_COLUMNS
from core.timeline import list_subjects, load_timeline

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "ehr"
MIMIC = SHARED / "mimic_iv_demo_meds_events.parquet"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the real test files in ../shared/data are not here")

HEADER = "subject_id,time,code,numeric_value,text_value,unit\n"
ROWS = (
    "7,,GENDER//F,,,\n"
    "7,1950-05-01,MEDS_BIRTH,,,\n"
    "7,2020-01-03T08:30:00,LOINC//2160-0,1.25,,mg/dL\n"
    "7,2020-02-01T10:00:00,ICD10CM//I26.99,,,\n"
    "7,2020-03-01T10:00:00,LOINC//2160-0,,see note,mg/dL\n"
)


def csv_file(text: str) -> tuple[str, bytes]:
    return "events.csv", text.encode()


def meds_table(rows: int = 40, subjects: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "subject_id": rng.integers(1, subjects + 1, rows).astype(np.int64),
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), "s"),
            "code": rng.choice(["LOINC//718-7", "ATC//B01AF02", "VISIT//ED"], rows),
            "numeric_value": rng.normal(size=rows).astype(np.float32),
            "text_value": [None] * rows,
        }
    )
    table["time"] = table["time"].astype("datetime64[us]")
    return table.sort_values(["subject_id", "time"], ignore_index=True)


def parquet_bytes(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), out)
    return out.getvalue()


def test_csv_becomes_typed_meds_columns() -> None:
    timeline = load_timeline(csv_file(HEADER + ROWS), prediction_time="2020-02-15")
    events = timeline.events
    assert list(events.columns) == list(TIMELINE_COLUMNS)
    assert [str(events[name].dtype) for name in ("subject_id", "time", "numeric_value")] == [
        "int64",
        "datetime64[us]",
        "float32",
    ]
    assert events["code"].tolist() == ["GENDER//F", "MEDS_BIRTH", "LOINC//2160-0", "ICD10CM//I26.99"]
    assert events["numeric_value"][2] == np.float32(1.25)
    assert events["unit"][2] == "mg/dL"
    assert timeline.subject_id == 7
    assert timeline.later_event_count == 1
    assert timeline.code_descriptions["LOINC//2160-0"] == "Creatinine, serum"
    assert any("after the prediction time: 1 event" in note for note in timeline.notes)


def test_without_a_prediction_time_the_last_event_counts_and_is_said() -> None:
    timeline = load_timeline(csv_file(HEADER + ROWS))
    assert timeline.prediction_time == pd.Timestamp("2020-03-01T10:00:00")
    assert any("last event" in note for note in timeline.notes)


def test_json_lines_json_array_and_csv_agree() -> None:
    rows = (
        pd.read_csv(io.StringIO(HEADER + ROWS), dtype=str).where(lambda table: table.notna(), None).to_dict("records")
    )
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    sources = [
        csv_file(HEADER + ROWS),
        csv_file((HEADER + ROWS).replace(",", ";")),
        ("events.csv", b"\xef\xbb\xbf" + (HEADER + ROWS).encode()),
        ("events.csv", (HEADER + ROWS).encode("utf-16")),
        ("events.csv.gz", gzip.compress((HEADER + ROWS).encode())),
        ("events.jsonl", lines),
        ("events.json", json.dumps(rows).encode()),
        csv_file((HEADER + ROWS).replace("subject_id,time", "Patient ID,Date").replace("\n", "\r\n")),
    ]
    digests = {load_timeline(source, prediction_time="2020-02-15").digest for source in sources}
    assert len(digests) == 1


def test_values_are_numbers_only_where_they_are_clean() -> None:
    table = "patient_id,date,code,value\n" + "".join(
        f"1,2020-01-0{day},A,{value}\n"
        for day, value in enumerate(["3", "-2.5e1", "<5", "positive", "12 mg", "", "1.5.2", "NaN"], 1)
    )
    events = load_timeline(csv_file(table)).events
    assert events["numeric_value"].iloc[:2].tolist() == [3.0, -25.0]
    assert events["numeric_value"].iloc[2:].isna().all()
    assert events["text_value"].tolist() == [None, None, "<5", "positive", "12 mg", None, "1.5.2", None]


@pytest.mark.parametrize(
    ("text", "said"), [("1.234.567", 1), ("1_000", 1), ("1 000", 1), ("1.5.2", 0), ("1.234", 0), ("12.345.6789", 0)]
)
def test_numbers_with_parted_digits_stay_text_and_are_said(text: str, said: int) -> None:
    timeline = load_timeline(csv_file(f"patient_id,date,code,value\n1,2020-01-01,A,{text}\n"))
    assert sum("parts the digits" in note for note in timeline.notes) == said
    assert (timeline.events["text_value"].iloc[0] == text) != (timeline.events["numeric_value"].iloc[0] == 1.234)


BAD = {
    "empty": (b"", "empty"),
    "header only": (HEADER.encode(), "no event"),
    "unknown columns": (b"a,b\n1,2\n", "no column"),
    "no code column": (b"subject_id,time\n1,2020-01-01\n", "no column for the code"),
    "two patients": ((HEADER + ROWS + "8,2020-01-01,A,,,\n").encode(), "2 patients"),
    "impossible date": (b"time,code\n2020-02-30,A\n", "Impossible"),
    "impossible hour": (b"time,code\n2020-02-03T25:00,A\n", "Impossible"),
    "ambiguous date": (b"time,code\n03/04/2020,A\n", "year-month-day"),
    "date in words": (b"time,code\nMarch 3rd,A\n", "year-month-day"),
    "number as date": (b"time,code\n43831,A\n", "year-month-day"),
    "ancient": (b"time,code\n1066-10-14,A\n", "1850"),
    "mixed time zones": (b"time,code\n2020-01-01T10:00Z,A\n2020-01-01T10:00,A\n", "time zone"),
    "some in the future": (b"time,code\n2020-01-01,A\n2098-01-01,A\n", "future"),
    "decimal comma": (b'time,code,value\n2020-01-01,A,"1,5"\n', "decimal comma"),
    "infinite": (b"time,code,value\n2020-01-01,A,inf\n", "infinite"),
    "too large": (b"time,code,value\n2020-01-01,A,1e60\n", "infinite"),
    "ragged": (b"time,code,value\n2020-01-01,A\n", "number of fields"),
    "doubled column": (b"time,code,code\n2020-01-01,A,B\n", "same name"),
    "NUL": (b"time,code\n2020-01-01,A\0\n", "NUL"),
    "latin-1": ("time,code\n2020-01-01,Ä\n".encode("latin-1"), "UTF-8"),
    "open quote": (b'time,code\n2020-01-01,"A\n', "quotes"),
    "no code": (b"time,code\n2020-01-01,\n", "Without a code"),
    "no patient": (b"subject_id,time,code\n,2020-01-01,A\n", "no patient"),
    "no times": (b"time,code\n,A\n", "time"),
    "json duplicate key": (b'{"time":"2020-01-01","code":"A","code":"B"}', "twice"),
    "json nested": (b'{"time":"2020-01-01","code":{"x":1}}', "nested"),
    "json broken": (b'{"time":"2020-01-01","code":', "JSON"),
    "json infinity": (b'{"time":"2020-01-01","code":"A","value":Infinity}', "not a number"),
    "json deep": (b"[" * 100_000, "JSON"),
    "json list of numbers": (b"[1, 2]", "object"),
    "parquet broken": (b"PAR1" + b"x" * 50, "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_in_words(case: str) -> None:
    data, words = BAD[case]
    with pytest.raises(UserFacingError) as caught:
        load_timeline(("events", data))
    assert words in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "given_time",
    ["soon", "2020-13-01", "", "04/05/2020", "13/04/2020", "now", "2020", "20200405", "5 Apr 2020", "2020-04-05 3pm"],
)
def test_bad_prediction_times_are_refused(given_time: str) -> None:
    with pytest.raises(UserFacingError, match="prediction time"):
        load_timeline(csv_file(HEADER + ROWS), prediction_time=given_time)


@pytest.mark.parametrize("number", [3.5, 1_577_836_800])
def test_a_bare_number_is_no_prediction_time(number: float) -> None:
    with pytest.raises(UserFacingError, match="prediction time is not written"):
        load_timeline(csv_file("time,code\n1960-01-01,A\n"), prediction_time=number)  # type: ignore[arg-type]


@pytest.mark.parametrize("chosen", ["P-0815", 1.5, float("nan"), float("inf")])
def test_a_patient_is_chosen_by_a_whole_number_and_an_identifier_is_not_repeated(chosen: object) -> None:
    rows = "subject_id,time,code\n1,2020-01-01,A\n2,2020-01-01,B\n"
    with pytest.raises(UserFacingError, match="not a whole number") as caught:
        load_timeline(csv_file(rows), subject_id=chosen)  # type: ignore[arg-type]
    assert "0815" not in str(caught.value)
    assert {load_timeline(csv_file(rows), subject_id=right).subject_id for right in (1, np.int64(1))} == {1}


def test_all_events_after_the_prediction_time_are_refused() -> None:
    with pytest.raises(UserFacingError, match="after the prediction time"):
        load_timeline(csv_file("time,code\n2020-01-01,A\n"), prediction_time="2019-01-01")


def test_shifted_records_open_with_a_note() -> None:
    timeline = load_timeline(csv_file("time,code\n2180-01-01,A\n2181-01-01,B\n"))
    assert any("shifted" in note for note in timeline.notes)


def test_text_identifiers_are_numbered_and_never_shown() -> None:
    table = "patient_id,time,code\nZOE-1,2020-01-01,A\nADA-2,2020-01-02,B\nADA-2,2020-01-03,B\n"
    found = list_subjects(csv_file(table))
    assert found[["subject_id", "events"]].to_numpy().tolist() == [[1, 2], [2, 1]]
    timeline = load_timeline(csv_file(table), subject_id=2)
    assert timeline.events["code"].tolist() == ["A"]
    assert not any("ZOE" in note for note in timeline.notes)


def test_a_patients_span_starts_after_the_birth() -> None:
    """The picker shows how far each record reaches; the birth would make it a lifetime."""
    born = pd.DataFrame({"subject_id": [1, 2], "time": pd.Timestamp("1950-01-01"), "code": "MEDS_BIRTH"})
    dated = pd.DataFrame(
        {"subject_id": [1, 1, 1], "time": pd.to_datetime(["2018-01-01", None, "2020-07-01"]), "code": ["A", "B", "C"]}
    )
    table = pd.concat([born, dated], ignore_index=True).astype({"time": "datetime64[us]"})
    coded, days = table.astype({"code": "category"}), table.assign(time=table["time"].dt.date)
    zoned = table.assign(time=table["time"].dt.tz_localize("UTC"))
    texts = table.assign(time=[*table["time"].astype(str)[:-1], "2020-07-01T00:00:00Z"]).replace("NaT", None)
    files = (("a.parquet", parquet_bytes(t)) for t in (table, coded, days, zoned, texts))
    sources = (csv_file(table.to_csv(index=False)), *files)
    for source in sources:
        found = list_subjects(source)
        assert found["events"].tolist() == [4, 1]
        assert found["first"][0] == pd.Timestamp("2018-01-01")
        assert found["last"][0] == pd.Timestamp("2020-07-01")
        assert found[["first", "last"]].isna().loc[1].all()


def test_patients_of_several_files_are_never_merged() -> None:
    """Numbers given to text identifiers hold across files; tables without a patient cannot be joined."""
    zoe = ("a.csv", b"patient_id,time,code\nZOE,2020-01-01,A\n")
    ada = ("b.csv", b"patient_id,time,code\nADA,2020-01-02,B\n")
    nobody = ("c.csv", b"time,code\n2020-01-03,C\n")
    with pytest.raises(UserFacingError, match="2 patients"):
        load_timeline([zoe, ada])
    assert load_timeline([zoe, ada], subject_id=2).events["code"].tolist() == ["A"]
    with pytest.raises(UserFacingError, match="Naming no patient: 2 of 2 tables"):
        load_timeline([nobody, nobody])
    with pytest.raises(UserFacingError, match="Naming no patient: 1 of 2 tables"):
        load_timeline([zoe, nobody])
    with pytest.raises(UserFacingError, match="mixes"):
        load_timeline([zoe, ("d.parquet", parquet_bytes(meds_table()))])


def test_parquet_folder_shards_and_choice(tmp_path: Path) -> None:
    table = meds_table(400, subjects=4)
    for split, part in (("train", table[table.subject_id <= 2]), ("held_out", table[table.subject_id > 2])):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        (folder / "0.parquet").write_bytes(parquet_bytes(part))
    (tmp_path / "metadata").mkdir()
    codes = pd.DataFrame({"code": ["VISIT//ED"], "description": ["Casualty"]})
    (tmp_path / "metadata" / "codes.parquet").write_bytes(parquet_bytes(codes))
    (tmp_path / "metadata" / "dataset.json").write_text(json.dumps({"virtual": {"seed": 1}}))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pe.parquet").write_bytes(parquet_bytes(pd.DataFrame({"subject_id": [1], "event": [True]})))
    with pytest.raises(UserFacingError, match="4 patients"):
        load_timeline(tmp_path)
    with pytest.raises(UserFacingError, match="chosen patient"):
        load_timeline(tmp_path, subject_id=99)
    timeline = load_timeline(tmp_path, subject_id=3)
    mine = table[table.subject_id == 3]
    assert len(timeline.events) == len(mine)
    assert np.array_equal(timeline.events["numeric_value"], mine["numeric_value"])
    assert timeline.code_descriptions["VISIT//ED"] == "Casualty"
    assert timeline.origin == "virtual"
    shard = load_timeline(tmp_path / "data" / "held_out" / "0.parquet", subject_id=3)
    assert shard.digest == timeline.digest
    assert shard.origin == "virtual"
    assert list_subjects(tmp_path)["events"].sum() == 400


def test_parquet_with_zoned_times_and_infinite_values() -> None:
    table = meds_table(10, subjects=1)
    zoned = table.assign(time=table["time"].dt.tz_localize("Europe/Berlin"))
    timeline = load_timeline(("a.parquet", parquet_bytes(zoned)))
    assert any("UTC" in note for note in timeline.notes)
    assert timeline.events["time"].iloc[0] == table["time"].iloc[0] - pd.Timedelta(hours=1)
    infinite = table.assign(numeric_value=np.float32(np.inf))
    with pytest.raises(UserFacingError, match="infinite"):
        load_timeline(("a.parquet", parquet_bytes(infinite)))


def test_parquet_that_names_no_patient_says_so_as_text_does() -> None:
    table = meds_table(10, subjects=1).drop(columns="subject_id")
    said = [note for note in load_timeline(("a.parquet", parquet_bytes(table))).notes if "names no patient" in note]
    assert said == [note for note in load_timeline(csv_file(table.to_csv(index=False))).notes if note in said]
    assert len(said) == 1
    named = load_timeline(("a.parquet", parquet_bytes(meds_table(10, subjects=1))))
    assert not any("names no patient" in note for note in named.notes)


def test_events_packed_into_a_small_file_are_refused_before_they_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_SUBJECT_ROWS", 30)
    table = meds_table(90, subjects=3).sort_values("subject_id")
    counts = table["subject_id"].value_counts()
    small, large = int(counts.index[-1]), int(counts.index[0])
    assert counts.loc[small] <= 30 < counts.loc[large]
    for rows in (7, 100):
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), out, row_group_size=rows)
        source = ("a.parquet", out.getvalue())
        assert len(load_timeline(source, subject_id=small).events) == counts.loc[small]
        with pytest.raises(UserFacingError, match="more than 30 events"):
            load_timeline(source, subject_id=large)
    with pytest.raises(UserFacingError, match="more than 30 events"):
        load_timeline(("a.parquet", parquet_bytes(table.drop(columns="subject_id"))))


def test_shards_with_and_without_a_time_zone_are_not_merged() -> None:
    plain = meds_table(10, subjects=1)
    zoned = plain.assign(time=plain["time"].dt.tz_localize("America/New_York"))
    dates = plain.assign(time=plain["time"].dt.date)
    one, other, days = ((f"{n}.parquet", parquet_bytes(table)) for n, table in enumerate((plain, zoned, dates)))
    with pytest.raises(UserFacingError, match="time zone"):
        load_timeline([one, other])
    with pytest.raises(UserFacingError, match="time zone"):
        open_cohort([one, other])
    for shard in (one, other):
        assert len(load_timeline([shard, days]).events) == 20
        assert any("hold days" in note for note in open_cohort([shard, days]).timeline(1).notes)


def test_days_without_a_time_of_day_are_counted_in_every_format() -> None:
    table = meds_table(10, subjects=1)
    given = table["time"].dt.date.tolist()
    days = table.assign(time=[*given[:9], None], known_from=[*given[:9], None])
    for source in (csv_file(days.to_csv(index=False)), ("a.parquet", parquet_bytes(days))):
        notes = load_timeline(source).notes
        assert [note for note in notes if "00:00" in note] == [whole_days(9, 9, 10)]
    second = table.assign(time=[*given[:9], None], date=given)
    assert whole_days(1, 1, 1) in load_timeline(("a.parquet", parquet_bytes(second))).notes


def test_units_in_codes_are_units() -> None:
    """The third part of a code may as well be a specimen; text identifiers change nothing of it."""
    codes = ["LAB//50931//mg/dL", "LAB//GLUCOSE//SERUM", "LAB//CULTURE//BLOOD", "LAB//51265//K/uL", "LAB//1//N/A"]
    table = meds_table(5, subjects=1).assign(code=codes, time=pd.date_range("2020-01-01", periods=5).as_unit("us"))
    for subjects in (table["subject_id"], "ZOE-1"):
        timeline = load_timeline(("a.parquet", parquet_bytes(table.assign(subject_id=subjects))))
        assert timeline.events["unit"].tolist() == ["mg/dL", None, None, "K/uL", None]


def test_column_mapping_reads_any_names() -> None:
    table = "wer,wann,was,wieviel\n5,2020-01-01,A,2\n"
    chosen = {"subject_id": "wer", "time": "wann", "code": "was", "value": "wieviel"}
    timeline = load_timeline(csv_file(table), mapping=chosen)
    assert timeline.subject_id == 5
    assert timeline.events["numeric_value"].tolist() == [2.0]


def test_unit_mixtures_are_noted() -> None:
    table = "time,code,value,unit\n2020-01-01,A,2,mg\n2020-01-02,A,3,g\n"
    assert any("unit" in note for note in load_timeline(csv_file(table)).notes)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-50, 50)), min_size=1, max_size=30), st.integers(-60, 60))
def test_nothing_after_the_cut_is_kept_and_nothing_before_is_lost(days: list[int | None], cut_day: int) -> None:
    base = pd.Timestamp("2020-01-01")
    times = pd.Series(
        [pd.NaT if day is None else base + pd.Timedelta(days=day) for day in days], dtype="datetime64[us]"
    )
    table = pd.DataFrame({"time": times, "row": range(len(days))})
    kept, later = cut_at(table, base + pd.Timedelta(days=cut_day))
    wanted = [row for row, day in enumerate(days) if day is None or day <= cut_day]
    assert sorted(kept["row"]) == wanted
    assert later == len(days) - len(wanted)
    assert kept["time"].isna().to_numpy()[: sum(day is None for day in days)].all()
    assert kept["time"].dropna().is_monotonic_increasing
    assert list(kept.index) == list(range(len(kept)))


days_or_none = st.one_of(st.none(), st.integers(-50, 50))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(days_or_none, days_or_none), min_size=1, max_size=30), st.integers(-60, 60))
def test_what_is_known_later_is_cut_by_then_and_keeps_its_time(
    pairs: list[tuple[int | None, int | None]], cut: int
) -> None:
    base = pd.Timestamp("2020-01-01")
    columns = [[None if day is None else base + pd.Timedelta(days=day) for day in days] for days in zip(*pairs)]
    times, known = (pd.Series(column, dtype="datetime64[us]") for column in columns)
    kept, later = cut_at(
        pd.DataFrame({"time": times, "known_from": known, "row": range(len(pairs))}), base + pd.Timedelta(days=cut)
    )
    wanted = [row for row, days in enumerate(pairs) if all(day is None or day <= cut for day in days)]
    assert sorted(kept["row"]) == wanted
    assert later == len(pairs) - len(wanted)
    assert kept.set_index("row")["time"].equals(times[kept["row"]].rename_axis("row"))
    assert list(kept.columns) == ["time", "row"]


def test_a_planted_future_event_never_reaches_the_timeline() -> None:
    """Changing, adding or removing events after the cut changes nothing but the count."""
    digests = set()
    for future in ("", "7,2020-02-15T00:00:01,LEAK,9,,\n", "7,2020-05-01,LEAK,9,,\n7,2021-01-01,LEAK2,1,x,y\n"):
        timeline = load_timeline(csv_file(HEADER + ROWS + future), prediction_time="2020-02-15")
        assert not timeline.events["code"].str.startswith("LEAK").any()
        assert not any("LEAK" in code for code in timeline.code_descriptions)
        digests.add(timeline.digest)
    assert len(digests) == 1


STORED = (
    "subject_id,charttime,storetime,code,valuenum\n"
    "7,2020-01-01T08:00,2020-01-01T11:00,LOINC//2160-0,1.5\n"
    "7,2020-01-01T09:00,2020-01-01T09:30,LOINC//2345-7,5.5\n"
    "7,2020-01-01T09:15,,LOINC//718-7,13.5\n"
)


def test_a_result_stored_after_the_cut_was_not_known_at_it() -> None:
    """MIMIC's tables tell when a result was stored beside when the sample was taken."""
    table = pd.read_csv(io.StringIO(STORED), parse_dates=["charttime", "storetime"])
    sources = (csv_file(STORED), ("a.parquet", parquet_bytes(table)))
    for source in sources:
        timeline = load_timeline(source, prediction_time="2020-01-01T10:00")
        assert timeline.events["code"].tolist() == ["LOINC//2345-7", "LOINC//718-7"]
        assert timeline.later_event_count == 1
        assert any("not yet known at the prediction time" in note for note in timeline.notes)
        assert list(timeline.events.columns) == list(TIMELINE_COLUMNS)
        assert load_timeline(source).prediction_time == pd.Timestamp("2020-01-01T11:00")
    with pytest.raises(UserFacingError, match="when each event was recorded"):
        open_cohort(sources[1])


@pytest.mark.parametrize("code", ["MEDS_DEATH", "DEATH", "Deceased", "VITAL_STATUS//dead", "SNOMED//419099009"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "parquet-text"])
def test_a_death_without_a_time_is_never_known(code: str, kind: str) -> None:
    """It would tell the outcome at every prediction time; what else has no time stays a static fact."""
    rows = [(1, None, code), (1, None, "GENDER//F"), (1, "2020-01-01", "A"), (1, "2020-02-01", "B")]
    table = pd.DataFrame(rows, columns=["subject_id", "time", "code"])
    typed = table.assign(time=pd.to_datetime(table["time"]))
    data = {
        "csv": lambda: table.to_csv(index=False).encode(),
        "jsonl": lambda: table.to_json(orient="records", lines=True).encode(),
        "parquet": lambda: parquet_bytes(typed),
        "parquet-text": lambda: parquet_bytes(table),
    }[kind]()
    for cut, kept in (("2020-01-15", 2), (None, 3)):
        timeline = load_timeline((f"events.{kind.split('-')[0]}", data), prediction_time=cut)
        assert timeline.events["code"].tolist() == ["GENDER//F", "A", "B"][:kept]
        assert timeline.later_event_count == 4 - kept
        assert "death or vital status without a time" in " ".join(timeline.notes)
        assert "not yet known" not in " ".join(timeline.notes)


def test_a_death_without_a_time_is_known_once_it_was_recorded() -> None:
    table = csv_file("subject_id,time,storetime,code\n1,2020-01-01,2020-01-01,A\n1,,2020-03-01,MEDS_DEATH\n")
    mapping = {"time": "time", "code": "code"}
    for cut, count in (("2020-02-01", 1), ("2020-04-01", 2)):
        assert len(load_timeline(table, prediction_time=cut, mapping=mapping).events) == count


def test_a_result_without_a_time_of_its_own_is_no_static_fact() -> None:
    timeless = STORED.replace("7,2020-01-01T08:00,", "7,,")
    table = pd.read_csv(io.StringIO(timeless), parse_dates=["charttime", "storetime"])
    for source in (csv_file(timeless), ("a.parquet", parquet_bytes(table))):
        with pytest.raises(UserFacingError, match="another column holds a date"):
            load_timeline(source, prediction_time="2020-01-01T10:00")
        chosen = {"time": "charttime", "code": "code"}
        timeline = load_timeline(source, prediction_time="2020-01-01T10:00", mapping=chosen)
        assert timeline.events["code"].tolist() == ["LOINC//2345-7", "LOINC//718-7"]


KINDS = {
    "ICD10CM//I26.99": "diagnoses",
    "DIAGNOSIS//ICD//10//M940": "diagnoses",
    "LOINC//2160-0": "labs",
    "LOINC//8867-4": "vitals",
    "LAB//220045//bpm": "vitals",
    "LAB//50912//mg/dL": "labs",
    "ATC//B01AF02": "medications",
    "RxNorm//83367": "medications",
    "MEDICATION//START//Heparin": "medications",
    "CPT//71275": "imaging",
    "CPT//93306": "imaging",
    "CPT//27447": "procedures",
    "PROCEDURE//ICD//9//3491": "procedures",
    "VISIT//ED": "encounters",
    "HOSPITAL_ADMISSION//URGENT": "encounters",
    "MEDS_BIRTH": "demographics",
    "GENDER//F": "demographics",
    "Blood Pressure Lying": "vitals",
    "SNOMED//44054006": "diagnoses",
    "something": "other",
}


@pytest.mark.parametrize("code", KINDS)
def test_kinds(code: str) -> None:
    assert kind_of(code) == KINDS[code]


def test_descriptions() -> None:
    assert describe("ICD10CM//I26.09") == "Other pulmonary embolism with acute cor pulmonale"
    assert describe("DIAGNOSIS//ICD//10//I2609") == "Other pulmonary embolism with acute cor pulmonale"
    assert "fracture" in describe("ICD10CM//S52.501A")
    assert describe("ICD10CM//Z99.999X", {"ICD10CM//Z99.999X": "Own words"}) == "Own words"
    assert describe("LAB//50912//mg/dL") == "Creatinine"
    assert describe("UNHEARD//OF") == "UNHEARD OF"


def fhir_bundle(**changes: object) -> bytes:
    subject = {"reference": "urn:uuid:ab-12"}
    loinc, snomed = "http://loinc.org", "http://snomed.info/sct"
    quantity = {"value": 1.5, "unit": "mg/dL"}
    systolic = {
        "code": {"coding": [{"system": loinc, "code": "8480-6"}]},
        "valueQuantity": {"value": 120, "unit": "mm[Hg]"},
    }
    resources = [
        {"resourceType": "Patient", "id": "ab-12", "gender": "female", "birthDate": "1950"},
        {"resourceType": "Encounter", "class": {"code": "EMER"}, "period": {"start": "2020-01-01T10:00:00+01:00"}},
        {"resourceType": "Condition", "code": {"coding": [{"system": snomed, "code": "59282003", "display": "PE"}]},
         "onsetDateTime": "2020-01-02"},
        {"resourceType": "Observation", "code": {"coding": [{"system": loinc, "code": "2160-0"}]},
         "effectiveDateTime": "2020-01-01T11:00:00Z", "valueQuantity": quantity},
        {"resourceType": "Observation", "code": {"coding": [{"system": loinc, "code": "85354-9"}]},
         "effectiveDateTime": "2020-01-01T12:00:00Z", "component": [systolic]},
        {"resourceType": "Observation", "status": "entered-in-error",
         "code": {"coding": [{"system": loinc, "code": "1-8"}]}, "effectiveDateTime": "2020-01-01T12:00:00Z"},
        {"resourceType": "Claim", "id": "c1"},
    ]  # fmt: skip
    entries = [{"resource": {"subject": subject, **resource, **changes}} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}, indent=1).encode()


def test_fhir_bundle_becomes_coded_events() -> None:
    events = load_timeline(("bundle.json", fhir_bundle())).events
    assert events["code"].tolist() == [
        "GENDER//F", "MEDS_BIRTH", "VISIT//ED", "LOINC//2160-0", "LOINC//85354-9", "LOINC//8480-6", "SNOMED//59282003",
    ]  # fmt: skip
    assert events["time"].iloc[2] == pd.Timestamp("2020-01-01T09:00:00")
    assert events["numeric_value"].iloc[[3, 5]].tolist() == [1.5, 120.0]
    assert events["unit"].iloc[5] == "mm[Hg]"
    lines = [json.dumps(entry["resource"]) for entry in json.loads(fhir_bundle())["entry"]]
    again = load_timeline(("bundle.ndjson", "\n".join(lines).encode()))
    assert again.events["code"].tolist() == events["code"].tolist()


@pytest.mark.parametrize("odd", ["code", "subject", "period", "class", "component", "valueQuantity"])
def test_odd_fhir_is_read_or_refused(odd: str) -> None:
    for value in ("text", 5, [1], None):
        try:
            timeline = load_timeline(("bundle.json", fhir_bundle(**{odd: value})))
        except UserFacingError:
            continue
        assert len(timeline.events)


OMOP = {
    "PERSON.csv": "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth\n3,8532,1950,5,\n"
    "4,8507,1960,,\n",
    "CONDITION_OCCURRENCE.csv": "person_id,condition_concept_id,condition_start_date,condition_source_value\n"
    "3,100,2020-01-02,x\n3,0,2020-01-03,LOCAL7\n4,100,2020-02-02,x\n",
    "MEASUREMENT.csv": "person_id,measurement_concept_id,measurement_datetime,value_as_number,unit_source_value\n"
    "3,200,2020-01-01 10:30:00,1.5,mg/dL\n",
    "VISIT_OCCURRENCE.csv": "person_id,visit_concept_id,visit_start_date\n3,9201,2020-01-01\n",
    "CONCEPT.csv": "concept_id,concept_name,vocabulary_id,concept_code\n100,Pulmonary embolism,SNOMED,59282003\n"
    "200,Creatinine,LOINC,2160-0\n",
}


def test_omop_tables_become_coded_events(tmp_path: Path) -> None:
    files = [(name, text.encode()) for name, text in OMOP.items()]
    with pytest.raises(UserFacingError, match="2 patients"):
        load_timeline(files)
    timeline = load_timeline(files, subject_id=3)
    assert timeline.events["code"].tolist() == [
        "GENDER//F", "MEDS_BIRTH", "VISIT//INPATIENT", "LOINC//2160-0", "SNOMED//59282003", "CONDITION//LOCAL7",
    ]  # fmt: skip
    assert timeline.events["numeric_value"].iloc[3] == 1.5
    assert timeline.events["unit"].iloc[3] == "mg/dL"
    assert timeline.code_descriptions["SNOMED//59282003"] == "Pulmonary embolism"
    for name, data in files:
        (tmp_path / name).write_bytes(data)
    assert load_timeline(tmp_path, subject_id=3).digest == timeline.digest


@needs_data
def test_synthea_samples_open() -> None:
    for path in sorted(SHARED.glob("*.json"))[:1]:
        timeline = load_timeline(path)
        resources = [entry["resource"] for entry in json.loads(path.read_text())["entry"]]
        encounters = sum(resource["resourceType"] == "Encounter" for resource in resources)
        assert timeline.events["code"].str.startswith("VISIT//").sum() == encounters
    found = list_subjects(SHARED / "Synthea27Nj_5.4.zip")
    assert len(found) == 28
    timeline = load_timeline(SHARED / "Synthea27Nj_5.4.zip", subject_id=7)
    assert (timeline.events["code"] == "MEDS_DEATH").sum() == 1
    assert timeline.events["code"].str.startswith("LOINC//").sum() > 100


@needs_data
def test_a_mimic_patient_opens() -> None:
    found = list_subjects(MIMIC)
    assert len(found) == 100
    assert found["events"].sum() == 916_166
    with pytest.raises(UserFacingError, match="100 patients"):
        load_timeline(MIMIC)
    largest = int(found["subject_id"].iloc[0])
    timeline = load_timeline(MIMIC, subject_id=largest)
    table = pq.read_table(MIMIC, filters=[("subject_id", "==", largest)]).to_pandas()
    assert len(timeline.events) == len(table)
    assert np.nansum(timeline.events["numeric_value"]) == pytest.approx(np.nansum(table["value"]), rel=1e-5)
    assert (timeline.events.loc[timeline.events["code"] == "LAB//50912//mg/dL", "unit"] == "mg/dL").all()
    counts = timeline.events["code"].map(kind_of).value_counts()
    assert counts["labs"] > 1000
    assert counts["vitals"] > 1000
