"""The sparse encoder of MedM2T: windows, tenths, both directions, and what must not matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from record_support import Given

from core.encode.ehr.features import EventColumns
from core.encode.ehr.windows import TENTHS, WindowEncoder, fit_windows


def table(rows: list[tuple[str, float, float]]) -> EventColumns:
    codes, days, values = zip(*rows) if rows else ((), (), ())
    nothing = np.full(len(codes), None, object)
    return EventColumns(np.array(codes, object), np.array(values, float), nothing, nothing, np.array(days, float))


def training(change: Callable[[np.ndarray], np.ndarray] = lambda value: value) -> list[EventColumns]:
    draw = np.random.default_rng(0)
    tables = []
    for _ in range(60):
        rows = [
            (f"LAB//{lab}", -float(day) + float(draw.uniform(0.1, 0.9)), float(draw.normal()))
            for day in range(1, 11)
            for lab in range(4)
            if draw.random() < 0.5
        ]
        rows.append(("DIAGNOSIS//X", -3.0, np.nan))
        tables.append(table([(code, day, float(change(np.array(value)))) for code, day, value in rows]))
    return tables


@pytest.fixture(scope="module")
def encoder() -> WindowEncoder:
    return fit_windows(Given(training()), seed=1).eval()


def test_windows_hold_equal_shares_and_tenths_are_observed_values(encoder: WindowEncoder) -> None:
    assert encoder.windows == 10
    np.testing.assert_allclose(encoder.edges_days, np.arange(-9, 0), atol=0.4)
    numbers = np.concatenate([one.values[np.isfinite(one.values)] for one in training()])
    for code, edges in zip(encoder.sources, encoder.tenths):
        assert len(edges) == (TENTHS - 1 if code.startswith("LAB") else 0)
        assert np.isin(edges, numbers).all()


def test_an_increasing_change_of_unit_changes_nothing(encoder: WindowEncoder) -> None:
    tables = training()
    for change in (lambda value: np.exp(value), lambda value: 3 * value - 7, lambda value: np.sinh(value) * 1e3):
        changed = training(change)
        other = fit_windows(Given(changed), seed=1).eval()
        for one, two in zip(encoder.encode(Given(tables)), other.encode(Given(changed))):
            np.testing.assert_array_equal(one.values, two.values)


def test_order_within_a_window_and_values_never_taken_change_nothing(encoder: WindowEncoder) -> None:
    rows = [("LAB//0", -2.5, 0.3), ("LAB//1", -2.4, -1.0), ("LAB//0", -0.5, 2.0), ("UNKNOWN//9", -1.0, 5.0)]
    whole, mixed = encoder.encode(Given([table(rows), table([rows[1], rows[0], rows[2]])]))
    np.testing.assert_allclose(whole.values, mixed.values, atol=1e-6)
    assert (whole.known_share, mixed.known_share) == (0.75, 1.0)


def test_a_patient_alone_and_among_others_reads_alike(encoder: WindowEncoder) -> None:
    records = [*training()[:6], table([])]
    together = encoder.encode(Given(records))
    for number, record in enumerate(records):
        (alone,) = encoder.encode(Given([record]))
        np.testing.assert_allclose(alone.values, together[number].values, atol=1e-6)
    assert len(together[-1].values) == 0


def test_newer_windows_never_reach_older_states_before_the_directions_join(encoder: WindowEncoder) -> None:
    older = [("LAB//0", -9.5, 0.3), ("LAB//1", -5.5, -1.0)]
    prepared = encoder.prepared(Given([table(older), table([*older, ("LAB//2", -0.5, 2.0)])]))
    with torch.no_grad():
        states = encoder.window_states(prepared)
        both, _ = encoder.read(states)
    assert torch.equal(states[0, :-1], states[1, :-1])
    half = both.shape[2] // 2
    assert torch.equal(both[0, :-1, :half], both[1, :-1, :half])
    assert not torch.equal(both[0, 0, half:], both[1, 0, half:])


def test_the_summary_is_the_end_of_each_direction(encoder: WindowEncoder) -> None:
    with torch.no_grad():
        prepared = encoder.prepared(Given(training()[:3]))
        values, mask = encoder.embedded(prepared)
        _, (state, _) = encoder.read(encoder.window_states(prepared))
    torch.testing.assert_close(encoder.summed(values, mask), torch.cat([state[0], state[1]], 1))


def test_cumulative_windows_are_a_switch() -> None:
    read = fit_windows(Given(training()), cumulative=True)
    prepared = read.prepared(Given([table([("LAB//0", -9.5, 0.3)])]))
    with torch.no_grad():
        states = read.window_states(prepared)[0]
    assert torch.equal(states[0], states[-1])
    assert not torch.equal(states[0], read.none)
