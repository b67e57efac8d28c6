"""Images of empty fields: noise as cameras, interpolation, filters and compression leave it.

Noise that is not independent from pixel to pixel has round spots, which a network takes for nuclei unless it is shown
that they are not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.levels import normalise_image
from nucleus_unet.training.filters import gaussian_blur

# Standard deviations in pixels of the filters that smooth noise.
_SMOOTHING = (0.4, 20.0)
# Sides in pixels of the blocks of equal pixels that enlarging without interpolation leaves.
_BLOCKS = (2, 8)
_JPEG_BLOCK = 8


def empty_field(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a normalised image without nuclei: noise on a constant or sloping background.

    Parameters
    ----------
    size
        Height and width in pixels.
    rng
        Random generator.

    Returns
    -------
    NDArray[np.float32] (3, size, size)
        The image, 0 to 1.

    Examples
    --------
    >>> image = empty_field(64, np.random.default_rng(0))
    >>> image.shape, image.dtype, bool(image.min() >= 0 and image.max() <= 1)
    ((3, 64, 64), dtype('float32'), True)
    """
    shape = (3 if rng.random() < 0.3 else 1, size, size)
    background = rng.uniform(0, 1) + np.linspace(-1, 1, size, dtype=np.float32) * rng.uniform(-0.5, 0.5)
    noise = _correlated(shape, rng) if rng.random() < 0.7 else _independent(shape, rng)
    image = noise * math.exp(rng.uniform(math.log(0.02), math.log(0.5))) + background
    image = normalised(image) if rng.random() < 0.7 else np.clip(image, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(image, (3, size, size)), dtype=np.float32)


def normalised(image: NDArray[Any]) -> NDArray[np.float32]:
    """Normalise an image by its own levels, as an image that is segmented.

    Parameters
    ----------
    image : NDArray[Any] (C, H, W)
        Intensities, of one channel or three.

    Returns
    -------
    NDArray[np.float32] (C, H, W)
        The image, 0 to 1.
    """
    return np.ascontiguousarray(np.moveaxis(normalise_image(np.ascontiguousarray(np.moveaxis(image, 0, -1))), -1, 0))


def _independent(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of a camera, with mean 0 and standard deviation 1."""
    if rng.random() < 0.5:
        return rng.standard_normal(shape, np.float32)
    return _standardised(rng.poisson(math.exp(rng.uniform(-4, 4)), shape).astype(np.float32))


def _correlated(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise whose neighbouring pixels are alike, with mean 0 and standard deviation 1.

    Single photons are left out: smoothed, they are spots indeed.
    """
    if rng.random() < 0.6:
        noise = gaussian_blur(rng.standard_normal(shape, np.float32), math.exp(rng.uniform(*np.log(_SMOOTHING))))
    else:
        noise = _enlarged(shape, rng)
    noise = _standardised(noise)
    if rng.random() < 0.3:
        noise = noise + rng.uniform(0.05, 0.5) * rng.standard_normal(shape, np.float32)
    kind = rng.random()
    if kind < 0.5:  # few grey levels; with fewer, only isolated spots are left
        step = rng.uniform(0.3, 1.5)
        noise = np.rint(noise / step) * step
    elif kind < 0.7:
        noise = _compressed(noise, rng.uniform(0.3, 3))
    return _standardised(noise)


def _enlarged(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return independent noise in blocks of several pixels, with sharp edges or smooth ones."""
    block = int(rng.integers(*_BLOCKS, endpoint=True))
    coarse = rng.standard_normal((shape[0], *(math.ceil(side / block) for side in shape[1:])), np.float32)
    noise = np.repeat(np.repeat(coarse, block, axis=1), block, axis=2)[:, : shape[1], : shape[2]]
    return noise if rng.random() < 0.5 else gaussian_blur(noise, block / 3)


def _compressed(noise: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Round the cosine transform of each block, more coarsely at high frequencies, as JPEG does."""
    place, frequency = np.arange(_JPEG_BLOCK), np.arange(_JPEG_BLOCK)[:, None]
    transform = np.cos(np.pi * (place + 0.5) * frequency / _JPEG_BLOCK) * np.sqrt(2 / _JPEG_BLOCK)
    transform[0] /= np.sqrt(2)
    steps = step * (1 + (frequency + place) / 2)
    channels, height, width = noise.shape
    missing = [(0, -side % _JPEG_BLOCK) for side in (height, width)]
    padded = np.pad(noise, [(0, 0), *missing], mode="edge")
    rows, columns = (side // _JPEG_BLOCK for side in padded.shape[1:])
    blocks = padded.reshape(channels, rows, _JPEG_BLOCK, columns, _JPEG_BLOCK).transpose(0, 1, 3, 2, 4)
    rounded = np.rint(transform @ blocks @ transform.T / steps) * steps
    restored = (transform.T @ rounded @ transform).transpose(0, 1, 3, 2, 4).reshape(padded.shape)
    return np.asarray(restored[:, :height, :width], np.float32)


def _standardised(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-3), np.float32)
