"""Brown of immunohistochemistry (DAB), under which nuclei may hide: seen, and looked through."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nucleus_unet.fusion import Fused
from nucleus_unet.images import Levels, measure_levels, normalise
from nucleus_unet.network import channels_last

# What haematoxylin, eosin and DAB absorb of red, green and blue (Ruifrok and Johnston 2001), each of length 1.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)

# Of about so many pixels, on a regular grid, it is told whether an image is brown.
_SAMPLE = 2**16
# Glass is as bright, in each colour, as all but so many percent of the pixels, which may glare; and no colour of it is
# less than so much of its brightest.
_GLARE, _TINT = 1, 0.7
# Mean density over the colours from which on a pixel is more than glass, and from which on no light comes through it.
_STAINED, _DARK = 0.15, 2.5
# Density of DAB, unmixed, that makes a pixel brown.
_BROWN = 0.8
# Share of brown among the stained pixels from which on an image is brown; share of dark ones among all from which on it
# is fluorescence, whatever its colours.
_SHARE, _DARK_SHARE = 0.3, 0.3
# How much of the brown is taken away; with all of it, nuclei that are brown themselves would go too.
_THINNED = 0.8

_WHITE = 255
_DENSITY = -np.log(np.arange(1, _WHITE + 2) / (_WHITE + 1))
# Brown is looked up in steps, as exponentials of a tensor's last few values may differ in their last bit.
_STEPS = 64
_MOST = math.ceil(float(_DENSITY[0] * _UNMIX[:, 2].clip(0).sum()) * _STEPS)
_DENSITIES = torch.from_numpy(_DENSITY).float()
_BRIGHTER = torch.from_numpy(np.exp(np.arange(_MOST + 1)[:, None] / _STEPS * _THINNED * _STAINS[2])).float()


def sampling_step(shape: tuple[int, ...]) -> int:
    """Return every how many rows and columns of an image (H, W, ...) a pixel is asked for its colour.

    Examples
    --------
    >>> sampling_step((512, 512)), sampling_step((100_000, 100_000))
    (2, 391)
    """
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / _SAMPLE)))


class Stains(NamedTuple):
    """What an image's colours tell.

    Attributes
    ----------
    brown
        Whether so much is brown, in transmitted light, that nuclei may hide under it, as in immunohistochemistry.
    thinned
        Levels of the normalised image once its brown is thinned; None for grey, and where all is flat.
    """

    brown: bool
    thinned: Levels | None

    def chosen(self, dab: bool | None) -> Levels | None:
        """Return ``thinned`` if the brown is to be looked through: as asked, else as the colours tell."""
        return self.thinned if (self.brown if dab is None else dab) else None


def see_stains(sample: NDArray[Any], levels: Levels | None) -> Stains:
    """Tell whether an image is brown, and what its levels are without.

    Parameters
    ----------
    sample : NDArray[Any] (h, w, 3) or (h, w)
        Every `sampling_step`-th pixel.
    levels
        Of the whole image.

    Examples
    --------
    >>> import numpy as np
    >>> brown, pink = np.full((2, 8, 8, 3), 255, np.uint8)
    >>> brown[:4], pink[:4] = (120, 70, 30), (230, 150, 190)
    >>> see_stains(brown, Levels(0, 255)).brown, see_stains(pink, Levels(0, 255)).brown
    (True, False)
    """
    if sample.ndim == 2 or levels is None:
        return Stains(brown=False, thinned=None)
    return Stains(_is_brown(sample, levels), _thinned_levels(sample, levels))


def levels_through_brown(sample: NDArray[Any], levels: Levels | None, dab: bool | None) -> Levels | None:
    """Return `see_stains(sample, levels).chosen(dab)`, and find out no more than that takes."""
    if sample.ndim == 2 or levels is None or dab is False:
        return None
    return _thinned_levels(sample, levels) if dab or _is_brown(sample, levels) else None


def _is_brown(sample: NDArray[Any], levels: Levels) -> bool:
    sample = sample[::2, ::2]  # levels need more pixels than a share does
    dark = _densities(normalise(sample, levels)).mean(axis=-1) >= _DARK
    if np.count_nonzero(dark) >= _DARK_SHARE * dark.size:
        return False
    # Against the glass and as they came: levels take a warm white balance, or nearly empty glass, for brown. But where
    # values lie below 0, it is not black.
    light = sample.astype(np.float64) - (levels.black if sample.min() < 0 else 0)
    glass = np.percentile(light.reshape(-1, 3), 100 - _GLARE, axis=0)
    if glass.min() <= 0:  # no light has a colour missing
        return False
    density = _densities((light / np.maximum(glass, _TINT * glass.max())).clip(0, 1))
    mean = density.mean(axis=-1)
    stained = density[(mean > _STAINED) & (mean < _DARK)]
    haematoxylin, eosin, dab = (stained @ _UNMIX).T
    brown = (dab > _BROWN) & (dab > haematoxylin) & (dab > eosin)
    return bool(np.count_nonzero(brown) >= _SHARE * max(len(stained), 1))


def _densities(shown: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = _DENSITY[np.rint(shown * _WHITE).astype(np.intp)]
    return found


def _thinned_levels(sample: NDArray[Any], levels: Levels) -> Levels | None:
    shown = torch.from_numpy(normalise(sample, levels)).permute(2, 0, 1)[None]
    return measure_levels(thin_brown(shown).numpy())


class UnderBrown(nn.Module):
    """A network asked twice, of the image as it is and with its brown thinned.

    Of each pixel the answer with more foreground stands. What nuclei hide under is thinned, and nuclei that are brown
    themselves are still seen in the image as it is. All is done pixel by pixel, so that the answer does not depend on
    the tile, as the network's own does not.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    thinned
        Levels of the normalised image once its brown is thinned: without the dark brown its nuclei are pale.

    Examples
    --------
    >>> import torch
    >>> from nucleus_unet.network import Network, NetworkConfig
    >>> under = UnderBrown(Network(NetworkConfig(decoder=(8, 8, 8, 8))).eval(), Levels(0.2, 1))
    >>> tuple(under(torch.zeros(1, 3, 64, 32)).shape)
    (1, 4, 64, 32)
    """

    def __init__(self, network: Fused, thinned: Levels) -> None:
        super().__init__()
        self.network, self.thinned = network, thinned
        self.stride = network.stride
        self.receptive_radius = network.receptive_radius

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 4, H, W), as `Network` does."""
        plain = self.network(image).float()
        black, white = self.thinned
        stretched = ((thin_brown(image) - black) / (white - black)).clamp(0, 1)
        thinned = self.network(channels_last(stretched)).float()
        return torch.where(thinned[:, :1] > plain[:, :1], thinned, plain)


def thin_brown(image: Tensor) -> Tensor:
    """Take most of the brown dye out of a picture.

    Parameters
    ----------
    image : Tensor (N, 3, H, W)
        Normalised.

    Returns
    -------
    Tensor (N, 3, H, W)
    """
    red, green, blue = _DENSITIES.to(image.device)[(image * _WHITE).round().long()].unbind(1)
    brown = red * _UNMIX[0, 2] + green * _UNMIX[1, 2] + blue * _UNMIX[2, 2]
    step = (brown * _STEPS).round().clamp(0, _MOST).long()
    factors = _BRIGHTER.to(image.device)[step].permute(0, 3, 1, 2)
    # Black has no colour, but what is nearly black may be brown.
    return (image.clamp(min=1 / (_WHITE + 1)) * factors).clamp(max=1)
