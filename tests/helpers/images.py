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


def draw_nuclei(
    shape: tuple[int, int] = (400, 400), count: int = 40, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Draw soft ellipses of 16 to 26 pixels that do not touch, from 0 to 1, and their labels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image, labels = np.zeros(shape), np.zeros(shape, np.uint32)
    while labels.max() < count:
        row, column = (rng.uniform(16, size - 16) for size in shape)
        (long, short), turn = rng.uniform(8, 13, 2), rng.uniform(0, np.pi)
        along = (rows - row) * np.cos(turn) + (columns - column) * np.sin(turn)
        across = (columns - column) * np.cos(turn) - (rows - row) * np.sin(turn)
        distance = (along / long) ** 2 + (across / short) ** 2
        if not labels[distance < 1.9].any():
            labels[distance < 1] = labels.max() + 1
            image = np.maximum(image, np.clip((1.15 - np.sqrt(distance)) / 0.3, 0, 1) * rng.uniform(0.6, 1))
    return image, labels


def count_found(found: NDArray[np.uint32], truth: NDArray[np.uint32]) -> int:
    """Count the labels of the truth that a label image overlaps with an IoU of at least 0.5."""
    hits = 0
    for number in range(1, int(truth.max()) + 1):
        inside = truth == number
        overlaps = np.bincount(found[inside])
        overlaps[0] = 0
        best = int(overlaps.argmax())
        hits += overlaps[best] >= 0.5 * (inside | (found == best)).sum() if best else 0
    return hits
