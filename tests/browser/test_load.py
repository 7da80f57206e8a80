"""The Load page in real Chromium: uploads, choices, the export gate, and two sessions that must never meet."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from browser_needed import why_skipped

if reason := why_skipped():
    pytest.skip(reason, allow_module_level=True)

import intake_support as files
from browser_support import SHOWN, open_page, running_app
from orthanc_support import PASSWORD, USER, running_orthanc, silent
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from core import RESEARCH_NOTICE
from core.intake.pacs.client import store_instances
from core.load import load_study

pytestmark = pytest.mark.browser
SLOW_MS = 240_000
UPLOAD_LIMIT_MB = 1


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of its own: its first visitor comes by the address of a page, and its upload limit is 1 MB."""
    with running_app(STREAMLIT_SERVER_MAX_UPLOAD_SIZE=str(UPLOAD_LIMIT_MB)) as found:
        yield found


def loading(browser: Browser, address: str, **options: object) -> Page:
    page = open_page(browser, f"{address}/load", **options)  # type: ignore[arg-type]
    page.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    page.get_by_role("button", name="Read", exact=True).wait_for()
    return page


def put(page: Page, which: str, *paths: Path) -> None:
    """Choose files in the uploader of the CT or of the record, and wait until they are up."""
    uploader = page.locator(f".st-key-pick_{which} input[type=file]")
    expect(uploader).to_have_count(1)
    uploader.set_input_files(list(paths))
    expect(page.get_by_role("button", name="Read", exact=True)).to_be_enabled()


def read(page: Page) -> None:
    page.get_by_role("button", name="Read", exact=True).click()


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_nothing_is_read_while_a_file_is_still_on_its_way(browser, address, tmp_path):
    """Read would leave the record out: it is away, by pointer and by key, until every file is up."""
    page, held = loading(browser, address), []
    put(page, "ct", saved(tmp_path, "series.zip", files.zipped(files.series())))
    page.route("**/_stcore/upload_file/**", lambda route: held.append(route))
    page.locator(".st-key-pick_record input[type=file]").set_input_files(saved(tmp_path, "ev.csv", files.events_csv()))
    expect(page.locator(".st-key-read button").first).to_be_hidden()
    page.wait_for_timeout(1_000)
    held[0].continue_()
    read(page)
    expect(page.get_by_text("Record: 11 events up to day 0")).to_be_visible()
    expect(page.get_by_text("No record was provided")).to_have_count(0)
    page.context.close()


class Lossy:
    """Stands between page and server; while `losing` is set, drawings are lost on their way to the page."""

    def __init__(self) -> None:
        self.losing = False
        self.lost: list[bytes] = []

    def listen(self, page: Page) -> None:
        page.route_web_socket(re.compile("_stcore/stream"), self._join)

    def _join(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def towards_page(message: str | bytes) -> None:
            if self.losing and isinstance(message, bytes) and ForwardMsg.FromString(message).HasField("delta"):
                self.lost.append(message)
            else:
                route.send(message)

        route.on_message(server.send)
        server.on_message(towards_page)


def scroll_down(page: Page) -> None:
    page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 99999)")


def own_complaints(page: Page) -> list[str]:
    """Console errors but for Streamlit's own probing of addresses below a page."""
    return [text for text in page.complaints if "404" not in text]  # type: ignore[attr-defined]


def test_the_first_visitor_of_a_page_gets_the_whole_app(browser, address):
    page = loading(browser, address)
    expect(page.get_by_text(RESEARCH_NOTICE)).to_be_visible()
    expect(page.get_by_role("link", name="Case review")).to_be_visible()
    expect(page.get_by_role("button", name="Read", exact=True)).to_be_disabled()
    page.context.close()


def test_files_above_the_limit_and_cut_uploads_leave_nothing(browser, address, tmp_path):
    page = loading(browser, address)
    big = saved(tmp_path, "big.zip", b"\0" * (UPLOAD_LIMIT_MB * 1_000_000 + 500_000))
    page.locator(".st-key-pick_ct input[type=file]").set_input_files(big)
    expect(page.get_by_text("must be", exact=False).or_(page.get_by_text("exceed", exact=False)).first).to_be_visible()
    page.locator(".st-key-pick_record input[type=file]").set_input_files(saved(tmp_path, "ev.csv", files.events_csv()))
    expect(page.locator(".st-key-pick_record [data-testid=stFileChip]")).to_be_visible()
    page.wait_for_timeout(1_000)
    expect(page.locator(".st-key-read button").first).to_be_hidden()  # the CT would be left out without a word
    said = page.locator(".st-key-read").evaluate("row => getComputedStyle(row, '::after').content")
    assert "marked red was not uploaded" in said
    page.get_by_role("button", name="Remove big.zip").click()
    expect(page.get_by_role("button", name="Read", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Remove ev.csv").click()
    expect(page.get_by_role("button", name="Read", exact=True)).to_be_disabled()
    page.route("**/_stcore/upload_file/**", lambda route: route.abort())
    small = saved(tmp_path, "small.zip", files.zipped(files.series()))
    page.locator(".st-key-pick_record input[type=file]").set_input_files(small)
    page.wait_for_timeout(2500)
    expect(page.locator(".st-key-read button").first).to_be_hidden()
    page.context.close()


def test_a_day_0_typed_without_a_time_is_taken(browser, address, tmp_path):
    """One field for day and time would show the day and take nothing."""
    page = loading(browser, address)
    put(page, "record", saved(tmp_path, "ev.csv", files.events_csv()))
    read(page)
    expect(page.get_by_text("Record: 11 events up to day 0.")).to_be_visible()
    page.locator(".st-key-day_zero [role=spinbutton]").first.click()
    page.keyboard.type("20200201")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Record: 9 events up to day 0; 2 later ones left out.")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize("width", [480, 683])
def test_nothing_is_cut_off_on_a_narrow_or_enlarged_screen(browser, address, tmp_path, width):
    """683 pixels: a screen of 1366 at 200%. Repairs are told whole, and every choice stands beside its series."""
    page = loading(browser, address, size=(width, 800))
    put(page, "ct", saved(tmp_path, "gap.zip", files.zipped(files.gapped())))
    put(page, "record", saved(tmp_path, "odd.csv", b"pid;wann;was\n1;2020-03-01;I50.9\n"))
    read(page)
    words = page.locator(".st-key-repair_longest_run button p").first
    expect(words).to_be_visible()
    assert words.evaluate("part => part.scrollWidth <= part.clientWidth + 1")
    assert measured(page, ".st-key-desk_record")["y"] > measured(page, ".st-key-desk_ct")["y"] + 100
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="Start over").click()
    long = files.series(
        seed=3, edit=files.patient("", "", SeriesDescription="THORAX ANGIO LUNG CHEST ABDOMEN 1.0 B45f")
    )
    put(page, "ct", saved(tmp_path, "two.zip", files.zipped([*files.series(), *((f"x{n}", d) for n, d in long)])))
    read(page)
    expect(page.locator(".st-key-choose_2")).to_be_visible()
    for number in (1, 2):
        picture, choice = measured(page, f".st-key-series_{number} .thumb"), measured(page, f".st-key-choose_{number}")
        assert picture["y"] < choice["y"] < picture["y"] + picture["height"]
    page.locator(".st-key-choose_1 button >> visible=true").click()
    page.locator(".quality summary").click()
    verdicts = page.locator(".q-all")
    expect(verdicts).to_contain_text("in range")
    assert verdicts.evaluate("part => part.scrollWidth <= part.clientWidth + 1")
    page.context.close()


def test_drawings_that_are_lost_are_made_again(browser, address, tmp_path):
    """Streamlit drops what an ended run still had to send when a timer starts the next run just then."""
    line = Lossy()
    page = loading(browser, address, before=line.listen)
    put(page, "ct", saved(tmp_path, "series.zip", files.zipped(files.series())))
    read(page)
    expect(page.get_by_role("button", name="Start over")).to_be_visible()
    line.losing = True
    for _ in range(SLOW_MS // 250):
        page.wait_for_timeout(250)
        if any(b"Everything was read" in drawing for drawing in line.lost):
            break
    assert len(line.lost) > 20
    expect(page.get_by_text("Everything was read")).to_have_count(0)
    line.losing = False
    expect(page.get_by_text("Everything was read")).to_be_visible(timeout=10_000)
    expect(page.get_by_role("button", name="Open in case review")).to_be_enabled(timeout=10_000)
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_text("Nothing was kept of the files before")).to_be_visible()
    page.wait_for_timeout(1_500)
    expect(page.get_by_text("Nothing is read yet")).to_be_visible()
    assert own_complaints(page) == []
    page.context.close()


def test_a_zip_is_uploaded_repaired_searched_opened_and_exported(browser, address, tmp_path):
    page = loading(browser, address)
    archive = saved(tmp_path, "gap.zip", files.zipped(files.gapped(edit=files.patient("DOE^JANE", "A1234567"))))
    put(page, "ct", archive)
    read(page)
    expect(page.get_by_text("It can be repaired")).to_be_visible()
    expect(page.get_by_text("23 slices")).to_be_visible()
    assert page.locator("img.thumb").evaluate("image => image.naturalWidth") > 0
    expect(page.get_by_role("button", name="Open in case review")).to_be_disabled()
    page.locator(".st-key-repair_resample_evenly button").first.click()
    expect(page.get_by_text("Repaired: uneven slices")).to_be_visible()
    page.locator(".quality summary").click()
    verdicts, actions = measured(page, ".q-all"), measured(page, ".st-key-load_actions")
    assert verdicts["y"] + verdicts["height"] <= actions["y"], "verdicts cover nothing that is to be decided"
    page.get_by_role("button", name="Open in case review").click()
    page.wait_for_selector(SHOWN)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
    blocked = page.locator(".st-key-export_blocked")
    expect(blocked).to_contain_text("Export is blocked")
    assert page.locator("[data-testid=stDownloadButton]").count() == 0
    blocked.get_by_role("link").click()
    expect(page.locator(".found")).to_contain_text("PatientName")
    assert "DOE" not in page.content()
    page.get_by_role("button", name="Strip and go on").click()
    page.get_by_role("link", name="Go to Case review").click()
    page.wait_for_selector(SHOWN)
    scroll_down(page)
    with page.expect_download(timeout=SLOW_MS) as sidecar:
        page.get_by_role("button", name="Sidecar, JSON").click()
    record = json.loads(Path(sidecar.value.path()).read_text("utf-8"))
    assert record["notice"] == RESEARCH_NOTICE
    assert "DOE" not in json.dumps(record)
    assert own_complaints(page) == []
    page.context.close()


def test_a_folder_with_two_series_and_a_path_on_the_server(browser, address, tmp_path):
    page = loading(browser, address)
    other = files.series(files.Grid((48, 40, 12), (6.0, 6.0, 16.0)), seed=3)
    folder = files.written(tmp_path / "two", [*files.series(), *[(f"x{name}", data) for name, data in other]])
    page.get_by_role("radio", name="Upload a folder").or_(
        page.get_by_role("button", name="Upload a folder")
    ).first.click()
    page.locator(".st-key-pick_ct input[webkitdirectory]").wait_for(state="attached")
    put(page, "ct", folder)
    read(page)
    expect(page.get_by_text("2 CT series found")).to_be_visible()
    expect(page.locator("img.thumb")).to_have_count(2)
    page.locator(".st-key-choose_2 button").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("48 \u00d7 40 \u00d7 12 voxels")).to_be_visible()
    page.get_by_role("button", name="Start over").click()
    page.get_by_role("radio", name="Path on the server").or_(
        page.get_by_role("button", name="Path on the server")
    ).first.click()
    page.get_by_role("textbox", name="Path of the folder, file or archive").fill(str(folder))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Read", exact=True)).to_be_enabled()
    read(page)
    expect(page.get_by_text("2 CT series found")).to_be_visible()
    assert own_complaints(page) == []
    page.context.close()


@dataclass
class Listener:
    """Everything that one browser was sent, and every address it asked for."""

    frames: list[bytes] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on("websocket", lambda socket: socket.on("framereceived", self.hear))
        page.on("request", lambda request: self.urls.append(request.url))

    def hear(self, payload: str | bytes) -> None:
        self.frames.append(payload.encode() if isinstance(payload, str) else payload)

    def heard(self, secret: bytes) -> bool:
        return any(secret in frame for frame in self.frames)


@dataclass
class Person:
    """A planted patient: a word in the record, a row of voxels in the CT."""

    marker: str
    ct: Path
    events: Path
    voxels: bytes
    ear: Listener = field(default_factory=Listener)

    @property
    def secrets(self) -> tuple[bytes, bytes]:
        return self.marker.encode(), self.voxels


def planted(folder: Path, marker: str, shift_mm: float, seed: int) -> Person:
    folder.mkdir()
    grid = files.Grid((48, 40, 24), (6.0, 6.0, 8.0), centre_mm=(4.0 + shift_mm, -3.0, 5.0))
    ct = saved(folder, "ct.zip", files.zipped(files.series(grid, edit=files.nobody, seed=seed)))
    voxels = load_study(ct).voxels_hu[:, 20, 12].astype("<i2").tobytes()
    return Person(marker, ct, saved(folder, "events.csv", files.events_csv(marker)), voxels)


SCAN = ".viewer[data-ready]"


def open_own(page: Page, person: Person, shown: str = SHOWN) -> None:
    put(page, "ct", person.ct)
    put(page, "record", person.events)
    read(page)
    strip = page.get_by_role("button", name="Strip and go on")
    strip.wait_for()
    page.get_by_text("Keep texts with words that no vocabulary knows").click()
    strip.click()
    page.get_by_role("button", name="Open in case review").click()
    page.wait_for_selector(shown)
    expect(page.get_by_role("heading", name="Your own case")).to_be_visible()


def measured(page: Page, selector: str) -> dict[str, float]:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return dict(box)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_curve_stays_readable_under_many_warnings(browser, address, tmp_path, scheme):
    """Closed or opened by a key, on a small and a large screen; the mark on the curve stays in sight."""
    page = loading(browser, address, scheme=scheme)
    open_own(page, planted(tmp_path / "ill", "MARKERDELTA", 0.0, 5))
    summary = page.locator(".notices summary")
    expect(summary).to_contain_text("outside the training population")
    for size in ((1366, 768), (1920, 1080)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.wait_for_timeout(1_500)
        assert measured(page, ".st-key-curve .nsewdrag")["height"] >= 220
        line, mark = (
            measured(page, place) for place in (".notices summary", ".st-key-curve .annotation-text >> nth=-1")
        )
        assert max(box["y"] + box["height"] for box in (line, mark)) <= size[1]
        expect(page.locator(".st-key-curve")).to_contain_text("Outside the training population")
        expect(page.locator(".notices .note").first).to_be_hidden()
        summary.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".notices .note")).to_have_count(4)
        expect(page.locator(".notices .note").last).to_be_visible()
        page.wait_for_timeout(500)
        assert measured(page, ".st-key-curve .nsewdrag")["height"] >= 220
        page.keyboard.press("Enter")
    page.context.close()


def test_of_a_patient_who_had_died_there_is_no_curve(browser, address, tmp_path):
    person = planted(tmp_path / "dead", "MARKERECHO", 0.0, 6)
    with person.events.open("ab") as record:
        record.write(b"7,2020-02-29 12:00,MEDS_DEATH,,,\n")
    page = loading(browser, address)
    open_own(page, person, SCAN)
    expect(page.get_by_text("The patient had died by day 0", exact=True)).to_be_visible()
    page.wait_for_timeout(2_000)
    expect(page.locator(".st-key-curve, .risk-words")).to_have_count(0)
    expect(page.get_by_role("button", name="Sidecar, JSON")).to_have_count(0)
    page.context.close()


def walk(page: Page, address: str) -> None:
    """Every page, back, reload, and addresses that might belong to someone else."""
    for name in ("Model card", "Load", "Case review"):
        page.get_by_role("link", name=name, exact=True).first.click()
        page.wait_for_timeout(1500)
    page.go_back()
    page.wait_for_timeout(1500)
    for path in ("/load", "/case_review", "/?case=1&session=0"):
        page.goto(address + path)
        page.wait_for_timeout(2000)
    page.reload()
    page.wait_for_timeout(2000)


def test_two_sessions_never_see_each_other(browser, address, tmp_path):
    people = [planted(tmp_path / "a", "MARKERALPHA", 0.0, 0), planted(tmp_path / "b", "MARKERBRAVO", 9.0, 4)]
    assert people[0].voxels != people[1].voxels
    pages = [loading(browser, address, before=person.ear.attach) for person in people]
    for page, person in zip(pages, people):
        open_own(page, person)
    for person, other in (people, people[::-1]):
        for secret in person.secrets:
            assert person.ear.heard(secret), "the listener must hear what is sent"
        for secret in other.secrets:
            assert not person.ear.heard(secret)
    with pages[0].expect_download(timeout=SLOW_MS) as download:
        scroll_down(pages[0])
        pages[0].get_by_role("button", name="Sidecar, JSON").click()
    download.value.path()
    theirs = sorted({url for url in people[0].ear.urls if "/static/" not in url and url.startswith("http")})
    assert any("/_stcore/upload_file/" in url for url in theirs)
    for url in theirs:
        answer = pages[1].context.request.get(url)
        assert not any(secret in answer.body() for secret in people[0].secrets), url
        if "/_stcore/upload_file/" in url:
            assert answer.body().startswith(b"<!"), (
                "an upload cannot be read back by anybody: only the empty shell comes"
            )
    walk(pages[1], address)
    assert not any(people[1].ear.heard(secret) for secret in people[0].secrets)
    assert not any(secret.decode() in pages[1].content() for secret in (people[0].secrets[0],))
    walk(pages[0], address)
    assert not any(people[0].ear.heard(secret) for secret in people[1].secrets)
    for page in pages:
        page.context.close()


def test_a_reload_never_puts_a_demonstration_in_the_place_of_the_own_patient(browser, address, tmp_path):
    """What happens to be drawn on the way is watched too: no demonstration is named, and no picture is sent."""
    person = planted(tmp_path / "own", "MARKERCHARLIE", 0.0, 2)
    page = loading(browser, address)
    open_own(page, person)
    assert "case=own" in page.url
    shown = {"Demo": False}
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: shown.update(demo_named(data))))
    for _ in range(2):
        page.once("dialog", lambda dialog: dialog.accept())
        page.reload()
        expect(page.get_by_text("Your own case is closed")).to_be_visible()
        page.wait_for_timeout(3_000)
        assert page.locator(".viewer, .case-line h1, .st-key-curve").count() == 0
        assert "case=own" in page.url
    assert not shown["Demo"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="Show a demonstration").click()
    page.wait_for_selector(SHOWN)
    assert shown["Demo"], "the listener must hear what is sent"
    assert "case=own" not in page.url
    assert own_complaints(page) == []
    page.context.close()


def demo_named(data: str | bytes) -> dict[str, bool]:
    """Does a message to the page hold the name of a demonstration?"""
    return {"Demo": True} if isinstance(data, bytes) and b"Demo 1" in data else {}


def test_a_series_comes_from_a_pacs(browser, address, tmp_path):
    """Wrong password first, then search, receive, read and open; names stay hidden, no number in the address."""
    slices = files.series(edit=files.patient("DOE^JANE", "A1234567"))
    with running_orthanc(tmp_path) as pacs:
        store_instances(pacs.server, [pydicom.dcmread(io.BytesIO(data)) for _, data in slices])
        page = loading(browser, address)
        page.get_by_role("radio", name="DICOMweb").or_(page.get_by_role("button", name="DICOMweb")).first.click()
        page.get_by_label("Address of the DICOMweb service").fill(pacs.server.url)
        page.get_by_label("User").fill(USER)
        page.get_by_label("Password", exact=True).fill("not this one")
        page.get_by_label("Patient number").fill("A1234567")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("Expected:").first).to_be_visible()
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("1 study found")).to_be_visible()
        assert "DOE" not in page.content()
        page.get_by_role("button", name="Receive this series").click()
        expect(page.get_by_text(f"{len(slices)} images from a DICOMweb server")).to_be_visible()
        read(page)
        expect(page.get_by_role("button", name="Open in case review")).to_be_enabled()
        page.get_by_role("button", name="Open in case review").click()
        page.wait_for_selector(SHOWN)
        assert "A1234567" not in page.url
        expect(page.locator(".st-key-export_blocked")).to_contain_text("Export is blocked")
        page.context.close()


def test_a_search_of_a_silent_server_is_cancelled(browser, address):
    """Its seconds are whole ones, the page stays usable, and after Cancel nothing of it comes."""
    with silent() as (url, hung_up):
        page = loading(browser, address)
        page.get_by_role("radio", name="DICOMweb").or_(page.get_by_role("button", name="DICOMweb")).first.click()
        page.get_by_label("Address of the DICOMweb service").fill(url)
        page.get_by_label("Patient number").fill("A1234567")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text(re.compile(r"^Searching, [2-9] s$"))).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Cancelled. Nothing was kept.")).to_be_visible()
        assert hung_up.wait(10)
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        page.wait_for_timeout(1000)
        expect(page.get_by_text("Expected:")).to_have_count(0)
        page.context.close()
