"""Mutation fuzzing of the CT loader: no crash, no hang, no silent error.

    python -m bench.fuzz_load [--minutes 30] [--seed 0] [--out docs/results/load_fuzz.md]

Valid studies of every container are damaged at random (bytes flipped, overwritten, cut, inserted, moved; header fields
replaced by extreme values; files dropped, doubled, exchanged) and loaded. Each outcome must be a refusal in words or a
volume that is right by world position. Damage that leaves another valid study behind, which no loader can tell without
a checksum, is counted apart, each kind in its own column: pixels changed or moved in an uncompressed stream, one plain
number of the header exchanged for another that nothing contradicts (a spacing, a slope), a file at the end removed.
"""

from __future__ import annotations

import argparse
import random
import signal
import struct
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from corpus import Case, Files, series, what_is_wrong
from corpus_archives import tarred, zipped
from corpus_enhanced import compressed, file
from corpus_nifti import nii, packed
from corpus_values import WIDE, by_gdcm, deflated_frames, encoded, extended, high_throughput, jpeg_xl
from ct_factory import BIG_ENDIAN, DEFLATED, IDENTIFIERS, IMPLICIT
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from core.errors import UserFacingError
from core.load import list_series, load_study
from core.records import CtStudy

LONGEST_S = 5.0
ISOLATED = 0.002
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def seeds() -> list[Case]:
    """Valid studies, one of each container and encoding."""

    def wide(name: str, sources: Callable[[], Files]) -> Case:
        return Case(name, sources, "right", grids=(WIDE,))

    return [
        Case("plain series", series, "right"),
        Case("implicit series", lambda: series(syntax=IMPLICIT), "right"),
        Case("big-endian series", lambda: series(syntax=BIG_ENDIAN), "right"),
        Case("deflated series", lambda: series(syntax=DEFLATED), "right"),
        wide("RLE series", lambda: encoded(RLELossless)),
        wide("JPEG-LS series", lambda: encoded(JPEGLSLossless)),
        wide("lossless JPEG series", lambda: list(by_gdcm("JPEGLosslessProcess14_1"))),
        wide("JPEG 2000 series", lambda: encoded(JPEG2000Lossless)),
        wide("HTJ2K series", high_throughput),
        wide("JPEG XL series", jpeg_xl),
        wide("series of deflated frames", deflated_frames),
        replace(wide("JPEG Extended series", extended), tolerance=4.01),
        Case("enhanced file", file, "right"),
        wide("enhanced RLE file", lambda: compressed(RLELossless)),
        Case("NIfTI-1", nii, "right"),
        Case("NIfTI-2", lambda: nii(version=2), "right"),
        Case("packed NIfTI", packed, "right"),
        Case("zip", lambda: [("a.zip", zipped(series()))], "right"),
        Case("tar", lambda: [("a.tar", tarred(series()))], "right"),
        Case("packed tar", lambda: [("a.tar.gz", tarred(series(), "w:gz"))], "right"),
    ]


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """One damage to a file; headers are hit more often than pixels."""
    if not data:
        return data
    reach = len(data) if rng.random() < 0.4 else min(len(data), 1600)
    at = rng.randrange(reach)
    size = rng.choice((1, 1, 1, 2, 4, 8, 64, 500))
    kind = rng.randrange(8)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + rng.randbytes(size) + data[at + size :]
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data[:at] + rng.randbytes(size) + data[at:]
    if kind == 4:
        return data[:at] + data[at + size :]
    if kind == 5:
        code = rng.choice("BHI")
        value = rng.choice(EXTREMES) & ((1 << 8 * struct.calcsize(code)) - 1)
        return data[:at] + struct.pack(rng.choice("<>") + code, value) + data[at + struct.calcsize(code) :]
    if kind == 6:
        other = rng.randrange(reach)
        return data[:at] + data[other : other + size] + data[at + size :]
    return data[:at] + bytes([rng.choice(b"0123456789.-+eE\\ \0")]) + data[at + 1 :]


def mutate(files: Files, rng: random.Random) -> Files:
    """One to three damages to a source."""
    files = list(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        number = rng.randrange(len(files))
        name, data = files[number]
        kind = rng.random()
        if len(files) > 1 and kind < 0.04:
            del files[number]
        elif kind < 0.08:
            files.append(files[number])
        elif len(files) > 1 and kind < 0.12:
            files[number] = (name, files[rng.randrange(len(files))][1])
        else:
            files[number] = (name, mutate_bytes(data, rng))
    return files


Result = TypeVar("Result")


class Hang(BaseException):
    """A run took too long."""


def _stop(*_: object) -> None:
    raise Hang


def judge(case: Case, files: Files, runner: Runner) -> str:
    """What came of one damaged source."""
    list_outcome = runner.run(lambda: list_series(files))
    if isinstance(list_outcome, str):
        return list_outcome
    outcome = runner.run(lambda: load_study(files))
    if isinstance(outcome, (str, UserFacingError)):
        said = str(outcome)
        leaked = any(term in said for term in IDENTIFIERS)
        return "leak" if leaked else outcome if isinstance(outcome, str) else "refused"
    wrong = what_is_wrong(case, outcome.voxels_hu, outcome.affine_mm)
    return "right" if not wrong else difference(case, outcome, wrong)


def difference(case: Case, study: CtStudy, wrong: str) -> str:
    """Which kind of difference an accepted volume shows."""
    voxels, affine = study.voxels_hu, study.affine_mm
    truth = load_study(case.make())
    if any("another orientation" in note for note in study.notes):
        return "said in a note"
    if voxels.shape == truth.voxels_hu.shape:
        share = float((np.abs(voxels.astype(int) - truth.voxels_hu) > case.tolerance).mean())
        placed = np.allclose(affine, truth.affine_mm, atol=0.05)
        if placed and share <= ISOLATED:
            return "isolated voxels"
        if (not placed and share <= ISOLATED) or (placed and rescaled(voxels, truth.voxels_hu)):
            return "header number"
        if placed and damaged_slices(voxels, truth.voxels_hu) <= 3:
            return "pixels of a slice"
        if placed and moved(voxels, truth.voxels_hu):
            return "pixels moved"
    elif voxels.shape[:2] == truth.voxels_hu.shape[:2] and shorter(voxels, truth.voxels_hu):
        return "end slice gone"
    return f"SILENT {wrong}"


def rescaled(voxels: np.ndarray, truth: np.ndarray) -> bool:
    """Whether one slope and intercept, rounding, the clipping of padding and isolated voxels apart, explain all."""
    inside = (voxels > -1024) & (truth > -1024)
    before, after = truth[inside].astype(float), voxels[inside].astype(float)
    off = np.zeros(len(before))
    for _ in range(3):
        kept = off <= np.quantile(off, 1 - ISOLATED)
        slope, intercept = np.polyfit(before[kept], after[kept], 1)
        off = np.abs(slope * before + intercept - after)
    return bool((off <= 1).mean() > 1 - ISOLATED)


def moved(voxels: np.ndarray, truth: np.ndarray) -> bool:
    """Whether nearly the same values, each as often, lie in other places: bytes taken out here and put in there."""
    one, other = (np.bincount(values.ravel().astype(int) + 32768, minlength=1 << 16) for values in (voxels, truth))
    return bool(np.minimum(one, other).sum() > 0.95 * truth.size)


def damaged_slices(voxels: np.ndarray, truth: np.ndarray) -> int:
    """Slices that differ."""
    return int((voxels != truth).any(axis=(0, 1)).sum())


def shorter(voxels: np.ndarray, truth: np.ndarray) -> bool:
    """Whether slices are missing at the ends, with at most a few others damaged."""
    count = voxels.shape[2]
    starts = range(truth.shape[2] - count + 1)
    return any(damaged_slices(voxels, truth[:, :, start : start + count]) <= 3 for start in starts)


@dataclass
class Runner:
    """Runs tasks within a limit of processor time, and keeps the longest."""

    slowest_s: float = 0.0

    def run(self, task: Callable[[], Result]) -> Result | UserFacingError | str:
        """The task's result, its refusal, or a word for a crash or hang."""
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        try:
            return task()
        except UserFacingError as error:
            return error
        except Hang:
            return "hang"
        except Exception:
            return "CRASH " + traceback.format_exc(limit=-2).replace("\n", " ")[:300]
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.slowest_s = max(self.slowest_s, time.process_time() - start)


DAMAGE = ("isolated voxels", "pixels of a slice", "pixels moved", "header number", "end slice gone", "said in a note")
LEGEND = """Isolated voxels: bytes of pixels without checksum, at most 0.2% of the volume. Pixels of a slice: more than
that, within three slices and below what the check of neighbouring slices can see. Pixels moved: bytes taken out of an
uncompressed stream in one place and put in at another, so that its length is right. Header number: one plain number
(a spacing, all positions of a NIfTI, slope or intercept) was changed to another that nothing contradicts. End slice
gone: a file at the end of the stack was removed, of which
nothing can be said, or became unrecognisable, which a note on the study says. Said in a note: the header of a NIfTI
file was overwritten so that it looks whole, but for what is left of the orientation, which a note names."""


def report(
    counts: dict[str, Counter[str]], bad: list[str], slowest_s: float, started: float, options: argparse.Namespace
) -> str:
    """The results page."""
    kinds = ["right", "refused", *DAMAGE, "other"]
    total = sum(sum(count.values()) for count in counts.values())
    command = f"python -m bench.fuzz_load --minutes {options.minutes:g} --seed {options.seed}"
    minutes, cpu = (time.perf_counter() - started) / 60, time.process_time() / 60
    lines = [
        "# Fuzzing the CT loader\n",
        f"`{command}`: {total:,} damaged sources in {minutes:.1f} minutes ({cpu:.1f} CPU minutes); slowest run "
        f"{slowest_s:.2f} CPU s. Crashes, hangs, leaks and differences of no kind below: {len(bad)}. Accepted with a "
        f"difference of a kind below: {sum(count[kind] for count in counts.values() for kind in DAMAGE):,}.\n",
        "| seed study | " + " | ".join(kinds) + " |",
        "|--|" + "--:|" * len(kinds),
    ]
    for name, count in counts.items():
        other = sum(count.values()) - sum(count[kind] for kind in kinds[:-1])
        lines.append(f"| {name} | " + " | ".join(str(count[kind]) for kind in kinds[:-1]) + f" | {other} |")
    lines += ["", LEGEND, ""]
    lines += [f"- {line}" for line in bad[:50]]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _stop)
    studies = seeds()
    made = {case.name: case.make() for case in studies}
    counts: dict[str, Counter[str]] = {case.name: Counter() for case in studies}
    bad: list[str] = []
    runner = Runner()
    started = time.perf_counter()
    number = 0
    while time.perf_counter() - started < 60 * options.minutes:
        rng = random.Random(options.seed * 1_000_003 + number)
        case = studies[number % len(studies)]
        found = judge(case, mutate(made[case.name], rng), runner)
        counts[case.name][found.split(" ")[0] if found.isupper() else found] += 1
        if found.startswith(("CRASH", "SILENT", "hang", "leak")):
            bad.append(f"{case.name}, run {number}: {found}")
            print(bad[-1], flush=True)
        number += 1
        if options.out and number % 500 == 0:
            options.out.write_text(report(counts, bad, runner.slowest_s, started, options), encoding="utf-8")
    text = report(counts, bad, runner.slowest_s, started, options)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
