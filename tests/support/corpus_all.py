"""The whole corpus of scans, its groups in one list."""

from __future__ import annotations

import corpus_archives
import corpus_bytes
import corpus_doubts
import corpus_enhanced
import corpus_geometry
import corpus_nifti
import corpus_values
from corpus import Case

MODULES = (
    corpus_geometry,
    corpus_values,
    corpus_enhanced,
    corpus_nifti,
    corpus_bytes,
    corpus_archives,
    corpus_doubts,
)
CORPUS: list[Case] = [case for module in MODULES for case in module.CASES]
