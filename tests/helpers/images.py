"""Images that are drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def draw_discs(shape: tuple[int, int], discs: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Draw discs, each a row, a column and a radius, on a noisy dark ground."""
    image = np.random.default_rng(7).integers(10, 30, shape).astype(np.uint8)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for row, column, radius in discs:
        image[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] += 180
    return image
