"""A model that was trained on 18 events, as its card says, and never evaluated: no number of it looks sure."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

from browser_support import SHOWN, SLOW_MS, open_page, running_app
from playwright.sync_api import Browser, Page, expect

from core.bundle import amend_bundle, shipped_bundles

pytestmark = pytest.mark.browser


def trained_on_few(folder: Path) -> Path:
    """A shipped model whose card says 18 events and a concordance at chance; without evaluation and outcomes."""
    out = folder / "few"
    shutil.copytree(shipped_bundles()["pe_mortality/concat"], out)
    card = json.loads((out / "card.json").read_text("utf-8"))
    card["training_data"] |= {"patients_train": 44, "events_train": 18}
    row = {
        "measure": "Concordance, Harrell",
        "value": 0.5,
        "lower": 0.38,
        "upper": 0.63,
        "split": "tuning",
        "patients": 20,
        "events": 8,
    }
    card["performance"] = [row]
    (out / "card.json").write_text(json.dumps(card), encoding="utf-8")
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    (out / "outcomes.parquet").unlink()
    for name in ("card.json", "outcomes.parquet"):
        manifest["sha256"].pop(name)
    manifest["sha256"]["card.json"] = hashlib.sha256((out / "card.json").read_bytes()).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return amend_bundle(out, metrics={})


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("models")
    trained_on_few(folder)
    with running_app(CT_SURVIVAL_MODELS=str(folder)) as address:
        opened = open_page(browser, address)
        opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
        opened.get_by_role("combobox", name="Model").click()
        opened.get_by_role("option", name="Own: few").click()
        expect(opened.locator(".risks .withheld").first).to_be_visible(timeout=SLOW_MS)
        yield opened
        opened.context.close()


def test_its_number_is_grey_with_the_reason_in_its_place_and_no_range(page: Page) -> None:
    chosen = page.locator(".risk-cell.chosen")
    expect(chosen).to_contain_text("not shown")
    expect(chosen).to_contain_text("This model ranks patients no better than chance")
    assert chosen.locator("b").is_hidden(), "only who asks for the number sees it"
    expect(page.locator(".risk-words")).to_contain_text("does not apply")
    expect(page.locator(".risk-words")).to_contain_text("trained on few events")
    expect(page.locator(".risk-words")).to_contain_text("never evaluated")
    expect(page.locator(".curve-legend")).not_to_contain_text("Observed")
    expect(page.locator(".st-key-curve .scatterlayer .js-line[style*='dash']").first).to_be_attached()
    size, weight = chosen.locator(".withheld").evaluate(
        "node => [parseFloat(getComputedStyle(node).fontSize), Number(getComputedStyle(node).fontWeight)]"
    )
    assert size <= 16
    assert weight < 600


def test_the_number_is_there_for_who_asks(page: Page) -> None:
    chosen = page.locator(".risk-cell.chosen")
    chosen.get_by_text("show anyway").click()
    expect(chosen.locator("b")).to_be_visible()


def test_beside_the_other_models_it_stays_withheld_and_a_click_opens_another(page: Page) -> None:
    page.get_by_text("All models", exact=True).click()
    table = page.locator(".st-key-models")
    expect(table).to_contain_text("All models, risk within 90 days", timeout=SLOW_MS)
    expect(table.locator(".model-cell .withheld")).to_have_count(1)
    expect(table.locator("img")).to_have_count(8)
    expect(table).to_contain_text("not measured")
    table.get_by_role("button", name="Cross-attention").click()
    expect(page.locator(".risk-cell.chosen > b")).to_be_visible(timeout=SLOW_MS)
    expect(table.get_by_role("button", name="Cross-attention, shown")).to_be_disabled(timeout=SLOW_MS)
