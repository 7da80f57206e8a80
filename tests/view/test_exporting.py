"""Files made for the reader: at the slice on screen, with their sidecars, in memory."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from view_support import ScreenBundle, review, study, timeline

from core.case import Cancelled
from core.cohort.tasks import TASKS
from core.export.comparison import Measured, ModelRow
from core.export.figure import build_figure, caption
from core.export.style import figure_style
from core.privacy import Finding
from core.quality import Factor, QualityReport
from core.view import exporting
from core.view.exporting import Exports
from core.view.loading import findings_html

SCAN, RECORD = study(), timeline()
RESULT = review(SCAN, RECORD)
BUNDLE = ScreenBundle("cross_attention", TASKS["pe_mortality"])


def on_screen(k: int) -> dict[str, object]:
    return {"volume": f"{SCAN.digest[:24]}--250-450", "voxel": [3, 4, k], "window_hu": [-160.0, 240.0]}


def zipped(files: Exports) -> bytes:
    return files.archive(files.inputs(), lambda share, words: None)


def counted(monkeypatch) -> list[str]:
    """Every figure that is drawn, in turn."""
    drawn: list[str] = []
    monkeypatch.setattr(exporting, "figure_bytes", lambda inputs, kind: drawn.append(kind) or kind.encode())
    return drawn


def test_files_follow_the_viewer_as_it_moves():
    view: dict[str, object] = {}
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, view)
    assert json.loads(files.file("provenance.json"))["view"]["slice_ijk"][2] == 4
    view.update(on_screen(11))
    record = json.loads(files.file("provenance.json"))
    assert record["view"]["slice_ijk"][2] == 11
    assert record["view"]["window_hu"]["high"] == 240


def test_the_sidecar_carries_verdicts_and_what_became_of_identifiers():
    report = QualityReport((Factor("noise", "edge", "40 HU", "unusual"),))
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, {}, report, "Stripped.")
    told = json.loads(files.file("provenance.json"))
    assert (told["quality"][0]["verdict"], told["identifiers"]) == ("edge", "Stripped.")
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as archive:
        assert json.loads(archive.read(files.called("figure.png.json")))["quality"] == told["quality"]


def test_the_figure_shows_the_planes_and_the_overlay_on_screen():
    view = {**on_screen(11), "threshold": 0.6, "opacity": 0.0}
    told = json.loads(Exports(SCAN, RECORD, RESULT, BUNDLE, view).file("provenance.json"))["view"]
    assert told["slice_ijk"] == [3, 4, 11]
    assert (told["overlay"]["threshold"], told["overlay"]["opacity"]) == (0.6, 0.0)


def test_an_inverted_grey_scale_is_drawn_and_said():
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, {**on_screen(11), "inverted": True})
    assert json.loads(files.file("provenance.json"))["view"]["grey_scale_inverted"]
    assert "grey scale inverted" in caption(files.inputs())
    plain = Exports(SCAN, RECORD, RESULT, BUNDLE, on_screen(11))
    assert "inverted" not in caption(plain.inputs())
    with figure_style():
        maps = [build_figure(made.inputs()).axes[0].images[0].get_cmap().name for made in (files, plain)]
    assert maps == ["gray_r", "gray"]


def test_an_archive_is_of_one_view_however_the_viewer_moves_meanwhile(monkeypatch):
    view = on_screen(5)

    def drawn(inputs, kind) -> bytes:
        view.update(on_screen(11))
        return f"slice {inputs.slice_ijk[2]}".encode()

    monkeypatch.setattr(exporting, "figure_bytes", drawn)
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, view)
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as archive:
        assert {archive.read(files.called(f"figure.{kind}")) for kind in ("png", "svg", "pdf")} == {b"slice 5"}
        for name in ("figure.pdf.json", "provenance.json"):
            assert json.loads(archive.read(files.called(name)))["view"]["slice_ijk"][2] == 5


def test_what_the_viewer_said_of_another_scan_is_not_used():
    view = {**on_screen(11), "volume": "another"}
    record = json.loads(Exports(SCAN, RECORD, RESULT, BUNDLE, view).file("provenance.json"))
    assert record["view"]["slice_ijk"][2] == 4


def test_the_archive_holds_every_file_with_its_sidecar(monkeypatch):
    monkeypatch.setattr(
        exporting, "figure_bytes", lambda inputs, kind: f"{kind} of slice {inputs.slice_ijk[2]}".encode()
    )
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, on_screen(5))
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as archive:
        names = set(archive.namelist())
        assert json.loads(archive.read(files.called("figure.png.json")))["file"] == files.called("figure.png")
        assert archive.read(files.called("figure.png")) == b"png of slice 5"
    assert names >= {files.called(name) for name in (*files.names, "figure.svg.json", "saliency.nii.gz.json")}


def test_files_of_two_cases_or_questions_never_bear_one_name():
    """Label, task, model, horizon and method stand in every name, the label in figure and sidecar too."""
    asked = [
        Exports(SCAN, RECORD, result, BUNDLE, {}, label=label)
        for label in ("Case A", "Case B")
        for result in (RESULT, replace(RESULT, horizon_days=30.0), replace(RESULT, fusion="concat"))
    ]
    names = [files.called("figure.png") for files in asked]
    assert names[0] == "case-a_pe-mortality_cross-attention_90d_gradcam_figure.png"
    assert len(set(names)) == 6
    assert json.loads(asked[3].file("provenance.json"))["label"] == "Case B"
    with figure_style():
        words = [text.get_text() for text in build_figure(asked[3].inputs()).texts]
    assert any(text.startswith("Case B \u00b7 ") for text in words)


def test_every_model_stands_beside_the_others_in_a_file_of_its_own():
    row = ModelRow("k", "Image only", "image_only", ("image",), RESULT, "", Measured(0.7, 0.6, 0.8), None)
    refused = ModelRow("l", "Own", "concat", ("image", "ehr"), None, "reads nothing of this case", None, None)
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, {}, all_models=lambda: [row, refused])
    told = json.loads(files.file("models.json"))
    first, second = told["models"]
    assert first["risk"] == pytest.approx(RESULT.curve.risk_at(90))
    assert first["observed_in_those_given_about_this_risk"] == list(RESULT.given[90.0].interval)
    assert first["held_out_concordance"] == {"value": 0.7, "lower": 0.6, "upper": 0.8}
    assert (second["risk"], second["refused"]) == (None, "reads nothing of this case")
    assert "models.json" not in Exports(SCAN, RECORD, RESULT, BUNDLE, {}).names


@pytest.mark.parametrize(("scan", "explain"), [(None, "gradcam"), (SCAN, None)])
def test_without_saliency_no_map_is_offered(scan, explain):
    files = Exports(scan, RECORD, review(scan, RECORD, explain=explain), BUNDLE, {})
    assert "saliency.nii.gz" not in files.names
    assert files.file("curve.json").startswith(b"{")


def test_no_file_is_made_twice_while_the_view_stays(monkeypatch):
    drawn, view = counted(monkeypatch), on_screen(5)
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, view)
    files.file("figure.pdf")
    zipped(files)
    zipped(files)
    assert sorted(drawn) == ["pdf", "png", "svg"]
    view.update(on_screen(11))
    assert json.loads(files.file("provenance.json"))["view"]["slice_ijk"][2] == 11
    files.file("figure.pdf")
    assert sorted(drawn) == ["pdf", "pdf", "png", "svg"], "another slice is another figure"


def test_a_file_asked_for_while_it_is_made_is_waited_for(monkeypatch):
    drawn = counted(monkeypatch)
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, on_screen(5))
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(files.file, ["figure.png"] * 4))
    assert (made, drawn) == ({b"png"}, ["png"])


def test_an_archive_says_which_file_it_makes_and_stops_between_files(monkeypatch):
    drawn, told = counted(monkeypatch), []
    files = Exports(SCAN, RECORD, RESULT, BUNDLE, on_screen(5))

    def tell(share: float, words: str) -> None:
        told.append((share, words))
        if len(told) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        files.archive(files.inputs(), tell)
    assert told == [
        (0.0, "All in one zip: file 1 of 6, figure.png"),
        (1 / 6, "All in one zip: file 2 of 6, figure.svg"),
    ]
    assert drawn == ["png"]


def test_findings_that_tell_most_of_somebody_come_first() -> None:
    kinds = ("date", "unique identifier", "free text", "preamble", "name")
    html = findings_html([Finding(kind, f"place of {kind}", "•••") for kind in kinds])
    order = sorted(kinds, key=lambda kind: html.index(f"place of {kind}"))
    assert order == ["name", "free text", "preamble", "date", "unique identifier"]
