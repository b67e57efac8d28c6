"""A small picture of a slide, gathered while every pixel is looked at."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.normalisation import IntensityRange, normalise
from nucleus_unet.slides.grid import Block

# Longest side.
_SIDE = 1536


def shrinking(shape: tuple[int, int]) -> int:
    """Return how many pixels of a slide lie along one of its thumbnail.

    Examples
    --------
    >>> shrinking((40_000, 30_000)), shrinking((1000, 1200))
    (27, 1)
    """
    return max(1, math.ceil(max(shape) / _SIDE))


class ThumbnailView:
    """Gathers the means of squares of pixels, which any regions may cut.

    Parameters
    ----------
    shape
        Height and width of the slide.
    channels
        3 for colours, None for grey.
    """

    def __init__(self, shape: tuple[int, int], channels: int | None) -> None:
        self._shape, self._factor = shape, shrinking(shape)
        self._sums = np.zeros((*(-(-size // self._factor) for size in shape), channels or 1))

    def sums(self, region: Block, pixels: NDArray[Any]) -> NDArray[Any]:
        """Add up what a region, (h, w) or (h, w, 3), has of each square; of the rows first, as memory lies."""
        number = np.float64 if pixels.dtype.kind == "f" else np.uint32
        down, across = (self._cuts(span) for span in region)
        lines = pixels.reshape(len(pixels), -1)
        strips = [lines[top:bottom].sum(axis=0, dtype=number) for top, bottom in pairwise(down)]
        coloured = np.stack(strips).reshape(len(strips), pixels.shape[1], -1)
        found: NDArray[Any] = np.add.reduceat(coloured, across[:-1], axis=1, dtype=np.float64)
        return found

    def add(self, region: Block, sums: NDArray[Any]) -> None:
        """Take what a region has."""
        top, left = (span.start // self._factor for span in region)
        self._sums[top : top + sums.shape[0], left : left + sums.shape[1]] += sums

    def picture(self, levels: IntensityRange | None) -> NDArray[np.uint8]:
        """Return the picture, (h, w, 3); a flat slide's is black."""
        if levels is None:
            return np.zeros((*self._sums.shape[:2], 3), np.uint8)
        rows, columns = (np.diff(self._cuts(slice(0, size))) for size in self._shape)
        means = self._sums / (rows[:, None] * columns)[..., None]
        shown = np.rint(255 * normalise(means, levels)).astype(np.uint8)
        return np.repeat(shown, 3 // shown.shape[2], axis=2)

    def _cuts(self, span: slice) -> NDArray[np.intp]:
        """Return where squares begin and end within a span, its own ends among them."""
        inner = np.arange(span.start // self._factor + 1, -(-span.stop // self._factor)) * self._factor
        cuts: NDArray[np.intp] = np.concatenate([[span.start], inner, [span.stop]]) - span.start
        return cuts
