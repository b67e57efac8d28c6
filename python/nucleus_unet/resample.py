"""Change an image's scale, defined pixel by pixel in the coordinates of the image given.

Output pixel ``i`` shows the input around ``(i + 0.5) / scale - 0.5``, weighed by a triangle as wide as an output pixel
(never narrower than an input pixel). So any part of the output can be made from the part of the input it shows, and
is the same as if made from the whole.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


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
    rows = _along_first_axis(image, scale)
    columns = _along_first_axis(np.swapaxes(rows, 0, 1), scale)
    return np.ascontiguousarray(np.swapaxes(columns, 0, 1))


def _along_first_axis(image: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    size = image.shape[0]
    radius = max(1.0, 1 / scale)
    centres = (np.arange(scaled_size(size, scale)) + 0.5) / scale - 0.5
    first = np.floor(centres - radius).astype(np.intp) + 1
    result = np.zeros((len(centres), *image.shape[1:]), np.float32)
    total = np.zeros(len(centres))
    taps = []
    for step in range(math.ceil(2 * radius) + 1):
        weight = np.maximum(0, 1 - np.abs(first + step - centres) / radius)
        taps.append((first + step, weight))
        total += weight
    for index, weight in taps:
        share = (weight / total).astype(np.float32).reshape(-1, *([1] * (image.ndim - 1)))
        result += share * image[np.clip(index, 0, size - 1)]
    return result


def enlarge_labels(labels: NDArray[np.uint32], shape: tuple[int, int], scale: float) -> NDArray[np.uint32]:
    """Bring labels from the model's scale back onto the pixels of an image of ``shape``."""
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * scale).astype(np.intp), limit - 1)
        for size, limit in zip(shape, labels.shape, strict=True)
    )
    enlarged: NDArray[np.uint32] = labels[rows[:, None], columns[None, :]]
    return enlarged
