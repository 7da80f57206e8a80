"""Recall and false positives of the search for burned-in text, on planted text in real CT: writes the results page.

    python -m bench.burned_in_text ../shared/data docs/results/burned_in_text.md

Seconds are of one processor core's time. About five minutes of it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import defaultdict
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from bench.measured import write_measured
from core.intake.identifiers.pictures.burned_in import TextBox, find_burned_in_text
from core.load import load_study
from core.records import CtStudy

SERIES = "ct/nsclc_radiogenomics_R01-001_dicom_every3rd.zip"
CLEAN = (
    SERIES,
    "ct/lung-pet-ct-dx_A0001_dicom.zip",
    "ct/lung-pet-ct-dx_A0002_dicom.zip",
    "ct/4d-lung_113_HM10395_2x2x3mm.nii.gz",
)
SIZES = (10, 16, 24)
PLACES = {
    "air, corner": (12, 8, 0),
    "lung into mediastinum": (300, 160, 0),
    "lung": (230, 110, 0),
    "across the skin": (120, 60, 0),
    "upwards": (180, 330, 1),
    "downwards": (330, 420, 3),
}
"""Row and column of the upper left corner on the display, and quarter turns against the clock."""
VALUES_HU = {"white (3071 HU)": 3071, "300 HU": 300, "black (-1024 HU)": -1024}
SLICES = (36, 60)
SPANS = {"all slices": (0, 24), "3 slices": (10, 13), "1 slice": (11, 12)}
TEXT = "DOE JOHN 1945"


@dataclass(frozen=True)
class Trial:
    """One planted text and what became of it."""

    size: int
    place: str
    value: str
    span: str
    found: bool
    covered: float


def letters(shape: tuple[int, int], place: tuple[int, int, int], size: int) -> npt.NDArray[np.float32]:
    """Coverage of the text in [0, 1] on a picture (rows, columns), anti-aliased."""
    row, column, turns = place
    line = Image.new("L", (max(shape), max(shape)))
    ImageDraw.Draw(line).text((0, 0), TEXT, font=ImageFont.load_default(size), fill=255)
    drawn = np.rot90(np.asarray(line.crop(line.getbbox()), np.float32) / 255, turns)
    cover = np.zeros(shape, np.float32)
    cover[row : row + drawn.shape[0], column : column + drawn.shape[1]] = drawn
    return cover


def planted(study: CtStudy, cover: npt.NDArray[np.float32], value: int, span: tuple[int, int]) -> CtStudy:
    """The study with text written into slices of `span` as a display would show it."""
    voxels = study.voxels_hu.copy()
    alpha = cover.T[::-1, ::-1]
    for k in range(*span):
        plane = voxels[:, :, k].astype(np.float32)
        voxels[:, :, k] = np.rint(plane + alpha * (value - plane)).astype(np.int16)
    return replace(study, voxels_hu=voxels)


def covered_share(
    study: CtStudy, boxes: tuple[TextBox, ...], cover: npt.NDArray[np.float32], span: tuple[int, int]
) -> float:
    """Share of the letters' pixels inside a box on the slices that hold them."""
    hidden = np.zeros(study.shape, bool)
    for box in boxes:
        hidden[tuple(slice(a, b) for a, b in zip(box.start, box.stop))] = True
    where = cover.T[::-1, ::-1] > 0.25
    return float(hidden[where][:, slice(*span)].mean())


def trial(study: CtStudy, size: int, value: str, name: str) -> tuple[list[Trial], float]:
    """One font, brightness and span; one text at a time is too slow: all places share one run. CPU seconds too."""
    covers = {place: letters((512, 512), at, size) for place, at in PLACES.items()}
    span = SPANS[name]
    changed = planted(study, np.max(list(covers.values()), axis=0), VALUES_HU[value], span)
    start = time.process_time()
    boxes = find_burned_in_text(changed)
    seconds, found = time.process_time() - start, []
    for place, cover in covers.items():
        share = covered_share(changed, boxes, cover, span)
        found.append(Trial(size, place, value, name, share > 0.5, share))
    print(size, value, name, [(t.place, round(t.covered, 2)) for t in found], f"{seconds:.1f} s", flush=True)
    return found, seconds


def trials(study: CtStudy, pool: Executor) -> tuple[list[Trial], float]:
    """Every combination, and the mean CPU seconds of one."""
    combinations = list(itertools.product(SIZES, VALUES_HU, SPANS))
    runs = list(pool.map(trial, itertools.repeat(study), *zip(*combinations, strict=True)))
    return [one for found, _ in runs for one in found], sum(seconds for _, seconds in runs) / len(runs)


def clean_row(path: Path) -> str:
    """False boxes and time on a real scan without burned-in text."""
    study = load_study(path)
    start = time.process_time()
    boxes = find_burned_in_text(study)
    seconds, slices = time.process_time() - start, study.shape[2]
    row = f"| {path.name} | {study.shape} | {len(boxes)} | {seconds:.1f} | {100 * seconds / slices:.1f} |"
    print(row, flush=True)
    return row


def table(found: list[Trial], field: str) -> list[str]:
    """Recall by one factor, columns by span."""
    groups: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for trial in found:
        groups[str(getattr(trial, field)), trial.span].append(trial.found)
    names = list(dict.fromkeys(name for name, _ in groups))
    lines = [f"| {field} | {' | '.join(SPANS)} |", "|---" * (len(SPANS) + 1) + "|"]
    for name in names:
        cells = (f"{sum(groups[name, span])} of {len(groups[name, span])}" for span in SPANS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    whole = load_study(options.data / SERIES)
    study = replace(whole, voxels_hu=whole.voxels_hu[:, :, slice(*SLICES)])
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        rows = pool.map(clean_row, [options.data / name for name in CLEAN])
        found, seconds = trials(study, pool)
        clean = list(rows)
    write_measured(options.page, page(found, seconds, clean))


def page(found: list[Trial], seconds: float, clean: list[str]) -> list[str]:
    """The lines of the measured part of the results page."""
    slices = SLICES[1] - SLICES[0]
    lines: list[str] = []
    for field, title in (("value", "brightness"), ("size", "font size in pixels"), ("place", "place")):
        lines += [f"## Found, by {title}", "", *table(found, field), ""]
    lines += [
        f"Time: {seconds:.1f} s of one core for {slices} slices with text ({100 * seconds / slices:.0f} s for 100).",
        "",
        "## Scans without text",
        "",
        "| scan | voxels | boxes (all false) | seconds of one core | for 100 slices |",
        "|---|---|---|---|---|",
        *clean,
    ]
    return lines


if __name__ == "__main__":
    main()
