"""What a reader must know about a record that was read as it stands: doubts that are said or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from core.errors import UserFacingError
from core.events.death import says_died
from core.events.kinds import kind_of
from core.events.standard_codes import standard_code, standard_unit
from core.intake.record.checks.mixed_values import is_far_suspect, is_filler, may_be_suspect
from core.intake.record.columns.dates import LIKE_DATE, MONTH_NAME
from core.intake.record.columns.units import unit_in_brackets, unit_in_code
from core.records import BIRTH
from core.wording import count_of

ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d{2}")
"""A long number as spreadsheets, and programs that take it for a measured one, write it."""
_LIKE_DATED_CODE = re.compile(
    rf"(?:{MONTH_NAME})[-. ]\d{{2,4}}|(?:[0-2]?\d|3[01])\.?[-. ]+(?:{MONTH_NAME})(?:[-. ]\d{{2,4}})?"
    rf"|(?:0?\d|1[0-2])\.\d{{4}}|(?:{LIKE_DATE.pattern})(?:[T ]\d{{2}}:\d{{2}}.*)?",
    re.IGNORECASE,
)
_DAMAGED = {
    "With letters that were lost in an earlier change of encoding (\ufffd)": re.compile("\ufffd"),
    "With letters that an earlier change of encoding made of others (Ã¼ of ü, Âµ of µ)": re.compile(
        "Ã[\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]|Â[\xa0-\xbf]"
    ),
}
"""What is said of damaged texts -> how they are known."""
_UNKNOWN_DAYS = pd.to_datetime(["1899-12-30", "1899-12-31", "1900-01-01"])
_UNKNOWN_TIMES = pd.to_datetime(["1970-01-01"])
"""Days from which databases and spreadsheets count, written where none is known; of 1970 the first moment alone."""
_FIRST_MONTH = pd.Timestamp("1970-01-01"), pd.Timestamp("1970-02-01")
_TOLD_BY_CASE = frozenset(("g/l", "mu/l"))
"""Units of which a capital makes another: G/L, 10^9 per litre, beside g/L; MU/L beside mU/L."""
OLDEST = pd.Timedelta(days=120 * 365.25)


def note_doubts(events: pd.DataFrame, cut: pd.Timestamp, words: Mapping[str, str], notes: list[str]) -> None:
    """Adds a sentence for each doubt about the events up to the cut. words: what the source calls its codes.

    Raises UserFacingError where the record holds two different births: it is not one patient's.
    """
    _refuse_two_births(events)
    _note_two_sexes(events, notes)
    _doubt_codes(events, notes)
    _note_lifetime(events, cut, notes)
    _note_timeless(events, notes)
    _note_repeats(events, notes)
    _note_units(events, words, notes)
    _note_fillers(events, notes)
    _note_spelling(events, notes)


def _refuse_two_births(events: pd.DataFrame) -> None:
    births = events.loc[events["code"] == BIRTH, "time"].dropna()
    if births.dt.normalize().nunique() > 1:
        raise UserFacingError(
            "The record holds more than one date of birth.", "events of one patient", "Check whose events these are."
        )


def _note_two_sexes(events: pd.DataFrame, notes: list[str]) -> None:
    """One patient's record should name one sex; the first is shown."""
    named = {standard_code(code) for code in events["code"].unique()} & {"GENDER//F", "GENDER//M"}
    if len(named) > 1:
        notes.append("The record names both sexes: it may hold events of two patients.")


def rounded_by_spreadsheet(what: str, events: int) -> UserFacingError:
    """The refusal for codes or identifiers such as 7.3E+07, of which digits are lost."""
    return UserFacingError(
        f"Rounded as spreadsheets round long numbers (7.3E+07), {what} of {count_of(events, 'event')}.",
        "all digits of every code and identifier",
        "Export the table again without opening it in a spreadsheet, or format these columns as text there.",
    )


def _doubt_codes(events: pd.DataFrame, notes: list[str]) -> None:
    """What spreadsheets make of codes, and letters that were lost when a file was written in another encoding."""
    own = {code: str(code).rpartition("//")[2] for code in events["code"].unique()}
    rounded = [code for code, text in own.items() if ROUNDED.fullmatch(text)]
    if rounded:
        raise rounded_by_spreadsheet("codes", int(events["code"].isin(rounded).sum()))
    dated = [code for code, text in own.items() if _LIKE_DATED_CODE.fullmatch(text)]
    if dated:
        count = count_of(int(events["code"].isin(dated).sum()), "event")
        notes.append(f"With a code that looks like a date, as spreadsheets make of LOINC codes: {count}.")
    for words, pattern in _DAMAGED.items():
        if damaged := _count_texts(events, pattern):
            notes.append(f"{words}: {count_of(damaged, 'event')}.")


def _count_texts(events: pd.DataFrame, pattern: re.Pattern[str]) -> int:
    """How many events have the pattern in their code, unit or text."""
    found = pd.Series(False, index=events.index)
    for column in (events["code"], events["unit"], events["text_value"]):
        found |= column.isin([text for text in column.dropna().unique() if pattern.search(str(text))])
    return int(found.sum())


def _note_lifetime(events: pd.DataFrame, cut: pd.Timestamp, notes: list[str]) -> None:
    born = events.loc[events["code"] == BIRTH, "time"].dropna()
    if len(born) and cut - born.min() > OLDEST:
        notes.append("By the date of birth, the patient was older than 120 years at the prediction time.")
    if len(born) and (early := int((events["time"] < born.min().normalize()).sum())):
        notes.append(f"Before the date of birth: {count_of(early, 'event')}.")
    died = events.loc[says_died(events), "time"]
    if not len(died):
        return
    notes.append("The record says that the patient had died by the prediction time; set an earlier one to predict.")
    if died.dt.normalize().nunique() > 1:
        notes.append("The record holds more than one date of death.")
    last = died.dt.normalize().max()
    if late := int((events["time"] > last + pd.Timedelta(days=1)).sum()):
        notes.append(f"After the recorded death: {count_of(late, 'event')}.")


def _note_timeless(events: pd.DataFrame, notes: list[str]) -> None:
    codes = events.loc[events["time"].isna(), "code"]
    kinds = {code: kind_of(code) for code in codes.unique()}
    if dated := int((codes.map(kinds) != "demographics").sum()):
        notes.append(f"Without a time, counted as known from the start: {count_of(dated, 'event')}.")


def _note_repeats(events: pd.DataFrame, notes: list[str]) -> None:
    numeric = events[events["numeric_value"].notna() & events["time"].notna()]
    if same := int(events.duplicated(list(events.columns)).sum()):
        notes.append(f"Recorded twice in every detail: {count_of(same, 'event')}; both are kept.")
    keys = ["time", "code", "unit"]
    repeated = numeric[numeric.duplicated(keys, keep=False)].drop_duplicates([*keys, "numeric_value"])
    if differing := int(repeated[repeated.duplicated(keys, keep=False)].drop_duplicates(keys).shape[0]):
        notes.append(f"With different values at the same time: {count_of(differing, 'measurement')}; all are kept.")


def _note_units(events: pd.DataFrame, words: Mapping[str, str], notes: list[str]) -> None:
    with_unit = events.loc[events["unit"].notna() & events["numeric_value"].notna(), ["code", "unit"]]
    pairs = with_unit.drop_duplicates()
    spelled = [
        unit if unit.lower() in _TOLD_BY_CASE else standard_unit(unit, standard_code(code))
        for code, unit in zip(pairs["code"], pairs["unit"])
    ]
    named = {code: _units_named(code, words.get(code, "")) for code in pairs["code"].unique()}
    others = {
        code
        for code, unit in zip(pairs["code"], pairs["unit"])
        if named[code] - {standard_unit(unit, standard_code(code))}
    }
    if others:
        notes.append(
            f"With a unit that is not the one in the code, its name or description: {count_of(len(others), 'code')}."
        )
    distinct = pairs.assign(unit=spelled).drop_duplicates()
    if mixed := int((distinct["code"].value_counts() > 1).sum()):
        notes.append(
            f"With more than one unit: {count_of(mixed, 'code')}; values are shown as recorded, not converted, and a "
            "model reads only those in the unit it knows."
        )
    numeric = events[events["numeric_value"].notna()]
    bare = int((numeric["unit"].isna() & numeric["code"].isin(with_unit["code"])).sum())
    if bare:
        notes.append(f"Without a unit, though others of the same code have one: {count_of(bare, 'value')}.")


def _units_named(code: str, words: str) -> set[str]:
    """Units that a code carries, or that its name or description ends with."""
    found = (unit_in_code(code), unit_in_brackets(code), unit_in_brackets(words))
    return {standard_unit(unit, standard_code(code)) for unit in found if unit}


def _far_suspects(events: pd.DataFrame) -> int:
    """How many values are far from every other one of their code, and such as systems write for none; each code is
    looked at only where it has one of these, which hardly any has."""
    codes = events.loc[may_be_suspect(events["numeric_value"].to_numpy()), "code"].unique()
    judged = events.loc[events["code"].isin(codes), ["code", "numeric_value"]]
    found = 0
    for _, values in judged.groupby("code")["numeric_value"]:
        numbers = values.to_numpy()
        found += int((is_far_suspect(numbers) & ~is_filler(numbers)).sum())
    return found


def _note_fillers(events: pd.DataFrame, notes: list[str]) -> None:
    """Values and days that systems write where there is none: shown as recorded, and said."""
    numbers = events["numeric_value"].to_numpy()
    if fillers := int(is_filler(numbers).sum()):
        notes.append(
            "Of nines alone (99999, 9999999, -999), as systems write for a value that is not there, and read as a "
            f"number: {count_of(fillers, 'value')}."
        )
    if suspects := _far_suspects(events):
        notes.append(
            "Far from every other value of its code, and such as systems write for one that is not there (9999, 99.99, "
            f"65535), yet read as a number: {count_of(suspects, 'value')}."
        )
    times = events.loc[events["code"] != BIRTH, "time"].dropna()
    if len(times) and _FIRST_MONTH[0] < times.min() and times.max() < _FIRST_MONTH[1]:
        notes.append(
            "All times lie in January 1970, as they do where seconds or milliseconds were read as something shorter; "
            "check the years."
        )
    if unknown := int((times.dt.normalize().isin(_UNKNOWN_DAYS) | times.isin(_UNKNOWN_TIMES)).sum()):
        notes.append(
            "On a day that systems write for an unknown one (1 January 1900, 30 December 1899, 1 January 1970): "
            f"{count_of(unknown, 'event')}."
        )


def _note_spelling(events: pd.DataFrame, notes: list[str]) -> None:
    codes = {code: standard_code(code) != code for code in events["code"].unique()}
    if count := int(events["code"].map(codes).sum()):
        notes.append(
            f"Read by models under the standard spelling of their code (ICD-10-CM, ICD-9-CM, LOINC, visits, sex): "
            f"{count_of(count, 'event')}; shown as recorded."
        )
