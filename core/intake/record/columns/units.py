"""What counts as a unit of measurement, where the name of a code may carry one."""

from __future__ import annotations

import re
from itertools import product

_PREFIXES = ("", "k", "h", "d", "c", "m", "u", "n", "p", "f")
_METRIC = ("g", "l", "m", "s", "mol", "eq", "osm", "iu", "u", "pa", "bq", "cal", "j", "v", "a", "w", "hz", "kat",
           "[iu]")  # fmt: skip
_OTHERS = """
    % ‰ # k cel °c °f degc degf [degf] inch inches in [in_i] ft lb lbs oz mcg liter liters litre litres meter meters
    sec secs second seconds msec min mins minute minutes hr hrs hour hours h day days d week weeks month months year
    years yr bpm beat beats insp breaths breath hg mmhg mm[hg] h2o cmh2o hpf lpf unit units gpl mpl apl ratio log
    copies cop cells cfu feu ddu hb creat creatinine dyne dynes percent ph [ph] pct drops dose doses [arb'u]
    ppm inr thousand million x e
"""
_KNOWN = frozenset({"".join(pair) for pair in product(_PREFIXES, _METRIC)} - {"us"}) | frozenset(_OTHERS.split())
_LONGEST = 64
"""More letters than the name of a unit has: longer texts are none, and are not looked at."""
_PIECE = re.compile(r"\d*(.*?)[-+]?\d*")


_IN_BRACKETS = re.compile(r"[^\[(]*[\[(]([^\[\]()]{1,32}[/%][^\[\]()]{0,32}|%)[\])]\s*")


def unit_in_brackets(name: str) -> str:
    """The unit in brackets at the end of a name, if it has a slash or is a percentage; "" where there is none.

    >>> unit_in_brackets("Glucose [mg/dL]"), unit_in_brackets("Hematocrit (%)"), unit_in_brackets("Potassium (K)")
    ('mg/dL', '%', '')
    """
    match = _IN_BRACKETS.fullmatch(name)
    return match[1] if match and is_unit(match[1]) else ""


def unit_in_code(code: str) -> str | None:
    """The unit that MIMIC's MEDS codes carry as their third part (LAB//item//unit).

    >>> unit_in_code("LAB//50912//mg/dL"), unit_in_code("LAB//50912//UNK"), unit_in_code("LOINC//2160-0//mg/dL")
    ('mg/dL', None, None)
    """
    parts = code.split("//")
    has_unit = len(parts) == 3 and parts[0] in ("LAB", "SUBJECT_FLUID_OUTPUT") and is_unit(parts[2])
    return parts[2] if has_unit else None


def is_unit(text: str) -> bool:
    """Whether every part of a text is the name of a unit, with powers, numbers and {annotations} beside.

    >>> is_unit("mg/dL"), is_unit("10*3/uL"), is_unit("dynes*sec/cm5/m2"), is_unit("log10 copies/mL")
    (True, True, True, True)
    >>> is_unit("cmH2O"), is_unit("{score}"), is_unit("k[IU]/L")
    (True, True, True)
    >>> is_unit("SERUM"), is_unit("BLOOD"), is_unit("N/A"), is_unit("UNK"), is_unit("12"), is_unit("")
    (False, False, False, False, False, False)
    """
    if len(text) > _LONGEST:
        return False
    plain = re.sub(r"\{[^}]*\}", "", text.lower().replace("µ", "u").replace("μ", "u"))
    pieces = [piece for piece in re.split(r"[\s/.*·^()]+", plain) if piece]
    matches = [_PIECE.fullmatch(piece) for piece in pieces]
    names = [match[1] for match in matches if match and match[1]]
    return bool(names or (text[:1] == "{" and not pieces)) and _KNOWN.issuperset(names)
