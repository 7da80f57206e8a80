"""A real Orthanc on loopback with a scratch folder, and a small server to put in front of it or in its place."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.intake.files.limits import LIMITS, Limits
from core.intake.pacs.client import DicomWebServer, LoadCancelled, fetch_series
from core.intake.pacs.transport import PATIENCE, Patience
from core.intake.scan.load import load_study
from core.intake.scan.repairs import Repair
from core.progress import Share
from core.records import CtStudy

RECEIVED_SHARE = 0.8
USER, PASSWORD = "reader", "Pl4nted-Wörd"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
INSTALL = "apt-get install --no-install-recommends orthanc orthanc-dicomweb"


def require_orthanc() -> str:
    """Path of Orthanc's program. Without it the test skips and says so; where CI is set, it fails."""
    program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program and PLUGIN.exists():
        return program
    reason = f"NOT TESTED against a real PACS: Orthanc and its DICOMweb plugin are not installed ({INSTALL})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port of the loopback address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """One running Orthanc."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        config = folder / "orthanc.json"
        config.write_text(json.dumps(_config(folder / "store", self.port)), encoding="utf-8")
        self._log = (folder / "orthanc.log").open("wb")
        self._command = [program, str(config)]
        self.start()

    def start(self) -> None:
        """Run it, again perhaps, on the same port with what is stored."""
        self.process = subprocess.Popen(self._command, stdout=self._log, stderr=subprocess.STDOUT)
        self._wait()

    def rest(self, method: str, path: str, body: str | None = None) -> bytes:
        """Orthanc's own interface."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        signed = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        try:
            connection.request(method, path, body, {"Authorization": f"Basic {signed}"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, content
        return content

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        pytest.fail("Orthanc did not start")

    @property
    def server(self) -> DicomWebServer:
        return server_at(self.port)

    def stop(self) -> None:
        """End this very process."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._log.close()


def _config(store: Path, port: int) -> dict[str, object]:
    return {
        "Name": "TEST", "StorageDirectory": str(store), "IndexDirectory": str(store), "Plugins": [str(PLUGIN)],
        "HttpPort": port, "HttpBindAddresses": ["127.0.0.1"], "DicomServerEnabled": False,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }  # fmt: skip


def server_at(port: int, **settings: object) -> DicomWebServer:
    """The DICOMweb address of a loopback port, with the right credentials unless told otherwise."""
    signed = {"username": USER, "password": PASSWORD} | settings
    return DicomWebServer(f"http://127.0.0.1:{port}/dicom-web", **signed)  # type: ignore[arg-type]


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """An Orthanc that ends with the block."""
    orthanc = Orthanc(require_orthanc(), folder)
    try:
        yield orthanc
    finally:
        orthanc.stop()


class Front(BaseHTTPRequestHandler):
    """Hands a request on to Orthanc unless the test's own `act` has answered it."""

    protocol_version = "HTTP/1.1"
    act: Callable[[Front], bool]
    target: int | None
    seen: list[str]
    lock: threading.Lock

    def do_GET(self) -> None:
        self.body = self._body()
        with self.lock:
            self.seen.append(self.path)
        try:
            if not self.act(self):
                self.relay()
        except OSError:
            self.close_connection = True

    do_POST = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    @property
    def is_image(self) -> bool:
        """Whether one image is asked for."""
        return "/instances/" in self.path

    def relay(self, path: str | None = None) -> None:
        """Ask Orthanc, for another path perhaps, and pass its answer on."""
        status, headers, body = self.ask(path)
        self.answer(status, headers.get("Content-Type", ""), body)

    def ask(self, path: str | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Orthanc's answer."""
        assert self.target is not None
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=20)
        kept = ("Accept", "Authorization", "Content-Type")
        headers = {name: value for name, value in self.headers.items() if name in kept}
        try:
            connection.request(self.command, path or self.path, self.body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def answer(self, status: int, kind: str = "", body: bytes = b"", **headers: str) -> bool:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        return True

    def reset(self) -> bool:
        """Break the connection without a word."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        return True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


class Fronting:
    """A running front: its port, its requests so far."""

    def __init__(self, act: Callable[[Front], bool], target: int | None, tls: ssl.SSLContext | None) -> None:
        self.seen: list[str] = []
        members = {"act": staticmethod(act), "target": target, "seen": self.seen, "lock": threading.Lock()}
        self.http = _Server(("127.0.0.1", 0), type("Handler", (Front,), members))
        self.port = int(self.http.server_address[1])
        if tls is not None:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def server(self) -> DicomWebServer:
        return server_at(self.port)


@contextmanager
def front(
    act: Callable[[Front], bool], target: int | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Fronting]:
    """A server that answers by `act(request)`, from the port `target` where it did not; https with `tls`."""
    running = Fronting(act, target, tls)
    try:
        yield running
    finally:
        running.http.shutdown()
        running.http.server_close()


@contextmanager
def silent() -> Iterator[tuple[str, threading.Event]]:
    """A server that accepts one connection and says nothing: its address, and whether the other side has hung up."""
    hung_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def keep() -> None:
            with listening.accept()[0] as connection:
                while connection.recv(4096):
                    pass
            hung_up.set()

        threading.Thread(target=keep, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/rs", hung_up


def load_series(
    server: DicomWebServer,
    study_uid: str,
    series_uid: str,
    *,
    progress: Share | None = None,
    cancelled: Callable[[], bool] | None = None,
    repairs: Collection[Repair] = (),
    limits: Limits = LIMITS,
    patience: Patience = PATIENCE,
) -> CtStudy:
    """Receive one series and read it through the same checks as a folder (`core.load.load_study`).

    progress: called with the share done, 0 to 1. cancelled: asked several times a second; True stops at once.
    Raises what `fetch_series` and `load_study` raise; there is either a whole study or none.
    """

    def received(share: float) -> None:
        if progress is not None:
            progress(share * RECEIVED_SHARE)

    def reading(share: float, _: str) -> None:
        if cancelled is not None and cancelled():
            raise LoadCancelled
        if progress is not None:
            progress(RECEIVED_SHARE + share * (1 - RECEIVED_SHARE))

    files = fetch_series(
        server, study_uid, series_uid, progress=received, cancelled=cancelled, limits=limits, patience=patience
    )
    return load_study(files, repairs=repairs, progress=reading, limits=limits)
