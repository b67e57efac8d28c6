"""Images that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.source import open_image
from numpy.typing import NDArray

GREY = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
RGB = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)
PICTURE = np.random.default_rng(1).integers(0, 256, (210, 330, 3), dtype=np.uint8)


class Foreign:
    """An array of another library, which gives regions and nothing else."""

    shape, dtype = PICTURE.shape, PICTURE.dtype

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[np.uint8]:
        return PICTURE[key]


def draw_discs(shape: tuple[int, int], discs: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Draw discs, each a row, a column and a radius, on a noisy dark ground."""
    image = np.random.default_rng(7).integers(10, 30, shape).astype(np.uint8)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for row, column, radius in discs:
        image[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] += 180
    return image


def open_plane(source: Any, *, axes: str | None = None, channel_axis: int | None = None, **chosen: Any) -> Plane:
    """Open the plane of an image that ``chosen`` names, as `ImageSource.plane` takes it."""
    return open_image(source, axes=axes, channel_axis=channel_axis).plane(**chosen)
