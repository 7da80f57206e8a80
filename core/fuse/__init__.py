"""Fusion of CT tokens and timeline tokens of one patient: `FUSIONS`, name -> builder."""

from core.fuse.batch import Ragged, TokenBatch, TokenSet, batch_rows
from core.fuse.fusions import FUSIONS, FusedState, Fusion, FusionConfig, describe_weights
from core.fuse.info_nce import info_nce

__all__ = [
    "FUSIONS",
    "FusedState",
    "Fusion",
    "FusionConfig",
    "Ragged",
    "TokenBatch",
    "TokenSet",
    "batch_rows",
    "describe_weights",
    "info_nce",
]
