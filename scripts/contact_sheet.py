"""Contact sheet of ten virtual patients beside the real scan they come from: docs/virtual_patients.png.

python -m scripts.contact_sheet [OUT.png]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from core.virtual.anatomy import CT_FILE, DEMO_FOLDER, VESSELS_FILE
from core.virtual.patient import Acquisition, Findings
from core.virtual.render import render_patient

ROOT = Path(__file__).resolve().parents[1]
LUNG_WINDOW, SOFT_WINDOW = (-1350.0, 150.0), (-160.0, 400.0)
CALM = Findings(0, "none", 27, 1.0, 0, (0, 0), 0, 0, "upper", (0, 0, 0, 0))
SCAN = Acquisition((1, 1, 1), 0, True, 330, 16, 1.6, 0.7, (2, 2, 2), 0)

CASES: tuple[tuple[str, Findings, Acquisition], ...] = (
    ("no disease", CALM, replace(SCAN, seed=11)),
    ("saddle embolism, trunk 36 mm,\nheart x 1.15",
     replace(CALM, clot_burden=0.7, clot_level="saddle", pulmonary_trunk_diameter_mm=36, heart_scale=1.15),
     replace(SCAN, seed=12, blood_hu=380)),
    ("central embolism 0.4,\nsmall effusions",
     replace(CALM, clot_burden=0.4, clot_level="central", pulmonary_trunk_diameter_mm=31, effusion_ml=(150, 220)),
     replace(SCAN, seed=13, body_scale=(0.92, 0.94, 0.93), rotation_degrees=4)),
    ("lobar embolism 0.2,\nemphysema 0.3",
     replace(CALM, clot_burden=0.2, clot_level="lobar", emphysema_fraction=0.3),
     replace(SCAN, seed=14, body_scale=(1.02, 1.05, 1.08), blood_hu=290)),
    ("segmental embolism 0.08,\nnodule 14 mm",
     replace(CALM, clot_burden=0.08, clot_level="segmental", nodule_diameter_mm=14, nodule_zone="hilar"),
     replace(SCAN, seed=15, rotation_degrees=-5)),
    ("effusions 700 and 500 ml,\nheart x 1.25",
     replace(CALM, effusion_ml=(500, 700), heart_scale=1.25), replace(SCAN, seed=16, noise_hu=24)),
    ("interstitial change, basal",
     replace(CALM, interstitial_by_zone=(0.15, 0.3, 0.6, 0.9)), replace(SCAN, seed=17, kernel_mm=0.5)),
    ("no contrast, calcium 10^3",
     replace(CALM, coronary_calcium=3.0), replace(SCAN, seed=18, contrast=False, blood_hu=42, noise_hu=18)),
    ("no contrast, calcium 10^1.5,\nemphysema 0.12, nodule 9 mm",
     replace(CALM, coronary_calcium=1.5, emphysema_fraction=0.12, nodule_diameter_mm=9, nodule_zone="upper"),
     replace(SCAN, seed=19, contrast=False, blood_hu=38, body_scale=(1.06, 1.08, 1.0))),
    ("no contrast, heart x 1.3,\ninterstitial change, upper",
     replace(CALM, heart_scale=1.3, interstitial_by_zone=(0.8, 0.4, 0.1, 0), effusion_ml=(120, 0)),
     replace(SCAN, seed=20, contrast=False, blood_hu=40, body_scale=(0.96, 0.92, 0.95))),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Column:
    """One patient of the sheet: HU (I, J, K) RAS+, spacing, and the planes shown."""

    title: str
    hu: npt.NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    trunk_k: int
    heart_k: int
    base_k: int
    nodule_k: int


def _planes(labels: npt.NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Planes through the trunk (or the most clot above it), the heart, the bases and the nodule or upper lungs."""
    per_plane = lambda *codes: np.isin(labels, codes).sum((0, 1))  # noqa: E731
    clot, artery = per_plane(10), per_plane(3, 10)
    trunk = int(np.argmax(clot)) if clot.any() else int(np.argmax(artery))
    heart_rows = np.flatnonzero(per_plane(2, 9))
    calcium = per_plane(9)
    heart = int(np.argmax(calcium)) if calcium.any() else int(np.quantile(heart_rows, 0.45))
    base = int(np.quantile(heart_rows, 0.08))
    lungs = np.flatnonzero(per_plane(1, 5, 6))
    nodule = per_plane(8)
    return trunk, heart, base, int(np.argmax(nodule)) if nodule.any() else int(np.quantile(lungs, 0.7))


def _real_column() -> Column:
    image = nib.as_closest_canonical(nib.load(DEMO_FOLDER / CT_FILE))
    vessels = np.asarray(nib.as_closest_canonical(nib.load(DEMO_FOLDER / VESSELS_FILE)).dataobj)
    trunk = int(np.argmax((vessels == 3).sum((0, 1))))
    hu = np.asarray(image.dataobj)
    return Column("REAL: LIDC-IDRI-0001", hu[5:175, 22:158, 12:158], (2, 2, 2), trunk - 12, 66, 54, 76)


def _virtual_column(title: str, findings: Findings, acquisition: Acquisition) -> Column:
    patient = render_patient(findings, acquisition)
    return Column(f"virtual: {title}", patient.study.voxels_hu, patient.study.spacing_mm, *_planes(patient.labels))


def _show(axes: Axes, plane: npt.NDArray[np.int16], window: tuple[float, float], aspect: float) -> None:
    """Radiological display: the patient's right on the left, anterior or head at the top."""
    axes.imshow(plane.T[::-1, ::-1], cmap="gray", vmin=window[0], vmax=window[1], aspect=aspect)
    axes.axis("off")


def draw(out: Path) -> None:
    """Render the sheet."""
    columns = [_real_column(), *(_virtual_column(*case) for case in CASES)]
    figure, grid = plt.subplots(6, len(columns), figsize=(2.1 * len(columns), 10.6), facecolor="black")
    for number, column in enumerate(columns):
        hu, (x, y, z) = column.hu, column.spacing_mm
        middle = int(hu.shape[1] * 0.52)
        grid[0, number].set_title(column.title, color="white", fontsize=6.5)
        for row, (plane, window, aspect) in enumerate((
            (hu[:, :, column.nodule_k], LUNG_WINDOW, y / x),
            (hu[:, :, column.base_k], LUNG_WINDOW, y / x),
            (hu[:, :, column.trunk_k], SOFT_WINDOW, y / x),
            (hu[:, :, column.heart_k], SOFT_WINDOW, y / x),
            (hu[:, :, column.base_k], SOFT_WINDOW, y / x),
            (hu[:, middle, :], LUNG_WINDOW, z / x),
        )):  # fmt: skip
            _show(grid[row, number], plane, window, aspect)
    figure.subplots_adjust(0.002, 0.002, 0.998, 0.955, 0.02, 0.02)
    figure.savefig(out, dpi=85, facecolor="black", pil_kwargs={"optimize": True})


def main() -> None:
    """Read the arguments, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "virtual_patients.png", metavar="OUT.png")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
