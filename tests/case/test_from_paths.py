"""Scans and records named on the command line: what the Load page asks can be answered there too."""

from __future__ import annotations

from pathlib import Path

import intake_support as files
import numpy as np
import pytest

from core.case.from_paths import answers_in, named_record, named_study
from core.errors import UserFacingError

ODD = "pid;wann;was;wert\n" + "".join(f"1;0{day}.03.2020;BNP größer;23,{day}\n" for day in range(1, 8))
ANSWERED = ["time=wann", "code=was", "value=wert", "dates=day first", "decimals=comma"]


def refusal_of(path: Path, *words: str) -> str:
    """The refusal of a record."""
    with pytest.raises(UserFacingError) as refused:
        named_record(path, answers=answers_in(words))
    return str(refused.value)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A table that can be read in no way without five answers."""
    path = tmp_path / "odd.csv"
    path.write_text(ODD, encoding="utf-8")
    return path


def test_a_repair_is_named_with_the_refusal_that_it_lifts(tmp_path: Path) -> None:
    folder = files.written(tmp_path / "gap", files.gapped())
    with pytest.raises(UserFacingError, match=r"add --repair longest_run \(Keep the .* or --repair resample_evenly"):
        named_study(folder)
    notes = " ".join(named_study(folder, repairs=["longest_run"]).notes)
    assert "only the longest even run was kept" in notes


def test_one_of_several_series_is_chosen_by_number(tmp_path: Path) -> None:
    files.written(tmp_path / "all" / "long", files.series())
    files.written(tmp_path / "all" / "short", files.series(seed=1)[:12])
    with pytest.raises(UserFacingError, match=r"--series with a number: 1: .* x 24 voxels of .* mm; 2: .* x 12 voxels"):
        named_study(tmp_path / "all")
    assert [named_study(tmp_path / "all", number).shape[2] for number in (1, 2)] == [24, 12]
    with pytest.raises(UserFacingError, match="There is no series 3"):
        named_study(tmp_path / "all", 3)


def test_no_number_is_offered_where_two_patients_lie_in_one_place(tmp_path: Path) -> None:
    for number in ("1", "2"):
        edit = files.patient(f"DOE^{number}", number)
        files.written(tmp_path / "all" / number, files.series(edit=edit, seed=int(number)))
    with pytest.raises(UserFacingError) as refused:
        named_study(tmp_path / "all")
    assert "--series" not in str(refused.value)
    assert "DOE" not in str(refused.value)


def test_what_is_asked_of_columns_is_said_until_all_is_answered(odd: Path) -> None:
    asked = refusal_of(odd)
    for words in ("time=COLUMN", "code=COLUMN", '"dates=day first"', '"decimals=comma"'):
        assert words in asked
    assert "wann" not in asked
    assert '"decimals=comma"' in refusal_of(odd, *ANSWERED[:-1])
    events = named_record(odd, answers=answers_in(ANSWERED)).events
    assert events["numeric_value"].tolist() == pytest.approx([23 + day / 10 for day in range(1, 8)])
    unread = [*ANSWERED[:2], "value=", *ANSWERED[3:]]
    assert np.isnan(named_record(odd, answers=answers_in(unread)).events["numeric_value"].astype(float)).all()


def test_an_encoding_is_asked_and_answered(odd: Path) -> None:
    odd.write_text(ODD, encoding="cp1252")
    assert "encoding=cp1252 or encoding=cp850" in refusal_of(odd)
    timeline = named_record(odd, answers=answers_in([*ANSWERED, "encoding=cp1252"]))
    assert set(timeline.events["code"]) == {"BNP größer"}


def test_what_no_answer_would_settle_is_refused_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    assert "--columns" not in refusal_of(path)


@pytest.mark.parametrize("word", ["time", "when=wann", "=wann", ""])
def test_an_answer_that_is_none_is_told(word: str) -> None:
    with pytest.raises(UserFacingError, match="ROLE=COLUMN with one of subject_id"):
        answers_in([word])
