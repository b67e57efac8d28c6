"""The levels of an image: the pixel values that become 0 and 1, and the values that are padding."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.normalisation import IntensityRange, normalise, percentile_range
from nucleus_unet.preprocessing.padding import Padding, PaddingFinder


class Levels(NamedTuple):
    """What is measured of an image before it is shown to the network.

    Attributes
    ----------
    intensity_range
        The pixel values that become 0 and 1, without padding. None if all other pixels are equal.
    padding
        Values of pixels that are no data. None if there are none.
    """

    intensity_range: IntensityRange | None
    padding: Padding | None

    def normalise(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Map pixels of the image, (h, w) or (h, w, C), to 0..1. All become 0 if there is no intensity range."""
        if self.intensity_range is None:
            return np.zeros(pixels.shape, np.float32)
        return normalise(self.filled(pixels), self.intensity_range)

    def filled(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return pixels of the image, with bright or dark ground in place of padding."""
        if self.intensity_range is None or self.padding is None:
            return pixels
        return self.padding.fill(pixels, self.intensity_range)

    def data(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels that are no padding, (1, n, C), of pixels (h, w, C); all, (h, w, C), if none is padding."""
        if self.padding is None:
            return pixels
        return pixels[~self.padding.mask(pixels)][None]

    def on_glass(self) -> Levels:
        """Return the same levels, with padding shown as bright ground, as glass around stained tissue is."""
        return self._replace(padding=self.padding and self.padding._replace(is_bright=True))


def measure_levels(image: NDArray[Any]) -> Levels:
    """Measure the levels of an image.

    Parameters
    ----------
    image : NDArray[Any] (H, W) or (H, W, C)
        From `nucleus_unet.io.source.ImageSource.read`. Colour channels share one range, which preserves hues.

    Raises
    ------
    ImageError
        If the range of floating-point numbers is too wide.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.tile(np.arange(100, 200, dtype=np.uint16), (400, 4))
    >>> image[:, 200:] = 65535  # beside the picture
    >>> levels = measure_levels(image)
    >>> levels.intensity_range, levels.padding.values
    (IntensityRange(low=100.0, high=199.0), ((65535.0,),))
    """
    if image.size == 0:
        return Levels(None, None)
    finder = PaddingFinder(image.shape[:2], image.shape[2] if image.ndim == 3 else None, image.dtype)
    finder.add(0, 0, finder.extremes(0, 0, image))
    if finder.is_flat:
        return Levels(None, None)
    surroundings = finder.surroundings()
    if surroundings is None:
        return Levels(percentile_range(image), None)
    intensity_range = percentile_range(surroundings.data_pixels(image))
    return Levels(intensity_range, surroundings.padding(intensity_range))


def normalise_image(image: NDArray[Any]) -> NDArray[np.float32]:
    """Normalise a whole image by its own levels. All values are 0 if all pixels of the image are equal."""
    return measure_levels(image).normalise(image)
