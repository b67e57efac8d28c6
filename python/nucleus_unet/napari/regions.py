"""Axes of a layer's array, and the part of it that is meant: numbers, without a viewer.

Coordinates are those of the layer's own array: pixel centres at whole numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.io.arrays import DIMENSIONS
from nucleus_unet.io.whole import ArrayLike as Pixels

# What the axes before Y and X are where nothing says so, the most usual first.
_OUTER = {0: "", 1: "Z", 2: "TZ", 3: "TCZ"}


def possible_axes(dimensions: int, *, rgb: bool, names: Sequence[str] = ()) -> list[str]:
    """Return what the axes of an array may be, as `nucleus_unet.io.source.open_image` takes them; the likeliest first.

    Parameters
    ----------
    dimensions
        Number of axes that the viewer moves along: without the colours.
    rgb
        Whether a last axis has the colours.
    names
        What the viewer calls its axes.

    Raises
    ------
    ImageError
        If there are fewer than two axes, or more than five.

    Examples
    --------
    >>> possible_axes(3, rgb=False)
    ['ZYX', 'TYX', 'CYX']
    >>> possible_axes(4, rgb=False, names=["time", "channel", "y", "x"])[0]
    'TCYX'
    >>> possible_axes(2, rgb=True)
    ['YXS']
    """
    outer = dimensions - 2
    if outer not in _OUTER:
        raise ImageError(f"image: expected 2 to 5 axes, got {dimensions}; choose a part of the layer first")
    likeliest = _OUTER[outer]
    letters = [DIMENSIONS.get(str(name).lower(), "") for name in names]
    if len(letters) == dimensions and letters[-2:] == ["Y", "X"] and _are_outer(letters[:-2]):
        likeliest = "".join(letters[:-2])
    others = ["".join(each) for each in itertools.permutations("ZTC", outer)]
    ending = "YXS" if rgb else "YX"
    return list(dict.fromkeys(each + ending for each in (likeliest, *others)))


def _are_outer(letters: Sequence[str]) -> bool:
    return len(set(letters)) == len(letters) and set(letters) <= set("TZC")


class Region(NamedTuple):
    """Rows and columns of an image, half-open."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.bottom - self.top, self.right - self.left


def whole(shape: tuple[int, int]) -> Region:
    """Return the region of all pixels."""
    return Region(0, 0, *shape)


def region_around(points: ArrayLike, shape: tuple[int, int], *, what: str) -> Region:
    """Return the pixels whose centres lie between points, within an image.

    Parameters
    ----------
    points : (N, 2) array
        Rows and columns, such as the corners of a rectangle.
    shape
        Height and width of the image.
    what
        What was drawn, for the message.

    Raises
    ------
    SettingsError
        If no pixel of the image lies there.

    Examples
    --------
    >>> region_around([[1.6, -3], [4.2, 7.5]], (10, 10), what="the rectangle")
    Region(top=2, left=0, bottom=5, right=8)
    """
    corners = np.asarray(points, float)
    first = np.maximum(np.ceil(corners.min(axis=0)), 0)
    last = np.minimum(np.floor(corners.max(axis=0)) + 1, shape)
    top, left, bottom, right = (int(each) for each in (*first, *last))
    if top >= bottom or left >= right:
        raise SettingsError(
            f"region: expected {what} to lie on the image of {shape[0]} x {shape[1]} pixels, got rows "
            f"{corners[:, 0].min():.0f} to {corners[:, 0].max():.0f}, columns {corners[:, 1].min():.0f} to "
            f"{corners[:, 1].max():.0f}"
        )
    return Region(top, left, bottom, right)


class Window:
    """A region of an array of any library, as an array: pixels are read when they are asked for.

    Parameters
    ----------
    array
        The array.
    axes
        A letter for each of its axes.
    region
        Rows and columns.

    Examples
    --------
    >>> window = Window(np.arange(12).reshape(3, 4), "YX", Region(1, 1, 3, 4))
    >>> window.shape, window[0:1, 0:2]
    ((2, 3), array([[5, 6]]))
    """

    def __init__(self, array: Pixels, axes: str, region: Region) -> None:
        self._array, self._axes = array, axes
        self._first = {"Y": region.top, "X": region.left}
        sizes = dict(zip(axes, array.shape, strict=True)) | dict(zip("YX", region.shape, strict=True))
        self.shape = tuple(int(sizes[axis]) for axis in axes)
        self.dtype = np.dtype(array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        full = [*key, *[slice(None)] * (self.ndim - len(key))]
        moved = tuple(self._moved(axis, each) for axis, each in zip(self._axes, full, strict=True))
        return np.asarray(self._array[moved])

    def _moved(self, axis: str, part: slice | int) -> slice | int:
        first = self._first.get(axis)
        if first is None:
            return part
        if not isinstance(part, slice):
            return int(part) + first
        start, stop, step = part.indices(self.shape[self._axes.index(axis)])
        return slice(start + first, stop + first, step)


@dataclass(frozen=True)
class Placement:
    """How a label image lies on the layer that it was found in.

    Attributes
    ----------
    shape
        Of the label image: one axis for each of the layer, without colours.
    first
        Where its first pixel lies in the layer's array.
    stretch
        Number of places of the layer that one of the label image covers, along each axis. It is more than 1 where one
        result is for all channels, or for all planes of a stack.
    """

    shape: tuple[int, ...]
    first: tuple[float, ...]
    stretch: tuple[int, ...]


def place_result(
    axes: str, sizes: Mapping[str, int], region: Region, found: Mapping[str, int | range | None]
) -> Placement:
    """Return how the result of a part of a layer lies on it.

    Parameters
    ----------
    axes
        Of the layer's array.
    sizes
        Their lengths.
    region
        Rows and columns that were segmented.
    found
        For the axes T and Z: the number that was segmented, or all numbers in turn; None for one result of all, as of a
        projection. Channels are not named: a result is for all of them.

    Examples
    --------
    >>> place_result("ZCYX", dict(Z=9, C=2, Y=64, X=64), Region(8, 0, 64, 64), {"Z": 4})
    Placement(shape=(1, 1, 56, 64), first=(4.0, 0.5, 8.0, 0.0), stretch=(1, 2, 1, 1))
    """
    shape, first, stretch = [], [], []
    for axis in axes.replace("S", ""):
        count, start, factor = 1, 0.0, 1
        if axis in "YX":
            start, count = (region.top, region.shape[0]) if axis == "Y" else (region.left, region.shape[1])
        else:
            chosen = found.get(axis)
            if isinstance(chosen, range):
                count = len(chosen)
            elif chosen is None:
                factor = sizes[axis]
                start = (factor - 1) / 2
            else:
                start = chosen
        shape.append(count)
        first.append(float(start))
        stretch.append(factor)
    return Placement(tuple(shape), tuple(first), tuple(stretch))


def geojson_of(polygons: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Return polygons as GeoJSON, as `Segmenter.predict_slide` takes regions: (x, y), pixel edges at whole numbers.

    Parameters
    ----------
    polygons
        Rows and columns of the corners of each, (N, 2), pixel centres at whole numbers.

    Examples
    --------
    >>> geojson_of([np.array([[0, 0], [0, 4], [3, 4]])])["features"][0]["geometry"]["coordinates"]
    [[[0.5, 0.5], [4.5, 0.5], [4.5, 3.5], [0.5, 0.5]]]
    """
    features = []
    for polygon in polygons:
        corners = [[float(column) + 0.5, float(row) + 0.5] for row, column in polygon]
        geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        features.append({"type": "Feature", "properties": {}, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
