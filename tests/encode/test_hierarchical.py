"""The record encoder from stay to admission: what is a series, a set, a note; sets, not sequences; what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from record_support import Given

from core.encode import build_record_encoder
from core.encode.ehr.features import EventColumns
from core.encode.ehr.hierarchical import Hierarchical
from core.encode.ehr.stay_features import StayVocabulary, fit_stay_vocabulary, hashed_words, read_admissions
from core.records import BIRTH

NOTE = "the patient felt better after the weekend and went home with her daughter"


def table(*rows: tuple[str, float, float, str | None]) -> EventColumns:
    """(code, days, value, text)."""
    codes, days, values, texts = zip(*rows) if rows else ((), (), (), ())
    units = np.full(len(codes), None, object)
    return EventColumns(
        np.array(codes, object), np.array(values, float), units, np.array(texts, object), np.array(days, float)
    )


def stay(
    start: float, *, reason: str, drug: str | None = None, note: str | None = NOTE, pulses: int = 5
) -> list[tuple]:
    rows: list[tuple] = [("HOSPITAL_ADMISSION//EW", start, np.nan, None)]
    rows += [("BEAT", start + (hour + 0.5) / 24, 60.0 + 10 * hour, None) for hour in range(pulses)]
    rows.append((f"REASON//{reason}", start + 1, np.nan, None))
    if drug:
        rows.append((f"DRUG//{drug}", start + 0.5, np.nan, None))
    if note:
        rows.append(("SAID", start + 1, np.nan, note))
    return [*rows, ("HOSPITAL_DISCHARGE//HOME", start + 1, np.nan, None)]


def person(sex: str = "F", years: float = 70) -> list[tuple]:
    return [(BIRTH, -365.25 * years, years, None), (f"GENDER//{sex}", np.nan, np.nan, None)]


TRAINING = [
    table(
        *person("FM"[n % 2], 50 + n),
        *stay(-40, reason="ab"[n % 2], drug="xy"[n % 4 > 1]),
        *stay(-9, reason="c", note=None),
    )
    for n in range(12)
]


@pytest.fixture(scope="module")
def vocabulary() -> StayVocabulary:
    return fit_stay_vocabulary(TRAINING)


@pytest.fixture(scope="module")
def encoder(vocabulary: StayVocabulary) -> Hierarchical:
    torch.manual_seed(0)
    built = build_record_encoder({"name": "hierarchical", "hidden": 16, "vocabulary": vocabulary.to_json()})
    assert isinstance(built, Hierarchical)
    return built


def test_repetition_makes_a_series_and_names_do_not(vocabulary: StayVocabulary) -> None:
    assert set(vocabulary.series) == {"BEAT"}
    assert len(vocabulary.series["BEAT"]) == 3  # quarters of its values
    items = {item for group in vocabulary.groups.values() for item in group}
    assert {"REASON//a", "REASON//c", "DRUG//x", "DRUG//y", "SAID"} <= items
    assert not any(item.startswith(("HOSPITAL", "GENDER", BIRTH)) for item in items)
    assert set(vocabulary.static) == {"GENDER//F", "GENDER//M"}
    assert StayVocabulary.from_json(vocabulary.to_json()).to_json() == vocabulary.to_json()


def test_hours_and_quarters_are_those_of_the_events(vocabulary: StayVocabulary) -> None:
    first, second = read_admissions(TRAINING[0], vocabulary)
    assert (first.start_days, first.end_days, first.inside) == (-40, -39, True)
    (hours,) = first.stays
    assert hours.hours.tolist() == [0, 1, 2, 3, 4]
    assert hours.length == 24
    edges = vocabulary.series["BEAT"]
    assert hours.features.tolist() == [int(np.searchsorted(edges, 60 + 10 * hour, side="right")) for hour in range(5)]
    assert first.note is not None
    assert second.note is None


def test_order_and_repetition_change_no_set_and_no_token(encoder: Hierarchical) -> None:
    rows = [*person(), *stay(-20, reason="a", drug="x")]
    again = [*reversed(rows), ("REASON//a", -19.0, np.nan, None)]
    one, other = encoder.encode(Given([table(*rows), table(*again)]))
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_a_patient_alone_and_among_others_reads_alike(encoder: Hierarchical) -> None:
    records = [*TRAINING[:5], table(*person()), table()]
    together = encoder.encode(Given(records))
    for number, record in enumerate(records):
        (alone,) = encoder.encode(Given([record]))
        assert alone.values.shape == together[number].values.shape
        np.testing.assert_allclose(alone.values, together[number].values, atol=1e-5)


def test_missing_parts_give_no_token_and_finite_numbers(encoder: Hierarchical) -> None:
    whole, no_note, no_drug, nothing = encoder.encode(
        Given([
            table(*person(), *stay(-20, reason="a", drug="x")),
            table(*person(), *stay(-20, reason="a", drug="x", note=None)),
            table(*person(), *stay(-20, reason="a")),
            table(*person()),
        ])
    )  # fmt: skip
    kinds = whole.values[:, encoder.hidden :].argmax(1).tolist()
    assert kinds == list(range(len(encoder.kinds)))
    for fewer in (no_note, no_drug):
        assert len(fewer.values) == len(whole.values) - (2 if fewer is no_note else 1)  # a note is also a code: SAID
        assert np.isfinite(fewer.values).all()
    assert len(nothing.values) == 0
    assert whole.positions.tolist() == [-19] * len(whole.values)


def test_another_part_leaves_the_tokens_of_the_rest_as_they_are(encoder: Hierarchical) -> None:
    one, other = encoder.encode(
        Given([table(*person(), *stay(-20, reason="a", drug="x")), table(*person(), *stay(-20, reason="b", drug="x"))])
    )
    same = np.isclose(one.values, other.values, atol=1e-6).all(1)
    changed = {encoder.kinds[number] for number in np.flatnonzero(~same)}
    assert changed == {"admission", "REASON"}


def test_embedding_is_differentiable_and_the_summary_is_of_admissions(encoder: Hierarchical) -> None:
    prepared = encoder.prepared(Given([TRAINING[0], table(*person())]))
    values, mask = encoder.embedded(prepared)
    summed = encoder.summed(values, mask)
    assert summed.shape == (2, 32)
    assert (summed[1] == 0).all()
    summed.sum().backward()
    assert encoder.stay.first.weight_ih_l0.grad is not None
    encoder.zero_grad()


def test_words_are_counted_in_buckets() -> None:
    one, other = hashed_words("clot clot lung"), hashed_words("lung clot CLOT")
    np.testing.assert_array_equal(one, other)
    assert np.linalg.norm(one) == pytest.approx(1)
    assert (hashed_words("") == 0).all()
