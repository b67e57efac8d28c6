"""Map labels from the model's scale to the pixels of the image, with smooth outlines.

The outline of a nucleus is the line on which the interpolated foreground probability crosses the threshold. Between
two nuclei that touch it lies halfway. A nucleus depends only on its own labels and on the foreground within one pixel,
so a part of an image gives the same labels as the whole image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core


class AxisPoints(NamedTuple):
    """The positions of image pixels along one axis at the model's scale.

    Attributes
    ----------
    before, after : NDArray[np.int64] (N,)
        The pixels at the model's scale on both sides of each position.
    share : NDArray[np.float64] (N,)
        How far each position is from ``before`` to ``after``, 0 to 1.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    share: NDArray[np.float64]

    def within(self, start: int, stop: int) -> tuple[slice, AxisPoints]:
        """Return the positions whose neighbours lie within a range, as a slice of these and relative to its start."""
        inside = slice(
            int(np.searchsorted(self.before, start, side="left")), int(np.searchsorted(self.after, stop, side="left"))
        )
        return inside, AxisPoints(self.before[inside] - start, self.after[inside] - start, self.share[inside])


def axis_points(pixels: slice, limit: int, scale: float) -> AxisPoints:
    """Return the positions of image pixels at the model's scale, where the image has ``limit`` pixels along this axis.

    Examples
    --------
    >>> points = axis_points(slice(0, 4), 2, 0.5)
    >>> points.before.tolist(), points.after.tolist(), points.share.tolist()
    ([0, 0, 0, 1], [0, 1, 1, 1], [0.75, 0.25, 0.75, 0.25])
    """
    positions = (np.arange(pixels.start, pixels.stop) + 0.5) * scale - 0.5
    before = np.floor(positions)
    first = before.astype(np.int64)
    return AxisPoints(np.clip(first, 0, limit - 1), np.clip(first + 1, 0, limit - 1), positions - before)


def scale_labels(
    labels: NDArray[np.uint32],
    foreground: NDArray[np.uint8],
    shape: tuple[int, int],
    scale: float,
    *,
    threshold: float,
) -> NDArray[np.uint32]:
    """Map the labels of a whole image from the model's scale to its pixels.

    Parameters
    ----------
    labels : NDArray[np.uint32] (h, w)
        Labels at the model's scale.
    foreground : NDArray[np.uint8] (h, w)
        Foreground probability times 255.
    shape
        Height and width of the image.
    scale
        Magnification from the image to the model's scale.
    threshold
        Least foreground probability of a nucleus's pixel, 0 to 1.
    """
    rows, columns = (axis_points(slice(0, size), limit, scale) for size, limit in zip(shape, labels.shape, strict=True))
    return _core.resample_labels(labels, foreground, rows, columns, threshold=threshold)
