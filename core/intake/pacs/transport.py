"""Requests to a DICOMweb server under watch: bytes counted while they arrive, retries bounded, stoppable at any moment.

The library's blocking calls run in a few worker threads; the caller's thread looks at them several times a second, so
that a silent server, a drip of bytes or the reader's stop ends the exchange at once by shutting its sockets.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from dicomweb_client import DICOMwebClient
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from core.errors import UserFacingError
from core.intake.pacs.failures import (
    LoadCancelled,
    gone_meanwhile,
    in_words,
    is_transient,
    not_dicomweb,
    pause_asked_s,
    redirected,
    status_words,
    too_much,
    too_slow,
)
from core.intake.pacs.multipart import ALONE, MULTIPART, one_file
from core.intake.pacs.server import DicomWebServer, check_peer
from core.intake.pacs.tls import authorities

T = TypeVar("T")
CONNECTIONS = 4
_TICK_S = 0.1
_PIECE_BYTES = 1 << 16
_IMAGE = 'multipart/related; type="application/dicom"'
_STORED_IMAGE = f"{_IMAGE}; transfer-syntax=*"
_NOT_AS_STORED = (400, 406, 415)
"""How servers answer that do not know the request for an image in whatever encoding it is stored."""
_GONE = (404, 410)
_JSON = ("application/dicom+json", "application/json")
_MORE = re.compile(r"(?i)^299\b.*(additional|remaining|more) (results|matches)|^299\b.*exceed")
"""The warning that a list was cut (PS3.18, 8.3.4.4)."""
_BOM = b"\xef\xbb\xbf"

for _name in ("dicomweb_client", "urllib3", "requests", "retrying"):  # they log addresses with their queries
    logging.getLogger(_name).propagate = False
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try.

    connect_s: to connect. stall_s: without 64 KiB of data or a finished request. query_s: for a whole query or list.
    attempts: tries of one request; backoff_s: pause after the first failed one, doubled each time. longest_pause_s:
    that a busy server may ask for before the next try; with more it is not tried again.
    """

    connect_s: float = 5.0
    stall_s: float = 45.0
    query_s: float = 120.0
    attempts: int = 4
    backoff_s: float = 0.25
    longest_pause_s: float = 30.0


PATIENCE = Patience()


class Watch:
    """What all connections of one exchange share: bytes so far, the bound on them, open sockets, and the stop.

    idle_until: end of the pause that a busy server asked for (monotonic seconds). cut: whether it warned that the list
    it sent last is not all of it.
    """

    def __init__(self, most_bytes: int) -> None:
        self.received = 0
        self.idle_until = 0.0
        self.cut = False
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.stopped = threading.Event()

    def take(self, count: int) -> None:
        """Count bytes that arrived. Raises UserFacingError beyond the limit, LoadCancelled after the stop."""
        with self._lock:
            self.received += count
        if self.stopped.is_set():
            raise LoadCancelled
        if self.received > self._most_bytes:
            raise too_much(self._most_bytes)

    def expect(self, stated: str) -> None:
        """Refuse an answer whose stated length (bytes) goes beyond the limit, before it is received."""
        if re.fullmatch(r"[0-9]{1,18}", stated) and self.received + int(stated) > self._most_bytes:
            raise too_much(self._most_bytes)

    def pause(self, seconds: float) -> None:
        """Wait, or until the stop; a wait that the server asked for is not held against it."""
        with self._lock:
            self.idle_until = max(self.idle_until, time.monotonic() + seconds)
        self.stopped.wait(seconds)

    def opened(self, connection: socket.socket) -> None:
        """Remember a socket to shut it at the stop."""
        with self._lock:
            self._sockets.add(connection)
        if self.stopped.is_set():
            raise LoadCancelled

    def stop(self) -> None:
        """End every exchange, blocked ones too."""
        self.stopped.set()
        with self._lock:
            for connection in list(self._sockets):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except (OSError, ValueError):
                    pass  # closed already


class _Metered:
    """A urllib3 response whose stream is counted piece by piece."""

    def __init__(self, raw: Any, watch: Watch) -> None:
        self._raw, self._watch = raw, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        first = True
        for piece in self._raw.stream(min(amount, _PIECE_BYTES), decode_content=decode_content):
            self._watch.take(len(piece))
            yield piece.removeprefix(_BOM) if first else piece  # no DICOM file begins so, and JSON may (RFC 8259, 8.1)
            first = False


class _Session(requests.Session):
    """Streams every answer."""

    def request(self, method: Any, url: Any, *arguments: Any, **settings: Any) -> requests.Response:
        headers = dict(settings.get("headers") or {})
        headers.pop("Host", None)  # dicomweb-client sets it without the port
        headers.setdefault("Accept", ", ".join(_JSON))
        return super().request(
            method, _plainly_quoted(str(url)), *arguments, **(settings | {"headers": headers, "stream": True})
        )


def _plainly_quoted(url: str) -> str:
    """The address with its query quoted as RFC 3986, 3.4 has it: what may stand there plainly does, a space is %20.

    The library quotes as web forms do. Not every server undoes that (Orthanc 1.10 finds no 12%2F34), and then the list
    is empty without a word.
    """
    place, sign, query = url.partition("?")
    for quoted, plain in (("+", "%20"), ("%2F", "/"), ("%3A", ":"), ("%40", "@")):
        query = query.replace(quoted, plain)
    return place + sign + query


def _guarded_adapter(server: DicomWebServer, watch: Watch) -> HTTPAdapter:
    """An adapter that looks at the machine it reached before it sends anything, and remembers the socket."""

    def guard(connection: HTTPConnection, scheme: str) -> None:
        assert connection.sock is not None
        check_peer(scheme, connection.sock.getpeername()[0], allow_public_http=server.allow_public_http)
        watch.opened(connection.sock)

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            guard(self, "http")

    class Encrypted(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            guard(self, "https")

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    adapter = HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0)
    adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
    return adapter


def _open_session(server: DicomWebServer, watch: Watch) -> requests.Session:
    """A session whose traffic is under `watch`; proxies and passwords of the environment are not used."""
    session = _Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    session.verify = authorities(server.ca_bundle) or True
    if server.token:
        session.headers["Authorization"] = f"Bearer {server.token}"
    elif server.username:
        session.auth = HTTPBasicAuth(server.username.encode(), (server.password or "").encode())
    for scheme in ("http://", "https://"):
        session.mount(scheme, _guarded_adapter(server, watch))
    return session


def _check_answer(response: requests.Response, watch: Watch) -> requests.Response:
    """Refuse an answer of another kind than was asked for, before its content is read."""
    response.raw = _Metered(response.raw, watch)
    status = response.status_code
    if 300 <= status < 400:
        raise redirected()
    if 400 <= status < 600:
        response.close()
        return response
    if status not in ((200, 202) if response.request.method == "POST" else (200, 203, 204, 206)):
        raise status_words(status)
    watch.expect(response.headers.get("Content-Length", ""))
    watch.cut = bool(_MORE.search(response.headers.get("Warning", "")))
    _check_kind(response)
    return response


def _check_kind(response: requests.Response) -> None:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if str(response.request.headers["Accept"]).startswith(_IMAGE):
        if response.status_code == 204:
            raise gone_meanwhile(204)
        if kind not in (MULTIPART, ALONE):
            raise not_dicomweb()
    elif kind in _JSON:
        response.headers["Content-Type"] = kind
    elif response.status_code != 204:
        raise not_dicomweb()


class Exchange:
    """Requests to one server: `client` searches and stores, `image` retrieves one image; `watch` looks at all of it."""

    def __init__(self, server: DicomWebServer, most_bytes: int, patience: Patience) -> None:
        self.watch, self._patience = Watch(most_bytes), patience
        self._session = _open_session(server, self.watch)
        self._timeout = (patience.connect_s, patience.stall_s)

        def check(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
            try:
                return _check_answer(response, self.watch)
            except UserFacingError:
                response.close()  # an unread answer would keep its connection
                raise

        settings: dict[str, Any] = {"callback": check, "chunk_size": _PIECE_BYTES, "timeout": self._timeout}
        self.client = DICOMwebClient(server.url, self._session, **settings)
        self.client.set_http_retry_params(retry=False)

    def image(self, url: str) -> bytes:
        """One image as the server keeps it; where it cannot send that, in the encoding of its choice."""
        answer = self._session.get(url, headers={"Accept": _STORED_IMAGE}, timeout=self._timeout)
        if answer.status_code in _NOT_AS_STORED:
            answer = self._session.get(url, headers={"Accept": _IMAGE}, timeout=self._timeout)
        if answer.status_code in _GONE:
            raise gone_meanwhile(answer.status_code)
        answer.raise_for_status()
        return one_file(answer)

    def run(
        self,
        tasks: Sequence[Callable[[], T]],
        *,
        cancelled: Callable[[], bool] | None = None,
        tick: Callable[[int], None] | None = None,
        deadline_s: float | None = None,
    ) -> list[T]:
        """`run_watched`, once; nothing can be asked afterwards."""
        try:
            return run_watched(tasks, self.watch, self._patience, cancelled=cancelled, tick=tick, deadline_s=deadline_s)
        finally:
            self._session.close()


def run_watched(
    tasks: Sequence[Callable[[], T]],
    watch: Watch,
    patience: Patience,
    *,
    cancelled: Callable[[], bool] | None = None,
    tick: Callable[[int], None] | None = None,
    deadline_s: float | None = None,
) -> list[T]:
    """Results of the tasks, in their order; a few run at a time, transient failures are tried again.

    tick: called with the number of finished tasks, about ten times a second, in the caller's thread.
    Raises UserFacingError for the first lasting failure, a stalled or too slow server, or the reader's stop; whatever
    ends the call, exceptions raised by `tick` included, ends the exchange and its connections.
    """
    pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="dicomweb")
    futures = [pool.submit(_persistent(task, watch, patience)) for task in tasks]
    clock = _Clock(watch, patience, deadline_s)
    try:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, _TICK_S, FIRST_COMPLETED)
            for future in done:
                _result(future)
            clock.check(len(pending))
            if cancelled is not None and cancelled():
                raise LoadCancelled
            if tick is not None:
                tick(len(futures) - len(pending))
        return [_result(future) for future in futures]
    finally:
        watch.stop()
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[T]) -> T:
    """What the task returned, or its failure in words.

    Raised outside of any handler: the library's own message, with addresses and queries, must not hang on it.
    """
    error = future.exception()
    if error is None:
        return future.result()
    raise in_words(error) if isinstance(error, Exception) else error


class _Clock:
    """Tells when to stop waiting."""

    def __init__(self, watch: Watch, patience: Patience, deadline_s: float | None) -> None:
        self._watch, self._stall_s = watch, patience.stall_s
        self._began = self._moved = time.monotonic()
        self._deadline_s = deadline_s
        self._seen, self._pending = 0, -1

    def check(self, pending: int) -> None:
        """Raise UserFacingError when too little came for too long, or all took too long. pending: unfinished tasks."""
        now = time.monotonic()
        if pending != self._pending or self._watch.received - self._seen >= _PIECE_BYTES:
            self._seen, self._pending, self._moved = self._watch.received, pending, now
        late = self._deadline_s is not None and now - self._began > self._deadline_s
        if late or now - max(self._moved, self._watch.idle_until) > self._stall_s:
            raise too_slow()


def _persistent(task: Callable[[], T], watch: Watch, patience: Patience) -> Callable[[], T]:
    """The task, tried again after transient failures with growing pauses."""

    def run() -> T:
        for attempt in range(patience.attempts):
            try:
                return task()
            except Exception as error:
                pause = max(pause_asked_s(error), patience.backoff_s * 2**attempt)
                hopeless = not is_transient(error) or pause > patience.longest_pause_s
                if attempt + 1 == patience.attempts or hopeless or watch.stopped.is_set():
                    raise
            watch.pause(pause)
        raise LoadCancelled

    return run
