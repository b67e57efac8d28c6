"""A training image, with what every sample of it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.targets import Nuclei, nuclei_of

CANDIDATE_PERCENTILES = (0.0, 0.5, 1.0, 2.0, 3.0, 99.0, 99.5, 99.8, 99.9, 99.95)
"""Percentiles of the pixel values, candidates for black and white."""


@dataclass(frozen=True)
class SourceImage:
    """A training image with cached properties that every sample of it needs.

    Attributes
    ----------
    image, labels, valid
        See `nucleus_unet.data.dataset.Example`.
    """

    image: NDArray[Any]
    labels: NDArray[np.uint32]
    valid: NDArray[np.bool_] | None = None

    @cached_property
    def annotated_box(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and end of the rows, and of the columns, that hold all annotated pixels."""
        if self.valid is None:
            height, width = self.labels.shape
            return (0, height), (0, width)
        rows, columns = (np.flatnonzero(self.valid.any(axis=axis)).tolist() for axis in (1, 0))
        return (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)

    @cached_property
    def nuclei(self) -> Nuclei:
        """Centres and diameters of the nuclei in the whole image."""
        return nuclei_of(self.labels)

    @cached_property
    def median_diameter(self) -> float:
        """Median nuclear diameter in pixels. It is 20 if there are no nuclei."""
        present = self.nuclei.diameters[self.nuclei.diameters > 0]
        return float(np.median(present)) if present.size else 20.0

    @cached_property
    def incomplete(self) -> NDArray[np.uint32]:
        """Labels at the edge of the image. The edge cuts most of their nuclei."""
        edges = (self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1])
        return np.unique(np.concatenate(edges))

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """Percentiles of the pixel values: candidates for black and white."""
        return np.asarray(np.percentile(self.image, CANDIDATE_PERCENTILES), np.float64)

    @property
    def is_stained(self) -> bool:
        """Whether this is stained tissue or a smear: a colour image with a light background."""
        return self.image.ndim == 3 and bool(np.median(self.image) > self.levels.mean())

    @property
    def is_dark(self) -> bool:
        """Whether nuclei are brighter than the background, as in fluorescence."""
        return self.image.ndim == 2 and bool(np.median(self.image) < self.levels.mean())
