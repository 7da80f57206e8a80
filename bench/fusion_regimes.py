"""The seven fusions on synthetic tokens with known hazard: does each reach what it should, where it should?

    python -m bench.fusion_regimes                          all regimes, two seeds, five members
    python -m bench.fusion_regimes --seeds 1 --members 2    quicker

Writes docs/results/fusion_regimes.md.

Six regimes: an additive balanced one, two with one informative modality, one with an interaction, one where both
modalities share one latent value, and one where the record says which region of the image matters. Image tokens
12 x 64, EHR tokens 16 x 48. T = 365 Exp(1) exp(-eta) days, C ~ U(0, 900). Score: ensemble risk at 365 days,
Harrell C on 1,500.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from core.fuse import FUSIONS, Ragged, TokenSet
from core.records import EHR, IMAGE
from core.train.fit import fit_fusion
from core.train.members import FitConfig

ROOT = Path(__file__).resolve().parents[1]
HORIZON_DAYS = 365.0
REGIMES = {
    "balanced": (1200, (0.8, 0.8, 0.0)),
    "image_dominant": (1200, (1.1, 0.1, 0.0)),
    "ehr_dominant": (1200, (0.1, 1.1, 0.0)),
    "interaction": (1200, (0.4, 0.4, 0.9)),
    "shared_latent": (250, None),
    "ehr_selects_region": (1500, None),
}
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RegimeData:
    """Train, tuning and test patients of one regime, with the test patients' true log hazard."""

    train: TokenSet
    tuning: TokenSet
    test: TokenSet
    test_eta: Array


def planted(rng: np.random.Generator, count: int, weights: tuple[float, float, float]) -> tuple[Array, Array, Array]:
    """Regimes 1 to 4: two latent values a modality, written into 3 random slices and 4 random events."""
    maps = np.random.default_rng(7)
    w_image, w_ehr = maps.normal(size=(2, 64)) / 1.4, maps.normal(size=(2, 48)) / 1.4
    z_image, z_ehr = rng.normal(size=(count, 2)), rng.normal(size=(count, 2))
    image, ehr = rng.normal(size=(count, 12, 64)), rng.normal(size=(count, 16, 48))
    for row in range(count):
        image[row, rng.choice(12, 3, replace=False)] += 1.5 * z_image[row] @ w_image
        np.add.at(ehr[row], rng.integers(0, 16, 4), 1.5 * z_ehr[row] @ w_ehr)
    a, b, c = weights
    return image, ehr, a * z_image[:, 0] + b * z_ehr[:, 0] + c * z_image[:, 0] * z_ehr[:, 0]


def shared_latent(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Regime 5: one latent value in every token of both modalities, beside private nuisance."""
    maps, z = np.random.default_rng(8), rng.normal(size=count)

    def side(tokens: int, width: int) -> Array:
        signal, nuisance = maps.normal(size=width), maps.normal(size=(6, width))
        private = rng.normal(size=(count, 6)) @ nuisance
        noise = 1.5 * rng.normal(size=(count, tokens, width))
        return noise + (0.5 * z[:, None] * signal + 0.9 * private)[:, None]

    return side(12, 64), side(16, 48), 1.1 * z


def selects_region(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Regime 6: four regions of three slices; the record names the one region whose value sets the hazard."""
    maps = np.random.default_rng(9)
    keys, queries, direction = maps.normal(size=(4, 64)), maps.normal(size=(4, 48)), maps.normal(size=64) / 4.0
    value, chosen = rng.normal(size=(count, 4)), rng.integers(0, 4, count)
    region = np.repeat(np.arange(4), 3)
    image = 0.5 * rng.normal(size=(count, 12, 64)) + keys[region] + 3.0 * value[:, region, None] * direction
    ehr = 0.5 * rng.normal(size=(count, 16, 48)) + queries[chosen][:, None]
    return image, ehr, 1.2 * value[np.arange(count), chosen]


def token_set(image: Array, ehr: Array, eta: Array, rng: np.random.Generator) -> TokenSet:
    """Tokens with censored times drawn from exp(eta)."""
    event_time = 365.0 * rng.exponential(size=len(eta)) * np.exp(-eta)
    censored = rng.uniform(0.0, 900.0, len(eta))
    times, events = np.minimum(event_time, censored), event_time <= censored
    return TokenSet(
        {IMAGE: _ragged(image), EHR: _ragged(ehr)},
        torch.as_tensor(times, dtype=torch.float32),
        torch.as_tensor(events, dtype=torch.float32),
        np.arange(len(eta)),
    )


def make_regime(name: str, seed: int, *, tests: int = 1500) -> RegimeData:
    """Draw one regime: a fifth of the stated training patients tune, the rest train."""
    count, weights = REGIMES[name]
    rng = np.random.default_rng([seed, list(REGIMES).index(name)])
    total = count + tests
    if weights is not None:
        image, ehr, eta = planted(rng, total, weights)
    else:
        image, ehr, eta = (shared_latent if name == "shared_latent" else selects_region)(rng, total)
    whole = token_set(image, ehr, eta, rng)
    tuned = count // 5
    parts = np.split(np.arange(total), [tuned, count])
    return RegimeData(whole.subset(parts[1]), whole.subset(parts[0]), whole.subset(parts[2]), eta[count:])


def harrell(risk: Array, times: Array, events: Array) -> float:
    """Harrell C by all pairs with t_i < t_j and an event at t_i (times are continuous here: no ties)."""
    comparable = (times[:, None] < times[None]) & (events[:, None] > 0)
    higher = (risk[:, None] > risk[None]) + 0.5 * (risk[:, None] == risk[None])
    return float((higher * comparable).sum() / comparable.sum())


def score(data: RegimeData, fusion: str, config: FitConfig, seed: int) -> tuple[Array, float]:
    """Test risks at 365 days and the seconds the fit took."""
    start = time.perf_counter()
    fitted = fit_fusion(data.train, data.tuning, fusion, "piecewise", config, seed, device="auto")
    seconds = time.perf_counter() - start
    with torch.no_grad():
        return fitted.model.risk(data.test.batch(np.arange(len(data.test))), HORIZON_DAYS).double().numpy(), seconds


def _ragged(values: Array) -> Ragged:
    count, tokens, width = values.shape
    places = np.tile(np.linspace(0.0, 1.0, tokens, dtype=np.float32), count)
    flat = torch.from_numpy(values.reshape(-1, width).astype(np.float32))
    return Ragged(flat, torch.from_numpy(places), torch.arange(count + 1) * tokens)


def run(seeds: int, config: FitConfig, regimes: list[str]) -> list[dict[str, float | str]]:
    """Every fusion and the pooled (paper-literal) concat on every regime."""
    rows: list[dict[str, float | str]] = []
    for name in regimes:
        results: dict[str, list[float]] = {}
        for seed in range(seeds):
            data = make_regime(name, seed)
            times, events = data.test.times.double().numpy(), data.test.events.double().numpy()
            results.setdefault("oracle", []).append(harrell(data.test_eta, times, events))
            for fusion in [*FUSIONS, "concat (pooled)", "co_attention_ehr_guided (pooled)"]:
                pooled = fusion.endswith("(pooled)")
                risk, seconds = score(data, fusion.split(" ")[0], replace(config, pooled=pooled), seed)
                results.setdefault(fusion, []).append(harrell(risk, times, events))
                print(f"{name} seed {seed} {fusion}: C {results[fusion][-1]:.3f} in {seconds:.1f} s", flush=True)
        rows.append({"regime": name, **{key: float(np.mean(values)) for key, values in results.items()}})
    return rows


def table(rows: list[dict[str, float | str]]) -> str:
    """Markdown table of mean Harrell C."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [value if isinstance(value, str) else f"{value:.3f}" for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--regime", action="append", choices=list(REGIMES))
    arguments = parser.parse_args()
    rows = run(arguments.seeds, FitConfig(members=arguments.members), arguments.regime or list(REGIMES))
    text = table(rows)
    print(text)
    if not arguments.regime:
        out = ROOT / "docs" / "results" / "fusion_regimes.md"
        out.parent.mkdir(parents=True, exist_ok=True)
        head = HEADER.format(seeds=arguments.seeds, members=arguments.members)
        out.write_text(head + text + "\n", encoding="utf-8")


HEADER = """# Fusions on synthetic tokens with a known hazard

Made by `python -m bench.fusion_regimes --seeds {seeds} --members {members}`. Harrell C of the risk at 365 days on 1,500
test patients, mean over seeds; a fifth of the training patients only chose epoch and calibration. "pooled" is the
paper-literal form: each modality averaged to one vector first. What each regime is stands in the script.

"""

if __name__ == "__main__":
    main()
