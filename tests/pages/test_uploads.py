"""Uploads stay in memory: Streamlit's web server writes larger ones to a temporary file unless it is told not to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from core import session

_SIZE = 3 << 20


def rolled_to_disk() -> bool:
    """Whether an upload of 3 MiB passes through a file on disk."""
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + bytes(_SIZE) + b"\r\n--b--\r\n"

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    async def parse() -> bool:
        form = await MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=b"}), stream()).parse()
        upload = form["f"]
        assert isinstance(upload, UploadFile)
        assert len(await upload.read()) == _SIZE
        return bool(upload.file._rolled)

    return asyncio.run(parse())


def test_an_upload_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert session.INTAKE
    assert not rolled_to_disk()
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1 << 20)
    assert rolled_to_disk(), "the negative control"
