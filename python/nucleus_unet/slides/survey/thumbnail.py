"""Reduce a slide to a thumbnail while its pixels are read."""

from __future__ import annotations

import base64
import math
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.normalisation import IntensityRange, normalise
from nucleus_unet.slides.grid import Block
from nucleus_unet.slides.survey.box_sums import box_sums

# Longest side of the thumbnail in pixels.
_MAX_SIDE = 1536


def thumbnail_factor(shape: tuple[int, int]) -> int:
    """Return how many pixels of a slide lie along one pixel of its thumbnail.

    Examples
    --------
    >>> thumbnail_factor((40_000, 30_000)), thumbnail_factor((1000, 1200))
    (27, 1)
    """
    return max(1, math.ceil(max(shape) / _MAX_SIDE))


class ThumbnailBuilder:
    """Averages squares of pixels. Regions may cut the squares anywhere.

    Parameters
    ----------
    shape
        Height and width of the slide.
    channels
        3 for colour, None for grey.
    """

    def __init__(self, shape: tuple[int, int], channels: int | None) -> None:
        self._shape, self._factor = shape, thumbnail_factor(shape)
        self._sums = np.zeros((*(-(-size // self._factor) for size in shape), channels or 1))

    def sums(self, region: Block, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sums of a region, (h, w) or (h, w, 3), in each square."""
        rows, columns = (self._cuts(span) for span in region)
        return box_sums(pixels, rows, columns)

    def add(self, region: Block, sums: NDArray[np.float64]) -> None:
        """Add the sums of a region."""
        top, left = (span.start // self._factor for span in region)
        self._sums[top : top + sums.shape[0], left : left + sums.shape[1]] += sums

    def image(self, intensity_range: IntensityRange | None) -> NDArray[np.uint8]:
        """Return the thumbnail, (h, w, 3). It is black for a flat slide."""
        if intensity_range is None:
            return np.zeros((*self._sums.shape[:2], 3), np.uint8)
        rows, columns = (np.diff(self._cuts(slice(0, size))) for size in self._shape)
        means = self._sums / (rows[:, None] * columns)[..., None]
        scaled = np.rint(255 * normalise(means, intensity_range)).astype(np.uint8)
        return np.repeat(scaled, 3 // scaled.shape[2], axis=2)

    def _cuts(self, span: slice) -> NDArray[np.int64]:
        """Return the ends of the squares within a span, and the ends of the span, relative to its start."""
        inner = range((span.start // self._factor + 1) * self._factor, span.stop, self._factor)
        cuts: NDArray[np.int64] = np.array([span.start, *inner, span.stop], np.int64) - span.start
        return cuts


def encode_thumbnail(thumbnail: NDArray[np.uint8]) -> str:
    """Return a thumbnail (h, w, 3) as a PNG file in base64. The file has one channel if the thumbnail is grey."""
    first = thumbnail[..., :1]
    pixels = first[..., 0] if (thumbnail == first).all() else thumbnail
    # A copy, because the codec does not accept the strides of a column of single pixels.
    png = imagecodecs.png_encode(pixels.copy(), level=1, filter=imagecodecs.PNG.FILTER.AVG)
    return base64.b64encode(png).decode()


def decode_thumbnail(text: str) -> NDArray[np.uint8]:
    """Inverse of `encode_thumbnail`.

    Raises
    ------
    ValueError, TypeError, imagecodecs.PngError
        If the text is damaged.
    """
    pixels: NDArray[np.uint8] = imagecodecs.png_decode(base64.b64decode(text))
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
