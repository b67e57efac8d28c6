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
    quality : NDArray[np.float32] (N,)
        Estimated intersection over union with the true nucleus, 0 to 1. NaN if the model has not learned it.
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
    quality: NDArray[np.float32]
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
        numbers = np.repeat(np.arange(1, len(self) + 1, dtype=np.uint32), np.diff(self.first_run))
        shape = (bottom - top, right - left)
        labels = _core.draw_runs(self.runs.astype(np.int64), numbers, corner=(top, left), shape=shape)
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
    qualities: NDArray[np.float32],
    selected: NDArray[np.bool_] | None = None,
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
    centres, probabilities, qualities
        Centres (N, 2), mean foreground probabilities (N,) and qualities (N,) of the labels 1 to N. Labels may be absent
        from the image.
    selected : NDArray[np.bool_] (N,)
        Which of the labels 1 to N are measured; the rectangle need not contain the others. None: all of them.
    intensity_range
        Of the slide.
    """
    grey, unit = grey_values(image, intensity_range)
    present, area, box, centroid, intensity = _core.measure(labels, intensity=grey, threads=1)
    assert intensity is not None  # as an image was given
    _, first_run, runs = _core.label_runs(labels, threads=1)
    index = present.astype(np.intp) - 1
    counts = np.diff(first_run)
    if selected is not None:
        kept = selected[index]
        runs, counts, index = runs[np.repeat(kept, counts)], counts[kept], index[kept]
        area, box, centroid, intensity = area[kept], box[kept], centroid[kept], intensity[kept]
    sums = np.rint(centroid * area[:, None])  # whole numbers, which float64 represents exactly
    top, left = corner
    return Nuclei(
        centre=centres[index],
        box=box + np.array([top, left, top, left]),
        area=area,
        centroid=(sums + np.array(corner) * area[:, None]) / area[:, None],
        intensity=intensity * unit,
        probability=probabilities[index],
        quality=qualities[index],
        first_run=np.append(0, np.cumsum(counts)),
        runs=runs + np.array([top, left, left], np.int32),
    )


def no_nuclei() -> Nuclei:
    """Return an object without nuclei."""
    return measure_nuclei(
        np.zeros((1, 1), np.uint32),
        np.zeros((1, 1)),
        corner=(0, 0),
        centres=np.zeros((0, 2), np.int64),
        probabilities=np.zeros(0, np.float32),
        qualities=np.zeros(0, np.float32),
    )
