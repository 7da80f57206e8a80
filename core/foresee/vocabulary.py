"""The tokens of an event model, learned from training patients only, and the values and gaps that they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.events.kinds import KINDS, kind_of
from core.foresee.code_parts import PART_KINDS, UNKNOWN_TEXT, Part, parts_of
from core.foresee.events import DEATH, SEXES
from core.foresee.gaps import GAP_NAMES, GAP_POINTS

BINS = 10
BIN_POINTS = 11
"""Quantiles of the training values that are kept of each tenth."""
TENS = (*map(str, range(12)), "unknown")
UNITS = (*map(str, range(10)), "unknown")
SPECIAL = (Part("special", "PAD"), Part("special", "BEGIN"))
PERSON = (
    *(Part("sex", text) for text in SEXES),
    *(Part("age tens", text) for text in TENS),
    *(Part("age units", text) for text in UNITS),
)
FIXED: tuple[Part, ...] = (
    *SPECIAL,
    *PERSON,
    *(Part("gap", name) for name in GAP_NAMES),
    *(Part("quantile", f"Q{number}") for number in range(1, BINS + 1)),
    *(Part(kind, UNKNOWN_TEXT) for kind in PART_KINDS),
    *(Part("code", f"{UNKNOWN_TEXT}//{kind}") for kind in KINDS),
    Part("code", DEATH),
)
"""Tokens that every vocabulary begins with, so that their numbers are always the same."""
PAD, BEGIN = 0, 1
NUMBER_OF = {part: number for number, part in enumerate(FIXED)}
FIRST_GAP, FIRST_BIN = NUMBER_OF[Part("gap", GAP_NAMES[0])], NUMBER_OF[Part("quantile", "Q1")]
DEATH_TOKEN = NUMBER_OF[Part("code", DEATH)]
_FOLLOWS = {"icd middle": "icd", "icd end": "icd middle", "atc middle": "atc", "atc end": "atc middle"}
_FILE_VERSION = b"1"


@dataclass(frozen=True, eq=False)
class Values:
    """The numbers of one code in training. unit: the usual one, "" where none is told.

    points float64 (10, 11): evenly spaced quantiles of the values in each tenth, NaN in a tenth without any (values
    that often repeat fill several tenths).
    """

    unit: str
    points: npt.NDArray[np.float64]

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """The nine lower bounds of tenths 2 to 10. No value falls into an empty tenth: its bound is the next one's,
        -inf before the first that has any, inf behind the last."""
        lowest = np.where(np.isnan(self.points[:, 0]), np.inf, self.points[:, 0])
        bounds = np.minimum.accumulate(lowest[::-1])[::-1][1:]
        return np.where(np.arange(1, BINS) <= np.argmax(np.isfinite(lowest)), -np.inf, bounds)

    def at(self, tenth: int, level: float) -> float:
        """The value at a level, 0 to 1, of the values in a tenth; NaN in an empty one."""
        return float(np.interp(level, np.linspace(0.0, 1.0, BIN_POINTS), self.points[tenth]))

    def share_above(self, threshold: float) -> npt.NDArray[np.float64]:
        """Of each tenth the share of its training values that lie above; a tenth that the threshold parts counts so."""
        return np.array([1.0 - _share_up_to(points, threshold, "right") for points in self.points])

    def share_below(self, threshold: float) -> npt.NDArray[np.float64]:
        """Of each tenth the share of its training values that lie below."""
        return np.array([_share_up_to(points, threshold, "left") for points in self.points])


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Token number -> part of a code, and back.

    parts: `FIXED` first. counts int64 (v,): how often each stands in training. gap_days float64 (gaps, 101): training
    gaps of each gap token (`core.foresee.gaps.gap_points`). values: code token -> its numbers in training.
    """

    parts: tuple[Part, ...]
    counts: npt.NDArray[np.int64]
    gap_days: npt.NDArray[np.float64]
    values: dict[int, Values]
    numbers: dict[Part, int] = field(init=False)

    def __post_init__(self) -> None:
        if self.parts[: len(FIXED)] != FIXED or len(set(self.parts)) < len(self.parts):
            raise ValueError("a vocabulary begins with the fixed tokens and holds each token once")
        object.__setattr__(self, "numbers", {part: number for number, part in enumerate(self.parts)})

    def __len__(self) -> int:
        return len(self.parts)

    def tokens_of(self, code: str) -> tuple[int, ...]:
        """The tokens of a code in standard spelling; parts that training hardly saw are the unknown ones of their kind.

        Only the first token of a whole code tells of what kind an unknown one is (`core.events.kinds`).
        """
        return tuple(self.numbers.get(part, self._unknown(part)) for part in parts_of(code))

    def of_kind(self, kind: str) -> dict[str, int]:
        """Text -> number of the tokens of a kind."""
        return {part.text: number for number, part in enumerate(self.parts) if part.kind == kind}

    def gaps(self, gap: npt.NDArray[np.int64], level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The training gaps, in days, at levels, 0 to 1, of those that the gap tokens (n,) stand for."""
        points = self.gap_days.shape[1]
        place = np.minimum((level * points).astype(np.int64), points - 1)
        return np.asarray(self.gap_days[gap, place])

    def followers(self) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
        """What may follow what in a simulated future: (v,) the group of each token, and (groups, v) what may follow it.

        A tenth follows a code that has numbers, a later part of a code the part before it, and the facts of a person
        nothing. Group 0 is of the tokens that no tenth or part may follow.
        """
        kinds = np.array([part.kind for part in self.parts])
        before = [*dict.fromkeys(_FOLLOWS.values())]
        groups = np.array([before.index(kind) + 2 if kind in before else 0 for kind in kinds], np.int8)
        groups[list(self.values)] = 1
        allowed = np.ones((len(before) + 2, len(self)), bool)
        allowed[:, np.isin(kinds, [part.kind for part in (*SPECIAL, *PERSON)])] = False
        for kind, first in _FOLLOWS.items():
            allowed[np.arange(len(allowed)) != before.index(first) + 2] &= kinds != kind
        allowed[np.arange(len(allowed)) != 1] &= kinds != "quantile"
        return groups, allowed

    def save(self, path: Path) -> None:
        """Write one row a token to a parquet file: kind, text, count, unit, points (gaps in days or values)."""
        points: list[list[float] | None] = [None] * len(self)
        units: list[str | None] = [None] * len(self)
        for number, days in enumerate(self.gap_days):
            points[FIRST_GAP + number] = days.tolist()
        for token, values in self.values.items():
            points[token], units[token] = values.points.ravel().tolist(), values.unit
        table = pa.table(
            {
                "kind": pa.array([part.kind for part in self.parts], pa.string()),
                "text": pa.array([part.text for part in self.parts], pa.string()),
                "count": pa.array(self.counts, pa.int64()),
                "unit": pa.array(units, pa.string()),
                "points": pa.array(points, pa.list_(pa.float64())),
            },
            metadata={b"version": _FILE_VERSION},
        )
        pq.write_table(table, path)

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote. Raises UserFacingError where the file is no such vocabulary."""
        try:
            table = pq.read_table(path)
            rows = table.to_pydict()
            parts = tuple(map(Part, rows["kind"], rows["text"]))
            gaps = np.array(rows["points"][FIRST_GAP:FIRST_BIN], np.float64).reshape(len(GAP_NAMES), GAP_POINTS)
            values = {
                token: Values(rows["unit"][token] or "", np.array(points, np.float64).reshape(BINS, BIN_POINTS))
                for token, points in enumerate(rows["points"])
                if points is not None and parts[token].kind == "code"
            }
            return cls(parts, np.array(rows["count"], np.int64), gaps, values)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise UserFacingError(
                "The vocabulary of the event model cannot be read.",
                "vocabulary.parquet as training wrote it",
                "Train the model again, or copy its folder again.",
            ) from error

    def _unknown(self, part: Part) -> int:
        if part.kind != "code":
            return self.numbers[Part(part.kind, UNKNOWN_TEXT)]
        return self.numbers[Part("code", f"{UNKNOWN_TEXT}//{kind_of(part.text)}")]


def _share_up_to(points: npt.NDArray[np.float64], threshold: float, side: Literal["left", "right"]) -> float:
    """The share of a tenth's values below the threshold ("left"), or up to and with it; a half where it has none."""
    if np.isnan(points[0]):
        return 0.5
    below = int(np.searchsorted(points, threshold, side=side))
    if not 0 < below < BIN_POINTS:
        return float(below > 0)
    low, high = points[below - 1 : below + 1]
    return float((below - 1 + (threshold - low) / (high - low)) / (BIN_POINTS - 1))
