"""Write the label image of a slide: an OME-TIFF pyramid. Every level is drawn from the runs of the nuclei."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet import __version__, _core
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.io.software_tag import SOFTWARE
from nucleus_unet.slides.relabel import RowBand

# Side of the tiles of the label image, and number of rows in a band, in pixels.
TILE_SIDE = 512
# The longest side of the coarsest level is at most this many pixels.
_MAX_COARSEST_SIDE = 1024
# The fastest level.
_ZSTD_LEVEL = 1
# libdeflate, which tifffile calls, takes three times as long for label images, which are mostly zeros. Since version
# 2.2 of zlib-ng, its output is the same on all processors.
_ZLIB_LEVEL = 3

Runs = NDArray[np.int64]
"""(N, 4): row, first column, last column + 1, label."""


def write_labels(
    file: BinaryIO, bands: Iterator[RowBand], shape: tuple[int, int], *, mpp: float | None, uuid: str, scratch: Path
) -> None:
    """Write all levels in one pass over the nuclei. Each level has every second row and column of the previous one.

    Memory holds the runs of one row of tiles. The runs of coarser levels are kept in compressed temporary files.

    Parameters
    ----------
    file
        Receives the TIFF file.
    bands
        Bands of `TILE_SIDE` rows.
    shape
        Height and width of the slide.
    mpp
        Micrometres per pixel. None if unknown.
    uuid
        UUID of the file. Equal results have equal ones.
    scratch
        Folder for temporary files.
    """
    count = 1 + max(0, math.ceil(math.log2(max(shape) / _MAX_COARSEST_SIDE)))
    workers = os.cpu_count() or 1
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        coarser = [_Level(shape, level, stack.enter_context(_temporary(scratch))) for level in range(1, count)]

        def finest() -> Iterator[Runs]:
            for band in bands:
                runs = level_runs = _runs_of_band(band)
                for level in coarser:
                    level_runs = _halve(level_runs)
                    level.append(level_runs)
                yield runs

        writer = stack.enter_context(tifffile.TiffWriter(file, bigtiff=True, ome=True))
        metadata: dict[str, Any] = {
            "axes": "YX",
            "Name": "nuclei",
            "UUID": f"urn:uuid:{uuid}",
            "Creator": f"nucleus-unet {__version__}",
        }
        if mpp is not None:
            metadata |= dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY"), mpp)
            metadata |= dict.fromkeys(("PhysicalSizeXUnit", "PhysicalSizeYUnit"), "µm")

        def compressed(tile_rows: Iterator[Runs], shape: tuple[int, int]) -> Iterator[bytes]:
            return prefetch_map(pool, _compress, _tiles(tile_rows, shape), depth=workers + 1)

        options = _options(shape, mpp)
        writer.write(compressed(finest(), shape), subifds=count - 1, metadata=metadata, software=SOFTWARE, **options)
        next(bands, None)  # the writer stops at the last tile; this runs the code behind the last band
        for number, level in enumerate(coarser, start=1):
            options = _options(level.shape, None if mpp is None else mpp * 2**number)
            writer.write(compressed(level.tile_rows(), level.shape), subfiletype=1, **options)


class _Level:
    """The runs of a coarser level, band by band, in a temporary file."""

    def __init__(self, shape: tuple[int, int], level: int, file: BinaryIO) -> None:
        self.shape = (-(-shape[0] >> level), -(-shape[1] >> level))
        self._bands_per_tile = 2**level
        self._file = file
        self._sizes: list[int] = []

    def append(self, runs: Runs) -> None:
        self._sizes.append(self._file.write(imagecodecs.zstd_encode(runs.tobytes(), _ZSTD_LEVEL)))

    def tile_rows(self) -> Iterator[Runs]:
        """Yield the runs of each row of tiles."""
        self._file.seek(0)
        sizes = iter(self._sizes)
        while batch := list(islice(sizes, self._bands_per_tile)):
            parts = [imagecodecs.zstd_decode(self._file.read(size)) for size in batch]
            yield np.frombuffer(b"".join(parts), np.int64).reshape(-1, 4)


def _temporary(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


def _options(shape: tuple[int, int], mpp: float | None) -> dict[str, Any]:
    return {
        "shape": shape,
        "dtype": np.uint32,
        "tile": (TILE_SIDE, TILE_SIDE),
        "compression": "zlib",
        "predictor": True,
        "photometric": "minisblack",
        "resolution": None if mpp is None else (1e4 / mpp, 1e4 / mpp),
        "resolutionunit": None if mpp is None else "CENTIMETER",
    }


def _runs_of_band(band: RowBand) -> Runs:
    """Return the runs of all nuclei in the rows of a band."""
    parts = [np.empty((0, 4), np.int64)]
    for block in band.blocks:
        row = block.nuclei.runs[:, 0]
        inside = (row >= band.rows.start) & (row < band.rows.stop)
        labels = np.repeat(block.labels, np.diff(block.nuclei.first_run))[inside]
        parts.append(np.column_stack([block.nuclei.runs[inside], labels]))
    return np.concatenate(parts)


def _halve(runs: Runs) -> Runs:
    """Return the runs at every second row and column, in coordinates of the next level."""
    row, start, stop, label = runs[runs[:, 0] % 2 == 0].T
    halved = np.column_stack([row // 2, -(-start // 2), -(-stop // 2), label])
    return halved[halved[:, 1] < halved[:, 2]]


def _tiles(tile_rows: Iterable[Runs], shape: tuple[int, int]) -> Iterator[NDArray[np.uint32]]:
    for number, runs in enumerate(tile_rows):
        ordered = runs[np.argsort(runs[:, 1], kind="stable")]
        longest = int((ordered[:, 2] - ordered[:, 1]).max(initial=0))
        for left in range(0, shape[1], TILE_SIDE):
            first, last = np.searchsorted(ordered[:, 1], [left - longest, left + TILE_SIDE])
            part, corner = ordered[first:last], (number * TILE_SIDE, left)
            labels = part[:, 3].astype(np.uint32)
            yield _core.draw_runs(part[:, :3], labels, corner=corner, shape=(TILE_SIDE, TILE_SIDE))


def _compress(tile: NDArray[np.uint32]) -> bytes:
    """Compress a tile as TIFF's deflate with the predictor does: differences along rows, as a zlib stream."""
    differences = imagecodecs.delta_encode(tile, axis=-1)
    return bytes(imagecodecs.zlibng_encode(differences, level=_ZLIB_LEVEL))  # type: ignore[arg-type]
