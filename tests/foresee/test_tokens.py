"""Events to tokens and back: every boundary of a gap, every edge of a tenth, and codes of every kind."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from core.errors import UserFacingError
from core.foresee.code_parts import Part, joined, parts_of
from core.foresee.events import PatientEvents
from core.foresee.fit_vocabulary import fit_vocabulary, value_points
from core.foresee.gaps import BOUNDS_US, DAY_US, GAP_NAMES, bounds_days, gap_numbers, gap_points
from core.foresee.tokens import decode, tokenise
from core.foresee.vocabulary import DEATH_TOKEN, FIRST_BIN, FIRST_GAP, Values, Vocabulary

Row = tuple[int, float | None, str, float | None]
START = pd.Timestamp("2001-03-04 05:00")


def events_of(rows: list[Row], unit: str | None = None) -> PatientEvents:
    """(subject, days since the start or None for a static fact, code, number)."""
    subjects, days, codes, values = zip(*rows, strict=True)
    times = pd.to_datetime([None if day is None else START + pd.Timedelta(days=day) for day in days])
    table = {
        "subject_id": pa.array(subjects, pa.int64()),
        "time": pa.array(times.to_numpy("datetime64[us]")),
        "code": pa.array(codes),
        "numeric_value": pa.array(values, pa.float32()),
    }
    return PatientEvents.from_table(pa.table(table | ({"unit": pa.array([unit] * len(rows))} if unit else {})))


def texts(events: PatientEvents, vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.parts[token].text for token in tokenise(events, vocabulary).tokens.tolist()]


def test_gap_bounds_belong_to_the_token_they_begin() -> None:
    for number, bound in enumerate(BOUNDS_US.tolist()):
        around, times = gap_numbers(np.array([bound - 1, bound, bound + 1]))
        assert around.tolist() == [number - 1, number, number], GAP_NAMES[number]
        assert times.tolist() == [min(number, 1), 1, 1]
    assert BOUNDS_US[10] == DAY_US
    assert BOUNDS_US[18] == 180 * DAY_US


@pytest.mark.parametrize(("days", "times"), [(180, 1), (269.999, 1), (270, 2), (449.999, 2), (450, 3), (36500, 203)])
def test_half_years_are_repeated_to_the_nearest(days: float, times: int) -> None:
    number, found = gap_numbers(np.array([round(days * DAY_US)]))
    assert (number[0], found[0]) == (18, times)
    low, high = bounds_days(18)
    assert times * low <= days <= times * high


def test_elapsed_time_comes_back_within_the_bounds_of_its_tokens() -> None:
    rng = np.random.default_rng(0)
    gaps = np.concatenate([BOUNDS_US, BOUNDS_US - 1, np.exp(rng.uniform(np.log(1e8), np.log(2e14), 3000)).astype(int)])
    points = gap_points(gaps)
    number, times = gap_numbers(gaps)
    for gap, token, count in zip(gaps.tolist(), number.tolist(), times.tolist(), strict=True):
        if token < 0:
            assert gap < 5 * 60 * 1e6
            continue
        low, high = bounds_days(token)
        assert np.all((points[token] >= low) & (points[token] <= high))
        for back in count * points[token][[0, -1]]:
            assert abs(back - gap / DAY_US) <= count * (high - low)


def test_a_gap_is_drawn_from_the_training_gaps_of_its_token_and_not_from_their_mean() -> None:
    seen = np.array([20] * 70 + [29] * 30) * DAY_US
    vocabulary = Vocabulary(_fixed().parts, _fixed().counts, gap_points(seen), {})
    token = int(gap_numbers(seen[:1])[0][0])
    drawn = vocabulary.gaps(np.full(4000, token), np.random.default_rng(1).random(4000))
    assert set(drawn.tolist()) == {20.0, 29.0}
    assert np.mean(drawn == 29.0) == pytest.approx(0.3, abs=0.03)
    assert (
        len(set(vocabulary.gaps(np.zeros(3, int), np.array([0.1, 0.5, 0.9])).tolist())) == 3
    )  # a token that training never saw


def _fixed() -> Vocabulary:
    return fit_vocabulary(events_of([(1, 0, "x", None), (1, 1, "x", None)]), 1)


def test_tokens_of_a_record_in_order() -> None:
    events = events_of(
        [
            (7, None, "GENDER//Female", None), (7, None, "RACE//X", None), (7, -9000, "MEDS_BIRTH", None),
            (7, 0, "DIAGNOSIS//ICD//10//S72001A", None), (7, 0, "my code", None), (7, 3, "ATC//C10AA05", None),
            (7, 3.001, "I10", None), (7, 400, "Date of death", None), (9, 5, "my code", None),
        ]
    )  # fmt: skip
    vocabulary = fit_vocabulary(events, 1)
    found = tokenise(events, vocabulary)
    assert texts(events, vocabulary) == [
        "S72", "001", "A", "my code", "2d-4d", "C10", "A", "A05", "I10", "6mt", "6mt", "MEDS_DEATH", "my code"
    ]  # fmt: skip
    assert found.tokens[-2] == DEATH_TOKEN
    assert [vocabulary.parts[token].text for token in found.facts.tolist()] == ["RACE//X"]
    assert (found.sexes.tolist(), found.facts_offsets.tolist(), found.offsets.tolist()) == (
        [0, 2],
        [0, 1, 1],
        [0, 12, 13],
    )
    assert found.births_us[0] == (START - pd.Timedelta(days=9000)).value // 1000
    assert np.diff(found.times_us).tolist() == [0, 3 * DAY_US, 86_400_000, round(396.999 * DAY_US), -395 * DAY_US]
    assert found.starts.tolist() == [0, 3, 4, 8, 9, 12]


def test_a_patient_alone_and_among_others_gives_the_same_tokens() -> None:
    rng = np.random.default_rng(3)
    rows: list[Row] = []
    for subject in range(40):
        for day in np.sort(rng.exponential(20, int(rng.integers(0, 30))).cumsum()):
            rows.append((subject, day, f"LAB//{rng.integers(4)}", float(rng.normal())))
    events = events_of(rows)
    vocabulary = fit_vocabulary(events)
    together = tokenise(events, vocabulary)
    for place, subject in enumerate(together.subject_ids.tolist()):
        alone = tokenise(events.of([subject]), vocabulary)
        own = slice(int(together.offsets[place]), int(together.offsets[place + 1]))
        assert alone.tokens.tolist() == together.tokens[own].tolist()


def test_rare_codes_are_unknown_of_their_kind() -> None:
    common: list[Row] = [(1, day, "ICD10CM//I26.99", None) for day in range(9)]
    rare = [(1, 10, code, None) for code in ("ICD10CM//I26.02", "ICD10CM//Q99.1", "ATC//A01AA01", "LAB//9", "zz")]
    vocabulary = fit_vocabulary(events_of(common + rare), 5)
    found = [[vocabulary.parts[token] for token in vocabulary.tokens_of(code)] for _, _, code, _ in rare]
    assert found[0] == [Part("icd", "I26"), Part("icd middle", "UNKNOWN")]
    assert found[1] == [Part("icd", "UNKNOWN"), Part("icd middle", "UNKNOWN")]
    assert found[2] == [Part("atc", "UNKNOWN"), Part("atc middle", "UNKNOWN"), Part("atc end", "UNKNOWN")]
    assert found[3:] == [[Part("code", "UNKNOWN//labs")], [Part("code", "UNKNOWN//other")]]


@pytest.mark.parametrize("named", ["Q1", "PAD", "GAP", "F", "5m-15m", "UNKNOWN"])
def test_a_made_up_code_may_be_called_like_a_token(named: str) -> None:
    events = events_of([(1, day, named, None) for day in range(3)])
    vocabulary = fit_vocabulary(events, 1)
    own = tokenise(events, vocabulary).tokens[-1]
    assert vocabulary.parts[own] == Part("code", named)
    assert decode([own], vocabulary, [0.0], [0.5])["code"].tolist() == [named]


def test_tenths_come_from_training_patients_only_and_take_in_new_extremes() -> None:
    rows: list[Row] = [(1, day, "LAB//a", float(day)) for day in range(100)]
    rows += [(2, day, "LAB//a", 1000.0 + day) for day in range(100)]
    events = events_of(rows)
    vocabulary = fit_vocabulary(events.of([1]))
    values = vocabulary.values[vocabulary.numbers[Part("code", "LAB//a")]]
    assert values.edges.tolist() == [10.0 * tenth for tenth in range(1, 10)]
    told = texts(events_of([(3, 0, "LAB//a", number) for number in (-1e9, 55.0, 1e9, None)]), vocabulary)
    assert told == ["LAB//a", "Q1", "LAB//a", "Q6", "LAB//a", "Q10", "LAB//a"]
    beside = fit_vocabulary(events)
    assert beside.values[vocabulary.numbers[Part("code", "LAB//a")]].edges.max() > 1000  # the other patient would count


def test_every_edge_of_a_tenth_comes_back_in_its_own_tenth() -> None:
    rng = np.random.default_rng(5)
    columns = {"LAB//a": rng.lognormal(0, 1, 500), "LAB//b": rng.integers(0, 6, 500), "LAB//c": rng.normal(size=37)}
    rows = [(1, day, code, float(value)) for code, values in columns.items() for day, value in enumerate(values)]
    vocabulary = fit_vocabulary(events_of(rows))
    for code in columns:
        token = vocabulary.numbers[Part("code", code)]
        values = vocabulary.values[token]
        below = np.nextafter(values.edges.astype(np.float32), np.float32(-np.inf))
        for edge, number in [*zip(values.edges, range(1, 10)), *zip(below, range(9))]:
            if not np.isfinite(edge):
                continue
            record = tokenise(events_of([(1, 0, code, float(edge))]), vocabulary)
            tenth = int(record.tokens[1]) - FIRST_BIN
            assert tenth >= number if edge in values.edges else tenth <= number
            for level in (0.0, 0.3, 1.0):
                back = decode(record.tokens, vocabulary, [0, 0], [level, level])["numeric_value"].iloc[0]
                again = tokenise(events_of([(1, 0, code, back)]), vocabulary)
                assert again.tokens.tolist() == record.tokens.tolist()


def test_tenths_hold_equal_shares_unless_values_repeat() -> None:
    points = value_points(np.random.default_rng(2).normal(size=5000))
    assert not np.isnan(points).any()
    repeated = value_points(np.array([1.0] * 55 + [2.0] * 45))
    assert np.flatnonzero(~np.isnan(repeated[:, 0])).tolist() == [5, 9]
    assert Values("", repeated).edges.tolist() == [-np.inf] * 5 + [2.0] * 4


def test_a_threshold_inside_a_tenth_counts_its_share_above() -> None:
    values = Values("", value_points(np.arange(1000.0)))
    assert values.share_above(450.0) == pytest.approx([0] * 4 + [0.5] + [1] * 5, abs=0.02)
    assert values.share_above(-1).tolist() == [1.0] * 10
    assert values.share_above(5000).tolist() == [0.0] * 10
    levels = np.random.default_rng(0).random(4000)
    drawn = np.array([values.at(4, level) for level in levels])
    assert np.mean(drawn > 430.0) == pytest.approx(values.share_above(430.0)[4], abs=0.03)
    whole = Values("", value_points(np.array([1.0] * 50 + [2.0] * 30 + [3.0] * 20)))
    filled = ~np.isnan(whole.points[:, 0])
    assert whole.share_above(2.0)[filled].tolist() == [0.0, 0.0, 1.0]  # two is not above two
    assert whole.share_below(2.0)[filled].tolist() == [1.0, 0.0, 0.0]


def test_numbers_in_another_unit_have_no_tenth() -> None:
    rows: list[Row] = [(1, day, "LOINC//2160-0", 0.1 * day) for day in range(30)]
    vocabulary = fit_vocabulary(events_of(rows, "mg/dL"))
    assert texts(events_of([(1, 0, "LOINC//2160-0", 1.0)], "mg / dl"), vocabulary)[1:] == ["Q4"]
    assert texts(events_of([(1, 0, "LOINC//2160-0", 90.0)], "umol/L"), vocabulary) == ["LOINC//2160-0"]
    told = events_of([(1, 0, "LOINC//2160-0", 1.0)])
    assert texts(told, vocabulary)[1:] == ["Q4"]


@pytest.mark.parametrize(
    "code",
    ["ICD10CM//S72.001A", "ICD10CM//I26.99", "ICD10CM//I10", "ATC//C10AA05", "ATC//C10A", "LOINC//718-7", "x//y"],
)
def test_codes_come_back(code: str) -> None:
    assert joined(parts_of(code)) == code
    events = events_of([(1, day, code, None) for day in (0, 2.5)])
    vocabulary = fit_vocabulary(events, 1)
    tokens = tokenise(events, vocabulary).tokens
    found = decode(tokens, vocabulary, np.zeros(len(tokens)), np.zeros(len(tokens)))
    assert found["code"].tolist() == [code, code]


def test_decoding_leaves_out_parts_that_continue_nothing() -> None:
    events = events_of([(1, day, "ICD10CM//I26.99", None) for day in range(3)] + [(1, 4, "x", None)])
    vocabulary = fit_vocabulary(events, 1)
    middle = vocabulary.numbers[Part("icd middle", "99")]
    whole = vocabulary.numbers[Part("code", "x")]
    found = decode([middle, FIRST_GAP, FIRST_BIN, whole, FIRST_BIN], vocabulary, np.arange(5), np.zeros(5))
    assert found["code"].tolist() == ["x"]
    assert np.isnan(found["numeric_value"]).all()


def test_what_may_follow_what() -> None:
    rows: list[Row] = [(1, day, "ICD10CM//S72.001A", None) for day in range(3)]
    rows += [(1, day, "LAB//a", float(day)) for day in range(20)] + [(1, 4, "x", None)]
    vocabulary = fit_vocabulary(events_of(rows), 1)
    groups, allowed = vocabulary.followers()
    first, middle, end, lab, plain = (
        vocabulary.numbers[Part(*part)]
        for part in (("icd", "S72"), ("icd middle", "001"), ("icd end", "A"), ("code", "LAB//a"), ("code", "x"))
    )

    def may(token: int) -> set[int]:
        return set(np.flatnonzero(allowed[groups[token]]).tolist())

    anything = {first, lab, plain, FIRST_GAP, DEATH_TOKEN}
    for token, own in [(first, middle), (middle, end), (lab, FIRST_BIN), (end, None), (plain, None), (FIRST_GAP, None)]:
        assert may(token) >= anything
        assert may(token) & {middle, end, FIRST_BIN} == ({own} if own else set())
    assert not allowed[:, :2].any()


def test_a_vocabulary_file_comes_back_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    rows = [(1, day, "LAB//a", float(day)) for day in range(50)] + [
        (1, day, "ICD10CM//I26.99", None) for day in range(20)
    ]
    vocabulary = fit_vocabulary(events_of(rows, "g/L"))
    vocabulary.save(tmp_path / "vocabulary.parquet")
    again = Vocabulary.load(tmp_path / "vocabulary.parquet")
    assert again.parts == vocabulary.parts
    assert again.counts.tolist() == vocabulary.counts.tolist()
    assert np.array_equal(again.gap_days, vocabulary.gap_days)
    for token, values in vocabulary.values.items():
        assert again.values[token].unit == values.unit == "g/L"
        assert np.array_equal(again.values[token].points, values.points, equal_nan=True)
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    with pytest.raises(UserFacingError, match="vocabulary"):
        Vocabulary.load(tmp_path / "broken.parquet")


def test_counts_are_of_training() -> None:
    events = events_of([(1, day, "ICD10CM//I26.99", None) for day in range(12)] + [(1, 1000, "x", None)])
    vocabulary = fit_vocabulary(events, 2)
    count = dict(zip((part.text for part in vocabulary.parts), vocabulary.counts.tolist(), strict=True))
    assert (count["I26"], count["99"], count["1d-2d"], count["6mt"]) == (12, 12, 11, 5)
    assert "x" not in count


def test_rows_in_any_order_and_without_a_code() -> None:
    rows: list[Row] = [(2, 5, "b", None), (1, 3, "c", None), (1, None, "a", None)]
    events = events_of(rows)
    assert [events.codes[code] for code in events.code_ids.tolist()] == ["a", "c", "b"]
    assert events.subject_ids.tolist() == [1, 2]
    assert all(early <= late for early, late in pairwise(events.times_us[:2].tolist()))
    time, code = pa.array([0], pa.timestamp("us")), pa.array([None], pa.string())
    table = pa.table({"subject_id": [1], "time": time, "code": code, "numeric_value": pa.array([None], pa.float32())})
    with pytest.raises(UserFacingError, match="no code"):
        PatientEvents.from_table(table)
