"""Neighbours of the nuclei of a slide, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.measures.region import measure_neighbours
from nucleus_unet.measures.settings import MeasureSettings

Columns = dict[str, NDArray[Any]]


class NeighbourWindow:
    """The nuclei that may be neighbours of those of a group, while groups come from top to bottom.

    Nuclei are ordered by their first rows, and no centroid lies above the first row. So the window ends where
    first rows are further below than the radius, and begins where centroids are further above the rows of the group.

    Parameters
    ----------
    nuclei
        All nuclei of the slide in groups, as the table has them. They are read as far as they are needed.
    settings
        What is measured.
    """

    def __init__(self, nuclei: Iterable[NucleusTable], settings: MeasureSettings) -> None:
        self._ahead: Iterator[NucleusTable] = iter(nuclei)
        self._settings = settings
        self._labels = np.zeros(0, np.uint32)
        self._centroids = np.zeros((0, 2))
        self._lowest = -1  # first row of the last nucleus that was read

    def measure(self, group: NucleusTable) -> Columns:
        """Return the columns of the nuclei of the next group."""
        radius = self._settings.neighbour_radius
        if len(group):
            self._read_to(float(group.row.max()) + radius)
            kept = self._centroids[:, 0] >= group.top.min() - radius
            self._labels, self._centroids = self._labels[kept], self._centroids[kept]
        columns = measure_neighbours(self._centroids, self._settings)
        places = np.searchsorted(self._labels, group.label)
        return {name: values[places] for name, values in columns.items()}

    def _read_to(self, row: float) -> None:
        """Read nuclei until all whose first row is at most this one are in the window."""
        while self._lowest <= row:
            part = next(self._ahead, None)
            if part is None:
                return
            self._labels = np.concatenate([self._labels, part.label])
            self._centroids = np.concatenate([self._centroids, np.column_stack([part.row, part.column])])
            self._lowest = int(part.top.max(initial=self._lowest))
