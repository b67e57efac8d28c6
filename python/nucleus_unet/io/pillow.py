"""Images of Pillow: colours are what their mode says, and palettes are looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.colours import cielab_to_rgb
from nucleus_unet.io.scene import ALPHA, GREY, RGB, OpenedFile
from nucleus_unet.io.whole import whole_image

# By mode, the mode to convert to. Others stay.
_CONVERTED = {"RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBa": "RGBA", "La": "LA", "PA": "RGBA"}
_SAMPLES = {"LA": GREY + ALPHA, "RGB": RGB, "RGBA": RGB + ALPHA}


def open_pillow(image: Any) -> OpenedFile:
    """Open a Pillow image: the frame that it is at.

    Raises
    ------
    ImageError
        If it is damaged or of an unknown mode.
    """
    try:
        pixels, mode = _pixels(image)
    except Exception as error:  # Pillow reads lazily, and raises exceptions of many classes for damaged files
        raise ImageError(f"image: Pillow cannot read it ({type(error).__name__}: {error})") from error
    return whole_image("image of Pillow", pixels, samples=_SAMPLES.get(mode, ()))


def _pixels(image: Any) -> tuple[NDArray[Any], str]:
    mode = image.mode
    if mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
        image = image.convert(mode)
    elif mode in _CONVERTED:
        mode = _CONVERTED[mode]
        image = image.convert(mode)
    pixels = np.asarray(image)
    if mode == "LAB":
        return cielab_to_rgb(pixels, offset=128), "RGB"
    return pixels, mode
