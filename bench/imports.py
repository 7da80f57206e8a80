"""Start of a review: seconds to import core.review beside the big packages alone that it cannot do without.

    python -m bench.imports [--repeats 9]

Prints one JSON line: the medians of fresh interpreters that take turns, their own start taken off, and the ratio of the
two, whose aim is 1.3 at most.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

AIM = 1.3
IMPORTS = {
    "nothing": "pass",
    "packages": "import torch, captum.attr, pyarrow, pydicom",
    "review": "import core.review",
}


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that does this and no more."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def medians(repeats: int) -> dict[str, float]:
    """Seconds by name, after one round that only fills the machine's file cache."""
    runs: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(repeats + 1):
        for name, statement in IMPORTS.items():
            runs[name].append(seconds(statement))
    return {name: statistics.median(times[1:]) for name, times in runs.items()}


def main() -> None:
    """Take turns, and print the ratio beside its aim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    found = medians(repeats)
    packages_s, review_s = (found[name] - found["nothing"] for name in ("packages", "review"))
    result = {
        "bench": "imports",
        "repeats": repeats,
        "packages_s": round(packages_s, 2),
        "review_s": round(review_s, 2),
        "ratio": round(review_s / packages_s, 2),
        "aim": AIM,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
