"""Tell whether a few bright pixels, such as dirt, hide darker nuclei.

The brightest 0.2 % of the pixels become 1. If dirt covers more, darker nuclei are nearly black to the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# An image is looked at again if less than this share of its pixels is at least this bright. This share is clipped then.
# Of 668 grey training images 32 are looked at again, and none of these shows hidden nuclei.
_BRIGHT_SHARE, _BRIGHT = 0.02, 0.2
# Nuclei count as hidden if the clipped image shows at least so many more, and this share more.
_FEWEST, _LEAST_SHARE = 5, 0.25


class HiddenNuclei(NamedTuple):
    """How many nuclei the regions show if their bright pixels are clipped, and the level, 0 to 1, of the clipping."""

    number: int
    level: float


def few_are_bright(pixels: NDArray[np.float32]) -> bool:
    """Return whether a few bright pixels determine the levels of normalised grey pixels. False for colours."""
    return pixels.ndim == 2 and bool(np.count_nonzero(pixels >= _BRIGHT) < _BRIGHT_SHARE * pixels.size)


def find_hidden(
    count: Callable[[Iterable[NDArray[np.float32]]], int], regions: Sequence[NDArray[np.float32]], number: int
) -> HiddenNuclei | None:
    """Count the nuclei of regions whose brightest 2 % are clipped. None if there are hardly more than before.

    Parameters
    ----------
    count
        Counts the nuclei that are to be believed in all regions, from their normalised pixels.
    regions
        Normalised pixels of each region, (h, w).
    number
        Number of nuclei of all regions as they are.

    Examples
    --------
    >>> image = np.full((100, 100), 0.25, np.float32)
    >>> image[:5, :5] = 1
    >>> find_hidden(lambda regions: sum(40 if region.min() == 1 else 2 for region in regions), [image], 2)
    HiddenNuclei(number=40, level=0.25)
    """
    values = np.concatenate([region.ravel() for region in regions])
    level = float(np.percentile(values, 100 * (1 - _BRIGHT_SHARE)))
    if level <= 0:
        return None
    found = count(np.minimum(region / np.float32(level), np.float32(1)) for region in regions)
    return HiddenNuclei(found, level) if found >= number + max(_FEWEST, _LEAST_SHARE * number) else None
