"""Write the label image of a slide: an OME-TIFF pyramid. Every level is drawn from the runs of the nuclei."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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

    Memory holds the runs of one row of tiles, and of each coarser level the compressed runs of one row. The tiles of
    coarser levels, which follow the finest level in the file, are compressed as soon as they are complete and kept in
    temporary files.

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

        def compress(tiles: Iterator[NDArray[np.uint32]]) -> Iterator[bytes]:
            return prefetch_map(pool, _compress, tiles, depth=workers + 1)

        coarser = [
            _Level(shape, level, stack.enter_context(_temporary(scratch)), compress) for level in range(1, count)
        ]

        def finest() -> Iterator[NDArray[np.uint32]]:
            for number, band in enumerate(bands):
                runs = level_runs = _runs_of_band(band)
                for level in coarser:
                    level_runs = _halve(level_runs)
                    level.append(level_runs)
                yield from _tiles_of_row(number, runs, shape[1])

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

        options = _options(shape, mpp)
        writer.write(compress(finest()), subifds=count - 1, metadata=metadata, software=SOFTWARE, **options)
        next(bands, None)  # the writer stops at the last tile; this runs the code behind the last band
        for number, level in enumerate(coarser, start=1):
            options = _options(level.shape, None if mpp is None else mpp * 2**number)
            writer.write(level.tiles(), subfiletype=1, **options)


class _Level:
    """The compressed tiles of a coarser level, in a temporary file.

    Parameters
    ----------
    shape
        Height and width of the slide.
    level
        How often the slide is halved.
    file
        The temporary file.
    compress
        Compresses tiles.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        level: int,
        file: BinaryIO,
        compress: Callable[[Iterator[NDArray[np.uint32]]], Iterator[bytes]],
    ) -> None:
        self.shape = (-(-shape[0] >> level), -(-shape[1] >> level))
        self._bands_per_tile = 2**level
        self._file, self._compress = file, compress
        self._pending: list[bytes] = []
        self._sizes: list[int] = []
        self._rows = 0

    def append(self, runs: Runs) -> None:
        """Add the runs of a band, in coordinates of this level."""
        self._pending.append(bytes(imagecodecs.zstd_encode(runs.tobytes(), _ZSTD_LEVEL)))
        if len(self._pending) == self._bands_per_tile:
            self._draw_row()

    def tiles(self) -> Iterator[bytes]:
        """Yield the compressed tiles, after the last band was added."""
        if self._pending:
            self._draw_row()
        self._file.seek(0)
        yield from map(self._file.read, self._sizes)

    def _draw_row(self) -> None:
        """Compress the row of tiles whose runs are complete."""
        runs = np.frombuffer(b"".join(map(imagecodecs.zstd_decode, self._pending)), np.int64).reshape(-1, 4)
        self._pending.clear()
        tiles = self._compress(_tiles_of_row(self._rows, runs, self.shape[1]))
        self._sizes.extend(map(self._file.write, tiles))
        self._rows += 1


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


def _tiles_of_row(number: int, runs: Runs, width: int) -> Iterator[NDArray[np.uint32]]:
    """Draw the tiles of a row of tiles, given its number and runs."""
    ordered = runs[np.argsort(runs[:, 1], kind="stable")]
    longest = int((ordered[:, 2] - ordered[:, 1]).max(initial=0))
    for left in range(0, width, TILE_SIDE):
        first, last = np.searchsorted(ordered[:, 1], [left - longest, left + TILE_SIDE])
        part, corner = ordered[first:last], (number * TILE_SIDE, left)
        labels = part[:, 3].astype(np.uint32)
        yield _core.draw_runs(part[:, :3], labels, corner=corner, shape=(TILE_SIDE, TILE_SIDE))


def _compress(tile: NDArray[np.uint32]) -> bytes:
    """Compress a tile as TIFF's deflate with the predictor does: differences along rows, as a zlib stream."""
    differences = imagecodecs.delta_encode(tile, axis=-1)
    return bytes(imagecodecs.zlibng_encode(differences, level=_ZLIB_LEVEL))  # type: ignore[arg-type]
