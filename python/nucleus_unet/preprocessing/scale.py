"""By how much an image is magnified for the network: as it is told, else as its file lets tell."""

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
# Micrometres per pixel at which nuclei can be told apart: from objectives of 100 to those of 10.
_TELLING = (0.08, 1.1)
# What writers say who do not know.
_PLACEHOLDER = 1.0
# Nuclei differ by more, and models are trained on more.
_AS_IT_IS = (0.8, 1.25)
# Where an image is looked at to tell light that went through it from light of its own: patches of a regular grid, of
# which the lightest quarter is at least so light. Slides may be black where nothing was scanned.
_GRID, _PATCH, _LIGHT, _QUANTILE = 5, 32, 100, 0.75


def requested_scale(config: BundleConfig, *, diameter: float | None, mpp: float | None) -> float | None:
    """Return the scale that the user asks for; None if it is left to the file.

    Parameters
    ----------
    config
        Of the model.
    diameter
        Of nuclei, in pixels of the image.
    mpp
        Micrometres per pixel of the image.

    Raises
    ------
    SettingsError
        If both are given, or the image would hardly be there any more, or never end.

    Examples
    --------
    >>> from nucleus_unet.model.config import NetworkConfig
    >>> config = BundleConfig("mine", NetworkConfig(), diameter=24, mpp=0.25)
    >>> requested_scale(config, diameter=12, mpp=None)
    2.0
    """
    if diameter is not None and mpp is not None:
        raise SettingsError("give diameter or mpp, not both: each fixes the scale")
    if diameter is not None:
        return _checked("diameter", diameter, config.diameter / float(diameter) if diameter > 0 else 0)
    if mpp is not None:
        return _checked("mpp", mpp, float(mpp) / config.mpp)
    return None


def scale_from_file(config: BundleConfig, mpp: float) -> float:
    """Return the scale, to a tenth, at which stained tissue looks as the model knows it.

    A model has seen a range of sizes: what is nearly right is left alone.

    Parameters
    ----------
    config
        Of the model, which knows its own pixel size.
    mpp
        Micrometres per pixel, as the file says.

    Examples
    --------
    >>> from nucleus_unet.model.config import NetworkConfig
    >>> config = BundleConfig("mine", NetworkConfig(), diameter=24, mpp=0.25, mpp_known=True)
    >>> scale_from_file(config, 0.4992), scale_from_file(config, 0.2268)
    (2.0, 1.0)
    """
    least, most = _TELLING
    if not least <= mpp <= most or mpp == _PLACEHOLDER:
        logger.warning(
            "the file says %.4g micrometres per pixel, which is hardly so (nuclei can be told from %g to %g): "
            "the image is taken as it is; give mpp= or diameter= if that is wrong",
            mpp,
            least,
            most,
        )
        return 1.0
    scale = round(mpp / config.mpp, 1)
    least, most = _AS_IT_IS
    if least <= scale <= most or not _SCALES[0] <= scale <= _SCALES[1]:
        return 1.0
    logger.info(
        "the file says %.4g micrometres per pixel: magnified %g times; diameter=%g would take the image as it is",
        mpp,
        scale,
        config.diameter,
    )
    return scale


def is_stained(read: Callable[[slice, slice], NDArray[Any]], shape: tuple[int, int], dtype: np.dtype[Any]) -> bool:
    """Tell tissue under a microscope's lamp from fluorescence in colours, by how light the image is here and there.

    Nuclei of tissue are alike in micrometres. Those of cultures, which fluorescence mostly shows, are not.

    Parameters
    ----------
    read
        Gives the pixels (h, w, 3) of row and column slices.
    shape
        Height and width of the image.
    dtype
        Of its pixels; lamps are seen in eight bits.

    Examples
    --------
    >>> tissue = np.full((90, 70, 3), 200, np.uint8)
    >>> is_stained(lambda *region: tissue[region], (90, 70), tissue.dtype)
    True
    """
    if dtype != np.uint8 or 0 in shape:
        return False
    sides = [min(_PATCH, size) for size in shape]
    rows, columns = (
        [slice(start, start + side) for start in np.linspace(0, size - side, _GRID).astype(int).tolist()]
        for size, side in zip(shape, sides, strict=True)
    )
    means = [read(row, column).mean() for row in rows for column in columns]
    return bool(np.quantile(means, _QUANTILE) >= _LIGHT)


def _checked(name: str, value: float, scale: float) -> float:
    least, most = _SCALES
    if not least <= scale <= most:
        raise SettingsError(
            f"{name}: expected a value that scales the image by {least} to {most}, got {value}, "
            f"which scales it by {scale:g}"
        )
    return scale
