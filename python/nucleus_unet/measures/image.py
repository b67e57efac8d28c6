"""Measure the nuclei of a whole image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.source import ImageSource
from nucleus_unet.measures.region import measure_neighbours, measure_region
from nucleus_unet.measures.settings import MeasureSettings

Measures = dict[str, NDArray[Any]]


def measure_image(
    source: ImageSource,
    planes: Mapping[str, Plane],
    pixels: NDArray[Any],
    labels: NDArray[np.uint32],
    settings: MeasureSettings,
) -> tuple[Measures, NDArray[np.uint32] | None]:
    """Measure every nucleus of an image in every channel.

    Parameters
    ----------
    source
        Where the channels are read, one after another.
    planes
        Channels of the source, from `nucleus_unet.measures.channels.channel_planes`.
    pixels : NDArray[Any] (H, W) or (H, W, 3)
        What was segmented. It is not read again if it is the only channel.
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background, nuclei 1 to N.
    settings
        What is measured.

    Returns
    -------
    measures
        Columns by name, each with a value for the nuclei 1 to N.
    cells : NDArray[np.uint32] (H, W) or None
        Label image of the cells, if the settings ask for them.
    """

    def channels() -> Iterator[tuple[str, NDArray[Any]]]:
        if settings.needs_pixels:
            for name, plane in planes.items():
                yield name, pixels if len(planes) == 1 else source.read(plane)

    labels = np.ascontiguousarray(labels)
    measured = measure_region(labels, channels(), settings)
    centroids = _core.measure(labels)[3]
    return {**measured.columns, **measure_neighbours(centroids, settings)}, measured.cells
