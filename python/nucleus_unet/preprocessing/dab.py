"""Detect and attenuate DAB, the brown stain of immunohistochemistry (IHC), which may hide nuclei."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.preprocessing.normalisation import IntensityRange, normalise, percentile_range

# Absorption of red, green and blue by haematoxylin, eosin and DAB (Ruifrok and Johnston 2001), normalised to length 1.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(STAINS)

# Approximate number of pixels on a regular grid from which DAB is detected.
_SAMPLE_PIXELS = 2**16
# The brightness of glass is a high percentile of each colour, because this percentage of the pixels may glare. No
# colour of glass is darker than this share of its brightest colour.
_GLARE_PERCENT, _MIN_TINT = 1, 0.7
# Mean optical density over the colours above which a pixel is stained, and above which it is opaque.
_STAINED_DENSITY, _OPAQUE_DENSITY = 0.15, 2.5
# Optical density of DAB, after colour deconvolution, above which a pixel is brown.
_MIN_DAB_DENSITY = 0.8
# An image is DAB-stained if brown pixels are at least this share of the stained pixels. It is fluorescence if opaque
# pixels are at least this share of all pixels.
_MIN_DAB_SHARE, _MIN_OPAQUE_SHARE = 0.3, 0.3
# Share of the DAB density that is removed. Removing all of it would remove nuclei that are brown themselves.
_ATTENUATION = 0.8

_WHITE = 255
_DENSITY = -np.log(np.arange(1, _WHITE + 2) / (_WHITE + 1))
# DAB density is rounded to steps of a table, because the exponential of a number may differ in its last bit with its
# position in an array.
_STEPS = 64
_MAX_STEP = math.ceil(float(_DENSITY[0] * _UNMIX[:, 2].clip(0).sum()) * _STEPS)
_DENSITIES = _DENSITY.astype(np.float32)
_DAB_COEFFICIENTS = _UNMIX[:, 2].astype(np.float32)
_BRIGHTENING = np.exp(np.arange(_MAX_STEP + 1)[:, None] / _STEPS * _ATTENUATION * STAINS[2]).astype(np.float32)
# Number of pixels that are processed at a time, so that intermediate arrays stay in the caches.
_CHUNK_PIXELS = 2**14


def sampling_step(shape: tuple[int, ...]) -> int:
    """Return the distance, in rows and columns, of the pixels from which DAB is detected in an image (H, W, ...).

    Examples
    --------
    >>> sampling_step((512, 512)), sampling_step((100_000, 100_000))
    (2, 391)
    """
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / _SAMPLE_PIXELS)))


class Stains(NamedTuple):
    """The stains of an image.

    Attributes
    ----------
    is_dab
        Whether the image is stained with DAB, under which nuclei may hide.
    attenuated_range
        Intensity range of the normalised image after its DAB is attenuated. None for grey and for flat images.
    """

    is_dab: bool
    attenuated_range: IntensityRange | None

    def range_for(self, dab: bool | None) -> IntensityRange | None:
        """Return ``attenuated_range`` if DAB is to be attenuated. ``dab`` None: if the image is stained with DAB."""
        return self.attenuated_range if (self.is_dab if dab is None else dab) else None


def detect_dab(sample: NDArray[Any], levels: Levels) -> Stains:
    """Detect whether an image is stained with DAB, and measure its intensity range without it.

    Parameters
    ----------
    sample : NDArray[Any] (h, w, 3) or (h, w)
        Every n-th row and column of the image, where n is `sampling_step`.
    levels
        Levels of the whole image.

    Examples
    --------
    >>> import numpy as np
    >>> brown, pink = np.full((2, 8, 8, 3), 255, np.uint8)
    >>> brown[:4], pink[:4] = (120, 70, 30), (230, 150, 190)
    >>> levels = Levels(IntensityRange(0, 255), padding=None)
    >>> detect_dab(brown, levels).is_dab, detect_dab(pink, levels).is_dab
    (True, False)
    """
    intensity_range = levels.intensity_range
    if sample.ndim == 2 or intensity_range is None:
        return Stains(is_dab=False, attenuated_range=None)
    sample = levels.data(sample)
    return Stains(_is_dab(sample, intensity_range), _attenuated_range(sample, intensity_range))


def dab_attenuated_range(sample: NDArray[Any], levels: Levels, dab: bool | None) -> IntensityRange | None:
    """Return ``detect_dab(sample, levels).range_for(dab)``, but compute only what it needs."""
    intensity_range = levels.intensity_range
    if sample.ndim == 2 or intensity_range is None or dab is False:
        return None
    sample = levels.data(sample)
    return _attenuated_range(sample, intensity_range) if dab or _is_dab(sample, intensity_range) else None


def _is_dab(sample: NDArray[Any], intensity_range: IntensityRange) -> bool:
    sample = sample[::2, ::2]  # a share needs fewer pixels than percentiles
    opaque = _densities(normalise(sample, intensity_range)).mean(axis=-1) >= _OPAQUE_DENSITY
    if np.count_nonzero(opaque) >= _MIN_OPAQUE_SHARE * opaque.size:
        return False
    # Densities are relative to the glass, and from raw values: the intensity range would turn a warm white balance, or
    # nearly empty glass, into brown. If values lie below 0, black is the lower end of the range.
    light = sample.astype(np.float64) - (intensity_range.low if sample.min() < 0 else 0)
    glass = np.percentile(light.reshape(-1, 3), 100 - _GLARE_PERCENT, axis=0)
    if glass.min() <= 0:  # glass transmits every colour
        return False
    density = _densities((light / np.maximum(glass, _MIN_TINT * glass.max())).clip(0, 1))
    mean = density.mean(axis=-1)
    stained = density[(mean > _STAINED_DENSITY) & (mean < _OPAQUE_DENSITY)]
    haematoxylin, eosin, dab = (stained @ _UNMIX).T
    brown = (dab > _MIN_DAB_DENSITY) & (dab > haematoxylin) & (dab > eosin)
    return bool(np.count_nonzero(brown) >= _MIN_DAB_SHARE * max(len(stained), 1))


def _densities(normalised: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    densities: NDArray[np.float64] = _DENSITY[np.rint(normalised * _WHITE).astype(np.intp)]
    return densities


def _attenuated_range(sample: NDArray[Any], intensity_range: IntensityRange) -> IntensityRange | None:
    return percentile_range(attenuate_dab(normalise(sample, intensity_range)))


def attenuate_dab(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove most of the DAB stain by colour deconvolution.

    Parameters
    ----------
    images : NDArray[np.float32] (..., 3)
        Normalised to 0..1.

    Returns
    -------
    NDArray[np.float32] (..., 3)
    """
    attenuated = np.empty_like(images)
    pixels, result = images.reshape(-1, 3), attenuated.reshape(-1, 3)
    for start in range(0, len(pixels), _CHUNK_PIXELS):
        chunk = pixels[start : start + _CHUNK_PIXELS]
        red, green, blue = (_DENSITIES[values] for values in np.rint(chunk.T * np.float32(_WHITE)).astype(np.intp))
        density = red * _DAB_COEFFICIENTS[0] + green * _DAB_COEFFICIENTS[1] + blue * _DAB_COEFFICIENTS[2]
        step = np.rint(density * np.float32(_STEPS)).clip(0, _MAX_STEP).astype(np.intp)
        # Black pixels have no hue, but nearly black ones may be brown.
        brightened = np.maximum(chunk, np.float32(1 / (_WHITE + 1))) * _BRIGHTENING[step]
        np.minimum(brightened, np.float32(1), out=result[start : start + _CHUNK_PIXELS])
    return attenuated
