"""Scripts and benches that no other test starts: everything that each imports at once is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.cache_cohort import source_digest

ROOT = Path(__file__).resolve().parents[1]


def test_the_code_that_draws_patients_is_there_and_has_a_digest() -> None:
    assert len(source_digest()) == 64


def test_each_script_is_imported() -> None:
    names = [
        f"{path.parent.name}.{path.stem}"
        for folder in ("scripts", "bench")
        for path in ROOT.joinpath(folder).glob("[!_]*.py")
    ]
    code = "import importlib; " + "; ".join(f"importlib.import_module({name!r})" for name in sorted(names))
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr[-600:]
    assert len(names) > 20
