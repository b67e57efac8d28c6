"""Synthetic texture inside the nuclei of enlarged samples, as an objective of higher magnification shows it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.training.filters import gaussian_blur


def add_fine_texture(
    image: NDArray[np.float32],
    labels: NDArray[np.uint32],
    scale: float,
    is_dark: bool,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Add chromatin texture, spots and nucleoli to nuclei.

    An enlarged image is smooth where a microscope of this magnification shows texture. A network that was trained
    without this texture splits large nuclei into several small ones.

    Parameters
    ----------
    image : NDArray[np.float32] (3, H, W)
        Enlarged image, 0 to 1.
    labels : NDArray[np.uint32] (H, W)
        Label image. Texture is added only inside the nuclei.
    scale
        Magnification of the image. The size of the texture grows with it.
    is_dark
        Whether nuclei are brighter than the background, as in fluorescence. If not, they are darker.
    rng
        Random generator of strength and positions.

    Returns
    -------
    NDArray[np.float32] (3, H, W)
        The image with texture.
    """
    inside = labels > 0
    if rng.random() < 0.25 or not inside.any():  # optics may be smooth at any magnification
        return image
    shape = labels.shape
    change = np.zeros(shape, np.float32)
    if rng.random() < 0.7:
        grain = gaussian_blur(rng.standard_normal((1, *shape), np.float32), rng.uniform(0.6, 0.9 * math.sqrt(scale)))[0]
        change += grain / max(float(grain.std()), 1e-6) * np.float32(rng.uniform(0.02, 0.2))
    for probability, sign in ((0.5, 1), (0.4, -1)):  # spots of dense chromatin, and nucleoli, which take little dye
        if rng.random() < probability:
            change += np.float32(sign) * _spots(inside, scale, rng)
    # The texture fades towards the outline: it must not add edges to the outline in the image.
    change *= gaussian_blur(inside.astype(np.float32)[None], 1.0)[0] * inside
    if not is_dark:
        change = -change
    return np.clip(image * np.exp(change), 0, 1).astype(np.float32)


def _spots(inside: NDArray[np.bool_], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw round spots of equal size at random positions in nuclei, a few per nucleus."""
    places = np.flatnonzero(inside)
    # A nucleus with a diameter of 20 pixels covers about 300 * scale^2 pixels of the enlarged image.
    count = rng.poisson(rng.uniform(1, 10) * places.size / (300 * scale**2)) + 1
    points = np.zeros(inside.size, np.float32)
    points[rng.choice(places, count)] = 1
    sigma = rng.uniform(0.4, 1.2) * scale
    drawn = gaussian_blur(points.reshape(1, *inside.shape), sigma)[0]
    strength = np.float32(rng.uniform(0.2, 1.0) * 2 * math.pi * sigma**2)
    spots: NDArray[np.float32] = np.minimum(drawn * strength, np.float32(1)) * np.float32(rng.uniform(0.3, 1))
    return spots
