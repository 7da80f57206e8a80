"""Loss of the event model against compute: four sizes on equal tokens, and one size on four budgets of tokens.

    python -m bench.scaling [--patients 2500] [--train-patients N] [--sizes 0.1m 0.4m 1m 3m] [--one 0.4m]
        [--device auto] [--json FILE] [--plot FILE]

Virtual records of `scripts.make_event_model` (made into --build where they are not there), patients of each task. Of
all patients a tenth is held back and scored once, and a tenth chooses the weights. The others, or --train-patients of
them, are read once: a size sees them all, a budget an eighth, a quarter, a half or all.

Compute is 6 x weights x tokens (attention over the context
left out; the token table counts, as it is the last product too). Slope: of log loss over log compute by least squares,
with a 95% interval from 1,000 draws of held-back patients, the same ones for all runs; it leaves out what another seed
or learning rate would change. The same command runs on a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from core.arguments import show_progress
from core.foresee.events import PatientEvents
from core.foresee.fit_vocabulary import fit_vocabulary
from core.foresee.model import SIZES, EventModel, ModelConfig
from core.foresee.packing import Documents, as_documents, batches
from core.foresee.tokens import tokenise
from core.foresee.train import EventTraining, fit, next_token_loss
from core.foresee.vocabulary import Vocabulary
from scripts.make_event_model import ROOT, read_records, write_records

SHARES = (0.125, 0.25, 0.5, 1.0)
FLOPS = 6
DRAWS = 1000
CONTEXT = 512
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One training. tokens: guessed in it. loss: nats a token of held-back patients. seconds: of training."""

    size: str
    share: float
    weights: int
    tokens: int
    flops: float
    loss: float
    seconds: float


@dataclass(frozen=True)
class Slope:
    """Of log loss over log compute, with its 95% interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents of each split, and the words they are made of. order: of the training patients."""

    vocabulary: Vocabulary
    tuning: Documents
    held_back: Documents
    events: PatientEvents
    order: npt.NDArray[np.int64]

    def train(self, share: float) -> Documents:
        """The documents of a share of the training patients; a smaller share is a part of a larger one."""
        part = self.order[: max(1, round(share * len(self.order)))]
        return as_documents(tokenise(self.events.of(part.tolist()), self.vocabulary), CONTEXT)


def corpus(events: PatientEvents, seed: int, most: int | None = None) -> Corpus:
    """A tenth of the patients held back, a tenth for tuning; of the others `most` train, who give the vocabulary."""
    order = np.random.default_rng(seed).permutation(events.subject_ids)
    tenth = len(order) // 10
    held_back, tuning, train = order[:tenth], order[tenth : 2 * tenth], order[2 * tenth :][:most]
    vocabulary = fit_vocabulary(events.of(train.tolist()))
    checked, scored = (
        as_documents(tokenise(events.of(own.tolist()), vocabulary), CONTEXT) for own in (tuning, held_back)
    )
    return Corpus(vocabulary, checked, scored, events, train)


@torch.no_grad()
def patient_losses(model: EventModel, documents: Documents) -> Floats:
    """(p, 2): of each patient the nats of all tokens to be guessed, and how many these are."""
    found = np.zeros((int(documents.owners.max()) + 1, 2))
    first = 0
    for batch in batches(documents, CONTEXT, 8192, None):
        losses, _ = next_token_loss(model, batch)
        own = documents.owners[first + batch.documents[:, 1:][batch.targets[:, 1:]]]
        np.add.at(found, own, np.stack([losses.double().cpu().numpy(), np.ones(len(own))], axis=1))
        first += int(batch.documents.max()) + 1
    return found


def train_one(data: Corpus, size: str, share: float, seed: int, device: str) -> tuple[Run, Floats]:
    """Train once through a share of the patients; the run, and its `patient_losses` on those held back."""
    documents = data.train(share)
    options = EventTraining(
        size=size, context=CONTEXT, epochs=1, dropout=0.0, check_steps=200, patience=10**6, seed=seed, device=device,
        batch_tokens=4096,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = EventModel(ModelConfig.of_size(size, len(data.vocabulary), context=CONTEXT, dropout=0.0))
    weights = sum(item.numel() for item in model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        report = fit(model, documents, data.tuning, options, Path(folder))
    scores = patient_losses(model, data.held_back)
    loss = float(scores[:, 0].sum() / scores[:, 1].sum())
    tokens = documents.targets
    return Run(size, share, weights, tokens, FLOPS * weights * tokens, loss, report.checks[-1].seconds), scores


def slope_of(flops: Sequence[float], losses: Floats) -> Floats:
    """Least-squares slope of log loss over log compute. losses (..., runs) -> (...).

    >>> slope_of([1.0, 10.0, 100.0], np.array([4.0, 2.0, 1.0])).round(3).item()
    -0.301
    """
    centred = np.log(flops) - np.log(flops).mean()
    return np.asarray(np.log(losses) @ centred / (centred**2).sum())


def slope_with_interval(flops: Sequence[float], scores: Floats, seed: int) -> Slope:
    """scores (runs, p, 2): `patient_losses` of each run on the same patients."""
    patients = scores.shape[1]
    draws = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), DRAWS)
    nats, counts = (draws @ scores[:, :, part].T for part in (0, 1))
    lower, upper = np.quantile(slope_of(flops, nats / counts), [0.025, 0.975])
    whole = scores.sum(1)
    return Slope(float(slope_of(flops, whole[:, 0] / whole[:, 1])), float(lower), float(upper))


def advice(sizes: Sequence[Run], scores: Floats, seed: int) -> str:
    """What the two largest sizes say about the next one; by the interval of their paired difference."""
    largest, before = scores[-1], scores[-2]
    patients = len(largest)
    draws = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), DRAWS)
    gains = draws @ (before[:, 0] - largest[:, 0]) / (draws @ largest[:, 1])
    lower, upper = np.quantile(gains, [0.025, 0.975])
    names = f"{sizes[-1].size} against {sizes[-2].size}: {gains.mean():+.4f} nats a token gained "
    words = f"(95% interval {lower:+.4f} to {upper:+.4f})"
    if lower > 0:
        return f"{names}{words}; a larger one may gain more."
    return f"{names}{words}; on so many tokens no reason for a larger one, more records first."


def plot(groups: dict[str, list[Run]], path: Path) -> None:
    """Loss against compute, both logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for label, runs in groups.items():
        axes.plot([run.flops for run in runs], [run.loss for run in runs], marker="o", label=label)
        for run in runs:
            axes.annotate(f"{run.size}, {run.tokens / 1e6:.2f}M tokens", (run.flops, run.loss), fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel="Training compute (FLOP)", ylabel="Held-back loss (nats a token)")
    axes.tick_params(axis="x", which="minor", labelbottom=False)  # powers of ten alone: the others would overlap
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="Loss of the event model against compute.")
    parser.add_argument("--patients", type=int, default=2500, help="of each task")
    parser.add_argument("--train-patients", type=int, default=None, help="at most, for a quick look")
    parser.add_argument("--sizes", nargs="+", default=["0.1m", "0.4m", "1m", "3m"], choices=SIZES)
    parser.add_argument("--one", default="0.4m", choices=SIZES, help="the size that sees four budgets")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "event_model")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--plot", type=Path, default=None)
    options = parser.parse_args()
    if len(options.sizes) < 2:
        sys.exit("error: a slope needs two sizes or more")
    build = write_records(options.build, options.patients, options.workers)
    data = corpus(read_records(build, options.patients), options.seed, options.train_patients)
    wanted = [*((size, 1.0) for size in options.sizes), *((options.one, share) for share in SHARES)]
    asked = list(dict.fromkeys(wanted))
    found: dict[tuple[str, float], tuple[Run, Floats]] = {}
    for place, (size, share) in enumerate(asked):
        found[size, share] = train_one(data, size, share, options.seed, options.device)
        run = found[size, share][0]
        show_progress((place + 1) / len(asked), f"{size}, {run.tokens:,} tokens: {run.loss:.4f} in {run.seconds:.0f} s")
    result = summary(found, wanted[: len(options.sizes)], wanted[len(options.sizes) :], options)
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def summary(
    found: dict[tuple[str, float], tuple[Run, Floats]],
    sizes: list[tuple[str, float]],
    budgets: list[tuple[str, float]],
    options: argparse.Namespace,
) -> dict[str, object]:
    """Runs and slope of both groups, and what they say; writes the plot where one is asked for."""
    named = {"sizes at equal tokens": sizes, f"{options.one} at four budgets": budgets}
    groups = {name: [found[key][0] for key in keys] for name, keys in named.items()}
    scores = {name: np.stack([found[key][1] for key in keys]) for name, keys in named.items()}
    result: dict[str, object] = {"held_back_patients": len(next(iter(scores.values()))[0])}
    for name, runs in groups.items():
        losses = [run.loss for run in runs]
        result[name] = {
            "runs": [asdict(run) for run in runs],
            "non_increasing": all(after <= before for before, after in pairwise(losses)),
            "slope": asdict(slope_with_interval([run.flops for run in runs], scores[name], options.seed)),
        }
    first = next(iter(groups))
    result["next_size"] = advice(groups[first], scores[first], options.seed)
    if options.plot is not None:
        plot(groups, options.plot)
    return result


if __name__ == "__main__":
    main()
