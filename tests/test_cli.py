"""The command line: every command documented, results on disk, and bad input told in one line with exit code 2."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import typing
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from explain_support import planted
from fuse_support import batch_of, set_of
from privacy_support import BURNED, ct_plane, draw
from review_support import DAY_0, HARMLESS_CODES, RISKY_CODE, TASK, bundle, study, timeline

from core import __main__ as cli
from core import export
from core.bundle import load_bundle, save_bundle
from core.encode.half import round_to_half
from core.explain.methods import METHODS
from core.fuse import FUSIONS
from core.learning_commands import PRETRAIN_NAMES
from core.load import REPAIRS
from core.pretrain.methods import PRETRAIN_METHODS
from core.pretrain.record_fits import RECORD_FITS
from core.records import CtStudy, Timeline, Tokens
from core.review import encode_case
from core.survive.heads import HEADS
from core.train.members import FitConfig, FittedModel
from core.train.model_card import make_card
from core.virtual.patient import Regime, TaskName
from core.virtual.simulate import simulate_cohort

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle folder, a NIfTI study and a parquet record on disk."""
    folder = tmp_path_factory.mktemp("cli")
    scan, record, small = study(), timeline((RISKY_CODE, *HARMLESS_CODES)), bundle()
    image = nib.Nifti1Image(np.asarray(scan.voxels_hu), scan.affine_mm)
    image.header["descrip"] = b"virtual patient"
    nib.save(image, folder / "ct.nii.gz")
    record.events.to_parquet(folder / "record.parquet", index=False)
    _save(folder / "bundle")
    assert small.task == load_bundle(folder / "bundle").task
    return {"study": folder / "ct.nii.gz", "timeline": folder / "record.parquet", "bundle": folder / "bundle"}


def _save(out: Path) -> None:
    small = bundle()
    encoder = round_to_half(copy.deepcopy(planted().encoder))
    case = encode_case(study(), timeline(HARMLESS_CODES), small)  # type: ignore[arg-type]
    tokens: tuple[list[Tokens | None], list[Tokens | None]] = ([case.tokens["image"]] * 30, [case.tokens["ehr"]] * 30)
    train = set_of(*tokens, np.linspace(1, 500, 30), np.arange(30) % 3 > 0)
    fitted = FittedModel(small.model, FitConfig(), 0, (), "cpu")
    encoders = [
        {"role": "image", "name": "compact_slices", "provenance": "planted phantom"},
        {"role": "ehr", "name": "one_hot", "provenance": "planted phantom"},
    ]
    card = make_card(fitted, TASK, train, train, encoders=encoders, virtual=True, description="phantoms")
    models = {"encoders": {**small.encoders, "image": encoder}}
    save_bundle(out, model=small.model, task=TASK, train=train, card=card, metrics={}, **models)  # type: ignore[arg-type]


def _review(inputs: dict[str, Path], out: Path, *more: str) -> list[str]:
    named = [word for name in ("study", "timeline", "bundle") for word in (f"--{name}", str(inputs[name]))]
    return ["review", *named, "--out", str(out), "--prediction-time", DAY_0.isoformat(), *more]


def test_review_writes_what_the_browser_exports(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _review(inputs, tmp_path, "--horizon-days", "30", "--explain", "gradcam", "--slice", "6")
    assert cli.main([*arguments, "--window", "-160", "240", "--device", "cpu"]) == 0
    promised = {"curve.json", "figure.png", "figure.svg", "figure.pdf", "saliency.nii.gz", "provenance.json"}
    assert promised <= {path.name for path in tmp_path.iterdir()}
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["horizon_days"] == 30
    assert record["explanation"]["method"] == "gradcam"
    assert record["identifiers"].startswith("Identifiers: 2 places may identify a person and go no further")
    assert {"kernel", "likeness"} <= {factor["name"] for factor in record["quality"]}
    assert record["view"]["slice_ijk"][2] == 6
    assert nib.load(tmp_path / "saliency.nii.gz").shape == study().shape
    said = capsys.readouterr().out
    assert "Research use only" in said
    assert "risk by 30 days" in said
    assert str(inputs["study"]) not in said


def test_review_marks_a_case_outside_the_training_population_in_print_and_in_its_files(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The phantom is a small box on few slices: far from any training scan, and reviewed all the same."""
    assert cli.main(_review(inputs, tmp_path, "--explain", "none")) == 0
    assert "warning: Outside the training population: " in capsys.readouterr().out
    for name in ("curve.json", "provenance.json", "figure.png.json"):
        assert "Outside the training population" in json.loads((tmp_path / name).read_text())["marks"]
    assert "Outside the training population" in (tmp_path / "figure.svg").read_text("utf-8")


@pytest.mark.parametrize(("choice", "legible"), [("strip", False), ("keep", True)])
def test_review_shows_no_text_of_the_pixels_unless_asked_to(
    choice: str,
    legible: bool,
    inputs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planes = [ct_plane(index, 192) for index in range(12)]
    for plane in planes:
        draw(plane, BURNED, 8, 20, 14, 2500)
    voxels = np.stack([plane[::-1, ::-1].T for plane in planes], -1).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([0.7, 0.7, 1.0, 1.0])), tmp_path / "ct.nii.gz")
    shown: list[CtStudy] = []
    monkeypatch.setattr(export, "export_review", lambda study, *rest, **more: shown.append(study) or [])
    named = ["--study", str(tmp_path / "ct.nii.gz"), "--bundle", str(inputs["bundle"]), "--out", str(tmp_path / "out")]
    assert cli.main(["review", *named, "--explain", "none", "--identifiers", choice]) == 0
    assert (shown[0].voxels_hu.max() > 2000) == legible
    assert ("blanked in pixels: 1 place" in capsys.readouterr().out) != legible


@pytest.mark.parametrize(("choice", "stays"), [("strip", False), ("strip-found", True), ("keep", True)])
def test_review_takes_texts_along_that_no_vocabulary_knows_only_where_asked_to(
    choice: str, stays: bool, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "events.csv"
    record.write_text("subject_id,time,code,numeric_value,text_value\n7,2020-01-03,LAB//1,5,Oluwaseun Adeyemi\n")
    shown: list[Timeline] = []
    monkeypatch.setattr(export, "export_review", lambda study, timeline, *rest, **more: shown.append(timeline) or [])
    named = ["--timeline", str(record), "--bundle", str(inputs["bundle"]), "--out", str(tmp_path / "out")]
    assert cli.main(["review", *named, "--explain", "none", "--identifiers", choice]) == 0
    assert ("Oluwaseun" in shown[0].events.to_csv()) == stays


@pytest.mark.parametrize(
    "words", [["review", "Okonkwo", "scan"], ["review", "--explain", "Okonkwo"], ["Okonkwo"], ["train", "--task"]]
)
def test_what_was_typed_is_not_repeated(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*words, *(["--bundle", "b", "--out", "o"] if words[0] == "review" else [])])
    said = _one_line(capsys)
    assert "Okonkwo" not in said
    assert "--help" in said


def test_a_damaged_file_that_nothing_repairs_names_no_repair(inputs, tmp_path, capsys) -> None:
    broken = tmp_path / "a.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    assert cli.main(["review", "--study", str(broken), "--bundle", str(inputs["bundle"]), "--out", str(tmp_path)]) == 2
    assert "or add" not in _one_line(capsys)


def test_a_record_of_several_patients_names_the_option_that_chooses(inputs, tmp_path, capsys) -> None:
    record = tmp_path / "events.csv"
    record.write_text("subject_id,time,code\n7,2020-01-03,A\n8,2020-01-03,A\n")
    named = ["review", "--timeline", str(record), "--bundle", str(inputs["bundle"]), "--out", str(tmp_path / "out")]
    assert cli.main(named) == 2
    assert "Add --subject-id with the number of one of them." in _one_line(capsys)


def test_two_files_named_side_by_side_need_not_be_of_one_patient(inputs: dict[str, Path], tmp_path: Path) -> None:
    image, unmarked = nib.load(inputs["study"]), tmp_path / "unmarked.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), unmarked)
    out = tmp_path / "out"
    assert cli.main([*_review({**inputs, "study": unmarked}, out), "--explain", "none"]) == 0
    assert "put together here" in (out / "provenance.json").read_text("utf-8")


def test_review_without_saliency_or_with_one_input(inputs: dict[str, Path], tmp_path: Path) -> None:
    common = ["--bundle", str(inputs["bundle"]), "--explain", "none"]
    assert cli.main(["review", "--study", str(inputs["study"]), *common, "--out", str(tmp_path / "ct")]) == 0
    assert not (tmp_path / "ct" / "saliency.nii.gz").exists()
    assert cli.main(["review", "--timeline", str(inputs["timeline"]), *common, "--out", str(tmp_path / "ehr")]) == 0
    assert json.loads((tmp_path / "ehr" / "provenance.json").read_text())["view"] is None


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in said.err
    return lines[0]


def test_review_takes_the_answers_that_the_load_page_asks_for(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans, record = tmp_path / "scans", tmp_path / "record.parquet"
    scans.mkdir()
    for name in ("one.nii.gz", "two.nii.gz"):
        (scans / name).write_bytes(inputs["study"].read_bytes())
    pd.read_parquet(inputs["timeline"]).rename(columns={"time": "wann", "code": "was"}).to_parquet(record)
    arguments = _review({**inputs, "study": scans, "timeline": record}, tmp_path / "out", "--explain", "none")
    assert cli.main(arguments) == 2
    assert "--series with a number" in _one_line(capsys)
    arguments += ["--series", "2", "--repair", "use_sform"]
    assert cli.main(arguments) == 2
    assert "--columns time=COLUMN, code=COLUMN" in _one_line(capsys)
    assert cli.main([*arguments, "--columns", "time=wann", "code=was"]) == 0
    assert (tmp_path / "out" / "curve.json").exists()


def test_a_file_that_is_not_a_scan_is_one_line(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "secret_name.nii.gz"
    broken.write_bytes(b"\x1f\x8b not a gzip")
    assert cli.main(_review({**inputs, "study": broken}, tmp_path / "out")) == 2
    line = _one_line(capsys)
    assert "secret_name" not in line
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_hold_results_is_refused_before_the_work(inputs, tmp_path, capsys, monkeypatch):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    monkeypatch.setattr("core.bundle.load_bundle", None)  # nothing is read before the place was looked at
    cohort = ["--cohort", str(tmp_path)]
    named = [*cohort, "--bundle", str(inputs["bundle"])]
    for arguments in (
        _review(inputs, taken / "out"),
        ["predict", *named, "--out", str(taken / "predictions.parquet")],
        ["evaluate", "--predictions", str(tmp_path / "none.parquet"), "--out", str(taken)],
        ["train", *cohort, "--task", "mace", "--fusion", "concat", "--out", str(taken / "bundle")],
        ["simulate", "--patients", "1", "--out", str(taken / "cohort")],
    ):
        assert cli.main(arguments) == 2
        assert "named by --out cannot be made or written" in capsys.readouterr().err
    assert cli.main(["predict", *named, "--out", str(tmp_path)]) == 2
    assert "A folder is named by --out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["study", "timeline", "bundle"])
def test_an_input_that_is_not_there_is_one_line(
    name: str, inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(_review({**inputs, name: tmp_path / "nothing"}, tmp_path / "out")) == 2
    _one_line(capsys)


def test_a_changed_bundle_is_refused(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path / "bundle")
    (tmp_path / "bundle" / "card.json").write_text("{}")
    assert cli.main(_review({**inputs, "bundle": tmp_path / "bundle"}, tmp_path / "out")) == 2
    assert "card.json" in _one_line(capsys)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--horizon-days", "99999"), "follow-up"),
        (("--horizon-days", "-1"), "horizon"),
        (("--slice", "400"), "Slice 400"),
    ],
)
def test_an_impossible_choice_is_one_line(
    more: tuple[str, ...], word: str, inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(_review(inputs, tmp_path, "--explain", "none", *more)) == 2
    assert word in _one_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["review", "--bundle", "x"],
        ["review", "--bundle", "x", "--study", "", "--out", "y"],
        ["deidentify", "", "y"],
        ["simulate", "--out", "x", "--patients", "0"],
        ["simulate", "--out", "x", "--patients", "many"],
        ["train", "--cohort", "x", "--task", "t", "--fusion", "f", "--out", "y"],
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    _one_line(capsys)


@pytest.mark.parametrize("option", ["--subject-id", "--slice", "--horizon-days"])
def test_a_value_that_is_no_number_is_not_repeated(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be a patient's number."""
    for value in ("MRN7001234", "9" * 5000):
        with pytest.raises(SystemExit):
            cli.main(["review", "--bundle", "x", "--study", "y", option, value])
        said = _one_line(capsys)
        assert value not in said
        assert not any(word in said for word in ("int", "float"))


def test_nothing_to_review_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["review", "--bundle", "x", "--out", str(tmp_path)]) == 2
    assert "Nothing to review" in _one_line(capsys)


def test_an_error_nobody_foresaw_is_one_line_without_its_text(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("patient Doe, row 7")

    monkeypatch.setattr("core.case.from_paths.load_study", fails)
    monkeypatch.delenv("CT_SURVIVAL_DEBUG", raising=False)
    assert cli.main(_review(inputs, tmp_path)) == 2
    assert "Doe" not in _one_line(capsys)
    monkeypatch.setenv("CT_SURVIVAL_DEBUG", "1")
    with pytest.raises(ValueError, match="Doe"):
        cli.main(_review(inputs, tmp_path))


def test_simulate_writes_cohort_and_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are left out here; tests of the cohort stage render them."""
    monkeypatch.setattr("core.virtual.simulate.simulate_cohort", partial(simulate_cohort, render=False))
    assert cli.main(["simulate", "--out", str(tmp_path), "--patients", "3", "--task", "mace", "--seed", "3"]) == 0
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    assert len(truth) == 3
    assert {"subject_id", "eta", "eta_image", "eta_ehr", "survival_365d"} <= set(truth.columns)
    assert (tmp_path / "cohort" / "labels" / "mace.parquet").is_file()


def test_a_missing_cohort_is_one_line(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--cohort", str(tmp_path / "none")]
    model = ["--bundle", str(inputs["bundle"])]
    assert cli.main(["predict", *where, *model, "--out", str(tmp_path / "p.parquet")]) == 2
    _one_line(capsys)
    train = ["train", *where, "--task", "mace", "--fusion", "concat", "--out", str(tmp_path / "b")]
    assert cli.main(train) == 2
    _one_line(capsys)


def test_evaluate_reports_on_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    times = rng.exponential(200, 60).clip(1, 400)
    table = pd.DataFrame(
        {
            "subject_id": np.arange(60),
            "prediction_time": DAY_0,
            "time_to_event_days": times,
            "event": times < 400,
            "risk": -times + rng.normal(0, 50, 60),
            "survival_90d": rng.uniform(0.2, 0.9, 60),
        }
    )
    table.to_parquet(tmp_path / "a.parquet", index=False)
    assert cli.main(["evaluate", "--predictions", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "report")]) == 0
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {"report.json", "report.html"}
    capsys.readouterr()
    table.drop(columns="risk").to_parquet(tmp_path / "b.parquet", index=False)
    assert cli.main(["evaluate", "--predictions", str(tmp_path / "b.parquet"), "--out", str(tmp_path / "r")]) == 2
    _one_line(capsys)


def test_help_keeps_the_names_of_formats(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["deidentify", "--help"])
    assert "Write copies of DICOM and NIfTI files" in capsys.readouterr().out


def test_the_choices_are_those_of_the_stages() -> None:
    assert tuple(FUSIONS) == cli.FUSION_NAMES
    assert tuple(METHODS) == cli.METHOD_NAMES
    assert tuple(HEADS) == cli.HEAD_NAMES
    assert tuple(RECORD_FITS) == cli.RECORD_ENCODER_NAMES
    assert set(PRETRAIN_METHODS) == set(PRETRAIN_NAMES)
    assert typing.get_args(Regime) == cli.REGIMES
    assert typing.get_args(TaskName) == cli.TASKS
    assert tuple(REPAIRS) == cli.REPAIR_NAMES


def test_help_is_fast_and_names_every_command() -> None:
    script = "import sys, core.__main__ as m; m.build_parser(); print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    ask = [sys.executable, "-m", "core", "--help"]
    helped = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("simulate", "train", "predict", "evaluate", "review"):
        assert command in helped.stdout


def test_the_bundle_on_disk_answers_as_in_memory(inputs: dict[str, Path]) -> None:
    loaded, small = load_bundle(inputs["bundle"]), bundle()
    case = encode_case(study(), timeline(HARMLESS_CODES), small)  # type: ignore[arg-type]
    batch = batch_of([case.tokens["image"]], [case.tokens["ehr"]])
    assert float(loaded.model.risk(batch, 90)) == float(small.model.risk(batch, 90))
