"""Saliency methods, each a Captum call on single pieces of a CT with the patient's other pieces held as they are.

A piece is what an encoder reads by itself: a slice, a window, or the whole volume. Pieces meet only as tokens, so the
risk depends on a piece through its own tokens alone, and the gradient of the risk to a piece is exactly the gradient of
<tokens(piece), d risk / d tokens>: one piece's forward and backward pass. Methods that leave the piece's own value
(integrated gradients, GradientShap, SmoothGrad, occlusion) ask for the risk with that one piece changed, which is a
different attribution from changing all of them together; their parameters say so.

References: Grad-CAM, Selvaraju 2017; HiResCAM, Draelos 2020; integrated gradients, Sundararajan 2017; GradientShap,
Lundberg 2017; SmoothGrad, Smilkov 2017; occlusion, Zeiler 2014.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from captum.attr import (
    GradientShap,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

from core.explain.frozen import seeded
from core.records.interfaces import CtEncoder

HELD = "other {piece}s held at their values"


@dataclass(frozen=True, eq=False)
class PieceQuestion:
    """What a method needs to know of `n` pieces of one patient.

    voxels_hu:  float32 (n, H, W) or (n, D, H, W) HU. encoder: these -> tokens (n, d), or (n, t, d) of t tokens a piece.
    gradients:  float32 (n, t, d), d risk / d token at the patient's tokens.
    risk_with:  (row, tokens (p, t, d)) -> risk (p,), the patient's risk with the tokens of piece `row` replaced.
    seeds:      one seed a piece, so that a piece's map does not depend on the company it is computed in.
    """

    encoder: CtEncoder
    voxels_hu: Tensor
    gradients: Tensor
    risk_with: Callable[[int, Tensor], Tensor]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PieceMaps:
    """values: float32 (n, ...). For path methods: error and change (n,), attribution sum = change + error."""

    values: Tensor
    error: Tensor | None = None
    change: Tensor | None = None


@dataclass(frozen=True)
class MethodCard:
    """How a method is shown and labelled.

    chunk: slices or volumes computed at once (a memory bound). passes: through the encoder, of each, about.
    """

    title: str
    signed: bool
    unit: str
    chunk: int
    passes: int
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)


class _LinearReadout(nn.Module):
    """<tokens(piece), gradients>: same input gradient as the risk."""

    def __init__(self, encoder: CtEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, voxels_hu: Tensor, gradients: Tensor) -> Tensor:
        """(n, ...), (n, t, d) -> (n,)."""
        tokens: Tensor = self.encoder(voxels_hu)
        return (tokens.float().view_as(gradients) * gradients).flatten(1).sum(dim=1)


def gradcam(question: PieceQuestion) -> PieceMaps:
    """Grad-CAM of the encoder's cells one by one (HiResCAM): features weighted by their own gradient, signed.

    LayerGradCam averages the gradient over all places of a layer's output. Where a slice is pooled by maxima and areas,
    as here, an average over the slice puts evidence in the wrong place and turns its sign; over a layer that holds
    every cell as a row of its own there is nothing to average. An encoder without such a layer gets the average.
    """
    return _gradcam_of(question.encoder.gradcam_cells or question.encoder.gradcam_layer, question)


def gradcam_averaged(question: PieceQuestion) -> PieceMaps:
    """The original Grad-CAM: features weighted by their gradient's mean over the slice, without its ReLU."""
    return _gradcam_of(question.encoder.gradcam_layer, question)


def _gradcam_of(layer: nn.Module, question: PieceQuestion) -> PieceMaps:
    """Captum's LayerGradCam over a layer of maps (n, C, ...) or of cells (cells, C), upsampled to the piece."""
    cam = LayerGradCam(_LinearReadout(question.encoder), layer).attribute(
        question.voxels_hu, additional_forward_args=(question.gradients,), relu_attributions=False
    )
    if cam.ndim == 2:
        shape = question.voxels_hu.shape
        step = round((math.prod(shape) / len(cam)) ** (1 / (len(shape) - 1)))
        cam = cam.reshape(shape[0], 1, *(size // step for size in shape[1:]))
    return _upsampled(cam.detach().float(), question)


def integrated_gradients(question: PieceQuestion) -> PieceMaps:
    """Gradient averaged from the blurred slice to the slice, times their difference; sums to the change of risk."""
    maps, errors = [], []
    steps = int(CARDS["integrated_gradients"].parameters["steps"])
    for row in range(len(question.voxels_hu)):
        image = question.voxels_hu[row : row + 1]
        values, delta = IntegratedGradients(_risk_of_piece(question, row)).attribute(
            image,
            baselines=blurred(image),
            n_steps=steps,
            internal_batch_size=8,
            return_convergence_delta=True,
        )
        maps.append(values.detach().float())
        errors.append(delta.detach().float().reshape(1))
    return _path_maps(maps, errors)


def gradient_shap(question: PieceQuestion) -> PieceMaps:
    """Expected gradients between the noisy slice and slices of one even HU (air, fat, water, soft tissue)."""
    maps, errors = [], []
    parameters = CARDS["gradient_shap"].parameters
    for row, seed in enumerate(question.seeds):
        image = question.voxels_hu[row : row + 1]
        levels = torch.tensor(EVEN_HU, device=image.device)
        even = levels.reshape(-1, *[1] * (image.ndim - 1)).expand(-1, *image.shape[1:])
        with seeded(seed):
            values, delta = GradientShap(_risk_of_piece(question, row)).attribute(
                image,
                baselines=even,
                n_samples=int(parameters["samples"]),
                stdevs=float(parameters["noise_hu"]),
                return_convergence_delta=True,
            )
        maps.append(values.detach().float())
        errors.append(delta.detach().float().mean().reshape(1))
    return _path_maps(maps, errors)


def smoothgrad(question: PieceQuestion) -> PieceMaps:
    """Magnitude of the gradient averaged over noisy copies of the slice."""
    parameters = CARDS["smoothgrad"].parameters
    maps = []
    for row, seed in enumerate(question.seeds):
        with seeded(seed):
            values = NoiseTunnel(Saliency(_risk_of_piece(question, row))).attribute(
                question.voxels_hu[row : row + 1],
                nt_type="smoothgrad",
                nt_samples=int(parameters["samples"]),
                nt_samples_batch_size=4,
                stdevs=float(parameters["noise_hu"]),
                abs=False,
            )
        maps.append(values.detach().float().abs())
    return PieceMaps(torch.cat(maps))


def occlusion(question: PieceQuestion) -> PieceMaps:
    """Fall of the risk when a square is replaced by its blurred self, averaged over the squares over a pixel."""
    parameters = CARDS["occlusion"].parameters
    side = [min(int(parameters["square_px"]), size) for size in question.voxels_hu.shape[1:]]
    stride = [max(1, min(int(parameters["stride_px"]), size)) for size in side]
    maps = []
    for row in range(len(question.voxels_hu)):
        image = question.voxels_hu[row : row + 1]
        with torch.no_grad():
            values = Occlusion(_risk_of_piece(question, row)).attribute(
                image,
                sliding_window_shapes=tuple(side),
                strides=tuple(stride),
                baselines=blurred(image),
                perturbations_per_eval=8,
            )
        maps.append(values.detach().float())
    return PieceMaps(torch.cat(maps))


METHODS: dict[str, Callable[[PieceQuestion], PieceMaps]] = {
    "gradcam": gradcam,
    "gradcam_averaged": gradcam_averaged,
    "integrated_gradients": integrated_gradients,
    "gradient_shap": gradient_shap,
    "smoothgrad": smoothgrad,
    "occlusion": occlusion,
}

EVEN_HU = (-1000.0, -100.0, 0.0, 40.0)
BLUR_PX = 8.0
_SOFT = f"{{piece}} blurred, sigma {BLUR_PX:.0f} px"

CARDS: dict[str, MethodCard] = {
    "gradcam": MethodCard(
        "Grad-CAM, cell by cell",
        True,
        "gradient \u00d7 activation",
        8,
        1,
        parameters={"variant": "over cells: each keeps its own gradient (HiResCAM)", "relu": "no"},
    ),
    "gradcam_averaged": MethodCard(
        "Grad-CAM, slice average",
        True,
        "weighted activation (its sign is not reliable here)",
        8,
        1,
        parameters={"variant": "over maps: gradient averaged over the slice", "relu": "no"},
    ),
    "integrated_gradients": MethodCard(
        "Integrated gradients",
        True,
        "change of risk per encoder pixel",
        1,
        64,
        {
            "steps": 64,
            "rule": "Gauss-Legendre",
            "baseline": f"{{piece}} blurred, sigma {BLUR_PX:.0f} px",
            "scope": HELD,
        },
    ),
    "gradient_shap": MethodCard(
        "GradientShap",
        True,
        "change of risk per encoder pixel",
        1,
        16,
        {"samples": 16, "noise_hu": 10.0, "baseline": "{piece}s of one even HU: -1000, -100, 0, 40", "scope": HELD},
    ),
    "smoothgrad": MethodCard(
        "SmoothGrad",
        False,
        "magnitude of the change of risk per HU",
        1,
        8,
        {"samples": 8, "noise_hu": 20.0, "scope": HELD},
    ),
    "occlusion": MethodCard(
        "Occlusion",
        True,
        "fall of risk when hidden",
        1,
        72,
        {"square_px": 16, "stride_px": 16, "fill": _SOFT, "scope": HELD},
    ),
}


def blurred(voxels_hu: Tensor) -> Tensor:
    """Gaussian blur (sigma `BLUR_PX`) of slices (n, H, W) or volumes (n, D, H, W), edges repeated."""
    radius = int(3 * BLUR_PX)
    offsets = torch.arange(-radius, radius + 1, dtype=voxels_hu.dtype, device=voxels_hu.device)
    kernel = torch.exp(-0.5 * (offsets / BLUR_PX) ** 2)
    kernel = kernel / kernel.sum()
    axes = voxels_hu.ndim - 1
    convolve = F.conv2d if axes == 2 else F.conv3d
    soft = F.pad(voxels_hu[:, None], (radius, radius) * axes, mode="replicate")
    for axis in reversed(range(axes)):
        soft = convolve(soft, kernel.reshape(1, 1, *(-1 if place == axis else 1 for place in range(axes))))
    return soft[:, 0]


def _upsampled(cells: Tensor, question: PieceQuestion) -> PieceMaps:
    """Cells (n, 1, ...) -> maps over the voxels of each piece."""
    size = question.voxels_hu.shape[1:]
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return PieceMaps(F.interpolate(cells, size=size, mode=mode, align_corners=False)[:, 0])


def _risk_of_piece(question: PieceQuestion, row: int) -> Callable[[Tensor], Tensor]:
    """Variants (p, ...) of piece `row` -> the patient's risk (p,)."""

    def risk(voxels_hu: Tensor) -> Tensor:
        tokens = question.encoder(voxels_hu).float()
        return question.risk_with(row, tokens.view(len(voxels_hu), *question.gradients.shape[1:]))

    return risk


def _path_maps(maps: list[Tensor], errors: list[Tensor]) -> PieceMaps:
    values, error = torch.cat(maps), torch.cat(errors)
    return PieceMaps(values, error, values.flatten(1).sum(dim=1) - error)
