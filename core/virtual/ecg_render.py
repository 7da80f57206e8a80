"""A rendered ECG: ten seconds of twelve leads, and where in it something beyond the normal was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.virtual.ecg_beats import (
    ECTOPIC_MS,
    LEADS,
    RATE_HZ,
    ST_ONSET_MS,
    Build,
    FloatArray,
    Wave,
    bump,
    ectopic_waves,
    in_leads,
    is_wide,
    leads_touched,
    p_waves,
    pattern,
    qrs_span_ms,
    qrs_waves,
    sampled_ms,
    st_shape,
    t_wave,
    template,
    times_of,
    twelve,
)
from core.virtual.ecg_findings import DURATION_S, EcgFindings

SAMPLES = round(DURATION_S * RATE_HZ)
_MARGIN = 2 * RATE_HZ
"""Samples before and after the ten seconds, into which the beats of the edges reach."""


class Segment(NamedTuple):
    """Where one beat shows in one lead something beyond the normal; what: st, qrs, t or ectopy."""

    lead: str
    start_s: float
    end_s: float
    what: str


@dataclass(frozen=True, eq=False)
class RenderedEcg:
    """`signal_mv` float32 (5000, 12), 500 Hz, leads as of `LEADS`; `written`: what the findings changed in it.

    Reciprocal changes are included. A block's T waves, which it turns, are written like lowered ones. Times lie within
    the ten seconds.
    """

    signal_mv: npt.NDArray[np.float32]
    written: tuple[Segment, ...]


@dataclass(frozen=True, eq=False)
class _Rhythm:
    """Onsets of the QRS complexes of the basic rhythm in seconds; those that an ectopic beat takes the place of."""

    onsets_s: FloatArray
    ectopic: dict[int, float]

    def conducted(self) -> list[float]:
        return [float(onset) for beat, onset in enumerate(self.onsets_s) if beat not in self.ectopic]


def render_ecg(findings: EcgFindings, rng: np.random.Generator) -> RenderedEcg:
    """Render findings. Rhythm, complexes and noise have streams of their own: equal but for what the findings change.

    rng: of the patient; it is not advanced, but spawned from.
    """
    beats_rng, ectopy_rng, build_rng, noise_rng = rng.spawn(4)
    build = Build.draw(build_rng)
    rhythm = _rhythm(findings, beats_rng, ectopy_rng)
    leads = _beats(findings, build, rhythm, breath=float(build_rng.uniform(0, 2 * np.pi)))
    noise = _noise(noise_rng)
    fibrillation = _fibrillation(noise_rng)
    if findings.atrial_fibrillation:
        leads += fibrillation
    signal = twelve(leads + noise).astype(np.float32)
    return RenderedEcg(signal, _written(findings, rhythm))


def _rhythm(findings: EcgFindings, rng: np.random.Generator, ectopy_rng: np.random.Generator) -> _Rhythm:
    """Beats from before the first second to after the last; the mean interval of those between is the rate's."""
    mean = 60 / findings.heart_rate_bpm
    shown = round(DURATION_S / mean)
    phase, breath, chance = rng.uniform(0.1, 0.9), rng.uniform(0, 2 * np.pi), rng.normal(size=40)
    irregular = rng.gamma(24, 1 / 24, size=40)
    if findings.atrial_fibrillation:
        intervals = np.maximum(mean * irregular, 0.33)
    else:
        intervals = mean * (1 + 0.025 * np.sin(2 * np.pi * 0.25 * mean * np.arange(40) + breath) + 0.006 * chance)
    intervals *= mean / intervals[:shown].mean()
    onsets = np.concatenate([[0.0], np.cumsum(intervals)]) - phase * mean
    onsets = np.round(onsets[onsets < DURATION_S + 0.6] * RATE_HZ) / RATE_HZ
    return _Rhythm(onsets, _ectopic(findings, onsets, ectopy_rng))


def _ectopic(findings: EcgFindings, onsets_s: FloatArray, rng: np.random.Generator) -> dict[int, float]:
    """Beats replaced by an early ectopic one, and its onset; the next beat comes when it would: a full pause.

    Neighbours are replaced only where there is no other room.
    """
    inside = np.flatnonzero((onsets_s >= 1.0) & (onsets_s <= DURATION_S - 0.8))
    order = [int(beat) for beat in rng.permutation(inside[inside > 0])]
    every_second = sorted(order, key=lambda beat: beat % 2 != order[0] % 2)
    chosen = sorted(every_second[: findings.ectopic_beats])
    qt_s = times_of(findings).t_end_ms / 1000
    return {beat: _early(onsets_s[beat - 1], onsets_s[beat], qt_s) for beat in chosen}


def _early(before_s: float, usual_s: float, qt_s: float) -> float:
    """Onset of an ectopic beat: past the T wave before it, well ahead of the usual time."""
    interval = usual_s - before_s
    coupling = min(max(0.62 * interval, qt_s + 0.02), 0.85 * interval)
    return float(np.round((before_s + coupling) * RATE_HZ) / RATE_HZ)


def _beats(findings: EcgFindings, build: Build, rhythm: _Rhythm, breath: float) -> FloatArray:
    """(5000, 8) the measured leads without noise."""
    times = times_of(findings)
    first, last = -(findings.pr_ms or 0.0) - 20, times.t_end_ms + 10
    waves = [*p_waves(findings, build), *qrs_waves(findings, build), t_wave(findings, build)]
    usual = in_leads(template(waves, first, last))
    at = sampled_ms(first, last)
    lowered = bump(at, Wave(times.t_peak_ms, times.t_rise_ms, times.t_fall_ms, (0, 0, 0)))
    changed = findings.st_deviation_mv * st_shape(at, times)[:, None] * pattern(findings.st_territory)
    changed -= findings.t_lowering_mv * lowered[:, None] * pattern(findings.t_territory)
    early = in_leads(template(ectopic_waves(build), *ECTOPIC_MS))
    total = np.zeros((SAMPLES + 2 * _MARGIN, 8))
    for onset in rhythm.conducted():
        swell = 1 + 0.03 * np.sin(2 * np.pi * 0.25 * onset + breath)
        _add(total, swell * usual + changed, onset, first)
    for onset in rhythm.ectopic.values():
        _add(total, early, onset, ECTOPIC_MS[0])
    return total[_MARGIN:-_MARGIN]


def _add(total: FloatArray, beat: FloatArray, onset_s: float, first_ms: float) -> None:
    start = _MARGIN + round(onset_s * RATE_HZ) + round(first_ms * RATE_HZ / 1000)
    total[start : start + len(beat)] += beat


def _fibrillation(rng: np.random.Generator) -> FloatArray:
    """(5000, 8) waves of 4 to 8 Hz that wax and wane, best seen in V1."""
    at = np.arange(SAMPLES) / RATE_HZ
    total = np.zeros(SAMPLES)
    for rate_hz in rng.uniform(4.5, 7.5, size=4):
        drift = 0.8 * np.sin(2 * np.pi * rng.uniform(0.15, 0.5) * at + rng.uniform(0, 6.3))
        total += np.sin(2 * np.pi * rate_hz * at + drift + rng.uniform(0, 6.3))
    return in_leads(total[:, None] * rng.uniform(0.02, 0.035) * np.array([0.1, 0.2, -0.65]))


def _noise(rng: np.random.Generator) -> FloatArray:
    """(5000, 8) of nine electrodes (two arms, foot, six on the chest): breathing and drift, mains, muscle."""
    at = np.arange(SAMPLES)[:, None] / RATE_HZ
    breathing, drift = rng.uniform(0.17, 0.32), rng.uniform(0.04, 0.1)
    phase, mains_phase = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0, 2 * np.pi)
    sizes = rng.normal(size=(3, 9)) * np.array([[0.025], [0.035], [0.0025]])
    wander = sizes[0] * np.sin(2 * np.pi * breathing * at + phase[0])
    wander += sizes[1] * np.sin(2 * np.pi * drift * at + phase[1])
    mains = sizes[2] * np.sin(2 * np.pi * 50 * at + mains_phase)
    raw = rng.standard_normal((SAMPLES + 1, 9), dtype=np.float32) * rng.uniform(0.005, 0.014)
    right, left, foot, *chest = (wander + mains + 0.5 * (raw[1:] + raw[:-1])).T
    centre = (right + left + foot) / 3
    return np.stack([left - right, foot - right, *(electrode - centre for electrode in chest)], axis=1)


def _written(findings: EcgFindings, rhythm: _Rhythm) -> tuple[Segment, ...]:
    times, wide, conducted = times_of(findings), is_wide(findings), rhythm.conducted()
    turned = LEADS if wide else leads_touched(findings.t_territory)
    st_end = times.t_peak_ms + times.t_fall_ms
    found = _segments("st", leads_touched(findings.st_territory), conducted, times.j_ms - ST_ONSET_MS, st_end)
    found += _segments("qrs", LEADS if wide else (), conducted, *qrs_span_ms(findings))
    found += _segments("t", turned, conducted, times.t_start_ms, times.t_end_ms)
    p_s = (findings.pr_ms or 0.0) / 1000
    for beat, onset in rhythm.ectopic.items():
        usual = float(rhythm.onsets_s[beat])
        start, end = min(onset, usual - p_s), max(usual + times.t_end_ms / 1000, onset + ECTOPIC_MS[1] / 1000)
        found += _segments("ectopy", LEADS, [start], 0.0, 1000 * (end - start))
    return tuple(found)


def _segments(
    what: str, leads: Sequence[str], onsets_s: Sequence[float], first_ms: float, last_ms: float
) -> list[Segment]:
    """One for each onset and lead, cut to the ten seconds."""
    spans = [
        (max(onset + first_ms / 1000, 0.0), min(onset + last_ms / 1000, DURATION_S))
        for onset in (onsets_s if leads else ())
    ]
    return [Segment(lead, start, end, what) for start, end in spans if end > start for lead in leads]
