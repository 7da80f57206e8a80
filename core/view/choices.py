"""The models a reader can choose from, in display order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.cohort.tasks import TASKS

FUSION_ORDER = (
    "cross_attention",
    "co_attention_ehr_guided",
    "co_attention_image_guided",
    "contrastive",
    "concat",
    "image_only",
    "ehr_only",
)

FUSION_WORDS = {
    "cross_attention": "CT and record each look at the other for what matters.",
    "co_attention_ehr_guided": "the record decides where to look in the CT.",
    "co_attention_image_guided": "the CT decides where to look in the record.",
    "contrastive": "CT and record were first taught to agree about a patient, then put side by side.",
    "concat": "summaries of CT and record side by side.",
    "image_only": "the record is not read.",
    "ehr_only": "the CT is not read, so there is no saliency.",
}
"""How each model puts CT and record (EHR) together, in a line."""

METHOD_WORDS = {
    "gradcam": "how strongly the encoder's features respond in each cell of a slice (activation), times how much the "
    "risk changes with that response (gradient). Quick; the default.",
    "gradcam_averaged": "the original Grad-CAM, its gradient averaged over the slice; its sign is not reliable here.",
    "integrated_gradients": "the change of risk from a blurred slice to the real one, shared out over pixels. Slow.",
    "gradient_shap": "the same from even slices of air, fat, water and soft tissue, with a little noise. Slow.",
    "smoothgrad": "how much the risk changes with each pixel, averaged over noisy copies; has no sign.",
    "occlusion": "how far the risk falls when a square of the slice is blurred.",
}
"""What each saliency method shows, in a line."""


@dataclass(frozen=True)
class ModelChoice:
    """One shipped bundle: its key is "task/fusion"."""

    key: str
    task: str
    fusion: str


def in_display_order(keys: Iterable[str]) -> tuple[ModelChoice, ...]:
    """Choices of the bundles "task/fusion": tasks and fusions in display order, unknown ones last."""
    found = (ModelChoice(key, *key.split("/", 1)) for key in keys)
    return tuple(sorted(found, key=lambda choice: (_place(choice.task, tuple(TASKS)), choice.task, _rank(choice))))


def _rank(choice: ModelChoice) -> int:
    return _place(choice.fusion, FUSION_ORDER)


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)
