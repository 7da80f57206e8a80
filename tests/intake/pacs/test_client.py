"""A real PACS: what comes from Orthanc is what the same files give, and every failure is told in words or mended."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pydicom
import pytest
from ct_factory import IMPLICIT, Grid, NamedBytes, assert_right, dicom_files
from hypothesis import given, settings
from hypothesis import strategies as st
from orthanc_support import PASSWORD, Front, Orthanc, free_port, front, load_series, running_orthanc, server_at
from streamlit.testing.v1 import AppTest

from core.errors import UserFacingError
from core.intake.files.limits import MIB, Limits
from core.intake.pacs.client import (
    DicomWebServer,
    LoadCancelled,
    fetch_series,
    find_studies,
    list_series,
    store_instances,
)
from core.intake.pacs.server import check_peer
from core.intake.pacs.transport import Patience
from core.intake.scan.repairs import RepairableError
from core.load import load_study
from pages._parts.pacs import Kept

NAME, NUMBER, ACCESSION = "Zuckerstein^Melusine", "PLANTED4711", "ACC0815"
QUICK = Patience(connect_s=2, stall_s=2, query_s=5, attempts=4, backoff_s=0.02)
JSON = "application/dicom+json"
STUDY, SERIES = "1.2.826.0.1.3680043.9.1.1", "1.2.826.0.1.3680043.9.1.2"


def plant(index: int, dataset: pydicom.Dataset) -> None:
    dataset.PatientName, dataset.PatientID = NAME, NUMBER
    dataset.AccessionNumber, dataset.StudyDate, dataset.StudyDescription = ACCESSION, "20210304", f"Chest CT {NAME}"
    dataset.SeriesNumber = 701


def plant_other(index: int, dataset: pydicom.Dataset) -> None:
    plant(index, dataset)
    dataset.PatientID, dataset.AccessionNumber = "OTHER", "OTHER"


def datasets(files: list[NamedBytes]) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(io.BytesIO(data)) for _, data in files]


FILES = dicom_files(edit=plant)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        store_instances(running.server, datasets(FILES))
        yield running


@pytest.fixture(autouse=True)
def nothing_planted_in_logs(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    """Every test of this file: no log record or warning at any level holds what must stay private."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_private(caplog.text + "".join(str(warning.message) for warning in recwarn.list))


def assert_private(text: str) -> None:
    for secret in ("zuckerstein", "melusine", NUMBER, ACCESSION, PASSWORD, STUDY, "t0ken"):
        assert secret.lower() not in text.lower()


def refusal(call: Callable[[], object]) -> UserFacingError:
    """The error of a call; neither its words nor the errors behind it hold what must stay private."""
    with pytest.raises(UserFacingError) as caught:
        call()
    error = caught.value
    behind = error.__cause__ or error.__context__
    assert behind is None, "an error behind it would carry the library's own words into a traceback"
    assert error.found
    assert error.expected
    assert error.next_step
    assert_private(str(error) + "".join(traceback.format_exception_only(error)))
    for word in ("Traceback", "requests.", "urllib3", "HTTPConnection", "Error("):
        assert word not in str(error)
    return error


def load(server: DicomWebServer, **settings: object) -> object:
    return load_series(server, STUDY, SERIES, **({"patience": QUICK} | settings))  # type: ignore[arg-type]


def test_the_guard_of_the_logs_would_see_them(caplog):
    """The library does log what is searched for; only its silence keeps that out."""
    with front(lambda request: request.answer(200, JSON, b"[]")) as running:
        with caplog.at_level(logging.DEBUG, "dicomweb_client"):
            find_studies(running.server, patient_id=NUMBER)
        assert NUMBER in caplog.text
        caplog.clear()
        find_studies(running.server, patient_id=NUMBER)
        assert caplog.text == ""


# ---------------------------------------------------------------- what comes back


def test_a_loaded_series_is_what_the_same_files_give(orthanc):
    shares: list[float] = []
    study = load_series(orthanc.server, STUDY, SERIES, progress=shares.append)
    same = load_study(FILES)
    assert np.array_equal(study.voxels_hu, same.voxels_hu)
    assert np.array_equal(study.affine_mm, same.affine_mm)
    assert (study.notes, study.description, study.digest) == (same.notes, same.description, same.digest)
    assert_right(study)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_images_arrive_byte_for_byte(orthanc):
    pixels = {
        pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID: data for _, data in dicom_files(seed=7, syntax=IMPLICIT)
    }
    store_instances(orthanc.server, [pydicom.dcmread(io.BytesIO(data)) for data in pixels.values()])
    first = pydicom.dcmread(io.BytesIO(next(iter(pixels.values()))))
    files = fetch_series(orthanc.server, first.StudyInstanceUID, first.SeriesInstanceUID)
    for _, data in files:
        sent = pydicom.dcmread(io.BytesIO(data))
        kept = pydicom.dcmread(io.BytesIO(pixels.pop(sent.SOPInstanceUID)))
        assert sent.file_meta.TransferSyntaxUID == IMPLICIT
        assert sent == kept
    assert not pixels


def test_search_finds_by_number_accession_and_date_and_nothing_else(orthanc):
    server = orthanc.server
    for wanted in (
        {"patient_id": NUMBER},
        {"accession": ACCESSION},
        {"patient_id": NUMBER, "study_date": (date(2021, 3, 4), date(2021, 3, 4))},
        {"patient_id": NUMBER, "study_date": (None, date(2021, 12, 31))},
    ):
        (row,) = find_studies(server, **wanted)
        assert (row.study_uid, row.patient_name, row.patient_id) == (STUDY, NAME, NUMBER)
        assert (row.study_date, row.modalities, row.series, row.description) == ("20210304", ("CT",), 1, "Chest CT")
        assert_private(repr(row))
    assert find_studies(server, patient_id="PLANTED471") == ()
    assert find_studies(server, patient_id=NUMBER, study_date=(date(2021, 3, 5), None)) == ()


def test_series_are_listed_with_what_helps_to_choose(orthanc):
    (row,) = list_series(orthanc.server, STUDY)
    assert (row.series_uid, row.modality, row.instances) == (SERIES, "CT", len(FILES))
    assert (row.description, row.kernel, row.number) == ("Thorax 2.0 B40f", "B40f", 701)
    assert "no series" in refusal(lambda: list_series(orthanc.server, STUDY + ".9")).found


def test_a_search_for_nothing_or_for_everything_is_refused(orthanc):
    assert "Nothing" in refusal(lambda: find_studies(orthanc.server, patient_id=" ")).found
    for term in ("*", "PLANTED47??", "a\\b", "x" * 65, "a\nb"):
        refusal(lambda term=term: find_studies(orthanc.server, patient_id=term))


def test_the_checks_of_a_folder_hold_and_repairs_work(orthanc):
    """A gap in the series is refused, and lifted by the same repair as for files."""
    files = dicom_files(edit=plant_other, seed=11)
    kept = [dataset for dataset in datasets(files) if dataset.SOPInstanceUID.rsplit(".", 1)[1] not in ("6", "7")]
    store_instances(orthanc.server, kept)
    study_uid, series_uid = kept[0].StudyInstanceUID, kept[0].SeriesInstanceUID
    with pytest.raises(RepairableError) as caught:
        load_series(orthanc.server, study_uid, series_uid)
    study = load_series(orthanc.server, study_uid, series_uid, repairs=caught.value.repairs[:1])
    assert_right(study)
    assert study.shape[2] == 9


def test_a_series_that_is_not_there_and_uids_that_are_none(orthanc):
    assert "no image" in refusal(lambda: load_series(orthanc.server, STUDY, SERIES + ".9")).found
    for uid in ("", "../../secret", "1.2/3", "1.2?x=1", "1." * 40 + "1"):
        assert "UID" in refusal(lambda uid=uid: load_series(orthanc.server, STUDY, uid)).found


# ---------------------------------------------------------------- signing in and getting there


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": None, "password": None}, {"username": "other"}])
def test_wrong_credentials(orthanc, wrong):
    server = server_at(orthanc.port, **wrong)
    for call in (
        lambda: find_studies(server, patient_id=NUMBER),
        lambda: load(server),
        lambda: store_instances(server, datasets(FILES[:1])),
    ):
        words = "asks to sign in" if server.username is None else "refuses these credentials"
        assert words in refusal(call).found


def test_a_token_is_sent_as_bearer_and_shown_nowhere(orthanc):
    tokens = []

    def act(request: Front) -> bool:
        tokens.append(request.headers["Authorization"])
        return request.answer(200, JSON, b"[]")

    with front(act) as running:
        server = server_at(running.port, username=None, password=None, token="t0ken")
        assert find_studies(server, patient_id=NUMBER) == ()
    assert tokens == ["Bearer t0ken"]
    assert_private(repr(server))
    assert_private(repr(orthanc.server))


def test_nobody_listens():
    assert "cannot be reached" in refusal(lambda: load(server_at(free_port()))).found


def test_unknown_name_and_failed_encryption():
    name = DicomWebServer("http://no-such-machine.invalid/dicom-web")
    assert "No machine" in refusal(lambda: find_studies(name, patient_id=NUMBER, patience=QUICK)).found
    with front(lambda request: request.answer(200, JSON, b"[]")) as running:
        plain = DicomWebServer(f"https://127.0.0.1:{running.port}")
        assert "encrypted" in refusal(lambda: find_studies(plain, patient_id=NUMBER, patience=QUICK)).found


@pytest.mark.parametrize(
    "url",
    [
        "", "pacs", "ftp://pacs/x", "http://", "http://u:Pl4nted-Wörd@pacs/x", "http://pacs/x?token=t0ken", "http://pacs/#x",
        "http://pacs:99999/", "http://pa cs/", "file:///etc/passwd", "http://pacs\\@other/", "http://[::1",
    ],
)  # fmt: skip
def test_addresses_that_are_none(url):
    refusal(lambda: DicomWebServer(url))


def test_credentials_that_cannot_be_sent():
    for wrong in (
        {"username": "a", "password": "b\nX: y"},
        {"username": "a:b", "password": "c"},
        {"password": "c"},
        {"token": "t0ken", "username": "a"},
        {"token": "t0ken\r\nX: y"},
    ):
        refusal(lambda wrong=wrong: DicomWebServer("http://127.0.0.1", **wrong))


def test_which_machines_may_be_reached():
    for address in ("127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "fd00::1", "::ffff:10.0.0.1"):
        check_peer("http", address, allow_public_http=False)
    for address in ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"):
        assert "encryption" in refusal(lambda a=address: check_peer("http", a, allow_public_http=False)).found
        check_peer("https", address, allow_public_http=False)
        check_peer("http", address, allow_public_http=True)
    for address in ("169.254.169.254", "fe80::1%eth0", "224.0.0.1", "0.0.0.0", "::ffff:169.254.169.254"):
        for scheme in ("http", "https"):
            refusal(lambda a=address, s=scheme: check_peer(s, a, allow_public_http=True))


def test_the_machine_is_checked_before_anything_is_sent(monkeypatch):
    def refuse(scheme: str, address: str, *, allow_public_http: bool) -> None:
        assert (scheme, address, allow_public_http) == ("http", "127.0.0.1", False)
        raise UserFacingError("No.", "another", "Choose.")

    with front(lambda request: request.answer(200, JSON, b"[]")) as running:
        assert find_studies(running.server, patient_id=NUMBER) == ()
        assert len(running.seen) == 1
        monkeypatch.setattr("core.intake.pacs.transport.check_peer", refuse)
        assert refusal(lambda: find_studies(running.server, patient_id=NUMBER)).found == "No."
        assert len(running.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_never_follow_a_redirect(status):
    with front(lambda request: request.answer(200, JSON, b"[]")) as other:
        target = f"http://localhost:{other.port}/dicom-web/studies"
        with front(lambda request: request.answer(status, "text/html", b"moved", Location=target)) as running:
            error = refusal(lambda: find_studies(running.server, patient_id=NUMBER))
        assert "another address" in error.found
        assert other.seen == []


def test_passwords_and_proxies_of_the_environment_are_not_used(monkeypatch, tmp_path: Path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    signed = []

    def act(request: Front) -> bool:
        signed.append(request.headers["Authorization"])
        return request.answer(200, JSON, b"[]")

    with front(act) as running:
        find_studies(server_at(running.port, username=None, password=None), patient_id=NUMBER)
    assert signed == [None]


# ---------------------------------------------------------------- servers that fail while loading


def test_short_failures_are_mended(orthanc):
    """Each image fails three times, in three ways, before it comes."""
    failed: dict[str, int] = {}

    def act(request: Front) -> bool:
        if not request.is_image:
            return False
        with request.lock:
            times = failed[request.path] = failed.get(request.path, 0) + 1
        if times == 1:
            return request.answer(503, "text/plain", b"busy")
        if times == 2:
            return request.reset()
        return cut_short(request) if times == 3 else False

    with front(act, orthanc.port) as running:
        study = load(running.server)
    assert study.digest == load_study(FILES).digest
    again = 11
    assert sorted(failed.values()) == [4] * (len(FILES) - again) + [5] * again, "asked for once more at the end"
    assert len(failed) == len(FILES)


def cut_short(request: Front) -> bool:
    """Promise the whole image, send a part, hang up."""
    _, headers, body = request.ask()
    request.send_response(200)
    request.send_header("Content-Type", headers["Content-Type"])
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: len(body) // 2])
    request.wfile.flush()
    request.close_connection = True
    return True


def test_an_image_cut_short_without_a_stated_length_is_not_taken(orthanc):
    """No length, no closing boundary: the pixels end early, and the image is asked for again."""
    cut = []

    def act(request: Front) -> bool:
        if not request.is_image or len(cut) >= 2:
            return False
        cut.append(request.path)
        _, headers, body = request.ask()
        request.send_response(200)
        request.send_header("Content-Type", headers["Content-Type"])
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body[: len(body) - 300])
        request.close_connection = True
        return True

    with front(act, orthanc.port) as running:
        assert load(running.server).digest == load_study(FILES).digest
    assert len(cut) == 2


@pytest.mark.parametrize(("status", "tries"), [(503, 4), (502, 4), (504, 4), (500, 1), (404, 1), (403, 1)])
def test_lasting_failures_end_after_a_bounded_number_of_tries(status, tries):
    with front(lambda request: request.answer(status, "text/html", b"<html>")) as running:
        error = refusal(lambda: find_studies(running.server, patient_id=NUMBER, patience=QUICK))
        assert len(running.seen) == tries
    assert str(status) in error.found or status == 403


def test_a_server_killed_while_loading(tmp_path):
    with running_orthanc(tmp_path) as mortal:
        store_instances(mortal.server, datasets(FILES))
        served = []

        def act(request: Front) -> bool:
            if request.is_image:
                served.append(request.path)
            if len(served) == 5:
                mortal.process.kill()
                mortal.process.wait(10)
            return False

        with front(act, mortal.port) as running:
            assert "broke" in refusal(lambda: load(running.server)).found
        assert len(served) >= 5
        assert "cannot be reached" in refusal(lambda: load(mortal.server)).found


def during(image: int, deed: Callable[[], object]) -> Callable[[Front], bool]:
    """Do something once, as that many images have been asked for, while Orthanc is asked for none."""
    asked: list[str] = []

    def act(request: Front) -> bool:
        with request.lock:
            asked.extend([request.path] if request.is_image else [])
            if len(asked) == image and request.is_image:
                deed()
            request.relay()
        return True

    return act


def test_a_series_that_grows_while_it_loads(orthanc):
    grid = Grid(shape=(24, 20, 19))
    late = datasets(dicom_files(grid, edit=plant_other, seed=21))
    study_uid, series_uid = late[0].StudyInstanceUID, late[0].SeriesInstanceUID
    store_instances(orthanc.server, late[:-3])
    with front(during(4, lambda: store_instances(orthanc.server, late[-3:])), orthanc.port) as running:
        error = refusal(lambda: load_series(running.server, study_uid, series_uid, patience=QUICK))
        assert error.found.startswith("3 slices arrived while loading")
        assert_right(load_series(running.server, study_uid, series_uid, patience=QUICK))


def planted(orthanc: Orthanc, seed: int, **other: object) -> tuple[str, str, list[pydicom.Dataset]]:
    """(study, series, images) now on the server."""

    def edit(index: int, dataset: pydicom.Dataset) -> None:
        plant_other(index, dataset)
        for name, value in other.items():
            setattr(dataset, name, value)

    images = datasets(dicom_files(edit=edit, seed=seed))
    store_instances(orthanc.server, images)
    return images[0].StudyInstanceUID, images[0].SeriesInstanceUID, images


def test_a_series_deleted_or_replaced_on_the_server_while_it_loads(orthanc):
    """Replaced under the same UIDs by images 20 HU brighter, which no check of one volume could tell."""

    def delete(series_uid: str) -> None:
        (found,) = json.loads(orthanc.rest("POST", "/tools/lookup", series_uid))
        orthanc.rest("DELETE", f"/series/{found['ID']}")

    study_uid, series_uid, images = planted(orthanc, 51)
    with front(during(6, lambda: delete(series_uid)), orthanc.port) as running:
        assert "not there" in refusal(lambda: load_series(running.server, study_uid, series_uid, patience=QUICK)).found
    assert "no image" in refusal(lambda: load_series(orthanc.server, study_uid, series_uid)).found
    store_instances(orthanc.server, images)

    def replace() -> None:
        delete(series_uid)
        for image in images:
            image.PixelData = (np.frombuffer(image.PixelData, "<u2") + np.uint16(20)).astype("<u2").tobytes()
        store_instances(orthanc.server, images)

    with front(during(8, replace), orthanc.port) as running:
        assert "replaced" in refusal(lambda: load_series(running.server, study_uid, series_uid, patience=QUICK)).found


def test_a_server_that_restarts_while_loading_is_waited_for(tmp_path):
    with running_orthanc(tmp_path) as restarting:
        store_instances(restarting.server, datasets(FILES))

        def restart() -> None:
            restarting.process.kill()
            restarting.process.wait(10)
            threading.Timer(0.3, restarting.start).start()

        with front(during(6, restart), restarting.port) as running:
            study = load(running.server, patience=Patience(attempts=7, backoff_s=0.1))
        assert study.digest == load_study(FILES).digest


def test_numbers_with_signs_are_found_as_they_are(orthanc):
    for seed, number in enumerate(("851231/1234", "A:1@B", "A.B-1_C~2")):
        study_uid, _, _ = planted(orthanc, 60 + seed, PatientID=number)
        (row,) = find_studies(orthanc.server, patient_id=number)
        assert (row.study_uid, row.patient_id) == (study_uid, number)
    asked = []

    def act(request: Front) -> bool:
        asked.append(parse_qs(urlsplit(request.path).query, strict_parsing=True)["PatientID"])
        return request.answer(200, JSON, b"[]")

    odd = "1/2 3+4&5=6%7#8,9;\u00fc"
    with front(act) as running:
        find_studies(running.server, patient_id=odd)
        assert "%20" in running.seen[0]
    assert asked == [[odd]], "whatever the quoting, it means the same"


def test_a_series_that_shrinks_while_it_loads(orthanc):
    gone: list[str] = []

    def act(request: Front) -> bool:
        if request.is_image or "/instances" not in request.path or not gone:
            gone.extend([request.path] if request.is_image else [])
            return False
        status, headers, body = request.ask()
        return request.answer(status, headers["Content-Type"], json.dumps(json.loads(body)[1:]).encode())

    with front(act, orthanc.port) as running:
        assert "lists" in refusal(lambda: load(running.server)).found
    missing: list[str] = []

    def lose(request: Front) -> bool:
        missing.extend([request.path] if request.is_image and not missing else [])
        return request.path in missing and request.answer(404)

    with front(lose, orthanc.port) as running:
        assert "404" in refusal(lambda: load(running.server)).found


def test_an_image_of_another_series_is_not_taken(orthanc):
    other = datasets(dicom_files(edit=plant_other, seed=31))
    store_instances(orthanc.server, other)
    prefix = other[0].SOPInstanceUID.rsplit(".", 1)[0]

    def act(request: Front) -> bool:
        if request.is_image and request.path.endswith(".4.7"):
            series = f"{other[0].StudyInstanceUID}/series/{other[0].SeriesInstanceUID}"
            request.relay(f"/dicom-web/studies/{series}/instances/{prefix}.7")
            return True
        return False

    with front(act, orthanc.port) as running:
        assert "another image" in refusal(lambda: load(running.server)).found


# ---------------------------------------------------------------- lists in pages


def limited(request: Front, rule: Callable[[str], str]) -> bool:
    if "/instances?" not in request.path:
        return False
    request.relay(rule(request.path))
    return True


def test_a_list_of_images_in_pages_is_read_to_its_end(orthanc):
    with front(lambda request: limited(request, lambda path: path.replace("limit=1000", "limit=5")), orthanc.port) as f:
        assert load(f.server).digest == load_study(FILES).digest
        assert sum("/instances?" in path for path in f.seen) == 2 * 5, "four pages and the empty one"


def test_a_list_that_stays_short_is_refused(orthanc):
    """A server that cuts its lists and knows no offset: 5 of 16 slices must not become a volume."""

    def rule(path: str) -> str:
        return path.split("?")[0] + "?limit=5"

    with front(lambda request: limited(request, rule), orthanc.port) as running:
        error = refusal(lambda: load(running.server))
    assert error.found == "The server states 16 images for this series but lists 5."


# ---------------------------------------------------------------- limits, slowness, stop


def test_limits_hold_while_receiving(orthanc):
    size = sum(len(data) for _, data in FILES)
    assert "MiB" in refusal(lambda: load(orthanc.server, limits=Limits(bytes_total=size // 2))).found
    assert "files" in refusal(lambda: load(orthanc.server, limits=Limits(entries=15))).found
    assert load(orthanc.server, limits=Limits(entries=16, bytes_total=2 * size)).shape == (24, 20, 16)


def endless(kind: str) -> Callable[[Front], bool]:
    """Bytes without end until the reader hangs up; what was sent is counted in `sent`."""

    def act(request: Front) -> bool:
        if not request.is_image and kind != JSON:
            return False
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Connection", "close")
        request.end_headers()
        while True:
            request.wfile.write(b" " * (1 << 16))

    return act


def test_bytes_without_end(orthanc):
    began = time.monotonic()
    with front(endless('multipart/related; type="application/dicom"; boundary=x'), orthanc.port) as running:
        error = refusal(lambda: load(running.server, limits=Limits(bytes_total=8 * MIB)))
    assert error.found.startswith("The server sends more than 8 MiB")
    with front(endless(JSON)) as running:
        error = refusal(lambda: find_studies(running.server, patient_id=NUMBER, patience=QUICK))
    assert error.found.startswith("The server sends more than 32 MiB")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("silent_after", ["connect", "headers", "drip"])
def test_a_server_that_falls_silent(silent_after):
    over = threading.Event()

    def act(request: Front) -> bool:
        if silent_after != "connect":
            request.send_response(200)
            request.send_header("Content-Type", JSON)
            request.send_header("Content-Length", "100000")
            request.end_headers()
        while not over.wait(0.05):
            if silent_after == "drip":
                request.wfile.write(b" ")
        return True

    patience = Patience(connect_s=1, stall_s=0.5, query_s=5, attempts=2, backoff_s=0.01)
    with front(act) as running:
        began = time.monotonic()
        error = refusal(lambda: find_studies(running.server, patient_id=NUMBER, patience=patience))
        assert time.monotonic() - began < 2
        over.set()
    assert "slowly" in error.found


def test_stop_works_at_once_even_while_the_server_is_silent(orthanc):
    over, began = threading.Event(), time.monotonic()

    def act(request: Front) -> bool:
        return request.is_image and over.wait(20)

    threads = threading.active_count()
    with front(act, orthanc.port) as running:
        waiting = threading.Event()
        threading.Timer(0.5, waiting.set).start()
        with pytest.raises(LoadCancelled):
            load_series(running.server, STUDY, SERIES, cancelled=waiting.is_set)
        assert time.monotonic() - began < 3
        over.set()
    until = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.02)
    assert threading.active_count() <= threads


def test_stop_while_images_arrive_and_once_they_have(orthanc):
    for moment in (0.3, 0.8):
        shares: list[float] = []
        with pytest.raises(LoadCancelled):
            load(orthanc.server, progress=shares.append, cancelled=lambda: bool(shares) and shares[-1] >= moment)  # noqa: B023
        assert shares[-1] < 1


def test_whatever_ends_the_reader_ends_the_exchange(orthanc):
    """A page that is left mid-load raises out of its progress bar; no thread goes on loading."""

    class Left(BaseException):
        pass

    def leave(share: float) -> None:
        raise Left

    with front(lambda request: False, orthanc.port) as running:
        with pytest.raises(Left):
            load(running.server, progress=leave)
        time.sleep(0.3)
        asked = len(running.seen)
        time.sleep(0.3)
        assert len(running.seen) == asked < 2 + len(FILES)


# ---------------------------------------------------------------- answers that are none


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html><body>Please sign in, Zuckerstein</body></html>"),
        (JSON, b"<html>"),
        (JSON, b'{"error": "Zuckerstein"}'),
        (JSON, b'[["1.2.3"]]'),
        (JSON, b'"text"'),
        (JSON, b"17"),
        (JSON, b"[" * 100_000),
        (JSON, b'[{"0020000D": {"vr": "UI", "Value": ["../../x"]}}]'),
        (JSON, b"\xff\xfe\x00"),
        ("application/dicom+xml", b"<NativeDicomModel/>"),
        ("", b""),
    ],
)
def test_answers_that_are_not_dicomweb(kind, body):
    with front(lambda request: request.answer(200, kind, body)) as running:
        error = refusal(lambda: find_studies(running.server, patient_id=NUMBER, patience=QUICK))
    assert "not as a DICOMweb service" in error.found


def test_no_content_is_an_empty_result():
    with front(lambda request: request.answer(204)) as running:
        assert find_studies(running.server, patient_id=NUMBER) == ()
        assert "no series" in refusal(lambda: list_series(running.server, STUDY)).found


def test_a_web_page_in_place_of_an_image(orthanc):
    def act(request: Front) -> bool:
        return request.is_image and request.answer(200, "text/html", b"<html>")

    with front(act, orthanc.port) as running:
        assert "not as a DICOMweb service" in refusal(lambda: load(running.server)).found


ONE = FILES[0][1]
ONE_UID = str(pydicom.dcmread(io.BytesIO(ONE)).SOPInstanceUID)
MULTIPART = 'multipart/related; type="application/dicom"; boundary=mark'


def parts(*images: bytes, mark: bytes = b"mark") -> bytes:
    """A multipart body."""
    heads = b"".join(b"\r\n--" + mark + b"\r\nContent-Type: application/dicom\r\n\r\n" + image for image in images)
    return heads + b"\r\n--" + mark + b"--\r\n"


def single(image_kind: str, image_body: bytes) -> Callable[[Front], bool]:
    """A series of one image that arrives as told."""
    series = [{"0020000E": {"vr": "UI", "Value": [SERIES]}, "00201209": {"vr": "IS", "Value": [1]}}]
    images = [{"00080018": {"vr": "UI", "Value": [ONE_UID]}}]

    def act(request: Front) -> bool:
        if request.is_image:
            request.close_connection = True
            return request.answer(200, image_kind, image_body, Connection="close")
        return request.answer(200, JSON, json.dumps(images if "/instances" in request.path else series).encode())

    return act


BODIES = st.one_of(
    st.just(parts(ONE)),
    st.integers(0, len(parts(ONE)) - 1).map(lambda end: parts(ONE)[:end]),
    st.tuples(st.integers(0, len(parts(ONE)) - 1), st.binary(max_size=40)).map(
        lambda cut: parts(ONE)[: cut[0]] + cut[1] + parts(ONE)[cut[0] :]
    ),
    st.lists(st.sampled_from([ONE, b"", b"\r\n", ONE[:400], FILES[1][1]]), max_size=3).map(lambda many: parts(*many)),
    st.binary(max_size=300),
    st.binary(max_size=300).map(parts),
    st.just(parts(ONE, mark=b"other")),
)
KINDS = st.sampled_from(
    [MULTIPART, MULTIPART.replace("=mark", '="mark"'), "multipart/related", "multipart/related; boundary=", "x/y", ""]
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(kind=KINDS, body=BODIES)
def test_hostile_multipart_gives_the_image_or_a_refusal(kind, body):
    """Cut, doubled, mislabelled or foreign: what is taken names its own UIDs and lies whole in the answer."""
    patience = Patience(connect_s=2, stall_s=5, query_s=5, attempts=1)
    with front(single(kind, body)) as running:
        given_back = outcome(lambda: fetch_series(running.server, STUDY, SERIES, patience=patience))
    if isinstance(given_back, UserFacingError):
        assert given_back.__context__ is None
        assert_private(str(given_back))
        assert (kind, body) != (MULTIPART, parts(ONE))
    else:
        ((_, taken),) = given_back
        assert taken in body
        assert pydicom.dcmread(io.BytesIO(taken)).SOPInstanceUID == ONE_UID


def outcome(call: Callable[[], list[NamedBytes]]) -> list[NamedBytes] | UserFacingError:
    try:
        return call()
    except UserFacingError as error:
        return error


# ---------------------------------------------------------------- giving back


def test_an_empty_list_of_failures_is_success_and_a_full_one_is_not():
    reference = {"00081150": {"vr": "UI", "Value": ["1.2"]}, "00081155": {"vr": "UI", "Value": ["1.2.3"]}}
    stored = {"00081199": {"vr": "SQ", "Value": [reference]}, "00081198": {"vr": "SQ", "Value": []}}
    failed = {"00081198": {"vr": "SQ", "Value": [reference]}}
    image = datasets(FILES[:1])
    for kind in (JSON, f"{JSON}; charset=utf-8"):
        with front(lambda request: request.answer(200, kind, json.dumps(stored).encode())) as running:  # noqa: B023
            assert store_instances(running.server, image) == 1
    for status, answer in ((202, failed), (200, failed), (200, {})):
        with front(lambda request: request.answer(status, JSON, json.dumps(answer).encode())) as running:  # noqa: B023
            assert "confirmed 0 of 1 object" in refusal(lambda: store_instances(running.server, image)).found
    with front(lambda request: request.answer(409, JSON, json.dumps(failed).encode())) as running:
        assert "409" in refusal(lambda: store_instances(running.server, image)).found


# ---------------------------------------------------------------- the form


def form() -> None:
    import streamlit as st

    from core.load import load_study
    from pages._parts import pacs

    received = pacs.draw()
    if received:
        st.text(f"{received[1]}: {load_study(received[0]).digest}")


def searched(server: DicomWebServer, password: str = PASSWORD) -> AppTest:
    app = AppTest.from_function(form, default_timeout=20).run()
    app.text_input(key="pacs_url").set_value(server.url)
    app.text_input(key="pacs_user").set_value(server.username or "")
    app.text_input(key="pacs_password").set_value(password)
    app.text_input(key="pacs_number").set_value(NUMBER)
    app.date_input(key="pacs_to").set_value(date(2021, 12, 31))
    app.button(key="pacs_search").click()
    return answered(app)


def answered(app: AppTest) -> AppTest:
    """Runs the page until nothing is asked of the server any more."""
    end = time.monotonic() + 60
    app.run()
    while any(str(button.key).startswith("pacs_cancel") for button in app.button):
        assert time.monotonic() < end, "no answer"
        time.sleep(0.05)
        app.run()
    return app


def told(app: AppTest) -> str:
    """The markup of the page, tables included."""
    return "".join(node.proto.body for node in app.get("html"))


def test_the_form_finds_and_receives_and_shows_names_only_when_asked(orthanc):
    app = searched(orthanc.server)
    assert not app.exception
    assert_private(told(app))
    assert "Thorax 2.0 B40f" in told(app)
    assert not app.text
    app.button(key="pacs_receive").click()
    answered(app)
    assert app.text[0].value == f"16 images from a DICOMweb server: {load_study(FILES).digest}"
    app.toggle(key="pacs_names").set_value(True).run()
    assert "Zuckerstein, Melusine" in told(app)
    assert app.text, "showing names keeps what was received"
    app.text_input(key="pacs_number").set_value("NOBODY")
    app.button(key="pacs_search").click()
    answered(app)
    assert not app.text
    assert "No study matches" in told(app)
    assert "<table" not in told(app)


def test_the_form_tells_refusals_and_keeps_nothing(orthanc):
    app = searched(orthanc.server, password="wrong")
    assert not app.exception
    assert "refuses these credentials" in told(app)
    assert app.session_state["store:pacs"] == Kept()

    def act(request: Front) -> bool:
        return request.is_image and request.answer(500)

    with front(act, orthanc.port) as running:
        app = searched(running.server)
        app.button(key="pacs_receive").click()
        answered(app)
        assert "status 500" in told(app)
    assert app.session_state["store:pacs"].files is None
