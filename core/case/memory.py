"""Freed memory given back to the system, and little of it looked at in vain."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_ARENA_MAX = -8
_ARENAS = 2


def give_back_memory() -> None:
    """Collect cycles and, on glibc, return free heap pages to the system.

    After a large block is freed, glibc raises its mmap threshold (up to 32 MiB), so the next study's files come from
    the heap, whose freed pages it keeps for later; malloc_trim(3) hands them back. Elsewhere only cycles are collected.
    """
    gc.collect()
    if trim := _glibc("malloc_trim"):
        trim(0)


def set_imports_aside() -> None:
    """Let collections skip whatever exists now; call it once, when the libraries are imported and no patient is there.

    Streamlit collects after every run of the script, a progress bar's included. Half a million objects of libraries
    that never go away make that .2 s each time, in which no other thread runs.
    """
    gc.collect()
    gc.freeze()


def keep_few_arenas() -> None:
    """Let all threads share two heaps (glibc, mallopt M_ARENA_MAX); call it before threads are started.

    Every study is read by new threads, and by default each may open a heap of its own (up to eight a core), each of
    which keeps what a long-lived object pins: resident memory would creep up from patient to patient.
    """
    if tune := _glibc("mallopt"):
        tune(_M_ARENA_MAX, _ARENAS)


def _glibc(name: str) -> ctypes._FuncPointer | None:
    """A function of the C library, None where there is none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
