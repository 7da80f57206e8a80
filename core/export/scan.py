"""CT planes with the saliency laid over them, as a radiologist expects them: patient's right on the left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.transforms import offset_copy

from core.export.style import MAGNITUDE_MAP, SIGNED_MAP, WATERMARK
from core.records import Attribution, CtStudy, FloatArray

LETTERS = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}
"""Letters at the left, right, top and bottom edge."""
SCALES_MM = (1, 2, 5, 10, 20, 50, 100, 200)
"""Lengths that a scale bar may stand for, as in the viewer."""
THRESHOLD, OPACITY = 0.35, 0.55
"""How the viewer opens: magnitudes below this share of the limit are not drawn, the others this opaque."""
READING_WINDOWS_HU = {"pe_mortality": (-250, 450)}
_SHADE = {"facecolor": "black", "alpha": 0.45, "edgecolor": "none", "pad": 0.8}


@dataclass(frozen=True)
class Overlay:
    """How a saliency is coloured: one scale for the whole study, magnitudes below `threshold` x limit not drawn."""

    limit: float
    signed: bool
    threshold: float = THRESHOLD
    opacity: float = OPACITY

    @property
    def norm(self) -> Normalize:
        """Symmetric around zero where signed."""
        return Normalize(-self.limit if self.signed else 0.0, self.limit)

    @property
    def colours(self) -> str:
        """Name of the colour map."""
        return SIGNED_MAP if self.signed else MAGNITUDE_MAP


def window_of(task: str | None) -> tuple[int, int]:
    """HU window (low, high) to read by: wide enough for clot or calcium, whatever the model reads."""
    return READING_WINDOWS_HU.get(task or "", (-160, 240))


def overlay_scale(
    saliency: Attribution, threshold: float = THRESHOLD, opacity: float = OPACITY, *, own: bool = False
) -> Overlay:
    """How this map is coloured, on the one scale that the screen shows too. own: on its own scale."""
    return Overlay(saliency.own_limit if own else saliency.scale_limit, saliency.signed, threshold, opacity)


def strongest_voxel(saliency: Attribution, k: int | None = None) -> tuple[int, int, int] | None:
    """Voxel (of axial slice `k` where given) that raises the risk most; else the largest; None in a map of zeros."""
    values = saliency.values if k is None else saliency.values[:, :, k : k + 1]
    values = values if values.max() > 0 else np.abs(values)
    at = np.unravel_index(int(values.argmax()), values.shape)
    if not values[at]:
        return None
    return int(at[0]), int(at[1]), int(at[2]) if k is None else k


def plane_of(volume: npt.NDArray[np.generic], plane: str, index: int) -> npt.NDArray[np.generic]:
    """One plane (rows, columns) of a RAS+ volume (i, j, k), in display order (see `LETTERS`)."""
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    cut = np.take(volume, index, axis=axis)
    return np.asarray(cut[::-1, ::-1].T)


def draw_plane(
    axes: Axes,
    study: CtStudy,
    plane: str,
    index: int,
    window_hu: tuple[float, float],
    inverted: bool,
    saliency: Attribution | None,
    scale: Overlay | None,
    watermark: bool,
) -> None:
    """CT, overlay and orientation letters; black around, in both themes and on paper. inverted: air is white."""
    across, down = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[plane]
    spacing = study.spacing_mm
    axes.set_facecolor("black")
    axes.imshow(
        plane_of(study.voxels_hu, plane, index),
        cmap="gray_r" if inverted else "gray",
        vmin=window_hu[0],
        vmax=window_hu[1],
        aspect=spacing[down] / spacing[across],
        interpolation="bilinear",
    )
    if saliency is not None and scale is not None:
        _draw_overlay(axes, np.asarray(plane_of(saliency.values, plane, index), np.float32), scale, axes.get_aspect())
    _draw_letters(axes, plane, lift=10 if watermark else 3)
    _draw_scale(axes, study.shape[across] * spacing[across], lift=13 if watermark else 5)
    if watermark:
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 2.5)}
        axes.annotate(WATERMARK, (0.5, 0), color="white", fontsize=5.5, ha="center", bbox=_SHADE, **place)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def colour_source(scale: Overlay) -> ScalarMappable:
    """What a colour bar is made from."""
    return ScalarMappable(scale.norm, scale.colours)


def _draw_overlay(axes: Axes, values: FloatArray, scale: Overlay, aspect: float | str) -> None:
    shown = (np.abs(values) >= scale.threshold * scale.limit) & (values != 0)
    axes.imshow(
        values,
        cmap=scale.colours,
        norm=scale.norm,
        alpha=np.where(shown, scale.opacity, 0.0),
        aspect=aspect,  # type: ignore[arg-type]
        interpolation="nearest",
    )


def scale_mm(width_mm: float) -> int:
    """Length of a scale bar that stands for a round length and takes at most a quarter of the width.

    >>> scale_mm(360.0), scale_mm(90.0), scale_mm(3.0)
    (50, 20, 1)
    """
    return max((length for length in SCALES_MM if length <= width_mm / 4), default=SCALES_MM[0])


def _draw_scale(axes: Axes, width_mm: float, lift: float) -> None:
    """A bar of round length in the lower right corner, `lift` points up: figures are printed at any size."""
    length = scale_mm(width_mm)
    words = f"{length} mm" if length < 10 else f"{length // 10} cm"
    left, right = 0.97 - length / width_mm, 0.97
    lifted = offset_copy(axes.transAxes, axes.get_figure(root=True), y=lift, units="points")
    for colour, width in (("black", 2.6), ("white", 1.4)):
        axes.plot([left, right], [0, 0], color=colour, lw=width, transform=lifted, scalex=False, scaley=False)
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, lift + 2.5)}
    axes.annotate(words, ((left + right) / 2, 0), color="white", fontsize=5.5, ha="center", bbox=_SHADE, **place)


def _draw_letters(axes: Axes, plane: str, lift: float) -> None:
    """Orientation at the edges, on a shade that bone cannot swallow; the lower one `lift` points above the edge."""
    left, right, top, bottom = LETTERS[plane]
    look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "color": "white"}
    look |= {"fontsize": 7, "bbox": _SHADE}
    axes.annotate(left, (0, 0.5), xytext=(4, 0), ha="left", va="center", **look)
    axes.annotate(right, (1, 0.5), xytext=(-4, 0), ha="right", va="center", **look)
    axes.annotate(top, (0.5, 1), xytext=(0, -3), ha="center", va="top", **look)
    axes.annotate(bottom, (0.5, 0), xytext=(0, lift), ha="center", va="bottom", **look)
