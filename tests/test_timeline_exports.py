"""Tables as hospital systems export them: what stands for no number, no date and no text."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from core.records import Timeline
from core.timeline import load_timeline

BESIDE = "patient_id,time,code,numeric_value,text_value,unit\n"
PLAIN = "patient_id,time,code,value,unit\n"
BOUND = "the text beside the number says that it is a bound"
FILLER = "the number beside the text is of nines alone"
OTHER = "another number in the text beside it"
NINES = "Of nines alone"
UNKNOWN_DAY = "On a day that systems write for an unknown one"


def loaded(text: str, mapping: dict[str, str] | None = None, prediction_time: str | None = None) -> Timeline:
    return load_timeline([("export.csv", text.encode())], mapping=mapping, prediction_time=prediction_time)


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


def parquet(text: str) -> Timeline:
    """The same rows in the columns of MEDS."""
    frame = pd.read_csv(io.StringIO(text), dtype={"text_value": str}, parse_dates=["time"])
    out = io.BytesIO()
    frame.rename(columns={"patient_id": "subject_id"}).to_parquet(out)
    return load_timeline([("0.parquet", out.getvalue())])


@pytest.mark.parametrize("read", [loaded, parquet])
@pytest.mark.parametrize("text", ["<0.01", "< 0.01 ng/mL", ">=35", "≤ 2,5"])
def test_a_number_whose_text_names_a_bound_is_no_measured_value(text: str, read: object) -> None:
    rows = f'7,2021-03-01 08:00,TNT,0.01,"{text}",ng/mL\n7,2021-03-01 08:00,K,4.1,4.1,mmol/L\n'
    timeline = read(BESIDE + rows)  # type: ignore[operator]
    numbers = timeline.events.set_index("code")["numeric_value"]
    assert np.isnan(numbers["TNT"])
    assert numbers["K"] == np.float32(4.1)
    assert timeline.events["text_value"].tolist()[0] == text
    assert f"{BOUND}: 1 value." in said(timeline)


def test_a_filler_of_nines_gives_way_to_the_text_beside_it() -> None:
    rows = "7,2021-03-01 08:00,HIV,9999999,NON-REACTIVE,\n7,2021-03-01 09:00,FERRITIN,9999,9999,\n"
    timeline = loaded(BESIDE + rows)
    assert np.isnan(timeline.events["numeric_value"][0])
    assert timeline.events["numeric_value"][1] == 9999
    assert f"{FILLER}, which stands for none: 1 value." in said(timeline)
    assert NINES not in said(timeline)


def test_a_filler_without_a_text_is_said() -> None:
    rows = "7,2021-03-01 08:00,HR,-999,bpm\n7,2021-03-01 09:00,K,99999,mmol/L\n7,2021-03-01 10:00,BE,-2.5,\n"
    assert "a value that is not there, and read as a number: 2 values." in said(loaded(PLAIN + rows))
    real = "7,2021-03-01 08:00,FERRITIN,999,ng/mL\n7,2021-03-01 09:00,BNP,9999,pg/mL\n"
    assert NINES not in said(loaded(PLAIN + real))


def test_words_and_the_same_number_beside_a_number_are_no_doubt() -> None:
    rows = (
        "7,2021-03-01 08:00,PAIN,3,moderate,\n7,2021-03-01 08:00,GCS,4,Spontaneously,\n"
        '7,2021-03-01 08:00,GLU,105,105.0,mg/dL\n7,2021-03-01 08:00,PLT,1250,"1,250",\n'
        '7,2021-03-01 08:00,CRP,1.4,"1,4",\n'
    )
    timeline = loaded(BESIDE + rows)
    assert timeline.events["numeric_value"].tolist() == pytest.approx([3, 4, 105, 1250, 1.4])
    assert not any(words in said(timeline) for words in (BOUND, FILLER, OTHER))


def test_another_number_in_the_text_beside_a_number_is_said() -> None:
    timeline = loaded(BESIDE + "7,2021-03-01 08:00,K,4.1,4.9,mmol/L\n")
    assert timeline.events["numeric_value"].tolist() == pytest.approx([4.1])
    assert f"{OTHER}; both are shown, and models read the number: 1 value." in said(timeline)


@pytest.mark.parametrize("day", ["1900-01-01", "1899-12-30 08:15", "1970-01-01 00:00:00"])
def test_a_day_that_stands_for_an_unknown_one_is_said(day: str) -> None:
    rows = f"7,{day},CRP,14,mg/L\n7,2021-03-13 08:00,CRP,9,mg/L\n"
    assert "1 January 1970): 1 event." in said(loaded(PLAIN + rows))
    assert UNKNOWN_DAY in said(loaded(PLAIN + rows))
    usual = rows.replace(day, "1970-01-01 08:15") + "7,1970-01-01,MEDS_BIRTH,,\n"
    assert UNKNOWN_DAY not in said(loaded(PLAIN + usual))
