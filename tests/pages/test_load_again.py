"""The Load page where something is changed, corrected or undone after it was read or refused."""

from __future__ import annotations

from datetime import date
from datetime import time as clock
from pathlib import Path

import intake_support as files
import nibabel as nib
import numpy as np
import pytest
from load_page_support import answer, keys, load_page, read, settled
from pages_support import fine, html

ODD = b"pid;wann;was;lab_reading\n" + b"".join(b"1;2020-03-%02d;BNP;23%02d\n" % (day, day) for day in range(1, 21))


@pytest.fixture
def two_orientations(tmp_path: Path) -> Path:
    """A NIfTI file whose qform and sform contradict each other."""
    affine = np.diag([6.0, 6.0, 8.0, 1.0])
    image = nib.Nifti1Image(files.GRID.hu().astype(np.int16), affine)
    image.set_sform(affine, 1)
    image.set_qform(np.diag([-6.0, 6.0, 8.0, 1.0]), 1)
    path = tmp_path / "scan.nii"
    path.write_bytes(image.to_bytes())
    return path


def test_a_repair_is_undone_without_the_files_being_handed_over_again(world, tmp_path):
    app = read(load_page(), files.written(tmp_path / "gap", files.gapped()))
    assert "undo_repairs" not in keys(app), "there is nothing to undo"
    app.button(key="repair_longest_run").click()
    settled(app)
    assert "only the longest even run was kept" in html(app)
    app.button(key="undo_repairs").click()
    settled(app)
    assert {"repair_longest_run", "repair_resample_evenly"} <= keys(app)
    assert not {"undo_repairs", "open_case"} & keys(app)
    app.button(key="repair_resample_evenly").click()
    settled(app)
    assert "Repaired: uneven slices" in html(app)
    assert "longest even run" not in html(app)


def test_a_refused_volume_is_not_said_to_have_no_slice_and_gets_its_picture_once_read(world, two_orientations):
    app = read(load_page(), two_orientations)
    assert "slices and spacing in doubt" in html(app)
    assert "0 slices" not in html(app)
    assert "no preview" in html(app)
    app.button(key="repair_use_sform").click()
    settled(app)
    assert "24 slices, 6 \u00d7 6 \u00d7 8 mm" in html(app)
    assert "from 0 images" not in html(app)
    assert "data:image/png;base64," in html(app)


def test_columns_are_mapped_again(world, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(ODD)
    app = read(load_page(), record=path)
    assert "map_again" not in keys(app)
    answer(app, time="wann", code="was")
    assert "Record: 20 events" in html(app)
    app.button(key="map_again").click()
    settled(app)
    assert "Say what the columns mean" in html(app)
    answer(app, time="wann", code="was", value=None)
    assert "Record: 20 events" in html(app)
    fine(app.button(key="open_case").click().run())
    assert not app.session_state["case"].timeline.events["numeric_value"].notna().any()


def test_a_column_that_its_name_tells_is_taken_back_too(world, tmp_path):
    """What is called value is none here: what it holds is read neither by this name nor by what it looks like."""
    path = tmp_path / "labs.csv"
    rows = b"".join(b"1;04.0%d.2020;BNP;23%d\n" % (month, month) for month in range(1, 10))
    path.write_bytes(b"subject_id;time;code;value\n" + rows)
    app = read(load_page(), record=path)
    assert app.selectbox(key="column_value").value == "value"
    app.selectbox(key="way_dates").set_value("day first").run()
    answer(app, value=None)
    assert "Record: 9 events" in html(app)
    fine(app.button(key="open_case").click().run())
    assert app.session_state["case"].timeline.events["numeric_value"].isna().all()
    assert app.session_state["case"].timeline.events["text_value"].isna().all()


def test_what_is_needed_to_read_a_table_stands_beside_the_button(world, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(ODD)
    app = read(load_page(), record=path)
    for role in ("time", "code"):
        app.selectbox(key=f"column_{role}").set_value(None).run()
    assert "Still needed: Time, Event." in html(app)
    assert "map_columns" not in keys(app)


def test_a_wrong_guess_of_a_column_is_taken_back(world, tmp_path):
    path = tmp_path / "labs.csv"
    path.write_bytes(b"subject_id,time,code,lab_reading\n1,2020-03-01T08:00,BNP,2310\n")
    app = read(load_page(), record=path)
    assert app.selectbox(key="column_value").value == "lab_reading"
    app.selectbox(key="column_value").set_value(None).run()
    assert "Still needed" not in html(app)
    assert fine(app.run()).selectbox(key="column_value").value is None, "nor does the guess come back"


def test_what_is_still_to_be_said_of_the_columns_stands_beside_the_button(world, tmp_path):
    path = tmp_path / "labs.csv"
    path.write_bytes(b"subject_id;time;code;value\n1;04.05.2020;BNP;2,5\n")
    app = read(load_page(), record=path)
    assert html(app).count("Unclear whether the day") == 1, "the reason stands there once"
    assert "Not said yet: how dates are written, the decimal sign." in html(app)
    app.selectbox(key="way_dates").set_value("day first").run()
    assert "Not said yet: the decimal sign." in html(app)
    app.selectbox(key="column_unit").set_value("code").run()
    assert "code is chosen for Event and Unit; a column can have one meaning only." in html(app)
    assert "map_columns" not in keys(app)


def test_the_name_of_a_column_is_text(world, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(b"pid;wann;<img src=x>\n1;2020-03-01;I50.9\n1;2020-03-02;I10\n")
    app = read(load_page(), record=path)
    for role in ("code", "unit"):
        app.selectbox(key=f"column_{role}").set_value("<img src=x>").run()
    assert "&lt;img src=x&gt; is chosen for Event and Unit" in html(app)
    assert "<img src=x>" not in html(app)


def test_a_day_without_a_time_counts_from_midnight(world, tmp_path):
    path = tmp_path / "events.csv"
    path.write_bytes(files.events_csv())
    app = read(load_page(), record=path)
    app.date_input(key="day_zero").set_value(date(2020, 2, 29)).run()
    settled(app)
    assert "Record: 9 events up to day 0; 2 later ones left out" in html(app)
    app.time_input(key="day_zero_time").set_value(clock(9, 30)).run()
    settled(app)
    assert "Record: 10 events up to day 0; 1 later ones left out" in html(app)
    app.date_input(key="day_zero").set_value(None).run()
    settled(app)
    assert "Record: 11 events up to day 0." in html(app)
    assert "A time of day alone is not read" in html(app)


def test_paths_stay_to_be_corrected_where_one_was_refused(world, tmp_path):
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv())
    app = read(load_page(), Path("/nowhere/at/all"), record)
    fine(app.button(key="start_over").click().run())
    assert app.text_input(key="ct_path").value == "/nowhere/at/all"
    assert app.text_input(key="record_path").value == str(record)


def test_load_does_not_say_that_nothing_is_read_while_a_case_is_open(world, tmp_path):
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv())
    app = load_page()
    assert "Nothing is read yet" in html(app)
    app = read(app, record=record)
    fine(app.button(key="strip").click().run())
    fine(app.button(key="open_case").click().run())
    fine(app.switch_page("pages/load.py").run())
    assert "Your own case is open." in html(app)
    assert "Nothing is read yet" not in html(app)


def test_a_case_whose_day_0_was_changed_since_is_not_shown_as_the_files_that_are_read(world, tmp_path):
    record = tmp_path / "events.csv"
    record.write_bytes(files.events_csv())
    app = read(load_page(), record=record)
    fine(app.button(key="open_case").click().run())
    assert "wait to be opened" not in html(app)
    fine(app.switch_page("pages/load.py").run())
    app.date_input(key="day_zero").set_value(date(2020, 2, 29)).run()
    settled(app)
    fine(app.switch_page("pages/case_review.py").run())
    assert "Your files are read and wait to be opened." in html(app)
    assert "the case opened before: <b>Your own case" in html(app)
    fine(app.switch_page("pages/load.py").run())
    fine(app.button(key="open_case").click().run())
    fine(app.switch_page("pages/case_review.py").run())
    assert "wait to be opened" not in html(app)


@pytest.mark.parametrize("sex", ["F", "M"])
def test_a_scan_and_a_record_of_two_people_are_told_before_they_are_opened(world, tmp_path, sex):
    ct = files.written(tmp_path / "ct", files.series(edit=files.patient("DOE^JANE", "A1", PatientSex=sex)))
    record = tmp_path / "events.csv"
    record.write_text("subject_id,time,code\n7,,GENDER//M\n7,2020-01-01,ICD10CM//I10\n")
    app = read(load_page(), ct, record)
    assert ("The CT and the record may be of two people: a woman" in html(app)) == (sex == "F")


def test_where_the_day_of_the_scan_is_offered_no_day_is_that_the_death_would_choose(world, tmp_path):
    ct = files.written(tmp_path / "ct", files.series(edit=files.patient("DOE^JANE", "A1", AcquisitionDate="20200110")))
    record = tmp_path / "events.csv"
    record.write_text("subject_id,time,code\n7,2020-01-01,ICD10CM//I10\n7,2020-02-20,MEDS_DEATH\n")
    app = read(load_page(), ct, record)
    assert "had died by day 0" in html(app)
    assert "scan_day" in keys(app)
    assert "before_death" not in keys(app)
