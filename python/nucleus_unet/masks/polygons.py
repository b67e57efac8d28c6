"""Polygons to label images: the inverse of `nucleus_unet.masks.contours`.

A scan line runs down the middle of each column of pixels. Its crossings with the edges, taken in pairs, bound the runs
of pixels inside (the even-odd rule). The runs are COCO's run lengths, so one kernel merges polygons and encodings.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import MaskError
from nucleus_unet.masks._arguments import as_shape
from nucleus_unet.masks.encodings import coco_to_labels
from nucleus_unet.masks.merging import MergeReport


def polygons_to_labels(
    polygons: Iterable[Sequence[Sequence[ArrayLike]]], shape: Sequence[int], *, threads: int | None = None
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Draw polygons with holes as a label image. Polygons of `contours` give back exactly the label image.

    Parameters
    ----------
    polygons
        For each instance its pieces, each an exterior ring and the rings of its holes, as in the values of `contours`.
        A ring is a (K, 2) array of vertices (x, y) in pixels, with pixel edges at whole numbers. The last vertex may
        repeat the first.
    shape
        Height and width of the image in pixels. What lies outside is cut off.
    threads
        Number of threads of the merging; None for one per core. The result is the same for any number.

    Returns
    -------
    labels : (H, W) ndarray of uint32
        Label `i + 1` for `polygons[i]`. A pixel belongs to a polygon if its centre lies inside. Of two polygons that
        claim a pixel the earlier has it.
    report : MergeReport
        What was lost to overlaps, and which polygons contain no centre of a pixel.

    Raises
    ------
    MaskError
        If a ring is not of shape (K, 2) with at least 3 vertices, or a coordinate is not finite.
    SettingsError
        If `threads` is not 1 to 1024.

    Notes
    -----
    Where rings of one piece cross, a pixel inside an even number of them is outside (the even-odd rule). The pieces of
    one instance are united.

    Examples
    --------
    >>> square = [[0, 0], [0, 2], [2, 2], [2, 0]]
    >>> polygons_to_labels([[[square]]], (2, 3))[0]
    array([[1, 1, 0],
           [1, 1, 0]], dtype=uint32)
    """
    size = as_shape(shape)
    rings: list[NDArray[np.float64]] = []
    instances: list[int] = []  # of each piece
    owners: list[int] = []  # the piece of each ring
    count = 0
    for pieces in polygons:
        for piece in pieces:
            rings += [_vertices(ring, count) for ring in piece]
            owners += [len(instances)] * len(piece)
            instances.append(count)
        count += 1
    owner, runs = _runs(rings, np.array(owners, np.intp), size)
    counts = _counts(np.array(instances, np.intp)[owner], runs, count, size[0] * size[1])
    return coco_to_labels([{"size": list(size), "counts": each} for each in counts], size, threads=threads)


def _vertices(ring: ArrayLike, number: int) -> NDArray[np.float64]:
    try:
        vertices = np.asarray(ring, np.float64)
    except (TypeError, ValueError):
        vertices = np.empty(0)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise MaskError(f"polygon {number}: expected rings of at least 3 vertices (x, y), got shape {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise MaskError(f"polygon {number}: expected finite coordinates, got NaN or infinity")
    return vertices


def _runs(
    rings: Sequence[NDArray[np.float64]], owners: NDArray[np.intp], shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the piece of each run, and the runs (R, 2): first pixel and end, counted down the columns."""
    height, width = shape
    nothing = np.empty((0, 2))
    begins = np.concatenate([nothing, *rings])
    ends = np.concatenate([nothing, *(np.roll(ring, -1, axis=0) for ring in rings)])
    owner = np.repeat(owners, [len(ring) for ring in rings])
    # An edge crosses the middles of the columns between its ends. A middle at an end counts for one of two edges.
    left, right = np.minimum(begins[:, 0], ends[:, 0]), np.maximum(begins[:, 0], ends[:, 0])
    first, last = (np.ceil(np.clip(side, 0, width) - 0.5).astype(np.int64) for side in (left, right))
    crossed = last - first
    edge = np.repeat(np.arange(len(begins)), crossed)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]
    (x, y), (to_x, to_y) = begins[edge].T, ends[edge].T
    crossing = y + (column + 0.5 - x) * ((to_y - y) / (to_x - x))
    order = np.lexsort((crossing, column, owner[edge]))
    rows = np.ceil(np.clip(crossing[order], 0, height) - 0.5).astype(np.int64)
    runs = (column[order] * height + rows).reshape(-1, 2)
    inside = runs[:, 0] < runs[:, 1]
    return owner[edge][order][::2][inside], runs[inside]


def _counts(owner: NDArray[np.intp], runs: NDArray[np.int64], count: int, pixels: int) -> list[list[int]]:
    """Return the union of each instance's runs as COCO's lengths of background and nucleus in turn."""
    order = np.lexsort((runs[:, 0], owner))
    owner, runs = owner[order], runs[order]
    # Runs of later instances come after all pixels of earlier ones, so that one maximum serves them all.
    reached = np.maximum.accumulate(runs[:, 1] + owner * pixels) - owner * pixels
    apart = (runs[1:, 0] > reached[:-1]) | (owner[1:] != owner[:-1])
    if not len(runs):
        return [[pixels] for _ in range(count)]
    is_first, is_last = np.append(True, apart), np.append(apart, True)
    bounds = np.stack([runs[is_first, 0], reached[is_last]], axis=1)
    split = np.searchsorted(owner[is_first], np.arange(1, count))
    return [np.diff(each.ravel(), prepend=0, append=pixels).tolist() for each in np.split(bounds, split)[:count]]
