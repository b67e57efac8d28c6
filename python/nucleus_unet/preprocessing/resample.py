"""Change an image's scale, defined pixel by pixel in the coordinates of the image given.

Output pixel ``i`` shows the input around ``(i + 0.5) / scale - 0.5``, weighed by a triangle as wide as an output pixel
(never narrower than an input pixel). So any part of the output can be made from the part of the input it shows, and
is the same as if made from the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Of the image that are in memory at a time, more or less.
_BAND_PIXELS = 2**23


def scaled_size(size: int, scale: float) -> int:
    """Return how many pixels ``size`` pixels become, at least one."""
    return max(1, round(size * scale))


def resample(image: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Magnify by ``scale``, smoothing what becomes smaller.

    Parameters
    ----------
    image : NDArray[np.float32] (H, W) or (H, W, C)
        Normalised.
    scale
        Above 1 the result is larger.

    Returns
    -------
    NDArray[np.float32]
        Of `scaled_size` rows and columns.

    Examples
    --------
    >>> import numpy as np
    >>> resample(np.arange(4, dtype=np.float32).reshape(2, 2), 0.5)
    array([[1.5]], dtype=float32)
    """
    rows, columns = (slice(0, scaled_size(size, scale)) for size in image.shape[:2])
    return resample_part(lambda *part: image[part], image.shape[:2], scale, rows, columns)


def resample_part(
    read: Callable[[slice, slice], NDArray[np.float32]],
    shape: tuple[int, ...],
    scale: float,
    rows: slice,
    columns: slice,
) -> NDArray[np.float32]:
    """Make a part of what `resample` makes of a whole image, to the bit, from the pixels it shows.

    Parameters
    ----------
    read
        Gives the normalised image's pixels for row and column slices.
    shape
        Height and width of the image.
    scale
        As `resample` takes it.
    rows, columns
        The part of the result.

    Returns
    -------
    NDArray[np.float32]
        As many rows and columns as were asked for.
    """
    across = _Taps(columns, shape[1], scale)
    # In bands: what a part shows of an image that becomes much smaller may be more than fits into memory.
    band = max(1, int(_BAND_PIXELS * scale / max(1, across.shown.stop - across.shown.start)))
    bands = []
    for start in range(rows.start, rows.stop, band):
        down = _Taps(slice(start, min(start + band, rows.stop)), shape[0], scale)
        tall = down.applied(read(down.shown, across.shown))
        bands.append(np.ascontiguousarray(np.swapaxes(across.applied(np.swapaxes(tall, 0, 1)), 0, 1)))
    return np.concatenate(bands)


class _Taps:
    """Which pixels of an axis some pixels of the result show, and how much of each."""

    def __init__(self, out: slice, size: int, scale: float) -> None:
        radius = max(1.0, 1 / scale)
        centres = (np.arange(out.start, out.stop) + 0.5) / scale - 0.5
        first = np.floor(centres - radius).astype(np.intp) + 1
        index = [first + step for step in range(math.ceil(2 * radius) + 1)]
        weights = [np.maximum(0, 1 - np.abs(each - centres) / radius) for each in index]
        total = np.zeros(len(centres))
        for weight in weights:
            total += weight
        self._index = [np.clip(each, 0, size - 1) for each in index]
        self._shares = [(weight / total).astype(np.float32) for weight in weights]
        self.shown = slice(int(self._index[0][0]), int(self._index[-1][-1]) + 1)

    def applied(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weigh the pixels of `shown`, along the first axis."""
        result = np.zeros((len(self._index[0]), *pixels.shape[1:]), np.float32)
        for index, share in zip(self._index, self._shares, strict=True):
            result += share.reshape(-1, *([1] * (pixels.ndim - 1))) * pixels[index - self.shown.start]
        return result


def enlarge_labels(labels: NDArray[np.uint32], shape: tuple[int, int], scale: float) -> NDArray[np.uint32]:
    """Bring labels from the model's scale back onto the pixels of an image of ``shape``."""
    rows, columns = (
        shown_pixels(slice(0, size), limit, scale) for size, limit in zip(shape, labels.shape, strict=True)
    )
    enlarged: NDArray[np.uint32] = labels[rows[:, None], columns[None, :]]
    return enlarged


def shown_pixels(pixels: slice, limit: int, scale: float) -> NDArray[np.intp]:
    """Tell which of ``limit`` pixels at the model's scale each of an image's pixels shows, along one axis."""
    return np.minimum(((np.arange(pixels.start, pixels.stop) + 0.5) * scale).astype(np.intp), limit - 1)
