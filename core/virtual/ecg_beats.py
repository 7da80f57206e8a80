"""Heartbeats as the electric vector of the heart: Gaussian waves in Frank's axes, and what they show in twelve leads.

The axes are X to the patient's left, Y to the feet, Z to the back, in mV. Dower's matrix (J Electrocardiol 1980;13:
97-104) gives I, II and V1 to V6; the other limb leads follow from I and II. Gaussian waves after McSharry and others
(IEEE Trans Biomed Eng 2003;50:289-294).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.virtual.ecg_findings import WIDE_QRS_MS, EcgFindings, Territory

RATE_HZ = 500
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FloatArray = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

_MEASURED = np.array([
    (0.632, -0.235, 0.059), (0.235, 1.066, -0.132), (-0.515, 0.157, -0.917), (0.044, 0.164, -1.387),
    (0.882, 0.098, -1.277), (1.213, 0.127, -0.601), (1.125, 0.127, -0.086), (0.831, 0.076, 0.230),
])  # fmt: skip
"""I, II, V1 to V6 from X, Y, Z (Dower)."""
_TERRITORY_WEIGHTS: dict[Territory, dict[str, float]] = {
    "none": {},
    "anterior": {"V2": 1.0, "V3": 1.0, "V4": 1.0},
    "inferior": {"II": 1.0},
    "lateral": {"I": 1.0, "II": 0.5, "V5": 1.0, "V6": 1.0},
}
"""In the measured leads; from I and II follow III and aVF (inferior: 1), aVL (lateral: 0.75) and what is reciprocal."""
TAIL = 2.75
"""Standard deviations after which a Gaussian wave has ended (2% of its height)."""
ST_ONSET_MS = 24.0
"""An ST shift sets in so long before the J point, in the last of QRS, and is whole at it, where it is read."""


@dataclass(frozen=True)
class Wave:
    """A wave: peak, and standard deviations before and after it, in ms from the onset of QRS; its vector in mV."""

    peak_ms: float
    rise_ms: float
    fall_ms: float
    vector_mv: Vector


@dataclass(frozen=True)
class Times:
    """Fiducial points of a conducted beat in ms from the onset of QRS."""

    j_ms: float
    t_peak_ms: float
    t_rise_ms: float
    t_fall_ms: float

    @property
    def t_start_ms(self) -> float:
        """Where the T wave begins."""
        return self.t_peak_ms - TAIL * self.t_rise_ms

    @property
    def t_end_ms(self) -> float:
        """Where the T wave ends."""
        return self.t_peak_ms + TAIL * self.t_fall_ms


@dataclass(frozen=True)
class Build:
    """What makes one patient's complexes differ from another's, beyond the findings."""

    height: float
    transition: float
    t_height: float
    p_height: float
    from_left: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Build:
        """A patient's own amplitudes, turn of the chest leads, and the ventricle that ectopic beats come from."""
        height, transition, t_height, p_height = rng.normal(0, (0.18, 0.12, 0.17, 0.16))
        factors = (float(np.exp(np.clip(value, -0.4, 0.4))) for value in (height, t_height, p_height))
        tall, t_tall, p_tall = factors
        return cls(tall, float(np.clip(transition, -0.25, 0.25)), t_tall, p_tall, bool(rng.random() < 0.35))


def twelve(measured: FloatArray) -> FloatArray:
    """(n, 12) in the order of `LEADS` from (n, 8): III = II - I, aVR = -(I + II) / 2, and so on."""
    one, two = measured[:, :1], measured[:, 1:2]
    limbs = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return np.concatenate([*limbs, measured[:, 2:]], axis=1)


def in_leads(vector_mv: FloatArray) -> FloatArray:
    """(n, 8) from (n, 3)."""
    return np.asarray(vector_mv @ _MEASURED.T)


def pattern(territory: Territory) -> FloatArray:
    """(8,): how much of a change over a territory the measured leads show."""
    weights = _TERRITORY_WEIGHTS[territory]
    return np.array([weights.get(lead, 0.0) for lead in ("I", "II", *LEADS[6:])])


def leads_touched(territory: Territory) -> tuple[str, ...]:
    """Leads in which a change over the territory shows, reciprocal ones included."""
    shown = twelve(pattern(territory)[None])[0]
    return tuple(lead for lead, weight in zip(LEADS, shown, strict=True) if weight)


def times_of(findings: EcgFindings) -> Times:
    """Where a conducted beat's segments lie; QT after Fridericia."""
    qt_ms = findings.qtc_ms * float(np.cbrt(60 / findings.heart_rate_bpm))
    fall = 0.075 * qt_ms
    rise = (0.14 if is_wide(findings) else 0.115) * qt_ms  # after a block the ST segment slopes into the T wave
    return Times(findings.qrs_duration_ms, qt_ms - TAIL * fall, rise, fall)


def p_waves(findings: EcgFindings, build: Build) -> list[Wave]:
    """Right, then left atrium; none in fibrillation."""
    if findings.pr_ms is None:
        return []
    onset, size = -findings.pr_ms, build.p_height
    return [
        Wave(onset + 40, 14.5, 14.5, (0.03 * size, 0.08 * size, -0.045 * size)),
        Wave(onset + 68, 15, 15, (0.07 * size, 0.055 * size, 0.05 * size)),
    ]


def qrs_waves(findings: EcgFindings, build: Build) -> list[Wave]:
    """Septum, free walls, base; with a block, the ventricle that is reached late."""
    size = build.height
    rows: tuple[tuple[float, float, Vector], ...]
    if findings.conduction == "left_bundle_branch_block":
        back = 1.3 + build.transition
        rows = ((0.24, 0.085, (0.25, 0.1, 0.22)), (0.43, 0.11, _main(findings, 0.72, back)),
                (0.7, 0.105, _main(findings, 0.62, 0.75 * back)))  # fmt: skip
    elif findings.conduction == "right_bundle_branch_block":
        rows = ((0.14, 0.05, (-0.12, -0.04, -0.36)), (0.31, 0.07, _main(findings, 0.85, 0.3 + build.transition)),
                (0.48, 0.06, (-0.1, -0.12, 0.3)), (0.73, 0.098, (-0.46, 0.02, -0.52)))  # fmt: skip
    else:
        rows = ((0.22, 0.078, (-0.13, -0.04, -0.37)), (0.47, 0.108, _main(findings, 0.85, 0.3 + build.transition)),
                (0.69, 0.11, (-0.1, -0.13, 0.42 + build.transition)))  # fmt: skip
    start, end = qrs_span_ms(findings)
    length = end - start
    return [Wave(start + at * length, sd * length, sd * length, _times(vector, size)) for at, sd, vector in rows]


def qrs_span_ms(findings: EcgFindings) -> tuple[float, float]:
    """First and last moment of the QRS complex; its faint feet lie outside the width that is read from a tracing."""
    foot = 0.07 * findings.qrs_duration_ms
    return -foot, findings.qrs_duration_ms + foot


def _main(findings: EcgFindings, height_mv: float, back_mv: float) -> Vector:
    """Vector of which I and aVF show the axis: I = h cos a, aVF = h sin a sqrt(3) / 2."""
    axis = np.deg2rad(findings.axis_degrees)
    one, two = _MEASURED[0], _MEASURED[1]
    foot = two - one / 2
    wanted = height_mv * np.array([np.cos(axis), np.sqrt(0.75) * np.sin(axis)])
    x, y = np.linalg.solve(np.array([one[:2], foot[:2]]), wanted - back_mv * np.array([one[2], foot[2]]))
    return float(x), float(y), back_mv


def _times(vector: Vector, size: float) -> Vector:
    return vector[0] * size, vector[1] * size, vector[2] * size


def t_wave(findings: EcgFindings, build: Build) -> Wave:
    """The T wave; a block turns it away from the ventricle that is reached late, and a left one sizes it by QRS."""
    times, size = times_of(findings), build.t_height
    vector = (0.32, 0.2, -0.17)
    if findings.conduction == "left_bundle_branch_block":
        vector, size = (-0.26, 0.03, -0.42), build.height
    elif findings.conduction == "right_bundle_branch_block":
        vector = (0.36, 0.18, 0.16)
    return Wave(times.t_peak_ms, times.t_rise_ms, times.t_fall_ms, _times(vector, size))


def ectopic_waves(build: Build) -> list[Wave]:
    """A ventricular ectopic beat: wide, without P wave, its T wave against it."""
    way: Vector = (-0.75, 0.55, -0.75) if build.from_left else (0.75, 0.9, 0.85)
    size = 1.05 * build.height
    return [
        Wave(55, 20, 22, _times(way, 0.85 * size)),
        Wave(98, 21, 22, _times(way, 0.75 * size)),
        Wave(300, 52, 36, _times(way, -0.42 * size)),
    ]


ECTOPIC_MS = (0.0, 400.0)
"""From the first to the last sample of an ectopic beat."""


def sampled_ms(first_ms: float, last_ms: float) -> FloatArray:
    """(n,) times of the samples from `first_ms` to `last_ms`."""
    first, last = round(first_ms * RATE_HZ / 1000), round(last_ms * RATE_HZ / 1000)
    return np.arange(first, last + 1, dtype=np.float64) * (1000 / RATE_HZ)


def template(waves: list[Wave], first_ms: float, last_ms: float) -> FloatArray:
    """(n, 3) sum of the waves, sampled from `first_ms` on, every wave exactly 0 beyond `TAIL` deviations."""
    at = sampled_ms(first_ms, last_ms)
    total = np.zeros((len(at), 3))
    for wave in waves:
        total += bump(at, wave)[:, None] * np.asarray(wave.vector_mv)
    return total


def bump(at_ms: FloatArray, wave: Wave) -> FloatArray:
    """A wave's shape: height 1, and 0 beyond `TAIL` deviations without a step."""
    away = (at_ms - wave.peak_ms) / np.where(at_ms < wave.peak_ms, wave.rise_ms, wave.fall_ms)
    foot = np.exp(-0.5 * TAIL**2)
    return np.asarray(np.maximum((np.exp(-0.5 * away**2) - foot) / (1 - foot), 0.0))


def st_shape(at_ms: FloatArray, times: Times) -> FloatArray:
    """Of a shift that is whole from the J point on, holds, and is gone by the middle of the T wave's descent."""
    rise = np.clip((at_ms - times.j_ms) / ST_ONSET_MS + 1, 0, 1)
    held = times.t_peak_ms - 0.9 * times.t_rise_ms
    fall = np.clip((at_ms - held) / (times.t_peak_ms + times.t_fall_ms - held), 0, 1)
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * rise)) * (0.5 + 0.5 * np.cos(np.pi * fall)))


def is_wide(findings: EcgFindings) -> bool:
    """Whether the QRS complex is a block's."""
    return findings.qrs_duration_ms >= WIDE_QRS_MS
