"""Exports: files parse, carry the notice and their provenance, and hold no plain digest or date of the patient."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from review_support import DAY_0, HARMLESS_CODES, RISKY_CODE, bundle, study, timeline

from core import RESEARCH_NOTICE, VIRTUAL_WATERMARK
from core.errors import UserFacingError
from core.export import curve_record, export_review, figure_bytes, figure_inputs, keyed_digest, provenance, to_json
from core.export.cohort import at_risk_on, cohort_risk
from core.export.events import event_name, strongest_entries
from core.export.figure import SIZE_INCHES, FigureInputs, build_figure, caption
from core.export.panels import draw_curve, draw_events
from core.export.scan import OPACITY, THRESHOLD, Overlay, draw_plane, overlay_scale, plane_of
from core.export.style import OUTSIDE_MARK, figure_style, percent
from core.quality import Factor, QualityReport
from core.records import Attribution, CaseReview, CtStudy, Notice
from core.review import review_case
from core.view.lanes import event_rows, told_entries, undated_rows
from core.view.survival import curve_figure
from core.wording import duration

KEY = b"k" * 32
RECORD = timeline((RISKY_CODE, *HARMLESS_CODES))
SCAN = study()


@pytest.fixture(scope="module")
def review() -> CaseReview:
    return review_case(SCAN, RECORD, bundle(), horizon_days=90, explain="gradcam")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def inputs(review: CaseReview) -> FigureInputs:
    return figure_inputs(SCAN, RECORD, review, bundle(), window=(-160, 240))


@pytest.fixture(scope="module")
def folder(review: CaseReview, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "new" / "folder"
    written = export_review(SCAN, RECORD, review, bundle(), out, window=(-160, 240), slice_k=4)
    assert sorted(written) == sorted(out.iterdir())
    return out


def test_every_promised_file_is_there_with_its_sidecar(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    images = {"figure.png", "figure.svg", "figure.pdf", "saliency.nii.gz"}
    assert names == images | {f"{name}.json" for name in images} | {"curve.json", "provenance.json"}
    for name in images:
        assert json.loads((folder / f"{name}.json").read_text())["file"] == name


def _png_chunks(content: bytes) -> dict[str, bytes]:
    found, place = {}, 8
    while place < len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        found[content[place + 4 : place + 8].decode()] = content[place + 8 : place + 8 + size]
        place += size + 12
    return found


def test_the_png_has_300_dpi_and_no_text_of_its_own(folder: Path) -> None:
    content = (folder / "figure.png").read_bytes()
    chunks = _png_chunks(content)
    across, down, unit = struct.unpack(">IIB", chunks["pHYs"])
    assert unit == 1
    assert across == down == pytest.approx(300 / 0.0254, abs=1)
    assert not {"tEXt", "iTXt", "zTXt", "tIME", "eXIf"} & chunks.keys()


def test_the_svg_says_the_notice_and_how_it_was_made(folder: Path) -> None:
    text = (folder / "figure.svg").read_text()
    for words in (RESEARCH_NOTICE, VIRTUAL_WATERMARK, "Grad-CAM", "90 days", "HU", "Lung cancer"):
        assert words in text
    assert "<dc:date>" not in text
    assert "matplotlib" not in text.lower().replace("http://matplotlib.org", "").split("<defs")[0]


def test_the_pdf_is_one_page_without_dates(folder: Path) -> None:
    content = (folder / "figure.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page ") + content.count(b"/Type /Page\n") == 1
    assert b"CreationDate" not in content
    assert b"/Creator" not in content


def test_the_nifti_is_the_saliency_on_the_grid_of_the_study(folder: Path, review: CaseReview) -> None:
    image = nib.Nifti1Image.from_bytes(gzip.decompress((folder / "saliency.nii.gz").read_bytes()))
    assert review.saliency is not None
    assert np.array_equal(np.asarray(image.dataobj), review.saliency.values)
    assert np.allclose(image.affine, SCAN.affine_mm)
    assert image.get_data_dtype() == np.float32
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    assert b"Research use only" in bytes(image.header["descrip"])


def test_provenance_traces_the_result_without_a_plain_digest(folder: Path, review: CaseReview) -> None:
    record = json.loads((folder / "provenance.json").read_text())
    assert record["notice"] == RESEARCH_NOTICE
    assert record["watermark"] == VIRTUAL_WATERMARK
    assert record["model"]["weights_sha256"] == review.bundle_digest
    assert record["explanation"]["method"] == "gradcam"
    assert record["explanation"]["parameters"]["encoder_slices"] > 0
    assert record["view"]["window_hu"] == {"low": -160, "high": 240, "width": 400, "level": 40}
    assert record["view"]["slice_ijk"][2] == 4
    assert record["view"]["slice_mm"]["axial_z"] == pytest.approx(SCAN.affine_mm[2, 2] * 4 + SCAN.affine_mm[2, 3])
    assert record["inputs"]["ct_hmac_sha256"] == keyed_digest(SCAN.digest)
    assert set(record["versions"]) >= {"torch", "captum", "numpy"}
    datetime.fromisoformat(record["created_utc"])


def test_no_file_holds_a_plain_digest_a_date_or_a_subject(folder: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for secret in (SCAN.digest, RECORD.digest, DAY_0.strftime("%Y-%m-%d"), "subject_id"):
            assert secret.encode() not in content, (path.name, secret)


def test_keyed_digests_depend_on_the_key_and_on_the_input() -> None:
    assert keyed_digest(None) is None
    assert keyed_digest("a", KEY) == keyed_digest("a", KEY)
    assert keyed_digest("a", KEY) != keyed_digest("a", b"other")
    assert keyed_digest("a", KEY) != keyed_digest("b", KEY)
    assert keyed_digest("a") == keyed_digest("a")


def test_the_curve_in_numbers_is_the_curve(folder: Path, review: CaseReview) -> None:
    record = json.loads((folder / "curve.json").read_text())
    assert record["survival"] == review.curve.survival.tolist()
    assert record["risk"]["90"] == review.horizon_risks[90]
    assert record["survival"][0] == 1
    assert record["rmst_days_at_horizon"] == pytest.approx(review.curve.rmst_days(90))


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_review_gives_the_same_bytes(kind: str, inputs: FigureInputs) -> None:
    small = replace(inputs, study=None, review=replace(inputs.review, saliency=None))
    assert figure_bytes(small, kind) == figure_bytes(small, kind)  # type: ignore[arg-type]


def test_figures_drawn_in_threads_are_whole(inputs: FigureInputs) -> None:
    small = replace(inputs, study=None, timeline=None)
    expected = figure_bytes(small, "svg")
    drawn: list[bytes] = []
    threads = [threading.Thread(target=lambda: drawn.append(figure_bytes(small, "svg"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected] * 3


def test_a_case_without_scan_or_record_still_has_a_figure(review: CaseReview, tmp_path: Path) -> None:
    alone = review_case(None, RECORD, bundle(), explain=None)  # type: ignore[arg-type]
    names = {path.name for path in export_review(None, RECORD, alone, bundle(), tmp_path)}
    assert "saliency.nii.gz" not in names
    assert json.loads((tmp_path / "provenance.json").read_text())["view"] is None
    bare = figure_inputs(SCAN, None, replace(review, saliency=None, attention=None, event_attribution=None), bundle())
    assert figure_bytes(bare, "png").startswith(b"\x89PNG")


def test_what_was_not_chosen_is_chosen_by_saliency(review: CaseReview) -> None:
    chosen = figure_inputs(SCAN, RECORD, review, bundle())
    assert review.saliency is not None
    assert review.saliency.values[chosen.slice_ijk] == review.saliency.values.max()
    assert chosen.window_hu == (-250, 450)
    assert figure_inputs(SCAN, RECORD, review, bundle(), slice_k=2).slice_ijk[2] == 2
    blank = replace(review, saliency=None)
    assert figure_inputs(SCAN, RECORD, blank, bundle()).slice_ijk == tuple(size // 2 for size in SCAN.shape)
    with pytest.raises(UserFacingError, match="Slice 99"):
        figure_inputs(SCAN, RECORD, review, bundle(), slice_k=99)
    with pytest.raises(UserFacingError, match="window"):
        figure_inputs(SCAN, RECORD, review, bundle(), window=(100, 100))


def test_the_caption_can_stand_alone(inputs: FigureInputs) -> None:
    text = " ".join(caption(inputs).split())
    expected = ("Concatenation", "pulmonary embolism", "90 days", "Grad-CAM", "W 400 / L 40", "mm", "virtual patient")
    for words in expected:
        assert words in text
    for notice in inputs.review.notices[:1]:
        assert notice.text in text


def test_every_notice_stands_on_the_page_warnings_first(inputs: FigureInputs) -> None:
    levels = ("info", "caution", "warning")
    notices = tuple(Notice(f"n{n}", levels[n % 3], f"Notice {n}. {'Long words of it ' * 25}") for n in range(13))  # type: ignore[arg-type]
    told = replace(inputs, review=replace(inputs.review, notices=notices))
    words = " ".join(caption(told).split())
    places = [words.index(f"Notice {n}.") for n in (2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9, 12)]
    assert places == sorted(places)
    with figure_style():
        figure, usual = build_figure(told), build_figure(replace(inputs, review=replace(inputs.review, notices=())))
        drawn = next(text for text in figure.texts if "Notice 0." in text.get_text())
        notice = next(text for text in figure.texts if text.get_text() == RESEARCH_NOTICE)
        figure.draw_without_rendering()
        assert drawn.get_window_extent().y0 > notice.get_window_extent().y1
    assert figure.get_figheight() > usual.get_figheight() == SIZE_INCHES[1]
    tops = [(1 - made.axes[0].get_position().y1) * made.get_figheight() for made in (figure, usual)]
    assert tops[0] == pytest.approx(tops[1], abs=0.01)


def test_planes_are_shown_as_a_radiologist_expects() -> None:
    """One voxel set right, anterior and superior of the centre appears left and up in its planes."""
    volume = np.zeros((5, 7, 9), np.int16)
    volume[4, 6, 8] = 1  # right, anterior, superior
    assert plane_of(volume, "axial", 8)[0, 0] == 1
    assert plane_of(volume, "coronal", 6)[0, 0] == 1
    assert plane_of(volume, "sagittal", 4)[0, 0] == 1
    assert plane_of(volume, "axial", 8).shape == (7, 5)
    assert plane_of(volume, "coronal", 6).shape == (9, 5)
    assert plane_of(volume, "sagittal", 4).shape == (9, 7)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("watermark", [True, False])
def test_every_plane_carries_a_bar_as_long_as_it_says(plane: str, watermark: bool) -> None:
    scan = study()
    axes = Figure(figsize=(4, 4), dpi=150).add_subplot()
    draw_plane(axes, scan, plane, 3, (-160, 240), False, None, None, watermark)
    axes.apply_aspect()
    bar = axes.lines[-1]
    ends = bar.get_transform().transform(np.column_stack([bar.get_xdata(), bar.get_ydata()]))
    columns = np.diff(axes.transData.inverted().transform(ends)[:, 0])[0]
    length_mm = columns * scan.spacing_mm[1 if plane == "sagittal" else 0]
    said = next(text.get_text() for text in axes.texts if re.fullmatch(r"\d+ [cm]m", text.get_text()))
    assert length_mm == pytest.approx(int(said.split()[0]) * (10 if said.endswith("cm") else 1), rel=1e-6)


def test_the_colour_scale_is_one_for_the_study_and_symmetric_where_signed() -> None:
    values = np.zeros((10, 10, 10), np.float32)
    values[0, 0, 0], values[1, 1, 1] = 4.0, -2.0
    signed = overlay_scale(Attribution(values, "m", 30, True, "u"))
    assert (signed.norm.vmin, signed.norm.vmax) == (-signed.limit, signed.limit)
    assert 2 < signed.limit <= 4
    assert overlay_scale(Attribution(np.abs(values), "m", 30, False, "u")).norm.vmin == 0
    assert overlay_scale(Attribution(np.zeros_like(values), "m", 30, True, "u")).limit == 1


def test_events_are_named_with_value_unit_and_day_but_no_date(review: CaseReview) -> None:
    assert review.event_attribution is not None
    entries = strongest_entries(review.event_attribution, 3)
    assert len(entries) == 3
    changes = [abs(entry.change) for entry in entries]
    assert changes == sorted(changes, reverse=True)
    row = int(np.flatnonzero(RECORD.events["code"] == "LOINC//33762-6")[0])
    assert re.fullmatch(r"NT-proBNP \d+(\.\d)? pg/mL, \u22121 d", event_name(RECORD, row))
    long_ago = replace(RECORD, prediction_time=RECORD.prediction_time + pd.Timedelta(days=1643), digest="")
    assert event_name(long_ago, row).endswith(", \u22124.5 y"), "as on screen, on whose axis years stand"
    birth = int(np.flatnonzero(RECORD.events["code"] == "MEDS_BIRTH")[0])
    assert event_name(RECORD, birth) == "Age 61"


def test_the_overlay_is_drawn_as_on_screen_and_the_sidecar_says_so(inputs: FigureInputs) -> None:
    script = (Path(__file__).parents[2] / "assets" / "viewer.js").read_text("utf-8")
    opened_with = [
        float(re.search(rf"OVERLAY_LOOK = .*{name}: ([\d.]+)", script)[1]) for name in ("threshold", "opacity")
    ]  # type: ignore[index]
    assert opened_with == [THRESHOLD, OPACITY]
    told = provenance(inputs, key=KEY)["view"]["overlay"]
    assert (told["threshold"], told["opacity"]) == (THRESHOLD, OPACITY)
    chosen = replace(inputs, threshold=0.6, opacity=0.4)
    assert provenance(chosen, key=KEY)["view"]["overlay"]["threshold"] == 0.6
    assert "drawn on its own scale from 60% of its end, 40% opaque" in " ".join(caption(chosen).split())
    hidden = replace(inputs, opacity=0.0)
    assert hidden.overlay is None
    assert "not drawn" in caption(hidden)


@pytest.mark.parametrize(("sign", "ends", "said"), [(1, "max", "Values 0 to 2."), (-1, "min", "Values \u22122 to 0.")])
def test_the_bar_of_the_figure_is_pointed_where_the_map_goes_beyond_it(inputs, monkeypatch, sign, ends, said):  # type: ignore[no-untyped-def]
    values = np.zeros(SCAN.shape, np.float32)
    values[:6, 0, 0], values[7, 7, 7] = 1.0, 2.0
    saliency = Attribution(sign * values, "gradcam", 90, True, "u")
    drawn, plain = [], Figure.colorbar
    monkeypatch.setattr(Figure, "colorbar", lambda *args, **how: (drawn.append(how["extend"]), plain(*args, **how))[1])
    with figure_style():
        build_figure(changed := replace(inputs, review=replace(inputs.review, saliency=saliency)))
    assert drawn == [ends]
    assert said in " ".join(caption(changed).split())


def test_figure_and_screen_share_axis_and_numbers_at_risk(review: CaseReview) -> None:
    table = pd.DataFrame({"time_days": [0.0, 10.0, 400.0], "survival": [1.0, 0.9, 0.7], "at_risk": [50, 40, 7]})
    table["lower"], table["upper"] = table["survival"] - 0.05, table["survival"]
    assert [at_risk_on(table, day) for day in (0, 5, 10, 11, 400, 401)] == [50, 40, 40, 7, 7, None]
    axes, screen = Figure().add_subplot(), curve_figure(review, table)
    draw_curve(axes, review, table, watermark=True)
    assert axes.get_xlim() == screen.layout.xaxis.range
    assert list(axes.get_xticks()) == list(screen.layout.xaxis.tickvals)
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert (ticks[0], screen.layout.xaxis.ticktext[0]) == ("day 0", ""), "on screen it is a note, a little to the left"
    assert ticks[1:] == list(screen.layout.xaxis.ticktext)[1:]
    written = {note.get_text() for note in axes.texts} | {
        "Event-free",
        "day 0",
    }  # the axis title, the first tick
    assert {str(note.text).replace("<br>", "\n") for note in screen.layout.annotations} == written


def test_the_gravest_warnings_are_dark_enough_in_print_and_beside_the_horizon(review: CaseReview) -> None:
    """4.5 to 1 on white, and no word of the longest mark under the line of the horizon or outside the plot."""
    grave = [Notice(key, "warning", "") for key in ("other_person", "died_before", "outside_population")]
    table = pd.DataFrame({"time_days": [0.0, 400.0], "survival": [1.0, 0.9], "at_risk": [50, 7], "upper": [1.0, 0.9]})
    figure = Figure(figsize=SIZE_INCHES)
    axes = figure.add_axes((0.588, 0.6, 0.39, 0.33))
    with figure_style():
        draw_curve(axes, replace(review, notices=grave), table.assign(lower=table["survival"]), watermark=True)
    words = next(text for text in axes.texts if "two people" in text.get_text())
    assert words.get_alpha() is None
    assert contrast_on_white(str(words.get_color())) >= 4.5
    box = words.get_window_extent().transformed(axes.transData.inverted())
    assert review.horizon_days < box.x0
    assert box.x1 < axes.get_xlim()[1]


def contrast_on_white(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    return 1.05 / (0.05 + float(np.dot(parts, (0.2126, 0.7152, 0.0722))))


def test_units_and_the_strongest_events_are_the_same_on_screen(review: CaseReview) -> None:
    assert review.event_attribution is not None
    rows = pd.concat([event_rows(RECORD, review), undated_rows(RECORD, review)])
    told = told_entries(rows, review, RECORD)
    drawn = drawn_events(review)
    names = [label.get_text() for label in drawn.get_yticklabels()]
    factors = [note.get_text() for note in drawn.texts]
    lines = [line.removeprefix("\u2191 ").removeprefix("\u2193 ") for line in told.values()]
    assert [f"{factor} {name}" for factor, name in zip(factors, names, strict=True)] == lines
    assert "log" not in drawn.get_xlabel()
    warm = RECORD.events.assign(unit="Cel", numeric_value=np.float32(36.1))
    assert event_name(replace(RECORD, events=warm, digest=""), len(warm) - 1).endswith("36.1 \u00b0C, \u22121 d")


def drawn_events(review: CaseReview) -> Axes:
    assert review.event_attribution is not None
    axes = Figure().add_subplot()
    draw_events(axes, review.event_attribution, RECORD)
    return axes


def test_a_figure_of_a_record_that_hardly_matters_says_so(review: CaseReview) -> None:
    given = review.event_attribution
    assert given is not None
    weak = tuple(replace(group, contribution=0.005) for group in given.groups)
    axes = drawn_events(replace(review, event_attribution=replace(given, groups=weak)))
    assert [text.get_text() for text in axes.texts] == ["No event changes the risk by 1% or more."]
    assert not axes.patches


def test_factors_stand_beside_their_bars_and_ticks_are_factors(review: CaseReview) -> None:
    axes = drawn_events(review)
    assert axes.get_xlim()[0] == -axes.get_xlim()[1]
    for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        assert float(label.get_text()) == pytest.approx(np.exp(tick), rel=5e-3)
    for bar, note in zip(axes.patches, axes.texts, strict=True):
        assert note.get_ha() == ("right" if bar.get_width() > 0 else "left"), "on the other side of the line"


def test_the_cohort_reference_is_its_kaplan_meier() -> None:
    table = pd.DataFrame({"time_days": [0.0, 10.0, 20.0], "survival": [1.0, 0.9, 0.7]})
    assert [cohort_risk(table, day) for day in (0, 9.9, 10, 20)] == pytest.approx([0, 0, 0.1, 0.3])
    assert np.isnan(cohort_risk(table, 21))


def test_numbers_read_without_false_precision() -> None:
    assert [percent(value) for value in (0, 0.0004, 0.0123, 0.0996, 0.5)] == ["<0.1%", "<0.1%", "1.2%", "10%", "50%"]
    assert [duration(days) for days in (30, 365, 1095, 1826)] == ["30 days", "1 year", "3 years", "5 years"]


def test_provenance_is_strict_json(inputs: FigureInputs) -> None:
    record = provenance(inputs, key=KEY, created=datetime(2026, 1, 2, tzinfo=UTC))
    assert json.loads(to_json(record))["created_utc"] == "2026-01-02T00:00:00+00:00"
    assert json.loads(to_json(curve_record(inputs.review)))["band"]
    oblique = CtStudy(SCAN.voxels_hu, SCAN.affine_mm, origin="real")
    real = provenance(replace(inputs, study=oblique), key=KEY)
    assert real["inputs"]["ct_origin"] == "real"
    assert io.StringIO(to_json(real)).read().endswith("}\n")


def test_a_sidecar_tells_what_was_read_how_it_was_judged_and_what_became_of_identifiers(inputs: FigureInputs) -> None:
    noted = CtStudy(SCAN.voxels_hu, SCAN.affine_mm, notes=("Repaired: a gap was filled.",), origin="unknown")
    report = QualityReport((Factor("kernel", "in", "B30", "smooth"), Factor("noise", "edge", "40 HU", "unusual")))
    handed = replace(inputs, study=noted, timeline=replace(RECORD, notes=("Cut away: 3 events.",), later_event_count=3))
    told = provenance(handed, key=KEY, report=report, searched="A search found nothing.")
    assert told["ct"] == {
        "shape": list(SCAN.shape),
        "spacing_mm": list(SCAN.spacing_mm),
        "notes": ["Repaired: a gap was filled."],
    }
    record = told["record"]
    assert (record["events"], record["events_after_day_0_left_out"]) == (len(RECORD.events), 3)
    assert record["first_day"] < record["last_day"] <= 0
    assert record["events_weighed"] == len(inputs.review.event_attribution.event_ids)  # type: ignore[union-attr]
    assert record["notes"] == ["Cut away: 3 events."]
    assert told["day_zero"] == {"ct_taken_on_day": None, "ct_dates_shifted": False}
    assert [factor["name"] for factor in told["quality"]] == ["noise", "kernel"], "worst first"
    assert told["identifiers"] == "A search found nothing."
    bare = provenance(replace(inputs, study=None, timeline=None), key=KEY)
    assert {bare[name] for name in ("ct", "record", "day_zero", "quality", "identifiers")} == {None}
    assert to_json(told)


def test_the_mark_goes_with_every_export_of_a_case_outside(tmp_path: Path) -> None:
    """Page, picture, vector text, sidecars and the curve in numbers; and with none of a case that is in."""
    real = study(origin="real")
    outside = review_case(real, RECORD, bundle(), horizon_days=90, explain=None)  # type: ignore[arg-type]
    export_review(real, RECORD, outside, bundle(), tmp_path)
    reason = "only seen virtual patients"
    for name in ("figure.svg",):
        assert OUTSIDE_MARK in (tmp_path / name).read_text("utf-8")
    for name in ("figure.png.json", "figure.svg.json", "figure.pdf.json", "provenance.json", "curve.json"):
        content = json.loads((tmp_path / name).read_text("utf-8"))
        assert OUTSIDE_MARK in content["marks"], name
        assert reason in json.dumps(content), name
    drawn = curve_figure(outside, bundle().baseline)
    assert any(OUTSIDE_MARK in (note.text or "") for note in drawn.layout.annotations)
    assert reason in caption(figure_inputs(real, RECORD, outside, bundle())).replace("\n", " ")
    kept = tuple(notice for notice in outside.notices if notice.key != "outside_population")
    assert OUTSIDE_MARK not in curve_record(replace(outside, notices=kept))["marks"]


def test_nothing_below_the_threshold_is_drawn() -> None:
    scan = study()
    values = np.zeros(scan.shape, np.float32)
    values[2, 3, 4], values[5, 6, 4] = 0.4, 0.6
    axes = Figure().add_subplot()
    shown = Attribution(values, "m", 30, False, "u")
    draw_plane(axes, scan, "axial", 4, (-160, 240), False, shown, Overlay(1.0, False, 0.5, 0.7), False)
    alpha = axes.images[-1].get_alpha()
    assert (np.count_nonzero(alpha), np.max(alpha)) == (1, 0.7)
