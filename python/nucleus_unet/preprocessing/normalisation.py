"""Percentile normalisation: which pixel values the network sees as 0 and as 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError

# Percentiles that become black and white: robust against hot pixels and dust, and what the network was trained on.
PERCENTILES = 1.0, 99.8


class Levels(NamedTuple):
    """The one normalisation of an image: pixel values that become 0 and 1."""

    black: float
    white: float


def measure_levels(image: NDArray[Any]) -> Levels | None:
    """Fix the normalisation of an image; None if all its pixels are equal.

    Parameters
    ----------
    image : NDArray[Any]
        As `prepare_image` returns it. Colours share one pair, so that hues stay.
    """
    if image.size == 0:
        return None
    if image.dtype.kind != "f":
        return levels_of_counts(count_values(image))
    least, most = float(image.min()), float(image.max())
    check_range(least, most, image.dtype)
    black, white = (float(level) for level in np.percentile(image, PERCENTILES))
    return checked_levels(black, white, least, most)


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


def levels_of_counts(counts: NDArray[np.int64]) -> Levels | None:
    """Fix the normalisation of an image from the counts of its values, as `measure_levels` does from its pixels.

    Examples
    --------
    >>> import numpy as np
    >>> levels_of_counts(count_values(np.arange(101, dtype=np.uint8)[None]))
    Levels(black=1.0, white=99.8)
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

    black, white = (percentile(share) for share in PERCENTILES)
    return checked_levels(black, white, float(present[0]), float(present[-1]))


def check_range(least: float, most: float, dtype: np.dtype[Any]) -> None:
    """Raise `ImageError` if floating-point numbers lie too far apart for one to be taken from another."""
    if most - least > float(np.finfo(dtype).max):
        raise ImageError(f"image values: {least:g} to {most:g} is too wide a range to be normalised")


def checked_levels(black: float, white: float, least: float, most: float) -> Levels | None:
    """Return the percentiles as levels, or where they are equal the least and the most number; None if these are."""
    if white <= black:
        # All but a few pixels are equal: those few are the picture.
        black, white = least, most
    return Levels(black, white) if white > black else None


def normalise(image: NDArray[Any], levels: Levels) -> NDArray[np.float32]:
    """Map black to 0 and white to 1, clipped; any part of an image gives the same numbers as the whole."""
    # Single precision holds all integers of the contract, but not the difference of any two of its own numbers.
    precise: NDArray[np.floating] = image.astype(np.float64 if image.dtype.kind == "f" else np.float32)
    with np.errstate(over="ignore"):  # an outlier may lie infinitely far beyond white
        precise -= levels.black
        precise /= levels.white - levels.black
    np.clip(precise, 0, 1, out=precise)
    return precise.astype(np.float32, copy=False)
