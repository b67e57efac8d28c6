"""Measure how much detail an image has, octave by octave.

An objective of a high magnification, and an image that was enlarged, show little detail from pixel to pixel. At the
scale that undoes the magnification, neighbouring pixels differ as they do in other images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core

# The coarsest octave is that of squares of 64 pixels, three octaves beyond the smallest scale of the search.
_OCTAVES = 6
# Smaller images, in pixels a side, are not halved again.
_MIN_SIDE = 4
# Least standard deviation, as a share of the image's intensity range.
_LEAST = 1e-4


def octave_energies(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean square of the detail in each octave, and the variance of the image.

    The detail of an octave is the difference of pixels from the mean of their 2 x 2 square. The means are the pixels of
    the next octave.

    Parameters
    ----------
    pixels : NDArray[np.float32] (h, w) or (h, w, 3)
        Normalised pixels.

    Returns
    -------
    NDArray[np.float64] (7,)
        The octaves from fine to coarse, then the variance. Octaves that a small image does not have are as the last one
        that it has.

    Examples
    --------
    >>> octave_energies(np.tile(np.array([0, 1], np.float32), (8, 4))).tolist()
    [0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25]
    """
    # The sum of planes has the bits of the mean along the last axis, in a fraction of the time.
    grey = pixels if pixels.ndim == 2 else (pixels[..., 0] + pixels[..., 1] + pixels[..., 2]) / np.float32(3)
    energies: list[float] = []
    while len(energies) < _OCTAVES and min(grey.shape) >= _MIN_SIDE:
        grey, differences = _core.halve(grey)
        energies.append(differences / (4 * grey.size))
    last = energies[-1] if energies else 0.0
    energies += [last] * (_OCTAVES - len(energies))
    return np.array([*energies, pixels.var(dtype=np.float64)])


def detail_at(scales: Sequence[float], energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much detail an image has at each scale.

    Parameters
    ----------
    scales
        Magnifications, at most 1.
    energies : NDArray[np.float64] (7,)
        From `octave_energies`.

    Returns
    -------
    NDArray[np.float64] (N, 3)
        Logarithm of the standard deviation of the detail at the resolution of the scale, less that of the next coarser
        octave, of the next finer octave (0 at scale 1), and of the whole image.
    """
    logarithms = np.log(np.maximum(np.sqrt(energies), _LEAST))
    octaves, whole = logarithms[:-1], logarithms[-1]
    places = -np.log2(np.array(scales))
    here, coarser, finer = (np.interp(places + step, np.arange(_OCTAVES), octaves) for step in (0, 1, -1))
    return np.stack([here - coarser, here - finer, here - whole], axis=1)
