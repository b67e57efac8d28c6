"""Brown of immunohistochemistry (DAB), under which nuclei may hide: seen, and looked through."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.normalisation import IntensityRange, normalise, percentile_range

# What haematoxylin, eosin and DAB absorb of red, green and blue (Ruifrok and Johnston 2001), each of length 1.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)

# Of about so many pixels, on a regular grid, it is told whether an image is brown.
_SAMPLE = 2**16
# Glass is as bright, in each colour, as all but so many percent of the pixels, which may glare; and no colour of it is
# less than so much of its brightest.
_GLARE, _TINT = 1, 0.7
# Mean density over the colours from which on a pixel is more than glass, and from which on no light comes through it.
_STAINED, _DARK = 0.15, 2.5
# Density of DAB, unmixed, that makes a pixel brown.
_BROWN = 0.8
# Share of brown among the stained pixels from which on an image is brown; share of dark ones among all from which on it
# is fluorescence, whatever its colours.
_SHARE, _DARK_SHARE = 0.3, 0.3
# How much of the brown is taken away; with all of it, nuclei that are brown themselves would go too.
_THINNED = 0.8

_WHITE = 255
_DENSITY = -np.log(np.arange(1, _WHITE + 2) / (_WHITE + 1))
# Brown is looked up in steps, as exponentials of a tensor's last few values may differ in their last bit.
_STEPS = 64
_MOST = math.ceil(float(_DENSITY[0] * _UNMIX[:, 2].clip(0).sum()) * _STEPS)
_DENSITIES = _DENSITY.astype(np.float32)
_BROWN_OF = _UNMIX[:, 2].astype(np.float32)
_BRIGHTER = np.exp(np.arange(_MOST + 1)[:, None] / _STEPS * _THINNED * _STAINS[2]).astype(np.float32)
# Pixels that are thinned together, so that what comes between stays in the caches.
_TOGETHER = 2**14


def sampling_step(shape: tuple[int, ...]) -> int:
    """Return every how many rows and columns of an image (H, W, ...) a pixel is asked for its colour.

    Examples
    --------
    >>> sampling_step((512, 512)), sampling_step((100_000, 100_000))
    (2, 391)
    """
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / _SAMPLE)))


class Stains(NamedTuple):
    """What an image's colours tell.

    Attributes
    ----------
    brown
        Whether so much is brown, in transmitted light, that nuclei may hide under it, as in immunohistochemistry.
    thinned
        IntensityRange of the normalised image once its brown is thinned; None for grey, and where all is flat.
    """

    brown: bool
    thinned: IntensityRange | None

    def chosen(self, dab: bool | None) -> IntensityRange | None:
        """Return ``thinned`` if the brown is to be looked through: as asked, else as the colours tell."""
        return self.thinned if (self.brown if dab is None else dab) else None


def detect_dab(sample: NDArray[Any], levels: IntensityRange | None) -> Stains:
    """Tell whether an image is brown, and what its levels are without.

    Parameters
    ----------
    sample : NDArray[Any] (h, w, 3) or (h, w)
        Every `sampling_step`-th pixel.
    levels
        Of the whole image.

    Examples
    --------
    >>> import numpy as np
    >>> brown, pink = np.full((2, 8, 8, 3), 255, np.uint8)
    >>> brown[:4], pink[:4] = (120, 70, 30), (230, 150, 190)
    >>> detect_dab(brown, IntensityRange(0, 255)).brown, detect_dab(pink, IntensityRange(0, 255)).brown
    (True, False)
    """
    if sample.ndim == 2 or levels is None:
        return Stains(brown=False, thinned=None)
    return Stains(_is_brown(sample, levels), _thinned_levels(sample, levels))


def dab_attenuated_range(
    sample: NDArray[Any], levels: IntensityRange | None, dab: bool | None
) -> IntensityRange | None:
    """Return `detect_dab(sample, levels).chosen(dab)`, and find out no more than that takes."""
    if sample.ndim == 2 or levels is None or dab is False:
        return None
    return _thinned_levels(sample, levels) if dab or _is_brown(sample, levels) else None


def _is_brown(sample: NDArray[Any], levels: IntensityRange) -> bool:
    sample = sample[::2, ::2]  # levels need more pixels than a share does
    dark = _densities(normalise(sample, levels)).mean(axis=-1) >= _DARK
    if np.count_nonzero(dark) >= _DARK_SHARE * dark.size:
        return False
    # Against the glass and as they came: levels take a warm white balance, or nearly empty glass, for brown. But where
    # values lie below 0, it is not black.
    light = sample.astype(np.float64) - (levels.low if sample.min() < 0 else 0)
    glass = np.percentile(light.reshape(-1, 3), 100 - _GLARE, axis=0)
    if glass.min() <= 0:  # no light has a colour missing
        return False
    density = _densities((light / np.maximum(glass, _TINT * glass.max())).clip(0, 1))
    mean = density.mean(axis=-1)
    stained = density[(mean > _STAINED) & (mean < _DARK)]
    haematoxylin, eosin, dab = (stained @ _UNMIX).T
    brown = (dab > _BROWN) & (dab > haematoxylin) & (dab > eosin)
    return bool(np.count_nonzero(brown) >= _SHARE * max(len(stained), 1))


def _densities(shown: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = _DENSITY[np.rint(shown * _WHITE).astype(np.intp)]
    return found


def _thinned_levels(sample: NDArray[Any], levels: IntensityRange) -> IntensityRange | None:
    return percentile_range(attenuate_dab(normalise(sample, levels)))


def attenuate_dab(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take most of the brown dye out of pictures.

    Parameters
    ----------
    images : NDArray[np.float32] (..., 3)
        Normalised.

    Returns
    -------
    NDArray[np.float32] (..., 3)
    """
    thinned = np.empty_like(images)
    pixels, result = images.reshape(-1, 3), thinned.reshape(-1, 3)
    for start in range(0, len(pixels), _TOGETHER):
        some = pixels[start : start + _TOGETHER]
        red, green, blue = (_DENSITIES[values] for values in np.rint(some.T * np.float32(_WHITE)).astype(np.intp))
        brown = red * _BROWN_OF[0] + green * _BROWN_OF[1] + blue * _BROWN_OF[2]
        step = np.rint(brown * np.float32(_STEPS)).clip(0, _MOST).astype(np.intp)
        # Black has no colour, but what is nearly black may be brown.
        lightest = np.maximum(some, np.float32(1 / (_WHITE + 1))) * _BRIGHTER[step]
        np.minimum(lightest, np.float32(1), out=result[start : start + _TOGETHER])
    return thinned
