"""Packets of bytes that the browser viewer reads: one for the volume, one for the overlay.

Layout: b"CTV1", uint32 length of the header (little endian), UTF-8 JSON header, zeros up to a multiple of 8, payload.
The payload holds voxels with i fastest, then j, then k, on closest-canonical RAS axes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core import RESEARCH_NOTICE
from core.explain.methods import CARDS
from core.export.saliency_words import CHECK_WORDS, amount_words, is_of_one_slice, place_words, value_ends
from core.export.scan import strongest_voxel
from core.records import Attention, Attribution, CtStudy, FloatArray
from core.view.colour import saliency_colours
from core.wording import duration

MAGIC = b"CTV1"
_VIEWER = "main"
"""Which viewer a packet is for: the page has one."""
VOLUME_BYTES_LIMIT = 120 * 2**20
OVERLAY_VOXELS_LIMIT = 6 * 2**20


def pack(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """One packet; see the module docstring for its layout."""
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    start = MAGIC + len(text).to_bytes(4, "little") + text
    return start + bytes(-len(start) % 8) + payload


def unpack(packet: bytes) -> tuple[dict[str, Any], bytes]:
    """(header, payload) of a packet. Raises ValueError where it is not one."""
    if packet[:4] != MAGIC:
        raise ValueError("not a viewer packet")
    end = 8 + int.from_bytes(packet[4:8], "little")
    return json.loads(packet[8:end]), packet[end + (-end % 8) :]


def block_mean(values: npt.NDArray[Any], shape: Sequence[int]) -> FloatArray:
    """Mean over near-equal blocks that tile the array exactly: float32 of `shape` (each at most the input's)."""
    result = np.asarray(values)
    for axis, wanted in enumerate(shape):
        count = result.shape[axis]
        if wanted != count:
            edges = np.floor(np.linspace(0, count, wanted + 1)).astype(int)
            sums = np.add.reduceat(result, edges[:-1], axis=axis, dtype=np.float32)
            widths = np.diff(edges).astype(np.float32)
            result = sums / widths.reshape([-1 if n == axis else 1 for n in range(result.ndim)])
    return np.asarray(result, dtype=np.float32)


def shown_shape(shape: Sequence[int], limit: int) -> tuple[int, int, int]:
    """The largest grid of at most `limit` voxels: halve the in-plane axes first, then k."""
    i, j, k = shape
    while i * j * k > limit and min(i, j) > 128:
        i, j = (i + 1) // 2, (j + 1) // 2
    while i * j * k > limit and k > 1:
        k = (k + 1) // 2
    return i, j, k


def pack_volume(
    study: CtStudy,
    window_hu: tuple[int, int],
    *,
    opened: Mapping[str, Any] | None = None,
    limit_bytes: int = VOLUME_BYTES_LIMIT,
) -> bytes:
    """The study for the viewer: int16 HU; averaged over blocks, with a shown note, where it exceeds `limit_bytes`.

    opened: how the viewer is to open, in place of its middle and its usual look: as it reports it itself, with a token.
    """
    shape = shown_shape(study.shape, limit_bytes // 2)
    voxels, note = study.voxels_hu, ""
    if shape != study.shape:
        voxels = np.round(block_mean(voxels, shape)).astype(np.int16)
        small, full = (" x ".join(map(str, grid)) for grid in (shape, study.shape))
        note = f"Shown at {small} voxels, of {full} that are too many to show; the models read them all."
    ratio = np.array(study.shape) / np.array(shape)
    affine = study.affine_mm @ np.vstack([np.column_stack([np.diag(ratio), (ratio - 1) / 2]), [0, 0, 0, 1]])
    header = {
        "kind": "volume",
        "viewer": _VIEWER,
        "study": study.digest[:24],
        "digest": f"{study.digest[:24]}-{window_hu[0]}-{window_hu[1]}",
        "shape": list(shape),
        "full_shape": list(study.shape),
        "spacing": [float(mm * by) for mm, by in zip(study.spacing_mm, ratio, strict=True)],
        "affine": affine.tolist(),
        "window": list(window_hu),
        "start": [count // 2 for count in shape],
        "opened": _opened(opened, study.shape, shape),
        "note": note,
        "notice": RESEARCH_NOTICE,
    }
    return pack(header, voxels.tobytes(order="F"))


def _opened(told: Mapping[str, Any] | None, full: Sequence[int], shape: Sequence[int]) -> dict[str, Any] | None:
    """The view to open with, its voxel on the grid that is shown."""
    if not told or "voxel" not in told:
        return None
    cursor = [
        round((at + 0.5) * part / whole - 0.5) for at, part, whole in zip(told["voxel"], shape, full, strict=True)
    ]
    kept = ("token", "window_hu", "threshold", "opacity", "inverted", "own_scale")
    return {**{name: told[name] for name in kept}, "cursor": cursor}


def pack_overlay(
    study: CtStudy,
    saliency: Attribution | None,
    attention: Attention | None,
    *,
    digest: str,
    question: str = "",
    reason: str = "",
    pending: str = "",
    stopped: bool = False,
    model: str = "",
    task: str = "",
    watermark: str = "",
) -> bytes:
    """Saliency map and slice strip for the viewer.

    The map is quantised to uint8 by the square root of its size, so that a weak one keeps its steps beside the `common`
    end of the scale of the training patients' maps, on which it is shown by default; `own` is the end of its own.
    Where there is no map, `reason` says why, or
    `pending` names the one that is still being computed: until that is there, and where the reader `stopped` it, an
    earlier map stays, dimmed and named with its `model`, and its `task` where another is asked now. `digest` must
    change whenever anything shown changes; `question` is the one of `pack_expected` it answers.
    """
    bars, strip_label = slice_strip(study, saliency, attention)
    header: dict[str, Any] = {
        "kind": "overlay",
        "viewer": _VIEWER,
        "study": study.digest[:24],
        "digest": digest,
        "question": question,
        "reason": reason,
        "pending": bool(pending),
        "stopped": stopped,
        "model": model,
        "task": task,
        "label": pending or "Saliency",
        "watermark": watermark,
        "strip": bars,
        "strip_label": strip_label,
        "focus": None if pending or stopped else _focus(study, saliency, bars),
        "shape": None,
    }
    if saliency is None:
        return pack(header)
    if saliency.values.shape != study.shape:
        raise ValueError("the saliency is one of another study")
    grid = shown_shape(study.shape, OVERLAY_VOXELS_LIMIT)
    values = block_mean(saliency.values, grid)
    common = None if saliency.strength is None else saliency.strength.scale_limit
    limit = max(saliency.own_limit, common or 0.0)
    header |= {
        "shape": list(grid),
        "limit": limit,
        "own": saliency.own_limit,
        "common": common,
        "ends": value_ends(saliency),
        "amount": amount_words(saliency),
        "place": place_words(saliency),
        "check": CHECK_WORDS[saliency.depends],
        "signed": saliency.signed,
        "unit": saliency.unit,
        "label": map_label(saliency.method, saliency.horizon_days, one_slice=is_of_one_slice(saliency)),
        "colours": saliency_colours(saliency.signed),
    }
    return pack(header, quantise(values, limit, saliency.signed).tobytes(order="F"))


def map_label(method: str, horizon_days: float, *, one_slice: bool = False) -> str:
    """Names a map in words: method and horizon, and that it is of one slice only.

    >>> map_label("occlusion", 90), map_label("occlusion", 90, one_slice=True)
    ('Occlusion, 90 days', 'Occlusion, 90 days, one slice')
    """
    words = f"{CARDS[method].title if method in CARDS else method}, {duration(horizon_days)}"
    return f"{words}, one slice" if one_slice else words


def pack_expected(question: str, label: str = "", *, token: str, own: bool = False, title: str = "") -> bytes:
    """Tells the viewer which question the next overlay answers; the map of another is dimmed, or taken away.

    label: names the map that is being computed, and the earlier one is dimmed until then; empty where none is.
    token: this packet's alone; one that comes again after a newer one is not listened to. own: the reader's own case
    is open, which leaving the page would lose. title: whose case and what is asked, for the full screen.
    """
    asked = {"token": token, "question": question, "label": label, "own": own, "title": title}
    return pack({"kind": "expect", "viewer": _VIEWER, **asked})


def quantise(values: FloatArray, limit: float, signed: bool) -> npt.NDArray[np.uint8]:
    """uint8 of the roots of values scaled to `limit`, with their signs: signed maps put zero at 128, others at 0."""
    scaled = np.clip(values / max(limit, 1e-30), -1.0, 1.0)
    roots = np.sign(scaled) * np.sqrt(np.abs(scaled))
    codes = 128 + 127 * roots if signed else 255 * np.clip(roots, 0.0, 1.0)
    return np.asarray(np.round(codes), dtype=np.uint8)


def slice_strip(
    study: CtStudy, saliency: Attribution | None, attention: Attention | None
) -> tuple[list[list[float]], str]:
    """Bars beside the axial view: [slice index in the shown grid, weight, thickness in slices], and their caption."""
    depth = shown_shape(study.shape, VOLUME_BYTES_LIMIT // 2)[2]
    by = depth / study.shape[2]
    if attention is not None and (found := attention.by_height()) is not None:
        weights, heights_mm = found
        z0, step = float(study.affine_mm[2, 3]), float(study.affine_mm[2, 2])
        index = (heights_mm - z0) / step * by
        thickness = abs(float(np.median(np.diff(np.sort(index))))) if len(index) > 1 else 1.0
        bars = [[float(k), float(w), thickness] for k, w in zip(index, weights, strict=True)]
        return bars, f"Attention per slice; click to jump. From {attention.kind}"
    if saliency is not None:
        sums = np.abs(saliency.values).sum(axis=(0, 1), dtype=np.float64)
        return [[k * by, float(v), by] for k, v in enumerate(sums)], "Saliency per slice; click to jump."
    return [], ""


def _focus(study: CtStudy, saliency: Attribution | None, bars: list[list[float]]) -> list[float] | None:
    """Where the viewer opens: the strongest voxel of the map, else the heaviest slice (shown grid)."""
    shape = shown_shape(study.shape, VOLUME_BYTES_LIMIT // 2)
    strongest = None if saliency is None else strongest_voxel(saliency)
    if strongest is not None:
        return [(at + 0.5) * part / whole - 0.5 for at, part, whole in zip(strongest, shape, study.shape, strict=True)]
    if bars:
        return [shape[0] / 2, shape[1] / 2, max(bars, key=lambda bar: bar[1])[0]]
    return None
