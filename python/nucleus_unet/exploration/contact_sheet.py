"""Contact sheet: thumbnails of a few images of every category, with outlined nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.overlay import inner_boundaries, to_display_rgb

THUMBNAIL_MEDIA_TYPE = "image/jpeg"
_SIDE = 320
_ON_DARK, _ON_LIGHT = (255, 200, 0), (0, 160, 70)


def choose_images(counts: Sequence[int], most: int) -> list[int]:
    """Choose images evenly from the one with the fewest nuclei to the one with the most.

    Parameters
    ----------
    counts
        Number of nuclei in each image.
    most
        Maximum number of chosen images.

    Returns
    -------
    list of int
        Indices of the chosen images, in ascending order of their number of nuclei.

    Examples
    --------
    >>> choose_images([5, 0, 9, 7, 6], 3)
    [1, 4, 2]
    """
    order = np.argsort(counts, kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.intp))
    return [int(position) for position in order[chosen]]


def thumbnail(image: NDArray[Any], labels: NDArray[np.uint32]) -> bytes:
    """Draw a small image with the outline of every nucleus, as a JPEG.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
        Image of any supported dtype.
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background.

    Returns
    -------
    bytes
        JPEG of at most 320 x 320 pixels. Smaller images keep their size.
    """
    step = -(-max(labels.shape) // _SIDE)
    picture = _downsample(to_display_rgb(image), step)
    colour = _ON_LIGHT if np.median(picture) > 127 else _ON_DARK
    picture[inner_boundaries(labels[::step, ::step])] = colour
    return bytes(imagecodecs.jpeg8_encode(picture, level=85, subsampling="444"))


def _downsample(picture: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Replace squares of ``step`` x ``step`` pixels by their mean."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % step), (0, -width % step), (0, 0)), mode="edge")
    squares = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step, 3)
    result: NDArray[np.uint8] = np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)
    return result
