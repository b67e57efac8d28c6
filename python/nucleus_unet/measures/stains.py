"""Optical densities of stains in bright field images, and scores of immunohistochemistry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.preprocessing.dab import STAINS

_UNMIX = np.linalg.inv(STAINS)
_NAMES = {"haematoxylin": 0, "dab": 2}
# A table of logarithms, as the logarithm of a number may differ in its last bit with its position in an array.
_STEPS = 2**16 - 1


def stain_densities(image: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Separate the optical densities of haematoxylin and DAB by colour deconvolution (Ruifrok and Johnston 2001).

    The optical density of a colour is -log10 of the light that passes: the value divided by the largest one of the
    dtype (1 for floating point numbers), and at least one step of 8 or 16 bits.

    Parameters
    ----------
    image : NDArray[Any] (H, W, 3)
        Red, green and blue, as uint8, uint16, or floating point numbers from 0 to 1.

    Returns
    -------
    dict of str to NDArray[np.float32] (H, W)
        ``haematoxylin`` and ``dab``. Eosin is separated too, but not returned.

    Raises
    ------
    SettingsError
        The image has another dtype, or floating point numbers beyond 0 and 1.

    Examples
    --------
    >>> brown = np.array([[[120, 70, 30]]], np.uint8)
    >>> {name: round(float(density[0, 0]), 2) for name, density in stain_densities(brown).items()}
    {'haematoxylin': 0.02, 'dab': 1.21}
    """
    if image.dtype in (np.uint8, np.uint16):
        most = int(np.iinfo(image.dtype).max)
        steps = image.astype(np.intp)
    elif np.issubdtype(image.dtype, np.floating) and (not image.size or (image.min() >= 0 and image.max() <= 1)):
        most = _STEPS
        steps = np.rint(image.astype(np.float64) * most).astype(np.intp)
    else:
        values = f", with values of {image.min():g} to {image.max():g}" if image.size else ""
        raise SettingsError(
            "stain: expected colours of 8 or 16 bits, or floating point numbers from 0 to 1, got "
            f"{image.dtype}{values}; leave out the measures 'stain'"
        )
    table = -np.log10(np.maximum(np.arange(most + 1), 1) / most)
    red, green, blue = (table[steps[..., channel]] for channel in range(3))
    found = {}
    for name, stain in _NAMES.items():
        r, g, b = _UNMIX[:, stain]
        found[name] = (red * r + green * g + blue * b).astype(np.float32)
    return found


def positive_share(density: ArrayLike, threshold: float) -> float:
    """Return the share of nuclei whose density reaches a threshold, 0 to 1; NaN if there are no nuclei.

    Parameters
    ----------
    density
        One value for each nucleus, such as the column ``nucleus_dab_mean``.
    threshold
        Least density of a positive nucleus.

    Examples
    --------
    >>> positive_share([0.1, 0.3, 0.5, 0.2], 0.2)
    0.75
    """
    values = _known(density)
    return float(np.mean(values >= threshold)) if len(values) else float("nan")


def h_score(density: ArrayLike, thresholds: Sequence[float] = (0.2, 0.4, 0.6)) -> float:
    """Return the H-score of nuclei, 0 to 300: the percentages of weak, moderate and strong ones times 1, 2 and 3.

    Parameters
    ----------
    density
        One value for each nucleus, such as the column ``nucleus_dab_mean``.
    thresholds
        Least density of a weak, a moderate and a strong nucleus, ascending. They depend on scanner and protocol.

    Raises
    ------
    SettingsError
        If there are not three ascending thresholds.

    Examples
    --------
    >>> h_score([0.1, 0.3, 0.5, 0.7])
    150.0
    """
    limits = [float(each) for each in thresholds]
    if len(limits) != 3 or sorted(set(limits)) != limits:
        raise SettingsError(f"thresholds: expected three ascending numbers, got {thresholds!r}")
    return 100 * sum(positive_share(density, limit) for limit in limits)


class StainScore(NamedTuple):
    """The scores of the nuclei of an image.

    Attributes
    ----------
    nuclei
        Number of nuclei that have a density.
    positive_share
        From `positive_share`.
    h_score
        From `h_score`.
    """

    nuclei: int
    positive_share: float
    h_score: float


def stain_score(
    density: ArrayLike, *, thresholds: Sequence[float] = (0.2, 0.4, 0.6), positive: float | None = None
) -> StainScore:
    """Return both scores of nuclei.

    Parameters
    ----------
    density
        One value for each nucleus, such as the column ``nucleus_dab_mean``.
    thresholds
        See `h_score`.
    positive
        See `positive_share`. The first threshold by default.

    Examples
    --------
    >>> stain_score([0.1, 0.3, 0.5, 0.7])
    StainScore(nuclei=4, positive_share=0.75, h_score=150.0)
    """
    share = positive_share(density, thresholds[0] if positive is None else positive)
    return StainScore(len(_known(density)), share, h_score(density, thresholds))


def _known(density: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(density, np.float64)
    return values[np.isfinite(values)]
