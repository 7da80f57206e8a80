"""Failures of a DICOMweb exchange in words; none repeats an address, a query, a header or what a server sent."""

from __future__ import annotations

import ssl
from typing import TypeVar

import requests
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from core.errors import UserFacingError
from core.load.dicomweb_trust import certificate_words
from core.load.limits import MIB

Failure = TypeVar("Failure", bound=Exception)

_TRANSIENT_STATUS = frozenset((429, 502, 503, 504))


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
        return _status_words(0 if error.response is None else error.response.status_code)
    if isinstance(error, requests.exceptions.SSLError):
        return certificate_words(_cause(error, ssl.SSLCertVerificationError))
    if isinstance(error, requests.Timeout) or _caused_by(error, ReadTimeoutError):
        return too_slow()
    if _caused_by(error, NameResolutionError):
        return UserFacingError(
            "No machine of this name is known.", "the name or number of a reachable server", "Check the address."
        )
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, LostConnection)):
        return dead()
    return not_dicomweb()


def _status_words(status: int) -> UserFacingError:
    if status in (401, 403):
        return UserFacingError(
            "The server refuses these credentials." if status == 401 else "The server does not permit this.",
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
