"""Ten virtual ECGs as a cardiologist reads them, 25 mm/s and 10 mm/mV: docs/virtual_ecgs.png.

python -m scripts.ecg_sheet [OUT.png]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from PIL import Image

from core.virtual.ecg_beats import LEADS, RATE_HZ
from core.virtual.ecg_findings import Conduction, EcgFindings
from core.virtual.ecg_render import SAMPLES, RenderedEcg, render_ecg

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
MM_PER_S, MM_PER_MV, PIXELS_PER_MM = 25, 10, 4
MARGIN_MM, ROW_MM, TITLE_MM, PULSE_MM = 4, 26, 8, 7
WIDTH_MM = 2 * MARGIN_MM + PULSE_MM + 10 * MM_PER_S
HEIGHT_MM = TITLE_MM + 4 * ROW_MM

CALM = EcgFindings(68, False, 160, 92, "normal", 412, 48, 0.0, "none", 0.0, "none", 0)
LEFT: Conduction = "left_bundle_branch_block"
RIGHT: Conduction = "right_bundle_branch_block"
CASES: tuple[tuple[str, EcgFindings], ...] = (
    ("nothing beyond the normal", CALM),
    ("ST depression 0.2 mV, lateral; T waves lowered by 0.3 mV",
     replace(CALM, heart_rate_bpm=84, st_deviation_mv=-0.2, st_territory="lateral", t_lowering_mv=0.3,
             t_territory="lateral")),
    ("ST elevation 0.25 mV, inferior", replace(CALM, heart_rate_bpm=74, st_deviation_mv=0.25, st_territory="inferior")),
    ("ST elevation 0.3 mV, anterior", replace(CALM, heart_rate_bpm=92, st_deviation_mv=0.3, st_territory="anterior",
                                              axis_degrees=15)),
    ("T waves lowered by 0.6 mV, anterior", replace(CALM, t_lowering_mv=0.6, t_territory="anterior", axis_degrees=65)),
    ("left bundle branch block, QRS 150 ms",
     replace(CALM, heart_rate_bpm=72, qrs_duration_ms=150, conduction=LEFT, qtc_ms=440, axis_degrees=0)),
    ("right bundle branch block, QRS 140 ms",
     replace(CALM, qrs_duration_ms=140, conduction=RIGHT, qtc_ms=430, axis_degrees=60)),
    ("atrial fibrillation, 96/min", replace(CALM, heart_rate_bpm=96, atrial_fibrillation=True, pr_ms=None)),
    ("3 ventricular ectopic beats", replace(CALM, heart_rate_bpm=76, ectopic_beats=3)),
    ("132/min, axis -35 degrees, ST depression 0.12 mV, inferior",
     replace(CALM, heart_rate_bpm=132, pr_ms=135, axis_degrees=-35, st_deviation_mv=-0.12, st_territory="inferior")),
)  # fmt: skip


def draw(out: Path) -> None:
    """Render the sheet, two ECGs a row."""
    rows = -(-len(CASES) // 2)
    size = 2 * WIDTH_MM / 25.4, rows * HEIGHT_MM / 25.4
    figure = plt.figure(figsize=size, dpi=PIXELS_PER_MM * 25.4)
    for number, (title, findings) in enumerate(CASES):
        place = (number % 2 / 2, 1 - (number // 2 + 1) / rows, 1 / 2, 1 / rows)
        axes = figure.add_axes(place)
        _grid(axes)
        _draw_one(axes, f"virtual patient: {title}", render_ecg(findings, np.random.default_rng([7, number])))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    plt.close(figure)
    Image.fromarray(pixels).quantize(16, dither=Image.Dither.NONE).save(out, optimize=True)


def _grid(axes: Axes) -> None:
    """Paper: a line a millimetre, a stronger one every five."""
    axes.set(xlim=(0, WIDTH_MM), ylim=(0, HEIGHT_MM), xticks=[], yticks=[])
    for step, width, colour in ((1, 0.3, "#fbdcdc"), (5, 0.6, "#f0aeb0")):
        lines = [[(x, 0), (x, HEIGHT_MM)] for x in range(0, WIDTH_MM + 1, step)]
        lines += [[(0, y), (WIDTH_MM, y)] for y in range(0, HEIGHT_MM + 1, step)]
        axes.add_collection(LineCollection(lines, linewidths=width, colors=colour, antialiased=False, zorder=0))


def _draw_one(axes: Axes, title: str, ecg: RenderedEcg) -> None:
    """Three rows of four leads of 2.5 s each, and ten seconds of lead II."""
    axes.text(MARGIN_MM, HEIGHT_MM - 5.5, title, fontsize=11, weight="bold")
    words = f"{MM_PER_S} mm/s   {MM_PER_MV} mm/mV"
    axes.text(WIDTH_MM - MARGIN_MM, HEIGHT_MM - 5.5, words, fontsize=9, ha="right")
    quarter = SAMPLES // 4
    for row, leads in enumerate((*COLUMNS, ("II",))):
        level = HEIGHT_MM - TITLE_MM - (row + 0.55) * ROW_MM
        _pulse(axes, level)
        span = SAMPLES if len(leads) == 1 else quarter
        for column, lead in enumerate(leads):
            first = column * span
            trace = ecg.signal_mv[first : first + span, LEADS.index(lead)]
            start = MARGIN_MM + PULSE_MM + first / RATE_HZ * MM_PER_S
            across = start + np.arange(len(trace)) / RATE_HZ * MM_PER_S
            height = level + MM_PER_MV * (trace - np.median(trace))
            axes.plot(across, height, color="black", linewidth=0.85)
            axes.text(start + 1, level + 9, lead, fontsize=9)
            if column:
                axes.plot([start, start], [level - 3, level + 3], color="black", linewidth=0.8)


def _pulse(axes: Axes, level: float) -> None:
    """Calibration: 1 mV for 0.2 s."""
    x = MARGIN_MM
    axes.plot(
        [x, x + 1, x + 1, x + 6, x + 6, x + PULSE_MM],
        [level, level, level + MM_PER_MV, level + MM_PER_MV, level, level],
        color="black",
        linewidth=0.85,
    )


def main() -> None:
    """Read the arguments, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "virtual_ecgs.png", metavar="OUT.png")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
