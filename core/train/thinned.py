"""Training patients with less in their records, beside the whole ones."""

from __future__ import annotations

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.thinning import ThinnedRecords
from core.fuse import Ragged, TokenSet
from core.records import EHR
from core.records.interfaces import RecordEncoder

COPIES = 3


def thinned_records(records: Records, seed: int) -> list[ThinnedRecords]:
    """The records in `COPIES` versions, each thinned by draws of its own."""
    return [ThinnedRecords(records, seed + number) for number in range(COPIES)]


def with_thinned(tokens: TokenSet, records: Records, encoder: RecordEncoder, seed: int) -> TokenSet:
    """The patients with copies of their records thinned (`core.encode.ehr.thinning`).

    records: of the same patients, in the same order.
    """
    copies = [Ragged.from_tokens(encoder.encode(one), encoder.width) for one in thinned_records(records, seed)]
    return tokens.with_thinned({EHR: copies})
