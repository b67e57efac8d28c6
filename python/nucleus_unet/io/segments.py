"""Read regions of images that are stored in segments (tiles or strips), with a cache of decoded segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.io.array_cache import ArrayCache

# Largest decoded size of a segment or chunk in bytes. Larger ones cannot be read in bounded memory.
LARGEST_SEGMENT = 2**30
# Bytes of decoded segments in the cache. Neighbouring regions share segments.
_CACHE_BYTES = 2**27
# Of the coarser levels of a pyramid, which only pictures need.
_COARSE_CACHE_BYTES = 2**25


class SegmentCache:
    """Reads regions from planes of an image that are cut into segments of one size. It is thread-safe.

    Parameters
    ----------
    side
        Height and width of a segment. Those at the bottom and right may be smaller.
    samples
        Number of values per pixel in a segment.
    dtype
        Type of the values.
    decode
        Returns a segment (h, w, ``samples``) for the plane and the segment's row and column.
    coarse
        Whether this is a coarser level of a pyramid, whose cache is smaller.
    """

    def __init__(
        self,
        side: tuple[int, int],
        samples: int,
        dtype: np.dtype[Any],
        decode: Callable[[int, int, int], NDArray[Any]],
        *,
        coarse: bool = False,
    ) -> None:
        self._side, self._samples, self._dtype, self._decode = side, samples, dtype, decode
        self._cache = ArrayCache(_COARSE_CACHE_BYTES if coarse else _CACHE_BYTES)

    def read(self, plane: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the pixels of a region, (h, w, samples)."""
        region = np.empty((rows.stop - rows.start, columns.stop - columns.start, self._samples), self._dtype)
        height, width = self._side
        for row in range(rows.start // height, -(-rows.stop // height)):
            for column in range(columns.start // width, -(-columns.stop // width)):
                segment = self._segment(plane, row, column)
                top, left = row * height, column * width
                first = max(rows.start, top), max(columns.start, left)
                last = min(rows.stop, top + height), min(columns.stop, left + width)
                region[
                    first[0] - rows.start : last[0] - rows.start, first[1] - columns.start : last[1] - columns.start
                ] = segment[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
        return region

    def _segment(self, plane: int, row: int, column: int) -> NDArray[Any]:
        key = (plane, row, column)
        segment = self._cache.get(key)
        if segment is None:
            segment = self._decode(*key)
            self._cache.put(key, segment)
        return segment
