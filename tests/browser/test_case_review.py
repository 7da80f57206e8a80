"""The app in real Chromium: what AppTest cannot see. Any console error fails the test."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

from browser_support import FIND, ROOT, SHOWN, SLOW_MS, Held, open_page, press, viewer
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from core import RESEARCH_NOTICE, session
from core.load import load_study
from core.records import CtStudy

pytestmark = pytest.mark.browser
SERIES = ROOT.parent / "shared" / "data" / "ct" / "lung-pet-ct-dx_A0002_dicom.zip"

COUNT_QUESTIONS = """
() => {
  window.questions = 0;
  const count = node => { window.questions += node.querySelectorAll?.('.st-key-ct_expect').length || 0; };
  new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(count)))
    .observe(document.body, { childList: true, subtree: true });
}
"""


SCROLL = """
  const times = [];
  for (let n = 0; n < 40; n += 1) {
    v.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true, composed: true }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(Number(v.dataset.drawMs));
  }
  return times;
"""


@pytest.fixture
def page(session_page: Page) -> Iterator[Page]:
    complaints = session_page.complaints  # type: ignore[attr-defined]
    complaints.clear()
    session_page.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    yield session_page
    assert complaints == []


@pytest.fixture(scope="module")
def study() -> CtStudy:
    name, card = next(iter(session.demo_cases().items()))
    return load_study(session.DEMO_CASES / name / card.get("ct", "ct.nii.gz"))


def axial_picture(page: Page) -> np.ndarray:
    """Grey values of the axial canvas, rows x columns."""
    data = page.evaluate(f"(() => {{ {FIND} return v.querySelector('.axial canvas').toDataURL('image/png'); }})()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).convert("L"), np.float64)


def expected_axial(study: CtStudy, k: int, window: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """The same slice drawn by Python: patient's right on the left, anterior on top, mm-correct, centred on black."""
    low, high = window
    grey = np.clip((study.voxels_hu[:, :, k].astype(float) - low) * 255 / (high - low), 0, 255)
    image = Image.fromarray(grey[::-1, ::-1].T.astype(np.uint8))
    width, height = image.width * study.spacing_mm[0], image.height * study.spacing_mm[1]
    scale = min(shape[1] / width, shape[0] / height)
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    canvas = Image.new("L", (shape[1], shape[0]))
    canvas.paste(image, ((shape[1] - image.width) // 2, (shape[0] - image.height) // 2))
    return np.asarray(canvas, np.float64)


def test_the_demo_opens_with_picture_curve_and_notice(page, study):
    expect(page.get_by_text(RESEARCH_NOTICE)).to_be_visible()
    expect(page.get_by_text("Death from any cause within", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".st-key-curve .js-plotly-plot")).to_be_visible()
    box = page.locator(".viewer").bounding_box()
    curve = page.locator(".st-key-curve").bounding_box()
    assert box["y"] + box["height"] <= 768
    assert curve["y"] + curve["height"] <= 768
    assert third_row_ends(page) <= 768
    assert page.evaluate("document.documentElement.scrollWidth") <= 1366


def third_row_ends(page: Page) -> float:
    """Where on the screen the third lane of the record ends."""
    box = page.locator(".st-key-lanes .ytick text").nth(2)
    expect(box).to_be_visible(timeout=SLOW_MS)
    tops = sorted(
        place["y"] + place["height"] for place in map(bounds, page.locator(".st-key-lanes .ytick text").all())
    )
    return tops[2]


def bounds(place: Locator) -> dict[str, float]:
    found = place.bounding_box()
    assert found is not None
    return dict(found)


def test_the_overlay_can_be_hidden_and_thresholded(page):
    if page.locator(".viewer .legend").is_hidden():
        pytest.fail("the demo case must open with a saliency overlay")
    shown = coloured(page)
    press(page, "o")
    assert coloured(page) < shown
    press(page, "o")
    assert coloured(page) == shown


def coloured(page: Page) -> int:
    """Pixels of the axial canvas that are not grey."""
    return int((chroma(page) > 40).sum())


def colour(page: Page) -> int:
    """How much colour lies over the axial canvas; its crosshair is the same in every picture."""
    return int(chroma(page).sum())


def chroma(page: Page) -> np.ndarray:
    """How far each pixel of the axial canvas is from grey."""
    data = page.evaluate(f"(() => {{ {FIND} return v.querySelector('.axial canvas').toDataURL('image/png'); }})()")
    rgb = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).convert("RGB"), int)
    return np.ptp(rgb, axis=2)


def test_the_picture_is_the_slice_upright_in_every_window(page, study):
    page.locator(".viewer .axial").click(position={"x": 12, "y": 60})
    press(page, "o", "End", "PageUp", "PageUp", "PageUp", "PageUp", "PageUp")
    k = int(viewer(page, "slice"))
    assert k == 50
    for key, window in (("1", (-160, 240)), ("2", (-1350, 150)), ("6", (-250, 450))):
        press(page, key)
        seen = axial_picture(page)
        wanted = expected_axial(study, k, window, seen.shape)
        alike = np.corrcoef(seen.ravel(), wanted.ravel())[0, 1]
        assert alike > 0.97, key
        for other in (seen[:, ::-1], seen[::-1]):
            assert np.corrcoef(other.ravel(), wanted.ravel())[0, 1] < alike - 0.05, "mirrored pictures must differ"
    press(page, "i")
    assert np.corrcoef(axial_picture(page).ravel(), seen.ravel())[0, 1] < -0.5
    press(page, "i", "o")


def test_sizes_and_places_can_be_read_off_the_picture(page, study):
    """A bar of round length in every plane, right at every zoom; places by letter, since programs count x and y up
    towards different sides."""
    press(page, "1", "Space")
    for name, across, down in (("axial", 0, 1), ("coronal", 0, 2), ("sagittal", 1, 2)):
        width, height = (study.shape[axis] * study.spacing_mm[axis] for axis in (across, down))
        shown = page.evaluate(
            f"(() => {{ {FIND} const p = v.querySelector('.{name}'), c = p.querySelector('canvas');"
            "return [c.width, c.height, Number(p.dataset.scaleMm), Number(p.dataset.scalePx)]; })()"
        )
        scale = min(shown[0] / width, shown[1] / height)
        assert shown[3] == pytest.approx(shown[2] * scale, abs=0.1), name
        assert 0.08 * shown[0] < shown[3] <= 0.25 * shown[0]
    for words in page.locator(".viewer :is(.plane-name, .letter, .probe, .level, .place)").all():
        ground = words.evaluate("node => getComputedStyle(node).backgroundColor")
        assert float(ground.removeprefix("rgba(0, 0, 0, ").rstrip(")")) >= 0.5, "bone under it is white"
    grey = axial_picture(page)
    bar = grey[-32, -10 - int(float(axial_data(page, "scalePx"))) : -10]
    assert (bar > 200).all(), "the bar is drawn as long as it says"
    page.locator(".viewer .axial").click(position={"x": 40, "y": 60})
    assert re.search(r" HU  R \d+  A \d+  z ", page.locator(".viewer .probe").inner_text()), "up left: right, front"


def axial_data(page: Page, field: str) -> str:
    return str(page.evaluate(f"(() => {{ {FIND} return v.querySelector('.axial').dataset.{field}; }})()"))


def test_small_controls_can_be_hit_and_what_scrolls_can_be_reached_by_keyboard(page):
    first, second = (bounds(place) for place in page.locator(".viewer .slide input").all())
    assert second["y"] + second["height"] / 2 - first["y"] - first["height"] / 2 >= 24
    page.locator(".quality summary").click()
    checks = page.get_by_role("region", name="Quality checks")
    expect(checks).to_be_visible()
    page.keyboard.press("Tab")
    expect(checks).to_be_focused()
    page.locator(".quality summary").click()


def test_scrolling_stays_in_the_browser(page, study):
    press(page, "Home")
    assert int(viewer(page, "slice")) == study.shape[2] - 1
    page.wait_for_timeout(1500)
    page.evaluate(
        "() => { window.sent = 0; const send = WebSocket.prototype.send;"
        "WebSocket.prototype.send = function (data) { window.sent += 1; return send.call(this, data); }; }"
    )
    times = page.evaluate(f"(async () => {{ {FIND} {SCROLL} }})()")
    assert int(viewer(page, "slice")) == study.shape[2] - 41
    assert np.median(times) < 16.7
    page.wait_for_timeout(1500)
    assert page.evaluate("window.sent") == 1, "the slice is reported once, after the last step"


def titles(page: Page) -> list[str]:
    return list(
        page.evaluate(f"(() => {{ {FIND} return [...v.querySelectorAll('.plane-name')].map(n => n.innerText) }})()")
    )


def test_keys_act_on_the_plane_in_focus(page):
    axial, (_, coronal, sagittal) = viewer(page, "slice"), titles(page)
    page.mouse.move(5, 5)
    page.locator(".viewer .coronal").focus()
    press(page, "ArrowUp")
    assert viewer(page, "slice") == axial
    assert titles(page)[1] != coronal
    press(page, "Shift+ArrowLeft")
    assert titles(page)[2] != sagittal
    assert viewer(page, "slice") == axial
    press(page, "Shift+ArrowUp")
    assert int(viewer(page, "slice")) == int(axial) + 1
    page.locator(".viewer .slide input").first.fill("80")
    page.locator(".viewer .coronal").focus()
    press(page, "Space")
    expect(page.locator(".viewer .slide output").first).to_have_text("35%")


def test_the_strongest_place_of_the_map_has_a_button(page):
    press(page, "g")
    strongest = viewer(page, "slice")
    press(page, "PageUp")
    assert viewer(page, "slice") != strongest
    page.get_by_role("button", name="Go to the strongest place of the map").click()
    page.wait_for_function(f"(slice) => {{ {FIND} return v.dataset.slice === slice; }}", arg=strongest)


def test_the_horizon_changes_curve_and_map_but_not_the_scan(page):
    press(page, "PageUp")
    place, volume, before = viewer(page, "slice"), viewer(page, "ready"), viewer(page, "overlay")
    page.get_by_role("radio", name="1 year").or_(page.get_by_role("button", name="1 year")).first.click()
    page.wait_for_function(
        f"() => {{ {FIND} return v.hasAttribute('data-waiting') && v.innerText.includes('Dimmed until then'); }}",
        timeout=SLOW_MS,
    )
    page.wait_for_function(
        f"(before) => {{ {FIND} return v.dataset.overlay !== before; }}", arg=before, timeout=SLOW_MS
    )
    assert (viewer(page, "slice"), viewer(page, "ready")) == (place, volume)
    expect(page.locator(".risk-cell.chosen")).to_contain_text("1 year")


def test_exports_carry_the_slice_on_screen(page):
    press(page, "2", "PageUp", "PageUp")
    k = int(viewer(page, "slice"))
    page.wait_for_timeout(1500)
    with page.expect_download(timeout=SLOW_MS) as picture:
        page.get_by_role("button", name="PNG, 300 dpi").click()
    image = Image.open(picture.value.path())
    assert image.width >= 3000
    with page.expect_download(timeout=SLOW_MS) as sidecar:
        page.get_by_role("button", name="Sidecar, JSON").click()
    record = json.loads(Path(sidecar.value.path()).read_text("utf-8"))
    assert record["notice"] == RESEARCH_NOTICE
    assert record["view"]["slice_ijk"][2] == k
    assert record["view"]["window_hu"]["low"] == -1350


def choose(page: Page, picker: str, option: str) -> None:
    page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_timeout(300)
    page.get_by_role("combobox", name=picker).click()
    page.get_by_role("option", name=option).click()


def begin(page: Page) -> None:
    """A slow method waits until it is begun; how long it will take stands on the button."""
    whole = page.get_by_role("button", name=re.compile(r"Whole CT, about \d+ (s|min)"))
    expect(whole).to_be_enabled(timeout=SLOW_MS)
    whole.click()


def pills(page: Page) -> list[str]:
    """What the record's strongest events are said to be."""
    return page.locator("[class*='st-key-strong_attribution'] button").all_inner_texts()


def test_a_slow_map_keeps_nothing_waiting_and_shows_no_other_patient(page):
    """Integrated gradients take many seconds: the record is there at once, for this case and for the next."""
    press(page, "g")
    shown = colour(page)
    choose(page, "Explained by", "Integrated gradients")
    begin(page)
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".viewer .foot")).to_contain_text("Integrated gradients, 1 year")
    expect(page.locator(".viewer .message")).to_contain_text("Dimmed until then: Grad-CAM, cell by cell, 1 year")
    page.wait_for_timeout(200)
    dimmed = colour(page)
    assert 0.1 * shown < dimmed < 0.6 * shown, "the map before it stays, dimmed"
    before = pills(page)
    page.locator("[class*='st-key-strong_attribution'] button").first.click()
    expect(page.locator("table.raw, table.events").first).to_be_visible(timeout=10_000)
    expect(stop).to_be_visible()
    choose(page, "Case", "Demo 3")
    page.wait_for_function(
        "() => document.querySelector('.case-line h1').innerText.includes('Demo 3')", timeout=SLOW_MS
    )
    assert pills(page) != before, "the record on screen is of the patient named above it"
    expect(page.locator("[class*='st-key-strong_attribution']")).to_be_visible(timeout=20_000)
    assert pills(page) != before
    begin(page)
    expect(page.get_by_role("button", name="PNG, 300 dpi")).to_be_disabled()
    expect(page.get_by_text("Saliency, risk by 3 years").first).to_be_visible(timeout=SLOW_MS)  # this case's own button
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=SLOW_MS)
    expect(stop).to_be_visible()
    page.evaluate(COUNT_QUESTIONS)
    stop.click()
    expect(page.locator(".viewer .message")).to_contain_text("Saliency stopped", timeout=SLOW_MS)
    assert page.evaluate("window.questions") == 0, "what tells the viewer the question stays in its place"
    expect(page.get_by_role("button", name="PNG, 300 dpi")).to_be_enabled()
    choose(page, "Case", "Demo 1")
    choose(page, "Explained by", "Grad-CAM, cell by cell")
    expect(page.locator(".viewer .legend")).to_be_visible(timeout=SLOW_MS)


def test_a_click_is_not_lost_while_the_page_is_drawn_anew(browser, address):
    """Stop, pressed after the server drew the page anew and before the reader's browser has it."""
    line = Held()
    opened = open_page(browser, address, before=line.listen)
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    alone = opened.get_by_text("CT only and record only")
    alone.click()
    expect(opened.locator(".curve-legend").get_by_text("Record only")).to_be_visible(timeout=SLOW_MS)
    choose(opened, "Explained by", "Integrated gradients")
    begin(opened)
    stop = opened.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible(timeout=SLOW_MS)
    line.holding = True
    alone.click()
    opened.wait_for_timeout(1500)
    stop.click()
    opened.wait_for_timeout(300)
    line.let_go()
    expect(opened.locator(".viewer .message")).to_contain_text("Saliency stopped", timeout=10_000)
    assert opened.complaints == []  # type: ignore[attr-defined]
    opened.context.close()


def test_a_model_of_the_record_alone_says_why_there_is_no_map(page):
    page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_timeout(500)
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="Record only").click()
    expect(page.locator(".viewer .message")).to_contain_text("reads the record only", timeout=SLOW_MS)
    expect(page.locator(".viewer .legend")).to_be_hidden()


@pytest.mark.skipif(not SERIES.exists(), reason="needs the real DICOM series in ../shared/data/ct")
def test_a_dicom_series_is_uploaded_described_and_read(page):
    before = viewer(page, "ready")
    page.get_by_role("link", name="Load your own").click()
    page.locator(".st-key-pick_ct input[type=file]").set_input_files(SERIES)
    for name in ("Read", "Open in case review"):
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_be_enabled(timeout=SLOW_MS)
        button.click()
    expect(page.get_by_text("30 slices of 8 mm")).to_be_visible(timeout=SLOW_MS)
    page.wait_for_function(
        f"(before) => {{ {FIND} return v && v.dataset.ready !== before; }}", arg=before, timeout=SLOW_MS
    )
    expect(page.get_by_text("This case has no record")).to_be_visible(timeout=SLOW_MS)
    assert "A0002" not in page.url


def test_both_pages_in_the_dark_theme(browser, address):
    page = open_page(browser, address, scheme="dark", size=(1920, 1080))
    page.wait_for_selector(".viewer[data-ready]", timeout=SLOW_MS)
    page.evaluate(f"(() => {{ {FIND} v.focus(); }})()")
    press(page, "End")
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    assert viewer(page, "slice") == "0", "a map that arrives moves no reader who has chosen her slice"
    assert third_row_ends(page) <= 1080
    ground = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert ground == "rgb(17, 22, 28)"
    page.get_by_role("link", name="Model card").click()
    expect(page.get_by_role("heading", name="Training cohort")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("note").get_by_text(RESEARCH_NOTICE)).to_be_visible()
    page.get_by_role("link", name="Case review").click()
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    complaints = page.complaints
    page.context.close()
    assert complaints == []


def test_at_twice_the_size_nothing_is_cut_off_and_no_words_overlap(browser, address):
    """A window of 1280 pixels at 200% is 640 wide."""
    opened = open_page(browser, address, size=(640, 720))
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    frame = bounds(opened.locator(".viewer"))
    for button in opened.locator(".viewer .bar button").all():
        box = bounds(button)
        assert box["x"] + box["width"] <= frame["x"] + frame["width"], button.get_attribute("aria-label")
    words = [
        bounds(place) for place in opened.locator(".viewer .axial :is(.letter, .read:not(:empty), .plane-name)").all()
    ]
    for n, one in enumerate(words):
        for other in words[:n]:
            apart_x = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
            assert apart_x or one["y"] >= other["y"] + other["height"] or other["y"] >= one["y"] + one["height"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= 640
    choose(opened, "Explained by", "Integrated gradients")
    begin(opened)
    stop = opened.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible(timeout=SLOW_MS)
    box, told = bounds(stop), bounds(opened.locator(".st-key-busy p").first)
    assert box["width"] >= 40, "the word is in its button"
    assert box["x"] + box["width"] <= 640
    assert told["height"] < 30, "in one line"
    stop.click()
    expect(opened.locator(".viewer .message")).to_contain_text("Saliency stopped", timeout=SLOW_MS)
    opened.goto(f"{address}/load")
    kept = bounds(opened.get_by_text("Files are read in memory"))
    assert kept["x"] + kept["width"] <= 640, "what becomes of the files is said whole"
    opened.context.close()


def test_fingers_scroll_and_zoom(browser, address, study):
    """One finger up scrolls slices, two fingers apart zoom; the page itself stays where it is."""
    opened = open_page(browser, address, touch=True)
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    box = opened.evaluate(
        f"(() => {{ {FIND} const b = v.querySelector('.axial').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]; })()"
    )
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    fingers = opened.context.new_cdp_session(opened)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touched = [{"x": at[0], "y": at[1], "id": number} for number, at in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    before, top = int(viewer(opened, "slice")), opened.evaluate("window.scrollY")
    touch("touchStart", (x, y))
    for step in range(1, 13):
        touch("touchMove", (x, y - 5 * step))
    touch("touchEnd")
    opened.wait_for_timeout(200)
    assert before + 5 <= int(viewer(opened, "slice")) <= before + 12
    assert opened.evaluate("window.scrollY") == top
    small = axial_picture(opened)
    touch("touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 9):
        touch("touchMove", (x - 20 - 5 * step, y), (x + 20 + 5 * step, y))
    touch("touchEnd")
    opened.wait_for_timeout(200)
    large, (height, width) = axial_picture(opened), small.shape
    middle = Image.fromarray(small[height // 3 : height - height // 3, width // 3 : width - width // 3])
    magnified = np.asarray(middle.resize((width, height), Image.Resampling.BILINEAR))
    assert np.corrcoef(magnified.ravel(), large.ravel())[0, 1] > 0.9, "three times the size"
    assert opened.complaints == []  # type: ignore[attr-defined]
    opened.context.close()


def test_full_screen_and_back(page):
    """F fills the screen with the viewer and F gives the page back; the pictures are drawn anew for either size."""
    small = axial_picture(page).shape
    press(page, "f")
    page.wait_for_function("() => document.fullscreenElement !== null")
    page.wait_for_timeout(400)
    screen = page.evaluate("[window.innerWidth, window.innerHeight]")
    filled = page.evaluate(f"(() => {{ {FIND} const b = v.getBoundingClientRect(); return [b.width, b.height]; }})()")
    assert filled == screen
    expect(page.locator(".viewer").get_by_text(RESEARCH_NOTICE)).to_be_visible()
    assert axial_picture(page).shape > small
    press(page, "f")
    page.wait_for_function("() => document.fullscreenElement === null")
    page.wait_for_timeout(400)
    assert axial_picture(page).shape == small
