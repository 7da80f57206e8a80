"""The viewer's module alone, mounted in Chromium as Streamlit mounts it, in orders that the app seldom meets."""

from __future__ import annotations

import base64

import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

from browser_support import ROOT, browser
from playwright.sync_api import Browser, Page
from view_support import saliency, study

from core.view.packing import pack_expected, pack_overlay, pack_volume

__all__ = ["browser"]
pytestmark = pytest.mark.browser
MODULE = (ROOT / "assets" / "viewer.js").read_text("utf-8")
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
MAP = pack_overlay(SCAN, saliency(SCAN), None, digest="3", question="of a method")


class Mounted:
    """The module on an empty page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.evaluate(BEGIN, MODULE)

    def mount(self, place: str, packet: bytes) -> None:
        self.page.evaluate(MOUNT, [place, base64.b64encode(packet).decode()])

    def remove(self, place: str) -> None:
        self.page.evaluate("place => { window.cleanups[place]?.(); window.places[place].remove(); }", place)

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
