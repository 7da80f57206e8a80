"""Virtual ECGs: what is written can be measured again, and only where it is said to be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from core.virtual.ecg_beats import LEADS, RATE_HZ
from core.virtual.ecg_findings import EcgFindings, sample_ecg
from core.virtual.ecg_render import RenderedEcg, Segment, render_ecg
from core.virtual.sampling import sample_patient

FloatArray = npt.NDArray[np.float64]

AMPLITUDE_MV = 0.025
"""What a measured level may be off: a quarter of the 0.1 mV that a reader calls a deviation.

Noise and drift of a mean beat of ten take up to 0.015 of it.
"""
QRS_MS = 10.0
"""What the mean measured width of QRS may be off: five samples, a quarter of a small square of paper."""
AXIS_DEGREES = 5.0
"""What an axis may be off: a third of the 15 degrees in which it is read by eye; the first and last vectors of QRS,
which do not turn with the axis, take up three."""

CALM = EcgFindings(66, False, 160, 92, "normal", 412, 45, 0.0, "none", 0.0, "none", 0)
LEFT = replace(CALM, qrs_duration_ms=150, conduction="left_bundle_branch_block")
RIGHT = replace(CALM, qrs_duration_ms=140, conduction="right_bundle_branch_block")
FIBRILLATION = replace(CALM, atrial_fibrillation=True, pr_ms=None, heart_rate_bpm=84)
OVER: dict[str, tuple[str, ...]] = {
    "anterior": ("V2", "V3", "V4"), "inferior": ("II", "III", "aVF"), "lateral": ("I", "V5", "V6"),
}  # fmt: skip


def _rendered(findings: EcgFindings, seed: int = 4) -> RenderedEcg:
    return render_ecg(findings, np.random.default_rng(seed))


def _lead(ecg: RenderedEcg, name: str) -> FloatArray:
    return ecg.signal_mv[:, LEADS.index(name)].astype(np.float64)


# --- an independent little detector -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Measured:
    """What a detector finds: QRS times, mean beat (samples, 12) around them, and where its QRS begins and ends."""

    peaks_s: FloatArray
    beat_mv: FloatArray
    onset: int
    offset: int

    @property
    def qrs_ms(self) -> float:
        return (self.offset - self.onset) * 1000 / RATE_HZ

    @property
    def intervals_s(self) -> FloatArray:
        return np.diff(self.peaks_s)

    @property
    def level_mv(self) -> FloatArray:
        """(samples, 12) the beat against the end of its PR segment, each sample the mean of 12 ms."""
        before = self.beat_mv[self.onset - 10 : self.onset - 3].mean(axis=0)
        return np.asarray(uniform_filter1d(self.beat_mv, 7, axis=0) - before)

    def after_j_mv(self, ms: float) -> FloatArray:
        """(12,) level so long after the J point."""
        return np.asarray(self.level_mv[self.offset + round(ms * RATE_HZ / 1000)])


def _measure(ecg: RenderedEcg) -> Measured:
    signal = ecg.signal_mv.astype(np.float64)
    steps = signal[4:] - signal[:-4]
    energy = np.pad(np.convolve((steps**2).sum(axis=1), np.ones(25) / 25, mode="same"), 2)
    steep, _ = find_peaks(energy, height=0.05 * np.quantile(energy, 0.98), distance=round(0.2 * RATE_HZ))
    peaks = _centres(_without_t_waves(steep, energy), energy)
    whole = [peak for peak in peaks if 200 <= peak < len(signal) - 260]
    beat = np.median([signal[peak - 200 : peak + 260] for peak in whole], axis=0)
    speed = np.pad(np.sqrt(((beat[2:] - beat[:-2]) ** 2).sum(axis=1)), 1)
    moving = 0.04 * speed[140:260].max() + 2 * np.quantile(speed, 0.2)
    quick = np.flatnonzero(speed[140:260] > moving) + 140
    return Measured(peaks / RATE_HZ, beat, int(quick[0]), int(quick[-1]))


def _without_t_waves(steep: npt.NDArray[np.int64], energy: FloatArray) -> npt.NDArray[np.int64]:
    """Soon after a QRS complex, what has less than half its slope (a quarter of the energy) is its T wave.

    Pan and Tompkins, IEEE Trans Biomed Eng 1985;32:230-236: within 360 ms; here at 60/min, and shorter as QT is.
    """
    certain = steep[energy[steep] > 0.5 * np.quantile(energy, 0.98)]
    within = 0.36 * RATE_HZ * np.cbrt(np.median(np.diff(certain)) / RATE_HZ)
    kept = [int(steep[0])]
    for peak in steep[1:].tolist():
        if peak - kept[-1] > within or energy[peak] > 0.25 * energy[kept[-1]]:
            kept.append(peak)
    return np.array(kept)


def _centres(peaks: npt.NDArray[np.int64], energy: FloatArray) -> npt.NDArray[np.int64]:
    """The middle of each complex: a wide one has two steep flanks, and noise decides which is the steeper."""
    away = np.arange(-65, 66)
    around = np.pad(energy, 65)[peaks[:, None] + 65 + away]
    return np.asarray(peaks + np.rint(around @ away / around.sum(axis=1)).astype(np.int64))


# --- the signal -------------------------------------------------------------------------------------------------------


def test_limb_leads_obey_einthoven_and_goldberger() -> None:
    for findings in (CALM, LEFT, FIBRILLATION, replace(RIGHT, st_deviation_mv=0.2, st_territory="lateral")):
        ecg = _rendered(findings)
        assert ecg.signal_mv.shape == (5000, 12)
        assert ecg.signal_mv.dtype == np.float32
        one, two, three = (_lead(ecg, name) for name in ("I", "II", "III"))
        assert np.allclose(one + three, two, atol=1e-6)
        assert np.allclose(_lead(ecg, "aVR"), -(one + two) / 2, atol=1e-6)
        assert np.allclose(_lead(ecg, "aVL"), (one - three) / 2, atol=1e-6)
        assert np.allclose(_lead(ecg, "aVF"), (two + three) / 2, atol=1e-6)
        assert 0.3 < np.abs(ecg.signal_mv).max() < 4.5


@pytest.mark.parametrize("rate", [48, 66, 92, 118, 138])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_rate_is_measured_again(rate: float, seed: int) -> None:
    found = _measure(_rendered(replace(CALM, heart_rate_bpm=rate), seed))
    assert 60 / found.intervals_s.mean() == pytest.approx(rate, rel=0.02)
    assert found.intervals_s.std() / found.intervals_s.mean() < 0.05


def test_fibrillation_is_irregular_and_has_no_p_waves() -> None:
    for seed in range(4):
        sinus, fibrillating = (_measure(_rendered(f, seed)) for f in (replace(CALM, heart_rate_bpm=84), FIBRILLATION))
        assert 60 / fibrillating.intervals_s.mean() == pytest.approx(84, rel=0.08)
        assert fibrillating.intervals_s.std() / fibrillating.intervals_s.mean() > 0.1
        heights = []
        for found in (sinus, fibrillating):
            p_wave = found.beat_mv[found.onset - 70 : found.onset - 25, LEADS.index("II")]
            heights.append(p_wave.max() - found.beat_mv[found.onset - 8, LEADS.index("II")])
        assert heights[0] > 0.06
        assert heights[1] < 0.7 * heights[0]


@pytest.mark.parametrize("findings", [
    replace(CALM, qrs_duration_ms=78), CALM, replace(CALM, qrs_duration_ms=106), replace(RIGHT, qrs_duration_ms=125),
    RIGHT, LEFT, replace(LEFT, qrs_duration_ms=165),
])  # fmt: skip
def test_the_width_of_qrs_is_measured_again(findings: EcgFindings) -> None:
    found = np.mean([_measure(_rendered(findings, seed)).qrs_ms for seed in range(8)])
    assert found == pytest.approx(findings.qrs_duration_ms, abs=QRS_MS)


def test_blocks_look_like_blocks() -> None:
    """Left: V1 negative, V6 positive, no septal Q wave. Right: V1 ends positive, I and V6 end negative."""
    left, right = _measure(_rendered(LEFT)), _measure(_rendered(RIGHT))
    beats = {
        name: found.beat_mv[found.onset : found.offset] - found.beat_mv[found.onset - 5]
        for name, found in (("left", left), ("right", right))
    }
    v1, v6, one = (LEADS.index(name) for name in ("V1", "V6", "I"))
    assert beats["left"][:, v1].max() < 0.15 < 0.8 < -beats["left"][:, v1].min()
    assert beats["left"][:, v6].min() > -0.1
    late = slice(round(0.6 * len(beats["right"])), None)
    assert beats["right"][late, v1].max() > 0.4
    assert max(beats["right"][late, one].min(), beats["right"][late, v6].min()) < -0.15


@pytest.mark.parametrize("axis", [-50, -30, 0, 45, 85, 100])
def test_the_axis_is_measured_again(axis: float) -> None:
    """Where the vector of the limb leads is longest."""
    found = _measure(_rendered(replace(CALM, axis_degrees=axis)))
    qrs = found.beat_mv[found.onset : found.offset] - found.beat_mv[found.onset - 5]
    across, down = qrs[:, LEADS.index("I")], 2 / np.sqrt(3) * qrs[:, LEADS.index("aVF")]
    longest = np.hypot(across, down).argmax()
    measured = np.rad2deg(np.arctan2(down[longest], across[longest]))
    assert measured == pytest.approx(axis, abs=AXIS_DEGREES)


@pytest.mark.parametrize("territory", list(OVER))
@pytest.mark.parametrize("deviation", [-0.25, -0.1, 0.12, 0.3])
def test_the_st_level_is_measured_again(territory: str, deviation: float) -> None:
    """12 and 60 ms after the J point, in the leads over the territory; the chest leads elsewhere stay where they were.

    At the J point itself the last of QRS, up to 0.1 mV, adds to the level: there the calm signal is taken off.
    """
    changed = replace(CALM, st_deviation_mv=deviation, st_territory=territory)  # type: ignore[arg-type]
    shifted, calm = _measure(_rendered(changed)), _measure(_rendered(CALM))
    expected = dict.fromkeys(OVER[territory], deviation)
    expected |= {"aVL": {"inferior": -deviation / 2, "lateral": 0.75 * deviation}.get(territory, 0.0)}
    expected |= {lead: 0.0 for lead in LEADS[6:] if lead not in expected}
    j_points = np.rint(calm.peaks_s[1:-1] * RATE_HZ).astype(int) - 200 + calm.offset
    at_j = (_rendered(changed).signal_mv - _rendered(CALM).signal_mv)[j_points].mean(axis=0)
    for lead, level in expected.items():
        assert at_j[LEADS.index(lead)] == pytest.approx(level, abs=AMPLITUDE_MV)
    for ms in (12, 60):
        for lead, level in expected.items():
            assert shifted.after_j_mv(ms)[LEADS.index(lead)] == pytest.approx(level, abs=AMPLITUDE_MV)
        assert np.abs(calm.after_j_mv(ms)).max() < AMPLITUDE_MV


@pytest.mark.parametrize("territory", list(OVER))
def test_lowered_t_waves_are_measured_again(territory: str) -> None:
    """At the peak of the T wave as it would be, lead by lead: from upright to inverted, by what was written."""
    changed = replace(CALM, t_lowering_mv=0.65, t_territory=territory)  # type: ignore[arg-type]
    usual, lowered = (_measure(_rendered(findings)) for findings in (CALM, changed))
    later = usual.offset + 50
    for lead in OVER[territory]:
        column = LEADS.index(lead)
        peak = later + usual.level_mv[later : later + 100, column].argmax()
        before, after = usual.level_mv[peak, column], lowered.level_mv[peak, column]
        assert before > 2 * AMPLITUDE_MV
        assert after < -2 * AMPLITUDE_MV
        assert before - after == pytest.approx(0.65, abs=AMPLITUDE_MV)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
@pytest.mark.parametrize("rate", [72, 105])
def test_ectopic_beats_are_early_wide_and_followed_by_a_pause(count: int, rate: float) -> None:
    ecg = _rendered(replace(CALM, heart_rate_bpm=rate, ectopic_beats=count), seed=9)
    interval = 60 / rate
    found = _measure(ecg)
    early = np.flatnonzero((found.intervals_s[:-1] < 0.93 * interval) & (found.intervals_s[1:] > 1.1 * interval))
    assert len(early) == count
    two_beats = found.intervals_s[early] + found.intervals_s[early + 1]
    assert np.allclose(two_beats, 2 * interval, rtol=0.08)
    spans = {(one.start_s, one.end_s) for one in ecg.written if one.what == "ectopy"}
    assert len(spans) == count
    for start, end in spans:
        assert ((found.peaks_s[early + 1] > start) & (found.peaks_s[early + 1] < end)).sum() == 1


# --- what is said to be written ---------------------------------------------------------------------------------------


def _mask(written: tuple[Segment, ...]) -> npt.NDArray[np.bool_]:
    """(5000, 12) samples within a segment, one sample of slack."""
    mask = np.zeros((5000, 12), bool)
    for one in written:
        first, last = int(np.floor(one.start_s * RATE_HZ)) - 1, int(np.ceil(one.end_s * RATE_HZ)) + 1
        mask[max(first, 0) : last + 1, LEADS.index(one.lead)] = True
    return mask


def _normal(findings: EcgFindings) -> EcgFindings:
    """The same ECG without what the segments tell."""
    return replace(
        findings,
        qrs_duration_ms=min(findings.qrs_duration_ms, 92.0),
        conduction="normal",
        st_deviation_mv=0.0,
        st_territory="none",
        t_lowering_mv=0.0,
        t_territory="none",
        ectopic_beats=0,
    )


WRITTEN = {
    "st": replace(CALM, st_deviation_mv=-0.2, st_territory="lateral"),
    "qrs": LEFT,
    "t": replace(CALM, t_lowering_mv=0.4, t_territory="inferior"),
    "ectopy": replace(CALM, ectopic_beats=2),
}


@pytest.mark.parametrize("what", list(WRITTEN))
def test_segments_cover_the_change_and_nothing_else(what: str) -> None:
    ecg, normal = _rendered(WRITTEN[what]), _rendered(_normal(WRITTEN[what]))
    change = np.abs(ecg.signal_mv.astype(np.float64) - normal.signal_mv)
    mask = _mask(ecg.written)
    assert normal.written == ()
    assert {one.what for one in ecg.written} == ({"qrs", "t"} if what == "qrs" else {what})
    assert change[~mask].max() < 1e-5
    touched = {lead for lead, column in zip(LEADS, change.T) if column.max() > 1e-3}
    assert touched == {one.lead for one in ecg.written}
    for one in ecg.written:
        inside = change[round(one.start_s * RATE_HZ) : round(one.end_s * RATE_HZ), LEADS.index(one.lead)]
        assert len(inside) < 40 or inside.max() > 0.02
        assert 0 <= one.start_s < one.end_s <= 10
    moved = tuple(one._replace(start_s=one.start_s + 0.1, end_s=one.end_s + 0.1) for one in ecg.written)
    assert change[~_mask(moved)].max() > 0.02


def test_segments_cover_the_changes_of_sampled_patients() -> None:
    for person in (sample_patient("mace_ecg", "internal", 31, index) for index in range(60)):
        findings, generator = sample_ecg(person), np.random.default_rng(person.index)
        ecg = render_ecg(findings, generator)
        generator = np.random.default_rng(person.index)
        normal = render_ecg(replace(_normal(findings), qrs_duration_ms=_usual(findings)), generator)
        change = np.abs(ecg.signal_mv.astype(np.float64) - normal.signal_mv)
        assert change[~_mask(ecg.written)].max() < 1e-5
        assert (change.max() > 0.03) == bool(ecg.written)
        assert sum(one.what == "ectopy" for one in ecg.written) == 12 * findings.ectopic_beats


def _usual(findings: EcgFindings) -> float:
    return findings.qrs_duration_ms if findings.conduction == "normal" else 92.0
