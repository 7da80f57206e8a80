"""Time to read a compressed CT series, as a multiple of its decoder's own time on the same number of threads.

    python -m bench.load_compressed [--slices 100] [--size 512] [--repeats 3] [--folder DIR]

The bare decoder is the one that the loader calls (imagecodecs), without what the loader checks before and after it. It
gets the compressed frames, already in memory and cut apart, and its results are thrown away. The loader starts from
files: it finds the frames, checks them, decodes, rescales and checks the volume. Between the two stands the floor:
reading frames whose place in the files is known, decoding them and laying the values into a new volume, on as many
threads, without headers and without a check. "Uncompressed": the loader on the same series, nothing to
decode. Beside them, what reading and decoding file after file costs with pydicom.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import gdcm
import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from bench.load import write_series
from bench.timing import best
from core.intake.files.limits import workers
from core.intake.scan.hounsfield import Volume
from core.intake.scan.reorient import write_turned
from core.load import load_study

LIMIT, IN_A_ROW = 1.3, 8
DECODERS: dict[UID, Callable[..., object]] = {
    JPEG2000Lossless: partial(imagecodecs.jpeg2k_decode, numthreads=1),
    HTJ2KLossless: partial(imagecodecs.jpeg2k_decode, numthreads=1),
    JPEGLSLossless: imagecodecs.jpegls_decode,
    JPEGLosslessSV1: imagecodecs.jpeg8_decode,
    RLELossless: partial(imagecodecs.dicomrle_decode, dtype=np.dtype("<u2")),
}
"""Transfer syntaxes, and what the loader decodes them by."""


def compress_series(plain: Path, folder: Path, syntax: UID) -> None:
    """Every file of `plain`, compressed, in `folder`; what pydicom cannot write by GDCM (lossless JPEG) or OpenJPH."""
    folder.mkdir()
    for path in plain.iterdir():
        if syntax == JPEGLosslessSV1:
            _compress_by_gdcm(path, folder / path.name)
            continue
        dataset = pydicom.dcmread(path)
        if syntax == HTJ2KLossless:
            dataset.PixelData = encapsulate([bytes(imagecodecs.htj2k_encode(dataset.pixel_array, reversible=True))])
            dataset["PixelData"].VR, dataset.file_meta.TransferSyntaxUID = "OB", syntax
        else:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(folder / path.name)


def _compress_by_gdcm(source: Path, target: Path) -> None:
    reader, writer, change = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(source))
    read = reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    changed = change.Change()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not (read and changed and writer.Write()):
        raise RuntimeError("GDCM could not compress the series")


def bare_decoder(folder: Path, syntax: UID) -> Callable[[], None]:
    """A task that decodes every frame of the series on as many threads as the loader uses, and does nothing else."""
    files = [pydicom.dcmread(path) for path in folder.iterdir()]
    frames = [next(generate_frames(file.PixelData, number_of_frames=1)) for file in files]

    def task() -> None:
        with ThreadPoolExecutor(workers()) as pool:
            for _ in pool.map(DECODERS[syntax], frames):
                pass

    return task


def bare_reader(folder: Path, syntax: UID) -> Callable[[], None]:
    """A task that reads every frame, decodes it and lays it into a new volume, and does nothing else.

    What any loader must do at least, once somebody has told it where the frames lie and that all of them are sound.
    """
    places = [(path, *_place(path)) for path in folder.iterdir()]
    first = pydicom.dcmread(places[0][0], stop_before_pixels=True)
    shape = int(first.Columns), int(first.Rows), len(places)
    intercept = np.int16(first.RescaleIntercept)

    def lay(number: int, volume: Volume) -> None:
        path, start, length = places[number]
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            frame = file.read(length)
        plane = volume[::-1, ::-1, number].T
        decoded = DECODERS[syntax](frame)
        stored = np.frombuffer(decoded, np.int16) if isinstance(decoded, bytes) else np.asarray(decoded).view(np.int16)
        write_turned(stored.reshape(plane.shape), plane)
        np.add(plane, intercept, out=plane)

    def lay_run(first: int, volume: Volume) -> None:
        for number in range(first, min(first + IN_A_ROW, len(places))):
            lay(number, volume)

    def task() -> None:
        volume = np.empty(shape, np.int16, order="F")
        with ThreadPoolExecutor(workers()) as pool:
            for _ in pool.map(partial(lay_run, volume=volume), range(0, len(places), IN_A_ROW)):
                pass

    return task


def _place(path: Path) -> tuple[int, int]:
    """(start, length) of the only frame of a file."""
    data = path.read_bytes()
    frame = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    return data.index(frame), len(frame)


def pydicom_loop(folder: Path) -> None:
    """Read and decode file after file, on one thread, without rescale, order or checks."""
    for path in folder.iterdir():
        len(pydicom.dcmread(path).pixel_array)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        plain = options.folder or Path(temporary) / "plain"
        if not options.folder:
            plain.mkdir()
            write_series(plain, options.slices, options.size)
        print(f"{load_study(plain).shape} voxels, {workers()} threads; limit {LIMIT} x the decoder alone")
        for number, syntax in enumerate(DECODERS):
            folder = Path(temporary) / str(number)
            compress_series(plain, folder, syntax)
            tasks: dict[str, Callable[[], object]] = {
                "alone": bare_decoder(folder, syntax),
                "floor": bare_reader(folder, syntax),
                "load": partial(load_study, folder),
                "plain": partial(load_study, plain),
                "loop": partial(pydicom_loop, folder),
            }
            times = best(tasks, options.repeats)
            alone, load = times["alone"], times["load"]
            uncompressed = times["plain"].wall / alone.wall
            floor, ratio = times["floor"].wall / alone.wall, load.wall / alone.wall
            verdict = "met" if ratio <= LIMIT else "NOT met"
            print(
                f"  {syntax.name[:34]:34s} decoder {alone.wall:6.3f} s   floor {floor:5.2f} x   load_study"
                f" {ratio:5.2f} x {verdict}, uncompressed {uncompressed:5.2f} x"
                f" (processor {alone.processor:.2f} and {load.processor:.2f} s)"
                f"   pydicom loop {times['loop'].wall:6.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
