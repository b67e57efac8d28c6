"""A contact sheet: a few images of every kind, small, with their nuclei outlined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.overlay import displayable, outlines

MEDIA_TYPE = "image/jpeg"
_SIDE = 320
_ON_DARK, _ON_LIGHT = (255, 200, 0), (0, 160, 70)


def choose(counts: Sequence[int], most: int) -> list[int]:
    """Choose images from the sparsest to the most crowded, evenly.

    Parameters
    ----------
    counts
        Nuclei of each image.
    most
        How many images at most.

    Returns
    -------
    list of int
        Positions, by number of nuclei.

    Examples
    --------
    >>> choose([5, 0, 9, 7, 6], 3)
    [1, 4, 2]
    """
    order = np.argsort(counts, kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.intp))
    return [int(position) for position in order[chosen]]


def thumbnail(image: NDArray[Any], labels: NDArray[np.uint32]) -> bytes:
    """Draw an image small, with the outline of every nucleus, as a JPEG.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
        Of any dtype of the contract.
    labels : NDArray[np.uint32] (H, W)
        0 background.

    Returns
    -------
    bytes
        At most 320 pixels high and wide; smaller images keep their size.
    """
    step = -(-max(labels.shape) // _SIDE)
    shown = _shrunk(displayable(image), step)
    colour = _ON_LIGHT if np.median(shown) > 127 else _ON_DARK
    shown[outlines(labels[::step, ::step])] = colour
    return bytes(imagecodecs.jpeg8_encode(shown, level=85, subsampling="444"))


def _shrunk(shown: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Replace squares of pixels by their mean."""
    height, width = shown.shape[:2]
    padded = np.pad(shown, ((0, -height % step), (0, -width % step), (0, 0)), mode="edge")
    squares = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step, 3)
    result: NDArray[np.uint8] = np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)
    return result
