"""Time to read a CT series, as a multiple of reading its bytes, beside other readers in the same process.

    python -m bench.load [--slices 300] [--size 512] [--repeats 3]
    python -m bench.load --folder DIR [--repeats 3]

Writes a synthetic uncompressed DICOM series and a .nii.gz to a temporary folder, reads each alternately with every
reader that is installed, and prints the best time of each and its ratio to reading the bytes into one array (at most 5
for this loader). Processor time is the sum over all threads: beside other jobs it says more than wall time. Compressed
series and memory have their own benches, bench.load_compressed and bench.load_memory. With --folder a series of your
own is read instead, one folder of files: what a check costs on the values of a real scan is not seen on a ramp.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from ct_factory import Grid, slice_dataset, to_bytes

from bench.timing import Seconds, best
from core.load import load_study


def write_series(folder: Path, slices: int, size: int) -> None:
    """A noisy ramp with air, tissue and bone, 12 bits, one file a slice."""
    grid = Grid((size, size, slices), (0.7, 0.7, 1.0))
    rng = np.random.default_rng(0)
    plane = np.add.outer(np.linspace(30, 1600, size), np.linspace(0, 800, size))
    for index in range(slices):
        dataset = slice_dataset(grid, index)
        noise = rng.integers(-20, 20, (size, size))
        dataset.PixelData = (plane + noise).astype("<u2").tobytes()
        (folder / f"{index * 7 % slices:04d}_{index}.dcm").write_bytes(to_bytes(dataset))


def read_bytes(folder: Path, slices: int, size: int) -> np.ndarray:
    """The limit: file contents into one preallocated array."""
    out = np.empty((slices, size * size * 2), np.uint8)
    for index, path in enumerate(sorted(folder.iterdir())):
        with open(path, "rb", buffering=0) as handle:
            handle.seek(path.stat().st_size - size * size * 2)
            handle.readinto(out[index])
    return out


def read_files(folder: Path) -> np.ndarray:
    """The same where the place of the pixels is not known: every file, whole."""
    paths = sorted(folder.iterdir())
    places = np.cumsum([0, *(path.stat().st_size for path in paths)]).tolist()
    out = np.empty(places[-1], np.uint8)
    for path, start, stop in zip(paths, places, places[1:]):
        with open(path, "rb", buffering=0) as handle:
            handle.readinto(out[start:stop].data)
    return out


def pydicom_loop(folder: Path) -> np.ndarray:
    """The common recipe: sort by position, rescale, stack."""
    files = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()), key=lambda ds: float(ds.ImagePositionPatient[2])
    )
    planes = [ds.pixel_array * np.float32(ds.RescaleSlope) + np.float32(ds.RescaleIntercept) for ds in files]
    return np.stack(planes).astype(np.int16)


def simpleitk_series(folder: Path) -> object:
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def highdicom_series(folder: Path) -> object:
    import highdicom

    return highdicom.get_volume_from_series([pydicom.dcmread(path) for path in folder.iterdir()], dtype=np.int16)


def monai_series(folder: Path) -> object:
    from monai.transforms.io.array import LoadImage

    return LoadImage(image_only=True, reader="PydicomReader", dtype=np.int16)(folder)


def simpleitk_nifti(path: Path) -> object:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def show(title: str, times: dict[str, Seconds]) -> None:
    limit = next(iter(times.values()))
    print(title)
    for name, seconds in times.items():
        print(
            f"  {name:34s} {seconds.wall:7.3f} s   {seconds.wall / limit.wall:6.1f} x"
            f"   processor {seconds.processor:7.3f} s   {seconds.processor / limit.processor:6.1f} x"
        )


def _readers(folder: Path) -> dict[str, Callable[[], object]]:
    return {
        "core.load.load_study": lambda: load_study(folder),
        "pydicom loop": lambda: pydicom_loop(folder),
        "SimpleITK series reader": lambda: simpleitk_series(folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="a DICOM series of your own")
    options = parser.parse_args()
    if options.folder:
        limit = {"read the files": lambda: read_files(options.folder)}
        show("A series of your own", best({**limit, **_readers(options.folder)}, options.repeats))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "series"
        folder.mkdir()
        write_series(folder, options.slices, options.size)
        show(
            f"{options.slices} x {options.size} x {options.size}, uncompressed DICOM",
            best(
                {
                    "read the bytes": lambda: read_bytes(folder, options.slices, options.size),
                    **_readers(folder),
                    "highdicom": lambda: highdicom_series(folder),
                    "MONAI PydicomReader": lambda: monai_series(folder),
                },
                options.repeats,
            ),
        )
        import nibabel as nib

        study = load_study(folder)
        packed = Path(temporary) / "scan.nii.gz"
        nib.save(nib.Nifti1Image(study.voxels_hu, study.affine_mm), packed)
        show(
            ".nii.gz of the same volume",
            best(
                {
                    "SimpleITK": lambda: simpleitk_nifti(packed),
                    "core.load.load_study": lambda: load_study(packed),
                    "nibabel int16": lambda: np.asarray(nib.Nifti1Image.from_filename(packed).dataobj),
                },
                options.repeats,
            ),
        )


if __name__ == "__main__":
    main()
