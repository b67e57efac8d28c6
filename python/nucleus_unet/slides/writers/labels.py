"""The label image of a slide: a pyramid in an OME-TIFF, every level of which is drawn from the nuclei's runs."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet import __version__
from nucleus_unet.slides.nuclei import paint_runs
from nucleus_unet.slides.relabel import RowBand

# Side of the label image's tiles, and rows of a band.
SIDE = 512
# The coarsest level is one that fits a screen.
_COARSEST = 1024
# Bytes of tiles that wait to be compressed together.
_WAITING = 2**25
# As for maps, the quickest.
_EFFORT = 1

Runs = NDArray[np.int64]
"""(N, 4): row, first column, the column after the last one, label."""


def write_labels(
    file: BinaryIO, bands: Iterator[RowBand], shape: tuple[int, int], *, mpp: float | None, uuid: str, scratch: Path
) -> None:
    """Write all levels from one pass over the nuclei; each has every second row and column of the one before.

    In memory are the runs of one row of tiles; those of coarser levels wait in compressed temporary files.

    Parameters
    ----------
    file
        Where to.
    bands
        Of `SIDE` rows each.
    shape
        Height and width of the slide.
    mpp
        Micrometres per pixel, if known.
    uuid
        Of the file, the same whenever the file is.
    scratch
        Folder for temporary files.
    """
    count = 1 + max(0, math.ceil(math.log2(max(shape) / _COARSEST)))
    with ExitStack() as stack:
        coarser = [_Level(shape, level, stack.enter_context(_temporary(scratch))) for level in range(1, count)]

        def finest() -> Iterator[Runs]:
            for band in bands:
                runs = halved = _runs_in(band)
                for level in coarser:
                    halved = _halved(halved)
                    level.keep(halved)
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
        options = _options(shape, mpp)
        writer.write(_tiles(finest(), shape), subifds=count - 1, metadata=metadata, software="nucleus-unet", **options)
        next(bands, None)  # the writer stops at the last tile; whoever watches the bands is to see their end
        for number, level in enumerate(coarser, start=1):
            options = _options(level.shape, None if mpp is None else mpp * 2**number)
            writer.write(_tiles(level.rows_of_tiles(), level.shape), subfiletype=1, **options)


class _Level:
    """A coarser level's runs, band by band, in a temporary file."""

    def __init__(self, shape: tuple[int, int], level: int, file: BinaryIO) -> None:
        self.shape = (-(-shape[0] >> level), -(-shape[1] >> level))
        self._bands_in_a_tile = 2**level
        self._file = file
        self._sizes: list[int] = []

    def keep(self, runs: Runs) -> None:
        self._sizes.append(self._file.write(imagecodecs.zstd_encode(runs.tobytes(), _EFFORT)))

    def rows_of_tiles(self) -> Iterator[Runs]:
        """Yield the runs of each row of tiles."""
        self._file.seek(0)
        sizes = iter(self._sizes)
        while together := list(islice(sizes, self._bands_in_a_tile)):
            parts = [imagecodecs.zstd_decode(self._file.read(size)) for size in together]
            yield np.frombuffer(b"".join(parts), np.int64).reshape(-1, 4)


def _temporary(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


def _options(shape: tuple[int, int], mpp: float | None) -> dict[str, Any]:
    return {
        "shape": shape,
        "dtype": np.uint32,
        "tile": (SIDE, SIDE),
        "compression": "zlib",
        "predictor": True,
        "photometric": "minisblack",
        "buffersize": _WAITING,
        "maxworkers": os.cpu_count(),
        "resolution": None if mpp is None else (1e4 / mpp, 1e4 / mpp),
        "resolutionunit": None if mpp is None else "CENTIMETER",
    }


def _runs_in(band: RowBand) -> Runs:
    """Gather the runs of all nuclei in the rows of a band."""
    found = [np.empty((0, 4), np.int64)]
    for block in band.blocks:
        row = block.nuclei.runs[:, 0]
        here = (row >= band.rows.start) & (row < band.rows.stop)
        labels = np.repeat(block.labels, np.diff(block.nuclei.first_run))[here]
        found.append(np.column_stack([block.nuclei.runs[here], labels]))
    return np.concatenate(found)


def _halved(runs: Runs) -> Runs:
    """Keep what lies on even rows and columns, where the next level has its pixels."""
    row, start, stop, label = runs[runs[:, 0] % 2 == 0].T
    halved = np.column_stack([row // 2, -(-start // 2), -(-stop // 2), label])
    return halved[halved[:, 1] < halved[:, 2]]


def _tiles(rows_of_tiles: Iterable[Runs], shape: tuple[int, int]) -> Iterator[NDArray[np.uint32]]:
    for number, runs in enumerate(rows_of_tiles):
        ordered = runs[np.argsort(runs[:, 1], kind="stable")]
        longest = int((ordered[:, 2] - ordered[:, 1]).max(initial=0))
        for left in range(0, shape[1], SIDE):
            first, last = np.searchsorted(ordered[:, 1], [left - longest, left + SIDE])
            yield _paint(ordered[first:last], number * SIDE, left)


def _paint(runs: Runs, top: int, left: int) -> NDArray[np.uint32]:
    """Draw runs on the tile whose first pixel is given."""
    tile = np.zeros((SIDE, SIDE), np.uint32)
    row, start, stop, label = runs[runs[:, 2] > left].T
    paint_runs(tile, np.column_stack([row - top, np.maximum(start - left, 0), np.minimum(stop - left, SIDE)]), label)
    return tile
