"""Augmentation of appearance: intensity, colour, focus, noise and stains of a sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.targets import Nuclei
from nucleus_unet.training.filters import gaussian_blur


def augment_intensity(image: NDArray[np.float32], is_dark: bool, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary gamma, brightness, contrast, colour, focus and noise."""
    if rng.random() < 0.7:
        image = image ** np.float32(math.exp(rng.uniform(-0.6, 0.6)))
    if rng.random() < 0.5:
        image = image * np.float32(rng.uniform(0.6, 1.3)) + np.float32(rng.uniform(-0.1, 0.15))
    if not is_dark:
        image = _augment_colour(image, rng)
    elif rng.random() < 0.1:
        # Fluorescence images are often stored in pseudocolour.
        image = image * rng.uniform(0, 1, (3, 1, 1)).astype(np.float32)
        image = image / max(float(image.max()), 1e-3)
    if rng.random() < 0.1:
        image = 1 - image
    if rng.random() < 0.3:
        image = gaussian_blur(image, rng.uniform(0.4, 1.8))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape if rng.random() < 0.3 else image.shape[1:], np.float32)
        level = np.float32(math.exp(rng.uniform(math.log(0.005), math.log(0.1))))
        # Shot noise grows with the intensity, camera noise does not.
        spread = np.sqrt(np.clip(image, 0.02, 1)) if rng.random() < 0.5 else np.float32(1)
        image = image + noise * level * spread
    return np.clip(image, 0, 1).astype(np.float32)


def _augment_colour(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    if rng.random() < 0.15:
        grey = image.mean(axis=0, keepdims=True)
        return np.broadcast_to(grey, image.shape).copy()
    if rng.random() < 0.6:
        # The amount of a stain is a factor of the optical density (Ruifrok and Johnston 2001).
        density = -np.log(np.clip(image, 0.01, 1))
        factors = np.exp(rng.uniform(-0.35, 0.35, (3, 1, 1))).astype(np.float32)
        image = np.exp(-density * factors)
    if rng.random() < 0.15:
        image = image[rng.permutation(3)]
    return image


# Optical densities of haematoxylin and eosin in red, green and blue (Ruifrok and Johnston 2001), and their
# pseudo-inverse.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_UNMIX = np.linalg.pinv(_STAINS).astype(np.float32)

# Bounds of the mean optical density of the nuclear stain in nuclei, from a pale to a strong counterstain.
_NUCLEAR_DENSITY = (0.3, 1.6)

# Optical densities of common stains. Nuclear stains are blue, violet or green. Other stains are also brown or red.
_NUCLEAR_DYES = np.array([[0.65, 0.70, 0.29], [0.75, 0.55, 0.25], [0.80, 0.50, 0.20], [0.65, 0.45, 0.60]])
_OTHER_DYES = np.array(
    [
        [0.27, 0.57, 0.78],
        [0.35, 0.60, 0.70],
        [0.22, 0.50, 0.75],
        [0.40, 0.60, 0.72],
        [0.07, 0.99, 0.11],
        [0.10, 0.75, 0.60],
        [0.60, 0.60, 0.30],
    ]
)


def augment_stain(
    image: NDArray[np.float32], labels: NDArray[np.uint32], nuclei: Nuclei, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Replace the stains of a sample, as in immunohistochemistry: the surroundings may become darker than the nuclei.

    Stained tissue is unmixed into two stains by colour deconvolution (Ruifrok and Johnston 2001), and these are
    replaced by other stains. A fluorescence image only gives the nuclear stain. The second stain also colours the space
    between the nuclei, and membranes midway between neighbours. The grain of the second stain is limited, so that pale
    nuclei stay visible: with invisible nuclei, the network would learn to miss pale nuclei.

    Parameters
    ----------
    image : NDArray[np.float32] (3, H, W)
        Normalised image, 0 to 1.
    labels : NDArray[np.uint32] (H, W)
        Label image.
    nuclei
        Centres of the nuclei in pixels of the sample.
    rng
        Random generator.

    Returns
    -------
    NDArray[np.float32] (3, H, W)
        The image with other stains.
    """
    if np.array_equal(image[0], image[1]):
        nuclear, other = np.sqrt(image[0]), np.zeros_like(image[0])
    else:
        density = -np.log(np.clip(image, 0.02, 1))
        nuclear, other = np.maximum(np.einsum("ck,chw->khw", _UNMIX, density), 0)
    inside = labels > 0
    darkness = math.exp(rng.uniform(*np.log(_NUCLEAR_DENSITY)))
    nuclear = nuclear * (darkness / max(float(nuclear[inside].mean()) if inside.any() else 1.0, 0.1))
    between = 1 - gaussian_blur(inside.astype(np.float32)[None], rng.uniform(0.5, 1.5))[0] * rng.uniform(0.3, 1)
    other = other * math.exp(rng.uniform(-0.7, 1.1)) + rng.uniform(0, 0.8) * (rng.random() < 0.7)
    if rng.random() < 0.6:
        other = other + rng.uniform(0.2, 1.5) * _membranes(nuclei, labels.shape, rng)
    grain = gaussian_blur(rng.standard_normal((1, *labels.shape), np.float32), rng.uniform(1, 4))[0]
    grain = (
        grain / max(float(grain.std()), 1e-3) * rng.uniform(0, 0.4) * min(1, darkness / max(float(other.mean()), 1e-3))
    )
    other = np.maximum(other * between * (1 + grain), 0)
    dyes = np.stack([_NUCLEAR_DYES[rng.integers(len(_NUCLEAR_DYES))], _OTHER_DYES[rng.integers(len(_OTHER_DYES))]])
    dyes = np.clip(dyes + rng.normal(0, 0.05, dyes.shape), 0.02, None)
    absorbed = dyes[0][:, None, None] * nuclear + dyes[1][:, None, None] * other
    dyed: NDArray[np.float32] = np.exp(-absorbed).astype(np.float32)
    return dyed


def _membranes(nuclei: Nuclei, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the borders of the Voronoi cells of the centres, with random anisotropy as in epithelium."""
    centres = nuclei.centres[np.isfinite(nuclei.centres).all(axis=1)]
    near = ((centres > -16) & (centres < np.array(shape) + 16)).all(axis=1)
    if np.count_nonzero(near) < 2:
        return np.zeros(shape, np.float32)
    stretch = np.exp(rng.uniform(-0.5, 0.5, 2)).astype(np.float32)
    # At half resolution: lines are blurred anyway, and every pixel meets every centre.
    rows, columns = (np.arange(0, side, 2, dtype=np.float32) * s for side, s in zip(shape, stretch, strict=True))
    first, second = np.full((2, len(rows), len(columns)), np.inf, np.float32)
    for row, column in centres[near] * stretch:
        distance = np.sqrt((rows[:, None] - row) ** 2 + (columns[None, :] - column) ** 2)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    lines = np.exp(-(((second - first) / rng.uniform(1.5, 5)) ** 2))
    return np.repeat(np.repeat(lines, 2, axis=0), 2, axis=1)[: shape[0], : shape[1]].astype(np.float32)
