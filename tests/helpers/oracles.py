"""Slow definitions, and other libraries' versions, of what the kernels compute."""

from itertools import pairwise
from typing import Any

import numpy as np
from nucleus_unet.masks import OverlapTable
from numpy.typing import NDArray
from pycocotools import mask as pycocotools
from scipy import ndimage
from skimage import measure

Labels = NDArray[np.uint32]
Ring = NDArray[np.int32]


def blended(
    tiles: NDArray[np.float32], corners: NDArray[np.int64], shape: tuple[int, int], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    sums, totals = np.zeros((*shape, tiles.shape[3])), np.zeros(shape)
    for tile, (top, left) in zip(tiles, corners, strict=True):
        for row, column in np.ndindex(weights.shape):
            y, x = top + row, left + column
            if 0 <= y < shape[0] and 0 <= x < shape[1]:
                sums[y, x] += np.float64(weights[row, column]) * tile[row, column]
                totals[y, x] += weights[row, column]
    with np.errstate(invalid="ignore"):
        return (sums / totals[..., None]).astype(np.float32)


def filled_label_by_label(labels: Labels) -> Labels:
    """Fill each piece of each label alone with scipy; the piece that encloses fewest pixels wins, then the label."""
    filled = labels.copy()
    owner_area = np.full(labels.shape, np.inf)
    for label in np.unique(labels[labels > 0]):
        pieces, count = ndimage.label(labels == label, np.ones((3, 3)))
        for piece in range(1, count + 1):
            enclosed = ndimage.binary_fill_holes(pieces == piece)
            wins = enclosed & (labels == 0) & (enclosed.sum() < owner_area)
            filled[wins] = label
            owner_area[wins] = enclosed.sum()
    return filled


def nearest_by_brute_force(labels: Labels, distance: float) -> Labels:
    expanded = np.zeros_like(labels)
    sites = np.argwhere(labels)
    for pixel in np.ndindex(labels.shape):
        if len(sites):
            squares = ((sites - pixel) ** 2).sum(axis=1)
            nearest = int(squares.argmin())  # the first of equals, and argwhere is in raster order
            if np.sqrt(squares[nearest]) <= distance:
                expanded[pixel] = labels[tuple(sites[nearest])]
    return expanded


def labelled_by_skimage(image: NDArray[np.generic], connectivity: int) -> NDArray[np.int64]:
    """Components of scikit-image, numbered anew by their first pixels."""
    if not image.size:
        return np.zeros(image.shape, np.int64)
    # Booleans and wide labels in a dtype that scikit-image compares by value.
    components = measure.label(image.astype(np.int64), connectivity=connectivity)
    present, first = np.unique(components, return_index=True)
    order = present[np.argsort(first)]
    numbers = np.zeros(int(present.max()) + 1, np.int64)
    numbers[order[order > 0]] = np.arange(1, np.count_nonzero(order) + 1)
    return numbers[components]


def rasterised(polygon: list[Ring], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels whose middles have an odd number of vertical edges to their left."""
    crossings = np.zeros((shape[0], shape[1] + 1), int)
    for ring in polygon:
        for (x0, y0), (x1, y1) in pairwise(ring):
            if x0 == x1:
                crossings[min(y0, y1) : max(y0, y1), x0] += 1
    inside: NDArray[np.bool_] = crossings.cumsum(1)[:, :-1] % 2 == 1
    return inside


def distances_by_scipy(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Distances label by label."""
    distances = np.zeros(image.shape, np.float32)
    for value in np.unique(image[image != 0]):
        inside = image == value
        # Where nothing is outside, SciPy measures to a pixel that does not exist.
        far = ndimage.distance_transform_edt(inside) if not inside.all() else np.full(image.shape, np.inf)
        distances[inside] = far[inside]
    return distances


def shared_by_numpy(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> dict[tuple[int, int], int]:
    pairs = [(int(x), int(y)) for x in np.unique(a) for y in np.unique(b) if x and y]
    shared = {(x, y): int(np.count_nonzero((a == x) & (b == y))) for x, y in pairs}
    return {pair: pixels for pair, pixels in shared.items() if pixels}


def shared(table: OverlapTable) -> dict[tuple[int, int], int]:
    labels_a, labels_b = table.labels_a[table.index_a], table.labels_b[table.index_b]
    return {(int(a), int(b)): int(n) for a, b, n in zip(labels_a, labels_b, table.pixels, strict=True)}


def ranked(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Labels replaced by their rank: what decoding all instances in the order of their labels gives."""
    present = np.unique(np.append(labels, 0))
    return np.searchsorted(present, labels).astype(np.uint32)


def kaggle_by_numpy(labels: NDArray[np.uint32], label: int) -> str:
    inside = np.concatenate([[False], labels.T.ravel() == label, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    return " ".join(f"{start + 1} {end - start}" for start, end in edges.reshape(-1, 2))


def pycocotools_encode(labels: NDArray[np.uint32], label: int) -> dict[str, Any]:
    encoded: dict[str, Any] = pycocotools.encode(np.asfortranarray(labels == label, dtype=np.uint8))
    return encoded
