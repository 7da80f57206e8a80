"""Can the app be served on this port? Asked by `make app` before Streamlit, whose own answer is a traceback.

    python -m scripts.check_port PORT

Exit codes: 0 it can, 2 it cannot (one line on standard error).
"""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys

from core.errors import UserFacingError

HIGHEST = 65535
_FIRST_UNPRIVILEGED = 1024
_EXPECTED = f"a free port from {_FIRST_UNPRIVILEGED} to {HIGHEST}"
_COMMAND = "make app PORT=8600"
_ANOTHER = f"Start with another one: {_COMMAND}."


def refuse_port(text: str, address: str = "127.0.0.1") -> None:
    """Raise `UserFacingError` unless a server can listen on the port at the address (IPv4) now."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()):
        raise UserFacingError("The port is not a whole number.", _EXPECTED, _ANOTHER)
    port = int(digits[:9])
    if not 0 < port <= HIGHEST:
        raise UserFacingError(f"There is no port {digits[:9]}.", _EXPECTED, _ANOTHER)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just left is free
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            raise UserFacingError(_found(error, port), _EXPECTED, _next_step(error)) from error


def _found(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens on port {port} already, perhaps this app."
    if isinstance(error, PermissionError):
        return f"This account may not listen on port {port}."
    return f"Port {port} cannot be listened on at this address."


def _next_step(error: OSError) -> str:
    is_taken = error.errno == errno.EADDRINUSE
    return f"Open it in a browser, end that program, or choose another port: {_COMMAND}." if is_taken else _ANOTHER


def main() -> int:
    """Check the port named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", metavar="PORT")
    try:
        refuse_port(parser.parse_args().port, os.environ.get("STREAMLIT_SERVER_ADDRESS", "127.0.0.1"))
    except UserFacingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
