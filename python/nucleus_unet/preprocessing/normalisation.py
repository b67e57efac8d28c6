"""Percentile normalisation: which pixel values the network sees as 0 and as 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError

# Percentiles that become 0 and 1: robust against hot pixels and dust, and what the network was trained on.
PERCENTILES = 1.0, 99.8


class IntensityRange(NamedTuple):
    """The pixel values that become 0 and 1: the one normalisation of an image."""

    low: float
    high: float


def percentile_range(image: NDArray[Any]) -> IntensityRange | None:
    """Fix the normalisation of an image; None if all its pixels are equal.

    Parameters
    ----------
    image : NDArray[Any]
        As `prepare_image` returns it. Colours share one pair, so that hues stay.
    """
    if image.size == 0:
        return None
    if image.dtype.kind != "f":
        return percentile_range_of_counts(count_values(image))
    least, most = float(image.min()), float(image.max())
    check_range(least, most, image.dtype)
    low, high = (float(level) for level in np.percentile(image, PERCENTILES))
    return non_empty_range(low, high, least, most)


def count_values(image: NDArray[Any]) -> NDArray[np.int64]:
    """Count the pixels of each value; counts of parts of an image add up to the whole's.

    Parameters
    ----------
    image : NDArray[Any]
        Of bool, uint8 or uint16.

    Returns
    -------
    NDArray[np.int64] (256,) or (65536,)
    """
    counts = np.zeros(2 ** (8 * image.dtype.itemsize), np.int64)
    rows = max(1, 2**20 // max(1, image[:1].size))  # at a time: counting makes each value eight bytes
    for start in range(0, len(image), rows):
        counts += np.bincount(image[start : start + rows].ravel(), minlength=len(counts))
    return counts


def percentile_range_of_counts(counts: NDArray[np.int64]) -> IntensityRange | None:
    """Fix the normalisation of an image from the counts of its values, as `percentile_range` does from its pixels.

    Examples
    --------
    >>> import numpy as np
    >>> percentile_range_of_counts(count_values(np.arange(101, dtype=np.uint8)[None]))
    IntensityRange(low=1.0, high=99.8)
    """
    present = np.flatnonzero(counts)
    if len(present) == 0:
        return None
    up_to = np.cumsum(counts)

    def percentile(share: float) -> float:
        # As numpy interpolates, to the last bit.
        place = share / 100 * float(up_to[-1] - 1)
        below = int(place)
        part = place - below
        ranks = (below, min(below + 1, int(up_to[-1]) - 1))
        lower, upper = (float(np.searchsorted(up_to, rank, side="right")) for rank in ranks)
        return lower + (upper - lower) * part if part < 0.5 else upper - (upper - lower) * (1 - part)

    low, high = (percentile(share) for share in PERCENTILES)
    return non_empty_range(low, high, float(present[0]), float(present[-1]))


def check_range(least: float, most: float, dtype: np.dtype[Any]) -> None:
    """Raise `ImageError` if floating-point numbers lie too far apart for one to be taken from another."""
    if most - least > float(np.finfo(dtype).max):
        raise ImageError(f"image values: {least:g} to {most:g} is too wide a range to be normalised")


def non_empty_range(low: float, high: float, least: float, most: float) -> IntensityRange | None:
    """Return the percentiles as levels, or where they are equal the least and the most number; None if these are."""
    if high <= low:
        # All but a few pixels are equal: those few are the picture.
        low, high = least, most
    return IntensityRange(low, high) if high > low else None


def normalise(image: NDArray[Any], levels: IntensityRange) -> NDArray[np.float32]:
    """Map the range to 0..1, clipped; any part of an image gives the same numbers as the whole."""
    # Single precision holds all integers of the contract, but not the difference of any two of its own numbers.
    precise: NDArray[np.floating] = image.astype(np.float64 if image.dtype.kind == "f" else np.float32)
    with np.errstate(over="ignore"):  # an outlier may lie infinitely far beyond high
        precise -= levels.low
        precise /= levels.high - levels.low
    np.clip(precise, 0, 1, out=precise)
    return precise.astype(np.float32, copy=False)


def normalise_image(image: NDArray[Any]) -> NDArray[np.float32]:
    """Normalise a whole image by its own percentiles. All values are 0 if all pixels of the image are equal."""
    levels = percentile_range(image)
    return normalise(image, levels) if levels else np.zeros(image.shape, np.float32)
