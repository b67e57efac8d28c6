"""Change the scale of an image, defined pixel by pixel in the coordinates of the input.

Output pixel ``i`` is a weighted mean of the input around ``(i + 0.5) / scale - 0.5``. The weights are a triangle as
wide as an output pixel, but not narrower than an input pixel. Any part of the output can thus be computed from a part
of the input, and equals that part of the whole output.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core

# Approximate number of input pixels in memory at a time.
_BAND_PIXELS = 2**23


def scaled_size(size: int, scale: float) -> int:
    """Return the number of pixels that ``size`` pixels become, at least 1."""
    return max(1, round(size * scale))


def resample(image: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Scale an image, with smoothing if it becomes smaller.

    Parameters
    ----------
    image : NDArray[np.float32] (H, W) or (H, W, C)
        Normalised to 0..1.
    scale
        Magnification. Above 1 the result is larger.

    Returns
    -------
    NDArray[np.float32]
        `scaled_size` rows and columns.

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
    """Compute a part of the result of `resample`, bit for bit, from the pixels that it needs.

    Parameters
    ----------
    read
        Returns the normalised pixels of the image for row and column slices.
    shape
        Height and width of the image.
    scale
        Magnification, as in `resample`.
    rows, columns
        Part of the result to compute.

    Returns
    -------
    NDArray[np.float32]
        Pixels of the given rows and columns.
    """
    across = _Taps(columns, shape[1], scale)
    # In bands, because the input of a much smaller output may not fit into memory.
    band = max(1, int(_BAND_PIXELS * scale / max(1, across.source.stop - across.source.start)))
    bands = []
    for start in range(rows.start, rows.stop, band):
        down = _Taps(slice(start, min(start + band, rows.stop)), shape[0], scale)
        pixels = read(down.source, across.source)
        bands.append(_core.resample(np.atleast_3d(pixels), down.of_source(), across.of_source()))
    resampled = bands[0] if len(bands) == 1 else np.concatenate(bands)
    return resampled.reshape(resampled.shape[: pixels.ndim])


class _Taps:
    """Input pixels and weights of a range of output pixels along one axis."""

    def __init__(self, out: slice, size: int, scale: float) -> None:
        radius = max(1.0, 1 / scale)
        centres = (np.arange(out.start, out.stop) + 0.5) / scale - 0.5
        first = np.floor(centres - radius).astype(np.intp) + 1
        index = first + np.arange(math.ceil(2 * radius) + 1)[:, None]
        weights = np.maximum(0, 1 - np.abs(index - centres) / radius)
        total = np.zeros(len(centres))
        for weight in weights:
            total += weight
        self._index = np.clip(index, 0, size - 1)
        self._shares = (weights / total).astype(np.float32)
        self.source = slice(int(self._index[0, 0]), int(self._index[-1, -1]) + 1)

    def of_source(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the pixels of each output pixel, counted from the start of `source`, and their weights."""
        return self._index - self.source.start, self._shares
