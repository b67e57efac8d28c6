"""Nuclei of one block: measured, as runs of pixels of the slide, and as the arrays of a file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Some nuclei of a slide, in no order that matters; on the slide's own pixels.

    Attributes
    ----------
    centre : NDArray[np.int64] (N, 2)
        Row and column of the heat's peak at the model's scale: the key, unique in the slide.
    box : NDArray[np.int64] (N, 4)
        Half-open: first row and column, and the row and column after the last ones.
    area : NDArray[np.int64] (N,)
        In pixels.
    centroid : NDArray[np.float64] (N, 2)
        Mean row and column.
    intensity : NDArray[np.float64] (N,)
        Mean of the image (of the mean of the channels, in colour).
    probability : NDArray[np.float32] (N,)
        Mean foreground probability.
    first_run : NDArray[np.int64] (N + 1,)
        The runs of nucleus ``i`` are those from ``first_run[i]`` to ``first_run[i + 1]``.
    runs : NDArray[np.int32] (M, 3)
        Row, first column, and the column after the last one; by rows and columns within a nucleus.
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
        """Row and column of each nucleus's first pixel in raster order, which no other nucleus has."""
        return self.runs[self.first_run[:-1], :2]

    def outlines(self) -> list[bytes]:
        """Trace each nucleus on the slide's pixels, in well-known binary."""
        if not len(self):
            return []
        top, left = self.box[:, :2].min(axis=0)
        bottom, right = self.box[:, 2:].max(axis=0)
        labels = np.zeros((bottom - top, right - left), np.uint32)
        numbers = np.repeat(np.arange(1, len(self) + 1, dtype=np.uint32), np.diff(self.first_run))
        paint_runs(labels, self.runs - np.array([top, left, left]), numbers)
        return _core.contours_wkb(labels, (int(top), int(left)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name, as a record holds them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def measure_nuclei(
    labels: NDArray[np.uint32],
    image: NDArray[Any],
    *,
    corner: tuple[int, int],
    centres: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> Nuclei:
    """Measure the nuclei of a part of a slide that holds them whole.

    Every number depends on the nucleus alone, to the last bit, not on the part.

    Parameters
    ----------
    labels : NDArray[np.uint32] (h, w)
        0 background.
    image : NDArray[Any] (h, w) or (h, w, 3)
        The slide's pixels there.
    corner
        Row and column of the slide at which the part begins.
    centres, probabilities
        Of the labels 1, 2, and so on; those of labels that are absent are left out.
    """
    grey = image if image.ndim == 2 else image.mean(axis=-1)
    present, area, box, centroid, intensity, _ = _core.measure(
        np.ascontiguousarray(labels), intensity=grey.astype(np.float32)
    )
    assert intensity is not None  # as an image was given
    sums = np.rint(centroid * area[:, None])  # whole numbers, far below where doubles have gaps
    owners, runs = _runs(labels)
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(np.searchsorted(present, owners), minlength=len(present))
    index = present.astype(np.intp) - 1
    return Nuclei(
        centre=centres[index],
        box=box + np.array([*corner, *corner]),
        area=area,
        centroid=(sums + np.array(corner) * area[:, None]) / area[:, None],
        intensity=intensity,
        probability=probabilities[index],
        first_run=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        runs=(runs[order] + np.array([corner[0], corner[1], corner[1]])).astype(np.int32),
    )


def paint_runs(image: NDArray[np.uint32], runs: NDArray[Any], labels: NDArray[Any]) -> None:
    """Write labels on an image, on the pixels of runs (row, first column, the column after the last one)."""
    first, lengths = runs[:, 0].astype(np.intp) * image.shape[1] + runs[:, 1], runs[:, 2] - runs[:, 1]
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    image.reshape(-1)[np.repeat(first, lengths) + steps] = np.repeat(labels, lengths)


def no_nuclei() -> Nuclei:
    """Return none."""
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
    # Rows one after the other, with a pixel of background between them: no run goes on into the next row.
    framed = np.zeros(height * (width + 1) + 1, np.uint32)
    framed[1:].reshape(height, width + 1)[:, :width] = labels
    changes = np.flatnonzero(framed[1:] != framed[:-1])
    starts, stops = changes[framed[changes + 1] > 0], changes[framed[changes] > 0]
    rows, columns = np.divmod(starts, width + 1)
    return framed[starts + 1], np.column_stack([rows, columns, columns + stops - starts])
