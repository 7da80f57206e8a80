"""The tabular list of ICD-10-CM, as simple-icd-10-cm carries it."""

from __future__ import annotations

import html
import importlib.util
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_TAG = re.compile(r"<[^>]*>")
_DIAGNOSIS = re.compile(r"<diag>\s*<name>([^<]+)</name>\s*<desc>([^<]*)</desc>")


@cache
def icd10_descriptions() -> Mapping[str, str]:
    """ICD-10-CM codes without the dot, in words, from the tabular list that simple-icd-10-cm carries.

    The package itself builds a tree and takes seconds to import, so its data file is read directly.
    """
    found: dict[str, str] = {}
    for text in _icd10_texts():
        for name, words in _DIAGNOSIS.findall(text):
            found[name.replace(".", "")] = html.unescape(words).strip()
    return found


def _icd10_texts() -> Iterator[str]:
    """The tabular list, as XML."""
    spec = importlib.util.find_spec("simple_icd_10_cm")
    if spec is None or spec.origin is None:
        return
    for path in sorted((Path(spec.origin).parent / "data").glob("*tabular*.xml")):
        yield path.read_text("utf-8")


def icd10_notes() -> Iterator[str]:
    """What ICD-10-CM's tabular list says around its codes and descriptions, a text a file."""
    return (_TAG.sub(" ", text) for text in _icd10_texts())
