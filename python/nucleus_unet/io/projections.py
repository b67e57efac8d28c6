"""Several planes as one: channels that are summed, stacks that are projected. Every region is computed alone.

The value of a pixel depends on the pixels around it only (on none but itself, without ``focus``), so regions are equal
to those of the whole plane, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.plane import Plane

PROJECTIONS = ("max", "mean", "focus")
"""The projections of a stack to one plane."""

# Sharpness is averaged over a square of this radius: about the size of a nucleus, so that noise does not decide.
_RADIUS = 8
# The Laplacian reads one pixel more.
_HALO = _RADIUS + 1
# Holds every sum of fewer than 256 planes of a dtype.
_SUMS = {"bool": "uint8", "uint8": "uint16", "uint16": "float32"}


class CombinedPlane:
    """A `Plane` made from several of the same size.

    Parameters
    ----------
    planes
        All grey, or all red, green and blue.
    how
        ``max``, the largest value; ``sum``; ``mean``; ``focus``: the value of the plane that is sharpest around the
        pixel, by the mean squared Laplacian over a square of 17 x 17 pixels.

    Raises
    ------
    ImageError
        If the planes are too many to be summed exactly.
    """

    def __init__(self, planes: Sequence[Plane], how: str) -> None:
        first = planes[0]
        self.shape, self.channels, self.mpp, self.origin = first.shape, first.channels, first.mpp, first.origin
        self.alpha = first.alpha
        self._planes, self._how = planes, how
        self.dtype = _dtype(first.dtype, how)
        if how == "sum" and len(planes) > 255:
            raise ImageError(f"channel: expected at most 255 channels to be summed, got {len(planes)}")

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Plane`."""
        if self._how == "focus":
            return _sharpest(self._planes, rows, columns)
        if self._how == "max":
            return _reduced(np.maximum, (plane.read(rows, columns) for plane in self._planes))
        # Sums of whole numbers are exact in float64, so that their order does not matter.
        kind = np.float64 if self._how == "mean" else self.dtype
        total = _reduced(np.add, (plane.read(rows, columns).astype(kind) for plane in self._planes))
        return total if self._how == "sum" else (total / len(self._planes)).astype(self.dtype)

    def read_alpha(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Plane`. A pixel is as opaque as in the plane where it is most opaque."""
        return _reduced(np.maximum, (plane.read_alpha(rows, columns) for plane in self._planes))


def _dtype(dtype: np.dtype[Any], how: str) -> np.dtype[Any]:
    """Return the dtype in which planes of a dtype are combined."""
    if how == "sum":
        return np.dtype(_SUMS.get(dtype.name, dtype))
    return np.dtype(np.float32) if how == "mean" and dtype.kind in "bu" else dtype


def _reduced(function: Callable[..., NDArray[Any]], parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    remaining = iter(parts)
    result = np.array(next(remaining))
    for part in remaining:
        function(result, part, out=result)
    return result


def _sharpest(planes: Sequence[Plane], rows: slice, columns: slice) -> NDArray[Any]:
    """Return each pixel of the plane that is sharpest around it; of equal ones, of the first."""
    height, width = planes[0].shape
    outer = (_widened(rows, height), _widened(columns, width))
    spans = list(zip((rows, columns), outer, strict=True))
    inner = tuple(slice(part.start - around.start, part.stop - around.start) for part, around in spans)
    missing = [(_HALO - (part.start - around.start), _HALO - (around.stop - part.stop)) for part, around in spans]
    chosen: NDArray[Any] | None = None
    for plane in planes:
        pixels = plane.read(*outer)
        grey = (pixels if pixels.ndim == 2 else pixels.mean(axis=-1)).astype(np.float64)
        sharpness = _sharpness(np.pad(grey, missing, mode="edge"))
        part = pixels[inner]
        if chosen is None:
            chosen, best = np.array(part), sharpness
            continue
        # A value that is no number is in no plane in focus; it has to be seen, or it would be passed over in silence.
        better = (sharpness > best) | ~np.isfinite(sharpness)
        chosen[better], best[better] = part[better], sharpness[better]
    assert chosen is not None
    return chosen


def _widened(span: slice, size: int) -> slice:
    return slice(max(span.start - _HALO, 0), min(span.stop + _HALO, size))


def _sharpness(padded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sharpness of all pixels but those of a frame of `_HALO`; always in the same order of additions."""
    laplacian = (
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4.0 * padded[1:-1, 1:-1]
    ) ** 2
    side = 2 * _RADIUS + 1
    height, width = (size - 2 * _RADIUS for size in laplacian.shape)
    along = _reduced(np.add, (laplacian[start : start + height] for start in range(side)))
    return _reduced(np.add, (along[:, start : start + width] for start in range(side)))
