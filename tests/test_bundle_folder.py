"""Models of one's own: found in the folder that is named, offered beside the shipped ones, doubted in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from view_support import described_bundle

from core.bundle_folder import MODELS_FOLDER, OwnModels, find_own_models
from core.cohort.tasks import TASKS
from core.records import Task
from core.view.choices import ModelChoice, in_display_order, own_choices, single_modality

TASK = replace(TASKS["pe_mortality"], name="death_2y", title="Death within two years", horizons_days=(180, 730))


def bundle(folder: Path, task: Task = TASK, fusion: str = "concat") -> Path:
    return described_bundle(folder, task, fusion)


def test_bundles_are_found_at_any_of_three_depths_and_a_changed_one_has_another_key(tmp_path: Path) -> None:
    one, two = bundle(tmp_path / "one"), bundle(tmp_path / "trial" / "two", fusion="image_only")
    bundle(tmp_path / "a" / "b" / "too deep")
    found = find_own_models(str(tmp_path))
    assert [(model.name, model.fusion, model.path) for model in found.models] == [
        ("one", "concat", one),
        ("trial/two", "image_only", two),
    ]
    assert found.models[0].task == TASK
    assert not found.problems
    assert [model.name for model in find_own_models(str(one)).models] == ["one"]
    (one / "manifest.json").write_text("{ }")
    again = find_own_models(str(tmp_path))
    assert [model.key == before.key for model, before in zip(again.models, found.models, strict=True)] == [False, True]


def test_what_cannot_be_offered_is_said_and_hides_no_other(tmp_path: Path) -> None:
    bundle(tmp_path / "sound")
    (bundle(tmp_path / "half") / "manifest.json").unlink()
    (bundle(tmp_path / "odd") / "config.json").write_text('{"task": {}, "model": {}}')
    (bundle(tmp_path / "text") / "config.json").write_text("no JSON")
    found = find_own_models(str(tmp_path))
    assert [model.name for model in found.models] == ["sound"]
    assert [problem.split(":")[0] for problem in found.problems] == ["half", "odd", "text"]
    assert all("Expected" in problem for problem in found.problems)


def test_no_folder_is_no_problem_and_a_wrong_one_is(tmp_path: Path) -> None:
    assert find_own_models("") == OwnModels()
    assert MODELS_FOLDER in find_own_models("~nobody_of_that_name/models").problems[0]
    assert MODELS_FOLDER in find_own_models(str(tmp_path / "absent")).problems[0]
    assert "holds no model" in find_own_models(str(tmp_path)).problems[0]


def test_choices_are_told_apart_by_name_and_title(tmp_path: Path) -> None:
    bundle(tmp_path / "mine", TASKS["pe_mortality"], "cross_attention")
    shipped = in_display_order(["pe_mortality/cross_attention"])
    (own,) = own_choices(find_own_models(str(tmp_path)).models)
    assert (own.name, own.title) == ("own/mine", "Own: mine · Cross-attention")
    assert (shipped[0].name, shipped[0].title) == ("cross_attention", "Cross-attention")
    assert own.task_title == shipped[0].task_title == TASKS["pe_mortality"].title


def test_curves_of_one_input_stand_beside_models_of_the_same_making() -> None:
    def choice(fusion: str, own: str = "", task: str = "a") -> ModelChoice:
        return ModelChoice(f"{own}/{task}/{fusion}", task, fusion, None, own)

    models = [choice("concat"), choice("image_only"), choice("ehr_only", task="b")]
    own = [choice("concat", "x"), choice("ehr_only", "y"), choice("ehr_only", "z")]
    assert single_modality([*models, *own], models[0]) == {"image_only": models[1], "ehr_only": None}
    assert single_modality([*models, *own], own[0]) == {"image_only": None, "ehr_only": own[1]}
    assert single_modality([*models, *own], own[2]) == {"image_only": None}


@pytest.mark.parametrize("name", ["", "absent"])
def test_shipped_models_stay_whatever_is_named(name: str, tmp_path: Path) -> None:
    found = find_own_models(str(tmp_path / name) if name else "")
    assert own_choices(found.models) == ()
