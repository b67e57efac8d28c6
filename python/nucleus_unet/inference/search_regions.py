"""Choose the regions of a large image that determine its scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Read = Callable[[slice, slice], NDArray[np.float32]]

# From this many pixels on there are three regions, below two.
_THREE_REGIONS = 5000**2
# Regions are chosen among at most so many candidates along each axis, by the contrast of patches on a grid. The grid is
# finer where the candidates are few, because each patch of a slide costs the decoding of a tile.
_CANDIDATES, _PATCHES, _PATCH_SIDE = 16, 2, 32
_FEW_CANDIDATES, _MORE_PATCHES = 16, 8


def choose_regions(read: Read, shape: tuple[int, int], *, whole: int, side: int) -> list[tuple[slice, slice]]:
    """Return the regions that determine the scale.

    Parameters
    ----------
    read
        Returns the pixels of row and column slices.
    shape
        Height and width of the image.
    whole
        Number of pixels up to which an image is seen as a whole. Of a larger one, parts are seen that are not empty.
    side
        Height and width of these parts.
    """
    height, width = shape
    if height * width <= whole:
        return [(slice(0, height), slice(0, width))]
    candidates = [
        (slice(top, min(top + side, height)), slice(left, min(left + side, width)))
        for top in _starts(height, side)
        for left in _starts(width, side)
    ]
    patches = _MORE_PATCHES if len(candidates) <= _FEW_CANDIDATES else _PATCHES
    contrasts = np.array([_contrast(read, region, patches) for region in candidates])
    # The strongest contrast may be dirt. Regions with at least half of it are likely to show nuclei.
    strong = np.argsort(-contrasts, kind="stable")[: max(1, int((contrasts >= contrasts.max() / 2).sum()))]
    count = 3 if height * width >= _THREE_REGIONS else 2
    places = np.linspace(0, len(strong) - 1, min(count, len(strong))).round().astype(int)
    return [candidates[number] for number in strong[places]]


def _starts(size: int, side: int) -> list[int]:
    count = min(_CANDIDATES, -(-size // side))
    starts: list[int] = np.linspace(0, max(0, size - side), count).astype(int).tolist()
    return starts


def _contrast(read: Read, region: tuple[slice, slice], count: int) -> float:
    """Return the standard deviation of the pixels of ``count`` x ``count`` patches of a region."""
    starts = [
        np.linspace(span.start, span.stop, count, endpoint=False).astype(int) + (span.stop - span.start) // (2 * count)
        for span in region
    ]
    patches = [
        read(
            slice(int(top), min(int(top) + _PATCH_SIDE, region[0].stop)),
            slice(int(left), min(int(left) + _PATCH_SIDE, region[1].stop)),
        ).ravel()
        for top in starts[0]
        for left in starts[1]
    ]
    return float(np.concatenate(patches).std(dtype=np.float64))
