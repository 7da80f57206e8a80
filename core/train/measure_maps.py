"""What a model's maps are worth, measured on its training patients: how large they are, what they hang on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.bundle import Bundle
from core.explain.map_trust import RANKS, MapTrust, map_size
from core.explain.methods import CARDS
from core.explain.risk import RiskReadout
from core.explain.saliency import piece_maps
from core.explain.trust.weight_randomisation import DRAWS, ranks_with_random_weights, verdict
from core.fuse import TokenBatch
from core.records import IMAGE, Tokens, is_supported
from core.records.interfaces import CtEncoder, SampledScan

QUICK = tuple(name for name, card in CARDS.items() if card.passes == 1)
RANDOM_PATIENTS = 30


@dataclass(frozen=True, eq=False)
class ReadCase:
    """One training patient as the bundle's encoders read it: tokens by modality, and the sampled scan behind them."""

    tokens: Mapping[str, Tokens]
    sampled: SampledScan


def measure_maps(
    bundle: Bundle,
    cases: Iterable[ReadCase],
    *,
    sized: Sequence[str] = ("gradcam",),
    checked: Sequence[str] = QUICK,
    checked_patients: int = RANDOM_PATIENTS,
    draws: int = DRAWS,
) -> MapTrust:
    """Sizes of the maps of all cases at each horizon; the weight-randomisation check on the first of them.

    sized, checked: methods. A method of one pass is checked on every slice, a slower one on the slice where the
    first's map is largest. One case is held at a time.
    """
    encoder, horizons = bundle.encoders[IMAGE], [float(days) for days in bundle.task.horizons_days]
    assert isinstance(encoder, CtEncoder)
    horizons = [days for days in horizons if is_supported(days, bundle.model.last_supported_days)]
    sizes: dict[str, dict[float, list[float]]] = {name: defaultdict(list) for name in sized}
    ranks: dict[str, list[npt.NDArray[np.float64]]] = defaultdict(list)
    count = 0
    for count, case in enumerate(cases, 1):
        batch = TokenBatch.from_tokens({name: [one] for name, one in case.tokens.items()})
        pieces, peak = range(len(case.sampled.voxels_hu)), 0
        for days in horizons:
            readout = RiskReadout(bundle.model, encoder, batch, case.sampled, days, torch.device("cpu"))
            for name in sized:
                values, _ = piece_maps(readout, name, pieces)
                sizes[name][days].append(map_size(values))
                peak = int(np.unravel_index(int(values.argmax()), values.shape)[0])
        if count <= checked_patients:
            middle = RiskReadout(
                bundle.model, encoder, batch, case.sampled, horizons[len(horizons) // 2], torch.device("cpu")
            )
            for chosen, of in ((pieces, QUICK), ((peak,), tuple(name for name in CARDS if name not in QUICK))):
                if methods := [name for name in checked if name in of]:
                    for name, found in ranks_with_random_weights(middle, methods, chosen, draws=draws).items():
                        ranks[name].append(found)
    percentiles = {
        name: {days: tuple(map(float, np.percentile(values, RANKS))) for days, values in by_day.items()}
        for name, by_day in sizes.items()
    }
    return MapTrust(percentiles, count, {name: verdict(found) for name, found in ranks.items()})
