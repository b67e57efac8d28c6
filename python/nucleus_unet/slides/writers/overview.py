"""One picture of a whole slide: a thumbnail, the density of nuclei over it, and what the colours mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.extras import require
from nucleus_unet.slides.survey.thumbnail import shrinking

if TYPE_CHECKING:
    from PIL import Image

# Standard deviation of the Gaussian by which nuclei are counted, as a part of the longest side.
_BLUR = 1 / 60
# Side of the cells that nuclei are counted in, as a part of that.
_CELL = 1 / 4
# From few nuclei to many; equally far apart to the eye, and unlike the colours of usual stains.
_COLOURS = np.array([(49, 54, 149), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64)
_OPACITY = 0.7
# Of the legend below the thumbnail, in pixels; small slides get some white beside them.
_LEGEND, _LEAST_WIDTH, _TEXT, _GAP, _BAR = 76, 620, 17, 16, (220, 14)


class Overview:
    """Gathers nuclei, and draws them in the end.

    Parameters
    ----------
    thumbnail : NDArray[np.uint8] (h, w, 3)
        Of the slide, as `nucleus_unet.slides.survey.thumbnail` has it.
    shape
        Height and width of the slide.
    mpp
        Micrometres per pixel, if known.
    """

    def __init__(self, thumbnail: NDArray[np.uint8], shape: tuple[int, int], *, mpp: float | None) -> None:
        self._thumbnail, self._factor, self._mpp = thumbnail, shrinking(shape), mpp
        # In pixels of the thumbnail, of which the slide may end within the last.
        self._extents = [size / self._factor for size in shape]
        self._sigma = max(thumbnail.shape) * _BLUR
        self._cell = max(1, int(self._sigma * _CELL))
        self._counts = np.zeros([-(-size // self._cell) for size in thumbnail.shape[:2]])

    @property
    def count(self) -> int:
        """How many nuclei there are so far."""
        return int(self._counts.sum())

    def add(self, nuclei: NucleusTable) -> None:
        """Count nuclei where their centroids are."""
        side = self._factor * self._cell
        cells = [(place / side).astype(np.intp) for place in (nuclei.row, nuclei.column)]
        np.add.at(self._counts, tuple(cells), 1)

    def png(self) -> bytes:
        """Draw the picture."""
        from PIL import Image

        density, unit = self.density()
        most = _rounded_up(density.max())
        shares = np.linspace(0, 1, 256)
        colours = Image.fromarray(np.rint(density * (255 / most)).astype(np.uint8))
        opacity = colours.point(np.rint(255 * _OPACITY * np.minimum(1, 4 * shares)).tolist())
        colours.putpalette(np.rint(_colour(shares)).astype(np.uint8).tobytes())
        picture = Image.composite(colours.convert("RGB"), Image.fromarray(self._thumbnail), opacity)
        return self._with_legend(picture, most, unit)

    def density(self) -> tuple[NDArray[np.float64], str]:
        """Return how densely nuclei lie around each pixel of the thumbnail, and in what unit."""
        down, across = (_gaussian(extent, self._cell, self._sigma) for extent in self._extents)
        area = (self._factor * (1 if self._mpp is None else self._mpp)) ** 2 / 1e6
        unit = "megapixel" if self._mpp is None else "square millimetre"
        return down @ self._counts @ across.T / area, unit

    def _with_legend(self, picture: Image.Image, most: float, unit: str) -> bytes:
        from PIL import Image, ImageDraw, ImageFont

        width, height = picture.size
        canvas = Image.new("RGB", (max(width, _LEAST_WIDTH), height + _LEGEND), "white")
        canvas.paste(picture, (0, 0))
        draw = ImageDraw.Draw(canvas)
        font = ImageFont.load_default(_TEXT)
        top, right = height + _GAP, _GAP + _BAR[0]
        bar = np.broadcast_to(_colour(np.linspace(0, 1, _BAR[0])), (_BAR[1], _BAR[0], 3))
        canvas.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (_GAP, top))
        below = top + _BAR[1] + 6
        for value, place, anchor in ((0, _GAP, "la"), (most / 2, _GAP + _BAR[0] // 2, "ma"), (most, right, "ra")):
            draw.text((place, below), f"{value:,.6g}", "black", font, anchor)
        draw.text((right + _GAP, top - 3), f"nuclei per {unit}", "black", font)
        draw.text((right + _GAP, below), f"{self.count:,} nuclei in all", "black", font)
        if self._mpp is not None:
            scale = self._mpp * self._factor / 1000
            length = _rounded_down(width / 5 * scale)
            end = canvas.width - _GAP
            draw.line((end - round(length / scale), top + _BAR[1] // 2, end, top + _BAR[1] // 2), "black", 3)
            draw.text((end, below), f"{length:g} mm", "black", font, "ra")
        # At the default level it takes seconds of a small slide, for little.
        return bytes(imagecodecs.png_encode(np.asarray(canvas), level=1, filter=imagecodecs.PNG.FILTER.AVG))


def check_pillow() -> None:
    """Raise `MissingExtraError` if the legend cannot be written."""
    require("PIL", "slides need more packages", extra="slides")


def _gaussian(extent: float, cell: int, sigma: float) -> NDArray[np.float64]:
    """Return the weights (places, cells) with which each place sees those of a cell; over the extent they are 1."""
    places, starts = np.arange(math.ceil(extent)) + 0.5, np.arange(0, extent, cell)
    lengths = np.minimum(cell, extent - starts)
    weights = np.exp(-0.5 * ((places[:, None] - (starts + lengths / 2)) / sigma) ** 2)
    normalised: NDArray[np.float64] = weights / (weights @ lengths)[:, None]
    return normalised


def _colour(share: NDArray[np.float64]) -> NDArray[np.float64]:
    stops = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(share, stops, channel) for channel in _COLOURS.T], axis=-1)


def _rounded_up(value: float) -> float:
    """Return the next number of two digits, or 1 for nothing at all."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def _rounded_down(value: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 and so on, or of .5, .2, .1 and so on, that is no larger."""
    unit = 10.0 ** math.floor(math.log10(value))
    return max(step for step in (1, 2, 5) if step * unit <= value) * unit
