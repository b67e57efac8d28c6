"""By how much an image is magnified for the network: as it is told, else as its file lets tell."""

from __future__ import annotations

import logging

from nucleus_unet.bundle import BundleConfig
from nucleus_unet.errors import SettingsError

logger = logging.getLogger(__name__)

_SCALES = (0.05, 20.0)
# Micrometres per pixel at which nuclei can be told apart: from objectives of 100 to those of 10.
_TELLING = (0.08, 1.1)
# A tenth of a step of magnification is more than nuclei differ by; models are trained on more than this.
_AS_IT_IS = (0.8, 1.25)


def asked_scale(config: BundleConfig, *, diameter: float | None, mpp: float | None) -> float | None:
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
    >>> from nucleus_unet.network import NetworkConfig
    >>> config = BundleConfig("mine", NetworkConfig(), diameter=24, mpp=0.25)
    >>> asked_scale(config, diameter=12, mpp=None)
    2.0
    """
    if diameter is not None and mpp is not None:
        raise SettingsError("give diameter or mpp, not both: each fixes the scale")
    if diameter is not None:
        return _checked("diameter", diameter, config.diameter / float(diameter) if diameter > 0 else 0)
    if mpp is not None:
        return _checked("mpp", mpp, float(mpp) / config.mpp)
    return None


def scale_of_file(config: BundleConfig, mpp: float | None, *, coloured: bool) -> float:
    """Return the scale, to a tenth, at which stained tissue looks as the model knows it; other images are left alone.

    Nuclei of tissue are alike in micrometres, those of cultures, which fluorescence mostly shows, are not. And a
    model has seen a range of sizes, so that what is nearly right is not touched.

    Parameters
    ----------
    config
        Of the model.
    mpp
        Micrometres per pixel, as the file says; None if it does not.
    coloured
        Whether the image has colours, which stains have.

    Examples
    --------
    >>> from nucleus_unet.network import NetworkConfig
    >>> config = BundleConfig("mine", NetworkConfig(), diameter=24, mpp=0.25)
    >>> scale_of_file(config, 0.4992, coloured=True), scale_of_file(config, 0.4992, coloured=False)
    (2.0, 1.0)
    >>> scale_of_file(config, 0.2268, coloured=True)
    1.0
    """
    if mpp is None or not coloured:
        return 1.0
    least, most = _TELLING
    if not least <= mpp <= most:
        logger.warning(
            "the file says %.4g micrometres per pixel, where nuclei can be told from %g to %g: "
            "the image is taken as it is; give mpp= or diameter= if that is wrong",
            mpp,
            least,
            most,
        )
        return 1.0
    scale = round(mpp / config.mpp, 1)
    least, most = _AS_IT_IS
    if least <= scale <= most:
        return 1.0
    logger.info(
        "the file says %.4g micrometres per pixel: magnified %g times; diameter=%g would take the image as it is",
        mpp,
        scale,
        config.diameter,
    )
    return scale


def _checked(name: str, value: float, scale: float) -> float:
    least, most = _SCALES
    if not least <= scale <= most:
        raise SettingsError(
            f"{name}: expected a value that scales the image by {least} to {most}, got {value}, "
            f"which scales it by {scale:g}"
        )
    return scale
