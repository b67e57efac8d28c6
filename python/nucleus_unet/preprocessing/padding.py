"""Find the pixels of an image that are padding: constant ground outside of what the microscope recorded.

Programs that stitch, rotate or crop images, and scanners that omit tiles, fill the rest with one value: black, white or
65535. Such pixels are neither background nor nuclei. A value is padding if

- regions of it touch the border of the image, along a stretch of it, and are large;
- away from these regions, hardly a place is as dark (or, for bright padding, as bright).

The second rule keeps images whose true background is one value, such as 0 after a threshold: there, the value occurs
between the nuclei too. Everything is decided from the minima and maxima of cells, so that parts of an image can be
measured in any order, in memory that does not grow with it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nucleus_unet.masks import label
from nucleus_unet.preprocessing.normalisation import IntensityRange

# Side of a cell in pixels: the smallest power of two with at most so many cells along the image.
_MIN_SIDE, _MAX_CELLS = 8, 512
# Padding covers at least this share of the image, and this stretch of its border in pixels.
_MIN_SHARE, _MIN_STRETCH = 0.01, 128
# Next to padding, within this number of pixels, lie edges: cells that contain some of it, and what JPEG makes of them.
_EDGE = 16
# What lies this far from the padding, in pixels, must be connected and cover this share of the image, or this many
# pixels. Less may be a large nucleus on ground of one value. At most this share of its cells has a single value.
_DISTANCE, _MIN_REST_SHARE, _MIN_REST_PIXELS, _FLAT = 32, 0.05, 512**2, 0.99
# Share of the cells of the rest that may be as dark or as bright as the padding, within this share of their range, and
# share that may be darker or brighter still, because of hot pixels.
_MAX_ALIKE, _MAX_BEYOND, _NEAR = 0.01, 0.001, 0.05
# Share of the way from padding to the nearest value of the data that its blurred edge may reach.
_BLURRED = 0.5
# Pixels that are compared at a time.
_BAND_PIXELS = 2**20


class Padding(NamedTuple):
    """The padding of an image.

    Attributes
    ----------
    values
        The values of the pixels that are padding, one number for each channel.
    is_bright
        Whether padding is shown to the network as the brightest value of the image, as glass is, or as the darkest.
    tolerances
        How far pixels may be from each value and be padding too, as JPEG makes of its edge. Empty: not at all.
    """

    values: tuple[tuple[float, ...], ...]
    is_bright: bool
    tolerances: tuple[tuple[float, ...], ...] = ()

    def mask(self, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pixels, (h, w) or (h, w, C), are padding.

        Examples
        --------
        >>> Padding(((255.0,),), is_bright=False).mask(np.array([[3, 255]], np.uint8))
        array([[False,  True]])
        """
        coloured = pixels.reshape(*pixels.shape[:2], -1)
        inside = np.zeros(pixels.shape[:2], bool)
        for number, value in enumerate(self.values):
            reaches = self.tolerances[number] if self.tolerances else (0.0,) * len(value)
            alike = np.ones(pixels.shape[:2], bool)
            for channel, (exact, reach) in enumerate(zip(value, reaches, strict=True)):
                part = coloured[..., channel]
                alike &= (part >= exact - reach) & (part <= exact + reach) if reach else part == exact
            inside |= alike
        return inside

    def fill(self, pixels: NDArray[Any], intensity_range: IntensityRange) -> NDArray[Any]:
        """Return the pixels with padding replaced by an end of the intensity range, or beyond it by less than 1."""
        inside = self.mask(pixels)
        if not inside.any():
            return pixels
        end = intensity_range.high if self.is_bright else intensity_range.low
        if pixels.dtype.kind != "f":
            end = np.ceil(end) if self.is_bright else np.floor(end)
        filled = pixels.copy()
        filled[inside] = end
        return filled

    def mask_at_scale(
        self,
        read: Callable[[slice, slice], NDArray[Any]],
        shape: tuple[int, ...],
        rows: slice,
        columns: slice,
        scale: float,
    ) -> NDArray[np.bool_]:
        """Return which pixels of a region at the model's scale are padding, by the image's pixels at their centres.

        Parameters
        ----------
        read
            Returns the pixels of the image for row and column slices.
        shape
            Height and width of the image.
        rows, columns
            The region, at the model's scale.
        scale
            Magnification from the image to the model's scale.
        """
        down, across = (
            np.minimum(((np.arange(span.start, span.stop) + 0.5) / scale).astype(np.intp), size - 1)
            for span, size in zip((rows, columns), shape[:2], strict=True)
        )
        inside = np.zeros((len(down), len(across)), bool)
        if not inside.size:
            return inside
        source = slice(int(across[0]), int(across[-1]) + 1)
        band = max(1, int(_BAND_PIXELS * scale / (source.stop - source.start)))
        for start in range(0, len(down), band):
            part = down[start : start + band]
            pixels = read(slice(int(part[0]), int(part[-1]) + 1), source)
            inside[start : start + band] = self.mask(pixels)[(part - part[0])[:, None], (across - source.start)[None]]
        return inside

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        said: dict[str, Any] = {"values": [list(value) for value in self.values], "is_bright": self.is_bright}
        return said | ({"tolerances": [list(each) for each in self.tolerances]} if self.tolerances else {})

    @classmethod
    def from_json(cls, values: dict[str, Any] | None) -> Padding | None:
        """Inverse of `to_json`."""
        if values is None:
            return None
        exact, tolerances = (
            tuple(tuple(map(float, value)) for value in values.get(name, ())) for name in ("values", "tolerances")
        )
        return cls(exact, bool(values["is_bright"]), tolerances)


class Surroundings(NamedTuple):
    """The padding of an image, and the cells that are data.

    Attributes
    ----------
    values
        The values of the padding, one number for each channel.
    data : NDArray[np.bool_] (h, w)
        Cells that neither are padding nor lie at its edge. The intensity range is measured in them.
    side
        Side of a cell in pixels.
    middle
        Median of the cells away from the padding, of the mean of their minimum and maximum.
    tolerances
        See `Padding`.
    """

    values: tuple[tuple[float, ...], ...]
    data: NDArray[np.bool_]
    side: int
    middle: float
    tolerances: tuple[tuple[float, ...], ...] = ()

    def data_pixels(self, pixels: NDArray[Any], row: int = 0, column: int = 0) -> NDArray[Any]:
        """Return the pixels of the cells that are data, (1, n) or (1, n, C), of a region that starts at a pixel."""
        down, across = (
            np.arange(start, start + size) // self.side
            for start, size in zip((row, column), pixels.shape[:2], strict=True)
        )
        chosen: NDArray[Any] = pixels[self.data[down[:, None], across[None, :]]]
        return chosen[None]

    def data_area(self, shape: tuple[int, int]) -> int:
        """Return the number of pixels of the cells that are data, in an image of ``shape``."""
        down, across = (np.minimum(self.side, size - np.arange(0, size, self.side)).astype(np.int64) for size in shape)
        return int(down @ self.data @ across)

    def padding(self, intensity_range: IntensityRange | None) -> Padding:
        """Return the padding, shown as what most of the image is nearer to: bright ground or dark ground."""
        low, high = intensity_range or (self.middle, self.middle)
        return Padding(self.values, self.middle > low / 2 + high / 2, self.tolerances)


class PaddingFinder:
    """Measures the cells of an image from its regions, in any order.

    Parameters
    ----------
    shape
        Height and width of the image.
    channels
        Number of channels, None for grey.
    dtype
        Type of the pixels.
    """

    def __init__(self, shape: tuple[int, int], channels: int | None, dtype: np.dtype[Any]) -> None:
        self._shape, self._side = shape, _MIN_SIDE
        while max(shape) > self._side * _MAX_CELLS:
            self._side *= 2
        cells = [-(-size // self._side) for size in shape]
        lowest, highest = _limits(dtype)
        self._lowest = np.full((*cells, channels or 1), highest, dtype)
        self._highest = np.full_like(self._lowest, lowest)

    def extremes(self, row: int, column: int, pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the minima and maxima of the cells of a region, (h, w) or (h, w, C), that starts at a pixel."""
        coloured = pixels.reshape(*pixels.shape[:2], -1)
        down, across = (
            _starts(start, size, self._side) for start, size in zip((row, column), pixels.shape[:2], strict=True)
        )
        found = []
        for extreme in (np.minimum, np.maximum):
            # Rows, which are contiguous in memory, come first.
            rows = [extreme.reduce(coloured[top:bottom], axis=0) for top, bottom in pairwise([*down, pixels.shape[0]])]
            found.append(extreme.reduceat(np.stack(rows), across, axis=1))
        return found[0], found[1]

    def add(self, row: int, column: int, extremes: tuple[NDArray[Any], NDArray[Any]]) -> None:
        """Add the extremes of a region that starts at a pixel."""
        top, left = row // self._side, column // self._side
        for cells, values, extreme in zip(
            (self._lowest, self._highest), extremes, (np.minimum, np.maximum), strict=True
        ):
            place = cells[top : top + values.shape[0], left : left + values.shape[1]]
            extreme(place, values, out=place)

    @property
    def is_flat(self) -> bool:
        """Whether all pixels are equal: each channel has one value, which may differ between channels."""
        return bool((self._lowest.min(axis=(0, 1)) == self._highest.max(axis=(0, 1))).all())

    def surroundings(self) -> Surroundings | None:
        """Return the padding of the image, None if it has none."""
        constant = (self._lowest == self._highest).all(axis=-1)
        inside = np.zeros(constant.shape, bool)
        values: list[tuple[float, ...]] = []
        pending = self._large_at_border(constant)
        undecided = len(pending) + 1
        while len(pending) < undecided:  # what is padding may hide that another value is
            undecided, judged = len(pending), pending
            pending = []
            for value in judged:
                cells = constant & (self._lowest == value).all(axis=-1)
                if self._is_apart(value, inside | cells):
                    inside |= cells
                    values.append(tuple(float(number) for number in value))
                else:
                    pending.append(value)
        if not values or not self._leaves_an_image(inside):
            return None
        data = ~_dilated(inside, self._cells(_EDGE))
        middles = self._lowest[data].astype(np.float64) / 2 + self._highest[data].astype(np.float64) / 2
        values.sort()
        return Surroundings(tuple(values), data, self._side, float(np.median(middles)), self._tolerances(values, data))

    def _tolerances(self, values: list[tuple[float, ...]], data: NDArray[np.bool_]) -> tuple[tuple[float, ...], ...]:
        """Return, for each value, how much nearer to it a pixel must be than all data are, to be its blurred edge.

        JPEG blurs the edge of padding. What lies between it and the data occurs nowhere else in the image.
        """
        lowest, highest = (
            extreme.astype(np.float64) for extreme in (self._lowest[data].min(axis=0), self._highest[data].max(axis=0))
        )
        reaches = []
        for value in np.array(values):
            with np.errstate(over="ignore"):
                gaps = np.maximum(np.maximum(lowest - value, value - highest), 0)
            # In every channel, or colours of the picture could be taken for the edge.
            is_apart = bool(gaps.all() and np.isfinite(gaps).all())
            reaches.append(tuple(float(gap) for gap in gaps * _BLURRED) if is_apart else (0.0,) * len(gaps))
        return tuple(reaches) if any(map(any, reaches)) else ()

    def _cells(self, pixels: int) -> int:
        """Return how many cells cover a number of pixels."""
        return -(-pixels // self._side)

    def _large_at_border(self, constant: NDArray[np.bool_]) -> list[NDArray[Any]]:
        """Return the values of the constant cells that form large regions at the border."""
        frame = np.zeros(constant.shape, bool)
        frame[[0, -1]] = frame[:, [0, -1]] = True
        candidates, counts = np.unique(self._lowest[frame & constant], axis=0, return_counts=True)
        found = []
        for value, count in zip(candidates, counts, strict=True):
            if count * self._side < _MIN_STRETCH:
                continue
            regions = label(constant & (self._lowest == value).all(axis=-1))
            stretches = np.bincount(regions[frame], minlength=int(regions.max()) + 1)
            areas = np.bincount(regions.ravel())
            at_border = (stretches > 0) & (np.arange(len(areas)) > 0)
            longest = int(stretches[1:].max(initial=0)) * self._side
            if longest >= _MIN_STRETCH and areas[at_border].sum() >= _MIN_SHARE * constant.size:
                found.append(value)
        return found

    def _leaves_an_image(self, cells: NDArray[np.bool_]) -> bool:
        """Return whether what is away from some cells may be an image."""
        regions = label(~_dilated(cells, self._cells(_DISTANCE)))
        largest = int(np.bincount(regions.ravel())[1:].max(initial=0))
        return largest * self._side**2 >= min(_MIN_REST_SHARE * cells.size * self._side**2, _MIN_REST_PIXELS)

    def _is_apart(self, value: NDArray[Any], cells: NDArray[np.bool_]) -> bool:
        """Return whether the image without some cells is hardly anywhere as dark, or as bright, as a value."""
        rest = ~_dilated(cells, self._cells(_EDGE))
        if not self._leaves_an_image(cells) or (self._lowest[rest] == self._highest[rest]).all(axis=-1).mean() > _FLAT:
            return False
        lowest, highest = (extremes[rest].astype(np.float64) for extremes in (self._lowest, self._highest))
        low, high = np.quantile(lowest, _MAX_ALIKE), np.quantile(highest, 1 - _MAX_ALIKE)
        near = _NEAR * (high - low)
        exact = value.astype(np.float64)
        # As dark padding, and as bright padding: which cells are as extreme, and which more so.
        for alike, beyond in (
            (lowest <= exact + near, lowest < exact - near),
            (highest >= exact - near, highest > exact + near),
        ):
            shares = [np.count_nonzero(cells.all(axis=-1)) / len(lowest) for cells in (alike, beyond)]
            if shares[0] <= _MAX_ALIKE and shares[1] <= _MAX_BEYOND:
                return True
        return False


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return False, True
    if dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def _starts(start: int, size: int, side: int) -> list[int]:
    """Return where cells start within a range of pixels."""
    return [0, *range(side - start % side, size, side)]


def _dilated(cells: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Return the cells within ``radius`` rows and columns of a cell that is set."""
    for axis in (0, 1):
        framed = np.pad(cells, [(radius * (dimension == axis),) * 2 for dimension in range(2)])
        cells = np.logical_or.reduce(sliding_window_view(framed, 2 * radius + 1, axis), axis=-1)
    return cells
