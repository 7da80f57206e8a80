"""What an event contributes is the record without it, read anew by its encoder; hiding its tokens is something else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from core.bundle import load_bundle, shipped_bundles
from core.encode.ehr.compact_sequence import fit_compact_sequence
from core.encode.ehr.encoders import encode_timeline, encode_timelines, rereading
from core.encode.ehr.one_hot import fit_one_hot
from core.encode.ehr.records import TimelineRecords
from core.events.concepts import concept_of
from core.events.cut import cut_at
from core.explain.event_ablation import RecordReadout, event_attribution
from core.fuse.batch import TokenBatch
from core.records import EHR, EventAttribution, Timeline, Tokens
from core.records.interfaces import RecordEncoder
from core.survive.model import SurvivalModel, build_model
from core.virtual.records import simulate_events
from core.virtual.sampling import sample_patient

HORIZON = 90.0
PATIENTS = range(600, 620)
ROOM = 48
"""Fewer tokens than most of these records have events: an older event moves up where one is left out."""


@dataclass(frozen=True, eq=False)
class Planted:
    """An encoder of records and a model with random weights, which heed every token."""

    encoder: RecordEncoder
    model: SurvivalModel


@cache
def record(index: int) -> Timeline:
    """A virtual patient's record, and in it a code that no encoder knows."""
    person = sample_patient("pe_mortality", "internal", 4, index)
    events = simulate_events(person, "balanced")
    odd = events.iloc[[len(events) // 2]].assign(code="LOCAL//77")
    events = pd.concat([events, odd]).sort_values("time", na_position="first", kind="stable", ignore_index=True)
    kept, later = cut_at(events, pd.Timestamp(person.study_time))
    return Timeline(kept, person.subject_id, pd.Timestamp(person.study_time), later_event_count=later)


@cache
def planted(name: str) -> Planted:
    records = TimelineRecords([record(index) for index in range(40)])
    encoder = fit_one_hot(records) if name == "one_hot" else fit_compact_sequence(records, hidden=16, max_tokens=ROOM)
    encoder = encoder.eval().requires_grad_(False)
    tokens = encoder.encode(records)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        sizes = {"widths": {EHR: encoder.width}, "hidden": 16}
        options = {"fusion": "ehr_only", "head": "piecewise", "members": 3, "pieces": 4, "head_options": {}}
        model = build_model({**options, "sizes": sizes}).eval().requires_grad_(False)
        for member in model.members:
            head: Any = member.head
            head.edges.copy_(torch.linspace(0, 365, 5))
            for weights in head.parameters():
                weights.copy_(torch.randn(weights.shape) * 0.5)
            for weights in list(head.parameters())[-1:]:
                weights.copy_(weights - 7)
    standard: Any = model.standard[EHR]
    standard.fit(torch.cat([torch.from_numpy(np.array(each.values)) for each in tokens]))
    return Planted(encoder, model)


def readout(case: Planted, timeline: Timeline) -> RecordReadout:
    tokens = encode_timeline(timeline, case.encoder)
    batch = TokenBatch.from_tokens({EHR: [tokens]})
    return RecordReadout(case.model, case.encoder, timeline, tokens, batch, HORIZON, torch.device("cpu"))


def contributions(case: Planted, timeline: Timeline) -> EventAttribution:
    found = event_attribution(readout(case, timeline))
    assert found is not None
    return found


def by_hand(case: Planted, records: list[Timeline]) -> np.ndarray:
    """log(-log S) of the mean curve in float64, of records read as any record is, each scored alone."""
    scores = []
    for tokens in encode_timelines(records, case.encoder):
        output = case.model(TokenBatch.from_tokens({EHR: [tokens]}, {EHR: case.encoder.width}))
        spent = np.clip(np.minimum(HORIZON, output.edges[1:].numpy()) - output.edges[:-1].numpy(), 0, None)
        curves = np.exp(-(np.exp(output.log_hazards[:, 0].double().numpy()) @ spent.astype(np.float64)))
        scores.append(np.log(-np.log(curves.mean())))
    return np.array(scores)


def without(timeline: Timeline, events: list[int]) -> Timeline:
    return replace(timeline, events=timeline.events.drop(index=events).reset_index(drop=True), digest="")


def sets_asked(timeline: Timeline, found: EventAttribution, index: int) -> tuple[list[list[int]], list[float]]:
    """Some events, those that nobody reads included, and some groups, with what they were said to contribute."""
    rng = np.random.default_rng(index)
    told = dict(zip(found.event_ids.tolist(), found.values.tolist(), strict=True))
    events = rng.permutation(len(timeline.events))[: None if index == PATIENTS[0] else 14].tolist()
    unknown = np.flatnonzero(timeline.events["code"] == "LOCAL//77").tolist()
    groups = [found.groups[place] for place in rng.permutation(len(found.groups))[:5]]
    asked = [[event] for event in events + unknown] + [group.event_ids.tolist() for group in groups]
    return asked, [told.get(event, 0.0) for event in events + unknown] + [group.contribution for group in groups]


@pytest.mark.parametrize("name", ["one_hot", "compact_sequence"])
def test_a_contribution_is_the_record_without_the_event_read_anew(name: str) -> None:
    case, strongest, moved_up = planted(name), 0.0, 0
    for index in PATIENTS:
        timeline = record(index)
        found = contributions(case, timeline)
        asked, told = sets_asked(timeline, found, index)
        (whole,) = by_hand(case, [timeline])
        expected = whole - by_hand(case, [without(timeline, events) for events in asked])
        np.testing.assert_allclose(told, expected, atol=1e-5)
        strongest = max(strongest, np.abs(expected).max())
        moved_up += len(timeline.events) > ROOM + 1
    assert strongest > 0.05, "the test would see a difference"
    assert moved_up > 5, "and the limit of the encoder is met"


def masked(asked: RecordReadout) -> dict[int, float]:
    """What each event would contribute were its tokens hidden, with the others left as they were read."""
    ids = np.asarray(asked.tokens.event_ids)
    whole = float(asked.model(asked.batch).log_cumulative_hazard(HORIZON))
    rows = asked.batch.rows(torch.zeros(len(ids), dtype=torch.int64))
    mask = rows[EHR].mask & torch.from_numpy(ids[:, None] != ids[None])
    scores = asked.model(rows.with_changed(EHR, mask=mask)).log_cumulative_hazard(HORIZON)
    return {event: whole - float(score) for event, score in zip(ids.tolist(), scores)}


@pytest.mark.parametrize("name", ["one_hot", "compact_sequence"])
def test_hiding_its_tokens_is_no_reading_without_the_event(name: str) -> None:
    """The control: the states of later events, the latest value and an older event that moves up all differ."""
    asked = readout(planted(name), record(PATIENTS[0]))
    found = event_attribution(asked)
    assert found is not None
    hidden = masked(asked)
    told = zip(found.event_ids.tolist(), found.values.tolist(), strict=True)
    differences = [abs(value - hidden.get(event, 0.0)) for event, value in told]
    assert max(differences) > 1e-3
    assert np.mean(np.array(differences) > 1e-5) > (0.9 if name == "compact_sequence" else 0.05)


def test_a_shipped_model_agrees_too() -> None:
    bundle = load_bundle(shipped_bundles()["pe_mortality/ehr_only"])
    encoder = bundle.encoders[EHR]
    assert isinstance(encoder, RecordEncoder)
    case = Planted(encoder, bundle.model)
    with torch.no_grad():
        for index in PATIENTS[1:4]:
            timeline = record(index)
            asked, told = sets_asked(timeline, contributions(case, timeline), index)
            (whole,) = by_hand(case, [timeline])
            rest = by_hand(case, [without(timeline, events) for events in asked])
            np.testing.assert_allclose(told, whole - rest, atol=1e-5)


@pytest.mark.parametrize("name", ["one_hot", "compact_sequence"])
def test_what_the_encoder_does_not_read_costs_no_pass_and_is_not_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, timeline = planted(name), record(PATIENTS[0])
    found = contributions(case, timeline)
    unknown = np.flatnonzero(timeline.events["code"] == "LOCAL//77")
    assert len(unknown)
    assert not set(unknown.tolist()) & set(found.event_ids.tolist())
    scored: list[int] = []
    forward = SurvivalModel.forward
    monkeypatch.setattr(SurvivalModel, "forward", lambda *a: (scored.append(len(a[1])), forward(*a))[1])
    again = contributions(case, timeline)
    several = sum(len(group.event_ids) > 1 for group in found.groups)
    assert sum(scored) <= 1 + len(found.event_ids) + several
    assert np.array_equal(again.values, found.values)


@pytest.mark.parametrize("name", ["one_hot", "compact_sequence"])
def test_every_event_read_stands_in_the_group_of_its_concept(name: str) -> None:
    timeline = record(PATIENTS[0])
    found = contributions(planted(name), timeline)
    concepts = timeline.events["code"].map(concept_of)
    for group in found.groups:
        (concept,) = set(concepts.iloc[group.event_ids])
        assert group.event_ids.tolist() == np.flatnonzero(concepts == concept).tolist()
    grouped = {event for group in found.groups for event in group.event_ids.tolist()}
    assert set(found.event_ids.tolist()) <= grouped
    several = [group for group in found.groups if len(group.event_ids) > 1]
    value = dict(zip(found.event_ids.tolist(), found.values.tolist(), strict=True))
    sums = [sum(value.get(event, 0.0) for event in group.event_ids.tolist()) for group in several]
    assert max(abs(sum_ - group.contribution) for sum_, group in zip(sums, several)) > 1e-3, "not the sum of each"


class Plain(RecordEncoder):
    """An encoder that says nothing of how it reads."""

    def __init__(self, inner: RecordEncoder) -> None:
        super().__init__()
        self.inner, self.config, self.width = inner, inner.config, inner.width

    def encode(self, records: Any) -> list[Tokens]:
        return self.inner.encode(records)


@pytest.mark.parametrize("name", ["one_hot", "compact_sequence"])
def test_an_encoder_that_knows_no_short_cut_gives_the_same(name: str) -> None:
    case, timeline = planted(name), record(PATIENTS[1])
    quick, slow = rereading(timeline, case.encoder), rereading(timeline, Plain(case.encoder))
    sets = [frozenset([event]) for event in range(len(timeline.events))] + [frozenset(range(len(timeline.events)))]
    for one, other in zip(quick(sets), slow(sets), strict=True):
        assert (one is None) == (other is None) or (name == "one_hot" and one is None)
        if one is not None and other is not None:
            np.testing.assert_allclose(one.values, other.values, atol=1e-5)
            np.testing.assert_array_equal(one.relative_positions, other.relative_positions)
            np.testing.assert_array_equal(one.event_ids, other.event_ids)


def test_a_record_without_tokens_has_none() -> None:
    case, timeline = planted("compact_sequence"), record(PATIENTS[0])
    foreign = replace(timeline, events=timeline.events.assign(code="LOCAL//1"), digest="")
    assert event_attribution(readout(case, foreign)) is None


def test_the_only_event_is_measured_against_a_record_that_is_missing() -> None:
    case, timeline = planted("compact_sequence"), record(PATIENTS[0])
    alone = replace(timeline, events=timeline.events.iloc[[0]], digest="")
    found = contributions(case, alone)
    expected = by_hand(case, [alone])[0] - by_hand(case, [without(alone, [0])])[0]
    assert found.values.tolist() == [pytest.approx(expected, abs=1e-5)]
