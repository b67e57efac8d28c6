"""Statistics of every nucleus of one image: size, shape, neighbours, intensity, and properties of its mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.masks import expand_labels, fill_holes, label, overlap_table, regionprops_table, relabel_by_position
from nucleus_unet.measures.intensities import rows_of

RING = 3.0
"""Width in pixels of the background ring with which a nucleus is compared."""

# Images are measured in parallel, so each kernel uses one thread.
_THREADS = 1
_NEIGHBOUR_OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, eq=False)
class NucleusStatistics:
    """Statistics of the N nuclei of an image, in raster order of their first pixels.

    Attributes
    ----------
    area : NDArray[np.int64] (N,)
        Area in pixels.
    diameter : NDArray[np.float64] (N,)
        Diameter in pixels of the disc of the same area.
    eccentricity : NDArray[np.float64] (N,)
        Eccentricity of the ellipse with the same second moments: 0 for a circle, near 1 for a line.
    solidity : NDArray[np.float64] (N,)
        Area divided by the area of the convex hull of the pixel squares: 1 if convex. The hull includes the corners of
        the pixels, so small round nuclei have about 0.9.
    neighbours : NDArray[np.int64] (N,)
        Number of nuclei that share a pixel edge or corner with it.
    intensity : NDArray[np.float64] (N,)
        Mean intensity.
    contrast : NDArray[np.float64] (N,)
        `intensity` minus the mean of the background at most `RING` pixels away. NaN if there is no such background.
    hole_pixels : NDArray[np.int64] (N,)
        Number of enclosed background pixels.
    pieces : NDArray[np.int64] (N,)
        Number of 8-connected components.
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


def compute_nucleus_statistics(labels: NDArray[np.uint32], grey: NDArray[np.float32]) -> NucleusStatistics:
    """Compute the statistics of every nucleus of a label image.

    Parameters
    ----------
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background.
    grey : NDArray[np.float32] (H, W)
        Image of one channel.

    Examples
    --------
    >>> labels = np.array([[1, 1, 0, 0], [1, 1, 2, 0]], np.uint32)
    >>> nuclei = compute_nucleus_statistics(labels, (labels == 1).astype(np.float32))
    >>> nuclei.area.tolist(), nuclei.solidity.tolist(), nuclei.neighbours.tolist(), nuclei.contrast.tolist()
    ([4, 1], [1.0, 1.0], [1, 1], [1.0, 0.0])
    """
    labels, _ = relabel_by_position(labels)
    properties = ("label", "area", "eccentricity", "solidity", "intensity_mean")
    table = regionprops_table(labels, grey, properties=properties, threads=_THREADS)
    area, intensity = table["area"], table["intensity_mean"]
    count = len(area)
    ring = np.where(labels == 0, expand_labels(labels, RING, threads=_THREADS), 0)
    around = regionprops_table(ring, grey, properties=("label", "intensity_mean"), threads=_THREADS)
    holes = np.where(labels == 0, fill_holes(labels), 0)
    return NucleusStatistics(
        area=area,
        diameter=2 * np.sqrt(area / np.pi),
        eccentricity=table["eccentricity"],
        solidity=table["solidity"],
        neighbours=_neighbours(labels, count),
        intensity=intensity,
        contrast=intensity - rows_of(table["label"], around["label"], around["intensity_mean"]),
        hole_pixels=np.bincount(holes.ravel(), minlength=count + 1)[1:],
        pieces=_pieces(labels, count),
    )


def _neighbours(labels: NDArray[np.uint32], count: int) -> NDArray[np.int64]:
    height, width = labels.shape
    pairs = []
    for down, right in _NEIGHBOUR_OFFSETS:
        pixels = labels[: height - down, max(-right, 0) : width - max(right, 0)]
        neighbours = labels[down:, max(right, 0) : width + min(right, 0)]
        table = overlap_table(pixels, neighbours, threads=_THREADS)
        a, b = table.labels_a[table.index_a], table.labels_b[table.index_b]
        pairs.append(np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)[a != b])
    touching = np.unique(np.concatenate(pairs), axis=0)
    return np.bincount(touching.ravel(), minlength=count + 1)[1:]


def _pieces(labels: NDArray[np.uint32], count: int) -> NDArray[np.int64]:
    components = label(labels, connectivity=2, threads=_THREADS)
    table = overlap_table(labels, components, threads=_THREADS)
    return np.bincount(table.index_a, minlength=count)
