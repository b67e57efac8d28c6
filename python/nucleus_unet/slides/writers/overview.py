"""Draw the overview of a slide: a thumbnail, the density of nuclei over it, and a legend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.extras import require
from nucleus_unet.io.software_tag import mark_png
from nucleus_unet.slides.survey.thumbnail import thumbnail_factor

if TYPE_CHECKING:
    from PIL import Image

# Standard deviation of the Gaussian that smooths the density, as a share of the longest side.
_SIGMA_SHARE = 1 / 60
# Side of the cells in which nuclei are counted, as a share of the standard deviation.
_CELL_SHARE = 1 / 4
# Colours from low to high density. They are equally spaced for the eye, and differ from the usual stains.
_COLOURS = np.array([(49, 54, 149), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64)
_OPACITY = 0.7
# The legend below the thumbnail, in pixels. Narrow thumbnails get a white margin.
_LEGEND_HEIGHT, _MIN_WIDTH, _FONT_SIZE, _GAP, _BAR = 76, 620, 17, 16, (220, 14)


class Overview:
    """Counts nuclei and draws the overview.

    Parameters
    ----------
    thumbnail : NDArray[np.uint8] (h, w, 3)
        The slide, from `nucleus_unet.slides.survey.thumbnail`.
    shape
        Height and width of the slide.
    mpp
        Micrometres per pixel. None if unknown.
    """

    def __init__(self, thumbnail: NDArray[np.uint8], shape: tuple[int, int], *, mpp: float | None) -> None:
        self._thumbnail, self._factor, self._mpp = thumbnail, thumbnail_factor(shape), mpp
        # Height and width of the slide in pixels of the thumbnail. The last pixel may extend beyond the slide.
        self._extents = [size / self._factor for size in shape]
        self._sigma = max(thumbnail.shape) * _SIGMA_SHARE
        self._cell = max(1, int(self._sigma * _CELL_SHARE))
        self._counts = np.zeros([-(-size // self._cell) for size in thumbnail.shape[:2]])

    @property
    def count(self) -> int:
        """Number of nuclei so far."""
        return int(self._counts.sum())

    def add(self, nuclei: NucleusTable) -> None:
        """Count nuclei at their centroids."""
        side = self._factor * self._cell
        indices = [(centroid / side).astype(np.intp) for centroid in (nuclei.row, nuclei.column)]
        np.add.at(self._counts, tuple(indices), 1)

    def png(self) -> bytes:
        """Return the overview as a PNG file."""
        from PIL import Image

        density, unit = self.density()
        maximum = _round_up(float(density.max()))
        shares = np.linspace(0, 1, 256)
        density *= 255 / maximum
        colours = Image.fromarray(np.rint(density, out=density).astype(np.uint8))
        opacity = colours.point(np.rint(255 * _OPACITY * np.minimum(1, 4 * shares)).tolist())
        colours.putpalette(np.rint(_colour(shares)).astype(np.uint8).tobytes())
        picture = Image.composite(colours.convert("RGB"), Image.fromarray(self._thumbnail), opacity)
        return self._with_legend(picture, maximum, unit)

    def density(self) -> tuple[NDArray[np.float64], str]:
        """Return the density of nuclei at each pixel of the thumbnail, and its unit."""
        down, across = (_gaussian(extent, self._cell, self._sigma) for extent in self._extents)
        area = (self._factor * (1 if self._mpp is None else self._mpp)) ** 2 / 1e6
        unit = "megapixel" if self._mpp is None else "square millimetre"
        density = down @ self._counts @ across.T
        density /= area
        return density, unit

    def _with_legend(self, picture: Image.Image, maximum: float, unit: str) -> bytes:
        from PIL import Image, ImageDraw, ImageFont

        width, height = picture.size
        canvas = Image.new("RGB", (max(width, _MIN_WIDTH), height + _LEGEND_HEIGHT), "white")
        canvas.paste(picture, (0, 0))
        draw = ImageDraw.Draw(canvas)
        font = ImageFont.load_default(_FONT_SIZE)
        top, right = height + _GAP, _GAP + _BAR[0]
        bar = np.broadcast_to(_colour(np.linspace(0, 1, _BAR[0])), (_BAR[1], _BAR[0], 3))
        canvas.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (_GAP, top))
        below = top + _BAR[1] + 6
        for value, place, anchor in ((0, _GAP, "la"), (maximum / 2, _GAP + _BAR[0] // 2, "ma"), (maximum, right, "ra")):
            draw.text((place, below), f"{value:,.6g}", "black", font, anchor)
        draw.text((right + _GAP, top - 3), f"nuclei per {unit}", "black", font)
        draw.text((right + _GAP, below), f"{self.count:,} nuclei in all", "black", font)
        if self._mpp is not None:
            scale = self._mpp * self._factor / 1000
            length = _round_down(width / 5 * scale)
            end = canvas.width - _GAP
            draw.line((end - round(length / scale), top + _BAR[1] // 2, end, top + _BAR[1] // 2), "black", 3)
            draw.text((end, below), f"{length:g} mm", "black", font, "ra")
        # The default level takes seconds for a small slide and gains little.
        return mark_png(bytes(imagecodecs.png_encode(np.asarray(canvas), level=1, filter=imagecodecs.PNG.FILTER.AVG)))


def check_pillow() -> None:
    """Raise `MissingExtraError` if pillow, which draws the legend, is not installed."""
    require("PIL", "slides need more packages", extra="slides")


def _gaussian(extent: float, cell: int, sigma: float) -> NDArray[np.float64]:
    """Return Gaussian weights (pixels, cells) along one axis. The weights of a pixel sum to 1 over the extent."""
    centres, starts = np.arange(math.ceil(extent)) + 0.5, np.arange(0, extent, cell)
    lengths = np.minimum(cell, extent - starts)
    weights = np.exp(-0.5 * ((centres[:, None] - (starts + lengths / 2)) / sigma) ** 2)
    normalised: NDArray[np.float64] = weights / (weights @ lengths)[:, None]
    return normalised


def _colour(share: NDArray[np.float64]) -> NDArray[np.float64]:
    stops = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(share, stops, channel) for channel in _COLOURS.T], axis=-1)


def _round_up(value: float) -> float:
    """Round up to two significant digits. Return 1 for 0."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def _round_down(value: float) -> float:
    """Round down to 1, 2 or 5 times a power of ten."""
    unit = 10.0 ** math.floor(math.log10(value))
    return max(step for step in (1, 2, 5) if step * unit <= value) * unit
