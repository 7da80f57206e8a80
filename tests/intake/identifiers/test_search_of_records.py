"""A long record is searched once, tells how far it is, and hides nothing in its many like texts."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from core.intake.identifiers.search import search_sources


def resources(count: int) -> list[dict[str, Any]]:
    """A patient with a name, and observations with ids and times of their own."""
    patient = {"resourceType": "Patient", "id": "p", "name": [{"family": "Zorblatt", "given": ["Quillon"]}]}
    found = [patient]
    for number in range(count):
        one = uuid.UUID(int=number * 7919 + 1, version=4)
        found.append(
            {
                "resourceType": "Observation",
                "id": str(one),
                "subject": {"reference": "Patient/p"},
                "effectiveDateTime": f"2020-01-{1 + number % 28:02d}T10:{number % 60:02d}:00Z",
                "code": {"text": "Sodium"},
                "valueQuantity": {"value": 130 + number % 20, "unit": "mmol/L"},
            }
        )
    return found


def written(items: list[dict[str, Any]], form: str) -> tuple[str, bytes]:
    if form == "lines":
        return "record.ndjson", "\n".join(map(json.dumps, items)).encode()
    entries = [{"fullUrl": f"urn:uuid:{uuid.UUID(int=n)}", "resource": item} for n, item in enumerate(items)]
    return "record.json", json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


@pytest.mark.parametrize("form", ["bundle", "lines"])
def test_progress_is_told_all_along_and_never_goes_back(form: str) -> None:
    shares: list[float] = []
    search_sources([written(resources(6000), form)], pixels=False, step=shares.append)
    assert len(set(shares)) >= 10
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1


@pytest.mark.parametrize("form", ["bundle", "lines"])
def test_progress_may_stop_the_search(form: str) -> None:
    class Stop(Exception):
        pass

    def step(share: float) -> None:
        if share > 0.3:
            raise Stop

    with pytest.raises(Stop):
        search_sources([written(resources(6000), form)], pixels=False, step=step)


@pytest.mark.parametrize("form", ["bundle", "lines"])
@pytest.mark.parametrize(
    ("planted", "category"),
    [
        ({"id": "zorblatt-2"}, "name"),
        ({"effectiveDateTime": "2020-01-05T10:00:00Z seen by Dr Smith"}, "name"),
        ({"code": {"text": "call 555-010-1234"}}, "contact"),
        ({"note": [{"text": "Quillon walks again"}]}, "name"),
    ],
)
def test_one_text_among_thousands_alike_is_found(planted: dict[str, Any], category: str, form: str) -> None:
    items = resources(1500)
    before = {(item.category, item.where) for item in search_sources([written(items, form)], pixels=False).findings}
    items[1200] |= planted
    found = {(item.category, item.where) for item in search_sources([written(items, form)], pixels=False).findings}
    assert found >= before
    assert category in {kind for kind, where in found - before if where.startswith("Observation")}


def test_a_name_given_in_the_last_file_is_looked_for_in_the_first() -> None:
    patient, *others = resources(3)
    others[0] |= {"code": {"text": "of Zorblatt"}}
    sources = [written(others, "lines"), ("patient.ndjson", json.dumps(patient).encode())]
    searched = search_sources(sources, pixels=False)
    assert "zorblatt" in searched.words
    assert ("name", "Observation, a field of a record") in {(item.category, item.where) for item in searched.findings}
