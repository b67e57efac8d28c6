"""Write the cells of a measured slide as a label image, tile by tile, from the labels of its nuclei."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.parquet import read_notes
from nucleus_unet.io.atomic import written_atomically
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.source import open_image
from nucleus_unet.slides.writers.results import LABELS, TABLE

# Side of the tiles of the file, and of the squares that are expanded at a time, in pixels.
_TILE, _SQUARE = 512, 2048


def write_cells(
    folder: Path,
    path: Path,
    *,
    rings: bool,
    mpp: float | None,
    track: Callable[[Sequence[Any]], Iterable[Any]],
) -> None:
    """Write the cells of a finished run as a tiled TIFF.

    Parameters
    ----------
    folder
        Of the run.
    path
        Of the file, which is replaced if it exists.
    rings
        Whether the pixels of nuclei are background.
    mpp
        Pixel size in micrometres, if known.
    track
        Wraps the list of rows of tiles to show progress.

    Raises
    ------
    SettingsError
        If the run has no cells.
    """
    expand = expansion_of(folder)
    resolution = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    with open_image(folder / LABELS, indices=True) as source, written_atomically(path) as file:
        labels = source.plane()
        with tifffile.TiffWriter(file, bigtiff=True) as writer:
            writer.write(
                _tiles(labels, expand, rings=rings, track=track),
                shape=labels.shape,
                dtype=np.uint32,
                tile=(_TILE, _TILE),
                compression="zlib",
                photometric="minisblack",
                metadata={"axes": "YX"},
                software="nucleus-unet",
                resolution=resolution,
                resolutionunit=None if mpp is None else "CENTIMETER",
            )


class CellRaster:
    """The cells of a finished run as an array that is read by regions, from the label image of its nuclei.

    Parameters
    ----------
    labels
        The opened label image of the run.
    expand
        From `expansion_of`.
    """

    ndim, dtype = 2, np.dtype(np.uint32)

    def __init__(self, labels: Plane, expand: float) -> None:
        self._labels, self._expand = labels, expand
        self.shape: tuple[int, ...] = labels.shape

    def __getitem__(self, region: tuple[slice, slice]) -> NDArray[np.uint32]:
        rows, columns = region
        return _cells(self._labels, rows, columns, self._expand, rings=False)


@contextmanager
def open_cells(folder: Path) -> Iterator[CellRaster | None]:
    """Open the cells of a finished run for reading; None if it has none.

    Raises
    ------
    DataError
        If a file of the run is damaged.
    """
    expand = read_expansion(folder)
    if expand is None:
        yield None
        return
    with open_image(folder / LABELS, indices=True) as source:
        yield CellRaster(source.plane(), expand)


def expansion_of(folder: Path) -> float:
    """Return how far the cells of a finished run reach beyond the nuclei, in pixels.

    Raises
    ------
    SettingsError
        If the run has no cells.
    DataError
        If the table of the run is damaged.
    """
    expand = read_expansion(folder)
    if expand is None:
        raise SettingsError(f"{folder}: there are no cells: repeat the same run with expand= (--expand), such as 8")
    return expand


def read_expansion(folder: Path) -> float | None:
    """Return how far the cells of a finished run reach beyond the nuclei, in pixels; None if it has none.

    Raises
    ------
    DataError
        If the table of the run is damaged.
    """
    try:
        expand = json.loads(read_notes(folder / TABLE).get("measures", '{"expand": null}'))["expand"]
        if expand is not None and not 0 <= float(expand) < math.inf:
            raise ValueError(f"got {expand!r}")
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(f"{folder / TABLE} is damaged: delete it, then repeat the same run ({error})") from error
    return None if expand is None else float(expand)


def _tiles(
    labels: Plane, expand: float, *, rings: bool, track: Callable[[Sequence[Any]], Iterable[Any]]
) -> Iterator[NDArray[np.uint32]]:
    """Yield the tiles of the file in raster order. One row of squares is in memory."""
    height, width = labels.shape
    for top in track(range(0, height, _TILE)):
        row = np.zeros((_TILE, math.ceil(width / _TILE) * _TILE), np.uint32)
        for left in range(0, width, _SQUARE):
            rows, columns = slice(top, min(top + _TILE, height)), slice(left, min(left + _SQUARE, width))
            row[: rows.stop - top, columns] = _cells(labels, rows, columns, expand, rings=rings)
        for left in range(0, row.shape[1], _TILE):
            yield np.ascontiguousarray(row[:, left : left + _TILE])


def _cells(labels: Plane, rows: slice, columns: slice, expand: float, *, rings: bool) -> NDArray[np.uint32]:
    """Return the cells in a region. Nuclei that win its pixels lie within the distance."""
    around = math.ceil(expand)
    near = [
        slice(max(0, span.start - around), min(size, span.stop + around))
        for span, size in zip((rows, columns), labels.shape, strict=True)
    ]
    nuclei = np.ascontiguousarray(labels.read(near[0], near[1]), np.uint32)
    cells = _core.expand_labels(nuclei, expand)
    if rings:
        cells = np.where(nuclei > 0, np.uint32(0), cells)
    top, left = rows.start - near[0].start, columns.start - near[1].start
    return cells[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
