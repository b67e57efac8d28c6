"""Colours as red, green and blue: from inks, from YCbCr, from CIE L*a*b*, from palettes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# D50, the white of CIE L*a*b* in TIFF files and ICC profiles; and from XYZ under it to linear sRGB (Bradford).
_WHITE = np.array([0.9642, 1.0, 0.8249])
_XYZ_TO_RGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


def invert(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return values that grow with brightness from values that fall with it."""
    return -pixels if pixels.dtype.kind == "f" else ~pixels


def inks_to_rgb(inks: NDArray[Any]) -> NDArray[Any]:
    """Convert cyan, magenta, yellow and black, (h, w, 4) or more samples, to (h, w, 3), as Pillow does.

    The largest value of the dtype is full ink.

    Examples
    --------
    >>> inks_to_rgb(np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)).tolist()
    [[[255, 255, 255], [0, 255, 255], [0, 0, 0]]]
    """
    most = np.iinfo(inks.dtype).max if inks.dtype.kind in "ui" else 1.0
    light = most - inks[..., :4].astype(np.float64)
    rgb = light[..., :3] * light[..., 3:] / most
    return (rgb.round() if inks.dtype.kind in "ui" else rgb).astype(inks.dtype)


def ycbcr_to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert Y, Cb and Cr of JPEG (ITU-R BT.601, full range), (h, w, 3), to red, green and blue."""
    luma, blue, red = (pixels[..., number].astype(np.float32) for number in range(3))
    blue, red = blue - 128, red - 128
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return rgb.round().clip(0, 255).astype(np.uint8)


def cielab_to_rgb(pixels: NDArray[Any], *, offset: int) -> NDArray[np.uint8]:
    """Convert CIE L*a*b* of 8 or 16 bits, (h, w, 3), to sRGB.

    Parameters
    ----------
    pixels
        L* from 0 to the largest value; a* and b* as signed numbers in two's complement, or shifted by ``offset``.
    offset
        What 0 of a* and b* is stored as, for 8 bits: 0 (TIFF, Pillow) or 128 (ICC).
    """
    bits = 8 * pixels.dtype.itemsize
    scale = float(1 << (bits - 8))
    lightness = pixels[..., 0].astype(np.float64) / (2**bits - 1) * 100
    signed = pixels[..., 1:3].astype(np.float64) / scale
    chroma = signed - offset if offset else np.where(signed >= 128, signed - 256, signed)
    middle = (lightness + 16) / 116
    curves = np.stack([middle + chroma[..., 0] / 500, middle, middle - chroma[..., 1] / 200], axis=-1)
    xyz = _WHITE * np.where(curves > 6 / 29, curves**3, 3 * (6 / 29) ** 2 * (curves - 4 / 29))
    linear = (xyz @ _XYZ_TO_RGB.T).clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    bytes_of: NDArray[np.uint8] = (rgb * 255).round().astype(np.uint8)
    return bytes_of


def look_up(palette: NDArray[Any], indices: NDArray[Any]) -> NDArray[Any]:
    """Return the colours (h, w, 3) of indices (h, w) into a palette (3, n). Indices beyond it get its last colour."""
    last = palette.shape[1] - 1
    return np.moveaxis(palette[:, np.minimum(indices.astype(np.intp), last)], 0, -1)
