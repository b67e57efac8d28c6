"""Detect the stains of a slide from pixels on a regular grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.preprocessing.dab import Stains, detect_dab, sampling_step
from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.slides.grid import Block


class StainSampler:
    """Collects every n-th row and column of a slide from its regions, in any order.

    Parameters
    ----------
    shape
        Height and width of the slide.
    channels
        3 for colour, None for grey.
    dtype
        Type of the pixels.
    """

    def __init__(self, shape: tuple[int, int], channels: int | None, dtype: np.dtype[Any]) -> None:
        self._step = sampling_step(shape)
        size = tuple(-(-side // self._step) for side in shape)
        self._sample = np.zeros(size if channels is None else (*size, channels), dtype)

    def sample(self, region: Block, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of a region, (h, w) or (h, w, 3), that lie on the grid."""
        first = (-span.start % self._step for span in region)
        sampled: NDArray[Any] = pixels[tuple(slice(start, None, self._step) for start in first)]
        return sampled.copy()  # a view would keep the whole region in memory

    def add(self, region: Block, sample: NDArray[Any]) -> None:
        """Store the sampled pixels of a region."""
        top, left = (-(-span.start // self._step) for span in region)
        self._sample[top : top + sample.shape[0], left : left + sample.shape[1]] = sample

    def detect(self, levels: Levels) -> Stains:
        """Return the result of `nucleus_unet.preprocessing.dab.detect_dab` for the whole slide."""
        return detect_dab(self._sample, levels)
