"""Files as a hospital hands them over, with planted identifiers, for the Load page's tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ct_factory import Edit, Grid, NamedBytes, dicom_files
from pydicom.dataset import Dataset

GRID = Grid((48, 40, 24), (6.0, 6.0, 8.0))


def patient(name: str, number: str, **words: str) -> Edit:
    """Puts a person's name and number into every slice."""

    def edit(index: int, dataset: Dataset) -> None:
        dataset.PatientName, dataset.PatientID = name, number
        for keyword, value in words.items():
            setattr(dataset, keyword, value)

    return edit


def nobody(index: int, dataset: Dataset) -> None:
    """Takes out whatever the search for identifiers reports."""
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "Manufacturer"):
        if keyword in dataset:
            delattr(dataset, keyword)


def series(grid: Grid = GRID, *, edit: Edit | None = None, seed: int = 0) -> list[NamedBytes]:
    """One series as files."""
    return dicom_files(grid, edit=edit, seed=seed)


def gapped(**options: object) -> list[NamedBytes]:
    """A series of which one slice in the middle is missing, so that repairs are offered."""
    files = series(**options)  # type: ignore[arg-type]
    return [file for number, file in enumerate(files) if number != 10]


def zipped(files: Sequence[NamedBytes], folder: str = "study") -> bytes:
    """An archive of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files:
            archive.writestr(f"{folder}/{name}", data)
    return out.getvalue()


def written(folder: Path, files: Sequence[NamedBytes]) -> Path:
    """The files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files:
        (folder / name).write_bytes(data)
    return folder


def events_csv(marker: str = "", subjects: Sequence[int] = (7,)) -> bytes:
    """A small record; `marker` stands in a free text and as a code."""
    lines = ["subject_id,time,code,numeric_value,unit,text_value"]
    for subject in subjects:
        lines += [
            f"{subject},1956-05-04,MEDS_BIRTH,,,",
            f"{subject},2019-11-02 08:00,LOINC//33762-6,310,pg/mL,",
            f"{subject},2020-01-02 08:00,ICD10CM//I50.9,,,",
            f"{subject},2020-02-29 09:30,LOINC//33762-6,2310,pg/mL,",
            f"{subject},2020-03-01 09:00,LOINC//8867-4,104,/min,",
        ]
        lines += [f"{subject},2020-01-{day:02d} 07:00,LOINC//8867-4,{60 + day},/min," for day in range(3, 9)]
        if marker:
            lines.append(f"{subject},2020-02-28 10:00,{marker},,,{marker} seen")
    return "\n".join(lines).encode() + b"\n"
