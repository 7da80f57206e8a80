"""Copies of the volume in memory while a CT is read, and once it has been read.

    python -m bench.load_memory [--slices 300] [--size 512] [--largest]

Each source is read in a fresh process that has already read a small one. Resident memory beyond that base, at its
highest and at the end (freed memory handed back to the system first, as the app does when a study is cleared), is
divided by the size of the int16 volume. --largest: the largest volume that the limits allow (in slices of 512 x 512),
which must stay within 1 GiB; 8 GB on disk. Linux only (/proc/self/clear_refs).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pydicom.uid import JPEGLSLossless

from bench.load import write_series
from bench.load_compressed import compress_series
from core.case.memory import give_back_memory
from core.intake.files.limits import LIMITS, MIB
from core.load import load_study

ROOT = Path(__file__).resolve().parents[1]
LIMIT_ON_THE_WAY, LIMIT_AT_THE_END = 2.0, 1.0
MOST_BYTES = 1 << 30
NOISE_BYTES = 16 << 20
"""What threads, their buffers and the allocator keep, however large the volume is."""


NIFTIS = {
    "plain.nii": "int16", "packed.nii.gz": "int16", "int32.nii.gz": "int32", "float32.nii.gz": "float32",
    "float64.nii.gz": "float64",
}  # fmt: skip
"""File name -> stored numbers."""


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (highest since the last reset) of this process."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def measure(small: Path, source: Path, *, upload: bool) -> dict[str, float]:
    """Bytes beyond the base, {"highest", "end"}, and of the volume. upload: files already held as bytes."""
    held = [(path.name, path.read_bytes()) for path in sorted(source.iterdir())] if upload else source
    load_study(small)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    base = resident_bytes("VmRSS")
    study = load_study(held)
    highest = resident_bytes("VmHWM")
    give_back_memory()
    return {
        "highest": highest - base,
        "end": resident_bytes("VmRSS") - base,
        "volume": study.voxels_hu.nbytes,
    }


def in_child(small: Path, source: Path, upload: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load_memory", "--measure", str(small), str(source), str(int(upload))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    return dict(json.loads(done.stdout))


def sources(folder: Path, slices: int, size: int) -> dict[str, tuple[Path, bool]]:
    """Name -> (path, whether its files are handed over as bytes), all written below `folder`."""
    import nibabel as nib

    plain, packed, archive = folder / "plain", folder / "packed", folder / "series.zip"
    plain.mkdir()
    write_series(plain, slices, size)
    compress_series(plain, packed, JPEGLSLossless)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for path in plain.iterdir():
            out.write(path, path.name)
    study = load_study(plain)
    for name, kind in NIFTIS.items():
        nib.save(nib.Nifti1Image(study.voxels_hu.astype(kind), study.affine_mm), folder / name)
    return {
        "folder": (plain, False),
        "folder, JPEG-LS": (packed, False),
        "upload of the folder's files": (plain, True),
        "zip": (archive, False),
        **{f"{Path(name).suffixes[-1]}, {kind}": (folder / name, False) for name, kind in NIFTIS.items()},
    }


def largest(folder: Path) -> dict[str, tuple[Path, bool]]:
    """The same for the largest volume allowed; the packed ones unpack to 1.8 GiB."""
    import nibabel as nib

    plain, archive = folder / "plain", folder / "float32.zip"
    plain.mkdir()
    write_series(plain, LIMITS.voxels // 512**2, 512)
    study = load_study(plain)
    for name in ("float32.nii", "float32.nii.gz", "int16.nii.gz"):
        nib.save(nib.Nifti1Image(study.voxels_hu.astype(name.split(".")[0]), study.affine_mm), folder / name)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        out.write(folder / "float32.nii", "scan.nii")
    files = ("float32.nii", "float32.nii.gz", "int16.nii.gz", "float32.zip")
    return {"folder": (plain, False)} | {name: (folder / name, False) for name in files}


def show(name: str, used: dict[str, float], within: bool) -> None:
    highest, end = used["highest"] / used["volume"], used["end"] / used["volume"]
    verdict = "met" if within else "NOT met"
    print(
        f"  {name:30s} highest {highest:5.2f} ({used['highest'] / MIB:5.0f} MiB)   end {end:5.2f}   {verdict}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--largest", action="store_true")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        small, source, upload = options.measure
        print(json.dumps(measure(Path(small), Path(source), upload=upload == "1")))
        return
    noise = NOISE_BYTES / (2 * options.slices * options.size**2)
    with tempfile.TemporaryDirectory() as temporary:
        small = Path(temporary) / "small"
        small.mkdir()
        write_series(small, 8, 64)
        if options.largest:
            print(f"the largest volume allowed, {LIMITS.voxels // 512**2} x 512 x 512; at most {MOST_BYTES // MIB} MiB")
            for name, (source, upload) in largest(Path(temporary)).items():
                used = in_child(small, source, upload)
                show(name, used, used["highest"] <= MOST_BYTES)
            return
        print(
            f"copies of {options.slices} x {options.size} x {options.size} int16 voxels; "
            f"at most {LIMIT_ON_THE_WAY:.0f} on the way, {LIMIT_AT_THE_END:.0f} at the end"
        )
        for name, (source, upload) in sources(Path(temporary), options.slices, options.size).items():
            used = in_child(small, source, upload)
            highest, end = used["highest"] / used["volume"], used["end"] / used["volume"]
            show(name, used, highest <= LIMIT_ON_THE_WAY + noise and end <= LIMIT_AT_THE_END + noise)


if __name__ == "__main__":
    main()
