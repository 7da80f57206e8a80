"""What a reader sees in real Chromium: figures after a change of theme, where the keyboard is, words that fit."""

from __future__ import annotations

import re

import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

from browser_support import SHOWN, open_page
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
SLOW_MS = 120_000
RING = """
  let at = document.activeElement;
  while (at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
  const styles = [at, at.closest("label"), at.closest("[data-baseweb=select] > div")].filter(Boolean);
  return styles.some((e) => {
    const style = getComputedStyle(e);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none";
  });
"""


@pytest.fixture
def page(session_page: Page) -> Page:
    return session_page


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize(
    "words", [".st-key-curve .ytick text", ".st-key-curve .annotation text", ".st-key-lanes .legendtext"]
)
def test_figures_follow_a_change_of_theme(page, scheme, words):
    """An evening that turns the desktop dark must not leave dark words on a dark page."""
    page.emulate_media(color_scheme=scheme)
    ink = {"dark": "rgb(227, 232, 238)", "light": "rgb(27, 36, 48)"}[scheme]
    expect(page.locator(words).first).to_have_css("fill", ink)


def test_where_the_keyboard_is_can_be_seen(page):
    for name in ("Case review", "Model card", "Load your own"):
        page.get_by_role("link", name=name).first.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert page.evaluate(f"(() => {{ {RING} }})()"), name
    for name in ("CT only and record only", "Dates", "Lab and vital trends"):
        page.get_by_role("switch", name=name).focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert page.evaluate(f"(() => {{ {RING} }})()"), name


def test_the_counts_beside_the_hundred_dots_are_not_cut_off(page):
    page.get_by_role("radio", name="1 year").first.click()
    ours, theirs = (page.locator(".icons figure").nth(n) for n in range(2))
    expect(theirs).to_contain_text("cohort 12", timeout=SLOW_MS)
    assert ours.locator(".on").count() == 47
    edges = [place.bounding_box() for place in (ours, theirs, page.locator(".risks"))]
    assert edges[0]["x"] + edges[0]["width"] <= edges[1]["x"]
    assert edges[1]["x"] + edges[1]["width"] <= edges[2]["x"] + edges[2]["width"]
    for caption in page.locator(".icons figcaption").all():
        assert caption.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_the_values_of_the_curve_open_by_keyboard_and_move_nothing(page):
    plot = page.locator(".st-key-curve .nsewdrag")
    expect(plot).to_have_count(1)
    before = plot.bounding_box()
    page.get_by_role("switch", name="CT only and record only").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(".values summary")).to_be_focused()
    assert page.evaluate(f"(() => {{ {RING} }})()")
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Values")
    expect(table.get_by_role("row")).to_have_count(5)
    box = table.bounding_box()
    assert box["x"] + box["width"] <= 1366
    assert table.evaluate("it => it.scrollWidth <= it.clientWidth")
    assert plot.bounding_box() == before
    page.keyboard.press("Tab")
    expect(table).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("!document.activeElement.closest('.stPlotlyChart')"), "the plot is skipped: it tells no more"
    expect(page.get_by_test_id("stPlotlyChart").first).to_have_attribute("aria-label", re.compile("Values"))
    page.locator(".values summary").press("Enter")
    expect(table).to_be_hidden()


def test_curves_of_one_input_alone_move_nothing(page):
    """Their names take no second row from the plot, at 1366 pixels."""
    plot = page.locator(".st-key-curve .nsewdrag")
    expect(plot).to_have_count(1)
    before = plot.bounding_box()
    alone = page.locator(".curve-legend").get_by_text("Record only")
    expect(alone).to_have_count(0)
    page.get_by_text("CT only and record only").click()
    expect(alone).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".st-key-curve .scatterlayer .js-line[style*='dash']").first).to_be_attached()
    expect(plot).to_have_count(1)
    assert plot.bounding_box() == before
    page.get_by_text("CT only and record only").click()
    expect(alone).to_have_count(0, timeout=SLOW_MS)


def test_a_scan_that_waits_for_the_server_is_not_dimmed(page):
    """Streamlit fades what a run has not sent anew; the slice on screen is none the older for that."""
    holder = page.locator(".st-key-scan [data-testid=stElementContainer]").last
    fade = "e => { e.dataset.stale = 'true'; e.style.opacity = '0.33'; return getComputedStyle(e).opacity; }"
    assert holder.evaluate(fade) == "1", "looked at in the same moment: a run that ends calls it fresh again"


def test_no_strongest_event_is_cut_off(page):
    """A long name wraps at 1366 pixels: its time and which way it moves the risk stay readable."""
    names = page.locator("[class*='st-key-strong_attribution'] button p")
    expect(names.first).to_be_visible(timeout=SLOW_MS)
    fits = "all => all.map(p => p.scrollWidth <= p.clientWidth && getComputedStyle(p).whiteSpace === 'normal')"
    assert all(names.evaluate_all(fits))


def test_events_are_chosen_by_keyboard_in_the_order_that_is_seen(page):
    ring = page.locator(".st-key-lanes .scatterlayer path.point[style*='213, 94, 0']")
    expect(ring).to_have_count(0)
    page.get_by_role("button", name="Help for Dates").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('[class*=st-key-strong_]')"), "past the chart"
    page.keyboard.press("Tab")
    expect(page.get_by_role("combobox", name="Events found")).to_be_focused()
    page.keyboard.type("age")
    page.keyboard.press("Enter")
    expect(page.locator("table.raw")).to_contain_text("no day of its own", timeout=SLOW_MS)
    expect(ring).to_have_count(1)
    strip = page.locator(".st-key-lanes .xtick text").first
    expect(strip).to_have_text("no day")
    mark, label = ring.bounding_box(), strip.bounding_box()
    assert abs(mark["x"] + mark["width"] / 2 - label["x"] - label["width"] / 2) < 3


def test_the_form_of_a_pacs_is_walked_row_by_row(page, address):
    page.goto(f"{address}/load")
    page.get_by_role("radio", name="DICOMweb").or_(page.get_by_role("button", name="DICOMweb")).first.click()
    page.get_by_label("Patient number").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Accession number")).to_be_focused()


@pytest.mark.parametrize("width", [480, 600, 700, 768])
def test_on_a_narrow_window_no_risk_is_scrolled_out_of_sight(browser, address, width):
    """The sentence speaks of a range: its numbers stand between the curve and the sentence, whole."""
    page = open_page(browser, address, size=(width, 900))
    page.wait_for_selector(SHOWN, timeout=SLOW_MS)
    expect(page.locator(".icons figcaption").first).to_be_attached(timeout=SLOW_MS)
    hidden, last, sentence = page.evaluate(
        """() => {
            const box = document.querySelector(".st-key-answer");
            const edge = name => document.querySelector(name).getBoundingClientRect();
            return [box.scrollHeight - box.clientHeight, edge(".risks").bottom, edge(".risk-words").top];
        }"""
    )
    assert hidden <= 1
    assert last <= sentence
    page.context.close()


def test_the_open_menu_leaves_the_notice_free(browser, address):
    page = open_page(browser, address, size=(480, 900))
    page.get_by_test_id("stExpandSidebarButton").click(timeout=SLOW_MS)
    close, notice = page.get_by_test_id("stSidebarCollapseButton"), page.locator(".notice-bar .mark")
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "false")
    expect(close).to_be_visible()
    assert close.bounding_box()["y"] >= notice.bounding_box()["y"] + notice.bounding_box()["height"]
    assert int(page.locator(".notice-bar").evaluate("e => getComputedStyle(e).zIndex")) > int(
        page.get_by_test_id("stSidebar").evaluate("e => getComputedStyle(e).zIndex")
    )
    page.context.close()
