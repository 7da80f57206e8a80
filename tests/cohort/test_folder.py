"""Cohort folder: what simulate writes, the reader gives back; what is missing is told in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from meds.schema import CodeMetadataSchema, DataSchema, DatasetMetadataSchema, SubjectSplitSchema
from record_support import fitted

from core.cohort.folder import LABEL_COLUMNS, SPLITS, CohortFolder
from core.cohort.tasks import TASKS
from core.encode import build_record_encoder
from core.encode.ehr.cohort import CohortRecords
from core.encode.ehr.compact_sequence import EventRows, fit_compact_sequence
from core.encode.ehr.features import EventColumns, event_columns
from core.encode.ehr.records import TimelineRecords
from core.encode.ehr.stay_features import fit_stay_vocabulary
from core.errors import UserFacingError
from core.pretrain.record_fits import RECORD_FITS
from core.records import BIRTH, CtStudy, Timeline
from core.timeline import load_timeline
from core.virtual.patient import Acquisition, Findings
from core.virtual.records import simulate_events
from core.virtual.render import RenderedPatient
from core.virtual.sampling import sample_patient
from core.virtual.simulate import simulate_cohort

COUNT = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("virtual")
    simulate_cohort(out, patients=COUNT, task="mace", seed=8, render=False)
    return out


def test_tables_satisfy_the_meds_schemas(made: Path) -> None:
    cohort = made / "cohort"
    for split in ("train", "tuning", "held_out"):
        DataSchema.validate(pq.read_table(cohort / "data" / split / "0.parquet"))
    SubjectSplitSchema.validate(pq.read_table(cohort / "metadata" / "subject_splits.parquet"))
    CodeMetadataSchema.validate(pq.read_table(cohort / "metadata" / "codes.parquet"))
    DatasetMetadataSchema.validate(json.loads((cohort / "metadata" / "dataset.json").read_text()))


def test_round_trip(made: Path) -> None:
    folder = CohortFolder(made / "cohort")
    labels = folder.labels("mace")
    assert folder.task("mace") == TASKS["mace"]
    assert folder.task_names == ("mace",)
    assert folder.splits.split.value_counts().to_dict() == {"train": 22, "held_out": 14, "tuning": 4}
    assert len(labels) == COUNT
    assert sum(len(folder.labels("mace", split)) for split in ("train", "tuning", "held_out")) == COUNT
    for index, row in enumerate(labels.sort_values("subject_id").itertuples()):
        person = sample_patient("mace", "internal", 8, index)
        [read] = folder.records(pd.DataFrame([row._asdict()])).columns()
        expected = simulate_events(person, "balanced")
        kept = expected[~(expected.time > person.study_time)].reset_index(drop=True)
        assert len(kept) < len(expected)
        _assert_same(read, event_columns(Timeline(kept, row.subject_id, row.prediction_time)))
        assert read.values[read.codes == BIRTH] == pytest.approx(person.clinical.age_years, abs=0.01)
        assert folder.image_row(row.subject_id) is None


def test_truth_lies_beside_the_cohort(made: Path) -> None:
    truth = pd.read_parquet(made / "truth.parquet")
    assert {"subject_id", "eta", "eta_image", "eta_ehr", "survival_365d", "survival_1825d"} <= set(truth)
    survival = truth[["survival_365d", "survival_1095d", "survival_1825d"]].to_numpy()
    assert (np.diff(survival, axis=1) < 0).all()
    inside = " ".join(str(file) for file in (made / "cohort").glob("**/*"))
    assert "truth" not in inside
    assert "mask" not in inside
    for file in (made / "cohort").glob("**/*.parquet"):
        assert not any("eta" in name.split("_") for name in pq.read_schema(file).names)


def test_same_arguments_same_bytes(made: Path, tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=COUNT, task="mace", seed=8, render=False)
    first = {file.relative_to(made): file.read_bytes() for file in made.glob("**/*") if file.is_file()}
    second = {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.glob("**/*") if file.is_file()}
    assert first == second


def _assert_same(one: EventColumns, other: EventColumns) -> None:
    for column in fields(EventColumns):
        found, expected = getattr(one, column.name), getattr(other, column.name)
        if column.name == "parents":
            assert found == expected
            continue
        assert found.dtype == expected.dtype, column.name
        if found.dtype == object:
            assert found.tolist() == expected.tolist(), column.name
        else:
            np.testing.assert_array_equal(found, expected, err_msg=column.name)


def _assert_read_alike(fast: CohortRecords, slow: TimelineRecords) -> None:
    """The same events of every patient, and the same rows of codes, whichever of the two encoders are fitted on."""
    for one, other in zip(fast.columns(), slow.columns(), strict=True):
        _assert_same(one, other)
    encoder = fit_compact_sequence(slow, max_tokens=40)
    assert encoder.config == fit_compact_sequence(fast, max_tokens=40).config
    for one, other in zip(fast.coded(encoder), slow.coded(encoder), strict=True):
        assert (one.known, one.total) == (other.known, other.total)
        for column in fields(EventRows):
            np.testing.assert_array_equal(getattr(one, column.name), getattr(other, column.name), err_msg=column.name)


def _copied(made: Path, out: Path) -> Path:
    for file in (made / "cohort").glob("**/*"):
        target = out / file.relative_to(made / "cohort")
        target.mkdir(parents=True, exist_ok=True) if file.is_dir() else target.write_bytes(file.read_bytes())
    return out


def test_a_subject_without_events_has_an_empty_record(made: Path) -> None:
    folder = CohortFolder(made / "cohort")
    labels = folder.labels("mace").head(3)
    unknown = pd.concat([labels, labels.tail(1).assign(subject_id=12), labels.head(1).assign(subject_id=10**12)])
    lengths = [len(item) for item in folder.records(unknown).columns()]
    assert lengths[3:] == [0, 0]
    assert all(lengths[:3])
    encoder = fitted("compact_sequence", folder.records(labels), epochs=1)
    tokens = encoder.encode(folder.records(unknown))
    assert [len(item.values) > 0 for item in tokens] == [True, True, True, False, False]


def test_records_are_those_that_each_timeline_alone_gives(made: Path) -> None:
    """The columns and the sequences, in the order of the labels, a subject with two prediction times included."""
    folder = CohortFolder(made / "cohort")
    labels = folder.labels("mace").sample(12, random_state=1)
    earlier = labels.head(4).assign(prediction_time=labels["prediction_time"].head(4) - pd.Timedelta(days=400))
    labels = pd.concat([labels, earlier]).sample(frac=1.0, random_state=2)
    pairs = zip(labels["subject_id"], labels["prediction_time"], strict=True)
    path = made / "cohort"
    slow = TimelineRecords([load_timeline(path, subject_id=who, prediction_time=when) for who, when in pairs])
    fast = folder.records(labels)
    _assert_read_alike(fast, slow)
    vocabulary = fit_stay_vocabulary(fast.columns())
    hierarchical = build_record_encoder({"name": "hierarchical", "hidden": 8, "vocabulary": vocabulary.to_json()})
    for encoder in (hierarchical, *(fitted(name, fast, epochs=1) for name in RECORD_FITS)):
        for one, other in zip(encoder.encode(fast), encoder.encode(slow), strict=True):
            np.testing.assert_array_equal(one.values, other.values)


def _changed(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> CohortFolder:
    file = path / "data" / "train" / "0.parquet"
    change(pd.read_parquet(file)).to_parquet(file, index=False)
    return CohortFolder(path)


def test_units_of_the_metadata_count_where_the_events_have_none(made: Path, tmp_path: Path) -> None:
    with_units = CohortFolder(made / "cohort")
    labels = with_units.labels("mace", "train")
    path = _copied(made, tmp_path)
    for split in SPLITS:
        file = path / "data" / split / "0.parquet"
        pd.read_parquet(file).drop(columns="unit").to_parquet(file, index=False)
    read = CohortFolder(path).records(labels).columns()
    numeric = [(item.codes[place], item.units[place]) for item in read for place in np.flatnonzero(item.values > 0)]
    assert ("LOINC//718-7", "g/dL") in numeric
    (path / "metadata" / "codes.parquet").unlink()
    assert all(unit is None for item in CohortFolder(path).records(labels).columns() for unit in item.units)


def test_when_an_event_was_recorded_is_not_passed_over(made: Path, tmp_path: Path) -> None:
    """Happened before the prediction, recorded after it: it would be known too early, and `review` leaves it out."""
    folder = _changed(_copied(made, tmp_path), lambda table: table.assign(recorded_time=table["time"]))
    with pytest.raises(UserFacingError, match=r"recorded.*later of the two as the time"):
        folder.records(folder.labels("mace"))


def test_a_death_without_a_time_reaches_no_record(made: Path, tmp_path: Path) -> None:
    labels = CohortFolder(made / "cohort").labels("mace", "train").head(1)
    path = _copied(made, tmp_path)

    def told(table: pd.DataFrame) -> pd.DataFrame:
        first = table[table["subject_id"] == labels["subject_id"].iloc[0]].head(1)
        row = first.assign(time=pd.NaT, numeric_value=np.nan, unit=None)
        dead = row.assign(code="Outcome", text_value="Deceased")
        lives = row.assign(code="Outcome", text_value="improved")
        added = pd.concat([row.assign(code="MEDS_DEATH", text_value=None), dead, lives])
        return pd.concat([table, added.astype({"time": "datetime64[us]"})], ignore_index=True)

    [read] = _changed(path, told).records(labels).columns()
    assert [text for code, text in zip(read.codes, read.texts) if code == "Outcome"] == ["improved"]
    assert "MEDS_DEATH" not in read.codes
    [slow] = TimelineRecords(
        [
            load_timeline(
                path, subject_id=labels["subject_id"].iloc[0], prediction_time=labels["prediction_time"].iloc[0]
            )
        ]
    ).columns()
    _assert_same(read, slow)


def test_a_death_dated_by_the_prediction_day_reaches_no_record_of_that_day(made: Path, tmp_path: Path) -> None:
    """A death at midnight of that day is left out at the prediction time, and is in the record a day later."""
    labels = CohortFolder(made / "cohort").labels("mace", "train").head(3)
    labels = labels.assign(prediction_time=labels["prediction_time"].dt.normalize() + pd.Timedelta(hours=10))
    path = _copied(made, tmp_path)

    def told(table: pd.DataFrame) -> pd.DataFrame:
        days = zip(labels["subject_id"], labels["prediction_time"].dt.normalize())
        blank = table.assign(numeric_value=np.nan, unit=None, text_value=None)
        dead, early, lives = (blank[blank["subject_id"] == who].head(1).assign(time=day) for who, day in days)
        early = early.assign(time=early["time"] + pd.Timedelta(hours=9), code="MEDS_DEATH")
        dead = [dead.assign(code="MEDS_DEATH"), dead.assign(code="Outcome", text_value="Deceased"),
                dead.assign(code="LOINC//718-7", numeric_value=9.0)]  # fmt: skip
        lives = lives.assign(code="Outcome", text_value="improved")
        return pd.concat([table, *dead, early, lives]).astype({"time": "datetime64[us]"})

    later = labels.head(1).assign(prediction_time=labels["prediction_time"].head(1) + pd.Timedelta(days=1))
    asked = pd.concat([labels, later])
    fast = _changed(path, told).records(asked)
    read = [[code for code in item.codes if code in ("MEDS_DEATH", "Outcome")] for item in fast.columns()]
    assert [sorted(codes) for codes in read] == [[], ["MEDS_DEATH"], ["Outcome"], ["MEDS_DEATH", "Outcome"]]
    pairs = zip(asked["subject_id"], asked["prediction_time"], strict=True)
    slow = TimelineRecords([load_timeline(path, subject_id=who, prediction_time=when) for who, when in pairs])
    _assert_read_alike(fast, slow)


@pytest.mark.parametrize(
    ("times", "words"),
    [(lambda times: times.where(times.index > 2), "3 labels"), (lambda times: times.astype("int64"), "is no time"),
     (lambda times: "noon", "is no time"), (lambda times: "03/04/2020", "is no time")],
)  # fmt: skip
def test_a_label_without_a_prediction_time_is_refused(
    made: Path, tmp_path: Path, times: Callable[[pd.Series], object], words: str
) -> None:
    """Nothing would be cut away at a time that is missing."""
    file = _copied(made, tmp_path) / "labels" / "mace.parquet"
    table = pd.read_parquet(file)
    table.assign(prediction_time=times(table["prediction_time"])).to_parquet(file)
    with pytest.raises(UserFacingError, match=words):
        CohortFolder(tmp_path).labels("mace")


def test_prediction_times_of_a_zone_are_those_of_utc(made: Path, tmp_path: Path) -> None:
    file = _copied(made, tmp_path) / "labels" / "mace.parquet"
    table = pd.read_parquet(file)
    zoned = table["prediction_time"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    table.assign(prediction_time=zoned).to_parquet(file)
    read = CohortFolder(tmp_path).labels("mace")["prediction_time"]
    assert read.dtype == "datetime64[us]"
    assert (read == table["prediction_time"]).all()


def _plain_scan(findings: Findings, acquisition: Acquisition) -> RenderedPatient:
    """A small stand-in for the renderer, which has its own tests."""
    voxels = np.full((6, 5, 4), int(acquisition.blood_hu), np.int16)
    labels = (np.arange(voxels.size) % 11).astype(np.uint8).reshape(voxels.shape)
    return RenderedPatient(CtStudy(voxels, np.diag([2.0, 2.0, 5.0, 1.0])), labels, {})


def test_images_are_written_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.virtual.render.render_patient", _plain_scan)
    simulate_cohort(tmp_path, patients=3, seed=1, workers=1)
    folder = CohortFolder(tmp_path / "cohort")
    row = folder.labels("pe_mortality").iloc[0]
    number = folder.image_row(row.subject_id, row.prediction_time)
    assert number is not None
    path = folder.image_path(number)
    image, mask = nib.load(path), nib.load(tmp_path / "masks" / path.name)
    assert image.get_data_dtype() == np.int16
    assert image.shape == mask.shape
    np.testing.assert_allclose(image.affine, mask.affine)
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 5, 6, 7, 8, 9, 10}
    assert image.header.get_zooms() == (2.0, 2.0, 5.0)
    assert folder.image_row(row.subject_id, row.prediction_time - pd.Timedelta(days=1)) is None
    path.unlink()
    with pytest.raises(UserFacingError, match="image"):
        folder.image_path(number)


def test_a_cohort_brings_its_own_task(made: Path, tmp_path: Path) -> None:
    _copied(made, tmp_path)
    (tmp_path / "labels" / "own.parquet").write_bytes((tmp_path / "labels" / "mace.parquet").read_bytes())
    folder = CohortFolder(tmp_path)
    with pytest.raises(UserFacingError, match="card"):
        folder.task("own")
    card = tmp_path / "labels" / "own.json"
    card.write_text('{"horizons_days": [730, 365], "hu_window": [-100, 300]}')
    assert folder.task("own").horizons_days == (365, 730)
    card.write_text('{"name": "another", "horizons_days": [365], "hu_window": [-100, 300]}')
    assert folder.task("own").name == "own"
    for absent in ("nought", "../labels/own"):
        with pytest.raises(UserFacingError, match="no task of that name") as refused:
            folder.task(absent)
        assert "mace, own" in refused.value.expected
    for broken in ('{"horizons_days": [], "hu_window": [0, 1]}', '{"hu_window": [0, 1]}', "[]", "{"):
        card.write_text(broken)
        with pytest.raises(UserFacingError):
            folder.task("own")


@pytest.mark.parametrize(
    ("piece", "ask"),
    [
        ("metadata/subject_splits.parquet", lambda folder: folder.splits),
        ("labels/mace.parquet", lambda folder: folder.labels("mace")),
        ("data/train/0.parquet", lambda folder: folder.records(folder.labels("mace"))),
    ],
)
def test_missing_or_broken_pieces_are_named(made: Path, tmp_path: Path, piece: str, ask: object) -> None:
    _copied(made, tmp_path)
    (tmp_path / piece).write_bytes(b"not a table")
    with pytest.raises(UserFacingError, match="cannot be read"):
        ask(CohortFolder(tmp_path))  # type: ignore[operator]
    pd.DataFrame({"other": [1]}).to_parquet(tmp_path / piece)
    with pytest.raises(UserFacingError, match="lacks"):
        ask(CohortFolder(tmp_path))  # type: ignore[operator]


def test_the_folder_is_described_where_a_refusal_sends_people(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match=r"docs/data-model\.md \(A cohort folder\)"):
        CohortFolder(tmp_path)
    told = (Path(__file__).parents[2] / "docs" / "data-model.md").read_text("utf-8").split("## A cohort folder")[1]
    files = ("metadata/subject_splits.parquet", "metadata/codes.parquet", "images/index.parquet", "labels/<task>.json")
    for name in (*files, *SPLITS, *LABEL_COLUMNS, "study_time", "horizons_days", "hu_window"):
        assert name in told.split("\n## ")[0]


def test_impossible_arguments(tmp_path: Path, made: Path) -> None:
    bad = ({"patients": 2}, {"task": "x"}, {"regime": "x"}, {"site": "x"}, {"seed": -1})
    for change in bad:
        arguments = {"patients": 5, "render": False} | change
        with pytest.raises(UserFacingError):
            simulate_cohort(tmp_path, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UserFacingError, match="already"):
        simulate_cohort(made, patients=5, render=False)
    with pytest.raises(UserFacingError, match="exist"):
        CohortFolder(tmp_path / "nowhere")
    with pytest.raises(UserFacingError, match="data"):
        CohortFolder(tmp_path)
