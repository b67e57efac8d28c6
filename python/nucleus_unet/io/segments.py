"""Images whose pixels come in tiles or strips: regions are put together, and what was decoded last is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.io.array_cache import ArrayCache

# A tile, strip or chunk that is larger when decoded would break the promise of bounded memory.
LARGEST_SEGMENT = 2**30
# Of decoded ones that are kept: neighbouring regions share some.
_RECENT_BYTES = 2**27


class SegmentCache:
    """Planes of an image, cut into segments of one size; may be read by several threads at once.

    Parameters
    ----------
    side
        Height and width of a segment; those at the bottom and right may be cut short.
    samples
        Values of a pixel that lie side by side.
    dtype
        Of the values.
    decode
        Gives a segment (h, w, ``samples``) for a plane, and the row and column of the segment among the others.
    """

    def __init__(
        self,
        side: tuple[int, int],
        samples: int,
        dtype: np.dtype[Any],
        decode: Callable[[int, int, int], NDArray[Any]],
    ) -> None:
        self._side, self._samples, self._dtype, self._decode = side, samples, dtype, decode
        self._recent = ArrayCache(_RECENT_BYTES)

    def read(self, plane: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the pixels of a region: (h, w, samples)."""
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
        segment = self._recent.get(key)
        if segment is None:
            segment = self._decode(*key)
            self._recent.keep(key, segment)
        return segment
