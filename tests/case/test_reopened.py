"""An exported case opens again as it was; one that was altered does not."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from unittest.mock import patch

import intake_support as files
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from view_support import ScreenBundle, review, study, timeline

from core.case import Intake
from core.case.reopened import LEFT_OUT, MOVED, exported_case
from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.export.case_file import DAY_ZERO, OLDER, record_parquet, sealed
from core.load import load_study
from core.records import BIRTH, AcquisitionFacts, CtStudy, Timeline
from core.timeline import load_timeline
from core.view import exporting
from core.view.exporting import Exports

AFFINE_MM = np.array([[6.0, 0, 0, -140.25], [0, 6, 0, -120.5], [0, 0, 8, -90], [0, 0, 0, 1]])
SCAN = replace(
    study(),
    voxels_hu=files.GRID.hu().astype(np.int16),
    affine_mm=AFFINE_MM,
    description="Thorax 2.0 B40f",
    notes=("Repaired: only the longest even run was kept.",),
    facts=AcquisitionFacts(
        120.0, "B40f", True, 3.0, 0, pd.Timestamp("2020-02-28 08:00").to_pydatetime(), False, "F", 64.0
    ),
)
RECORD = replace(
    timeline(), notes=("Left out, as planned only: 2 events.",), code_kinds={"ICD10CM//I50.9": "procedures"}, digest=""
)
BUNDLE = ScreenBundle("cross_attention", TASKS["pe_mortality"])
VIEW = {
    "volume": SCAN.digest[:24],
    "voxel": [3, 4, 11],
    "window_hu": [-160.0, 240.0],
    "opacity": 0.0,
    "own_scale": True,
}


def zipped(scan: CtStudy | None = SCAN, record: Timeline | None = RECORD, **told: object) -> bytes:
    words = {"label": "Case A", "model_key": "pe_mortality/cross_attention", "searched": "Nothing was found.", **told}
    made = Exports(scan, record, review(scan, record), BUNDLE, VIEW, **words)  # type: ignore[arg-type]
    with patch.object(exporting, "figure_bytes", lambda inputs, kind: kind.encode()):
        return made.archive(made.inputs(), lambda share, words: None)


@pytest.fixture(scope="module")
def whole() -> bytes:
    return zipped()


def changed(data: bytes, ending: str, make) -> bytes:
    """The zip with one of its files changed; make: bytes to bytes, or to None to take it out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            content = make(content) if name.endswith(ending) else content
            if content is not None:
                new.writestr(name, content)
    return out.getvalue()


def resealed(**words: object):
    """A change of case.json by somebody who makes its hash fit."""
    return lambda data: json.dumps(sealed({**json.loads(data), **words})).encode()


def read(data: bytes) -> Intake:
    """What Load makes of the zip, read to its end."""
    found = exported_case([("any name.zip", data)])
    assert found is not None
    intake = Intake(found.scan, found.record, exported=found, day_zero=found.day_zero)
    while intake.advance():
        for job in intake.running:
            job.wait(20)
    return intake


def test_the_case_is_the_one_that_was_exported(whole: bytes) -> None:
    intake = read(whole)
    case = intake.as_case()
    assert case.study is not None
    assert case.timeline is not None
    assert np.array_equal(case.study.voxels_hu, SCAN.voxels_hu)
    assert np.array_equal(case.study.affine_mm, SCAN.affine_mm)
    assert case.study.digest == SCAN.digest
    assert (case.study.description, case.study.origin, case.task) == ("Thorax 2.0 B40f", "virtual", "pe_mortality")
    assert case.study.notes[0] == SCAN.notes[0]
    assert case.study.repairs, "a repair is not forgotten"
    facts = replace(case.study.facts, taken=None)
    assert facts == replace(SCAN.facts, taken=None)
    assert case.study.facts.taken is not None
    columns = ["code", "numeric_value", "text_value", "unit"]
    pd.testing.assert_frame_equal(case.timeline.events[columns], RECORD.events[columns])
    np.testing.assert_allclose(case.timeline.days_from_prediction, RECORD.days_from_prediction, rtol=0, atol=1e-9)
    assert case.timeline.age_years == pytest.approx(RECORD.age_years, abs=1e-9)
    assert (case.timeline.sex, case.timeline.origin, case.timeline.later_event_count) == ("F", "virtual", 5)
    assert case.timeline.notes[0] == RECORD.notes[0]
    assert MOVED in case.timeline.notes
    assert case.timeline.code_kinds == RECORD.code_kinds
    assert not case.fabricated
    taken = pd.Timestamp(case.study.facts.taken) - case.timeline.prediction_time.normalize()
    assert taken == pd.Timedelta(days=-2), "still two days before day 0"


def test_the_question_and_the_view_come_along(whole: bytes) -> None:
    found = exported_case(("x.zip", whole))
    assert found is not None
    asked, result = found.asked, review(SCAN, RECORD)
    assert (asked.task, asked.model, asked.label) == ("pe_mortality", "pe_mortality/cross_attention", "Case A")
    assert (asked.horizon_days, asked.method, asked.model_sha256) == (90, "gradcam", result.bundle_digest)
    assert asked.risk == result.curve.risk_at(90)
    view = asked.view_of(SCAN)
    assert (view["voxel"], view["window_hu"], view["opacity"]) == ([3, 4, 11], [-160, 240], 0)
    assert view["own_scale"]
    assert SCAN.digest.startswith(view["volume"])
    assert asked.view_of(study((10, 30, 8)))["voxel"] == [3, 4, 7], "never outside a scan"


def test_no_file_of_the_zip_tells_a_date_or_the_patients_number(whole: bytes) -> None:
    secret = replace(RECORD, events=RECORD.events.assign(subject_id=7654321), subject_id=7654321, digest="")
    data = zipped(record=secret)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            assert b"7654321" not in archive.read(name), name
            assert b"2020-0" not in archive.read(name), name
        name = next(name for name in archive.namelist() if name.endswith("_record.parquet"))
        table = pq.read_table(io.BytesIO(archive.read(name))).to_pandas()
    assert set(table["subject_id"]) == {1}
    timed = table.loc[table["code"] != BIRTH, "time"].dropna()
    assert timed.max() <= DAY_ZERO + pd.Timedelta(days=1)
    assert timed.dt.year.isin((1998, 1999, 2000)).all()


def test_an_age_above_89_is_told_as_90(whole: bytes) -> None:
    born = RECORD.prediction_time - pd.Timedelta(days=96 * 365.25)
    events = RECORD.events.assign(time=RECORD.events["time"].mask(RECORD.events["code"] == BIRTH, born))
    case = read(zipped(record=replace(RECORD, events=events, digest=""))).as_case()
    assert case.timeline is not None
    assert case.timeline.age_years == pytest.approx(90)
    assert OLDER in case.timeline.notes
    assert OLDER not in (read(whole).as_case().timeline or RECORD).notes


@pytest.mark.parametrize(("scan", "record"), [(SCAN, None), (None, RECORD)])
def test_a_case_of_one_part_opens_again(scan: CtStudy | None, record: Timeline | None) -> None:
    case = read(zipped(scan, record)).as_case()
    assert ((case.study is None), (case.timeline is None)) == ((scan is None), (record is None))


def test_descriptions_of_the_data_set_come_along_and_ours_do_not() -> None:
    words = {"ICD10CM//I50.9": "Weak heart", "LOINC//33762-6": "NT-proBNP"}
    made = load_timeline(("r.parquet", record_parquet(replace(RECORD, code_descriptions=words, digest=""))))
    assert made.code_descriptions["ICD10CM//I50.9"] == "Weak heart"


def test_put_together_stays_put_together() -> None:
    assert read(zipped(fabricated=True)).as_case().fabricated


@pytest.mark.parametrize(
    ("ending", "make", "said"),
    [
        ("case.json", lambda data: data.replace(b'"gradcam"', b'"occlusion"'), "case.json is another one"),
        ("case.json", lambda data: data[:-20], "case.json cannot be read"),
        ("case.json", lambda data: b"[]", "case.json is none"),
        ("scan.nii.gz", lambda data: data[:-1] + b"x", "its scan is another one"),
        ("record.parquet", lambda data: None, "its record is missing"),
        ("case.json", resealed(version=2), "another version"),
        ("case.json", resealed(question={}), "lacks something"),
        ("case.json", resealed(scan=None, record=None), "lacks something"),
        ("case.json", resealed(view={"slice_ijk": [1, 2], "window_hu": [0, 1]}), "lacks something"),
    ],
)
def test_what_was_altered_is_refused_in_words(whole: bytes, ending: str, make, said: str) -> None:
    with pytest.raises(UserFacingError, match=said) as refused:
        exported_case([("x.zip", changed(whole, ending, make))])
    assert refused.value.next_step


def test_a_note_that_may_identify_is_not_taken_over(whole: bytes) -> None:
    def make(data: bytes) -> bytes:
        record = json.loads(data)
        record["scan"]["notes"] = ["Scan of JOHN.DOE@EXAMPLE.ORG", "Repaired: x."]
        return json.dumps(sealed(record)).encode()

    found = exported_case(("x.zip", changed(whole, "case.json", make)))
    assert found is not None
    assert found.scan_notes == (LEFT_OUT, "Repaired: x.")


def test_other_files_are_left_to_the_ordinary_readers(whole: bytes) -> None:
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("case.json", "{}")
        archive.writestr("scan.nii.gz", b"")
    for source in (("a.zip", plain.getvalue()), ("a.csv", b"subject_id,time,code\n"), [("b.zip", b"PK\x03\x04broken")]):
        assert exported_case(source, None) is None
    with pytest.raises(UserFacingError, match="together with other files"):
        exported_case([("x.zip", whole)], ("r.csv", b"subject_id,time,code\n"))
    with pytest.raises(UserFacingError, match="together with other files"):
        exported_case([("x.zip", whole), ("r.csv", b"")])


def test_the_scan_alone_is_an_ordinary_nifti_file(whole: bytes) -> None:
    found = exported_case(("x.zip", whole))
    assert found is not None
    assert found.scan is not None
    read_alone = load_study(found.scan)
    assert read_alone.digest == SCAN.digest
    assert read_alone.facts.kernel == "", "negative control: without case.json it is not known"
