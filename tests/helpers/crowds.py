"""Label images of many touching, holed and scattered nuclei."""

import numpy as np
from nucleus_unet import _core
from numpy.typing import NDArray


def crowd(shape: tuple[int, int] = (120, 150), count: int = 25, seed: int = 0) -> NDArray[np.uint32]:
    """Return discs at random places, some cut by others or by the border, numbered by their first pixels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for label in range(1, count + 1):
        row, column, radius = rng.integers(0, shape[0]), rng.integers(0, shape[1]), rng.integers(2, 9)
        labels[((rows - row) ** 2 + (columns - column) ** 2 <= radius**2) & (labels == 0)] = label
    return _core.relabel_sequential(labels)[0]
