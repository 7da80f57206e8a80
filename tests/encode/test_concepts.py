"""The concept encoder: latest values, ancestors, thin records, parents of a data set, and what training teaches it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from record_support import fitted

from core.encode.ehr.concepts import ConceptEncoder, fit_concepts
from core.encode.ehr.encoders import encode_timeline, encode_timelines, rereading
from core.encode.ehr.features import event_columns
from core.encode.ehr.records import TimelineRecords
from core.encode.ehr.thinning import THINNINGS, ThinnedRecords, thinned
from core.events.cut import cut_at
from core.pretrain.record_outcomes.train import Outcomes, train_on_outcomes
from core.records import TIMELINE_COLUMNS, Timeline, Tokens
from core.survive import concordance
from core.virtual.records import simulate_events
from core.virtual.sampling import sample_patient

NOW = pd.Timestamp("2020-06-01")


def record(*rows: tuple[float, str, float | None], parents: dict[str, tuple[str, ...]] | None = None) -> Timeline:
    """A timeline of (day, code, value)."""
    table = pd.DataFrame(
        [
            (1, NOW + pd.Timedelta(days=day), code, np.nan if value is None else value, None, None)
            for day, code, value in sorted(rows, key=lambda row: row[0])
        ],
        columns=list(TIMELINE_COLUMNS),
    ).astype({"time": "datetime64[us]", "numeric_value": np.float32})
    return Timeline(table, 1, NOW, code_parents=parents or {})


@cache
def virtual(index: int) -> Timeline:
    person = sample_patient("mace", "internal", 5, index)
    kept, later = cut_at(simulate_events(person, "balanced"), pd.Timestamp(person.study_time))
    return Timeline(kept, person.subject_id, pd.Timestamp(person.study_time), later_event_count=later)


@cache
def encoder() -> ConceptEncoder:
    found = fitted("concepts", TimelineRecords([virtual(index) for index in range(80)]), epochs=1)
    assert isinstance(found, ConceptEncoder)
    return found


def assert_same(one: Tokens, other: Tokens) -> None:
    np.testing.assert_allclose(one.values, other.values, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(one.positions, other.positions)


def test_a_concept_is_one_token_with_the_mean_of_its_latest_values() -> None:
    rows = ((-400.0, "LOINC//718-7", 9.0), (-1.5, "LOINC//718-7", 12.0), (-0.5, "LOINC//718-7", 14.0))
    read = encoder().read_columns(event_columns(record(*rows, (-30.0, "ICD10CM//I10", None))))
    scale = next(scale for scale in encoder().scales if scale.code == "LOINC//718-7")
    assert len(read.days) == 2
    assert sorted(read.days.tolist()) == [-30.0, -0.5]
    (lab,) = np.flatnonzero(read.column >= 0)
    assert read.z[lab] == pytest.approx(scale.standard(13.0))
    assert read.event_ids[lab] == 3


def test_an_unseen_code_is_read_by_its_nearest_known_group() -> None:
    """Never coded in training: a sister code reads as the category, one of another category as its block or chapter."""
    known, sister, cousin = "ICD10CM//I50.9", "ICD10CM//I50.811", "ICD10CM//I51.7"
    assert known in encoder().config["nodes"]
    assert {sister, cousin}.isdisjoint(encoder().config["nodes"])
    shares = [encode_timeline(record((-3.0, code, None)), encoder()) for code in (known, sister, cousin, "XYZ//1")]
    assert [dict(tokens.known_by) for tokens in shares[:3]] == [
        {"exact": 1.0, "category": 0.0, "chapter": 0.0},
        {"exact": 0.0, "category": 1.0, "chapter": 0.0},
        {"exact": 0.0, "category": 1.0, "chapter": 0.0},
    ]
    chapter = encode_timeline(record((-3.0, "ICD9CM//451.0", None)), encoder())
    assert sum(chapter.known_by.values()) == 1
    assert (shares[3].known_share, len(shares[3].values)) == (0.0, 0)
    near = [float(np.abs(one.values[0] - shares[0].values[0]).mean()) for one in shares[1:3]]
    assert near[0] < near[1]


def test_parents_of_the_data_set_say_what_a_local_code_is() -> None:
    parents = {"LAB//220045//bpm": ("LOINC//8867-4",), "DX//a": ("ICD10CM//I10",)}
    local = record((-1.0, "LAB//220045//bpm", 80.0), (-2.0, "DX//a", None), parents=parents)
    standard = record((-1.0, "LOINC//8867-4", 80.0), (-2.0, "ICD10CM//I10", None))
    assert_same(encode_timeline(local, encoder()), encode_timeline(standard, encoder()))
    without = encode_timeline(replace(local, code_parents={}, digest=""), encoder())
    assert len(without.values) < 2


def test_tokens_of_a_patient_do_not_depend_on_others_and_every_token_carries_the_summary() -> None:
    several = [virtual(index) for index in range(100, 110)]
    together = encode_timelines(several, encoder())
    for timeline, tokens in zip(several, together, strict=True):
        assert_same(encode_timeline(timeline, encoder()), tokens)
        summary = tokens.values[:, int(encoder().config["hidden"]) :]
        assert (summary == summary[0]).all()


def test_rereading_is_the_record_without_these_events() -> None:
    timeline = virtual(120)
    sets = [frozenset({place}) for place in range(3, len(timeline.events), 7)] + [frozenset(range(5, 40))]
    for left_out, tokens in zip(sets, rereading(timeline, encoder())(sets), strict=True):
        kept = np.setdiff1d(np.arange(len(timeline.events)), list(left_out))
        rest = replace(timeline, events=timeline.events.iloc[kept].reset_index(drop=True), digest="")
        expected = encode_timeline(rest, encoder())
        if tokens is None:
            assert_same(expected, encode_timeline(timeline, encoder()))
        else:
            assert_same(tokens, expected)
            assert tokens.event_ids is not None
            assert not left_out & set(tokens.event_ids.tolist())


def test_thinned_records_hold_less_of_the_same() -> None:
    table = event_columns(virtual(130))
    rng, sizes = np.random.default_rng(0), []
    for _ in range(60):
        less = thinned(table, rng)
        sizes.append(len(less))
        assert set(less.codes) <= set(table.codes)
        assert len(less) <= len(table)
    assert min(sizes) <= 3
    assert len(set(sizes)) > 10
    gone = THINNINGS["no diagnoses"][0](table, rng)
    assert not any(code.startswith("ICD10CM") for code in table.codes[gone])
    assert any(code.startswith("ICD10CM") for code in table.codes)
    both = [ThinnedRecords(TimelineRecords([virtual(130)]), seed).columns()[0] for seed in (3, 3)]
    assert both[0].codes.tolist() == both[1].codes.tolist()


def test_training_learns_what_a_code_and_a_value_foretell_and_noise_teaches_nothing() -> None:
    """Hazard of the planted disease e^1.5, of the planted test e^.8 a standard deviation; of shuffled outcomes none."""
    rng = np.random.default_rng(4)
    count = 1500
    ill, level = rng.random(count) < 0.4, rng.normal(size=count)
    records = [
        record(
            *([(-50.0, "ICD10CM//I50.9", None)] if sick else []),
            (-3.0, "LOINC//718-7", 12.0 + value),
            (-9.0, "VISIT//OUTPATIENT", None),
            (-rng.uniform(5, 300), f"CPT//{rng.integers(20)}", None),
        )
        for sick, value in zip(ill, level, strict=True)
    ]
    eta = 1.5 * ill + 0.8 * level
    times = 300 * rng.exponential(size=count) / np.exp(eta)
    outcomes = Outcomes(np.minimum(times, 400.0), times < 400.0)
    train, rest = slice(1000), slice(1000, None)

    def concordance_of(outcomes: Outcomes) -> float:
        read = TimelineRecords(records[train])
        made = fit_concepts(read, seed=1)
        told = Outcomes(outcomes.times_days[train], outcomes.events[train])
        train_on_outcomes(made, read, told, epochs=8, copies=1, seed=2)
        summaries = np.stack([tokens.values[0, 32:] for tokens in made.encode(TimelineRecords(records))])
        basis = np.column_stack([summaries, np.ones(count)])
        weights = np.linalg.lstsq(basis[train], -np.log(told.times_days), rcond=1e-3)[0]
        true = (np.minimum(times, 400.0)[rest], (times < 400.0)[rest])
        return float(concordance(*true, (basis @ weights)[rest]))

    oracle = float(concordance(outcomes.times_days[rest], outcomes.events[rest], eta[rest]))
    assert concordance_of(outcomes) > oracle - 0.02
    draw = rng.permutation(count)
    assert concordance_of(Outcomes(outcomes.times_days[draw], outcomes.events[draw])) < 0.6


def test_a_number_in_another_unit_is_not_read() -> None:
    made = encoder()
    timeline = record((-1.0, "LOINC//718-7", 130.0))
    foreign = replace(timeline, events=timeline.events.assign(unit="g/L"), digest="")
    assert len(encode_timeline(foreign, made).values) == 0
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert torch.isfinite(made.node.weight).all()
