"""Servers that differ: right ones with unusual answers are read to the right volume, others are refused in words."""

from __future__ import annotations

import gc
import io
import json
import re
import threading
import time
from collections.abc import Callable
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest
from ct_factory import assert_right, dicom_files, setter
from orthanc_support import Front, Fronting, front, load_series, server_at

from core.errors import UserFacingError
from core.intake.files.limits import MIB, Limits
from core.intake.pacs.client import DicomWebServer, fetch_series, find_studies, list_series
from core.intake.pacs.transport import Patience
from core.records import CtStudy

JSON = "application/dicom+json"
MULTIPART = 'multipart/related; type="application/dicom"; boundary=mark'
STUDY, SERIES, IMAGE = ("1.2.826.0.1.3680043.9.1." + end for end in ("1", "2", "4."))
NUMBER, ACCESSION = "PLANTED4711", "ACC0815"
QUICK = Patience(connect_s=2, stall_s=1, query_s=4, attempts=4, backoff_s=0.02, longest_pause_s=2)
Act = Callable[[Front], bool]
PADDING = b"\xfc\xff\xfc\xffOB\0\0\x0a\0\0\0"
"""Head of an element of ten bytes that may follow the pixels (DataSetTrailingPadding)."""


def by_uid(**options: object) -> dict[str, bytes]:
    """UIDs and files of one series."""
    return {f"{IMAGE}{number + 1}": data for number, (_, data) in enumerate(dicom_files(**options))}  # type: ignore[arg-type]


FILES = by_uid()


def element(*values: object) -> dict[str, object]:
    return {"vr": "LO", "Value": list(values)}


def row(uid: str = STUDY, tag: str = "0020000D", **values: object) -> dict[str, object]:
    return {tag: element(uid), **{name.removeprefix("t"): element(value) for name, value in values.items()}}


def message(*files: bytes, mark: bytes = b"mark", head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"".join(b"\r\n--%s\r\n%s\r\n%s" % (mark, head, file) for file in files) + b"\r\n--%s--\r\n" % mark


class Pretended:
    """A right server of one series; `own` answers first where it wants."""

    def __init__(self, own: Act = lambda request: False, files: dict[str, bytes] | None = None) -> None:
        self.own, self.files = own, dict(FILES if files is None else files)
        self.stated: int | None = len(self.files)
        self.lock, self.images = threading.Lock(), 0

    def __call__(self, request: Front) -> bool:
        if self.own(request):
            return True
        if request.is_image:
            with self.lock:
                self.images += 1
            return request.answer(200, MULTIPART, message(self.files[urlsplit(request.path).path.rsplit("/", 1)[1]]))
        return request.answer(200, JSON, json.dumps(self.rows(request)).encode())

    def rows(self, request: Front) -> list[dict[str, object]]:
        """The page of the list that is asked for."""
        place, asked = urlsplit(request.path).path, parse_qs(urlsplit(request.path).query)
        if place.endswith("/instances"):
            rows = [row(uid, "00080018") for uid in self.files]
        elif place.endswith("/series"):
            rows = [row(SERIES, "0020000E", t00080060="CT", t00201209=self.stated)]
        else:
            rows = [row(t00100020=NUMBER, t00080050=ACCESSION, t00080020="20210304")]
        first = int(asked.get("offset", ["0"])[0])
        return rows[first : first + int(asked.get("limit", ["9999"])[0])]


def load(running: Fronting, **settings: object) -> CtStudy:
    return load_series(running.server, STUDY, SERIES, **({"patience": QUICK} | settings))  # type: ignore[arg-type]


def refusal(call: Callable[[], object]) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        call()
    assert caught.value.__cause__ is caught.value.__context__ is None
    for secret in (NUMBER, ACCESSION, STUDY, "127.0.0.1", "Error("):
        assert secret not in str(caught.value)
    return caught.value


def answered(kind: str, make: Callable[[bytes], bytes], **headers: str) -> Act:
    """Every image in a message of one's own making."""

    def own(request: Front) -> bool:
        return request.is_image and request.answer(200, kind, make(FILES[request.path.rsplit("/", 1)[1]]), **headers)

    return own


# ---------------------------------------------------------------- the form of an answer


def padded(file: bytes) -> bytes:
    return message(file).replace(b"--mark\r\n", b"--mark \t\r\n").replace(b"--mark--", b"--mark-- ")


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (MULTIPART, lambda file: b"A message in parts.\r\n\r\nRead by machines." + message(file)),
        (MULTIPART, lambda file: message(file) + b"The end.\r\n\r\nReally."),
        (MULTIPART, lambda file: message(file)[2:]),
        (MULTIPART, lambda file: message(file)[: -len("--\r\n")]),
        (MULTIPART, padded),
        (MULTIPART, lambda file: message(file, head=b"")),
        (MULTIPART, lambda file: message(file + PADDING + b"\r\n--marked")),
        ('Multipart/Related; start="x; boundary=no"; BOUNDARY="a b"', lambda file: message(file, mark=b"a b")),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", lambda file: file),
        ("multipart/related", lambda file: file),
    ],
)
def test_unusual_messages_with_the_right_image(kind: str, make: Callable[[bytes], bytes]) -> None:
    with front(Pretended(answered(kind, make))) as running:
        assert_right(load(running))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: message(file, file), "sent 2 files where one image"),
        (lambda file: message(*FILES.values()), "sent 16 files where one image"),
        (lambda file: message(file[:-200]), "ends before the image is complete"),
        (lambda file: message(file[:-200] + b"\r\n--mark\r\n" + file[-200:]), "ends before"),
        (lambda file: message(b"\xff\xd8\xff\xe0" * 99), "other than a DICOM image"),
        (lambda file: message(file, mark=b"other"), "not as a DICOMweb service"),
    ],
)
def test_messages_that_are_not_one_whole_image(make: Callable[[bytes], bytes], words: str) -> None:
    with front(Pretended(answered(MULTIPART, make))) as running:
        assert words in refusal(lambda: load(running)).found


def test_a_compressed_image_cut_short_is_asked_for_again(rle_files: dict[str, bytes]) -> None:
    """No length tells where encapsulated pixels end, but their delimiter does."""
    cut: list[str] = []

    def own(request: Front) -> bool:
        if not request.is_image or len(cut) == 2:
            return False
        cut.append(request.path)
        return request.answer(200, MULTIPART, message(rle_files[request.path.rsplit("/", 1)[1]][:-50]))

    with front(Pretended(own, rle_files)) as running:
        assert_right(load(running))
    assert len(cut) == 2


@pytest.fixture
def rle_files() -> dict[str, bytes]:
    found = {}
    for uid, data in FILES.items():
        dataset, out = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
        dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        dataset.save_as(out)
        found[uid] = out.getvalue()
    return found


@pytest.mark.parametrize("status", [400, 406, 415])
def test_a_server_that_cannot_send_as_stored_sends_as_it_can(status: int) -> None:
    def own(request: Front) -> bool:
        return request.is_image and "*" in request.headers["Accept"] and request.answer(status)

    with front(Pretended(own)) as running:
        assert_right(load(running))
    with front(Pretended(lambda request: request.is_image and request.answer(status))) as running:
        assert str(status) in refusal(lambda: load(running)).found


def test_a_mark_before_json_and_numbers_with_a_point() -> None:
    def own(request: Front) -> bool:
        if request.is_image:
            return False
        text = json.dumps(pretended.rows(request)).replace('"Value": [16]', '"Value": [16.0]')
        return request.answer(200, JSON, b"\xef\xbb\xbf" + text.encode())

    pretended = Pretended(own)
    with front(pretended) as running:
        assert list_series(running.server, STUDY, patience=QUICK)[0].instances == 16
        assert_right(load(running))


def test_a_uid_is_taken_as_it_stands_or_not_at_all() -> None:
    for uid in (f"{STUDY}.{'1' * 60}", f"\u202e{STUDY}", f"{STUDY}\u200b"):
        with front(lambda request: request.answer(200, JSON, json.dumps([row(uid)]).encode())) as running:  # noqa: B023
            assert "DICOMweb" in refusal(lambda: find_studies(running.server, patient_id=NUMBER)).found
    for uid in (f"{STUDY} ", f"{STUDY}\0"):
        pretended = Pretended()
        pretended.files = {STUDY: b""}
        with front(lambda request: request.answer(200, JSON, json.dumps([row(uid)]).encode())) as running:  # noqa: B023
            assert find_studies(running.server, patient_id=NUMBER)[0].study_uid == STUDY


@pytest.mark.parametrize("status", [202, 205, 999])
def test_a_status_that_is_no_answer_is_no_empty_list(status: int) -> None:
    with front(lambda request: request.answer(status, JSON, b"[]")) as running:
        assert str(status) in refusal(lambda: find_studies(running.server, patient_id=NUMBER, patience=QUICK)).found


# ---------------------------------------------------------------- whose images they are


def test_images_of_another_study_are_not_taken() -> None:
    others = by_uid(edit=setter(StudyInstanceUID=f"{STUDY}.7"))
    with front(Pretended(files=others)) as running:
        assert "another image" in refusal(lambda: load(running)).found


def test_a_server_that_does_not_search_by_what_was_asked() -> None:
    def lists(**values: object) -> Act:
        return lambda request: request.answer(200, JSON, json.dumps([row(**values)]).encode())

    def ask(running: Fronting) -> object:
        days = (date(2021, 3, 4), date(2021, 3, 4))
        return find_studies(running.server, patient_id=NUMBER, accession=ACCESSION, study_date=days, patience=QUICK)

    for other in (
        {"t00100020": "SOMEONE"},
        {"t00080050": "ELSE"},
        {"t00080020": "19990101"},
        {"t00080020": "20210305"},
    ):
        with front(lists(**other)) as running:
            assert "not searched for" in refusal(lambda: ask(running)).found
    for same in ({}, {"t00100020": f" {NUMBER.lower()} "}, {"t00080020": "2021.03.04"}, {"t00080050": ""}):
        with front(lists(**same)) as running:
            assert len(ask(running)) == 1  # type: ignore[arg-type]


# ---------------------------------------------------------------- lists


def cut_lists(length: int, *, warning: str = "", offset: bool = True) -> Act:
    """Lists of at most so many rows."""

    def own(request: Front) -> bool:
        place = urlsplit(request.path).path
        if request.is_image or not place.endswith(("/instances", "/studies", "/series")):
            return False
        if place.endswith("/instances"):
            rows = [row(uid, "00080018") for uid in FILES]
        else:
            rows = [
                row(f"1.2.{number}", "0020000D" if place.endswith("/studies") else "0020000E") for number in range(9)
            ]
            if "SeriesInstanceUID" in request.path:
                rows = [row(SERIES, "0020000E")]
        first = int(parse_qs(urlsplit(request.path).query).get("offset", ["0"])[0]) if offset else 0
        headers = {"Warning": warning} if warning and first + length < len(rows) else {}
        return request.answer(200, JSON, json.dumps(rows[first : first + length]).encode(), **headers)

    return own


def test_cut_lists_are_read_to_their_end() -> None:
    with front(Pretended(cut_lists(4))) as running:
        assert len(find_studies(running.server, patient_id=NUMBER, patience=QUICK)) == 9
        assert len(find_studies(running.server, patient_id=NUMBER, limit=6, patience=QUICK)) == 6
        assert len(list_series(running.server, STUDY, patience=QUICK)) == 9
        assert_right(load(running))


def test_a_list_said_to_be_cut_and_never_continued_is_refused() -> None:
    said = '299 pacs: "There are 8 additional results that can be requested"'
    with front(Pretended(cut_lists(8, warning=said, offset=False))) as running:
        for call in (
            lambda: load(running),
            lambda: find_studies(running.server, patient_id=NUMBER, patience=QUICK),
            lambda: list_series(running.server, STUDY, patience=QUICK),
        ):
            assert "more than it lists" in refusal(call).found
    with front(Pretended(cut_lists(99, offset=False))) as running:
        assert_right(load(running))
    odd = Pretended(lambda request: False)
    with front(lambda request: warned(odd, request)) as running:
        assert_right(load(running))


def warned(pretended: Pretended, request: Front) -> bool:
    """Whole lists with a warning about something else."""
    if request.is_image:
        return pretended(request)
    rows = json.dumps(pretended.rows(request)).encode()
    return request.answer(200, JSON, rows, Warning='299 pacs: "The fuzzymatching parameter is not supported"')


def test_a_stale_count_does_not_end_the_list() -> None:
    pretended = Pretended(cut_lists(8))
    with front(pretended) as running:
        pretended.own = lambda request: "/instances?" in request.path and cut_lists(8)(request)
        pretended.stated = 8
        assert refusal(lambda: load(running)).found == "The server states 8 images for this series but lists 16."


def test_an_error_in_place_of_an_empty_page_ends_the_list() -> None:
    def own(request: Front) -> bool:
        return "offset=16" in request.path and request.answer(404)

    with front(Pretended(own)) as running:
        assert_right(load(running))


def test_a_list_without_end_ends() -> None:
    def own(request: Front) -> bool:
        first = parse_qs(urlsplit(request.path).query).get("offset")
        return bool(first) and request.answer(200, JSON, json.dumps([row(f"1.2.{first[0]}", "00080018")]).encode())

    began = time.monotonic()
    with front(Pretended(own)) as running:
        refusal(lambda: load(running, patience=Patience(stall_s=1, query_s=1)))
    assert time.monotonic() - began < 5


# ---------------------------------------------------------------- change, slowness, waiting


@pytest.mark.parametrize("replaced", [slice(None), slice(1, None), slice(6, 10)])
def test_a_series_replaced_under_its_own_uids_while_it_loads(replaced: slice) -> None:
    """Twenty HU more from the middle on: every image is there, and none of the checks of a volume would see it."""
    brighter = by_uid(edit=setter(RescaleIntercept=-1004))
    pretended = Pretended()

    def own(request: Front) -> bool:
        if request.is_image and pretended.images >= 8:
            pretended.files.update({uid: brighter[uid] for uid in [*brighter][replaced]})
        return False

    pretended.own = own
    with front(pretended) as running:
        assert "replaced while loading" in refusal(lambda: load(running)).found


def drip(request: Front) -> bool:
    """An image in chunks of one byte, twenty a second."""
    if not request.is_image:
        return False
    request.send_response(200)
    request.send_header("Content-Type", MULTIPART)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    until = time.monotonic() + 8
    while time.monotonic() < until:
        request.wfile.write(b"1\r\nx\r\n")
        time.sleep(0.05)
    return True


def test_a_drip_of_bytes_is_no_progress() -> None:
    began = time.monotonic()
    with front(Pretended(drip)) as running:
        assert "slowly" in refusal(lambda: load(running)).found
    assert time.monotonic() - began < 4


def test_slow_images_one_after_the_other_are_progress() -> None:
    def own(request: Front) -> bool:
        return request.is_image and bool(time.sleep(0.4))

    with front(Pretended(own)) as running:
        assert_right(load(running))


def test_a_pause_the_server_asks_for_is_kept() -> None:
    busy: dict[str, float] = {}

    def own(request: Front) -> bool:
        if not request.is_image:
            return False
        busy.setdefault("since", time.monotonic())
        if time.monotonic() - busy["since"] > 1.5:
            return False
        return request.answer(429, **{"Retry-After": "2"})

    with front(Pretended(own)) as running:
        assert_right(load(running))
    for asked, words in (("600", "Try again in 600 s"), ("Wed, 21 Oct 2199 07:28:00 GMT", "as the server asks")):
        with front(lambda request: request.answer(503, **{"Retry-After": asked})) as running:  # noqa: B023
            assert words in refusal(lambda: load(running)).next_step
            assert len(running.seen) == 1
    with front(lambda request: request.answer(503, **{"Retry-After": "soon"})) as running:
        assert "503" in refusal(lambda: load(running)).found
        assert len(running.seen) == QUICK.attempts


def test_too_many_bytes_are_refused_by_their_stated_length() -> None:
    def own(request: Front) -> bool:
        if not request.is_image:
            return False
        request.send_response(200)
        request.send_header("Content-Type", MULTIPART)
        request.send_header("Content-Length", str(9 * MIB))
        request.end_headers()
        return bool(time.sleep(0.5)) or True

    with front(Pretended(own)) as running:
        assert "more than 8 MiB" in refusal(lambda: load(running, limits=Limits(bytes_total=8 * MIB))).found


# ---------------------------------------------------------------- addresses and signing in


@pytest.mark.parametrize("address", ["HTTP://127.0.0.1:{}/dicom-web", "Http://LOCALHOST:{}/dicom-web//"])
def test_capitals_in_an_address(address: str) -> None:
    with front(Pretended()) as running:
        server = DicomWebServer(address.format(running.port))
        assert_right(load_series(server, STUDY, SERIES, patience=QUICK))
    with pytest.raises(UserFacingError, match="certificates"):
        DicomWebServer("HTTPS://pacs.example.org/rs", ca_bundle="/nowhere.pem")


@pytest.mark.parametrize(
    "address",
    [
        "http://a..b/rs",
        "http://.a/rs",
        f"http://{'a' * 70}.org/rs",
        "http://*/rs",
        "http://😀.org/rs",
        "http://a\0b/rs",
    ],
)
def test_names_no_machine_can_have(address: str) -> None:
    assert "not the address" in refusal(lambda: DicomWebServer(address)).found


def test_names_a_machine_may_have() -> None:
    for name in ("pacs", "pacs.example.org.", "pacs_2.local", "zürich.example.org", "[::1]:8042", "10.0.0.1"):
        assert DicomWebServer(f"https://{name}/rs").url == f"https://{name}/rs"


@pytest.mark.parametrize(
    ("asked", "signed", "words"),
    [
        ("Negotiate", {}, "nobody in but by Negotiate"),
        ('Bearer realm="x"', {}, "does not take a user and password (it asks for Bearer)"),
        ("Basic", {"username": None, "password": None, "token": "t"}, "does not take a token (it asks for Basic)"),
        ('Bearer realm="x"', {"username": None, "password": None, "token": "t"}, "refuses this token"),
        ("", {"username": None, "password": None, "token": "t"}, "refuses this token"),
        ('Basic realm="Negotiate"', {"username": None, "password": None}, "asks to sign in"),
        ('Negotiate, Basic realm="x"', {}, "refuses these credentials"),
        ("", {}, "refuses these credentials"),
        ("Zuckerstein", {}, "refuses these credentials"),
    ],
)
def test_the_way_in_that_the_server_asks_for(asked: str, signed: dict[str, str | None], words: str) -> None:
    with front(lambda request: request.answer(401, **{"WWW-Authenticate": asked})) as running:
        server = server_at(running.port, **signed)
        error = refusal(lambda: find_studies(server, patient_id=NUMBER, patience=QUICK))
    assert words in error.found
    assert not re.search("Zucker|realm", str(error))


def test_a_token_without_the_right_to_read() -> None:
    with front(lambda request: request.answer(403)) as running:
        server = server_at(running.port, username=None, password=None, token="t0ken")
        error = refusal(lambda: find_studies(server, patient_id=NUMBER, patience=QUICK))
    assert "does not permit" in error.found
    assert "a token, with the right to read" in error.expected
    assert "t0ken" not in str(error)


@pytest.mark.parametrize("token", ["ab-._~+/9==", "Bearer ab-._~+/9==", "  bearer  ab-._~+/9== "])
def test_a_token_is_taken_as_it_was_handed_out(token: str) -> None:
    """With the word before it, too, as many servers show it; and what no token is made of is refused unrepeated."""
    assert DicomWebServer("http://127.0.0.1/rs", token=token).token == "ab-._~+/9=="
    error = refusal(lambda: DicomWebServer("http://127.0.0.1/rs", token=f"{token} t0ken"))
    assert "cannot be sent" in error.found
    assert "t0ken" not in str(error)


def test_no_socket_stays_open(recwarn: pytest.WarningsRecorder) -> None:
    def page(request: Front) -> bool:
        return request.is_image and request.answer(200, "text/html", b"<html>")

    for act in (Pretended(), Pretended(page)):
        with front(act) as running:
            try:
                fetch_series(running.server, STUDY, SERIES, patience=QUICK)
            except UserFacingError:
                assert act.own is page
    time.sleep(0.2)
    gc.collect()
    assert not [warning for warning in recwarn.list if "unclosed" in str(warning.message)]
