"""Regions of an image at powers of two of its full resolution, from whatever levels its file has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.io.plane import Plane

TILE_SIDE = 512
"""Side of the tiles that are shown, in pixels."""

# Pixels that are read at once to be averaged.
_STRIP_PIXELS = 2**22
# Beyond this reduction of a file's coarsest level, a thumbnail takes its place if there is one.
_MOST_REDUCTION = 8
# Sides of the levels of a file are rounded, so that their quotients are hardly ever whole.
_TOLERANCE = 0.02


class Tile(NamedTuple):
    """A square of `TILE_SIDE` pixels of a level, by its place among the tiles of the level."""

    level: int
    row: int
    column: int


class Thumbnail(NamedTuple):
    """A small picture of a whole image.

    Attributes
    ----------
    pixels : NDArray[np.float32] (h, w) or (h, w, 3)
        Values of the image.
    factor
        Pixels of the image along one pixel of it.
    """

    pixels: NDArray[np.float32]
    factor: float


class Pyramid:
    """Reads regions at level 0, the full resolution, level 1, every second pixel, and so on.

    Parameters
    ----------
    planes
        The levels that the file has, the full resolution first.
    average
        Whether pixels are averaged; the first of each square is taken if not, as of labels.
    thumbnail
        Stands in where a region of a coarse level would take reading a large part of the image, or where there are no
        planes.
    shape
        Height and width of the image, where there are no planes.

    Attributes
    ----------
    shape
        Height and width in pixels.
    levels
        Number of levels; the coarsest fits into one tile.
    """

    def __init__(
        self,
        planes: Sequence[Plane],
        *,
        average: bool,
        thumbnail: Thumbnail | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.shape = shape or planes[0].shape
        self.levels = level_count(self.shape)
        self._average, self._thumbnail = average, thumbnail
        self._planes = [(_factor(self.shape, plane.shape), plane) for plane in planes if 0 not in plane.shape]

    def read(self, level: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a region, in pixels of the level, within `level_shape`."""
        step = 2**level
        factor, plane = self._finest_needed(step)
        reduction = step / factor
        if self._thumbnail is not None and (plane is None or reduction > _MOST_REDUCTION):
            down, across = (_nearest(span, step / self._thumbnail.factor) for span in (rows, columns))
            return _taken(self._thumbnail.pixels, down, across)
        assert plane is not None  # as there is no thumbnail
        whole = round(reduction)
        if abs(reduction - whole) > _TOLERANCE * reduction:
            return _sampled(plane, _nearest(rows, reduction), _nearest(columns, reduction))
        if whole == 1:
            return _clipped(plane, rows, columns)
        return self._reduced(plane, whole, rows, columns)

    def _finest_needed(self, step: int) -> tuple[float, Plane | None]:
        """Return the coarsest level that is as fine as ``step``, after the pixels of the image along one of it."""
        found: tuple[float, Plane | None] = (1.0, None)
        for factor, plane in self._planes:
            if found[1] is None or found[0] < factor <= step * (1 + _TOLERANCE):
                found = (factor, plane)
        return found

    def _reduced(self, plane: Plane, factor: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return every pixel of a region of a plane that is ``factor`` times as fine, strip by strip."""
        height = max(1, _STRIP_PIXELS // (factor**2 * (columns.stop - columns.start)))
        strips = []
        for top in range(rows.start, rows.stop, height):
            bottom = min(top + height, rows.stop)
            fine = (slice(top * factor, bottom * factor), slice(columns.start * factor, columns.stop * factor))
            pixels = _clipped(plane, *fine, fill=self._average)
            strips.append(_mean(pixels, factor) if self._average else pixels[::factor, ::factor])
        return np.concatenate(strips)


def level_count(shape: tuple[int, int]) -> int:
    """Return the number of levels until one tile holds all.

    Examples
    --------
    >>> level_count((512, 300)), level_count((40_000, 40_000))
    (1, 8)
    """
    return 1 + max(0, math.ceil(math.log2(max(shape) / TILE_SIDE)))


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Return the height and width of a level."""
    return -(-shape[0] >> level), -(-shape[1] >> level)


def _taken(pixels: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    """Return rows and columns of an array by number; beyond the end it is the last."""
    return pixels[np.ix_(np.minimum(rows, pixels.shape[0] - 1), np.minimum(columns, pixels.shape[1] - 1))]


def _factor(full: tuple[int, int], shape: tuple[int, int]) -> float:
    longest = int(np.argmax(full))
    return full[longest] / shape[longest]


def _nearest(span: slice, step: float) -> NDArray[np.intp]:
    return np.floor((np.arange(span.start, span.stop) + 0.5) * step).astype(np.intp)


def _sampled(plane: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    first = rows[0], columns[0]
    pixels = _clipped(plane, slice(first[0], rows[-1] + 1), slice(first[1], columns[-1] + 1))
    return _taken(pixels, rows - first[0], columns - first[1])


def _clipped(plane: Plane, rows: slice, columns: slice, *, fill: bool = True) -> NDArray[Any]:
    """Read a region; what lies beyond the end repeats the last pixels if ``fill`` is set, and else is left out."""
    spans = [slice(min(span.start, size - 1), min(span.stop, size)) for span, size in
             zip((rows, columns), plane.shape, strict=True)]  # fmt: skip
    pixels = plane.read(*spans)
    missing = [
        (span.stop - span.start) - (kept.stop - kept.start) for span, kept in zip((rows, columns), spans, strict=True)
    ]
    if fill and any(missing):
        pixels = np.pad(pixels, [(0, missing[0]), (0, missing[1]), (0, 0)][: pixels.ndim], mode="edge")
    return pixels


def _mean(pixels: NDArray[Any], factor: int) -> NDArray[np.float32]:
    height, width = (size // factor for size in pixels.shape[:2])
    squares = pixels.reshape(height, factor, width, factor, *pixels.shape[2:])
    mean: NDArray[np.float32] = squares.mean(axis=(1, 3), dtype=np.float32)
    return mean
