"""The models a reader can choose from, in display order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.bundle_folder import OwnModel
from core.cohort.tasks import TASKS
from core.explain.map_trust import MapTrust
from core.explain.methods import CARDS
from core.export.style import fusion_title
from core.fuse import FUSIONS, reads_of
from core.records import Task

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
    """One model of a task. A shipped bundle has the key "task/fusion"; own: what one's own is called, else "".

    card: of the task, None where only the bundle tells.
    """

    key: str
    task: str
    fusion: str
    card: Task | None = None
    own: str = ""

    @property
    def task_title(self) -> str:
        """What the task is called on the page."""
        return self.card.title if self.card else self.task

    @property
    def name(self) -> str:
        """What tells it from the task's other models."""
        return f"own/{self.own}" if self.own else self.fusion

    @property
    def reads(self) -> tuple[str, ...]:
        """Modalities that its fusion reads; all of them where this version does not have it."""
        return reads_of(self.fusion)

    @property
    def title(self) -> str:
        """What it is called on the page."""
        fusion = fusion_title(self.fusion)
        return f"Own: {self.own} · {fusion}" if self.own else fusion


def of_task(models: Iterable[ModelChoice], task: str) -> list[ModelChoice]:
    """Every model of a task, in their order."""
    return [model for model in models if model.task == task]


def method_title(name: str, maps: MapTrust | None) -> str:
    """A saliency method as it is offered: with a mark where its maps failed the weight-randomisation check."""
    title = CARDS[name].title
    return f"{title} \u26a0 check failed" if maps is not None and maps.depends(name) is False else title


def own_choices(models: Iterable[OwnModel]) -> tuple[ModelChoice, ...]:
    """Choices of models of one's own, in their order."""
    return tuple(ModelChoice(own.key, own.task.name, own.fusion, own.task, own.name) for own in models)


def single_modality(models: Iterable[ModelChoice], beside: ModelChoice) -> dict[str, ModelChoice | None]:
    """The models of the same task that read one input only, by fusion, but for `beside` itself: shipped ones beside a
    shipped model, the first of one's own beside one's own; None where there is none."""
    alike = [
        model for model in reversed(tuple(models)) if (model.task, bool(model.own)) == (beside.task, bool(beside.own))
    ]
    found = {model.fusion: model for model in alike}
    return {name: found.get(name) for name, card in FUSIONS.items() if card.single and name != beside.fusion}


def in_display_order(keys: Iterable[str]) -> tuple[ModelChoice, ...]:
    """Choices of the bundles "task/fusion": tasks and fusions in display order, unknown ones last."""
    found = (_shipped(key, *key.split("/", 1)) for key in keys)
    return tuple(sorted(found, key=lambda choice: (_place(choice.task, tuple(TASKS)), choice.task, _rank(choice))))


def _shipped(key: str, task: str, fusion: str) -> ModelChoice:
    return ModelChoice(key, task, fusion, TASKS.get(task))


def _rank(choice: ModelChoice) -> int:
    return _place(choice.fusion, tuple(FUSIONS))


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)
