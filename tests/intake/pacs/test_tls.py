"""Encryption to a DICOMweb server: a private authority can be named, what cannot be verified is refused unasked."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
import trustme
from ct_factory import dicom_files
from orthanc_support import PASSWORD, USER, Fronting, front, load_series, running_orthanc
from streamlit.testing.v1 import AppTest

from core.errors import UserFacingError
from core.intake.pacs.client import DicomWebServer, find_studies, store_instances
from core.intake.pacs.transport import Patience
from core.load import load_study

QUICK = Patience(connect_s=2, stall_s=2, query_s=5, attempts=2, backoff_s=0.02)
JSON = "application/dicom+json"
SOURCES = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    return written(authority, tmp_path / "authority.pem")


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Fronting]:
    with encrypted(authority.issue_cert("127.0.0.1", "localhost")) as running:
        yield running


def written(authority: trustme.CA, path: Path) -> str:
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def encrypted(certificate: trustme.LeafCert, target: int | None = None):  # type: ignore[no-untyped-def]
    """A loopback server with this certificate that finds nothing, or hands on to the port `target`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return front(lambda request: target is None and request.answer(200, JSON, b"[]"), target, context)


def at(port: int, ca_bundle: str | None = None, host: str = "127.0.0.1") -> DicomWebServer:
    return DicomWebServer(f"https://{host}:{port}/dicom-web", USER, PASSWORD, ca_bundle=ca_bundle)


def search(server: DicomWebServer) -> tuple[object, ...]:
    return find_studies(server, patient_id="PLANTED4711", patience=QUICK)


def refused(running: Fronting, ca_bundle: str | None) -> UserFacingError:
    """The refusal; nothing was asked of the server, so neither name nor password went out."""
    with pytest.raises(UserFacingError) as caught:
        search(at(running.port, ca_bundle))
    assert running.seen == []
    words = str(caught.value)
    for secret in ("PLANTED4711", PASSWORD, "127.0.0.1", "SSL", "OpenSSL", "Error(", "verify"):
        assert secret not in words
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


def test_the_authority_named_is_trusted(server: Fronting, bundle: str) -> None:
    assert search(at(server.port, bundle)) == search(at(server.port, bundle, "localhost")) == ()
    assert len(server.seen) == 2


def test_the_authority_of_the_environment_is_trusted_and_the_argument_goes_before_it(
    server: Fronting, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert search(at(server.port)) == ()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", written(trustme.CA(), tmp_path / "other.pem"))
    assert search(at(server.port, bundle)) == ()
    server.seen.clear()
    refused(server, None)


def test_without_the_authority_or_with_another_it_is_refused(server: Fronting, tmp_path: Path) -> None:
    for path in (None, written(trustme.CA(), tmp_path / "other.pem")):
        error = refused(server, path)
        assert "not signed by an authority" in error.found
        assert "authority's certificates" in error.next_step


@pytest.mark.parametrize(
    ("days", "words"), [((-20, -10), "has expired"), ((10, 20), "not valid yet"), ((-10, 10), None)]
)
def test_a_certificate_out_of_its_time(
    authority: trustme.CA, bundle: str, days: tuple[int, int], words: str | None
) -> None:
    first, last = (datetime.now(UTC) + timedelta(days=day) for day in days)
    with encrypted(authority.issue_cert("127.0.0.1", not_before=first, not_after=last)) as running:
        if words is None:
            assert search(at(running.port, bundle)) == ()
        else:
            assert words in refused(running, bundle).found


@pytest.mark.parametrize("name", ["pacs.example.org", "127.0.0.2"])
def test_a_certificate_of_another_machine(authority: trustme.CA, bundle: str, name: str) -> None:
    with encrypted(authority.issue_cert(name)) as running:
        assert "another address" in refused(running, bundle).found


def test_a_bundle_that_is_none(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.txt").write_text("MIRABELLE was here", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    authority.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    told = set()
    for name in ("note.txt", "key.pem", "empty", "missing.pem", "odd\0name"):
        with pytest.raises(UserFacingError, match="No certificates of an authority") as caught:
            at(443, str(tmp_path / name))
        told.add(str(caught.value))
    assert len(told) == 1, "the words tell nobody what lies on the machine"
    assert str(tmp_path) not in told.pop()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(UserFacingError, match="REQUESTS_CA_BUNDLE"):
        at(443)
    assert DicomWebServer("http://127.0.0.1:80/dicom-web").ca_bundle is None, "unencrypted: nothing to verify"


def test_a_series_comes_through_encryption_as_it_is(authority: trustme.CA, bundle: str, tmp_path: Path) -> None:
    files = dicom_files()
    images = [pydicom.dcmread(io.BytesIO(data)) for _, data in files]
    with running_orthanc(tmp_path) as orthanc:
        store_instances(orthanc.server, images)
        with encrypted(authority.issue_cert("127.0.0.1"), orthanc.port) as running:
            study = load_series(at(running.port, bundle), images[0].StudyInstanceUID, images[0].SeriesInstanceUID)
    assert study.digest == load_study(files).digest


def form() -> None:
    from pages._parts import pacs

    pacs.draw()


def test_the_form_takes_the_authority(server: Fronting, bundle: str) -> None:
    app = AppTest.from_function(form, default_timeout=20).run()
    app.text_input(key="pacs_url").set_value(f"https://127.0.0.1:{server.port}/dicom-web")
    app.text_input(key="pacs_number").set_value("PLANTED4711")
    app.button(key="pacs_search").click().run()
    assert "not signed by an authority" in "".join(node.proto.body for node in app.get("html"))
    app.text_input(key="pacs_ca").set_value(f" {bundle} ")
    app.button(key="pacs_search").click().run()
    assert "No study matches" in "".join(node.proto.body for node in app.get("html"))
    assert not app.exception


def test_nothing_switches_the_check_off() -> None:
    files = [*(SOURCES / "core").rglob("*.py"), *(SOURCES / "pages").rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert "ca_bundle" in text
    for switch in ("verify=False", "verify = False", "CERT_NONE", "check_hostname = False", "_create_unverified"):
        assert switch not in text
