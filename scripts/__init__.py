"""What makes the shipped models, demo cases and pictures: `python -m scripts.NAME --help`, in the project's folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
