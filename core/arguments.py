"""What the command line's arguments may be, and what every command shows and checks."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from core.errors import UserFacingError


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2; what was typed is not repeated, as a part of a path may be a name."""
        words = re.sub(r"(unrecognized arguments): .*", r"\1; a path with spaces needs quotes", message)
        words = re.sub(r"(invalid choice): .* (?=\(choose from)", r"\1 ", words)
        sys.exit(fail(f"{words}. See {self.prog} --help."))


def fail(line: str) -> int:
    """Print an error; the exit code for it."""
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    return 2


def add_command(commands: argparse._SubParsersAction[Parser], name: str, words: str) -> Parser:
    """A command with one line of help."""
    return commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")


def check_folder(path: Path) -> None:
    """Raises UserFacingError where no results could be kept in a folder, before minutes of work; makes nothing."""
    there = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), path)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserFacingError(
            "The folder named by --out cannot be made or written.", "a folder of your own", "Name another."
        )


def show_progress(share: float, words: str) -> None:
    """Progress of long work, on standard error."""
    print(f"{100 * share:5.1f}%  {words}", file=sys.stderr, flush=True)


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option that names where a command computes."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


def as_path(text: str) -> Path:
    """A path; an empty one, as from a variable of the shell that is not set, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must name a file or folder")
    return Path(text)


def as_number(text: str) -> float:
    """A number. The refusals of these never repeat a value: it may be a patient's number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number") from None


def as_whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a whole number") from None


def as_count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or (count := as_whole(text)) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return count


def as_parts(text: str) -> tuple[str, ...]:
    """Parts of a virtual record, with commas between."""
    from core.virtual.simulate import PARTS

    named = tuple(dict.fromkeys(text.split(",")))
    if not set(named) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(PARTS)}, with commas between")
    return named
