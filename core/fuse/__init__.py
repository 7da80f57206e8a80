"""Fusion of CT tokens and timeline tokens of one patient: `FUSIONS`, name -> card."""

from core.fuse.batch import Padded, Ragged, TokenBatch, TokenSet, batch_rows
from core.fuse.fusions import FUSIONS, FusedState, Fusion, FusionCard, FusionConfig, describe_weights, reads_of
from core.fuse.info_nce import info_nce

__all__ = [
    "FUSIONS",
    "FusedState",
    "Fusion",
    "FusionCard",
    "FusionConfig",
    "Padded",
    "Ragged",
    "TokenBatch",
    "TokenSet",
    "batch_rows",
    "describe_weights",
    "info_nce",
    "reads_of",
]
