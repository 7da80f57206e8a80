"""What is known of a model's maps before one is shown: how large they are, and whether they depend on the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.records import FloatArray, MapStrength

LARGEST_PIXELS = 200
"""Of what the encoder read (2 mm pixels of 5 mm slices: 4 ml), so that one pixel decides nothing."""
SCALE_PERCENT = 75
"""Where the common colour scale ends among the training patients' maps."""
PASS_BELOW = 0.3
RANKS = tuple(range(101))


def map_size(maps: FloatArray) -> float:
    """How much a map raises the risk where it does most: the mean of the largest values on the encoder's own pixels.

    maps: float32 (pieces, ...), of the risk at the horizon. 0 where nothing raises it.
    """
    flat = maps.ravel()
    count = min(LARGEST_PIXELS, flat.size)
    return max(0.0, float(np.partition(flat, flat.size - count)[flat.size - count :].mean()))


@dataclass(frozen=True)
class RandomisationVerdict:
    """Rank correlation with the maps of random weights: medians over patients, the worst of the draws.

    signed: of the values. absolute: of their magnitudes. Both inside the body. Weights are drawn anew by shuffling.
    """

    signed: float
    absolute: float
    patients: int
    draws: int

    @property
    def passed(self) -> bool:
        """Below .3 in size, as of a map that depends on what was learned."""
        return max(abs(self.signed), abs(self.absolute)) < PASS_BELOW


@dataclass(frozen=True)
class MapTrust:
    """Of one model. sizes: by method and horizon in days, percentiles 0 to 100 of `map_size` over training patients.

    patients: how many they are. randomisation: by method.
    """

    sizes: Mapping[str, Mapping[float, tuple[float, ...]]] = field(default_factory=dict)
    patients: int = 0
    randomisation: Mapping[str, RandomisationVerdict] = field(default_factory=dict)

    def strength(self, method: str, horizon_days: float, size: float) -> MapStrength | None:
        """Where a map of this size stands among the training patients'; None where there are none of its method.

        For a horizon between the measured ones the nearest is taken.
        """
        measured = self.sizes.get(method)
        if not measured:
            return None
        ranks = measured[min(measured, key=lambda days: abs(np.log(days / horizon_days)))]
        share = float(np.interp(size, np.maximum.accumulate(ranks), RANKS)) / 100
        return MapStrength(share, max(ranks[SCALE_PERCENT], 1e-12), self.patients)

    def depends(self, method: str) -> bool | None:
        """Did maps of this method pass the weight-randomisation check? None where it was not run."""
        found = self.randomisation.get(method)
        return None if found is None else found.passed

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return {
            "patients": self.patients,
            "sizes": {
                method: {f"{days:g}": [float(f"{rank:.4g}") for rank in ranks] for days, ranks in by_day.items()}
                for method, by_day in self.sizes.items()
            },
            "randomisation": {
                name: {"signed": one.signed, "absolute": one.absolute, "patients": one.patients, "draws": one.draws}
                for name, one in self.randomisation.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MapTrust:
        """Raises KeyError, TypeError or ValueError where it is not one."""
        sizes = {
            str(method): {float(days): tuple(map(float, ranks)) for days, ranks in by_day.items()}
            for method, by_day in values["sizes"].items()
        }
        if any(len(ranks) != len(RANKS) for by_day in sizes.values() for ranks in by_day.values()):
            raise ValueError("percentiles 0 to 100 are wanted")
        verdicts = {
            str(name): RandomisationVerdict(
                float(one["signed"]), float(one["absolute"]), int(one["patients"]), int(one["draws"])
            )
            for name, one in values["randomisation"].items()
        }
        return cls(sizes, int(values["patients"]), verdicts)
