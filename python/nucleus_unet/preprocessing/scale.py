"""Choose the magnification of an image for the network, from the options or from the pixel size in its file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.model.bundle import BundleConfig

logger = logging.getLogger(__name__)

_SCALES = (0.05, 20.0)
# The bounds that a message names are accepted, although they are rounded to three digits.
_ROUNDING = 0.005
# Micrometres per pixel at which nuclei can be distinguished, from 100x to 10x objectives.
_PLAUSIBLE_MPP = (0.08, 1.1)
# The value that programs write if the pixel size is unknown.
_UNSET_MPP = 1.0
# Scales between these bounds are treated as 1. The training images vary more than that.
_NO_RESAMPLING = (0.8, 1.25)
# Transmitted light is detected from the mean brightness of patches on a regular grid. This quantile must be bright.
# Slides may be black where nothing was scanned.
_GRID_SIDE, _PATCH_SIDE, _MIN_BRIGHTNESS, _QUANTILE = 5, 32, 100, 0.75


def requested_scale(config: BundleConfig, *, diameter: float | None, mpp: float | None) -> float | None:
    """Return the scale that follows from the options. None if no option determines it.

    Parameters
    ----------
    config
        Configuration of the model.
    diameter
        Diameter of the nuclei, in pixels of the image.
    mpp
        Micrometres per pixel of stained tissue. None for any other image. The diameter decides if both are given.

    Raises
    ------
    SettingsError
        If the scale is out of range.

    Examples
    --------
    >>> from nucleus_unet.model.config import NetworkConfig
    >>> config = BundleConfig("mine", NetworkConfig(), diameter=24, mpp=0.25)
    >>> requested_scale(config, diameter=12, mpp=None)
    2.0
    """
    if diameter is not None:
        least, most = config.diameter / _SCALES[1], config.diameter / _SCALES[0]
        _check_bounds("diameter", diameter, least, most, "pixels")
        return config.diameter / float(diameter)
    if mpp is not None:
        least, most = config.mpp * _SCALES[0], config.mpp * _SCALES[1]
        _check_bounds("mpp", mpp, least, most, "micrometres")
        return float(mpp) / config.mpp
    return None


def scale_from_file(config: BundleConfig, mpp: float, name: str = "the image") -> float | None:
    """Return the scale, rounded to 0.1, that brings stained tissue to the pixel size of the model.

    Scales near 1 become 1, because the model was trained on a range of sizes. None if the pixel size is implausible.

    Parameters
    ----------
    config
        Configuration of a model whose pixel size is known.
    mpp
        Micrometres per pixel, from the image's file.
    name
        Names the image in the log.

    Examples
    --------
    >>> from nucleus_unet.model.config import NetworkConfig
    >>> config = BundleConfig("mine", NetworkConfig(), diameter=24, mpp=0.25, mpp_known=True)
    >>> scale_from_file(config, 0.4992), scale_from_file(config, 0.2268)
    (2.0, 1.0)
    """
    lower, upper = _PLAUSIBLE_MPP
    if not lower <= mpp <= upper or mpp == _UNSET_MPP:
        logger.warning(
            "%s: the pixel size in the file, %.4g micrometres, is implausible (expected %g to %g, and not exactly 1): "
            "it is ignored; if it is right, give --mpp or --diameter (mpp= or diameter= in Python)",
            *(name, mpp, lower, upper),
        )
        return None
    scale = round(mpp / config.mpp, 1)
    lower, upper = _NO_RESAMPLING
    if lower <= scale <= upper or not _SCALES[0] <= scale <= _SCALES[1]:
        return 1.0
    return scale


def agree(from_file: float, found: float) -> bool:
    """Return whether the scale that follows from a file's pixel size is within a factor of two of the one found.

    Examples
    --------
    >>> agree(2.0, 1.0), agree(1.0, 0.25)
    (True, False)
    """
    return 0.5 <= found / from_file <= 2


def is_stained(read: Callable[[slice, slice], NDArray[Any]], shape: tuple[int, int], dtype: np.dtype[Any]) -> bool:
    """Return whether an image shows stained tissue in transmitted light, from its brightness.

    Pixel size determines the size of nuclei in tissue. It does not in cell cultures, which fluorescence mostly shows.

    Parameters
    ----------
    read
        Returns the pixels (h, w, 3) of row and column slices.
    shape
        Height and width of the image.
    dtype
        Type of the pixels. Only uint8 images can be stained tissue.

    Examples
    --------
    >>> tissue = np.full((90, 70, 3), 200, np.uint8)
    >>> is_stained(lambda *region: tissue[region], (90, 70), tissue.dtype)
    True
    """
    if dtype != np.uint8 or 0 in shape:
        return False
    sides = [min(_PATCH_SIDE, size) for size in shape]
    rows, columns = (
        [slice(start, start + side) for start in np.linspace(0, size - side, _GRID_SIDE).astype(int).tolist()]
        for size, side in zip(shape, sides, strict=True)
    )
    means = [read(row, column).mean() for row in rows for column in columns]
    return bool(np.quantile(means, _QUANTILE) >= _MIN_BRIGHTNESS)


def _check_bounds(name: str, value: float, least: float, most: float, unit: str) -> None:
    if not least * (1 - _ROUNDING) <= value <= most * (1 + _ROUNDING):
        raise SettingsError(
            f"{name}: expected {least:.3g} to {most:.3g} {unit}, which scale the image by {_SCALES[0]:g} to "
            f"{_SCALES[1]:g}, got {value}"
        )
