"""The fact table of i2b2: what its columns mean together, written as a table of events that each cell tells by itself.

Source: i2b2 Data Repository (CRC) design, OBSERVATION_FACT. In a row of type N, TVAL_CHAR holds no text but the sign
of comparison of NVAL_NUM, and @ stands for nothing in any column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from core.intake.record.columns.names import plain_name
from core.intake.record.columns.text_cells import plain_texts
from core.wording import count_of

_FACTS = frozenset(("concept_cd", "valtype_cd", "tval_char", "nval_num"))
_SIGNS = {"l": "<", "le": "<=", "g": ">", "ge": ">=", "ne": "≠"}


def is_i2b2(names: Iterable[str]) -> bool:
    """Whether a table with columns of these names is one of i2b2's facts.

    >>> is_i2b2(["PATIENT_NUM", "CONCEPT_CD", "VALTYPE_CD", "TVAL_CHAR", "NVAL_NUM"]), is_i2b2(["concept_cd"])
    (True, False)
    """
    return {plain_name(name) for name in names} >= _FACTS


def plain_facts(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """A table of i2b2's facts with bounds written as "<0.01" and nothing where @ stands; any other as it is."""
    names = [str(name) for name in table.columns]
    if not is_i2b2(names):
        return table
    of = {plain_name(name): name for name in names}
    facts = table.apply(lambda column: plain_texts(column).replace("@", ""))
    numeric = facts[of["valtype_cd"]].str.upper() == "N"
    operators = facts[of["tval_char"]].str.lower()
    signs = operators.where(numeric, "").map(_SIGNS).fillna("")
    number = facts[of["nval_num"]]
    bounds = (signs != "") & (number != "")
    facts[of["nval_num"]] = number.where(~bounds, signs + number)
    facts[of["tval_char"]] = facts[of["tval_char"]].where(~numeric | ~operators.isin((*_SIGNS, "e")), "")
    notes += _said(facts, of, int(bounds.sum()))
    return facts


def _said(facts: pd.DataFrame, of: dict[str, str], bounds: int) -> Sequence[str]:
    modified = int((facts[of["modifier_cd"]] != "").sum()) if "modifier_cd" in of else 0
    said = {
        "Kept as text, as i2b2 marks the number as a bound": (bounds, "value"),
        "With a modifier that is not read, though it may change what is meant": (modified, "event"),
    }
    return [f"{words}: {count_of(*found)}." for words, found in said.items() if found[0]]
