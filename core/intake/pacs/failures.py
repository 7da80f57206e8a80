"""Failures of a DICOMweb exchange in words; none repeats an address, a query, a header or what a server sent."""

from __future__ import annotations

import math
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from core.errors import UserFacingError
from core.intake.files.limits import MIB
from core.intake.pacs.tls import certificate_words

Failure = TypeVar("Failure", bound=Exception)

_TRANSIENT_STATUS = frozenset((429, 502, 503, 504))
_TAKEN_HERE = ("Basic", "Bearer")
_OTHER_WAYS = ("Negotiate", "NTLM", "Digest", "Kerberos")


class LostConnection(Exception):
    """The answer ended before it was complete."""


class LoadCancelled(UserFacingError):
    """The reader stopped it; nothing is kept."""

    def __init__(self) -> None:
        super().__init__("Loading was stopped.", "nothing: no part of the series is kept", "Load it again if needed.")


def not_dicomweb() -> UserFacingError:
    """The refusal for an answer that is not DICOMweb's, a web page for instance."""
    return UserFacingError(
        "The server answers, but not as a DICOMweb service (a web page or something else).",
        "the address of the DICOMweb service itself, which often ends in /dicom-web, /dicomweb or /rs",
        "Check the address.",
    )


def other_than_one(files: int) -> UserFacingError:
    """The refusal of several files in answer to one name: which of them is meant stays open."""
    return UserFacingError(
        f"The server sent {files:,} files where one image was asked for.",
        "one image for each that is asked for",
        "Ask the people who run the server; nothing was kept.",
    )


def gone_meanwhile(status: int) -> UserFacingError:
    """The refusal of a series of which an image was listed and then was not there."""
    return UserFacingError(
        f"An image that the server lists is not there (status {status}); nothing was kept.",
        "a series that is complete on the server",
        "Search again, and load the series once it has arrived there.",
    )


def cut_short() -> UserFacingError:
    """The refusal of an answer that ends early, each time it is asked for."""
    return UserFacingError(
        "The server's answer ends before the image is complete; nothing was kept.",
        "whole images",
        "Try again; if it stays so, ask the people who run the server.",
    )


def redirected() -> UserFacingError:
    """The refusal to follow a server elsewhere with credentials."""
    return UserFacingError(
        "The server sends on to another address; it was not followed there.",
        "the final address of the DICOMweb service",
        "Check the address, https in place of http for instance.",
    )


def too_slow() -> UserFacingError:
    """The refusal to wait any longer."""
    return UserFacingError(
        "The server does not answer, or sends too slowly.",
        "a server that keeps sending",
        "Try again later, or ask the people who run it.",
    )


def too_much(most_bytes: int) -> UserFacingError:
    """The refusal to receive any more."""
    return UserFacingError(
        f"The server sends more than {most_bytes / MIB:,.4g} MiB; receiving was stopped there.",
        f"at most {most_bytes / MIB:,.4g} MiB for this request",
        "Choose a single CT series, or narrow the search.",
    )


def dead() -> UserFacingError:
    """Nobody listens, or the connection broke and did not come back."""
    return UserFacingError(
        "The server cannot be reached, or the connection to it broke; nothing was kept.",
        "a running server at this address and port",
        "Check the address and the network, then try again.",
    )


def is_transient(error: Exception) -> bool:
    """Whether trying once more may help: a broken connection or a server that is busy or restarting."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _TRANSIENT_STATUS
    if isinstance(error, (LostConnection, requests.exceptions.ChunkedEncodingError)):
        return True
    lasting = (requests.exceptions.SSLError, requests.Timeout)
    broken = isinstance(error, requests.ConnectionError) and not isinstance(error, lasting)
    return broken and not (_caused_by(error, NameResolutionError) or _caused_by(error, ReadTimeoutError))


def pause_asked_s(error: Exception) -> float:
    """Seconds that a busy server asks to wait (Retry-After, a number or a date: RFC 9110, 10.2.3), or 0."""
    response = error.response if isinstance(error, requests.HTTPError) else None
    text = "" if response is None else response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _cause(error: BaseException, kind: type[Failure]) -> Failure | None:
    """The first of `kind` among the reasons that requests and urllib3 wrap into each other."""
    if isinstance(error, kind):
        return error
    inner = (cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, Exception))
    return next((found for cause in inner if (found := _cause(cause, kind)) is not None), None)


def _caused_by(error: BaseException, kind: type[Exception]) -> bool:
    return _cause(error, kind) is not None


def in_words(error: Exception) -> UserFacingError:
    """What went wrong, for people."""
    if isinstance(error, UserFacingError):
        return error
    if isinstance(error, requests.HTTPError):
        return _http_words(error)
    if isinstance(error, LostConnection):
        return cut_short()
    if isinstance(error, requests.exceptions.SSLError):
        return certificate_words(_cause(error, ssl.SSLCertVerificationError))
    if isinstance(error, requests.Timeout) or _caused_by(error, ReadTimeoutError):
        return too_slow()
    if _caused_by(error, NameResolutionError):
        return UserFacingError(
            "No machine of this name is known.", "the name or number of a reachable server", "Check the address."
        )
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return dead()
    return not_dicomweb()


def _http_words(error: requests.HTTPError) -> UserFacingError:
    status = 0 if error.response is None else error.response.status_code
    if status == 401 and error.response is not None:
        return _sign_in_words(error.response)
    words = status_words(status)
    if status in _TRANSIENT_STATUS and (pause := pause_asked_s(error)):
        words = UserFacingError(
            words.found, words.expected, f"Try again in {math.ceil(pause):,} s, as the server asks."
        )
    return words


def _sign_in_words(response: requests.Response) -> UserFacingError:
    """Why the server wants other credentials, by the ways of signing in that it names (RFC 9110, 11.6.1)."""
    asked = response.headers.get("WWW-Authenticate", "")
    named = [way for way in (*_TAKEN_HERE, *_OTHER_WAYS) if re.search(rf"(?i)(^|,)\s*{way}\b", asked)]
    sent = str(response.request.headers.get("Authorization", "")).split(" ")[0]
    right = "a user and password, or a token, with the right to read"
    if named and not set(named) & set(_TAKEN_HERE):
        return UserFacingError(
            f"The server lets nobody in but by {named[0]}, which is not supported here.",
            "a server that takes a user and password (Basic) or a token (Bearer)",
            "Ask the people who run the server for such a way in.",
        )
    if not sent:
        return UserFacingError("The server asks to sign in.", right, "Enter them, then try again.")
    if named and sent not in named:
        taken = {"Basic": "a user and password", "Bearer": "a token"}
        return UserFacingError(
            f"The server does not take {taken.get(sent, 'these credentials')} (it asks for {named[0]}).",
            f"{taken[named[0]]} with the right to read",
            "Ask the people who run the server which way in they offer.",
        )
    if sent == "Bearer":
        return UserFacingError(
            "The server refuses this token.",
            "a token that is still valid, with the right to read",
            "Enter a new one (tokens expire), or ask the people who run the server.",
        )
    return UserFacingError(
        "The server refuses these credentials.", right, "Check them, or ask the people who run the server."
    )


def status_words(status: int) -> UserFacingError:
    """What a status of HTTP means here, for people."""
    if status == 403:
        return UserFacingError(
            "The server does not permit this.",
            "a user and password, or a token, with the right to read",
            "Check them, or ask the people who run the server.",
        )
    if status in (404, 405, 410):
        return UserFacingError(
            f"The server has nothing at this place (status {status}).",
            "the address of the DICOMweb service, and data that are still there",
            "Check the address, or search again.",
        )
    if status in _TRANSIENT_STATUS:
        return UserFacingError(
            f"The server stayed unavailable (status {status}).", "a server that is ready", "Try again later."
        )
    return UserFacingError(
        f"The server could not do this (status {status}).",
        "the address of a DICOMweb service that supports the request",
        "Check the address, or ask the people who run it.",
    )
