"""Saliency methods, each a Captum call on single CT slices with the patient's other slices held as they are.

Slices are encoded independently of each other and meet only as tokens, so the risk depends on slice s through its token
alone. The gradient of the risk to slice s is therefore exactly the gradient of <token(slice), d risk / d token>: one
slice's forward and backward pass. Methods that leave the slice's own value (integrated gradients, GradientShap,
SmoothGrad, occlusion) ask for the risk with that one slice changed, which is a different attribution from changing all
slices together; their parameters say so.

References: Grad-CAM, Selvaraju 2017; HiResCAM, Draelos 2020; integrated gradients, Sundararajan 2017; GradientShap,
Lundberg 2017; SmoothGrad, Smilkov 2017; occlusion, Zeiler 2014.
"""

from __future__ import annotations

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

HELD = "other slices held at their values"


@dataclass(frozen=True, eq=False)
class SliceQuestion:
    """What a method needs to know of `n` slices of one patient.

    slices_hu:  float32 (n, H, W) HU. encoder: (n, H, W) HU -> tokens (n, D).
    gradients:  float32 (n, D), d risk / d token at the patient's tokens.
    risk_with:  (row, tokens (p, D)) -> risk (p,), the patient's risk with the token of slice `row` replaced.
    seeds:      one seed a slice, so that a slice's map does not depend on the company it is computed in.
    """

    encoder: nn.Module
    slices_hu: Tensor
    gradients: Tensor
    risk_with: Callable[[int, Tensor], Tensor]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SliceMaps:
    """values: float32 (n, H, W). For path methods: error and change (n,), attribution sum = change + error."""

    values: Tensor
    error: Tensor | None = None
    change: Tensor | None = None


@dataclass(frozen=True)
class MethodCard:
    """How a method is shown and labelled; `chunk` slices are computed at once (a memory bound)."""

    title: str
    signed: bool
    unit: str
    chunk: int
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)


class _LinearReadout(nn.Module):
    """<token(slice), gradient>: same input gradient as the risk."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, slices_hu: Tensor, gradients: Tensor) -> Tensor:
        """(n, H, W), (n, D) -> (n,)."""
        tokens: Tensor = self.encoder(slices_hu)
        return (tokens.float() * gradients).sum(dim=1)


def saliency_layer(encoder: nn.Module) -> nn.Module:
    """The layer Grad-CAM reads: `encoder.gradcam_layer` where it names one, else the last 2-D convolution.

    Raises ValueError for an encoder without either.
    """
    named = getattr(encoder, "gradcam_layer", None)
    if isinstance(named, nn.Module):
        return named
    layers = [part for part in encoder.modules() if isinstance(part, nn.Conv2d)]
    if not layers:
        raise ValueError("Grad-CAM needs an encoder with a 2-D convolution")
    return layers[-1]


def gradcam(question: SliceQuestion) -> SliceMaps:
    """Grad-CAM of the encoder's cells one by one (HiResCAM): features weighted by their own gradient, signed.

    LayerGradCam averages the gradient over all places of a layer's output. Where a slice is pooled by maxima and areas,
    as here, an average over the slice puts evidence in the wrong place and turns its sign; over a layer that holds
    every cell as a row of its own there is nothing to average. An encoder without such a layer gets the average.
    """
    cells = getattr(question.encoder, "gradcam_cells", None)
    return _gradcam_of(cells if isinstance(cells, nn.Module) else saliency_layer(question.encoder), question)


def gradcam_averaged(question: SliceQuestion) -> SliceMaps:
    """The original Grad-CAM: features weighted by their gradient's mean over the slice, without its ReLU."""
    return _gradcam_of(saliency_layer(question.encoder), question)


def _gradcam_of(layer: nn.Module, question: SliceQuestion) -> SliceMaps:
    """Captum's LayerGradCam over a layer of maps (n, C, h, w) or of cells (n * h * w, C), upsampled to the slice."""
    cam = LayerGradCam(_LinearReadout(question.encoder), layer).attribute(
        question.slices_hu, additional_forward_args=(question.gradients,), relu_attributions=False
    )
    if cam.ndim == 2:
        count, rows, columns = question.slices_hu.shape
        step = round((rows * columns * count / len(cam)) ** 0.5)
        cam = cam.reshape(count, 1, rows // step, columns // step)
    return _upsampled(cam.detach().float(), question)


def integrated_gradients(question: SliceQuestion) -> SliceMaps:
    """Gradient averaged from the blurred slice to the slice, times their difference; sums to the change of risk."""
    maps, errors = [], []
    steps = int(CARDS["integrated_gradients"].parameters["steps"])
    for row in range(len(question.slices_hu)):
        image = question.slices_hu[row : row + 1]
        values, delta = IntegratedGradients(_risk_of_slice(question, row)).attribute(
            image,
            baselines=blurred(image),
            n_steps=steps,
            internal_batch_size=8,
            return_convergence_delta=True,
        )
        maps.append(values.detach().float())
        errors.append(delta.detach().float().reshape(1))
    return _path_maps(maps, errors)


def gradient_shap(question: SliceQuestion) -> SliceMaps:
    """Expected gradients between the noisy slice and slices of one even HU (air, fat, water, soft tissue)."""
    maps, errors = [], []
    parameters = CARDS["gradient_shap"].parameters
    for row, seed in enumerate(question.seeds):
        image = question.slices_hu[row : row + 1]
        even = torch.tensor(EVEN_HU, device=image.device).reshape(-1, 1, 1).expand(-1, *image.shape[1:])
        with seeded(seed):
            values, delta = GradientShap(_risk_of_slice(question, row)).attribute(
                image,
                baselines=even,
                n_samples=int(parameters["samples"]),
                stdevs=float(parameters["noise_hu"]),
                return_convergence_delta=True,
            )
        maps.append(values.detach().float())
        errors.append(delta.detach().float().mean().reshape(1))
    return _path_maps(maps, errors)


def smoothgrad(question: SliceQuestion) -> SliceMaps:
    """Magnitude of the gradient averaged over noisy copies of the slice."""
    parameters = CARDS["smoothgrad"].parameters
    maps = []
    for row, seed in enumerate(question.seeds):
        with seeded(seed):
            values = NoiseTunnel(Saliency(_risk_of_slice(question, row))).attribute(
                question.slices_hu[row : row + 1],
                nt_type="smoothgrad",
                nt_samples=int(parameters["samples"]),
                nt_samples_batch_size=4,
                stdevs=float(parameters["noise_hu"]),
                abs=False,
            )
        maps.append(values.detach().float().abs())
    return SliceMaps(torch.cat(maps))


def occlusion(question: SliceQuestion) -> SliceMaps:
    """Fall of the risk when a square is replaced by its blurred self, averaged over the squares over a pixel."""
    parameters = CARDS["occlusion"].parameters
    side = [min(int(parameters["square_px"]), size) for size in question.slices_hu.shape[1:]]
    stride = [max(1, min(int(parameters["stride_px"]), size)) for size in side]
    maps = []
    for row in range(len(question.slices_hu)):
        image = question.slices_hu[row : row + 1]
        with torch.no_grad():
            values = Occlusion(_risk_of_slice(question, row)).attribute(
                image,
                sliding_window_shapes=(side[0], side[1]),
                strides=(stride[0], stride[1]),
                baselines=blurred(image),
                perturbations_per_eval=8,
            )
        maps.append(values.detach().float())
    return SliceMaps(torch.cat(maps))


METHODS: dict[str, Callable[[SliceQuestion], SliceMaps]] = {
    "gradcam": gradcam,
    "gradcam_averaged": gradcam_averaged,
    "integrated_gradients": integrated_gradients,
    "gradient_shap": gradient_shap,
    "smoothgrad": smoothgrad,
    "occlusion": occlusion,
}

EVEN_HU = (-1000.0, -100.0, 0.0, 40.0)
BLUR_PX = 8.0

CARDS: dict[str, MethodCard] = {
    "gradcam": MethodCard(
        "Grad-CAM, cell by cell",
        True,
        "gradient \u00d7 activation",
        8,
        parameters={"variant": "over cells: each keeps its own gradient (HiResCAM)", "relu": "no"},
    ),
    "gradcam_averaged": MethodCard(
        "Grad-CAM, slice average",
        True,
        "weighted activation (its sign is not reliable here)",
        8,
        parameters={"variant": "over maps: gradient averaged over the slice", "relu": "no"},
    ),
    "integrated_gradients": MethodCard(
        "Integrated gradients",
        True,
        "change of risk per encoder pixel",
        1,
        {"steps": 64, "rule": "Gauss-Legendre", "baseline": f"slice blurred, sigma {BLUR_PX:.0f} px", "scope": HELD},
    ),
    "gradient_shap": MethodCard(
        "GradientShap",
        True,
        "change of risk per encoder pixel",
        1,
        {"samples": 16, "noise_hu": 10.0, "baseline": "even slices of -1000, -100, 0, 40 HU", "scope": HELD},
    ),
    "smoothgrad": MethodCard(
        "SmoothGrad",
        False,
        "magnitude of the change of risk per HU",
        1,
        {"samples": 8, "noise_hu": 20.0, "scope": HELD},
    ),
    "occlusion": MethodCard(
        "Occlusion",
        True,
        "fall of risk when hidden",
        1,
        {"square_px": 16, "stride_px": 16, "fill": f"slice blurred, sigma {BLUR_PX:.0f} px", "scope": HELD},
    ),
}


def blurred(slices_hu: Tensor) -> Tensor:
    """Gaussian blur (sigma `BLUR_PX`) of slices (n, H, W), edges repeated."""
    radius = int(3 * BLUR_PX)
    offsets = torch.arange(-radius, radius + 1, dtype=slices_hu.dtype, device=slices_hu.device)
    kernel = torch.exp(-0.5 * (offsets / BLUR_PX) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(slices_hu[:, None], (radius, radius, radius, radius), mode="replicate")
    across = F.conv2d(padded, kernel.reshape(1, 1, 1, -1))
    return F.conv2d(across, kernel.reshape(1, 1, -1, 1))[:, 0]


def _upsampled(cells: Tensor, question: SliceQuestion) -> SliceMaps:
    """Cells (n, 1, h, w) -> maps (n, H, W)."""
    size = question.slices_hu.shape[1:]
    return SliceMaps(F.interpolate(cells, size=size, mode="bilinear", align_corners=False)[:, 0])


def _risk_of_slice(question: SliceQuestion, row: int) -> Callable[[Tensor], Tensor]:
    """(p, H, W) variants of slice `row` -> the patient's risk (p,)."""

    def risk(slices_hu: Tensor) -> Tensor:
        return question.risk_with(row, question.encoder(slices_hu).float())

    return risk


def _path_maps(maps: list[Tensor], errors: list[Tensor]) -> SliceMaps:
    values, error = torch.cat(maps), torch.cat(errors)
    return SliceMaps(values, error, values.sum(dim=(1, 2)) - error)
