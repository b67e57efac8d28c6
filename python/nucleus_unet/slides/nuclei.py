"""The nuclei of one block: measurements, and pixels as runs on the slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.preprocessing.normalisation import grey_values


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei of a slide, in arbitrary order. All coordinates are pixels of the slide, unless stated otherwise.

    Attributes
    ----------
    centre : NDArray[np.int64] (N, 2)
        Row and column of the centre, in pixels at the model's scale. No two nuclei of a slide have the same centre.
    box : NDArray[np.int64] (N, 4)
        Half-open bounding box: first row, first column, last row + 1, last column + 1.
    area : NDArray[np.int64] (N,)
        Number of pixels.
    centroid : NDArray[np.float64] (N, 2)
        Mean row and column.
    intensity : NDArray[np.float64] (N,)
        Mean pixel value (of the mean over the channels, for colour images).
    probability : NDArray[np.float32] (N,)
        Mean foreground probability, 0 to 1.
    first_run : NDArray[np.int64] (N + 1,)
        The runs of nucleus ``i`` are ``runs[first_run[i]:first_run[i + 1]]``.
    runs : NDArray[np.int32] (M, 3)
        Row, first column, last column + 1. The runs of a nucleus are in raster order.
    """

    centre: NDArray[np.int64]
    box: NDArray[np.int64]
    area: NDArray[np.int64]
    centroid: NDArray[np.float64]
    intensity: NDArray[np.float64]
    probability: NDArray[np.float32]
    first_run: NDArray[np.int64]
    runs: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.area)

    @property
    def first_pixel(self) -> NDArray[np.int32]:
        """Row and column of each nucleus's first pixel in raster order, (N, 2). No two nuclei share it."""
        return self.runs[self.first_run[:-1], :2]

    def outlines(self) -> list[bytes]:
        """Return the outline of each nucleus as well-known binary, in pixels of the slide."""
        if not len(self):
            return []
        top, left = self.box[:, :2].min(axis=0)
        bottom, right = self.box[:, 2:].max(axis=0)
        labels = np.zeros((bottom - top, right - left), np.uint32)
        numbers = np.repeat(np.arange(1, len(self) + 1, dtype=np.uint32), np.diff(self.first_run))
        paint_runs(labels, self.runs - np.array([top, left, left]), numbers)
        return _core.contours_wkb(labels, (int(top), int(left)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def measure_nuclei(
    labels: NDArray[np.uint32],
    image: NDArray[Any],
    *,
    corner: tuple[int, int],
    centres: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    intensity_range: Sequence[float] | None = None,
) -> Nuclei:
    """Measure the nuclei in a rectangle of a slide that contains them completely.

    Every number depends on the nucleus alone, to the last bit, not on the rectangle.

    Parameters
    ----------
    labels : NDArray[np.uint32] (h, w)
        0 is background.
    image : NDArray[Any] (h, w) or (h, w, 3)
        Pixels of the slide in the rectangle.
    corner
        Row and column of the rectangle's first pixel in the slide.
    centres, probabilities
        Centres (N, 2) and mean foreground probabilities (N,) of the labels 1 to N. Labels may be absent from the image.
    intensity_range
        Of the slide.
    """
    grey, unit = grey_values(image, intensity_range)
    present, area, box, centroid, intensity = _core.measure(np.ascontiguousarray(labels), intensity=grey)
    assert intensity is not None  # as an image was given
    sums = np.rint(centroid * area[:, None])  # whole numbers, which float64 represents exactly
    owners, runs = _runs(labels)
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(np.searchsorted(present, owners), minlength=len(present))
    index = present.astype(np.intp) - 1
    return Nuclei(
        centre=centres[index],
        box=box + np.array([*corner, *corner]),
        area=area,
        centroid=(sums + np.array(corner) * area[:, None]) / area[:, None],
        intensity=intensity * unit,
        probability=probabilities[index],
        first_run=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        runs=(runs[order] + np.array([corner[0], corner[1], corner[1]])).astype(np.int32),
    )


def paint_runs(image: NDArray[np.uint32], runs: NDArray[Any], labels: NDArray[Any]) -> None:
    """Set the pixels of runs (row, first column, last column + 1) in an image to the labels of the runs."""
    first, lengths = runs[:, 0].astype(np.intp) * image.shape[1] + runs[:, 1], runs[:, 2] - runs[:, 1]
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    image.reshape(-1)[np.repeat(first, lengths) + steps] = np.repeat(labels, lengths)


def no_nuclei() -> Nuclei:
    """Return an object without nuclei."""
    return measure_nuclei(
        np.zeros((1, 1), np.uint32),
        np.zeros((1, 1)),
        corner=(0, 0),
        centres=np.zeros((0, 2), np.int64),
        probabilities=np.zeros(0, np.float32),
    )


def _runs(labels: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return the labels and the (row, start, stop) of all runs, in raster order."""
    height, width = labels.shape
    # Rows are concatenated with one background pixel between them, so that no run continues in the next row.
    framed = np.zeros(height * (width + 1) + 1, np.uint32)
    framed[1:].reshape(height, width + 1)[:, :width] = labels
    changes = np.flatnonzero(framed[1:] != framed[:-1])
    starts, stops = changes[framed[changes + 1] > 0], changes[framed[changes] > 0]
    rows, columns = np.divmod(starts, width + 1)
    return framed[starts + 1], np.column_stack([rows, columns, columns + stops - starts])
