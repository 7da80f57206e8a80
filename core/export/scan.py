"""CT planes with the saliency laid over them, as a radiologist expects them: patient's right on the left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from core.export.style import MAGNITUDE_MAP, SIGNED_MAP, WATERMARK
from core.records import Attribution, CtStudy, FloatArray

PLANES = ("axial", "coronal", "sagittal")
LETTERS = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}
"""Letters at the left, right, top and bottom edge."""


@dataclass(frozen=True)
class Overlay:
    """How a saliency is coloured: one scale for the whole study, magnitudes below `threshold` x limit not drawn."""

    limit: float
    signed: bool
    threshold: float = 0.2
    opacity: float = 0.55

    @property
    def norm(self) -> Normalize:
        """Symmetric around zero where signed."""
        return Normalize(-self.limit if self.signed else 0.0, self.limit)

    @property
    def colours(self) -> str:
        """Name of the colour map."""
        return SIGNED_MAP if self.signed else MAGNITUDE_MAP


def overlay_scale(saliency: Attribution) -> Overlay:
    """Limit = 99.9th percentile of the magnitudes that are not zero (the maximum where these are few)."""
    sizes = np.abs(saliency.values)
    used = sizes[sizes > 0]
    if not used.size:
        return Overlay(1.0, saliency.signed)
    return Overlay(float(np.percentile(used, 99.9)) or float(used.max()), saliency.signed)


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
    saliency: Attribution | None,
    scale: Overlay | None,
    watermark: bool,
) -> None:
    """CT, overlay and orientation letters; black around, in both themes and on paper."""
    across, down = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[plane]
    spacing = study.spacing_mm
    axes.set_facecolor("black")
    axes.imshow(
        plane_of(study.voxels_hu, plane, index),
        cmap="gray",
        vmin=window_hu[0],
        vmax=window_hu[1],
        aspect=spacing[down] / spacing[across],
        interpolation="bilinear",
    )
    if saliency is not None and scale is not None:
        _draw_overlay(axes, np.asarray(plane_of(saliency.values, plane, index), np.float32), scale, axes.get_aspect())
    _draw_letters(axes, plane)
    if watermark:
        axes.text(0.5, 0.015, WATERMARK, transform=axes.transAxes, color="white", alpha=0.75, fontsize=5.5, ha="center")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def colour_source(scale: Overlay) -> ScalarMappable:
    """What a colour bar is made from."""
    return ScalarMappable(scale.norm, scale.colours)


def _draw_overlay(axes: Axes, values: FloatArray, scale: Overlay, aspect: float | str) -> None:
    shown = np.abs(values) >= scale.threshold * scale.limit
    axes.imshow(
        values,
        cmap=scale.colours,
        norm=scale.norm,
        alpha=np.where(shown, scale.opacity, 0.0),
        aspect=aspect,  # type: ignore[arg-type]
        interpolation="nearest",
    )


def _draw_letters(axes: Axes, plane: str) -> None:
    places = ((0.02, 0.5, "left"), (0.98, 0.5, "right"), (0.5, 0.97, "center"), (0.5, 0.05, "center"))
    for letter, (x, y, side) in zip(LETTERS[plane], places, strict=True):
        axes.text(x, y, letter, transform=axes.transAxes, color="white", fontsize=7, ha=side, va="center")
