"""What the pages of docs/results report, and two more: `python -m bench.NAME --help`, in the project's folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
