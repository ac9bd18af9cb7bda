"""Small sets of images for tests of own data."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets


def pictures(n: int, *shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return n different smooth images of a shape [H, W] or [H, W, C], uint8 [n, ...]."""
    rng = np.random.default_rng(seed)
    H, W = shape[:2]
    rows, columns = np.arange(H)[:, None], np.arange(W)
    found = np.zeros((n, *shape))
    for image in found:
        for channel in image.reshape(H, W, -1).transpose(2, 0, 1):
            r, c, width = rng.uniform(0, H), rng.uniform(0, W), rng.uniform(2, 5)
            channel[:] = 255 * np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * width**2))
    return found.round().astype(np.uint8)


def store(path: Path, **arrays: Any) -> Path:
    """Write arrays to a `.npz` file; return its path."""
    np.savez(path, **arrays)
    return path


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def bomb(path: Path, images: int) -> Path:
    """Write a `.npz` file of `images` black images of 1,000 x 1,000, which packs a thousandfold; return its path."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (images, 1000, 1000)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as entry:
        entry.write(head.getvalue())
        for _ in range(images):
            entry.write(bytes(10**6))
    return path


def resolved(path: Path | str, **changes: object) -> RunConfig:
    """Return the resolved configuration of a run on own data."""
    return datasets.resolve(RunConfig(dataset=str(path), figures=(), **changes), Path())[0]


def loaded(path: Path | str, **changes: object) -> datasets.Data:
    """Return the splits of own data as a run gets them."""
    return datasets.load_splits(resolved(path, **changes), Path())
