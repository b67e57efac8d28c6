"""Measure the nuclei of a region, which is a whole image or a part of a slide.

What `measure_region` returns depends on the pixels and the nuclei within `MeasureSettings.reach` of a nucleus, and on
nothing else, to the last bit. So a part of a slide that reaches this far beyond a nucleus gives the numbers of the
whole image. `measure_neighbours` needs the centroids of the whole image or slide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.io.plane import Plane
from nucleus_unet.measures.channels import column_names
from nucleus_unet.measures.intensities import Columns, measure_intensities
from nucleus_unet.measures.settings import MeasureSettings
from nucleus_unet.measures.shapes import measure_shapes
from nucleus_unet.measures.stains import stain_densities
from nucleus_unet.measures.textures import measure_textures


class MeasuredRegion(NamedTuple):
    """The measures of a region.

    Attributes
    ----------
    present : NDArray[np.uint32] (N,)
        Labels in the region, ascending.
    columns : dict of str to NDArray[np.float64] (N,)
        Measures by name.
    cells : NDArray[np.uint32] (H, W) or None
        Label image of the cells, if the settings ask for them.
    """

    present: NDArray[np.uint32]
    columns: Columns
    cells: NDArray[np.uint32] | None


def measure_region(
    labels: NDArray[np.uint32], channels: Iterable[tuple[str, NDArray[Any]]], settings: MeasureSettings
) -> MeasuredRegion:
    """Measure every nucleus of a region, all but its neighbours.

    Parameters
    ----------
    labels : NDArray[np.uint32] (H, W)
        Label image of the nuclei, 0 background, C-contiguous.
    channels
        Names and pixels of the channels, (H, W), or (H, W, 3) for colours, one after another.
    settings
        What is measured.

    Returns
    -------
    MeasuredRegion
        The nuclei, ascending by label.

    Notes
    -----
    `nucleus_unet.measures.channels.check_measurable` tells whether the channels allow it.
    """
    cells = None if settings.expand is None else _core.expand_labels(labels, settings.expand)
    parts = {"nucleus": labels}
    if cells is not None:
        parts |= {"ring": rings_of(cells, labels), "cell": cells}
    present, area, boxes, _, _ = _core.measure(labels)
    cell_boxes = boxes if cells is None else _core.measure(cells)[2]
    columns: Columns = {}
    if "shape" in settings.groups:
        columns |= measure_shapes("nucleus", labels, present, mpp=settings.mpp)
        if cells is not None:
            columns |= measure_shapes("cell", cells, present, mpp=settings.mpp)
            columns["nucleus_cell_ratio"] = area / columns["cell_area"]
    for name, pixels in channels:
        for of_channel, image in column_names(name, pixels):
            values = np.ascontiguousarray(image, np.float32)
            if "intensity" in settings.groups:
                columns |= measure_intensities(of_channel, values, parts, present, cell_boxes)
            if "texture" in settings.groups:
                columns |= measure_textures(of_channel, values, labels, present, boxes)
        if "stain" in settings.groups and pixels.ndim == 3:
            for stain, density in stain_densities(pixels).items():
                columns |= measure_intensities(stain, density, parts, present, cell_boxes)
    return MeasuredRegion(present, columns, cells)


def measured_columns(planes: Mapping[str, Plane], settings: MeasureSettings) -> list[str]:
    """Return the names of the columns that measures of channels have, without reading a pixel.

    Parameters
    ----------
    planes
        Channels by name, from `nucleus_unet.measures.channels.channel_planes`.
    settings
        What is measured.
    """
    nothing = np.zeros((1, 1), np.uint32)
    blank = {
        name: np.zeros((1, 1) if plane.channels is None else (1, 1, 3), plane.dtype) for name, plane in planes.items()
    }
    columns = measure_region(nothing, blank.items(), settings).columns
    return [*columns, *measure_neighbours(np.zeros((0, 2)), settings)]


def rings_of(cells: NDArray[np.uint32], labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the label image of the cells without their nuclei."""
    return np.where(labels > 0, np.uint32(0), cells)


def measure_neighbours(points: NDArray[np.float64], settings: MeasureSettings) -> dict[str, NDArray[Any]]:
    """Measure the neighbours of nuclei within `MeasureSettings.neighbour_radius`, if the settings ask for it.

    Parameters
    ----------
    points : NDArray[np.float64] (N, 2)
        Centroids of all nuclei of the image or slide.
    """
    if "neighbours" not in settings.groups:
        return {}
    nearest, count = _core.neighbours(np.ascontiguousarray(points), settings.neighbour_radius)
    columns: dict[str, NDArray[Any]] = {"neighbour_distance": nearest, "neighbour_count": count}
    if settings.mpp is not None:
        columns["neighbour_distance_um"] = nearest * settings.mpp
    return columns
