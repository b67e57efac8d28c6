"""Pixels of a slide on a regular grid, which tell of its stains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.dab import Stains, detect_dab, sampling_step
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.slides.grid import Block


class ColourView:
    """Gathers the pixels of every so many rows and columns, in whatever regions they come.

    Parameters
    ----------
    shape
        Height and width of the slide.
    channels
        3 for colours, None for grey.
    dtype
        Of the pixels.
    """

    def __init__(self, shape: tuple[int, int], channels: int | None, dtype: np.dtype[Any]) -> None:
        self._step = sampling_step(shape)
        size = tuple(-(-side // self._step) for side in shape)
        self._sample = np.zeros(size if channels is None else (*size, channels), dtype)

    def sample(self, region: Block, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return what a region, (h, w) or (h, w, 3), has of the grid."""
        first = (-span.start % self._step for span in region)
        found: NDArray[Any] = pixels[tuple(slice(start, None, self._step) for start in first)]
        return found.copy()  # not to hold all of the region's pixels

    def add(self, region: Block, sample: NDArray[Any]) -> None:
        """Take what a region has."""
        top, left = (-(-span.start // self._step) for span in region)
        self._sample[top : top + sample.shape[0], left : left + sample.shape[1]] = sample

    def stains(self, levels: IntensityRange | None) -> Stains:
        """Return what `nucleus_unet.preprocessing.dab.detect_dab` says of the whole."""
        return detect_dab(self._sample, levels)
