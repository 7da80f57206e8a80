"""OMOP CONCEPT tables: concept id -> code and words. The whole vocabulary may be large, so it is read in pieces."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

import pandas as pd

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.record.tables.parquet import is_parquet, parquet_text
from core.wording import count_of

_VOCABULARY = {"CPT4": "CPT"}
_COLUMNS = ("concept_id", "concept_name", "vocabulary_id", "concept_code")
_ROWS = 200_000


_DECIMALS = re.compile(r"\.0+$")
"""What types of databases add to whole numbers."""


def read_concepts(entries: Sequence[Entry], wanted: frozenset[str] | None = None) -> pd.DataFrame:
    """Columns code (VOCABULARY//code) and words, by concept id; empty without a file.

    wanted: the concept ids to keep; None keeps all. Raises UserFacingError for a damaged table, and for one that gives
    a concept two codes.
    """
    kept = [_kept(piece, wanted) for entry in entries for piece in _pieces(entry)]
    table = pd.concat(kept) if kept else pd.DataFrame({name: [] for name in _COLUMNS}, dtype=object)
    vocabulary = table["vocabulary_id"].replace(_VOCABULARY)
    codes = pd.DataFrame({"code": vocabulary + "//" + table["concept_code"], "words": table["concept_name"]})
    codes.index = pd.Index(table["concept_id"], dtype=object)
    repeated = codes.loc[codes.index.duplicated(keep=False), "code"]
    if differing := int((repeated.groupby(level=0).nunique() > 1).sum()):
        raise UserFacingError(
            f"With one number and different codes in the OMOP CONCEPT table: {count_of(differing, 'concept')}.",
            "one row for each concept_id",
            "Export the vocabulary again.",
        )
    return pd.DataFrame(codes[~codes.index.duplicated()])


def concept_words(entry: Entry) -> dict[str, str]:
    """Code (VOCABULARY//code) -> name of every concept of a table."""
    table = read_concepts([entry])
    return dict(zip(table["code"], table["words"]))


def _kept(piece: pd.DataFrame, wanted: frozenset[str] | None) -> pd.DataFrame:
    piece.columns = [str(name).strip().lower() for name in piece.columns]
    if not set(_COLUMNS) <= set(piece.columns):
        raise _damaged()
    named = piece[list(_COLUMNS)]
    named = named.assign(concept_id=named["concept_id"].str.replace(_DECIMALS, "", regex=True))
    return named if wanted is None else named[named["concept_id"].isin(wanted)]


def _pieces(entry: Entry) -> Iterator[pd.DataFrame]:
    """Pieces of the table as text. Tab-separated vocabularies write quotes as they are."""
    if is_parquet(entry):
        yield parquet_text(entry).fillna("")
        return
    data = entry.read(0, None)
    header = bytes(data[:4096]).split(b"\n")[0]
    tabs = b"\t" in header
    try:
        yield from pd.read_csv(
            io.BytesIO(data),
            dtype=str,
            keep_default_na=False,
            sep="\t" if tabs else max(",;|", key=header.decode("latin-1").count),
            quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
            chunksize=_ROWS,
        )
    except (ValueError, csv.Error, OverflowError) as error:
        raise _damaged() from error


def _damaged() -> UserFacingError:
    return UserFacingError("The OMOP CONCEPT table is damaged.", "OMOP CDM 5.4 tables", "Export the table again.")
