"""Every nucleus of one image, measured: size, shape, neighbours, brightness, and what is odd about its mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.masks import expand_labels, fill_holes, label, overlap_table, regionprops_table, relabel_sequential

RING = 3.0
"""How many pixels wide the surroundings are that a nucleus is compared with."""

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Measurements of the N nuclei of an image, by raster order of their first pixel.

    Attributes
    ----------
    area : NDArray[np.int64] (N,)
        Pixels.
    diameter : NDArray[np.float64] (N,)
        Of a disc of that area, in pixels.
    eccentricity : NDArray[np.float64] (N,)
        Of the ellipse with the same second moments: 0 for a circle, towards 1 for a line.
    solidity : NDArray[np.float64] (N,)
        Area over the area of the convex hull of the pixels' squares: 1 if convex. Corners of pixels count, so that
        small round nuclei have about .9.
    neighbours : NDArray[np.int64] (N,)
        How many other nuclei share an edge or corner of a pixel with it.
    intensity : NDArray[np.float64] (N,)
        Mean of the image.
    contrast : NDArray[np.float64] (N,)
        `intensity` minus the mean of the background at most `RING` pixels away; not a number without any.
    hole_pixels : NDArray[np.int64] (N,)
        Pixels of background that it encloses.
    pieces : NDArray[np.int64] (N,)
        Of its pixels that do not hang together, not even over corners.
    """

    area: NDArray[np.int64]
    diameter: NDArray[np.float64]
    eccentricity: NDArray[np.float64]
    solidity: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    intensity: NDArray[np.float64]
    contrast: NDArray[np.float64]
    hole_pixels: NDArray[np.int64]
    pieces: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.area)


def measure_nuclei(labels: NDArray[np.uint32], grey: NDArray[np.float32], *, threads: int | None = None) -> Nuclei:
    """Measure every nucleus of a label image.

    Parameters
    ----------
    labels : NDArray[np.uint32] (H, W)
        0 background.
    grey : NDArray[np.float32] (H, W)
        The image, of one channel.
    threads
        Of a kernel; None for all cores.

    Examples
    --------
    >>> labels = np.array([[1, 1, 0, 0], [1, 1, 2, 0]], np.uint32)
    >>> nuclei = measure_nuclei(labels, (labels == 1).astype(np.float32))
    >>> nuclei.area.tolist(), nuclei.solidity.tolist(), nuclei.neighbours.tolist(), nuclei.contrast.tolist()
    ([4, 1], [1.0, 1.0], [1, 1], [1.0, 0.0])
    """
    labels, _ = relabel_sequential(labels)
    properties = ("area", "eccentricity", "solidity", "intensity_mean")
    table = regionprops_table(labels, grey, properties=properties, threads=threads)
    area, intensity = table["area"], table["intensity_mean"]
    count = len(area)
    ring = np.where(labels == 0, expand_labels(labels, RING, threads=threads), 0)
    return Nuclei(
        area=area,
        diameter=2 * np.sqrt(area / np.pi),
        eccentricity=table["eccentricity"],
        solidity=table["solidity"],
        neighbours=_neighbours(labels, count, threads),
        intensity=intensity,
        contrast=intensity - _means_by_label(ring, grey, count, threads),
        hole_pixels=_areas_by_label(np.where(labels == 0, fill_holes(labels), 0), count, threads),
        pieces=_pieces(labels, count, threads),
    )


def _neighbours(labels: NDArray[np.uint32], count: int, threads: int | None) -> NDArray[np.int64]:
    height, width = labels.shape
    pairs = []
    for down, right in _NEIGHBOURS:
        here = labels[: height - down, max(-right, 0) : width - max(right, 0)]
        there = labels[down:, max(right, 0) : width + min(right, 0)]
        table = overlap_table(here, there, threads=threads)
        a, b = table.labels_a[table.index_a], table.labels_b[table.index_b]
        pairs.append(np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)[a != b])
    touching = np.unique(np.concatenate(pairs), axis=0)
    return np.bincount(touching.ravel(), minlength=count + 1)[1:]


def _means_by_label(
    labels: NDArray[np.uint32], grey: NDArray[np.float32], count: int, threads: int | None
) -> NDArray[np.float64]:
    present, _, _, _, means, _ = _core.measure(labels, intensity=grey, threads=threads)
    result = np.full(count + 1, np.nan)
    result[present] = means
    return result[1:]


def _areas_by_label(labels: NDArray[np.uint32], count: int, threads: int | None) -> NDArray[np.int64]:
    present, areas, *_ = _core.measure(labels, threads=threads)
    result = np.zeros(count + 1, np.int64)
    result[present] = areas
    return result[1:]


def _pieces(labels: NDArray[np.uint32], count: int, threads: int | None) -> NDArray[np.int64]:
    components = label(labels, connectivity=2, threads=threads)
    table = overlap_table(labels, components, threads=threads)
    return np.bincount(table.index_a, minlength=count)
