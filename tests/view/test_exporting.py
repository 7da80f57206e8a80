"""Files made for the reader: at the slice on screen, with their sidecars, in memory."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from view_support import ScreenBundle, review, study, timeline

from core.case import Cancelled
from core.cohort.tasks import TASKS
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
        assert json.loads(archive.read("figure.png.json"))["quality"] == told["quality"]


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
    with zipfile.ZipFile(io.BytesIO(zipped(Exports(SCAN, RECORD, RESULT, BUNDLE, view)))) as archive:
        assert {archive.read(f"figure.{kind}") for kind in ("png", "svg", "pdf")} == {b"slice 5"}
        assert json.loads(archive.read("figure.pdf.json"))["view"]["slice_ijk"][2] == 5
        assert json.loads(archive.read("provenance.json"))["view"]["slice_ijk"][2] == 5


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
        assert json.loads(archive.read("figure.png.json"))["file"] == "figure.png"
        assert archive.read("figure.png") == b"png of slice 5"
    assert names >= {*files.names, "figure.svg.json", "saliency.nii.gz.json"}


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
