"""What stands for yes, for no and for nothing in cells of records."""

from __future__ import annotations

NULLS = frozenset(("", "null", "(null)", "[null]", "<null>", "\\n", "nan", "<na>", "#n/a"))
"""What databases, programs and spreadsheets write where a cell is empty, whatever the column."""
NULL_TEXTS = NULLS | {"na", "n/a"}
"""In a column of words or of patients; "NA" is what R writes."""
NULL_CODES = NULLS - {"nan"}
"""In a column of codes; there, "NAN" may be one, as "NA" is that of sodium."""
MISSING = NULLS | frozenset(("na", "n/a", "nat", "none", "unk"))
"""What stands for an absent time, value or unit."""
YES = frozenset(("1", "1.0", "yes", "y", "true", "t", "x", "on", "-1", "wahr", "vrai", "ja", "j", "oui", "si", "sí"))
NO = frozenset(("0", "0.0", "no", "n", "false", "f", "off", "falsch", "faux", "nein", "non", "nicht"))
