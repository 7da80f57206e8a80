"""Whose certificates a DICOMweb server may show: the public authorities', or those of one's own authority.

There is no way to go on without a check: what cannot be verified is refused, with the reason.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from core.errors import UserFacingError

ENVIRONMENT = "REQUESTS_CA_BUNDLE"
"""Environment variable that names the authorities' file or folder for the whole machine, as `requests` reads it."""
_EXPIRED, _NOT_YET_VALID = 10, 9
_OTHER_NAME = (62, 63, 64)
"""OpenSSL's verification results (x509_vfy.h): host name, e-mail and IP address mismatch."""


def authorities(ca_bundle: str | None) -> str | None:
    """Path of the certificates to trust: the one given, else the environment's; None for the public authorities.

    A PEM file, or a folder of certificates under their hashed names (OpenSSL's c_rehash). What is named here is trusted
    in place of the public authorities, not beside them.
    Raises UserFacingError where nothing usable lies there.
    """
    path = (ca_bundle or "").strip() or os.environ.get(ENVIRONMENT, "").strip()
    if not path:
        return None
    if not _holds_certificates(path):
        raise UserFacingError(
            "No certificates of an authority could be read where they are said to lie.",
            "a PEM file on the machine that runs this app, with the certificate of the authority that signed the "
            "server's",
            f"Check the path (the field, or the variable {ENVIRONMENT}), or leave it empty for public authorities.",
        )
    return path


def _holds_certificates(path: str) -> bool:
    if Path(path).is_dir():
        return any(Path(path).glob("*.[0-9]"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError):
        return False
    return bool(context.get_ca_certs())


def certificate_words(error: ssl.SSLCertVerificationError | None) -> UserFacingError:
    """Why the encrypted connection was refused. None: it failed before any certificate was judged."""
    code = getattr(error, "verify_code", None)
    if code in (_EXPIRED, _NOT_YET_VALID):
        return UserFacingError(
            "The server's certificate has expired."
            if code == _EXPIRED
            else "The server's certificate is not valid yet.",
            "a certificate that is valid today",
            "Check this machine's clock, or ask the people who run the server to renew the certificate.",
        )
    if code in _OTHER_NAME:
        return UserFacingError(
            "The server's certificate was made for another address.",
            "a certificate for this very address",
            "Use the address that the certificate names, or ask the people who run the server.",
        )
    if error is not None:
        return UserFacingError(
            "The server's certificate is not signed by an authority that is trusted here.",
            "a certificate signed by a public authority, or by the one whose certificates you name",
            "Name the file with your authority's certificates (ask the people who run the server for it).",
        )
    return UserFacingError(
        "No trusted encrypted connection: the server's encryption was not accepted.",
        "a server that speaks https at this address",
        "Check the address, or ask the people who run the server.",
    )
