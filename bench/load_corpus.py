"""The corpus of tests/ through this loader and its peers; each loader in its own limited process.

    python -m bench.load_corpus [--every 1] [--out docs/results/load_corpus.md]

A volume is judged by world position (tests/corpus.py). Peers: the common pydicom recipe, highdicom, SimpleITK, MONAI,
nibabel, dcm2niix, as far as they are installed. Each case has a minute and 12 GiB of addresses; beyond 5 s or 1 GiB it
counts as slow or big.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from corpus import Case

Volume = tuple[npt.NDArray[Any], npt.NDArray[Any]]
Answer = tuple[Volume | None, float, float, bool]
"""Volume or None, seconds, bytes grown, warned."""
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
LIMIT_S, LIMIT_BYTES = 20.0, 4 << 30
COLUMNS = ("right", "silently wrong", "wrong with a warning", "accepted, must refuse", "falsely refused", "slow or big")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def this_project(folder: Path) -> Volume:
    from core.load import load_study

    study = load_study(folder)
    return study.voxels_hu, study.affine_mm


def pydicom_recipe(folder: Path) -> Volume:
    """Read what can be read, sort by the third coordinate, rescale, stack."""
    import pydicom

    read = [pydicom.dcmread(path, force=False) for path in files_of(folder)]
    slices = sorted((ds for ds in read if "PixelData" in ds), key=lambda ds: float(ds.ImagePositionPatient[2]))
    planes = [ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices]
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    cosines = np.array(first.ImageOrientationPatient, float)
    affine[:3, 0], affine[:3, 1] = cosines[:3] * first.PixelSpacing[1], cosines[3:] * first.PixelSpacing[0]
    start = np.array(first.ImagePositionPatient, float)
    affine[:3, 2] = (np.array(last.ImagePositionPatient, float) - start) / max(1, len(slices) - 1)
    affine[:3, 3] = start
    return np.stack(planes).transpose(2, 1, 0), FLIP @ affine


def highdicom_volume(folder: Path) -> Volume:
    import highdicom
    import pydicom

    read = [ds for path in files_of(folder) if "PixelData" in (ds := pydicom.dcmread(path))]
    if len(read) == 1:
        volume = highdicom.Image.from_dataset(read[0]).get_volume()
    else:
        volume = highdicom.get_volume_from_series(read)
    return volume.array, FLIP @ volume.affine


def simpleitk(folder: Path) -> Volume:
    import SimpleITK as sitk

    files = files_of(folder)
    if ".nii" in files[0].name or len(files) == 1:
        image = sitk.ReadImage(str(files[0]))
    else:
        folders = {str(path.parent) for path in files}
        names = max((sitk.ImageSeriesReader.GetGDCMSeriesFileNames(place) for place in folders), key=len)
        image = sitk.ReadImage(names)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, FLIP @ affine


def monai_reader(folder: Path) -> Volume:
    from monai.transforms.io.array import LoadImage

    files = files_of(folder)
    nifti = ".nii" in files[0].name
    image = LoadImage(image_only=True, reader="NibabelReader" if nifti else "PydicomReader")(
        files[0] if nifti else folder
    )
    return image.numpy(), image.affine.numpy()


def nibabel_load(folder: Path) -> Volume:
    import nibabel as nib

    image: Any = nib.load(files_of(folder)[0])
    return np.asarray(image.dataobj), np.asarray(image.affine)


def dcm2niix_load(folder: Path) -> Volume:
    import nibabel as nib
    from dcm2niix import bin as program

    with tempfile.TemporaryDirectory() as out:
        subprocess.run([program, "-f", "%s_%p", "-z", "n", "-o", out, str(folder)], check=True, capture_output=True)
        made = sorted(Path(out).glob("*.nii"), key=lambda path: path.stat().st_size)
        image: Any = nib.load(made[-1])
        return np.array(image.dataobj), np.asarray(image.affine)


DICOM_LOADERS = {"this project": this_project, "highdicom": highdicom_volume, "dcm2niix": dcm2niix_load,
                 "pydicom, common recipe": pydicom_recipe, "MONAI PydicomReader": monai_reader,
                 "SimpleITK series reader": simpleitk}  # fmt: skip
NIFTI_LOADERS = {"this project": this_project, "nibabel": nibabel_load, "MONAI NibabelReader": monai_reader,
                 "SimpleITK": simpleitk}  # fmt: skip


def serve(loader: Callable[[Path], Volume], pipe: Connection) -> None:
    """Answer folders with (volume or None, seconds, grown bytes, warned) until told to stop."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES + (8 << 30), LIMIT_BYTES + (8 << 30)))
    log = tempfile.TemporaryFile()  # noqa: SIM115
    os.dup2(log.fileno(), 2)
    while folder := pipe.recv():
        before, written = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, os.fstat(2).st_size
        start, volume = time.process_time(), None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                volume = loader(Path(folder))
            except BaseException:
                volume = None
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        warned = bool(caught) or os.fstat(2).st_size > written
        pipe.send((volume, time.process_time() - start, grown, warned))


class Worker:
    """A loader in its own process, restarted where a case kills or outlasts it."""

    def __init__(self, loader: Callable[[Path], Volume]) -> None:
        self.loader = loader
        self.start()

    def start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(self.loader, theirs), daemon=True)
        self.process.start()

    def load(self, folder: Path) -> Answer | None:
        """The answer, or None where the process died or ran out of time."""
        self.pipe.send(str(folder))
        try:
            if self.pipe.poll(LIMIT_S * 3):
                answer: Answer = self.pipe.recv()
                return answer
        except EOFError:
            pass
        self.process.kill()
        self.process.join()
        self.start()
        return None


def verdict(case: Case, answer: Answer | None) -> str:
    """The column a loader's answer to a case belongs to."""
    from corpus import what_is_wrong

    if answer is None:
        return "slow or big"
    volume, seconds, grown, warned = answer
    if seconds > 5 or grown > 1 << 30:
        return "slow or big"
    if volume is None:
        return "falsely refused" if case.expect == "right" else "right"
    plain = volume[0].ndim == 3 and volume[0].dtype.names is None
    wrong = not plain or what_is_wrong(case, *volume)
    if not wrong and case.expect != "refuse":
        return "right"
    if not wrong:
        return "accepted, must refuse"
    return "wrong with a warning" if warned else "silently wrong"


def write_files(case: Case, folder: Path) -> None:
    """The files of a case; of several with one name, the later ones are numbered."""
    for number, (name, data) in enumerate(case.make()):
        path = folder / name.replace("\n", "_")
        if path.exists():
            path = path.with_name(f"{number}_{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def compare(loaders: Mapping[str, Callable[[Path], Volume]], chosen: Sequence[Case]) -> list[str]:
    """Lines of a table: loaders by columns."""
    workers = {name: Worker(loader) for name, loader in loaders.items()}
    counts: dict[str, Counter[str]] = {name: Counter() for name in loaders}
    for case in chosen:
        with tempfile.TemporaryDirectory() as temporary:
            write_files(case, Path(temporary))
            for name, worker in workers.items():
                counts[name][verdict(case, worker.load(Path(temporary)))] += 1
    for worker in workers.values():
        worker.process.kill()
    lines = [f"| loader (n = {len(chosen)}) | " + " | ".join(COLUMNS) + " |", "|--|" + "--:|" * len(COLUMNS)]
    return lines + [
        f"| {name} | " + " | ".join(str(count[c]) for c in COLUMNS) + " |" for name, count in counts.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th case only")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    from corpus_bytes import GZIP, STREAMS, STRUCTURE
    from corpus_doubts import CASES as DOUBTS
    from corpus_enhanced import CASES as ENHANCED
    from corpus_geometry import CASES as GEOMETRY
    from corpus_nifti import CASES as NIFTI
    from corpus_values import CASES as VALUES

    doubts = [case for case in DOUBTS if "link" not in case.name]
    dicom = [*GEOMETRY, *VALUES, *ENHANCED, *STRUCTURE, *STREAMS, *(c for c in doubts if "NIfTI" not in c.name)][
        :: options.every
    ]
    nifti = [*NIFTI, *GZIP, *(case for case in doubts if "NIfTI" in case.name)][:: options.every]
    lines = [
        "# The corpus through this loader and its peers\n",
        f"`python -m bench.load_corpus --every {options.every}`\n",
    ]
    for title, loaders, chosen in (("DICOM", DICOM_LOADERS, dicom), ("NIfTI", NIFTI_LOADERS, nifti)):
        lines += [f"## {title}\n", *compare(loaders, chosen), ""]
    text = "\n".join(lines)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
