"""The loss of time-to-event pretraining with its gradient, against its own matrix products and dense autograd.

    python -m bench.tte_loss

Batch 64, features 512 a piece, 8 pieces, 8,192 tasks, 40 events a patient; one thread. Prints seconds and their ratio
to the three matrix products that no such loss can do without, peak memory beyond the inputs (Linux) and its ratio to
dense autograd's, and how far the two losses differ.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.pretrain.tte.loss import Risks, risks_of, sparse_nll
from core.pretrain.tte.tasks import FutureEvents, piece_edges

BATCH, INNER, PIECES, TASKS, EVENTS = 64, 512, 8, 8192, 40
REPEATS = 7


def planted() -> tuple[tuple[Tensor, Tensor, Tensor], Risks]:
    """Random states and weights, and events of a batch."""
    draw = np.random.default_rng(0)
    follow_up = draw.uniform(100, 2000, BATCH)
    patients = np.repeat(np.arange(BATCH), EVENTS)
    tasks = np.concatenate([np.sort(draw.choice(TASKS, EVENTS, replace=False)) for _ in range(BATCH)])
    days = draw.uniform(0, follow_up[patients])
    events = FutureEvents(tuple(map(str, range(TASKS))), patients, tasks, days, follow_up)
    torch.manual_seed(0)
    parts = (
        torch.randn(BATCH * PIECES, INNER),
        0.02 * torch.randn(INNER, TASKS) / INNER**0.5,
        torch.full((TASKS,), -9.0),
    )
    edges = piece_edges(events, PIECES)
    return parts, risks_of(events, np.arange(BATCH), edges)


def sparse(parts: tuple[Tensor, Tensor, Tensor], risks: Risks) -> float:
    """Loss and gradient as pretraining makes them."""
    leaves = [part.detach().requires_grad_(True) for part in parts]
    loss = sparse_nll(leaves[0], leaves[1], leaves[2], risks)
    loss.backward()
    return float(loss.detach())


def dense(parts: tuple[Tensor, Tensor, Tensor], risks: Risks) -> float:
    """Exposures and events written out, loss and gradient by autograd."""
    leaves = [part.detach().requires_grad_(True) for part in parts]
    exposure = risks.exposure.reshape(-1, 1).repeat(1, TASKS)
    exposure[risks.rows, risks.tasks] = risks.at_risk
    happened = torch.zeros_like(exposure)
    happened[risks.rows, risks.tasks] = risks.happened
    hazards = leaves[0] @ leaves[1] + leaves[2]
    loss = (hazards.exp() * exposure - happened * hazards).sum() / (BATCH * TASKS)
    loss.backward()
    return float(loss.detach())


def products(parts: tuple[Tensor, Tensor, Tensor], risks: Risks) -> float:
    """Forward, and the two of the gradient."""
    states, weight, _ = parts
    hazards = states @ weight
    return float((hazards @ weight.T).sum() + (states.T @ hazards).sum())


WAYS: dict[str, Callable[[tuple[Tensor, Tensor, Tensor], Risks], float]] = {
    "sparse": sparse,
    "dense": dense,
    "products": products,
}


def memory_of(way: str) -> float:
    """MiB that a process of its own takes beyond its inputs at its peak."""
    command = [sys.executable, "-m", "bench.tte_loss", "--memory", way]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report_memory(way: str) -> None:
    """Print the peak beyond the inputs of this process, in MiB."""
    parts, risks = planted()
    small = [part[:, :64] if part.ndim == 2 and part.shape[1] == TASKS else part for part in parts]
    torch.mm(small[0], small[1])  # whatever the first product allocates for itself
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = peak_kib()
    WAYS[way](parts, risks)
    print((peak_kib() - before) / 1024)


def peak_kib() -> int:
    """Largest resident size of this process since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Time and weigh."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", choices=tuple(WAYS), help="one way alone, its memory in MiB")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        report_memory(options.memory)
        return
    parts, risks = planted()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    losses = {}
    for _ in range(REPEATS):
        for way, run in WAYS.items():
            began = time.perf_counter()
            losses[way] = run(parts, risks)
            seconds[way].append(time.perf_counter() - began)
    ratios = [one / other for one, other in zip(seconds["sparse"], seconds["products"])]
    told = {way: statistics.median(values) for way, values in seconds.items()}
    print("seconds: " + ", ".join(f"{way} {value:.3f}" for way, value in told.items()))
    print(f"loss with gradient / its three products: {statistics.median(ratios):.2f} (limit 1.2)")
    memory = {way: memory_of(way) for way in ("sparse", "dense")}
    print("memory, MiB: " + ", ".join(f"{way} {value:.0f}" for way, value in memory.items()))
    print(f"memory / dense autograd's: {memory['sparse'] / memory['dense']:.2f} (limit 0.25)")
    print(f"losses differ by {abs(losses['sparse'] / losses['dense'] - 1):.1e}")


if __name__ == "__main__":
    main()
