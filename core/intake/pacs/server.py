"""The address of a DICOMweb server, how one signs in there, and which machines may be reached at all."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from core.errors import UserFacingError
from core.intake.pacs.tls import authorities

_ADDRESS = "an address such as https://pacs.example.org/dicom-web"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]*=*")
"""What a bearer token may be made of (RFC 6750, 2.1)."""
_UNFIT = re.compile(r"[\x00-\x1f\x7f\s\\]")


@dataclass(frozen=True)
class DicomWebServer:
    """Where a DICOMweb server (PS3.18) listens and how one signs in: user and password, a bearer token, or neither.

    token: as it was handed out, with or without the word Bearer before it.
    url: root of the service, http or https, without credentials, query or fragment.
    allow_public_http: unencrypted http also to addresses outside loopback and private networks.
    ca_bundle: PEM file with the certificates of the authority that signed the server's, where it is not a public one;
    None takes the environment's REQUESTS_CA_BUNDLE, else the public authorities. Certificates are always verified.
    Raises UserFacingError for an address, credentials or certificates that cannot be used. Credentials stay out of
    `repr`.

    >>> DicomWebServer("http://127.0.0.1:8042/dicom-web/", "reader", "secret")
    DicomWebServer(url='http://127.0.0.1:8042/dicom-web', allow_public_http=False, ca_bundle=None)
    """

    url: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    allow_public_http: bool = False
    ca_bundle: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked_url(self.url))
        object.__setattr__(self, "token", re.sub(r"(?i)^bearer\s+", "", (self.token or "").strip()) or None)
        _check_credentials(self.username, self.password, self.token)
        if self.url.startswith("https:"):
            authorities(self.ca_bundle)


def _checked_url(url: str) -> str:
    """The address without its final slash, or a refusal that does not repeat it (it may hold a password)."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        plain = bool(parts.hostname) and parts.port != 0 and not _UNFIT.search(url)
    except ValueError:
        plain = False
    if not plain or parts.scheme not in ("http", "https") or not _can_be_asked(url):
        raise UserFacingError("This is not the address of a DICOMweb server.", _ADDRESS, "Check the address.")
    if "@" in parts.netloc:
        raise UserFacingError(
            "The address holds a user name or password.", _ADDRESS, "Enter them in their own fields instead."
        )
    if parts.query or parts.fragment:
        raise UserFacingError(
            "The address holds more than the place of the service.", _ADDRESS, "Leave out everything from ? or # on."
        )
    return parts.geturl().rstrip("/")


def _can_be_asked(url: str) -> bool:
    """Whether a request can be made of it: names with empty, long or impossible labels cannot (RFC 1034, RFC 5891)."""
    try:
        asked = requests.Request("GET", url).prepare().url or ""
        name = urlsplit(asked).hostname or ""
        return bool(name.removesuffix(".").encode("idna"))
    except (requests.RequestException, ValueError):
        return False


def _check_credentials(username: str | None, password: str | None, token: str | None) -> None:
    if token and (username or password):
        raise UserFacingError(
            "Both a token and a user with password are given.", "one way to sign in", "Leave one of them empty."
        )
    if password and not username:
        raise UserFacingError("There is a password without a user.", "a user and a password", "Enter the user too.")
    odd = any(_CONTROL.search(text) for text in (username, password, token) if text) or ":" in (username or "")
    if odd or not _TOKEN.fullmatch(token or ""):
        raise UserFacingError(
            "The credentials hold characters that cannot be sent.",
            "a user name without colon, a token of letters, digits and -._~+/= alone, and no line breaks",
            "Enter them again.",
        )


def check_peer(scheme: str, address: str, *, allow_public_http: bool) -> None:
    """Refuse a machine that must not be reached; called with the address really connected to, before anything is sent.

    Link-local addresses (where clouds keep machine credentials) and addresses that are no single machine's are never
    reached. Unencrypted http goes to loopback and private networks (RFC 1918, RFC 4193) only, unless allowed.
    """
    ip = ipaddress.ip_address(address.split("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise UserFacingError(
            "The address leads to a machine-internal service, not to a server.",
            "the address of a DICOMweb server",
            "Check the address.",
        )
    if scheme == "http" and not (ip.is_private or ip.is_loopback or allow_public_http):
        raise UserFacingError(
            "The address leads outside this network without encryption.",
            "https, or a server on this machine or in a private network",
            "Use the server's https address.",
        )
