"""Documents and rows: every token of every patient once, behind what is said of the person."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from core.foresee.code_parts import Part
from core.foresee.events import PatientEvents
from core.foresee.fit_vocabulary import fit_vocabulary
from core.foresee.packing import as_documents, batches
from core.foresee.tokens import TokenisedRecords, tokenise
from core.foresee.vocabulary import PAD, Vocabulary

BORN = np.datetime64("1960-01-01", "us")


def records(patients: int = 30, longest: int = 60) -> tuple[TokenisedRecords, Vocabulary]:
    rng = np.random.default_rng(0)
    rows: list[tuple[int, np.datetime64, str]] = []
    for subject in range(patients):
        if subject % 3:
            rows.append((subject, BORN, "MEDS_BIRTH"))
            rows.append((subject, np.datetime64("NaT"), f"GENDER//{'FM'[subject % 2]}"))
        rows += [(subject, np.datetime64("NaT"), f"FACT//{number}") for number in range(subject % 4)]
        days = rng.exponential(40, int(rng.integers(1, longest))).cumsum()
        rows += [(subject, BORN + np.timedelta64(round(86400e6 * (365.25 * 49.9 + day)), "us"), "x") for day in days]
    subjects, times, codes = zip(*rows, strict=True)
    numbers = pa.nulls(len(rows), pa.float32())
    table = pa.table({"subject_id": subjects, "time": np.array(times), "code": codes, "numeric_value": numbers})
    events = PatientEvents.from_table(table)
    vocabulary = fit_vocabulary(events, 1)
    return tokenise(events, vocabulary), vocabulary


def test_documents_hold_every_token_once_behind_the_person() -> None:
    found, vocabulary = records()
    documents = as_documents(found, 24)
    assert np.diff(documents.offsets).max() <= 24
    body = [
        documents.tokens[start + given : end]
        for start, end, given in zip(documents.offsets, documents.offsets[1:], documents.given)
    ]
    assert np.array_equal(np.concatenate(body), found.tokens)
    assert documents.targets == len(found.tokens)
    for owner, start, given in zip(documents.owners, documents.offsets, documents.given):
        parts = [vocabulary.parts[token] for token in documents.tokens[start : start + given].tolist()]
        told = owner % 3 != 0
        assert parts[:2] == [Part("special", "BEGIN"), Part("sex", "FM"[owner % 2] if told else "unknown")]
        assert [part.text for part in parts[4:]] == [f"FACT//{number}" for number in range(owner % 4)]
        assert (parts[2].text, parts[3].text) != ("unknown", "unknown") if told else parts[2].text == "unknown"


def test_the_age_is_that_at_the_beginning_of_the_stretch() -> None:
    found, vocabulary = records()
    documents = as_documents(found, 24)
    for number in range(len(documents)):
        owner, start = int(documents.owners[number]), int(documents.offsets[number])
        if owner % 3 == 0:
            continue
        first = number == 0 or documents.owners[number - 1] != owner
        events = np.flatnonzero((found.starts >= found.offsets[owner]) & (found.starts < found.offsets[owner + 1]))
        place = np.cumsum(np.diff(documents.offsets) - documents.given)[number] - (
            documents.offsets[number + 1] - start - documents.given[number]
        )
        before = events[0] if first else events[found.starts[events] < place][-1]
        years = int((found.times_us[before] - BORN.astype(np.int64)) / (365.25 * 86400e6))
        told = [vocabulary.parts[token].text for token in documents.tokens[start + 2 : start + 4].tolist()]
        assert int(told[0]) * 10 + int(told[1]) == years


def test_the_last_stretch_alone_ends_with_the_record() -> None:
    found, _ = records()
    documents = as_documents(found, 24, last_only=True)
    assert len(documents) == len(found)
    for owner in range(len(found)):
        whole = found.tokens[found.offsets[owner] : found.offsets[owner + 1]]
        own = documents.tokens[documents.offsets[owner] : documents.offsets[owner + 1]]
        kept = own[documents.given[owner] :]
        assert np.array_equal(kept, whole[len(whole) - len(kept) :])
        assert len(own) == min(24, len(whole) + documents.given[owner])


def test_rows_hold_each_document_once_and_whole() -> None:
    documents = as_documents(records()[0], 32)
    for rng in (None, np.random.default_rng(1)):
        found: list[tuple[int, ...]] = []
        for batch in batches(documents, 64, 256, rng):
            assert batch.tokens.shape[1] == 32  # no document is longer
            assert batch.tokens.size <= 256
            assert np.all(batch.tokens[batch.documents < 0] == PAD)
            assert not batch.targets[batch.documents < 0].any()
            for number in np.unique(batch.documents[batch.documents >= 0]):
                row, place = np.nonzero(batch.documents == number)
                assert len(set(row)) == 1
                assert np.array_equal(batch.positions[row, place], np.arange(len(row)))
                assert np.array_equal(np.diff(place), np.ones(len(place) - 1))
                found.append((*batch.tokens[row, place].tolist(), int(batch.targets[row, place].sum())))
        sizes = np.diff(documents.offsets) - documents.given
        whole = np.split(documents.tokens, documents.offsets[1:-1])
        assert sorted(found) == sorted((*part.tolist(), int(size)) for part, size in zip(whole, sizes))


def test_an_empty_record_is_the_person_alone() -> None:
    found, _ = records()
    none = np.zeros(0, np.int32)
    zeros = np.zeros(2, np.int64)
    empty = TokenisedRecords(
        zeros[:1], zeros, none, zeros[:0], zeros[:0], zeros, none, found.sexes[:1], found.births_us[1:2]
    )
    assert np.diff(as_documents(empty, 24).offsets).tolist() == [4]
    assert np.diff(as_documents(empty, 24, last_only=True).offsets).tolist() == [4]
