"""The image with the outline of every nucleus drawn on it, as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.preprocessing.normalisation import normalise, percentile_range

_OUTLINE = (255, 200, 0)


def write_overlay_png(path: Path, image: NDArray[Any], labels: NDArray[np.uint32]) -> None:
    """Write the `overlay` of an image as a PNG."""
    write_atomically(path, bytes(imagecodecs.png_encode(overlay(image, labels))))


def overlay(
    image: NDArray[Any], labels: NDArray[np.uint32], *, colour: tuple[int, int, int] = _OUTLINE
) -> NDArray[np.uint8]:
    """Draw the inner outline of every nucleus on an image.

    Parameters
    ----------
    image : NDArray[Any] (H, W) or (H, W, 3)
        Of any dtype of the contract.
    labels : NDArray[np.uint32] (H, W)
        0 background.
    colour
        Red, green and blue.

    Returns
    -------
    NDArray[np.uint8] (H, W, 3)
    """
    canvas = displayable(image)
    canvas[outlines(labels)] = colour
    return canvas


def displayable(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring an image to RGB bytes, stretched as the network sees it."""
    levels = percentile_range(image)
    shown = normalise(image, levels) if levels else np.zeros(image.shape, np.float32)
    shown = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=-1)
    return np.rint(shown * 255).astype(np.uint8)


def outlines(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Pixels of nuclei that have a neighbour above, below, left or right of another label."""
    edge = np.zeros(labels.shape, bool)
    vertical = labels[1:] != labels[:-1]
    horizontal = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= vertical
    edge[:-1] |= vertical
    edge[:, 1:] |= horizontal
    edge[:, :-1] |= horizontal
    result: NDArray[np.bool_] = edge & (labels > 0)
    return result
