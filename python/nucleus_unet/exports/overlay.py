"""Overlay of the outlines of nuclei on the image, as an array or as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import Classes
from nucleus_unet.errors import SettingsError
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.software_tag import mark_png
from nucleus_unet.preprocessing.levels import normalise_image

_OUTLINE = (255, 200, 0)


def write_overlay_png(
    path: Path, image: NDArray[Any], labels: NDArray[np.uint32], classes: Classes | None = None
) -> None:
    """Write the `overlay` of an image as a PNG. Raise `SettingsError` if the image has no pixels."""
    if not labels.size:
        raise SettingsError(f"{path}: an image without pixels has no picture; choose another format")
    write_atomically(path, mark_png(bytes(imagecodecs.png_encode(overlay(image, labels, classes=classes)))))


def overlay(
    image: NDArray[Any],
    labels: NDArray[np.uint32],
    *,
    colour: tuple[int, int, int] = _OUTLINE,
    classes: Classes | None = None,
) -> NDArray[np.uint8]:
    """Draw the inner outline of every nucleus on an image.

    Parameters
    ----------
    image : NDArray[Any] (H, W) or (H, W, 3)
        Image of any supported dtype.
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background.
    colour
        Red, green and blue, 0 to 255.
    classes
        Of the nuclei 1 to N, which are drawn in the colours of their classes.

    Returns
    -------
    NDArray[np.uint8] (H, W, 3)
        The overlay in RGB.
    """
    canvas = to_display_rgb(image)
    edge = inner_boundaries(labels)
    if classes is None:
        canvas[edge] = colour
    else:
        colours = np.array([kind.colour for kind in classes.kinds], np.uint8)[classes.index]
        canvas[edge] = colours[labels[edge] - 1]
    return canvas


def to_display_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert an image to RGB bytes, (H, W, 3), with the normalisation of the network's input."""
    normalised = normalise_image(image)
    colours = normalised if normalised.ndim == 3 else np.repeat(normalised[..., None], 3, axis=-1)
    return np.rint(colours * 255).astype(np.uint8)


def inner_boundaries(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return a mask of the pixels of nuclei that have a 4-connected neighbour of another label."""
    edge = np.zeros(labels.shape, bool)
    vertical = labels[1:] != labels[:-1]
    horizontal = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= vertical
    edge[:-1] |= vertical
    edge[:, 1:] |= horizontal
    edge[:, :-1] |= horizontal
    result: NDArray[np.bool_] = edge & (labels > 0)
    return result
