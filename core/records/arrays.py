"""Arrays of records: read-only through them, and the digests that key every cache."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Origin = Literal["real", "virtual", "unknown"]


def freeze(array: npt.ArrayLike, dtype: npt.DTypeLike, order: Literal["C", "F"] = "C") -> np.ndarray:
    """Contiguous read-only array of `dtype`; copies only where it must."""
    frozen = np.asarray(array, dtype=dtype, order=order)
    if frozen is array and frozen.flags.writeable:
        frozen = frozen.view()
    frozen.flags.writeable = False
    return frozen


def digest_arrays(*arrays: np.ndarray) -> str:
    """SHA-256 (hex) over dtype, shape and bytes of the arrays, in order."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).view(np.uint8).data if array.ndim else array.tobytes())
    return sha.hexdigest()


def digest_volume(voxels: np.ndarray, affine: np.ndarray) -> str:
    """SHA-256 (hex) over shape, affine and the SHA-256 of every plane voxels[:, :, k], hashed side by side."""

    def digest(plane: np.ndarray) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(plane).view(np.uint8).data).digest()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        planes = b"".join(pool.map(digest, voxels.T))
    return digest_arrays(np.array(voxels.shape, np.int64), affine, np.frombuffer(planes, np.uint8))
