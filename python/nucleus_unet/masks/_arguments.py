"""Validation and conversion of the kernels' arguments."""

import operator
from collections.abc import Mapping, Sequence, Set

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import MaskError


def as_label_image(labels: ArrayLike, name: str = "labels") -> NDArray[np.uint32]:
    """Return a label image as a C-contiguous uint32 array, without a copy if it already is one."""
    image = np.asarray(labels)
    if image.ndim != 2:
        raise MaskError(f"{name}: expected a label image of shape (H, W), got shape {image.shape}")
    if image.dtype.kind not in "biu":
        raise MaskError(f"{name}: expected integers, got {image.dtype}")
    limits = np.iinfo(np.uint32)
    if image.size and not np.can_cast(image.dtype, np.uint32):
        least, most = int(image.min()), int(image.max())
        if least < 0 or most > limits.max:
            raise MaskError(f"{name}: expected labels of 0 to {limits.max}, got {least} to {most}")
    return np.require(image, np.uint32, ["C_CONTIGUOUS", "ALIGNED"])


def as_pixels(image: ArrayLike, name: str = "labels") -> NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]:
    """Return a binary or label image as a C-contiguous uint8, uint16 or uint32 array, if possible without a copy."""
    pixels = np.asarray(image)
    if pixels.dtype == np.bool_:
        pixels = pixels.view(np.uint8)
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        return as_label_image(pixels, name)
    return np.require(pixels, pixels.dtype, ["C_CONTIGUOUS", "ALIGNED"])


def as_intensity(image: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an image of one channel as float32, after a check that it has the shape of its label image."""
    values = np.asarray(image)
    if values.dtype.kind not in "biuf":
        raise MaskError(f"intensity: expected real numbers, got {values.dtype}")
    if values.shape != shape:
        raise MaskError(f"intensity: expected the shape of the labels, {shape}, got {values.shape}")
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        return np.require(values, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def as_shape(shape: Sequence[int], name: str = "shape") -> tuple[int, int]:
    """Return height and width as integers."""
    try:
        if isinstance(shape, bytes | Mapping | Set):  # iterables of integers that are not a shape
            raise TypeError
        height, width = (operator.index(length) for length in shape)
    except (TypeError, ValueError):
        raise MaskError(f"{name}: expected (height, width), got {brief(shape)}") from None
    if not is_countable(height, width):
        raise MaskError(
            f"{name}: expected a height and width of 0 or more, below 2**63 pixels in all, got {brief(shape)}"
        )
    return height, width


def is_countable(height: int, width: int) -> bool:
    """Return whether an image may have this size, and an area in it fits int64."""
    return min(height, width) >= 0 and max(height, width, height * width) < 2**63


def brief(value: object) -> str:
    """Return the repr of a value for an error message, truncated if long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
