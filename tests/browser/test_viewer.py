"""The viewer's module alone, mounted in Chromium as Streamlit mounts it, in orders that the app seldom meets."""

from __future__ import annotations

import base64
from dataclasses import replace
from itertools import pairwise

import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

from browser_support import ROOT
from playwright.sync_api import Browser, Page, expect
from view_support import saliency, study

from core.records import MapStrength
from core.view.packing import pack_expected, pack_overlay, pack_volume

pytestmark = pytest.mark.browser
MODULE = (ROOT / "assets" / "viewer.js").read_text("utf-8")
STYLE = (ROOT / "assets" / "viewer.css").read_text("utf-8").replace(":host", "div:has(> .viewer)")
BEGIN = """
async source => {
  window.viewer = (await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))).default;
  window.places = {};
  window.cleanups = {};
}
"""
MOUNT = """
([place, packet]) => {
  const parentElement = window.places[place] ||= document.body.appendChild(document.createElement('div'));
  const data = Uint8Array.from(atob(packet), letter => letter.charCodeAt(0));
  return void (window.cleanups[place] = window.viewer({ data, parentElement, setStateValue: () => {} }));
}
"""
SCAN = study()
COMPUTED = "The map “Occlusion, 1 year” is being computed."
STOPPED = "Saliency stopped."
ASKED = pack_expected("of a method", "Occlusion, 1 year", token="1")
UNASKED = pack_expected("of none", "", token="2")
AWAITED = pack_overlay(SCAN, None, None, digest="1", question="of a method", pending="Occlusion, 1 year")
HALTED = pack_overlay(SCAN, None, None, digest="2", question="of none", reason=STOPPED)
OF_MODEL = {"model": "Concatenation", "task": "Mortality"}
MAP = pack_overlay(SCAN, saliency(SCAN), None, digest="3", question="of a method", **OF_MODEL)
NEXT = pack_expected("of the next", "Occlusion, 3 years", token="4")
OF_NEXT = {"question": "of the next", **OF_MODEL}
NEXT_AWAITED = pack_overlay(SCAN, None, None, digest="4", pending="Occlusion, 3 years", **OF_NEXT)
NEXT_STOPPED = pack_overlay(SCAN, None, None, digest="5", reason=STOPPED, stopped=True, **OF_NEXT)
OTHER_TASK = {**OF_NEXT, "task": "Heart attack"}
OTHER_TASK_AWAITED = pack_overlay(SCAN, None, None, digest="6", pending="Occlusion, 3 years", **OTHER_TASK)
STRONGEST, MIDDLE = "4", "10"
COLOURED = """
() => {
  const canvas = document.querySelector('.viewer .axial canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  for (let n = 0; n < data.length; n += 4) if (Math.abs(data[n] - data[n + 2]) > 24) return true;
  return false;
}
"""


class Mounted:
    """The module on an empty page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.evaluate(BEGIN, MODULE)
        page.add_style_tag(content=STYLE)

    def mount(self, place: str, packet: bytes) -> None:
        self.page.evaluate(MOUNT, [place, base64.b64encode(packet).decode()])

    def remove(self, place: str) -> None:
        self.page.evaluate("place => { window.cleanups[place]?.(); window.places[place].remove(); }", place)

    def drawn(self) -> None:
        """Waits until what was asked of the viewer is on its canvases."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def slice(self) -> str | None:
        self.drawn()
        return self.page.locator(".viewer").get_attribute("data-slice")

    @property
    def said(self) -> str:
        return self.page.locator(".message").inner_text()


@pytest.fixture
def viewer(browser: Browser):
    page = browser.new_page()
    mounted = Mounted(page)
    mounted.mount("volume", pack_volume(SCAN, (-250, 450)))
    mounted.mount("expect", ASKED)
    mounted.mount("overlay", AWAITED)
    assert mounted.said == COMPUTED
    yield mounted
    page.close()


@pytest.mark.parametrize("place", ["expect", "another"])
def test_a_question_that_leaves_the_page_is_not_asked_again(viewer, place):
    """Streamlit mounts what is on its way off the page once more, after what takes its place."""
    viewer.mount("expect", UNASKED)
    viewer.mount(place, ASKED)
    assert viewer.said == ""
    viewer.mount("overlay", HALTED)
    assert viewer.said == STOPPED
    viewer.remove(place)
    assert viewer.said == STOPPED


def test_the_viewer_is_drawn_anew_when_a_question_leaves_the_page(viewer):
    viewer.mount("expect", UNASKED)
    viewer.mount("overlay", MAP)
    assert viewer.said == "", "this map answers another question, so it is not named"
    assert viewer.page.locator(".legend").is_hidden()
    viewer.remove("expect")
    assert viewer.page.locator(".legend").is_visible()


def test_the_same_question_may_be_asked_again_and_after_another(viewer):
    viewer.mount("expect", ASKED)
    assert viewer.said == COMPUTED
    viewer.mount("expect", UNASKED)
    assert viewer.said == ""
    viewer.mount("expect", pack_expected("of a method", "Occlusion, 1 year", token="3"))
    assert viewer.said == COMPUTED


def test_the_first_map_takes_the_viewer_to_its_strongest_place_however_late_it_comes(browser):
    page = browser.new_page()
    page.clock.install()
    late = Mounted(page)
    late.mount("volume", pack_volume(SCAN, (-250, 450)))
    late.mount("expect", ASKED)
    late.mount("overlay", AWAITED)
    page.clock.fast_forward(600_000)
    late.mount("overlay", MAP)
    page.clock.run_for(1000)
    assert page.locator(".viewer").get_attribute("data-slice") == STRONGEST
    assert page.locator(".moved").inner_text() == "Moved to the strongest place of the map"
    page.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda page: page.locator(".axial").click(position={"x": 20, "y": 20}),
        lambda page: page.locator(".coronal").press("Shift+ArrowLeft"),
        lambda page: page.get_by_role("button", name="Lung").click(),
        lambda page: page.locator(".axial").dispatch_event("wheel", {"deltaY": 1}),
    ],
    ids=["click", "key", "preset", "wheel"],
)
def test_a_reader_who_has_the_viewer_in_hand_is_taken_nowhere(viewer, act):
    act(viewer.page)
    viewer.mount("overlay", MAP)
    assert viewer.slice == MIDDLE
    assert viewer.page.locator(".moved").inner_text() == ""


def test_the_words_on_the_move_go_at_the_next_click_and_no_later_map_moves_anyone(viewer):
    viewer.mount("overlay", MAP)
    assert viewer.slice == STRONGEST
    viewer.page.locator(".axial").press("Home")
    assert viewer.page.locator(".moved").inner_text() == ""
    top = viewer.slice
    viewer.mount("expect", NEXT)
    viewer.mount("overlay", pack_overlay(SCAN, saliency(SCAN, False), None, digest="7", question="of the next"))
    assert viewer.slice == top != STRONGEST


def test_another_task_of_the_same_scan_leaves_the_reader_where_she_is(viewer):
    viewer.page.locator(".axial").press("Home")
    top = viewer.slice
    viewer.mount("volume", pack_volume(SCAN, (-160, 240)))
    viewer.mount("overlay", MAP)
    assert viewer.slice == top


def test_the_colour_bar_says_where_it_ends_before_the_map_does(viewer):
    """The map reaches 1 for one voxel, beyond the end of its scale, and -0.6, within it."""
    viewer.mount("overlay", MAP)
    low, high = viewer.page.locator(".ends span").all_inner_texts()
    assert low.startswith("lowers risk \u22120.9")
    assert high.startswith("\u2265 0.9")
    assert viewer.page.locator(".unit").all_inner_texts() == [
        "From \u22120.6 to 1, weighted activation",
        "Own scale: a weak map looks as strong as a strong one",
        "Not checked with random weights",
    ]
    viewer.drawn()
    assert viewer.page.locator(".value").inner_text().startswith("map \u2265 0.9"), "at its strongest place"
    viewer.page.locator(".axial").press("ArrowUp")
    viewer.drawn()
    assert viewer.page.locator(".value").inner_text() == "map 0.5"


def test_a_map_weaker_than_those_of_training_patients_stays_uncoloured_until_its_own_scale_is_asked_for(viewer):
    weak = replace(saliency(SCAN), strength=MapStrength(0.12, 4.0, 125), strongest=("clot",), depends=True)
    viewer.mount("overlay", pack_overlay(SCAN, weak, None, digest="8", question="of a method"))
    viewer.drawn()
    low, high = viewer.page.locator(".ends span").all_inner_texts()
    assert (low, high) == ("lowers risk \u22124", "4 raises risk")
    assert viewer.page.locator(".unit").all_inner_texts()[1:] == [
        "Stronger than 12 of 100 training patients' maps: too weak to be coloured",
        "Strongest where the encoder reads clot",
    ]
    assert not viewer.page.evaluate(COLOURED)
    own = viewer.page.get_by_role("button", name="Own scale")
    expect(own).to_have_attribute("aria-pressed", "false")
    own.click()
    expect(own).to_have_attribute("aria-pressed", "true")
    viewer.drawn()
    assert viewer.page.evaluate(COLOURED)
    assert viewer.page.locator(".ends span").last.inner_text().startswith("\u2265 0.9")


def test_stop_leaves_the_earlier_map_dimmed_and_named_as_what_it_is(viewer):
    viewer.mount("overlay", MAP)
    viewer.mount("expect", NEXT)
    viewer.mount("overlay", NEXT_AWAITED)
    earlier = "Grad-CAM, cell by cell, 90 days, Concatenation."
    assert viewer.said == f"The map \u201cOcclusion, 3 years\u201d is being computed. Dimmed until then: {earlier}"
    viewer.mount("overlay", OTHER_TASK_AWAITED)
    assert viewer.said.endswith(f"{earlier[:-1]}, Mortality.")
    viewer.mount("overlay", NEXT_STOPPED)
    assert viewer.said == f"{STOPPED} Dimmed: {earlier}"
    assert viewer.page.locator(".legend").is_visible()
    assert viewer.page.locator(".sliders").is_hidden()
    assert viewer.page.locator(".switch").inner_text() == "Saliency"
    viewer.drawn()
    assert viewer.page.locator(".value").inner_text() == "", "it answers nothing that is asked now"
    viewer.mount("overlay", HALTED)
    assert viewer.page.locator(".legend").is_hidden(), "where there can be no map, none is left"


def test_pictures_keep_their_proportions_when_the_foot_grows(viewer):
    """Colour bar and sliders take height from the planes; a canvas that is only squeezed shows a body too flat."""
    viewer.page.set_viewport_size({"width": 390, "height": 844})
    viewer.drawn()
    viewer.mount("overlay", MAP)
    viewer.drawn()
    sizes = "all => all.map(c => [c.width / c.clientWidth, c.height / c.clientHeight])"
    for across, down in viewer.page.locator(".pane canvas").evaluate_all(sizes):
        assert across == pytest.approx(down, rel=0.02)


@pytest.mark.parametrize("width", [390, 600, 820])
def test_tab_goes_through_the_viewer_as_it_is_read_and_out_of_it(viewer, width):
    """Row by row, left to right; every stop is marked, on black by a light line in both themes."""
    viewer.page.set_viewport_size({"width": width, "height": 844})
    viewer.mount("overlay", MAP)
    viewer.page.evaluate("document.activeElement.blur()")
    stops = []
    for _ in range(40):
        viewer.page.keyboard.press("Tab")
        stop = viewer.page.evaluate(STOP)
        if stop is None:
            break
        stops.append(stop)
    else:
        pytest.fail("the focus never leaves the viewer")
    assert [stop["row"] for stop in stops] == sorted(stop["row"] for stop in stops)
    for one, after in pairwise(stops):
        below = after["top"] >= one["bottom"] - 2
        assert below or after["left"] >= one["left"], (one, after)
    assert all(stop["marked"] for stop in stops), [stop for stop in stops if not stop["marked"]]
    assert {"axial", "strip", "coronal", "sagittal"} <= {stop["name"] for stop in stops}


STOP = """
() => {
  const at = document.activeElement;
  if (at === document.body) return null;
  const row = ['.bar', '.pane, .strip', '.foot'].findIndex(part => at.closest(part));
  const box = at.getBoundingClientRect();
  const [own, after] = [getComputedStyle(at), getComputedStyle(at, '::after')];
  const marked = at.matches('.pane, .strip')
    ? after.borderTopStyle === 'solid' && after.borderTopColor === 'rgb(109, 184, 255)'
    : own.outlineStyle === 'solid' && parseFloat(own.outlineWidth) >= 2;
  return { name: at.className.replace('pane ', ''), row, marked, top: box.top, bottom: box.bottom, left: box.left };
}
"""


def test_the_list_of_keys_is_walked_and_scrolled_by_keyboard(viewer):
    """It follows the button that opens it, its keys move the list and not the slice, and it gives the focus back."""
    page = viewer.page
    page.set_viewport_size({"width": 390, "height": 844})
    opener = page.get_by_role("button", name="Keys and mouse (?)")
    opener.press("Enter")
    close = page.get_by_role("button", name="Close")
    assert close.evaluate("node => node === document.activeElement")
    top = page.locator(".help").bounding_box()["y"]
    assert top >= page.locator(".bar").evaluate("node => node.getBoundingClientRect().bottom")
    close.press("ArrowDown")
    assert viewer.slice == MIDDLE
    page.wait_for_function("document.querySelector('.help').scrollTop > 0")
    page.keyboard.press("Tab")
    assert page.locator(".axial").evaluate("node => node === document.activeElement")
    close.press("Escape")
    assert page.locator(".help").is_hidden()
    assert opener.evaluate("node => node === document.activeElement")
