"""Cohort folder: what simulate writes, the reader gives back; what is missing is told in words."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from meds.schema import CodeMetadataSchema, DataSchema, DatasetMetadataSchema, SubjectSplitSchema

from core.cohort.folder import LABEL_COLUMNS, SPLITS, CohortFolder
from core.cohort.patient import Acquisition, Findings
from core.cohort.records import simulate_events
from core.cohort.render import RenderedPatient
from core.cohort.sampling import sample_patient
from core.cohort.simulate import simulate_cohort
from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.records import CtStudy

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
        timeline = folder.timeline(row.subject_id, row.prediction_time)
        expected = simulate_events(person, "balanced")
        kept = expected[~(expected.time > person.study_time)].reset_index(drop=True)
        pd.testing.assert_frame_equal(timeline.events, kept, check_dtype=False)
        assert timeline.later_event_count == len(expected) - len(kept)
        assert timeline.age_years == pytest.approx(person.clinical.age_years, abs=0.01)
        assert timeline.origin == "virtual"
        assert timeline.code_descriptions["MEDS_BIRTH"] == "Birth"
        assert folder.study_path(row.subject_id) is None


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


def test_unknown_subject_has_an_empty_timeline(made: Path) -> None:
    timeline = CohortFolder(made / "cohort").timeline(12, pd.Timestamp("2020-01-01"))
    assert len(timeline.events) == 0


def _plain_scan(findings: Findings, acquisition: Acquisition) -> RenderedPatient:
    """A small stand-in for the renderer, which has its own tests."""
    voxels = np.full((6, 5, 4), int(acquisition.blood_hu), np.int16)
    labels = (np.arange(voxels.size) % 11).astype(np.uint8).reshape(voxels.shape)
    return RenderedPatient(CtStudy(voxels, np.diag([2.0, 2.0, 5.0, 1.0])), labels, {})


def test_images_are_written_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.cohort.render.render_patient", _plain_scan)
    simulate_cohort(tmp_path, patients=3, seed=1, workers=1)
    folder = CohortFolder(tmp_path / "cohort")
    row = folder.labels("pe_mortality").iloc[0]
    path = folder.study_path(row.subject_id, row.prediction_time)
    assert path is not None
    image, mask = nib.load(path), nib.load(tmp_path / "masks" / path.name)
    assert image.get_data_dtype() == np.int16
    assert image.shape == mask.shape
    np.testing.assert_allclose(image.affine, mask.affine)
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 5, 6, 7, 8, 9, 10}
    assert image.header.get_zooms() == (2.0, 2.0, 5.0)
    assert folder.study_path(row.subject_id, row.prediction_time - pd.Timedelta(days=1)) is None
    path.unlink()
    with pytest.raises(UserFacingError, match="image"):
        folder.study_path(row.subject_id)


def test_a_cohort_brings_its_own_task(made: Path, tmp_path: Path) -> None:
    for file in (made / "cohort").glob("**/*"):
        target = tmp_path / file.relative_to(made / "cohort")
        target.mkdir(parents=True, exist_ok=True) if file.is_dir() else target.write_bytes(file.read_bytes())
    (tmp_path / "labels" / "own.parquet").write_bytes((tmp_path / "labels" / "mace.parquet").read_bytes())
    folder = CohortFolder(tmp_path)
    with pytest.raises(UserFacingError, match="card"):
        folder.task("own")
    card = tmp_path / "labels" / "own.json"
    card.write_text('{"horizons_days": [730, 365], "hu_window": [-100, 300]}')
    assert folder.task("own").horizons_days == (365, 730)
    for broken in ('{"horizons_days": [], "hu_window": [0, 1]}', '{"hu_window": [0, 1]}', "[]", "{"):
        card.write_text(broken)
        with pytest.raises(UserFacingError):
            folder.task("own")


@pytest.mark.parametrize(
    ("piece", "ask"),
    [
        ("metadata/subject_splits.parquet", lambda folder: folder.splits),
        ("labels/mace.parquet", lambda folder: folder.labels("mace")),
        ("data/train/0.parquet", lambda folder: folder.timeline(1, pd.Timestamp("2020-01-01"))),
    ],
)
def test_missing_or_broken_pieces_are_named(made: Path, tmp_path: Path, piece: str, ask: object) -> None:
    for file in (made / "cohort").glob("**/*"):
        target = tmp_path / file.relative_to(made / "cohort")
        target.mkdir(parents=True, exist_ok=True) if file.is_dir() else target.write_bytes(file.read_bytes())
    (tmp_path / piece).write_bytes(b"not a table")
    with pytest.raises(UserFacingError, match="cannot be read"):
        ask(CohortFolder(tmp_path))  # type: ignore[operator]
    pd.DataFrame({"other": [1]}).to_parquet(tmp_path / piece)
    with pytest.raises(UserFacingError, match="lacks"):
        ask(CohortFolder(tmp_path))  # type: ignore[operator]


def test_the_folder_is_described_where_a_refusal_sends_people(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match=r"docs/data-model\.md \(A cohort folder\)"):
        CohortFolder(tmp_path)
    told = (Path(__file__).parents[1] / "docs" / "data-model.md").read_text("utf-8").split("## A cohort folder")[1]
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
