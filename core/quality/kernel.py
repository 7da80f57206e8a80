"""Whether a reconstruction kernel enhances edges, from the name that its maker gave it."""

from __future__ import annotations

import re

from core.quality.limits import SHARP_KERNEL

_WORDS = frozenset("lung bone bone+ edge boneplus sharp vsharp sharpplus ultra lungenhanced".split())  # noqa: SIM905
_LETTERS = frozenset("d e ea eb ec ed l la lb ya yb yc yd".split())  # noqa: SIM905
"""Philips: A to C smooth to standard, D and E sharp, L lung, Y and E families of bone and lung."""


def is_sharp(kernel: str) -> bool:
    """Whether a kernel's name stands for edge enhancement: by any of its words, or by its number.

    Words are those of GE, Philips and United Imaging. Numbers: Siemens (B31f, Br64d) and Canon (FC13, FC52) from 50 on;
    Canon FC30 to FC39 are for bone.

    >>> [is_sharp(name) for name in ("HD LUNG", "B70f", "L_VSHARP_C", "B31f", "STANDARD", "FC13", "B_VSOFT_B")]
    [True, True, True, False, False, False, False]
    """
    words = [word for word in re.split(r"[\s_,#-]+", kernel.lower()) if word]
    if any(word in _WORDS for word in words) or (len(words) == 1 and words[0] in _LETTERS):
        return True
    number = re.match(r"([a-z]{1,2})(\d{2})(?!\d)", words[0]) if words else None
    if number is None:
        return False
    family, strength = number[1], int(number[2])
    return strength >= SHARP_KERNEL or (family == "fc" and 30 <= strength < 40)
