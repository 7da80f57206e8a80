"""Digests of small virtual cohorts without any of `core.virtual.simulate.PARTS`.

Written by `python -m tests.support.golden_cohort` before there were such parts; a new run must give the same file.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pandas as pd

from core.virtual.simulate import simulate_cohort

FILE = Path(__file__).with_name("golden_cohort.json")
COHORTS = (("pe_mortality", "internal"), ("mace", "internal"), ("mace", "external"))


def digests() -> dict[str, str]:
    """SHA-256 of every table and JSON file of each cohort; of the truth its numbers to ten digits, which do not depend
    on the processor's last bit."""
    found = {}
    for task, site in COHORTS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            simulate_cohort(out, patients=12, task=task, site=site, seed=3, render=False, workers=1)  # type: ignore[arg-type]
            for path in sorted(path for path in out.rglob("*") if path.is_file()):
                data = path.read_bytes()
                if path.name == "truth.parquet":
                    data = pd.read_parquet(path).to_csv(float_format="%.10g").encode()
                found[f"{task} {site} {path.relative_to(out)}"] = hashlib.sha256(data).hexdigest()
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n", "utf-8")
