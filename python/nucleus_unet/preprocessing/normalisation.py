"""Percentile normalisation: map pixel values to 0..1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import ImageError

# Percentiles that become 0 and 1. They are robust against hot pixels and dust. The network was trained with them.
PERCENTILES = 1.0, 99.8
# Where these percentiles are one value, nearly all pixels have it, such as 0 after a threshold. The other pixels
# contain the image. They are few, so their percentiles must be robust against more hot pixels.
OTHERS_PERCENTILES = 5.0, 95.0
# Powers of two that single precision holds with a wide margin.
_MAX_EXPONENT = 100
# How the pixels lie in memory that the kernels read.
_LAYOUT: tuple[Literal["C_CONTIGUOUS"], Literal["ALIGNED"]] = ("C_CONTIGUOUS", "ALIGNED")


class IntensityRange(NamedTuple):
    """The pixel values that become 0 and 1."""

    low: float
    high: float


def percentile_range(image: NDArray[Any]) -> IntensityRange | None:
    """Return the percentiles of an image that become 0 and 1. None if all its pixels are equal.

    Parameters
    ----------
    image : NDArray[Any]
        From `nucleus_unet.io.source.ImageSource.read`. Colour channels share one range, which preserves hues.

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
    if high > low:
        return IntensityRange(low, high)
    others = image[image != low]
    if not others.size:
        return None
    return range_with(low, *(float(value) for value in np.percentile(others, OTHERS_PERCENTILES)))


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
    rows = max(1, 2**24 // max(1, image[:1].size))  # bounds the memory of a copy
    for start in range(0, len(image), rows):
        part = np.require(image[start : start + rows], f"u{image.dtype.itemsize}", _LAYOUT)
        counts += _core.count_values(part)
    return counts


def percentile_range_of_counts(counts: NDArray[np.int64]) -> IntensityRange | None:
    """Return the result of `percentile_range` from the counts of all pixel values.

    Examples
    --------
    >>> import numpy as np
    >>> percentile_range_of_counts(count_values(np.arange(101, dtype=np.uint8)[None]))
    IntensityRange(low=1.0, high=99.8)
    """
    low, high = _percentiles_of_counts(counts, PERCENTILES)
    if high > low:
        return IntensityRange(low, high)
    others = counts.copy()
    others[int(low)] = 0
    return range_with(low, *_percentiles_of_counts(others, OTHERS_PERCENTILES)) if others.any() else None


def _percentiles_of_counts(counts: NDArray[np.int64], shares: tuple[float, float]) -> tuple[float, float]:
    """Return two percentiles, equal to numpy's to the last bit. They are 0 if nothing was counted."""
    up_to = np.cumsum(counts)
    size = int(up_to[-1])

    def percentile(share: float) -> float:
        position = share / 100 * float(size - 1)
        below = int(position)
        part = position - below
        ranks = (below, min(below + 1, size - 1))
        lower, upper = (float(np.searchsorted(up_to, rank, side="right")) for rank in ranks)
        return lower + (upper - lower) * part if part < 0.5 else upper - (upper - lower) * (1 - part)

    low, high = (percentile(share) for share in shares) if size else (0.0, 0.0)
    return low, high


def check_range(minimum: float, maximum: float, dtype: np.dtype[Any]) -> None:
    """Raise `ImageError` if the difference of two floating-point numbers overflows their type."""
    if maximum - minimum > float(np.finfo(dtype).max):
        raise ImageError(f"image values: {minimum:g} to {maximum:g} is too wide a range to be normalised")


def range_with(value: float, low: float, high: float) -> IntensityRange:
    """Return the range of the value of nearly all pixels and of two percentiles of the other pixels."""
    return IntensityRange(min(value, low), max(value, high))


def grey_values(
    image: NDArray[Any], intensity_range: Sequence[float] | None
) -> tuple[NDArray[np.float32 | np.uint8 | np.uint16], float]:
    """Return the mean of the channels of an image, divided by a power of two, and that number.

    The number is 1 unless single precision cannot hold the intensity range of the image. Grey images of 8 or 16 bits
    are returned as they are. All others become single precision.

    Examples
    --------
    >>> grey, unit = grey_values(np.array([[1e300]]), (0.0, 1e300))
    >>> bool(np.isfinite(grey).all()), round(float(grey[0, 0]) * unit / 1e300, 6)
    (True, 1.0)
    """
    if image.ndim == 2 and image.dtype in (np.uint8, np.uint16):
        return np.require(image, requirements=["ALIGNED"]), 1.0
    largest = max(map(abs, intensity_range or (0.0,)))
    exponent = math.frexp(largest)[1] - 1
    unit = 1.0 if abs(exponent) <= _MAX_EXPONENT else 2.0**exponent
    if unit != 1:
        image = image / unit
    grey = image if image.ndim == 2 else _mean_of_channels(image)
    with np.errstate(over="ignore", under="ignore"):
        return grey.astype(np.float32), unit


def _mean_of_channels(image: NDArray[Any]) -> NDArray[Any]:
    """Return ``image.mean(axis=-1)``, for bytes and 16-bit numbers in half of the time."""
    if image.dtype not in (np.uint8, np.uint16):
        mean: NDArray[Any] = image.mean(axis=-1)
        return mean
    total = image[..., 0].astype(np.uint32)
    for channel in range(1, image.shape[-1]):
        total += image[..., channel]
    return np.true_divide(total, image.shape[-1])


def normalise(image: NDArray[Any], intensity_range: IntensityRange) -> NDArray[np.float32]:
    """Map an intensity range to 0..1 and clip. The result of a part of an image equals the part of the result."""
    low, high = intensity_range
    if image.dtype in (np.uint8, np.uint16):
        return _core.normalise(np.require(image, requirements=_LAYOUT), low=low, high=high)
    # float32 represents all integer pixel values exactly, but not the difference of two float32 numbers.
    precise: NDArray[np.floating] = image.astype(np.float64 if image.dtype.kind == "f" else np.float32)
    with np.errstate(over="ignore"):  # outliers may overflow to infinity
        precise -= low
        precise /= high - low
    np.clip(precise, 0, 1, out=precise)
    return precise.astype(np.float32, copy=False)
