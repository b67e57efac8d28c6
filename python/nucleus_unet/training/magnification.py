"""What a stronger objective shows inside a nucleus, drawn into enlarged samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.training.filters import blurred


def with_fine_texture(
    image: NDArray[np.float32],
    labels: NDArray[np.uint32],
    scale: float,
    is_dark: bool,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw chromatin, spots and nucleoli into nuclei.

    An enlarged image is smooth where a microscope of that magnification shows texture. Without it, a network takes
    large nuclei with texture for several small ones.

    Parameters
    ----------
    image : NDArray[np.float32] (3, H, W)
        Enlarged, in 0..1.
    labels : NDArray[np.uint32] (H, W)
        Its nuclei; texture is drawn in them alone.
    scale
        By how much the image was enlarged; texture gets coarser with it.
    is_dark
        Whether nuclei shine on a dark ground; on a light ground dye makes them darker.
    rng
        Draws strength and places.
    """
    inside = labels > 0
    if rng.random() < 0.25 or not inside.any():  # optics may be smooth at any magnification
        return image
    shape = labels.shape
    change = np.zeros(shape, np.float32)
    if rng.random() < 0.7:
        grain = blurred(rng.standard_normal((1, *shape), np.float32), rng.uniform(0.6, 0.9 * math.sqrt(scale)))[0]
        change += grain / max(float(grain.std()), 1e-6) * np.float32(rng.uniform(0.02, 0.2))
    for probability, sign in ((0.5, 1), (0.4, -1)):  # spots of dense chromatin, and nucleoli, which take little dye
        if rng.random() < probability:
            change += np.float32(sign) * _spots(inside, scale, rng)
    # The enlarged image has the outline; texture fades before it, or it would draw outlines of its own.
    change *= blurred(inside.astype(np.float32)[None], 1.0)[0] * inside
    if not is_dark:
        change = -change
    return np.clip(image * np.exp(change), 0, 1).astype(np.float32)


def _spots(inside: NDArray[np.bool_], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw round spots of one size at random places of nuclei, some per nucleus."""
    places = np.flatnonzero(inside)
    # A nucleus of 20 pixels before it was enlarged covers about 300 * scale^2 of them.
    count = rng.poisson(rng.uniform(1, 10) * places.size / (300 * scale**2)) + 1
    points = np.zeros(inside.size, np.float32)
    points[rng.choice(places, count)] = 1
    sigma = rng.uniform(0.4, 1.2) * scale
    drawn = blurred(points.reshape(1, *inside.shape), sigma)[0]
    strength = np.float32(rng.uniform(0.2, 1.0) * 2 * math.pi * sigma**2)
    spots: NDArray[np.float32] = np.minimum(drawn * strength, np.float32(1)) * np.float32(rng.uniform(0.3, 1))
    return spots
