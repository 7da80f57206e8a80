"""FHIR R4 held against fhir.resources: real bundles and generated valid ones give the events that its objects tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.codeableconcept import CodeableConcept
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.records import Timeline
from core.timeline import load_timeline

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data" / "ehr"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the real test files in ../shared/data are not here")
SYSTEMS = {"http://loinc.org": "LOINC", "http://snomed.info/sct": "SNOMED", "http://hl7.org/fhir/sid/cvx": "CVX"}
Row = tuple[str, str, float | None, str | None]
"""Code, UTC time to the second, number (float32, as MEDS has it), unit."""


def row(code: Any, when: Any, quantity: Any = None) -> Row:
    """What one coded fact of a resource says; a date counts from 00:00."""
    named = code.coding[0]
    told = when if isinstance(when, datetime) else datetime(when.year, when.month, when.day, tzinfo=UTC)
    number = None if quantity is None or quantity.value is None else float(np.float32(quantity.value))
    unit = None if number is None else (quantity.unit or quantity.code)
    return f"{SYSTEMS[named.system]}//{named.code}", f"{told.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", number, unit


def rows_of(bundle: Bundle) -> Iterator[Row]:
    """The events of observations, their components, conditions and immunizations."""
    for entry in bundle.entry:
        resource = entry.resource
        kind = type(resource).__name__
        if kind == "Observation":
            yield row(resource.code, resource.effectiveDateTime, resource.valueQuantity)
            for part in resource.component or []:
                yield row(part.code, resource.effectiveDateTime, part.valueQuantity)
        elif kind == "Condition":
            yield row(resource.code, resource.onsetDateTime)
        elif kind == "Immunization":
            yield row(resource.vaccineCode, resource.occurrenceDateTime)


def rows_read(timeline: Timeline, codes: set[str]) -> Counter[Row]:
    """The same of a timeline, of these codes."""
    events = timeline.events[timeline.events["code"].isin(codes)]
    found = zip(events["code"], events["time"], events["numeric_value"].astype(float), events["unit"], strict=True)
    return Counter(
        (code, f"{time:%Y-%m-%dT%H:%M:%S}", *((None, None) if np.isnan(number) else (number, unit)))
        for code, time, number, unit in found
    )


@needs_data
@pytest.mark.parametrize("name", ["Porsha375", "Soila394", "Wally311"])
def test_real_bundles_give_what_the_library_s_objects_tell(name: str) -> None:
    path = next(SHARED.glob(f"{name}*.json"))
    told = Counter(rows_of(Bundle.model_validate_json(path.read_bytes())))
    timeline = load_timeline(path)
    reports = {kept for kept in timeline.events["code"] if kept not in {code for code, *_ in told}}
    read = rows_read(timeline, {code for code, *_ in told})
    assert sum(told.values()) > 150
    assert told - read == Counter(), "nothing of it is missing"
    assert not any(number is not None for _, _, number, _ in read - told), "and no number was added"
    assert len(reports) < 10


CODES = st.sampled_from(["718-7", "2160-0", "8480-6", "8462-4", "33762-6"])
UNITS = st.sampled_from([("g/dL", "g/dL"), ("mg/dL", "mg/dL"), ("mmHg", "mm[Hg]"), ("pg/mL", None)])
ZONES = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
TIMES = st.datetimes(datetime(2015, 1, 2), datetime(2024, 12, 30), timezones=ZONES)
WHEN = TIMES.map(lambda when: when.replace(microsecond=0).isoformat())
NUMBERS = st.decimals(-999, 99_999, places=3, allow_nan=False, allow_infinity=False)


@st.composite
def quantities(draw: st.DrawFn) -> dict[str, Any]:
    unit, code = draw(UNITS)
    coded = {} if code is None else {"system": "http://unitsofmeasure.org", "code": code}
    return {"value": float(draw(NUMBERS)), "unit": unit, **coded}


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


@st.composite
def observations(draw: st.DrawFn) -> dict[str, Any]:
    """A final observation with a quantity, with components, or with neither."""
    made = {"resourceType": "Observation", "status": "final", "code": coded(draw(CODES))}
    made |= {"subject": {"reference": "Patient/1"}, "effectiveDateTime": draw(WHEN)}
    shape = draw(st.sampled_from(["quantity", "components"]))
    if shape == "quantity":
        return made | {"valueQuantity": draw(quantities())}
    parts = [
        {"code": coded(code), "valueQuantity": draw(quantities())}
        for code in draw(st.lists(CODES, min_size=1, max_size=3, unique=True))
    ]
    return made | {"component": parts}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(observations(), min_size=1, max_size=6))
def test_generated_bundles_give_what_the_library_s_objects_tell(made: list[dict[str, Any]]) -> None:
    person = {"resourceType": "Patient", "id": "1", "gender": "female", "birthDate": "1950-05-04"}
    entries = [{"resource": resource | {"id": f"o{n}"}} for n, resource in enumerate(made)]
    bundle = Bundle.model_validate(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": person}, *entries]}
    )
    told = Counter(rows_of(bundle))
    timeline = load_timeline(("bundle.json", bundle.model_dump_json().encode()))
    assert rows_read(timeline, {code for code, *_ in told}) == told


def test_the_oracle_itself_counts_a_date_from_midnight_and_converts_a_zone() -> None:
    named = CodeableConcept.model_validate(coded("718-7"))
    assert row(named, date(2020, 1, 2))[1] == "2020-01-02T00:00:00"
    assert row(named, datetime(2020, 1, 2, 1, tzinfo=timezone(timedelta(hours=2))))[1] == "2020-01-01T23:00:00"
