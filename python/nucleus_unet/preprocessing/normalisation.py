"""Percentile normalisation: map pixel values to 0..1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError

# Percentiles that become 0 and 1. They are robust against hot pixels and dust. The network was trained with them.
PERCENTILES = 1.0, 99.8


class IntensityRange(NamedTuple):
    """The pixel values that become 0 and 1."""

    low: float
    high: float


def percentile_range(image: NDArray[Any]) -> IntensityRange | None:
    """Return the percentiles of an image that become 0 and 1. None if all its pixels are equal.

    Parameters
    ----------
    image : NDArray[Any]
        Result of `prepare_image`. Colour channels share one range, which preserves hues.

    Raises
    ------
    ImageError
        If the range of floating-point numbers is too wide.
    """
    if image.size == 0:
        return None
    if image.dtype.kind != "f":
        return percentile_range_of_counts(count_values(image))
    minimum, maximum = float(image.min()), float(image.max())
    check_range(minimum, maximum, image.dtype)
    low, high = (float(value) for value in np.percentile(image, PERCENTILES))
    return non_empty_range(low, high, minimum, maximum)


def count_values(image: NDArray[Any]) -> NDArray[np.int64]:
    """Count the pixels of each value. Counts of parts of an image add up to those of the whole image.

    Parameters
    ----------
    image : NDArray[Any]
        Pixels of type bool, uint8 or uint16.

    Returns
    -------
    NDArray[np.int64] (256,) or (65536,)
    """
    counts = np.zeros(2 ** (8 * image.dtype.itemsize), np.int64)
    rows = max(1, 2**20 // max(1, image[:1].size))  # bincount converts each value to eight bytes
    for start in range(0, len(image), rows):
        counts += np.bincount(image[start : start + rows].ravel(), minlength=len(counts))
    return counts


def percentile_range_of_counts(counts: NDArray[np.int64]) -> IntensityRange | None:
    """Return the result of `percentile_range` from the counts of all pixel values.

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
        # Equal to numpy's interpolation to the last bit.
        position = share / 100 * float(up_to[-1] - 1)
        below = int(position)
        part = position - below
        ranks = (below, min(below + 1, int(up_to[-1]) - 1))
        lower, upper = (float(np.searchsorted(up_to, rank, side="right")) for rank in ranks)
        return lower + (upper - lower) * part if part < 0.5 else upper - (upper - lower) * (1 - part)

    low, high = (percentile(share) for share in PERCENTILES)
    return non_empty_range(low, high, float(present[0]), float(present[-1]))


def check_range(minimum: float, maximum: float, dtype: np.dtype[Any]) -> None:
    """Raise `ImageError` if the difference of two floating-point numbers overflows their type."""
    if maximum - minimum > float(np.finfo(dtype).max):
        raise ImageError(f"image values: {minimum:g} to {maximum:g} is too wide a range to be normalised")


def non_empty_range(low: float, high: float, minimum: float, maximum: float) -> IntensityRange | None:
    """Return the range of two percentiles. If they are equal, use the minimum and maximum. None if these are equal."""
    if high <= low:
        # All pixels but a few are equal. The few contain the image.
        low, high = minimum, maximum
    return IntensityRange(low, high) if high > low else None


def normalise(image: NDArray[Any], intensity_range: IntensityRange) -> NDArray[np.float32]:
    """Map an intensity range to 0..1 and clip. The result of a part of an image equals the part of the result."""
    # float32 represents all integer pixel values exactly, but not the difference of two float32 numbers.
    precise: NDArray[np.floating] = image.astype(np.float64 if image.dtype.kind == "f" else np.float32)
    with np.errstate(over="ignore"):  # outliers may overflow to infinity
        precise -= intensity_range.low
        precise /= intensity_range.high - intensity_range.low
    np.clip(precise, 0, 1, out=precise)
    return precise.astype(np.float32, copy=False)
