"""Timeline encoders: nothing leaks, nothing depends on other patients, unknown codes only lower the coverage."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from record_support import fitted

from core.encode import build_record_encoder
from core.encode.ehr.compact_sequence import CompactSequence
from core.encode.ehr.encoders import (
    encode_timeline,
    encode_timelines,
)
from core.encode.ehr.features import event_columns
from core.encode.ehr.one_hot import OneHotEncoder, fit_one_hot
from core.encode.ehr.records import TimelineRecords
from core.errors import UserFacingError
from core.events.cut import cut_at
from core.pretrain.next_code.train import next_code_loss, train_next_code
from core.pretrain.record_fits import RECORD_FITS
from core.records import TIMELINE_COLUMNS, Timeline
from core.records.interfaces import RecordEncoder
from core.virtual.codes import LUNG_CANCER_BY_ZONE
from core.virtual.patient import Regime
from core.virtual.records import simulate_events
from core.virtual.sampling import sample_patient


def _timeline(index: int, *, changed: pd.DataFrame | None = None, regime: Regime = "balanced") -> Timeline:
    person = sample_patient("pe_mortality", "internal", 4, index)
    events = simulate_events(person, regime)
    if changed is not None:
        events = pd.concat([events, changed], ignore_index=True)
    kept, later = cut_at(events, pd.Timestamp(person.study_time))
    return Timeline(kept, person.subject_id, pd.Timestamp(person.study_time), later_event_count=later)


def _rows(
    timeline: Timeline, code: str, day: float, value: float = float("nan"), unit: str | None = None
) -> pd.DataFrame:
    time = timeline.prediction_time + pd.Timedelta(days=day)
    row = dict(zip(TIMELINE_COLUMNS, (timeline.subject_id, time, code, np.float32(value), None, unit)))
    return pd.DataFrame([row]).astype({"time": "datetime64[us]"})


@cache
def _train() -> tuple[Timeline, ...]:
    return tuple(_timeline(index) for index in range(60))


@cache
def _encoder(name: str) -> RecordEncoder:
    return fitted(name, TimelineRecords(_train()), tuning=TimelineRecords(_train()[:10]), epochs=4)


@pytest.mark.parametrize("name", RECORD_FITS)
def test_tokens_are_well_formed(name: str) -> None:
    encoder = _encoder(name)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    for timeline in (_timeline(500), _timeline(501)):
        tokens = encode_timeline(timeline, encoder)
        assert tokens.values.shape == (len(tokens.positions), encoder.width)
        assert tokens.encoder == name
        assert tokens.event_ids is not None
        assert (tokens.positions <= 0).all()
        assert tokens.relative_positions.min() >= 0
        assert tokens.event_ids.max() < len(timeline.events)
        known = tokens.event_ids >= 0
        days = np.nan_to_num(timeline.days_from_prediction)[tokens.event_ids[known]]
        births = timeline.events["code"].to_numpy()[tokens.event_ids[known]] == "MEDS_BIRTH"
        if name != "compact_sequence":
            days = np.where(births, 0, days)
        np.testing.assert_allclose(tokens.positions[known], days, rtol=1e-5, atol=1e-4)
        assert 0.7 < tokens.coverage <= 1


@pytest.mark.parametrize("name", RECORD_FITS)
def test_nothing_after_the_prediction_time_reaches_a_token(name: str) -> None:
    plain = _timeline(500)
    leak = pd.concat([_rows(plain, "ICD10CM//I26.99", 0.01), _rows(plain, "LOINC//2160-0", 3, 9.0, "mg/dL")])
    changed = _timeline(500, changed=leak)
    assert changed.later_event_count == plain.later_event_count + 2
    first, second = encode_timeline(plain, _encoder(name)), encode_timeline(changed, _encoder(name))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.positions, second.positions)
    before = _timeline(500, changed=_rows(plain, "LOINC//2160-0", -0.001, 9.0, "mg/dL"))
    earlier = encode_timeline(before, _encoder(name))
    assert earlier.values.shape != first.values.shape or not np.array_equal(earlier.values, first.values)


@pytest.mark.parametrize("name", RECORD_FITS)
def test_a_patient_alone_and_among_others(name: str) -> None:
    group = [_timeline(index) for index in range(500, 520)]
    for item, together in zip(group, encode_timelines(group, _encoder(name))):
        alone = encode_timeline(item, _encoder(name))
        np.testing.assert_allclose(alone.values, together.values, atol=1e-5)
        np.testing.assert_array_equal(alone.event_ids, together.event_ids)


@pytest.mark.parametrize("name", RECORD_FITS)
def test_unknown_code_or_unit_lowers_coverage_and_changes_nothing_else(name: str) -> None:
    plain = _timeline(500)
    odd = pd.concat([_rows(plain, "LOCAL//77", -2, 5.0, "x"), _rows(plain, "LOINC//718-7", -0.0007, 131.0, "g/L")])
    first, second = encode_timeline(plain, _encoder(name)), encode_timeline(_timeline(500, changed=odd), _encoder(name))
    assert second.coverage < first.coverage
    np.testing.assert_allclose(first.values, second.values, atol=1e-6)


def test_a_number_in_another_unit_is_in_no_mean_of_an_encounter() -> None:
    plain = _timeline(500)
    near = _timeline(500, changed=_rows(plain, "LOINC//718-7", -0.002, 13.0, "g/dL"))
    foreign = pd.concat(
        [_rows(plain, "LOINC//718-7", -0.003, 131.0, "g/L"), _rows(plain, "LOINC//718-7", -0.002, 13.0, "g/dL")]
    )
    both = _timeline(500, changed=foreign)
    first, second = (encode_timeline(item, _encoder("one_hot")) for item in (near, both))
    np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize("name", RECORD_FITS)
def test_empty_and_fully_unknown_timelines_have_no_tokens(name: str) -> None:
    plain = _timeline(500)
    empty = Timeline(plain.events.iloc[:0], plain.subject_id, plain.prediction_time)
    foreign = replace(plain, events=plain.events.assign(code="LOCAL//1").reset_index(drop=True), digest="")
    for timeline in (empty, foreign):
        tokens = encode_timeline(timeline, _encoder(name))
        assert tokens.values.shape == (0, _encoder(name).width)
        assert tokens.coverage == 0


@pytest.mark.parametrize("name", RECORD_FITS)
def test_config_and_weights_rebuild_the_encoder(name: str) -> None:
    encoder = _encoder(name)
    again = build_record_encoder(json.loads(json.dumps(encoder.config)))
    again.load_state_dict(encoder.state_dict())
    timeline = _timeline(501)
    first, second = (encode_timeline(timeline, item) for item in (encoder, again))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first.values, second.values)
    assert sum(value.numel() for value in encoder.state_dict().values()) <= 250_000


@pytest.mark.parametrize("name", ["one_hot", "compact_sequence", "concepts"])
def test_only_training_timelines_shape_the_encoder(name: str) -> None:
    """Other patients cannot change vocabulary or scales: they are not handed in. Scales fit training values."""
    encoder = _encoder(name)
    scale = next(item for item in encoder.scales if item.code == "LOINC//718-7")
    tables = [event_columns(item) for item in _train()]
    values = np.concatenate([item.values[item.codes == "LOINC//718-7"] for item in tables])
    assert scale.centre == pytest.approx(values.mean(), abs=0.05)
    assert scale.unit == "g/dL"
    one = fit_one_hot(TimelineRecords(_train()[:30]))
    assert one.config != fit_one_hot(TimelineRecords([_timeline(index) for index in range(200, 230)])).config


def test_unknown_encoder_names_are_refused() -> None:
    with pytest.raises(UserFacingError, match="record encoder"):
        build_record_encoder({"name": "clmbr"})
    with pytest.raises(UserFacingError):
        fitted("clmbr", TimelineRecords(_train()))


def test_one_hot_reads_known_facts() -> None:
    encoder = _encoder("one_hot")
    assert isinstance(encoder, OneHotEncoder)
    assert encoder.width <= 200
    timeline = _timeline(500)
    tokens = encode_timeline(timeline, encoder)
    total = tokens.values.sum(0)
    assert total[:6].sum() == 1
    assert total[7:9].tolist() == ([1, 0] if timeline.sex == "F" else [0, 1])
    for number, scale in enumerate(encoder.scales):
        low, within, high, z, missing = total[9 + 5 * number : 14 + 5 * number]
        assert low + within + high + missing == 1
        values = timeline.events.loc[timeline.events.code == scale.code, "numeric_value"].dropna()
        assert (missing == 1) == values.empty
        if scale.code == "LOINC//718-7" and not values.empty:
            assert z == pytest.approx(scale.standard(float(values.iloc[-1])), abs=0.6)


def test_one_hot_tells_the_zones_apart() -> None:
    hinted = [_timeline(index, regime="ehr_selects_region") for index in range(80)]
    encoder = fit_one_hot(TimelineRecords(hinted))
    keys = ["ICD10CM//C34.1", "ICD10CM//C34.0", "ICD10CM//C34.2", "ICD10CM//C34.3"]
    columns = [encoder.width - len(encoder.config["coded"]) + encoder.config["coded"].index(key) for key in keys]
    for index, timeline in enumerate(hinted[:20]):
        zone = sample_patient("pe_mortality", "internal", 4, index).clinical.selected_zone
        shown = encode_timeline(timeline, encoder).values.sum(0)[columns]
        assert shown.tolist() == [float(place == zone) for place in range(4)]
        assert timeline.events.code.isin(LUNG_CANCER_BY_ZONE[zone]).any()


def test_sequence_is_causal() -> None:
    encoder = _encoder("compact_sequence")
    assert isinstance(encoder, CompactSequence)
    coded = encoder.read(_timeline(500))
    batch = encoder.collate([coded])
    place = len(coded) // 2
    changed = encoder.collate([coded])
    changed.symbols[0, place:] = (changed.symbols[0, place:] + 3) % len(encoder.config["codes"])
    changed.time[0, place:] = 0.3
    with torch.no_grad():
        first, second = encoder.hidden_states(batch)[0], encoder.hidden_states(changed)[0]
    torch.testing.assert_close(first[:place], second[:place], atol=1e-6, rtol=0)
    assert not torch.allclose(first[place], second[place], atol=1e-3)


def test_a_record_too_long_keeps_its_facts_and_its_latest_events() -> None:
    """Age and sex stand first in a record: they are read however many events follow."""
    plain = _timeline(500)
    facts = int((plain.events["time"].isna() | (plain.events["code"] == "MEDS_BIRTH")).sum())
    many = pd.concat([_rows(plain, "LOINC//718-7", -20 - number, 12.0, "g/dL") for number in range(300)])
    timeline = _timeline(500, changed=many)
    tokens = encode_timeline(timeline, _encoder("compact_sequence"))
    assert facts > 1
    assert tokens.event_ids is not None
    last = len(timeline.events)
    assert tokens.event_ids.tolist() == [*range(facts), *range(last - 256 + facts, last)]


def test_facts_take_a_quarter_of_the_room_at_most() -> None:
    plain = _timeline(500)
    sexes = pd.concat([plain.events[plain.events["code"].str.startswith("GENDER")]] * 300)
    timeline = _timeline(500, changed=sexes)
    tokens = encode_timeline(timeline, _encoder("compact_sequence"))
    assert tokens.event_ids is not None
    last, facts = len(timeline.events), 32
    assert tokens.event_ids.tolist() == [*range(facts), *range(last - 256 + facts, last)]


def test_next_code_loss_is_the_mean_over_real_events() -> None:
    """Against a loop over patients and events, and lower after training than before."""
    encoder = _encoder("compact_sequence")
    assert isinstance(encoder, CompactSequence)
    coded = [encoder.read(_timeline(index)) for index in (500, 501, 502)]
    with torch.no_grad():
        found = float(next_code_loss(encoder, coded))
        losses = []
        for item in coded:
            logits = encoder.next_symbol(encoder.hidden_states(encoder.collate([item])))[0].log_softmax(-1)
            losses += [-float(logits[place, item.symbols[place + 1]]) for place in range(len(item) - 1)]
        assert found == pytest.approx(np.mean(losses), abs=1e-4)
        fresh = build_record_encoder(encoder.config)
        assert isinstance(fresh, CompactSequence)
        assert found < float(next_code_loss(fresh, coded)) - 0.3


def test_training_twice_gives_the_same_weights() -> None:
    first, second = (fitted("compact_sequence", TimelineRecords(_train()[:20]), epochs=1, seed=3) for _ in range(2))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], atol=0, rtol=0)


def test_training_on_nothing_leaves_the_encoder_usable() -> None:
    encoder = fitted("compact_sequence", TimelineRecords(_train()[:4]), epochs=1)
    assert isinstance(encoder, CompactSequence)
    report = train_next_code(encoder, TimelineRecords([]), epochs=2)
    assert report.train_loss == ()
    assert len(encode_timeline(_timeline(500), encoder).values)
