"""A large picture of real nuclei, as a tiled TIFF file."""

from __future__ import annotations

import os
import zipfile
from itertools import islice
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

_CELL = 256
_ROOT = Path(__file__).resolve().parents[2]
# Without NUCLEUS_DATA this is a path that does not exist: the examples are used instead.
ARCHIVE = Path(os.environ.get("NUCLEUS_DATA", _ROOT / "data")) / "dsb2018" / "stage1_train.zip"


def origin() -> str:
    """Say where the nuclei come from."""
    if ARCHIVE.exists():
        return "fluorescence images of stage1_train.zip (2018 Data Science Bowl)"
    return "examples/dsb2018 (stage1_train.zip was not found: set NUCLEUS_DATA to its data folder)"


def write_mosaic(path: Path, side: int) -> None:
    """Write a grey mosaic of real fluorescence images, each in one of eight turns, the same for every call.

    Parameters
    ----------
    path
        Of the TIFF file, in deflated tiles.
    side
        Of the mosaic, in pixels.
    """
    cells = _from_archive() if ARCHIVE.exists() else _from_examples()
    rng = np.random.default_rng(0)
    across = -(-side // _CELL)
    mosaic = np.zeros((across * _CELL, across * _CELL), np.uint8)
    for row in range(across):
        for column in range(across):
            cell = np.rot90(cells[rng.integers(len(cells))], rng.integers(4))
            place = slice(row * _CELL, (row + 1) * _CELL), slice(column * _CELL, (column + 1) * _CELL)
            mosaic[place] = cell if rng.integers(2) else cell[::-1]
    tifffile.imwrite(path, mosaic[:side, :side], tile=(512, 512), compression="zlib")


def _from_archive() -> list[NDArray[np.uint8]]:
    """Read the first hundred dark images of 256 pixels a side, by name."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(name for name in archive.namelist() if "/images/" in name and name.endswith(".png"))
        images = (np.asarray(imagecodecs.png_decode(archive.read(name))) for name in names)
        grey = (image if image.ndim == 2 else image[..., 0] for image in images)
        return list(islice((each for each in grey if each.shape == (_CELL, _CELL) and each.mean() < 64), 100))


def _from_examples() -> list[NDArray[np.uint8]]:
    paths = sorted((_ROOT / "examples" / "dsb2018" / "images").glob("fluorescence_*.png"))
    return [imagecodecs.imread(path)[:_CELL, :_CELL] for path in paths]
