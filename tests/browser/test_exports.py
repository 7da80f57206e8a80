"""The viewer and the exports in real Chromium: what is taken away is what is on screen, whoever moved the picture."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

from browser_support import FIND, SHOWN, SLOW_MS, open_page, press, viewer
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
LATE = """
  const now = performance.now.bind(performance);
  const marked = performance.mark.bind(performance);
  let ahead = 0;
  performance.now = () => now() + ahead;
  performance.mark = (name) => { if (name === "ct-first-picture") ahead = 60000; return marked(name); };
"""
"""The clock of a page on which a minute passes between the first picture and its map."""


def sidecar(page: Page) -> dict:
    """What the exports say of themselves."""
    with page.expect_download(timeout=SLOW_MS) as found:
        page.get_by_role("button", name="Sidecar, JSON").click()
    return dict(json.loads(Path(found.value.path()).read_text("utf-8")))


def test_exports_are_of_what_is_on_screen_when_the_viewer_moved_by_itself(browser, address):
    """A preset pressed before the map is there is all that the reader does: the viewer then goes to the map's focus."""
    opened = open_page(browser, address)
    opened.wait_for_selector(".viewer[data-ready]", timeout=SLOW_MS)
    opened.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    press(opened, "2", "i")
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    expect(opened.get_by_role("button", name="Sidecar, JSON")).to_be_enabled(timeout=SLOW_MS)
    opened.wait_for_timeout(1500)
    view = sidecar(opened)["view"]
    assert view["slice_ijk"][2] == int(viewer(opened, "slice"))
    assert (view["window_hu"]["low"], view["grey_scale_inverted"]) == (-1350, True)
    opened.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    press(opened, "i", "o", "PageUp")
    opened.locator(".viewer .slide input").first.fill("80")
    place = viewer(opened, "slice")
    opened.wait_for_timeout(1500)
    opened.get_by_role("link", name="Model card").click()
    expect(opened.get_by_role("heading", name="Training cohort")).to_be_visible(timeout=SLOW_MS)
    opened.get_by_role("link", name="Case review").click()
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    expect(opened.locator(".viewer .slide output").first).to_have_text("80%")
    expect(opened.locator(".viewer .switch")).to_have_attribute("aria-checked", "false")
    expect(opened.get_by_role("button", name="Sidecar, JSON")).to_be_enabled(timeout=SLOW_MS)
    opened.wait_for_timeout(1500)
    view = sidecar(opened)["view"]
    assert (viewer(opened, "slice"), view["slice_ijk"][2]) == (place, int(place))
    assert (view["overlay"]["threshold"], view["overlay"]["opacity"]) == (0.8, 0.0)
    opened.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    press(opened, "Space")
    expect(opened.locator(".viewer .switch")).to_have_attribute("aria-checked", "true")
    expect(opened.locator(".viewer .slide output").first).to_have_text("35%")
    assert opened.complaints == []  # type: ignore[attr-defined]
    opened.context.close()


def test_a_map_that_comes_late_takes_an_untouched_viewer_and_its_exports_along(browser, address):
    opened = open_page(browser, address, before=lambda page: page.add_init_script(LATE))
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    expect(opened.get_by_role("button", name="Sidecar, JSON")).to_be_enabled(timeout=SLOW_MS)
    opened.wait_for_timeout(1500)
    expect(opened.locator(".viewer .moved")).to_have_text("Moved to the strongest place of the map")
    shown = int(viewer(opened, "slice"))
    assert shown != 71, "the middle of 143 slices"
    assert sidecar(opened)["view"]["slice_ijk"][2] == shown
    opened.context.close()


def test_clearing_distances_while_one_is_drawn_breaks_nothing(browser, address):
    page = open_page(browser, address)
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    page.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    box = page.locator(".viewer .axial").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for key in ("Delete", "Space"):
        press(page, "m")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 30, y)
        page.keyboard.press(key)
        page.mouse.move(x + 60, y)
        page.mouse.up()
        before = viewer(page, "slice")
        page.mouse.move(x + 60, y + 40)
        assert viewer(page, "slice") == before
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_a_zip_is_made_in_the_background_cancelled_and_saved(browser, address):
    """How far it is stands in words; meanwhile nothing is pressed twice, and the record answers. It saves itself."""
    page = open_page(browser, address)
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    make = page.get_by_role("button", name="All in one zip")
    expect(make).to_be_enabled(timeout=SLOW_MS)
    make.click()
    expect(page.locator(".st-key-zip_under_way")).to_contain_text("file 1 of 10", timeout=SLOW_MS)
    for name in ("All in one zip, with scan and record", "PDF"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    page.get_by_role("button", name="Cancel").click()
    expect(make).to_be_enabled(timeout=SLOW_MS)
    expect(page.locator(".st-key-zip_under_way")).to_have_count(0)
    saved: list[object] = []
    page.on("download", lambda download: saved.append(download))
    with page.expect_download(timeout=SLOW_MS) as found:
        make.click()
        page.locator("[class*='st-key-strong_attribution'] button").first.click()
        expect(page.locator("table.raw, table.events").first).to_be_visible(timeout=SLOW_MS)
    with zipfile.ZipFile(found.value.path()) as archive:
        names = {name.rpartition("_")[2] for name in archive.namelist()}
        assert {"figure.png", "figure.svg", "figure.pdf", "saliency.nii.gz", "curve.json", "models.json"} <= names
        assert all(name.startswith("demo-1_pe-mortality_cross-attention_90d_gradcam_") for name in archive.namelist())
        assert archive.testzip() is None
    page.get_by_role("link", name="Model card").click()
    page.get_by_role("link", name="Case review").click()
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    again = page.get_by_role("button", name="Save it again")
    expect(again).to_be_enabled(timeout=SLOW_MS)
    page.wait_for_timeout(1500)
    assert len(saved) == 1, "it saves itself once"
    with page.expect_download(timeout=SLOW_MS):
        again.click()
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_an_exported_zip_opens_again_as_it_was(browser, address, tmp_path):
    """Model, horizon, slice, window and grey scale are none of those that a case opens with by itself."""
    page = open_page(browser, address)
    page.set_default_timeout(SLOW_MS)
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    page.get_by_role("radio", name="1 year").first.click()
    expect(page.locator(".risk-words")).to_contain_text("within 1 year", timeout=SLOW_MS)
    expect(page.locator(".viewer .switch")).to_contain_text("1 year", timeout=SLOW_MS)
    make = page.get_by_role("button", name="All in one zip")
    expect(make).to_be_enabled(timeout=SLOW_MS)
    page.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    press(page, "2", "i", "PageUp", "PageUp")
    page.wait_for_timeout(1500)
    shown = {"slice": viewer(page, "slice"), "risk": page.locator(".risk-words").inner_text()}
    with page.expect_download(timeout=SLOW_MS) as found:
        make.click()
    path = tmp_path / "case.zip"
    found.value.save_as(path)
    page.context.close()
    page = open_page(browser, f"{address}/load")
    page.set_default_timeout(SLOW_MS)
    page.locator(".st-key-pick_ct input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Read", exact=True).click()
    page.get_by_role("button", name="Open in case review").click(timeout=SLOW_MS)
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    page.wait_for_timeout(1500)
    assert {"slice": viewer(page, "slice"), "risk": page.locator(".risk-words").inner_text()} == shown
    expect(page.locator(".viewer .read.level")).to_contain_text("inverted")
    expect(page.locator(".viewer .preset[aria-pressed=true]")).to_have_text("Lung")
    expect(page.get_by_role("heading", name="Demo 1")).to_be_visible()
    page.context.close()
