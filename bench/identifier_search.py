"""The search for identifiers in a record of 43,019 events, against 5 s of processor time.

    python -m bench.identifier_search [--data ../shared/data/ehr] [--forms fhir csv parquet]

The events are those of the fullest FHIR record of the data, taken again and again with ids, times and amounts of their
own, as a long stay has them; and, as tables, those of the patient of MIMIC-IV's demo who has as many. Prints the
processor time of each search, its ratio to the 5 s that it may take, how often progress was told, the longest time
between two tellings, and how many places were found.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from core.intake.identifiers.search import search_sources

EVENTS = 43_019
MAY_TAKE_S = 5.0
PATIENT = 10039708
"""Of MIMIC-IV's demo, with 43,019 events."""
FORMS = ("fhir", "fhir, line by line", "csv", "json lines", "parquet")
_KEPT_ONCE = frozenset(("Patient", "Practitioner", "Organization", "Location", "PractitionerRole"))


def grown_bundle(bundle: dict[str, Any], events: int) -> list[dict[str, Any]]:
    """The entries of a bundle, its events repeated until there are so many, each time with ids, times and amounts of
    their own and references that lead within the repetition."""
    rng = random.Random(0)
    entries = bundle["entry"]
    once = [entry for entry in entries if entry["resource"]["resourceType"] in _KEPT_ONCE]
    others = [entry for entry in entries if entry["resource"]["resourceType"] not in _KEPT_ONCE]
    grown = [*once]
    for days in range(0, 40 * (events // len(others) + 1), 40):
        text = json.dumps(others)
        for entry in others:
            if own := str(entry["resource"].get("id") or ""):
                text = text.replace(own, str(uuid.UUID(int=rng.getrandbits(128), version=4)))
        for entry in json.loads(text):
            grown.append(_changed(entry, days, rng))
            if len(grown) == events + len(once):
                return grown
    return grown


def _changed(item: Any, days: int, rng: random.Random) -> Any:
    """A part of a resource, its times moved by so many days and its amounts by up to a tenth."""
    if isinstance(item, dict):
        return {key: _changed(value, days, rng) for key, value in item.items()}
    if isinstance(item, list):
        return [_changed(value, days, rng) for value in item]
    if isinstance(item, float):
        return item * rng.uniform(0.9, 1.1)
    if isinstance(item, str) and len(item) > 16 and item[4:5] == "-" and item[10:11] == "T":
        moved = pd.Timestamp(item) + pd.Timedelta(days=days, seconds=rng.randrange(40_000))
        return moved.isoformat()
    return copy.copy(item)


def write_forms(data: Path, folder: Path, forms: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """(form, file) of each record."""
    if any(form.startswith("fhir") for form in forms):
        fullest = max(data.glob("*.json"), key=lambda path: path.stat().st_size)
        entries = grown_bundle(json.loads(fullest.read_text(encoding="utf-8")), EVENTS)
        if "fhir" in forms:
            path = folder / "record.json"
            path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
            yield "fhir", path
        if "fhir, line by line" in forms:
            path = folder / "record.ndjson"
            path.write_text("".join(json.dumps(entry["resource"]) + "\n" for entry in entries))
            yield "fhir, line by line", path
    table = pd.read_parquet(data / "mimic_iv_demo_meds_events.parquet")
    table = table[table["subject_id"] == PATIENT]
    if "csv" in forms:
        table.to_csv(folder / "record.csv", index=False)
        yield "csv", folder / "record.csv"
    if "json lines" in forms:
        table.assign(time=table["time"].astype(str)).to_json(folder / "record.jsonl", orient="records", lines=True)
        yield "json lines", folder / "record.jsonl"
    if "parquet" in forms:
        table.to_parquet(folder / "record.parquet")
        yield "parquet", folder / "record.parquet"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "ehr")
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for form, path in write_forms(given.data, Path(folder), given.forms):
            told = [time.perf_counter()]
            shares = [0.0]

            def step(share: float, told: list[float] = told, shares: list[float] = shares) -> None:
                told.append(time.perf_counter())
                shares.append(share)

            start = time.process_time()
            found = search_sources([path], pixels=False, step=step)
            taken = time.process_time() - start
            told.append(time.perf_counter())
            waits = [later - earlier for earlier, later in pairwise(told)]
            print(
                f"{form:20s} {path.stat().st_size / 1e6:6.1f} MB  processor {taken:6.2f} s, "
                f"{taken / MAY_TAKE_S:.2f} x {MAY_TAKE_S:g} s; progress told {len(told) - 2} times at "
                f"{len(set(shares))} shares, at least every {max(waits):.2f} s; {len(found.findings)} places found",
                flush=True,
            )


if __name__ == "__main__":
    main()
