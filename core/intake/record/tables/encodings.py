"""Text that is not UTF-8: which encodings it could be in, and how each would read; it is never chosen, but asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, memory_entry
from core.intake.files.which_file import told_of
from core.intake.record.tables.delimiters import MAX_TEXT_BYTES
from core.wording import count_of

ENCODINGS: Mapping[str, str] = {
    "cp1252": "Windows Western European or ISO Latin-1 (cp1252)",
    "latin-1": "ISO Latin-1 (latin-1)",
    "cp850": "DOS Western European (cp850)",
    "mac-roman": "Macintosh (mac-roman)",
    "cp437": "DOS United States (cp437)",
}
"""Encoding that may be answered -> what a page calls it, most usual first."""
_UTF8_MARK, _WIDE_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_NO_TEXT = (b"\xd0\xcf\x11\xe0", b"PAR1")
"""How old office files and parquet begin."""
_ASCII = bytes((*b"\t\n\f\r", *range(0x20, 0x7F)))
_SPACES = "\xa0\xad"
"""The no-break space and the soft hyphen, which are text though nothing is printed."""
_MANY_TO_ONE = 10
"""Places that are no UTF-8 to each character that is, from which on these may be accidents of another encoding."""
_LINES, _AROUND, _LONGEST = 6, 24, 64
_MASKS = (re.compile(r"[0-9]"), "9"), (re.compile(r"[A-Z]"), "A"), (re.compile(r"[a-z]"), "a")


@dataclass(frozen=True)
class Look:
    """How a few lines read in one encoding: the names of columns as they are, ASCII letters and digits else masked."""

    encoding: str
    title: str
    lines: tuple[str, ...]


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, marked as another Unicode encoding, or no text at all: nothing is to be asked."""
    if data[:2] in _WIDE_MARKS or b"\0" in data:
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def fitting(data: bytes) -> tuple[str, ...]:
    """Encodings under which every byte is a printable character, most usual first; of those that read alike, one.

    >>> fitting("Größe".encode("cp1252")), fitting("≥5".encode("cp437"))
    (('cp1252', 'cp850', 'mac-roman'), ('cp1252', 'cp850', 'mac-roman', 'cp437'))
    >>> fitting(b"20 \\x81"), fitting(b"\\x1b(B\\xe4")
    (('cp850', 'mac-roman'), ())
    """
    read: dict[str, str] = {}
    for encoding in ENCODINGS:
        if (text := _beside_ascii(data, encoding)) is not None:
            read.setdefault(text, encoding)
    return tuple(read.values())


def wrong_encoding(data: bytes) -> UserFacingError:
    """The refusal for text that is not UTF-8: where, and which encodings it could be in."""
    if _is_damaged(data):
        return _damaged(data)
    found = f"The file is not encoded as UTF-8: {_place(data)}."
    again = 'save it again with UTF-8 encoding; in Excel as "CSV UTF-8".'
    if could_be := fitting(data):
        words = ", ".join(ENCODINGS[encoding] for encoding in could_be)
        return UserFacingError(
            found, f"UTF-8, or to be told which it is of {words}", f"Say so where the Load page asks, or {again}"
        )
    return UserFacingError(found, "a UTF-8 text file or parquet", again.capitalize())


def utf8_entries(entries: Sequence[Entry], encoding: str | None, notes: list[str]) -> list[Entry]:
    """The entries, of which texts that are not UTF-8 are read in the encoding that a reader answered (None: none was).

    Raises UserFacingError where that encoding has no printable character for a byte, and for damaged UTF-8.
    """
    if encoding is None:
        return [*entries]
    read = []
    for entry in entries:
        with told_of(entry, entries):
            read.append(utf8_entry(entry, encoding))
    if changed := sum(new is not old for new, old in zip(read, entries, strict=True)):
        notes.append(f"Not UTF-8, read as {ENCODINGS[encoding]}, as answered: {count_of(changed, 'file')}.")
    return read


def utf8_entry(entry: Entry, encoding: str) -> Entry:
    """The entry where it is UTF-8 or no text, else its text in UTF-8. Raises UserFacingError as `utf8_entries`."""
    data = _text_of(entry)
    if data is None:
        return entry
    if _is_damaged(data):
        raise _damaged(data)
    if _beside_ascii(data, encoding) is None:
        raise UserFacingError(
            f"The file holds bytes that are no printable character in {ENCODINGS[encoding]}.",
            "the encoding in which it was saved",
            "Choose another one, or save the file again with UTF-8 encoding.",
        )
    return replace(memory_entry(entry.name, data.decode(encoding).encode()), held=entry.held)


def looks(entries: Sequence[Entry]) -> tuple[Look, ...]:
    """How the texts that are not UTF-8 read in each encoding that fits all of them; none where all are UTF-8.

    The lines are chosen so that each byte that may read differently is seen, as far as few lines go. Raises
    UserFacingError for damaged UTF-8.
    """
    texts = []
    for entry in entries:
        if (data := _text_of(entry)) is None:
            continue
        if _is_damaged(data):
            with told_of(entry, entries):
                raise _damaged(data)
        texts.append(data)
    lines = list(_telling_lines(texts))
    fit = fitting(b"".join(bytes(set(data)) for data in texts)) if texts else ()
    return tuple(Look(name, ENCODINGS[name], tuple(_shown(line, name, is_head) for line, is_head in lines))
                 for name in fit)  # fmt: skip


def _text_of(entry: Entry) -> bytes | None:
    """The bytes of an entry that is text but not UTF-8, be it damaged or in another encoding; None for any other."""
    if entry.absent or entry.pieces or entry.size > MAX_TEXT_BYTES or bytes(entry.read(0, 4)) in _NO_TEXT:
        return None
    data = bytes(entry.read(0, None))
    return None if is_utf8(data) else data


def _beside_ascii(data: bytes, encoding: str) -> str | None:
    """The distinct characters of a text that are not ASCII, in an encoding; None where one of them is not printable."""
    text = bytes(sorted(set(data.translate(None, _ASCII)))).decode(encoding, "replace")
    printable = all((sign.isprintable() or sign in _SPACES) and sign != "\ufffd" for sign in text)
    return text if printable else None


def _is_damaged(data: bytes) -> bool:
    """Whether bytes are UTF-8 but for a few: then they are in no other encoding, though any would read them."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd") - data.count("\ufffd".encode())
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    return wrong > 0 and right > 0 and (right * _MANY_TO_ONE >= wrong or data.startswith(_UTF8_MARK))


def _damaged(data: bytes) -> UserFacingError:
    error = _first_wrong(data)
    if error.end == len(data) and error.reason == "unexpected end of data":
        return UserFacingError(
            "The file ends in the middle of a UTF-8 character, so it was cut off.",
            "the whole file",
            "Copy or export it again.",
        )
    return UserFacingError(
        f"The file is UTF-8 but damaged, or was joined from texts in two encodings: {_place(data)}.",
        "a text file that is UTF-8 throughout",
        "Export it again, or give what was joined as files of their own.",
    )


def _place(data: bytes) -> str:
    """Where the first byte stands that is not UTF-8, lines counted from 1."""
    start = _first_wrong(data).start
    lines = len((data[:start].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b".").split(b"\n"))
    return f"line {lines:,} holds the byte 0x{data[start]:02X}"


def _first_wrong(data: bytes) -> UnicodeDecodeError:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error
    raise ValueError("the bytes are UTF-8")


def _telling_lines(texts: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """(a piece of a line around a byte that no line before has, whether it is of the first line)."""
    seen: set[int] = set()
    count = 0
    for data in texts:
        for match in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", data):
            new = re.search(b"[" + re.escape(bytes(set(range(128, 256)) - seen)) + b"]", match[0])
            if new is None:
                continue
            start = max(0, new.start() - _AROUND) if new.start() > _LONGEST - _AROUND else 0
            piece = match[0][start : start + _LONGEST]
            seen |= {byte for byte in piece if byte >= 128}
            yield piece, not data[: match.start()].strip()
            count += 1
            if count == _LINES or len(seen) == 128:
                return


def _shown(line: bytes, encoding: str, is_head: bool) -> str:
    text = line.decode(encoding)
    for pattern, sign in () if is_head else _MASKS:
        text = pattern.sub(sign, text)
    return text
