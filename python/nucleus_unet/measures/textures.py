"""Texture of nuclei: grey level co-occurrence (Haralick 1973), by scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.extras import require
from nucleus_unet.measures.intensities import Columns

PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
_LEVELS = 16
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)


def measure_textures(
    channel: str,
    image: NDArray[np.float32],
    labels: NDArray[np.uint32],
    present: NDArray[np.uint32],
    boxes: NDArray[np.int64],
) -> Columns:
    """Measure the texture of a channel in every nucleus.

    The values of a nucleus are sorted into 16 levels of equal width between its least and its greatest value. Pairs of
    neighbouring pixels of the nucleus are counted along four directions, and each property is the mean over these.

    Parameters
    ----------
    channel
        Name of the channel, for the names of the columns.
    image : NDArray[np.float32] (H, W)
        The channel.
    labels : NDArray[np.uint32] (H, W)
        Label image of the nuclei.
    present : NDArray[np.uint32] (N,)
        Labels to measure, ascending.
    boxes : NDArray[np.int64] (N, 4)
        Boxes of the nuclei.

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.
    """
    feature = require_texture()
    values = np.full((len(present), len(PROPERTIES)), np.nan)
    for row, (label, (top, left, bottom, right)) in enumerate(zip(present.tolist(), boxes.tolist(), strict=True)):
        mask = labels[top:bottom, left:right] == label
        values[row] = _texture(image[top:bottom, left:right], mask, feature)
    return {f"nucleus_{channel}_texture_{name}": values[:, place] for place, name in enumerate(PROPERTIES)}


def require_texture() -> Any:
    """Import and return the module of scikit-image. Raise `MissingExtraError` if it is not installed."""
    return require("skimage.feature", "measures of texture need scikit-image", extra="texture").feature


def _texture(pixels: NDArray[np.float32], mask: NDArray[np.bool_], feature: Any) -> list[float]:
    inside = pixels[mask].astype(np.float64)
    least, width = inside.min(), np.ptp(inside) / _LEVELS
    levels = np.zeros(pixels.shape, np.uint8)
    # Level 0 is outside of the nucleus.
    levels[mask] = 1 + ((inside - least) / (width or 1)).astype(np.int64).clip(0, _LEVELS - 1)
    pairs = feature.graycomatrix(levels, [1], _ANGLES, levels=_LEVELS + 1, symmetric=True)[1:, 1:].astype(np.float64)
    counts = pairs.sum(axis=(0, 1), keepdims=True)
    if not counts.all():  # a line of pixels has no neighbours along some directions
        return [float("nan")] * len(PROPERTIES)
    shares = pairs / counts
    return [float(feature.graycoprops(shares, name).mean()) for name in PROPERTIES]
