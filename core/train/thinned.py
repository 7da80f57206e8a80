"""Training patients with less in their records, beside the whole ones."""

from __future__ import annotations

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.thinning import ThinnedRecords
from core.fuse import Ragged, TokenSet
from core.records import EHR
from core.records.interfaces import RecordEncoder

COPIES = 3


def with_thinned(tokens: TokenSet, records: Records, encoder: RecordEncoder, seed: int) -> TokenSet:
    """The patients with copies of their records thinned by draws of their own (`core.encode.ehr.thinning`).

    records: of the same patients, in the same order.
    """
    thinned = (ThinnedRecords(records, seed + number) for number in range(COPIES))
    copies = [Ragged.from_tokens(encoder.encode(one), encoder.width) for one in thinned]
    return tokens.with_thinned({EHR: copies})
