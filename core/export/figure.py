"""One page that stands alone: scan with saliency, curve, attention, events, caption, notice."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec

from core.errors import UserFacingError
from core.explain.methods import CARDS
from core.export.bundle_view import BundleView
from core.export.panels import draw_attention, draw_curve, draw_events
from core.export.saliency_words import (
    CHECK_WORDS,
    amount_words,
    beyond_scale,
    is_of_one_slice,
    place_words,
    value_ends,
)
from core.export.scan import (
    OPACITY,
    THRESHOLD,
    Overlay,
    colour_source,
    draw_plane,
    overlay_scale,
    strongest_voxel,
    window_of,
)
from core.export.style import NOTICE, WARNING, by_level, figure_style, fusion_title
from core.records import Attribution, CaseReview, CtStudy, Timeline
from core.wording import duration, true_minus

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = ("png", "svg", "pdf")
DPI = 300
SIZE_INCHES = (11.0, 7.6)
BAR_ENDS = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
CAPTION_LINES, CAPTION_POINTS, LINE_SPACING = 5, 6.6, 1.35
"""Lines that the page has room for above the notice; each line more makes it taller."""
_CLEAN = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Title": "Case review figure", "Description": NOTICE},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None, "Title": "Case review figure", "Subject": NOTICE},
}


@dataclass(frozen=True, eq=False)
class FigureInputs:
    """What a figure shows. slice_ijk: voxel whose three planes are drawn; window_hu: (low, high).

    threshold: share of the colour scale's limit below which no saliency is drawn. opacity: of the rest; 0 hides it.
    inverted: the grey scale runs from white to black. own_scale: colours end where this map does, not where those of
    the training patients do. label: what the reader calls the case.
    """

    study: CtStudy | None
    timeline: Timeline | None
    review: CaseReview
    bundle: BundleView
    window_hu: tuple[float, float]
    slice_ijk: tuple[int, int, int]
    threshold: float = THRESHOLD
    opacity: float = OPACITY
    inverted: bool = False
    own_scale: bool = False
    label: str = ""

    @property
    def overlay(self) -> Overlay | None:
        """How the saliency is coloured; None where there is none, or the reader hid it."""
        saliency = self.review.saliency
        if saliency is None or not self.opacity:
            return None
        return overlay_scale(saliency, self.threshold, self.opacity, own=self.own_scale)


def figure_inputs(
    study: CtStudy | None,
    timeline: Timeline | None,
    review: CaseReview,
    bundle: BundleView,
    *,
    window: tuple[float, float] | None = None,
    slice_k: int | None = None,
) -> FigureInputs:
    """Fill in what was not chosen: a window to read by, and the voxel that the saliency points at most.

    window: (low, high) HU. slice_k: axial slice index of the study. Raises UserFacingError for one outside the study.
    """
    low, high = window or window_of(review.task.name)
    if not low < high:
        raise UserFacingError("The window is empty.", "a lower HU below the upper HU", "Choose another window.")
    ijk = (0, 0, 0) if study is None else _salient_voxel(study, review, slice_k)
    return FigureInputs(study, timeline, review, bundle, (float(low), float(high)), ijk)


def figure_bytes(inputs: FigureInputs, format: Format = "png") -> bytes:
    """The figure as PNG (300 dpi), SVG (text stays text) or PDF; same inputs, same bytes; no metadata of persons."""
    buffer = io.BytesIO()
    with figure_style():
        figure = build_figure(inputs)
        figure.savefig(buffer, format=format, dpi=DPI, metadata=_CLEAN[format], facecolor="white")
    return buffer.getvalue()


def build_figure(inputs: FigureInputs) -> Figure:
    """The page as a matplotlib Figure (no pyplot, no global state). Call inside `figure_style`."""
    words = caption(inputs)
    more_lines = max(0, words.count("\n") + 1 - CAPTION_LINES)
    grown = more_lines * CAPTION_POINTS * LINE_SPACING / 72
    width, usual = SIZE_INCHES
    height = usual + grown
    figure = Figure(figsize=(width, height))

    def above(share: float) -> float:
        """A place above the caption, moved up by what that has grown."""
        return (share * usual + grown) / height

    widths, gap = ((0.01, 1), 0.05) if inputs.study is None else ((1.12, 1), 0.24)
    frame = {"left": 0.052, "right": 0.975, "top": above(0.925), "bottom": above(0.185)}
    outer = GridSpec(1, 2, figure, wspace=gap, width_ratios=widths, **frame)
    if inputs.study is not None:
        _draw_scan(figure, outer[0, 0], inputs.study, inputs)
    _draw_plots(figure, outer[0, 1], inputs)
    figure.text(0.045, above(0.962), _headline(inputs), fontsize=10.5, weight="bold", va="center")
    figure.text(0.045, above(0.118), words, fontsize=CAPTION_POINTS, va="top", linespacing=LINE_SPACING)
    figure.text(0.045, 0.018 * usual / height, NOTICE, fontsize=9, weight="bold", color=WARNING, va="center")
    return figure


def caption(inputs: FigureInputs) -> str:
    """Model, task, horizon, method, window, slice and every notice, most serious first, wrapped to the page."""
    review = inputs.review
    model = f"Model {fusion_title(review.fusion)} (weights {review.bundle_digest[:12]})"
    parts = [f"{model}; task {review.task.title}; horizon {duration(review.horizon_days)}; {_band_words(review)}."]
    if review.saliency is not None:
        card = CARDS.get(review.saliency.method)
        title = card.title if card else review.saliency.method
        title += " of one slice" if is_of_one_slice(review.saliency) else ""
        parts.append(f"Saliency: {title} of the risk by {duration(review.horizon_days)}, {review.saliency.unit}, ")
        parts[-1] += f"{_overlay_words(inputs)} {_extent_words(review.saliency)}"
    if inputs.study is not None:
        low, high = inputs.window_hu
        x, y, z = world_mm(inputs.study, inputs.slice_ijk)
        grey = ", grey scale inverted" if inputs.inverted else ""
        window = f"Window {low:.0f} to {high:.0f} HU (W {high - low:.0f} / L {(high + low) / 2:.0f}){grey}."
        planes = f"Planes at z {z:.1f}, y {y:.1f}, x {x:.1f} mm (RAS+); patient's right on the left."
        parts += [true_minus(window), true_minus(planes)]
        parts.append("The scan is of a virtual patient." if inputs.study.origin == "virtual" else "")
    parts += [notice.text for notice in by_level(review.notices)]
    return textwrap.fill(" ".join(part for part in parts if part), 215)


def _band_words(review: CaseReview) -> str:
    """What the bands around the curve are."""
    curve = review.curve
    if curve.lower is None:
        return curve.band
    return f"inner band: {curve.band}" + (f"; outer band: {curve.outer_band}" if curve.outer_band else "")


def _overlay_words(inputs: FigureInputs) -> str:
    if inputs.overlay is None:
        return "not drawn."
    common = inputs.review.saliency is not None and inputs.review.saliency.strength is not None and not inputs.own_scale
    scale = "the training patients' scale" if common else "its own scale"
    return f"drawn on {scale} from {inputs.threshold:.0%} of its end, {inputs.opacity:.0%} opaque."


def _extent_words(saliency: Attribution) -> str:
    """The map's own ends, and how much it amounts to: neither can be read off its colours."""
    low, high = (true_minus(f"{end:.2g}") for end in value_ends(saliency))
    told = (amount_words(saliency), place_words(saliency), CHECK_WORDS[saliency.depends])
    return f"Values {low} to {high}. " + " ".join(f"{words}." for words in told if words)


def world_mm(study: CtStudy, ijk: tuple[int, int, int]) -> tuple[float, float, float]:
    """RAS+ mm of a voxel."""
    x, y, z, _ = study.affine_mm @ np.array([*ijk, 1.0])
    return float(x), float(y), float(z)


def _salient_voxel(study: CtStudy, review: CaseReview, slice_k: int | None) -> tuple[int, int, int]:
    """Voxel of the largest saliency that raises the risk (in slice `slice_k` where given), else the centre."""
    shape = study.shape
    if slice_k is not None and not 0 <= slice_k < shape[2]:
        raise UserFacingError(f"Slice {slice_k} is not in the study.", f"0 to {shape[2] - 1}", "Choose another slice.")
    middle = (shape[0] // 2, shape[1] // 2, shape[2] // 2 if slice_k is None else slice_k)
    strongest = None if review.saliency is None else strongest_voxel(review.saliency, slice_k)
    return strongest or middle


def _draw_scan(figure: Figure, where: SubplotSpec, study: CtStudy, inputs: FigureInputs) -> None:
    saliency, attention = inputs.review.saliency, inputs.review.attention
    weights = attention.by_height() if attention else None
    rows = where.subgridspec(3, 1, height_ratios=(3.1, 1.75, 0.01 if weights is None else 0.8), hspace=0.16)
    small = rows[1].subgridspec(1, 2, wspace=0.03)
    scale = inputs.overlay
    i, j, k = inputs.slice_ijk
    for plane, index, place in (("axial", k, rows[0]), ("coronal", j, small[0]), ("sagittal", i, small[1])):
        axes = figure.add_subplot(place)
        grey = (inputs.window_hu, inputs.inverted)
        draw_plane(axes, study, plane, index, *grey, saliency, scale, inputs.bundle.virtual)
        if plane == "axial" and saliency is not None and scale is not None:
            _draw_scale(figure, axes, scale, saliency)
    if weights is not None:
        draw_attention(figure.add_subplot(rows[2]), *weights, world_mm(study, inputs.slice_ijk)[2])


def _draw_scale(figure: Figure, axes: Axes, scale: Overlay, saliency: Attribution) -> None:
    """The colour bar, pointed at an end that the map goes beyond."""
    ends = BAR_ENDS[beyond_scale(saliency, scale.limit)]
    bar = figure.colorbar(colour_source(scale), ax=axes, fraction=0.035, pad=0.015, extend=ends)
    side = " (up raises the risk)" if scale.signed else ""
    bar.set_label(f"{saliency.unit}{side}", fontsize=6.5)
    bar.ax.tick_params(labelsize=6)
    bar.formatter.set_powerlimits((-2, 3))  # type: ignore[attr-defined]
    bar.update_ticks()


def _draw_plots(figure: Figure, where: SubplotSpec, inputs: FigureInputs) -> None:
    review, timeline = inputs.review, inputs.timeline
    events = review.event_attribution
    if events is not None and timeline is not None and len(events.event_ids):
        rows = where.subgridspec(2, 1, height_ratios=(1.4, 1), hspace=0.42)
        inner = rows[1].subgridspec(1, 2, width_ratios=(0.62, 1), wspace=0)
        draw_events(figure.add_subplot(inner[1]), events, timeline)
    else:
        rows = where.subgridspec(2, 1, height_ratios=(2.4, 0.35), hspace=0.1)
    draw_curve(figure.add_subplot(rows[0]), review, inputs.bundle.baseline, inputs.bundle.virtual)


def _headline(inputs: FigureInputs) -> str:
    review = inputs.review
    model = fusion_title(review.fusion)
    parts = (inputs.label, review.task.title, model, f"risk by {duration(review.horizon_days)}")
    return " · ".join(part for part in parts if part)
